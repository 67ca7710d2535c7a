#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-blk and virtio-scsi answer as stock's, and requests in flight move to it and from it.

The same requests go to both programs; what differs on purpose is left out by name.  Requests in flight are those
that the image refused under rerror=stop and werror=stop: they are parked, sent, and run on the other side.
STOCK_QEMU names another stock program, e.g. 10.0.2.
"""

import os
import struct
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine, halting_rom
from virtio_disk import (T_DISCARD, T_FLUSH, T_GET_ID, T_IN, T_OUT, T_WRITE_ZEROES, Disk, Scsi, header)

SIZE = 1 << 20
# Sectors: stock reads the first one at its start.
RULES = ''.join('[inject-error]\nevent = "%s"\nerrno = "5"\nonce = "on"\nsector = "%d"\n' % rule
                for rule in (('read_aio', 8), ('read_aio', 300), ('write_aio', 20), ('write_aio', 512)))
FEATURES_COMPARED = 0x3fffffff  # bit 30 is nobody's feature


def pattern(sector):
    return struct.pack('<I', sector) * 128


def segment(sector, sectors, flags=0):
    return struct.pack('<QII', sector, sectors, flags)


class StockVirtioDisk(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        if not common.stock():
            self.skipTest('stock qemu-system-x86_64 is not installed')
        self.stock = common.stock()[0]
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.image = os.path.join(self.folder.name, 'disk.img')
        self.fill()
        # Firmware moves along: stock's processor must not find one that looks for disks.
        self.rom = os.path.join(self.folder.name, 'rom')
        with open(self.rom, 'wb') as file:
            file.write(halting_rom())
        self.rules = os.path.join(self.folder.name, 'rules')
        with open(self.rules, 'w', encoding='ascii') as file:
            file.write(RULES)

    def fill(self):
        with open(self.image, 'wb') as file:
            for sector in range(SIZE // 512):
                file.write(pattern(sector))

    def start(self, command, device, faulty=False, more=(), options=''):
        name = 'blkdebug:%s:%s' % (self.rules, self.image) if faulty else self.image
        args = ['-machine', 'pc-i440fx-7.2', '-m', '64', '-smp', '1', '-vga', 'none', '-bios', self.rom, '-drive',
                'file=%s,if=none,id=d0,format=raw,rerror=stop,werror=stop,discard=unmap%s' % (name, options)]
        machine = Machine(command, args + list(device) + list(more))
        self.addCleanup(machine.close)
        return machine

    # ---- answers ----

    def blk_answers(self, command, options=''):
        self.fill()
        machine = self.start(command, ('-device', 'virtio-blk-pci,addr=4,drive=d0,serial=d-1' + options))
        disk = Disk(machine)
        queue = disk.start(1, 0)
        lines = ['features %x' % (disk.offered & FEATURES_COMPARED), 'config ' + disk.config(60).hex()]
        last = SIZE // 512
        for out, ins in (
                ([header(T_IN, 0)], [512, 1]), ([header(T_IN, last - 1)], [512, 1]), ([header(T_IN, last)], [512, 1]),
                ([header(T_IN, last - 1)], [1024, 1]), ([header(T_IN, 1 << 60)], [512, 1]), ([header(T_IN, 0)], [100, 1]),
                ([header(T_IN, 3)], [1]), ([header(T_IN, 5)], [200, 824, 1]), ([header(T_OUT, 7), b'\x11' * 512], [1]),
                ([header(T_OUT, 9)], [1]), ([header(T_OUT, last), b'\x11' * 512], [1]),
                ([header(T_OUT, 7), b'\x11' * 100], [1]), ([header(T_IN, 7)], [512, 1]), ([header(T_FLUSH)], [1]),
                ([header(T_FLUSH, 5)], [1]), ([header(T_GET_ID)], [20, 1]), ([header(99)], [512, 1]),
                ([header(0x80000001, 11), b'\x22' * 512], [1]), ([header(T_IN, 11)], [512, 1]),
                ([header(T_DISCARD), segment(16, 8)], [1]), ([header(T_DISCARD), segment(16, 8, 1)], [1]),
                ([header(T_DISCARD), segment(last, 8)], [1]), ([header(T_DISCARD), segment(16, 0xffffffff)], [1]),
                ([header(T_WRITE_ZEROES), segment(32, 8)], [1]), ([header(T_IN, 32)], [512, 1]),
                ([header(T_WRITE_ZEROES), segment(40, 8, 1)], [1]), ([header(T_WRITE_ZEROES), segment(40, 8, 2)], [1]),
                ([header(T_WRITE_ZEROES), segment(last - 1, 8)], [1]),
                ([header(T_DISCARD), segment(16, 8) + segment(64, 8)], [1])):
            if 'discard=off' in options and out[0][0] in (T_DISCARD, T_WRITE_ZEROES):
                continue  # stock serves what it has not offered
            length, answer = queue.ask(out, ins)
            lines.append('%s %s: %d %s' % (out[0].hex(), [len(x) for x in out[1:]] + ins, length,
                                           [part[:32].hex() for part in answer]))
        machine.close()
        return lines

    def test_blk_answers(self):
        """Features, configuration space and every kind of request, good and bad."""
        for options in ('', ',logical_block_size=4096,physical_block_size=4096', ',discard=off,write-zeroes=off',
                        ',config-wce=off,queue-size=64'):
            with self.subTest(options=options):
                self.assertEqual(self.blk_answers(common.TERN, options), self.blk_answers(self.stock, options))

    def scsi_answers(self, command):
        self.fill()
        machine = self.start(command, ('-device', 'virtio-scsi-pci,addr=4,id=s', '-device',
                                       'scsi-hd,bus=s.0,scsi-id=1,lun=0,drive=d0,serial=s-1'))
        scsi = Scsi(machine)
        scsi.start(3)
        lines = ['features %x' % (scsi.offered & FEATURES_COMPARED), 'config ' + scsi.config(36).hex()]
        for target, lun, cdb, out, size in (
                (1, 0, [0], b'', 0), (1, 0, [0], b'', 0), (0, 0, [0], b'', 0), (1, 1, [0], b'', 0),
                (1, 0, [0x12, 0, 0, 0, 36], b'', 36), (1, 1, [0x12, 0, 0, 0, 36], b'', 36),
                (1, 0, [0x12, 0, 0, 0, 36], b'', 20), (1, 0, [0x12, 0, 0, 0, 36], b'', 100),
                (1, 0, [0x25] + [0] * 9, b'', 8), (1, 0, [0x28, 0, 0, 0, 0, 9, 0, 0, 2], b'', 1024),
                (1, 0, [0x28, 0, 0, 0, 0, 9, 0, 0, 2], b'', 512), (1, 0, [0x28, 0, 0, 0, 0, 9, 0, 0, 2], b'', 2048),
                (1, 0, [0x2a, 0, 0, 0, 0, 9, 0, 0, 2], b'\x5a' * 1024, 0),
                (1, 0, [0x2a, 0, 0, 0, 0, 9, 0, 0, 2], b'\x5a' * 512, 0),
                (1, 0, [0x28, 0, 0x7f, 0, 0, 0, 0, 0, 2], b'', 1024), (1, 0, [0x35] + [0] * 9, b'', 0),
                (1, 0, [0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 16], b'', 16), (1, 0, [0xff], b'', 0),
                (1, 0, [0x1a, 0, 8, 0, 64], b'', 64)):
            # The residual is left out: stock's is below zero where the buffer is larger than what was asked for.
            response, status, sense, _, data = scsi.command(cdb, out, size, target, lun)
            lines.append('%d:%d %s %d/%d: %d %d %s %s' % (target, lun, bytes(cdb).hex(), len(out), size, response,
                                                         status, sense.hex(), data[:40].hex()))
        for kind, sub, target, lun in [(0, n, 1, 0) for n in range(9)] + [(0, 0, 9, 0), (0, 5, 1, 3), (1, 0, 1, 0), (2, 0, 1, 0)]:
            if kind == 0:
                out, ins = struct.pack('<II', 0, sub) + bytes((1, target, 0x40, lun, 0, 0, 0, 0)) + bytes(8), [1]
            else:
                out, ins = struct.pack('<I', kind) + bytes((1, target, 0x40, lun, 0, 0, 0, 0)) + bytes(4), [5]
            lines.append('control %d %d %d:%d %s' % (kind, sub, target, lun, scsi.queues[0].ask([out], ins)[1][0].hex()))
        machine.close()
        return lines

    def test_scsi_answers(self):
        self.assertEqual(self.scsi_answers(common.TERN), self.scsi_answers(self.stock))

    # ---- bytes ----

    def section(self, command, device, kind, name):
        """The bytes of a section of a machine with a driver that has looked at the configuration and run a request."""
        self.fill()
        machine = self.start(command, device)
        card = kind(machine)
        card.start(3 if kind is Scsi else 1, 0)
        card.config(60 if kind is Disk else 36)
        if kind is Scsi:
            card.command([0])
        else:
            card.read(1, 512)
        machine.qmp.command('stop')
        stream = os.path.join(self.folder.name, 'bytes')
        machine.qmp.command('migrate', {'uri': 'exec:cat > ' + stream})
        self.assertEqual(machine.wait_migration()['status'], 'completed')
        machine.close()
        with open(stream, 'rb') as file:
            data = file.read()
        start = data.index(b'/' + name + bytes(4)) + len(name) + 5
        head = data.rindex(b'\x04', 0, data.rindex(b'0000:00:', 0, start) - 1)
        return data[start:data.index(b'\x7e' + data[head + 1:head + 5], start)]

    def test_sections(self):
        """What stands in the stream is what stock writes."""
        for options, kind, name in (
                ('virtio-blk-pci,addr=4,drive=d0', Disk, b'virtio-blk'),
                ('virtio-blk-pci,addr=4,drive=d0,num-queues=3,queue-size=64', Disk, b'virtio-blk'),
                ('virtio-scsi-pci,addr=4,id=s', Scsi, b'virtio-scsi')):
            device = ['-device', options] + (['-device', 'scsi-hd,bus=s.0,drive=d0'] if kind is Scsi else [])
            with self.subTest(options=options, name=name):
                self.assertEqual(self.section(common.TERN, device, kind, name).hex(' '),
                                 self.section(self.stock, device, kind, name).hex(' '))

    # ---- moves ----

    def move(self, machine, command, device):
        """To a fresh process of another program, by a file; the driver goes along."""
        stream = os.path.join(self.folder.name, 'stream')
        machine.qmp.command('migrate', {'uri': 'exec:cat > ' + stream})
        info = machine.wait_migration()
        self.assertEqual(info['status'], 'completed', info)
        machine.close()
        there = self.start(command, device, more=('-incoming', 'exec:cat ' + stream))
        self.assertEqual(there.wait_migration()['status'], 'completed', there.stderr())
        return there

    def blk_moves(self, here, there, queues):
        device = ('-device', 'virtio-blk-pci,addr=4,drive=d0,num-queues=%d' % queues)
        machine = self.start(here, device, faulty=True)
        disk = Disk(machine)
        disk.start(queues, 0)
        disk.queues[0].post([header(T_IN, 8)], [1024, 1])
        self.assertEqual(machine.qmp.wait_event('STOP')['event'], 'STOP')
        machine.qmp.command('cont')  # it is read all the same, the rule was for once
        self.assertEqual(disk.queues[0].wait()[2], [pattern(8) + pattern(9), b'\0'])
        disk.queues[-1].post([header(T_OUT, 20), b'\x11' * 512, b'\x22' * 1024], [1])
        machine.qmp.wait_event('STOP')
        kicked = here == there == common.TERN
        if kicked:  # no processor runs now, but a kick may have been on its way
            disk.queues[0].post([header(T_IN, 30)], [100, 412, 1])
        self.assertIsNone(disk.queues[-1].poll())
        machine = self.move(machine, there, device)
        disk.moved_to(machine)
        machine.qmp.command('cont')
        answers = sorted(disk.queues[i].wait()[2] for i in ((0, queues - 1) if kicked else (queues - 1,)))
        self.assertEqual(answers, [[b'\0']] + ([[pattern(30)[:100], pattern(30)[100:], b'\0']] if kicked else []))
        self.assertEqual(disk.read(20, 1536), (b'\x11' * 512 + b'\x22' * 1024, 0))
        self.assertEqual(disk.read(23, 512), (pattern(23), 0))
        self.assertEqual(disk.flush(), 0)
        machine.close()

    def scsi_moves(self, here, there):
        device = ('-device', 'virtio-scsi-pci,addr=4,id=s', '-device', 'scsi-hd,bus=s.0,drive=d0')
        machine = self.start(here, device, faulty=True)
        scsi = Scsi(machine)
        scsi.start(3)
        self.assertEqual(scsi.command([0])[1], 2)  # power on
        queue = scsi.queues[2]
        queue.slot = 0x80000
        read, write = [0x28, 0, 0, 0, 1, 0, 0, 2, 0], [0x2a, 0, 0, 0, 2, 0, 0, 1, 1]
        data = bytes(range(256)) * 2 * 257
        first = queue.post(*scsi.request(write, out=data, tag=7))
        machine.qmp.wait_event('STOP')
        machine = self.move(machine, there, device)
        scsi.moved_to(machine)
        machine.qmp.command('cont')
        head, _, buffers = queue.wait()
        self.assertEqual((head, scsi.answer(buffers)), (first, (0, 0, b'', 0, b'')))
        self.assertEqual(scsi.command([0x28, 0, 0, 0, 2, 0, 0, 1, 1], size=len(data))[4], data)
        self.assertEqual(scsi.command(read, size=512 * 512)[4], b''.join(pattern(n) for n in range(256, 512)) + data[:512 * 256])
        machine.close()

    def scsi_read_moves(self, here, there):
        """A long READ, refused in the middle: it begins again."""
        device = ('-device', 'virtio-scsi-pci,addr=4,id=s', '-device', 'scsi-hd,bus=s.0,drive=d0')
        machine = self.start(here, device, faulty=True)
        scsi = Scsi(machine)
        scsi.start(3)
        self.assertEqual(scsi.command([0])[1], 2)
        queue = scsi.queues[2]
        queue.slot = 0x80000
        queue.post(*scsi.request([0x28, 0, 0, 0, 0, 5, 0, 3, 0], size=768 * 512))
        machine.qmp.wait_event('STOP')
        machine = self.move(machine, there, device)
        scsi.moved_to(machine)
        machine.qmp.command('cont')
        answer = scsi.answer(queue.wait()[2])
        self.assertEqual(answer[:4], (0, 0, b'', 0))
        self.assertEqual(answer[4], b''.join(pattern(n) for n in range(5, 773)))
        machine.close()


def add(name, func, *args):
    for here, there in (('tern', 'stock'), ('stock', 'tern'), ('tern', 'tern')):
        def test(self, pair=(here, there)):
            programs = {'tern': common.TERN, 'stock': self.stock}
            func(self, programs[pair[0]], programs[pair[1]], *args)
        setattr(StockVirtioDisk, 'test_%s_from_%s_to_%s' % (name, here, there), test)


add('blk_in_flight', StockVirtioDisk.blk_moves, 1)
add('blk_in_flight_2_queues', StockVirtioDisk.blk_moves, 2)
add('scsi_write_in_flight', StockVirtioDisk.scsi_moves)
add('scsi_read_in_flight', StockVirtioDisk.scsi_read_moves)

if __name__ == '__main__':
    tap.main()
