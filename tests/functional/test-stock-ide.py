#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""IDE drives answer as stock's: every ATA opcode, SET FEATURES, SMART, every packet.

Both programs get the same accesses; what a guest sees of each is a line of text.  What differs on purpose
(docs/devel/ide.md) is left out.
"""

import os
import struct
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Machine

HD, CD = 0x1f0, 0x170

class Guest:
    """Plays the guest of one machine and writes down what it sees."""

    def __init__(self, machine):
        self.qtest = machine.qtest
        self.lines = {}

    def get(self, port, width=1):
        return self.qtest.port_in(port, width)

    def put(self, port, value, width=1):
        self.qtest.port_out(port, width, value)

    def wait(self, base):
        deadline = time.monotonic() + 60
        while self.get(base + 0x206) & 0x80 and time.monotonic() < deadline:
            time.sleep(0.0005)
        return self.get(base + 0x206)

    def reset(self, base):
        self.put(base + 0x206, 4)
        self.put(base + 0x206, 0)
        self.wait(base)

    def registers(self, base):
        return ' '.join('%02x' % self.get(base + reg) for reg in range(1, 7)) + \
            ' %02x' % self.get(base + 0x206)

    def words(self, base, count):
        return b''.join(struct.pack('<H', self.get(base, 2)) for _ in range(count))

    def command(self, base, command, feature=0, count=1, lba=0x000302, device=0xe0):
        self.put(base + 6, device)
        for _ in range(2):  # 48-bit commands see the same twice
            self.put(base + 1, feature)
            self.put(base + 2, count)
            self.put(base + 3, lba & 0xff)
            self.put(base + 4, lba >> 8 & 0xff)
            self.put(base + 5, lba >> 16)
        self.put(base + 7, command)
        status = self.wait(base)
        seen = self.registers(base)
        if status & 8 and command in (0xec, 0xa1, 0xb0):
            seen += ' ' + self.words(base, 256).hex()
        return seen

    def packet(self, cdb, limit=0xfffe):
        self.reset(CD)
        self.put(CD + 6, 0xa0)
        self.put(CD + 1, 0)
        self.put(CD + 4, limit & 0xff)
        self.put(CD + 5, limit >> 8)
        self.put(CD + 7, 0xa0)
        for word in struct.unpack('<6H', bytes(cdb) + bytes(12 - len(cdb))):
            self.put(CD, word, 2)
        status = self.wait(CD)
        seen = [self.registers(CD)]
        for _ in range(8):
            if not status & 8:
                break
            size = self.get(CD + 4) | self.get(CD + 5) << 8
            seen.append(self.words(CD, (size + 1) // 2)[:64].hex())
            status = self.wait(CD)
        seen.append(self.registers(CD))
        return ' | '.join(seen)

    def note(self, what, seen):
        self.lines[what] = seen


# Left out: CFA and other commands of which stock knows more or less, see docs/devel/ide.md.
HD_SKIPPED = {0x24, 0x25, 0x29, 0x34, 0x35, 0x39, 0x3c, 0x42, 0x91, 0xc6, 0xf5}
CD_SKIPPED = {0x08, 0x90, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0xe0, 0xe1, 0xe2, 0xe3, 0xe5, 0xe6}
PACKETS = [[op] for op in range(256) if op not in (0x1b,)] + [
    [0x12, 0, 0, 0, 96], [0x12, 1, 0, 0, 96], [0x12, 1, 0x83, 0, 96], [0x12, 1, 0x80, 0, 96],
    [0x5a, 0, 1, 0, 0, 0, 0, 0, 64], [0x5a, 0, 0x2a, 0, 0, 0, 0, 0, 64], [0x5a, 0, 0x3f, 0, 0, 0, 0, 0, 255],
    [0x5a, 0, 0x0e, 0, 0, 0, 0, 0, 64], [0x5a, 0, 0xea, 0, 0, 0, 0, 0, 64],
    [0x43, 0, 0, 0, 0, 0, 0, 0, 64], [0x43, 2, 0, 0, 0, 0, 0, 0, 64], [0x43, 0, 0, 0, 0, 0, 0xaa, 0, 64],
    [0x43, 0, 0, 0, 0, 0, 2, 0, 64], [0x43, 0, 0, 0, 0, 0, 0, 0, 64, 0x40],
    [0x46, 0, 0, 0, 0, 0, 0, 0, 64], [0x46, 2, 0, 0, 0, 0, 0, 0, 64], [0x46, 0, 0, 0, 0, 0, 0, 0, 4],
    [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8], [0x4a, 1, 0, 0, 2, 0, 0, 0, 8], [0x4a, 1, 0, 0, 0x10, 0, 0, 0, 4],
    [0x51, 0, 0, 0, 0, 0, 0, 0, 64], [0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 64], [0xad, 0, 0, 0, 0, 0, 0, 0xff, 8, 4],
    [0x28, 0, 0, 0, 0, 1, 0, 0, 2], [0x28, 0, 0x10, 0, 0, 1, 0, 0, 1], [0xa8, 0, 0, 0, 0, 1, 0, 0, 0, 1],
    [0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x10], [0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0xf8], [0xbe, 0, 0, 0, 0, 1, 0, 0, 1, 0x20],
    [0x1b, 0, 0, 0, 1], [0x1e, 0, 0, 0, 1], [0x1b, 0, 0, 0, 0],
]


def play_disk(guest):
    for op in range(256):
        guest.reset(HD)
        if op not in HD_SKIPPED:
            guest.note('hd %02x' % op, guest.command(HD, op))
    for feature in range(256):
        guest.reset(HD)
        guest.note('hd set-features %02x' % feature, guest.command(HD, 0xef, feature, 0))
    for mode in (0, 8, 0x10, 0x20, 0x22, 0x40, 0x45, 0x80):
        guest.reset(HD)
        guest.note('hd mode %02x' % mode, guest.command(HD, 0xef, 3, mode))
        guest.note('hd mode %02x identify' % mode, guest.command(HD, 0xec))
    for sub in (0xd0, 0xd1, 0xd2, 0xd4, 0xd5, 0xd6, 0xda, 0xdb):
        for log in (0,) if sub == 0xd2 else (0, 1, 6):
            guest.reset(HD)
            guest.note('hd smart %02x %d' % (sub, log), guest.command(HD, 0xb0, sub, 1, 0xc24f00 | log, 0xa0))


def play_cd(guest, name):
    for op in range(256):
        guest.reset(CD)
        if op not in CD_SKIPPED:
            guest.note('%s %02x' % (name, op), guest.command(CD, op, device=0xa0))
    for cdb in PACKETS:
        text = ' '.join('%02x' % byte for byte in cdb)
        guest.note('%s packet %s' % (name, text), guest.packet(cdb))
        guest.note('%s packet %s sense' % (name, text), guest.packet([3, 0, 0, 0, 18]))
    for limit in (14, 2048, 3000, 0, 0xffff):
        guest.note('%s limit %x' % (name, limit), guest.packet([0x12, 0, 0, 0, 36], limit))


class StockIde(unittest.TestCase):
    maxDiff = None

    def play(self, command, args, func, *more):
        with Machine(command, ['-M', 'pc-i440fx-7.2', '-m', '16', *args]) as machine:
            guest = Guest(machine)
            func(guest, *more)
            return guest.lines

    def compare(self, args, func, *more):
        stock = common.stock()
        if stock is None:
            self.skipTest('no stock emulator')
        mine = self.play(common.TERN, args, func, *more)
        theirs = self.play(stock[0], args, func, *more)
        wrong = ['%s\n  stock %s\n  here  %s' % (key, theirs[key][:300], mine[key][:300])
                 for key in theirs if theirs[key] != mine[key]]
        self.assertEqual(wrong, [], '\n'.join(wrong[:10]))

    def image(self, size):
        image = tempfile.NamedTemporaryFile()
        image.write(os.urandom(size))
        image.flush()
        self.addCleanup(image.close)
        return image.name

    def test_disk(self):
        self.compare(['-drive', 'if=none,id=d,format=raw,file=' + self.image(1 << 20), '-device',
                      'ide-hd,drive=d,bus=ide.0,unit=0,wwn=0x5000c50012345678'], play_disk)

    def test_cd(self):
        self.compare(['-drive', 'if=none,id=d,format=raw,media=cdrom,file=' + self.image(1 << 18), '-device',
                      'ide-cd,drive=d,bus=ide.1,unit=0'], play_cd, 'cd')

    def test_empty_cd(self):
        self.compare(['-device', 'ide-cd,bus=ide.1,unit=0'], play_cd, 'empty')


if __name__ == '__main__':
    tap.main()
