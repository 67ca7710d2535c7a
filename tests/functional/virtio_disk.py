# SPDX-License-Identifier: GPL-2.0-or-later
"""A driver for virtio-blk and virtio-scsi cards over the legacy interface (VIRTIO 1.2, 4.1.4.8), by qtest."""

import struct
import time

from qtest_client import TestError

FEATURES_DEVICE, FEATURES_DRIVER, QUEUE_PFN, QUEUE_SIZE, QUEUE_SELECT, QUEUE_NOTIFY, STATUS, ISR, CONFIG = \
    0, 4, 8, 12, 14, 16, 18, 19, 20
NEXT, WRITE = 1, 2
T_IN, T_OUT, T_FLUSH, T_GET_ID, T_DISCARD, T_WRITE_ZEROES = 0, 1, 4, 8, 11, 13
EVENT_IDX = 1 << 29


class Queue:
    """A split ring at `base`, and where the next request's buffers go: slots of `slot` bytes behind it."""

    def __init__(self, card, index, base, slot=0x4000):
        self.card = card
        self.index = index
        self.base = base
        self.slot = slot
        card.out(QUEUE_SELECT, 2, index)
        self.size = card.port_in(QUEUE_SIZE, 2)
        self.avail = base + 16 * self.size
        self.used = (self.avail + 6 + 2 * self.size + 4095) & ~4095
        self.buffers = (self.used + 6 + 8 * self.size + 4095) & ~4095
        card.qtest.fill(base, self.buffers - base, 0)
        card.out(QUEUE_PFN, 4, base >> 12)
        self.avail_index = 0
        self.used_index = 0
        self.next_slot = 0
        self.requests = {}

    def post(self, out, in_lengths, kick=True):
        """A request of `out`'s byte strings and buffers of in_lengths; returns its head."""
        qtest = self.card.qtest
        slot = self.next_slot
        self.next_slot += 1
        head = slot * 4 % self.size
        address = self.buffers + slot * self.slot
        parts = [(data, len(data), 0) for data in out] + [(None, length, WRITE) for length in in_lengths]
        table = b''
        places = []
        for i, (data, length, flags) in enumerate(parts):
            if data is not None:
                qtest.write(address, data)
            else:
                qtest.fill(address, length, 0xa5)
                places.append((address, length))
            more = NEXT if i + 1 < len(parts) else 0
            table += struct.pack('<QIHH', address, length, flags | more, head + i + 1 if more else 0)
            address += length
        qtest.write(self.base + 16 * head, table)
        qtest.write(self.avail + 4 + 2 * (self.avail_index % self.size), struct.pack('<H', head))
        self.avail_index += 1
        qtest.write(self.avail + 2, struct.pack('<H', self.avail_index & 0xffff))
        self.requests[head] = places
        if kick:
            self.kick()
        return head

    def kick(self):
        self.card.out(QUEUE_NOTIFY, 2, self.index)

    def poll(self):
        """The next answer as (head, length, [bytes of each in buffer]), or None."""
        qtest = self.card.qtest
        now = struct.unpack('<H', qtest.read(self.used + 2, 2))[0]
        if now == self.used_index & 0xffff:
            return None
        head, length = struct.unpack('<II', qtest.read(self.used + 4 + 8 * (self.used_index % self.size), 8))
        self.used_index += 1
        return head, length, [qtest.read(address, size) for address, size in self.requests.pop(head)]

    def wait(self, timeout=60):
        deadline = time.monotonic() + timeout
        while True:
            answer = self.poll()
            if answer:
                return answer
            if time.monotonic() > deadline:
                raise TestError('no answer from queue %d' % self.index)
            time.sleep(0.0005)

    def ask(self, out, in_lengths):
        head = self.post(out, in_lengths)
        answer = self.wait()
        assert answer[0] == head, 'answers out of order'
        return answer[1], answer[2]


class Card:
    """The card at a slot of bus 0."""

    def __init__(self, machine, slot=4, io=0xc000, ram=0x100000):
        self.qtest = machine.qtest
        self.io = io
        self.slot = slot
        self.ram = ram
        self.queues = []

    def moved_to(self, machine):
        self.qtest = machine.qtest

    def port_in(self, offset, width):
        return self.qtest.port_in(self.io + offset, width)

    def out(self, offset, width, value):
        self.qtest.port_out(self.io + offset, width, value)

    def start(self, nqueues=1, features=0):
        bdf = self.slot << 3
        self.qtest.config_write(bdf, 0x10, 4, self.io)
        self.qtest.config_write(bdf, 4, 2, 5)
        self.out(STATUS, 1, 0)
        self.out(STATUS, 1, 1)
        self.out(STATUS, 1, 3)
        self.offered = self.port_in(FEATURES_DEVICE, 4)
        self.out(FEATURES_DRIVER, 4, self.offered & features)
        for i in range(nqueues):
            self.queues.append(Queue(self, i, self.ram + i * 0x200000))
        self.out(STATUS, 1, 7)
        return self.queues[0]

    def config(self, size):
        return bytes(self.port_in(CONFIG + i, 1) for i in range(size))


def header(kind, sector=0):
    return struct.pack('<IIQ', kind, 0, sector)


class Disk(Card):
    """virtio-blk."""

    def read(self, sector, size, queue=0):
        _, (data, status) = self.queues[queue].ask([header(T_IN, sector)], [size, 1])
        return data, status[0]

    def write(self, sector, data, queue=0):
        _, (status,) = self.queues[queue].ask([header(T_OUT, sector), data], [1])
        return status[0]

    def flush(self, queue=0):
        _, (status,) = self.queues[queue].ask([header(T_FLUSH)], [1])
        return status[0]


def scsi_lun(target, lun=0):
    return bytes((1, target, 0x40 | lun >> 8, lun & 0xff, 0, 0, 0, 0))


class Scsi(Card):
    """virtio-scsi: queue 0 control, 1 events, 2 and up requests."""

    def request(self, cdb, out=b'', size=0, target=0, lun=0, tag=1):
        """What post() takes."""
        head = scsi_lun(target, lun) + struct.pack('<Q', tag) + bytes(3) + bytes(cdb).ljust(32, b'\0')
        return [head] + ([out] if out else []), [108] + ([size] if size else [])

    @staticmethod
    def answer(buffers):
        """(response, status, sense, residual, data)"""
        sense_len, residual, _, status, response = struct.unpack('<IIHBB', buffers[0][:12])
        return response, status, buffers[0][12:12 + sense_len], residual, buffers[1] if len(buffers) > 1 else b''

    def command(self, cdb, out=b'', size=0, target=0, lun=0, tag=1, queue=2):
        return self.answer(self.queues[queue].ask(*self.request(cdb, out, size, target, lun, tag))[1])
