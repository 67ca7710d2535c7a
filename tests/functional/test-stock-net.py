#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-net and e1000 between Tern and stock: the sections of the stream byte by byte in the states that a driver brings them to, and
machines that go from one to the other and back, with frames before, across, and after.

STOCK_QEMU names another stock program, e.g. 10.0.2. TERN_TEST_LONG: all states are loaded, not only some.
"""

import os
import re
import select
import socket
import struct
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Machine, halting_rom
from virtio_net import (CTRL_RX_EXTRA, BROADCAST, GUEST, MRG_RXBUF, NetCard, RARP, USUAL, frame, is_ours, number_of)

PATIENCE = 60
ADDRESSES = 437  # where the table of addresses begins in the section
BDF = 4 << 3
OTHER, GROUP = bytes.fromhex('5254000a0b0c'), bytes.fromhex('01005e010203')
RX, MAC, VLAN, ANNOUNCE_CLASS = 0, 1, 2, 3
STATES = {}


def state(function):
    STATES[function.__name__.replace('_', '-')] = function
    return function


class Wire:
    """The other end: a socket that each process connects to; the newest one has the machine that runs."""

    def __init__(self, folder):
        self.path = os.path.join(folder, 'w')
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.peers = []

    def accept(self):
        if not select.select([self.listener], [], [], PATIENCE)[0]:
            raise AssertionError('the machine does not connect')
        self.peers.append(self.listener.accept()[0])

    def close(self):
        for peer in self.peers:
            peer.close()
        self.listener.close()

    def send(self, data):
        self.peers[-1].sendall(struct.pack('>I', len(data)) + data)

    def receive(self, seconds=PATIENCE, wanted=is_ours):
        """The next frame of that kind, or None."""
        peer, end = self.peers[-1], time.monotonic() + seconds
        while select.select([peer], [], [], max(end - time.monotonic(), 0))[0]:
            head = peer.recv(4, socket.MSG_WAITALL)
            if len(head) < 4:
                return None
            data = peer.recv(struct.unpack('>I', head)[0], socket.MSG_WAITALL)
            if wanted(data):
                return data
        return None


# ---- e1000 ----

class E1000:
    """A driver of the 82540EM ("PCI/PCI-X Family of Gigabit Ethernet Controllers Software Developer's Manual")."""

    MMIO, TX, RX, BUFFERS, RING = 0xe0000000, 0x100000, 0x101000, 0x110000, 16
    CTRL, STATUS, ICR, IMS, RCTL, TCTL, RDBAL, RDLEN, RDH, RDT, TDBAL, TDLEN, TDH, TDT, MTA, RAL, RAH, VFTA = (
        0, 8, 0xc0, 0xd0, 0x100, 0x400, 0x2800, 0x2808, 0x2810, 0x2818, 0x3800, 0x3808, 0x3810, 0x3818, 0x5200, 0x5400, 0x5404, 0x5600)

    def __init__(self, machine):
        self.moved(machine)
        self.sent = self.seen = 0

    def moved(self, machine):
        self.machine, self.qtest = machine, machine.qtest

    def get(self, register):
        return int(self.qtest.ask('readl 0x%x' % (self.MMIO + register)), 0)

    def set(self, register, value):
        self.qtest.ask('writel 0x%x 0x%x' % (self.MMIO + register, value))

    def begin(self, receive=0x8002):
        """receive: RCTL; 0x8000 broadcast, 8 and 0x10 promiscuous, 0x40000 VLAN filter."""
        self.qtest.config_write(BDF, 0x10, 4, self.MMIO)
        self.qtest.config_write(BDF, 4, 2, 7)
        self.set(self.CTRL, 1 << 26)
        self.set(self.CTRL, 0x40)
        self.qtest.fill(self.TX, 0x2000, 0)
        for slot in range(self.RING):
            self.qtest.write(self.RX + 16 * slot, struct.pack('<QQ', self.BUFFERS + 2048 * slot, 0))
        self.set(self.RAL, struct.unpack('<I', GUEST[:4])[0])
        self.set(self.RAH, 1 << 31 | struct.unpack('<H', GUEST[4:])[0])
        for base, length, head, tail, where in ((self.RDBAL, self.RDLEN, self.RDH, self.RDT, self.RX),
                                                (self.TDBAL, self.TDLEN, self.TDH, self.TDT, self.TX)):
            self.set(base, where)
            self.set(base + 4, 0)
            self.set(length, 16 * self.RING)
            self.set(head, 0)
            self.set(tail, 0)
        self.set(self.TCTL, 0x10002 | 8)
        self.set(self.RCTL, receive)
        self.set(self.RDT, self.RING - 1)
        self.sent = self.seen = 0

    def send(self, data):
        slot = self.sent % self.RING
        self.qtest.write(self.BUFFERS + 0x10000 + 2048 * slot, data)
        self.qtest.write(self.TX + 16 * slot, struct.pack('<QHBBBBH', self.BUFFERS + 0x10000 + 2048 * slot, len(data), 0, 0xb, 0, 0, 0))
        self.sent += 1
        self.set(self.TDT, self.sent % self.RING)
        end = time.monotonic() + PATIENCE
        while not self.qtest.read(self.TX + 16 * slot + 12, 1)[0] & 1:
            assert time.monotonic() < end, 'not sent'
            time.sleep(0.002)

    def receive(self):
        slot = self.seen % self.RING
        _, length, _, status, errors, _ = struct.unpack('<QHHBBH', self.qtest.read(self.RX + 16 * slot, 16))
        if not status & 1:
            return None
        assert not errors, hex(errors)
        data = self.qtest.read(self.BUFFERS + 2048 * slot, length - 4)
        self.qtest.write(self.RX + 16 * slot + 8, bytes(8))
        self.set(self.RDT, slot)
        self.seen += 1
        return data


# ---- what drivers do ----

def tagged(number, vlan, to=GUEST):
    data = frame(number, to, OTHER, 300)
    return data[:12] + struct.pack('>HH', 0x8100, vlan) + data[12:]


@state
def idle(card, wire):
    pass


@state
def started(card, wire):
    card.begin()


@state
def worked(card, wire):
    card.begin()
    exchange(card, wire, 30)


@state
def filters(card, wire):
    """Tables of addresses and VLANs, not promiscuous."""
    card.begin()
    assert not card.control(RX, 0, b'\0')
    assert not card.control(MAC, 0, struct.pack('<I', 2) + OTHER + GUEST + struct.pack('<I', 1) + GROUP)
    for vlan in 1, 77, 4095:
        assert not card.control(VLAN, 0, struct.pack('<H', vlan))
    exchange(card, wire, 5)


@state
def everything(card, wire):
    """All the switches of the filters, and a table that is too long."""
    card.begin(USUAL | CTRL_RX_EXTRA)
    for command in 1, 2, 3, 4, 5:
        card.control(RX, command, b'\1')
    many = b''.join(bytes((2, 0, 0, 0, 0, n)) for n in range(80))
    card.control(MAC, 0, struct.pack('<I', 80) + many + struct.pack('<I', 1) + GROUP)


@state
def other_address(card, wire):
    card.begin()
    assert not card.control(MAC, 1, OTHER)
    exchange(card, wire, 5, to=OTHER)


@state
def without_mergeable(card, wire):
    card.begin(USUAL & ~MRG_RXBUF)
    exchange(card, wire, 5)


@state
def announcing(card, wire):
    """The guest was asked to announce itself and has not done so yet."""
    card.begin()
    exchange(card, wire, 5)
    card.machine.qmp.command('announce-self', {'initial': 50, 'max': 50, 'rounds': 1, 'step': 0})
    end = time.monotonic() + PATIENCE
    while not card.get(4, 6, 2) & 2:
        assert time.monotonic() < end, 'the guest is not asked'
        time.sleep(0.01)


@state
def pulled(card, wire):
    card.begin()
    card.machine.qmp.command('set_link', {'name': 'card', 'up': False})


@state
def reset(card, wire):
    filters(card, wire)
    card.reset()


def exchange(card, wire, count, to=GUEST):
    for number in range(1, count + 1):
        wire.send(frame(number, to, OTHER))
        card.send(frame(1000 + number))
        data = wire.receive()
        assert data and number_of(data) == 1000 + number, f'{number}: {data and number_of(data)}'
        end = time.monotonic() + PATIENCE
        while True:
            got = card.receive()
            if got and is_ours(got):
                break
            assert time.monotonic() < end, f'frame {number} does not come'
        assert number_of(got[:len(frame(number))]) == number


def section(path, name):
    """The bytes of the card's section."""
    with open(path, 'rb') as file:
        data = file.read()
    name = b'0000:00:04.0/' + name
    head = re.search(rb'\x04(....)' + re.escape(bytes((len(name),)) + name) + rb'(....)(....)', data, re.S)
    return data[head.end():data.index(b'\x7e' + head.group(1), head.end())]


@unittest.skipUnless(common.stock(), 'stock qemu-system-x86_64 is not installed')
class StockNet(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR'))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.wire = Wire(self.folder)
        self.addCleanup(self.wire.close)

    def machine(self, command, *more, card='virtio-net-pci'):
        rom = os.path.join(self.folder, 'rom')  # it comes with the stream: no firmware is to run in stock
        with open(rom, 'wb') as file:
            file.write(halting_rom())
        machine = Machine(command, ['-machine', 'pc-i440fx-7.2', '-bios', rom, '-m', '16', '-vga', 'none', '-netdev',
                                    f'stream,id=n,addr.type=unix,addr.path={self.wire.path}', '-device',
                                    f'{card},id=card,netdev=n,addr=4,romfile=,mac=52:54:00:12:34:56', *more])
        self.addCleanup(machine.close)
        self.wire.accept()
        end = time.monotonic() + PATIENCE
        # The socket is connected; until the machine knows of it (stock says nothing at all till then), a packet finds no cable.
        while 'unix:' not in machine.qmp.hmp('info network'):
            self.assertLess(time.monotonic(), end)
        return machine

    def save(self, machine, path):
        machine.qmp.command('migrate', {'uri': 'exec:cat>' + path})
        self.assertEqual(machine.wait_migration()['status'], 'completed')
        machine.close()

    def load(self, command, path, **options):
        machine = self.machine(command, '-incoming', 'exec:cat ' + path, **options)
        self.assertEqual(machine.wait_migration()['status'], 'completed')
        end = time.monotonic() + PATIENCE
        while not machine.qmp.command('query-status')['running']:
            self.assertLess(time.monotonic(), end)
        return machine

    def check_filters(self, card, vlans):
        """What is for the guest comes, the rest does not, and the monitor says so. Stock forgets its VLANs when it arrives."""
        for number, (to, vlan, comes) in enumerate(((GUEST, 0, 1), (OTHER, 0, 1), (GROUP, 0, 1), (BROADCAST, 0, 1), (b'\2' * 6, 0, 0),
                                                    (b'\1' * 6, 0, 0), (GUEST, 77, 1), (GUEST, 78, 0), (GUEST, 4095, 1)), 500):
            if vlan and not vlans:
                continue
            self.wire.send(tagged(number, vlan, to) if vlan else frame(number, to, OTHER, 300))
            self.wire.send(frame(400, GUEST, OTHER, 60))  # behind it
            seen, end = [], time.monotonic() + PATIENCE
            while not seen or len(seen[-1]) != 60 or not is_ours(seen[-1]):
                self.assertLess(time.monotonic(), end)
                data = card.receive()
                seen += [data] if data else []
            self.assertEqual(len(seen), 1 + comes, f'to {to.hex()} in VLAN {vlan}')
        info, = card.machine.qmp.command('query-rx-filter')
        if vlans:
            self.assertEqual(sorted(info['vlan-table']), [1, 77, 4095])
        self.assertEqual(info['multicast-table'], ['01:00:5e:01:02:03'])
        self.assertFalse(info['promiscuous'])

    def go_on(self, command, name, path, card):
        machine = self.load(command, path)
        card.moved(machine)
        if name in ('idle', 'reset'):
            card.begin()
        if name == 'pulled':
            card.send(frame(1))
            self.assertTrue(card.queues[1].wait())
            self.assertFalse(self.wire.receive(0.05))
            machine.qmp.command('set_link', {'name': 'card', 'up': True})
        if name == 'announcing':
            self.assertEqual(card.get(4, 6, 2) & 2, 2)
            end = time.monotonic() + PATIENCE
            while card.get(4, 6, 2) & 2:  # the machine that has arrived asks a few times, too
                self.assertEqual(card.control(ANNOUNCE_CLASS, 0, b'\0'), 0)
                self.assertLess(time.monotonic(), end)
        elif name == 'worked':  # the machine announces itself, and asks the guest to
            self.assertTrue(self.wire.receive(wanted=lambda data: data[12:14] == struct.pack('>H', RARP) and data[6:12] == GUEST))
            end = time.monotonic() + PATIENCE
            while not card.get(4, 6, 2) & 2:
                self.assertLess(time.monotonic(), end)
        if name == 'filters':
            self.check_filters(card, command == common.TERN and common.stock()[1].startswith('7.'))
        elif name != 'everything':
            exchange(card, self.wire, 20, to=OTHER if name == 'other-address' else GUEST)
        return machine

    @staticmethod
    def comparable(data):
        """Stock 10.0 lets all VLANs through, whatever the driver asks for."""
        if common.stock()[1].startswith('7.'):
            return data
        start = ADDRESSES + 6 * struct.unpack('>I', data[ADDRESSES - 4:ADDRESSES])[0]
        return data[:start] + bytes(512) + data[start + 512:]

    def compare(self, name):
        paths, cards = {}, {}
        for who, command in (('stock', common.stock()[0]), ('tern', common.TERN)):
            paths[who] = os.path.join(self.folder, who)
            cards[who] = NetCard(self.machine(command))
            STATES[name](cards[who], self.wire)
            cards[who].get(4, 0, 4)  # stock sends what was there when the driver looked last
            cards[who].get(4, 4, 4)
            self.save(cards[who].machine, paths[who])
        theirs, mine = (self.comparable(section(paths[who], b'virtio-net')) for who in ('stock', 'tern'))
        first = next((n for n, (a, b) in enumerate(zip(theirs, mine)) if a != b), min(len(theirs), len(mine)))
        self.assertTrue(theirs == mine, f'{len(theirs)} and {len(mine)} bytes, different from {first} on: {theirs[first:first + 8].hex()} '
                                        f'{mine[first:first + 8].hex()}')
        if common.LONG or name in ('worked', 'filters', 'announcing', 'pulled'):
            self.go_on(common.TERN, name, paths['stock'], cards['stock'])
            machine = self.go_on(common.stock()[0], name, paths['tern'], cards['tern'])
            if name == 'worked':  # and back again
                path = os.path.join(self.folder, 'again')
                self.save(machine, path)
                self.go_on(common.TERN, name, path, cards['tern'])

    # ---- e1000 ----

    def e1000_check_filters(self, card):
        for number, (to, vlan, comes) in enumerate(((GUEST, 0, 1), (GROUP, 0, 1), (BROADCAST, 0, 1), (b'\2' * 6, 0, 0), (b'\1' * 6, 0, 0),
                                                    (GUEST, 77, 1), (GUEST, 78, 0)), 500):
            self.wire.send(tagged(number, vlan, to) if vlan else frame(number, to, OTHER, 300))
            self.wire.send(frame(400, GUEST, OTHER, 60))
            seen, end = [], time.monotonic() + PATIENCE
            while not seen or len(seen[-1]) != 60 or not is_ours(seen[-1]):
                self.assertLess(time.monotonic(), end)
                data = card.receive()
                seen += [data] if data else []
            self.assertEqual(len(seen), 1 + comes, f'to {to.hex()} in VLAN {vlan}')

    def e1000_filters(self, card):
        card.begin(0x8002 | 0x40000)
        bit = (GROUP[5] << 8 | GROUP[4]) >> 4 & 0xfff
        card.set(card.MTA + 4 * (bit >> 5), 1 << (bit & 31))
        card.set(card.VFTA + 4 * (77 >> 5), 1 << (77 & 31))

    def test_e1000(self):
        """There and back, twice, with its tables, in the middle of rings."""
        card = E1000(self.machine(common.TERN, card='e1000'))
        self.e1000_filters(card)
        for n, command in enumerate((common.stock()[0], common.TERN, common.stock()[0], common.TERN)):
            self.e1000_check_filters(card)
            exchange(card, self.wire, 5 + n)
            path = os.path.join(self.folder, 'e%d' % n)
            self.save(card.machine, path)
            card.moved(self.load(command, path, card='e1000'))
            self.assertTrue(self.wire.receive(wanted=lambda data: data[12:14] == struct.pack('>H', RARP) and data[6:12] == GUEST))
        self.e1000_check_filters(card)
        exchange(card, self.wire, 20)

    def test_e1000_sections(self):
        names = {}
        for who, command in (('stock', common.stock()[0]), ('tern', common.TERN)):
            card = E1000(self.machine(command, card='e1000'))
            self.e1000_filters(card)
            self.e1000_check_filters(card)
            exchange(card, self.wire, 12)
            card.get(card.ICR)
            path = os.path.join(self.folder, who)
            self.save(card.machine, path)
            names[who] = section(path, b'e1000')
        self.assertEqual(names['stock'], names['tern'])


def add_test(name):
    setattr(StockNet, 'test_virtio_net_' + name.replace('-', '_'), lambda self: self.compare(name))


for each in STATES:
    add_test(each)

if __name__ == '__main__':
    tap.main()
