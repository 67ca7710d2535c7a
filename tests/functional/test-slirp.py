#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The user network as a driver sees it: an address by DHCP, the gateway by ARP, files by TFTP, on virtio-net and e1000, while the machine
moves; and what becomes of a file that is under way.
"""

import os
import random
import socket
import struct
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Machine
from virtio_net import BROADCAST, GUEST, NetCard

e1000 = common.load(os.path.join(common.HERE, 'test-stock-net.py')).E1000
PATIENCE = 60
HOST, NAME_SERVER, FIRST = (socket.inet_aton(f'10.0.2.{n}') for n in (2, 3, 15))
ANY, ALL = bytes(4), b'\xff' * 4
TFTP = 69
COOKIE = bytes.fromhex('63825363')


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def udp(source, sport, target, dport, data):
    body = struct.pack('>HHHH', sport, dport, 8 + len(data), 0) + data
    head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(body), 1, 0, 64, 17, 0, source, target)
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + body


SYN, ACK = 2, 16


def tcp(source, sport, target, dport, seq, ack, flags):
    def body(check):
        return struct.pack('>HHIIBBHHH', sport, dport, seq, ack, 0x50, flags, 8192, check, 0)
    check = checksum(source + target + struct.pack('>HH', 6, 20) + body(0))
    head = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 40, 1, 0, 64, 6, 0, source, target)
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + body(check)


class Network:
    """A guest's IPv4 in a few lines."""

    def __init__(self, card):
        self.card = card
        self.address, self.gateway = ANY, BROADCAST

    def send(self, kind, data, to=BROADCAST):
        self.card.send((to + GUEST + struct.pack('>H', kind) + data).ljust(60, b'\0'))

    def receive(self, kind, match, seconds=PATIENCE):
        """The first thing that match() makes of a packet of that kind, or None."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            data = self.card.receive()
            if not data:
                time.sleep(0.002)
            elif data[12:14] == b'\x08\x06' and data[38:42] == self.address and data[20:22] == b'\0\1':
                self.send(0x806, struct.pack('>HHBBH', 1, 0x800, 6, 4, 2) + GUEST + self.address + data[22:32], data[6:12])
            elif data[12:14] == struct.pack('>H', kind):
                found = match(data)
                if found:
                    return found
        return None

    def datagram(self, port, seconds=PATIENCE):
        """(source port, contents) of one to that port."""
        def match(data):
            header = 14 + 4 * (data[14] & 15)
            if data[23] != 17 or struct.unpack('>H', data[header + 2:header + 4])[0] != port:
                return None
            sport, _, length = struct.unpack('>HHH', data[header:header + 6])
            assert checksum(data[14:header]) == 0
            return sport, data[header + 8:header + length]
        return self.receive(0x800, match, seconds)

    def segment(self, port, seconds=PATIENCE):
        """(sequence, acknowledged, flags) of one of TCP to that port."""
        def match(data):
            header = 14 + 4 * (data[14] & 15)
            if data[23] != 6 or struct.unpack('>H', data[header + 2:header + 4])[0] != port:
                return None
            return struct.unpack('>II', data[header + 4:header + 12]) + (data[header + 13],)
        return self.receive(0x800, match, seconds)

    def dhcp(self, kind, options=b''):
        """Sends a message, returns the answer's address and options (RFC 2131)."""
        message = (struct.pack('>BBBBIHH', 1, 1, 6, 0, 0x1234, 0, 0x8000) + bytes(16) + GUEST.ljust(16, b'\0') + bytes(192) + COOKIE +
                   bytes((53, 1, kind)) + options + b'\xff')
        self.send(0x800, udp(ANY, 68, ALL, 67, message.ljust(300, b'\0')))
        _, data = self.datagram(68)
        assert data[4:8] == struct.pack('>I', 0x1234) and data[236:240] == COOKIE
        found, at = {}, 240
        while data[at] != 255:
            if data[at]:
                found[data[at]] = data[at + 2:at + 2 + data[at + 1]]
                at += 1 + data[at + 1]
            at += 1
        return data[16:20], data[108:236].rstrip(b'\0'), found

    def arp(self, address):
        self.send(0x806, struct.pack('>HHBBH', 1, 0x800, 6, 4, 1) + GUEST + self.address + bytes(6) + address)
        return self.receive(0x806, lambda data: data[20:22] == b'\0\2' and data[28:32] == address and data[22:28])

    def tftp_ask(self, name, port, options=()):
        text = b''.join(word.encode() + b'\0' for word in (name, 'octet', *options))
        self.send(0x800, udp(self.address, port, HOST, TFTP, b'\0\1' + text), self.gateway)

    def tftp_acknowledge(self, block, port, to):
        self.send(0x800, udp(self.address, port, HOST, to, struct.pack('>HH', 4, block)), self.gateway)

    def tftp(self, name, port, after_block=None, seconds=PATIENCE):
        """The file, or the text of the error (RFC 1350)."""
        data, block = b'', 1
        self.tftp_ask(name, port)
        while True:
            answer = self.datagram(port, seconds)
            assert answer, f'block {block} does not come'
            kind, number = struct.unpack('>HH', answer[1][:4])
            if kind == 5:
                return answer[1][4:].rstrip(b'\0').decode()
            assert (kind, number) == (3, block), (kind, number, block)
            data += answer[1][4:]
            self.tftp_acknowledge(block, port, answer[0])
            if len(answer[1]) < 516:
                return data
            if after_block:
                after_block(block)
            block += 1


class Slirp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR'))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        os.mkdir(os.path.join(self.folder, 'tftp'))
        self.files = {}
        rng = random.Random(3)
        for name, size in (('boot', 20000), ('empty', 0), ('exact', 1024), ('one', 1)):
            self.files[name] = rng.randbytes(size)
            with open(os.path.join(self.folder, 'tftp', name), 'wb') as file:
                file.write(self.files[name])
        with open(os.path.join(self.folder, 'secret'), 'wb') as file:
            file.write(b'no')

    def machine(self, kind, *more, program=common.TERN):
        machine = Machine(program, ['-M', 'pc-i440fx-7.2', '-m', '16', '-netdev', f'user,id=n,tftp={self.folder}/tftp,bootfile=boot,hostname=me',
                                    '-device', f'{kind},id=card,netdev=n,addr=4,romfile=,mac=52:54:00:12:34:56', *more])
        self.addCleanup(machine.close)
        return machine

    def start(self, kind):
        self.kind = kind
        card = (NetCard if kind == 'virtio-net-pci' else e1000)(self.machine(kind))
        card.begin()
        return Network(card)

    def move(self, network):
        there = self.machine(self.kind, '-incoming', 'defer')
        uri = 'unix:' + os.path.join(self.folder, 'm')
        there.qmp.command('migrate-incoming', {'uri': uri})
        network.card.machine.qmp.command('migrate', {'uri': uri})
        self.assertEqual(network.card.machine.wait_migration()['status'], 'completed')
        there.wait_migration()
        network.card.machine.close()
        network.card.moved(there)

    def whole(self, kind):
        network = self.start(kind)
        address, bootfile, options = network.dhcp(1)
        self.assertEqual((address, bootfile, options[53]), (FIRST, b'boot', b'\2'))
        self.move(network)
        server = bytes((54, 4)) + options[54]
        address, bootfile, options = network.dhcp(3, server + bytes((50, 4)) + address)
        self.assertEqual((address, bootfile, options[53]), (FIRST, b'boot', b'\5'))
        self.assertEqual((options[1], options[3], options[6], options[12]), (b'\xff\xff\xff\0', HOST, NAME_SERVER, b'me'))
        network.address = address
        self.move(network)
        network.gateway = network.arp(HOST)
        self.assertTrue(network.gateway)
        for port, name in enumerate(self.files, 2000):
            self.assertEqual(network.tftp(name, port), self.files[name], name)
            self.move(network)
        self.assertIn('not found', network.tftp('nothing', 3000).lower())
        self.assertNotEqual(network.tftp('../secret', 3001), b'no')
        address, _, options = network.dhcp(1)  # the lease has come along
        self.assertEqual(address, FIRST)
        self.assertEqual(network.tftp('boot', 3002), self.files['boot'])

    def test_virtio_net_boots_from_the_network(self):
        self.whole('virtio-net-pci')

    def test_e1000_boots_from_the_network(self):
        self.whole('e1000')

    def test_connection_is_offered_again_while_the_machine_is_busy(self):
        """By time-outs, which a main loop that is never idle for so long must not put off: time passes in small steps."""
        network = self.start('virtio-net-pci')
        network.address = network.dhcp(1)[0]
        network.gateway = network.arp(HOST)
        with socket.socket() as listener:
            listener.bind(('127.0.0.1', 0))
            listener.listen(1)
            network.send(0x800, tcp(network.address, 1234, HOST, listener.getsockname()[1], 1000, 0, SYN), network.gateway)
            first = network.segment(1234)
            self.assertEqual(first[1:], (1001, SYN | ACK))
            for _ in range(1000):   # 20 s; the guest has not answered
                network.card.machine.qtest.clock_step(20000000)
                again = network.segment(1234, 0.002)
                if again:
                    break
            self.assertEqual(again, first)

    def test_file_that_is_under_way_when_the_machine_moves(self):
        """Connections end with the source: the rest does not come, as with stock, and the guest can ask again."""
        network = self.start('virtio-net-pci')
        network.address = network.dhcp(1)[0]
        network.gateway = network.arp(HOST)

        def move_once(block):
            if block == 7:
                self.move(network)
        try:
            data = network.tftp('boot', 2000, move_once, seconds=3)
        except AssertionError as error:
            self.assertIn('does not come', str(error))
            data = network.tftp('boot', 2001)
        self.assertEqual(data, self.files['boot'])


if __name__ == '__main__':
    tap.main()
