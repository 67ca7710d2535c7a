# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver of virtio-net (VIRTIO 1.2, 5.1) over the qtest protocol, frames that can be told apart, and a network of the host's kernel:
a bridge that taps are plugged into, with a socket at it.
"""

import fcntl
import random
import select
import socket
import struct
import time
import zlib

from qtest_client import TestError
from virtio_pci import Card, VERSION_1

MRG_RXBUF, STATUS, CTRL_VQ, CTRL_RX, CTRL_VLAN, CTRL_RX_EXTRA, ANNOUNCE, MQ, CTRL_MAC = (1 << n for n in range(15, 24))
USUAL = VERSION_1 | MRG_RXBUF | STATUS | CTRL_VQ | CTRL_RX | CTRL_VLAN | ANNOUNCE | CTRL_MAC
HEADER, BUFFER, SLOTS = 12, 2048, 16
GUEST = bytes.fromhex('525400123456')
BROADCAST = b'\xff' * 6
ETHERTYPE = 0x88b5  # for experiments (IEEE 802)
RARP = 0x8035
PATIENCE = 60


def frame(number, to=BROADCAST, sender=GUEST, size=None):
    """Its size and its contents follow from its number."""
    rng = random.Random(number)
    size = size or rng.choice((60, 61, 100, 590, 1500, 1514))
    body = struct.pack('>I', number) + rng.randbytes(size - 14 - 8)
    return to + sender + struct.pack('>H', ETHERTYPE) + body + struct.pack('>I', zlib.crc32(body))


def number_of(data):
    """The number of such a frame; an error if it is damaged."""
    body = data[14:-4]
    if struct.pack('>I', zlib.crc32(body)) != data[-4:]:
        raise TestError('a frame of %d bytes is damaged' % len(data))
    return struct.unpack('>I', body[:4])[0]


def is_ours(data):
    return data[12:14] == struct.pack('>H', ETHERTYPE)


class NetCard(Card):
    """The first virtio-net card, or the one at `bdf`."""

    def __init__(self, machine, bdf=None, ram=0x100000):
        super().__init__(machine, 1, bdf, ram)
        self.max_pairs = self.pairs = 1

    def begin(self, features=USUAL, pairs=1, size=64):
        """Resets it and starts it with full receive rings."""
        self.reset()
        self.queues = {}
        self.chosen = self.negotiate(features)
        self.max_pairs = self.get(4, 8, 2) if self.chosen & MQ else 1
        for index in range(2 * self.max_pairs + 1):
            self.enable_queue(index, size if index < 2 * self.max_pairs else 64)
        self.driver_ok()
        for pair in range(self.max_pairs):
            self.fill(pair)
        self.pairs = 1
        if pairs > 1:
            self.use_pairs(pairs)

    @staticmethod
    def buffer(queue, slot):
        return queue.data + BUFFER * (slot % SLOTS)

    def fill(self, pair=0):
        rx = self.queues[2 * pair]
        for slot in range(SLOTS):
            rx.post([(self.buffer(rx, slot), BUFFER, True)])
        rx.kick()

    def receive(self, pair=0):
        """The next frame that is there, or None; its buffer is given back."""
        rx = self.queues[2 * pair]
        if rx.used_index() == rx.seen:
            return None
        slot, length = struct.unpack('<II', self.qtest.read(rx.used + 4 + 8 * (rx.seen % rx.size), 8))
        rx.seen = (rx.seen + 1) & 0xffff
        data = self.qtest.read(self.buffer(rx, slot // 4), length)
        rx.post([(self.buffer(rx, slot // 4), BUFFER, True)])
        rx.kick()
        if self.chosen & MRG_RXBUF and struct.unpack('<H', data[10:12])[0] != 1:
            raise TestError('a frame of %d bytes is in more than one buffer' % length)
        return data[HEADER:]

    def discard(self):
        """Gives back whatever has been received."""
        rx = self.queues[0]
        while rx.used_index() != rx.seen:
            slot, = struct.unpack('<I', self.qtest.read(rx.used + 4 + 8 * (rx.seen % rx.size), 4))
            rx.seen = (rx.seen + 1) & 0xffff
            rx.post([(self.buffer(rx, slot // 4), BUFFER, True)])
        rx.kick()

    def receive_all(self, wanted, pairs=1, seconds=PATIENCE):
        """Numbers of our frames until there are `wanted` of them, or none comes any more."""
        found, end = [], time.monotonic() + seconds
        while len(found) < wanted and time.monotonic() < end:
            before = len(found)
            for pair in range(pairs):
                data = self.receive(pair)
                if data and is_ours(data):
                    found.append(number_of(data))
            if len(found) == before:
                time.sleep(0.002)
        return found

    def room(self, pair=0):
        tx = self.queues[2 * pair + 1]
        return (tx.posted - tx.used_index()) & 0xffff < SLOTS

    def send(self, data, pair=0, kick=True):
        """Waits for a free slot."""
        tx, end = self.queues[2 * pair + 1], time.monotonic() + PATIENCE
        while not self.room(pair):
            if time.monotonic() > end:
                raise TestError('nothing is sent: %d posted, %d used' % (tx.posted, tx.used_index()))
            time.sleep(0.002)
        at = self.buffer(tx, tx.posted)
        self.qtest.write(at, bytes(HEADER) + data)
        tx.post([(at, HEADER + len(data), False)])
        if kick:
            tx.kick()

    def control(self, kind, command, payload):
        """0: done."""
        queue = self.queues[2 * self.max_pairs]
        at = queue.data + 1024 * (queue.posted % SLOTS)
        self.qtest.write(at, bytes((kind, command)) + payload)
        self.qtest.write(at + 1000, b'\xff')
        queue.post([(at, 2, False), (at + 2, len(payload), False), (at + 1000, 1, True)])
        queue.kick()
        if not queue.wait(PATIENCE):
            raise TestError('the control queue does not answer')
        return self.qtest.read(at + 1000, 1)[0]

    def use_pairs(self, pairs):
        if self.control(4, 0, struct.pack('<H', pairs)):
            raise TestError('%d pairs are refused' % pairs)
        self.pairs = pairs


# ---- the host's side ----

def ioctl(request, argument):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        return fcntl.ioctl(sock, request, argument)


IFF_UP = 1
RTM_NEWLINK, RTM_GETLINK, IFLA_OPERSTATE, IF_OPER_UP = 16, 18, 16, 6  # linux/rtnetlink.h, linux/if_link.h, linux/if.h


def interface_up(name):
    flags, = struct.unpack('<H', ioctl(0x8913, struct.pack('16s24x', name.encode()))[16:18])
    ioctl(0x8914, struct.pack('16sH22x', name.encode(), flags | IFF_UP))


def operating_state(name):
    """RFC 2863's, as the kernel counts it; None if it does not say (rtnetlink(7))."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.send(struct.pack('=IHHIIBxHiII', 32, RTM_GETLINK, 1, 1, 0, 0, 0, socket.if_nametoindex(name), 0, 0))
        data = sock.recv(65536)
    length, kind = struct.unpack('=IH', data[:6])
    at = 32
    while kind == RTM_NEWLINK and at + 4 <= length:
        size, attribute = struct.unpack('=HH', data[at:at + 4])
        if attribute == IFLA_OPERSTATE:
            return data[at + 4]
        at += max((size + 3) & ~3, 4)
    return None


def wait_operating(name):
    """The carrier of a bridge comes with its first port, but until a worker of the kernel has seen that it drops what is sent."""
    end = time.monotonic() + PATIENCE
    while operating_state(name) != IF_OPER_UP:
        if time.monotonic() > end:
            raise TestError('%s does not come up' % name)
        time.sleep(0.002)
    interface_up(name)  # takes the lock under which the worker says so and goes on


class Bridge:
    """An interface of its own kind that others are plugged into; frames go in and out by a socket."""

    def __init__(self, name='br0', address=None):
        self.name = name
        ioctl(0x89a0, name.encode() + b'\0')
        for path in ('all', name):
            with open('/proc/sys/net/ipv6/conf/%s/disable_ipv6' % path, 'w', encoding='ascii') as file:
                file.write('1')
        if address:
            ioctl(0x8916, struct.pack('16sHH4s16x', name.encode(), socket.AF_INET, 0, socket.inet_aton(address)))
        self.mac = bytes.fromhex('525400aa0001')  # else the lowest of its ports', which come and go
        ioctl(0x8924, struct.pack('16sH6s16x', name.encode(), 1, self.mac))
        interface_up(name)
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.socket.bind((name, 0))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)

    def plug(self, name):
        ioctl(0x89a2, struct.pack('16si20x', self.name.encode(), socket.if_nametoindex(name)))
        interface_up(name)
        wait_operating(self.name)

    def send(self, data):
        self.socket.send(data)

    def receive(self, seconds=0.0):
        """The next frame that somebody else has sent, or None."""
        end = time.monotonic() + seconds
        while True:
            if not select.select([self.socket], [], [], max(end - time.monotonic(), 0))[0]:
                return None
            data, where = self.socket.recvfrom(65536)
            if where[2] != socket.PACKET_OUTGOING:
                return data

    def receive_all(self, wanted, seconds=PATIENCE):
        """Numbers of our frames until there are so many, or none comes any more."""
        found, end = [], time.monotonic() + seconds
        while len(found) < wanted and time.monotonic() < end:
            data = self.receive(0.05)
            if data and is_ours(data):
                found.append(number_of(data))
        return found
