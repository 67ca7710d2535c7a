# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver for modern virtio-pci cards over the qtest protocol (VIRTIO 1.2, chapters 2.7, 3.1, 4.1).

Works with every emulator that speaks qtest.  Split rings; registers by memory accesses to BARs that
the driver maps itself.
"""

import struct
import time

from qtest_client import TestError

ACKNOWLEDGE, DRIVER, DRIVER_OK, FEATURES_OK, NEEDS_RESET = 1, 2, 4, 8, 0x40
VERSION_1, RING_RESET = 1 << 32, 1 << 40
NEXT, WRITE = 1, 2
COMMON, NOTIFY, ISR, DEVICE = 1, 2, 3, 4
SIZE = {1: 'b', 2: 'w', 4: 'l', 8: 'q'}


class Queue:
    """A split ring in guest memory from `base` on; 64 KiB belong to it."""

    def __init__(self, card, index, size, base):
        self.card, self.index, self.size, self.base = card, index, size, base
        self.desc, self.avail, self.used = base, base + 0x4000, base + 0x5000
        self.data = base + 0x8000
        self.posted = self.seen = 0
        self.notify = 0

    def clear(self):
        self.card.qtest.fill(self.base, 0x8000, 0)
        self.posted = self.seen = 0

    def post(self, parts):
        """Makes a request of (address, length, device writes) parts available; no kick."""
        qtest = self.card.qtest
        first = self.posted * 4 % self.size
        for i, (address, length, write) in enumerate(parts):
            flags = (WRITE if write else 0) | (NEXT if i + 1 < len(parts) else 0)
            qtest.write(self.desc + 16 * ((first + i) % self.size),
                        struct.pack('<QIHH', address, length, flags, (first + i + 1) % self.size))
        qtest.write(self.avail + 4 + 2 * (self.posted % self.size), struct.pack('<H', first))
        self.posted = (self.posted + 1) & 0xffff
        qtest.write(self.avail + 2, struct.pack('<H', self.posted))

    def kick(self):
        self.card.qtest.ask('writew 0x%x %d' % (self.notify, self.index))

    def used_index(self):
        return struct.unpack('<H', self.card.qtest.read(self.used + 2, 2))[0]

    def wait(self, seconds=60.0):
        """Whether everything that was posted comes back in time."""
        end = time.monotonic() + seconds
        while self.used_index() != self.posted:
            if time.monotonic() > end:
                return False
            time.sleep(0.002)
        return True


class Card:
    """The first card with that virtio device ID, or the one at `bdf`."""

    MEMORY = 0xe0000000

    def __init__(self, machine, device_id, bdf=None, ram=0x100000):
        self.machine, self.qtest, self.ram = machine, machine.qtest, ram
        self.bdf = bdf if bdf is not None else self.find(device_id)
        self.places = {}
        self.queues = {}
        self.map_bars()
        self.find_capabilities()

    def moved(self, machine):
        """The same guest in another process."""
        self.machine, self.qtest = machine, machine.qtest

    def find(self, device_id):
        for slot in range(1, 32):
            vendor = self.qtest.config_read(slot << 3, 0)
            if vendor & 0xffff == 0x1af4:
                sub = self.qtest.config_read(slot << 3, 0x2e, 2)
                if vendor >> 16 == 0x1040 + device_id or (vendor >> 16 < 0x1040 and sub == device_id):
                    return slot << 3
        raise TestError('no virtio device %d' % device_id)

    def map_bars(self):
        next_address = self.MEMORY + (self.bdf << 17)
        self.bars = {}
        number = 0
        while number < 6:
            register = 0x10 + 4 * number
            kind = self.qtest.config_read(self.bdf, register)
            self.qtest.config_write(self.bdf, register, 4, 0xffffffff)
            mask = self.qtest.config_read(self.bdf, register)
            if mask and not kind & 1:
                size = ~(mask & ~15) + 1 & 0xffffffff
                next_address = (next_address + size - 1) & ~(size - 1)
                self.qtest.config_write(self.bdf, register, 4, next_address)
                self.bars[number] = next_address
                next_address += size
                if kind & 6 == 4:
                    self.qtest.config_write(self.bdf, register + 4, 4, 0)
                    number += 1
            elif mask:
                self.qtest.config_write(self.bdf, register, 4, 0xc000 + 0x100 * (self.bdf >> 3))
            number += 1
        self.qtest.config_write(self.bdf, 4, 2, 7)

    def find_capabilities(self):
        at = self.qtest.config_read(self.bdf, 0x34, 1)
        while at:
            if self.qtest.config_read(self.bdf, at, 1) == 9:
                kind = self.qtest.config_read(self.bdf, at + 3, 1)
                bar = self.qtest.config_read(self.bdf, at + 4, 1)
                offset = self.qtest.config_read(self.bdf, at + 8)
                if kind not in self.places and bar in self.bars:
                    self.places[kind] = self.bars[bar] + offset
                    if kind == NOTIFY:
                        self.multiplier = self.qtest.config_read(self.bdf, at + 16)
            at = self.qtest.config_read(self.bdf, at + 1, 1)

    def get(self, kind, offset, width):
        return int(self.qtest.ask('read%s 0x%x' % (SIZE[width], self.places[kind] + offset), 60), 0)

    def set(self, kind, offset, width, value):
        """Returns the seconds that the access took."""
        before = time.monotonic()
        self.qtest.ask('write%s 0x%x 0x%x' % (SIZE[width], self.places[kind] + offset, value), 60)
        return time.monotonic() - before

    @property
    def status(self):
        return self.get(COMMON, 20, 1)

    def set_status(self, value):
        return self.set(COMMON, 20, 1, value)

    def reset(self):
        took = self.set_status(0)
        end = time.monotonic() + 60
        while self.status and time.monotonic() < end:
            time.sleep(0.002)
        return took

    def features(self):
        value = 0
        for half in 0, 1:
            self.set(COMMON, 0, 4, half)
            value |= self.get(COMMON, 4, 4) << 32 * half
        return value

    def negotiate(self, wanted=VERSION_1):
        """Up to FEATURES_OK; returns what was chosen."""
        self.set_status(ACKNOWLEDGE)
        self.set_status(ACKNOWLEDGE | DRIVER)
        chosen = (wanted | VERSION_1) & self.features()
        for half in 0, 1:
            self.set(COMMON, 8, 4, half)
            self.set(COMMON, 12, 4, chosen >> 32 * half & 0xffffffff)
        self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK)
        if not self.status & FEATURES_OK:
            raise TestError('features 0x%x are not accepted' % chosen)
        return chosen

    def enable_queue(self, index, size=64, fresh=True):
        """Places the ring and enables it; returns (queue, seconds of the enabling write)."""
        if index not in self.queues:
            self.queues[index] = Queue(self, index, size, self.ram + 0x10000 * index)
        queue = self.queues[index]
        if fresh:
            queue.clear()
        self.set(COMMON, 22, 2, index)
        self.set(COMMON, 24, 2, queue.size)
        for offset, address in (32, queue.desc), (40, queue.avail), (48, queue.used):
            self.set(COMMON, offset, 4, address)
            self.set(COMMON, offset + 4, 4, 0)
        queue.notify = self.places[NOTIFY] + self.get(COMMON, 30, 2) * self.multiplier
        return queue, self.set(COMMON, 28, 2, 1)

    def reset_queue(self, index):
        self.set(COMMON, 22, 2, index)
        took = self.set(COMMON, 58, 2, 1)
        end = time.monotonic() + 60
        while self.get(COMMON, 58, 2):
            if time.monotonic() > end:
                raise TestError('queue %d is not reset' % index)
            time.sleep(0.002)
        return took

    def driver_ok(self):
        return self.set_status(ACKNOWLEDGE | DRIVER | FEATURES_OK | DRIVER_OK)

    def start(self, queues=1, features=VERSION_1, size=64):
        """All of it; returns (queues, seconds of the DRIVER_OK write)."""
        self.reset()
        self.chosen = self.negotiate(features)
        made = [self.enable_queue(i, size)[0] for i in range(queues)]
        return made, self.driver_ok()


def fuse_init(queue, unique=1):
    """Posts a FUSE_INIT on a vhost-user-fs request queue."""
    request = struct.pack('<IIQQIIII', 56, 26, unique, 0, 0, 0, 0, 0) + struct.pack('<IIII', 7, 31, 0x20000, 0)
    at = queue.data + 256 * (queue.posted % 16)
    queue.card.qtest.write(at, request)
    queue.card.qtest.fill(at + 128, 80, 0)
    queue.post([(at, len(request), False), (at + 128, 80, True)])
    return at + 128


def fuse_ok(queue, answer, unique=1):
    length, error, got = struct.unpack('<IiQ', queue.card.qtest.read(answer, 16))
    return length > 16 and error == 0 and got == unique


def blk_request(queue, kind, sector, data=b'', length=0):
    """Posts a read (0), write (1) or flush (4); returns (address of the data, address of the status)."""
    at = queue.data + 2048 * (queue.posted % 16)
    queue.card.qtest.write(at, struct.pack('<IIQ', kind, 0, sector))
    parts = [(at, 16, False)]
    if kind == 1:
        queue.card.qtest.write(at + 64, data)
        parts.append((at + 64, len(data), False))
    elif length:
        queue.card.qtest.fill(at + 64, length, 0)
        parts.append((at + 64, length, True))
    queue.card.qtest.write(at + 32, b'\xff')
    queue.post(parts + [(at + 32, 1, True)])
    return at + 64, at + 32


def scsi_request(queue, cdb, data=b'', length=0, target=0, lun=0):
    """Posts a SCSI command with data for it or room for an answer; returns (address of the response, of the data)."""
    at = queue.data + 2048 * (queue.posted % 16)
    header = struct.pack('<BBHIQBBB', 1, target, 0x40 | lun << 8, 0, queue.posted + 1, 0, 0, 0) + cdb.ljust(32, b'\0')
    queue.card.qtest.write(at, header)
    queue.card.qtest.write(at + 64, b'\xff' * 108)
    parts = [(at, len(header), False)]
    if data:
        queue.card.qtest.write(at + 256, data)
        parts.append((at + 256, len(data), False))
    parts.append((at + 64, 108, True))
    if length:
        queue.card.qtest.fill(at + 256, length, 0)
        parts.append((at + 256, length, True))
    queue.post(parts)
    return at + 64, at + 256
