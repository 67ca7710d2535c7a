#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtio-rng card in the stream of stock and of Tern is the same, byte by byte, in each state that a driver brings it to; and each
loads in the other, where the card goes on.

STOCK_QEMU names another stock program, e.g. 10.0.2. TERN_TEST_LONG: all states are loaded, not only some.
"""

import os
import re
import struct
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Machine, TestError, halting_rom

BDF, IO, MSIX, BAR = 4 << 3, 0xc000, 0xe0000000, 0xe0004000
STATUS, GF_SELECT, GF, Q_SELECT, Q_SIZE, Q_VECTOR, Q_ENABLE, Q_DESC = 20, 8, 12, 22, 24, 26, 28, 32
NOTIFY = BAR + 0x3000
RING, BUFFER, MESSAGES = 0x100000, 0x400000, 0x300000
LEGACY_FEATURES, LEGACY_PFN, LEGACY_NOTIFY, LEGACY_STATUS = 4, 8, 16, 18
STATES = {}


def state(function):
    STATES[function.__name__.replace('_', '-')] = function
    return function


class Card:
    """A driver of the card that knows where everything is."""

    def __init__(self, machine):
        self.qtest = machine.qtest
        self.machine = machine

    def bars(self):
        for offset, value in ((0x10, IO), (0x14, MSIX), (0x20, BAR), (0x24, 0)):
            self.qtest.config_write(BDF, offset, 4, value)
        self.command(7)

    def command(self, value):
        self.qtest.config_write(BDF, 4, 2, value)

    def put(self, width, address, value):
        self.qtest.ask('write%s 0x%x 0x%x' % ({1: 'b', 2: 'w', 4: 'l'}[width], address, value))

    def get(self, width, address):
        return int(self.qtest.ask('read%s 0x%x' % ({1: 'b', 2: 'w', 4: 'l'}[width], address)), 0)

    def status(self, value):
        self.put(1, BAR + STATUS, value)

    def features(self):
        for half in 0, 1:
            self.put(4, BAR, half)
            value = self.get(4, BAR + 4)
            self.put(4, BAR + GF_SELECT, half)
            self.put(4, BAR + GF, value)

    def msix(self):
        for vector in 0, 1:
            for offset, value in ((0, MESSAGES + 4 * vector), (4, 0), (8, 0x55 + vector), (12, 0)):
                self.put(4, MSIX + 16 * vector + offset, value)
        self.qtest.config_write(BDF, 0x9a, 2, 0x8001)
        self.put(2, BAR + 16, 0)

    def queue(self, size=None, vector=1):
        self.put(2, BAR + Q_SELECT, 0)
        if size:
            self.put(2, BAR + Q_SIZE, size)
        for part in range(3):
            self.put(4, BAR + Q_DESC + 8 * part, RING + 0x1000 * part)
            self.put(4, BAR + Q_DESC + 8 * part + 4, 0)
        self.put(2, BAR + Q_VECTOR, vector)
        self.put(2, BAR + Q_ENABLE, 1)

    def used(self, ring=RING):
        return self.get(2, ring + 0x2002)

    def wait(self, ready):
        end = time.monotonic() + 60
        while not ready():
            if time.monotonic() > end:
                raise TestError('the device has not answered')
            time.sleep(0.005)

    def request(self):
        """One buffer on the split ring of queue(); waits until it is filled."""
        index = self.get(2, RING + 0x1002)
        self.qtest.write(RING + 16 * (index % 4), struct.pack('<QIHH', BUFFER, 64, 2, 0))
        self.put(2, RING + 0x1004 + 2 * (index % 8), index % 4)
        self.put(2, RING + 0x1002, index + 1)
        self.put(2, NOTIFY, 0)
        self.wait(lambda: self.used() == index + 1)

    def legacy(self, features=0x39000000):
        self.bars()
        for value in 1, 3:
            self.qtest.port_out(IO + LEGACY_STATUS, 1, value)
        self.qtest.port_out(IO + LEGACY_FEATURES, 4, features)
        self.qtest.port_out(IO + LEGACY_PFN, 4, RING >> 12)


@state
def idle(card):
    pass


@state
def acknowledged(card):
    card.bars()
    card.status(1)
    card.status(3)


@state
def features_chosen(card):
    acknowledged(card)
    card.features()


@state
def features_ok(card):
    features_chosen(card)
    card.status(11)


@state
def ready(card):
    features_ok(card)
    card.msix()
    card.queue()
    card.status(15)


@state
def small_ring(card):
    features_ok(card)
    card.queue(size=4)
    card.status(15)


@state
def worked(card):
    ready(card)
    card.request()
    card.request()


@state
def line_raised(card):
    features_ok(card)
    card.queue(vector=0xffff)
    card.status(15)
    card.request()
    card.wait(lambda: card.qtest.config_read(BDF, 6, 2) & 8)


@state
def bus_master_off(card):
    worked(card)
    card.command(3)


@state
def broken(card):
    ready(card)
    card.put(2, RING + 0x1004, 99)
    card.put(2, RING + 0x1002, 1)
    card.put(2, NOTIFY, 0)
    card.wait(lambda: card.get(1, BAR + STATUS) & 0x40)
    card.wait(lambda: card.get(4, MESSAGES))


@state
def reset(card):
    worked(card)
    card.status(0)


@state
def packed(card):
    ready(card)


@state
def packed_worked(card):
    ready(card)
    card.qtest.write(RING, struct.pack('<QIHH', BUFFER, 64, 0, 0x82))
    card.put(2, NOTIFY, 0)
    card.wait(lambda: card.get(2, RING + 14) & 0x8000)


@state
def legacy_not_ready(card):
    card.legacy()


@state
def legacy_ready(card):
    card.legacy()
    card.qtest.port_out(IO + LEGACY_STATUS, 1, 7)


@state
def legacy_early_kick(card):
    card.legacy()
    card.qtest.port_out(IO + LEGACY_NOTIFY, 2, 0)


def section(path):
    """The bytes of the card's section."""
    with open(path, 'rb') as file:
        data = file.read()
    head = re.search(rb'\x04(....)\x17(0000:00:04.0/virtio-rng)(....)(....)', data, re.S)
    return data[head.end():data.index(b'\x7e' + head.group(1), head.end())]


@unittest.skipUnless(common.stock(), 'stock qemu-system-x86_64 is not installed')
class StockVirtio(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        rom = tempfile.NamedTemporaryFile()  # it comes with the stream: no firmware is to run in stock, and look at the card
        self.addCleanup(rom.close)
        rom.write(halting_rom())
        rom.flush()
        self.rom = rom.name

    def machine(self, command, name, *more):
        device = 'virtio-rng-pci,addr=4' + (',packed=on' if name.startswith('packed') else '')
        machine = Machine(command, ['-machine', 'pc-i440fx-7.2', '-m', '16', '-vga', 'none', '-bios', self.rom, '-device', device, *more])
        self.addCleanup(machine.close)
        return machine

    def bring(self, command, name, path):
        machine = self.machine(command, name)
        STATES[name](Card(machine))
        machine.qmp.command('migrate', {'uri': 'exec:cat>' + path})
        self.assertEqual(machine.wait_migration()['status'], 'completed')
        machine.close()

    def go_on(self, command, name, path):
        """Loads the stream; what was ready works on, anything else can be made to work."""
        machine = self.machine(command, name, '-incoming', 'exec:cat ' + path)
        self.assertEqual(machine.wait_migration()['status'], 'completed')
        card = Card(machine)
        card.wait(lambda: machine.qmp.command('query-status')['running'])
        if name not in ('ready', 'small-ring', 'worked', 'line-raised'):
            card.bars()
            card.status(0)
            card.qtest.fill(RING, 0x3000, 0)
            if not name.startswith('packed'):
                ready(card)
        if not name.startswith('packed'):
            card.request()
        machine.close()

    def compare(self, name):
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for who, command in (('stock', common.stock()[0]), ('tern', common.TERN)):
                paths[who] = os.path.join(folder, who)
                self.bring(command, name, paths[who])
            theirs, mine = section(paths['stock']), section(paths['tern'])
            first = next((n for n, (a, b) in enumerate(zip(theirs, mine)) if a != b), min(len(theirs), len(mine)))
            self.assertTrue(theirs == mine, f'{len(theirs)} and {len(mine)} bytes, different from {first} on')
            if common.LONG or name in ('worked', 'legacy-ready'):
                self.go_on(common.TERN, name, paths['stock'])
                self.go_on(common.stock()[0], name, paths['tern'])


def add_test(name):
    setattr(StockVirtio, 'test_' + name.replace('-', '_'), lambda self: self.compare(name))


for each in STATES:
    add_test(each)

if __name__ == '__main__':
    tap.main()
