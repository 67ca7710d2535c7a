#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Flash memory beside stock: the same driver's answers and the image's file, the sections of each state, streams both ways."""

import os
import subprocess
import sys
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine

SIZES = {'code': 0x20000, 'vars': 0x40000}
BASE = (1 << 32) - SIZES['code'] - SIZES['vars']
WIDTHS = {1: 'b', 2: 'w', 4: 'l', 8: 'q'}
DUMP = os.path.join(common.SOURCE, 'tests/tools/stream-dump')
ERASE = [(0x1000, 0x20), (0x1000, 0xd0)]


def look(*offsets, width=1):
    return [('look', offset, width) for offset in offsets]


# Writes (offset, value, width) and looks, in turn.
PLAYS = {
    'array': look(0) + look(5, width=2) + look(0x3fff8, width=8),
    'status': [(0, 0x70)] + look(0) + look(0, width=2) + look(0, width=4) + look(0, width=8) +
              [(0, 0x50)] + look(0) + [(0, 0x70)] + look(0),
    'identifier': [(0, 0x90)] + look(0, 1, 2) + look(0x1000, width=2) + look(0, width=4) + [(0, 0xf0)] + look(1),
    'query': [(0x55, 0x98)] + look(*range(0x60)) + look(0x20, width=2) + look(0x20, width=4) + look(0x20, width=8) +
             [(0, 0x70)] + look(0x10) + [(0, 0xff)] + look(1),
    'program': [(0x1234, 0x40)] + look(0) + [(0x1234, 0x5a)] + look(0) + [(0x1235, 0x10), (0x1235, 0xff)] + look(0) +
               [(0, 0xff)] + look(0x1232, width=4) + [(0x1240, 0x40), (0x1240, 0x11223344, 4), (0, 0xff)] + look(0x1240, width=8),
    'erase': ERASE + look(0) + [(0, 0xff)] + look(0xff8, 0x1ff8, width=8) + [(0x3fff, 0x20), (0x3abc, 0xd0), (0x3000, 0xff)] +
             look(0x3000, width=4),
    'buffer': ERASE + [(0x1000, 0xe8)] + look(0) + [(0x1000, 3), (0x1000, 0x10), (0x1001, 0x11), (0x1003, 0x12), (0x1003, 0x13)] +
              look(0) + [(0x1000, 0xd0)] + look(0) + [(0, 0xff)] + look(0x1000, width=8),
    'buffer of words': ERASE + [(0x1010, 0xe8), (0x1010, 1), (0x1020, 0x11223344, 4), (0x1024, 0x55667788, 4), (0x1010, 0xd0)] +
                       look(0) + [(0, 0xff)] + look(0x1020, width=8),
    'outside of the buffer': ERASE + [(0x1010, 0xe8), (0x1010, 1), (0x1010, 1), (0x1200, 2)] + look(0) + [(0x1010, 0xd0)] +
                             look(0x1010) + [(0, 0x70)] + look(0) + [(0, 0x50)],
    'lock': [(0, 0x60)] + look(0) + [(0, 0x01)] + look(0) + [(0, 0x60), (0, 0xd0)] + look(0) + [(0, 0x60), (0, 0x55)] + look(1),
    'unknown': [(0, 0x90), (0, 0x12)] + look(1) + [(0, 0x28)] + look(1) + [(0, 0xb0)] + look(1) + [(0, 0xc0)] + look(1),
    'wide commands': [(0, 0x9090, 2)] + look(1) + [(0, 0x70707070, 4)] + look(1) + [(0, 0xffff, 2)] + look(1),
}
# States to save, by what led there.
STATES = {
    'idle': [], 'status': [(0, 0x70)], 'identifier': [(0, 0x90)], 'query': [(0, 0x98)], 'program': [(0x1000, 0x10)], 'lock': [(0, 0x60)],
    'programmed': [(0x1000, 0x40), (0x1000, 0x5a)], 'erased': ERASE, 'buffer': [(0x1000, 0xe8)], 'cleared': [(0, 0x50)],
    'buffer filling': [(0x1000, 0xe8), (0x1000, 3), (0x1001, 0x44), (0x1003, 0x55)],
}


class Flash:
    """A machine with two units, whose second one is played with."""

    def __init__(self, command, folder, name, machine, more=()):
        self.path = os.path.join(folder, name)
        for part, size in SIZES.items():
            with open(self.path + '.' + part, 'wb') as file:
                file.write(bytes(n * 7 + (n >> 8) & 0xff for n in range(size)))
        self.vm = Machine(command, ['-M', machine, '-m', '32', '-S', '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={self.path}.code',
                                    '-drive', f'if=pflash,unit=1,format=raw,file={self.path}.vars', *more])

    def write(self, offset, value, width=1):
        self.vm.qtest.ask(f'write{WIDTHS[width]} {BASE + offset:#x} {value:#x}')

    def read(self, offset, width=1):
        return int(self.vm.qtest.ask(f'read{WIDTHS[width]} {BASE + offset:#x}'), 0)

    def contents(self):
        with open(self.path + '.vars', 'rb') as file:
            return file.read()

    def save(self):
        """The stream in a file, whose name is returned."""
        self.vm.qmp.command('migrate', {'uri': f'exec:cat > "{self.path}.stream"'})
        assert self.vm.wait_migration()['status'] == 'completed', self.vm.stderr()
        return self.path + '.stream'


def sections(path):
    """Field values of both units, and the RAM blocks."""
    text = subprocess.run([sys.executable, DUMP, 'hex', path, 'pflash_cfi01'], stdout=subprocess.PIPE, text=True, check=True).stdout
    blocks = subprocess.run([sys.executable, DUMP, 'ram', path], stdout=subprocess.PIPE, text=True, check=True).stdout
    return [line.split()[1:] for line in text.splitlines() if line.startswith('  +')], [line for line in blocks.splitlines() if '0x' in line]


@unittest.skipIf(not common.stock() or not common.stock()[1].startswith('7.2.'), 'stock 7.2 is not installed')
class Pflash(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR'))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def start(self, command, name, machine='pc-q35-7.2', more=()):
        flash = Flash(command, self.folder, name, machine, more)
        self.addCleanup(flash.vm.close)
        return flash

    def test_answers(self):
        stock, tern = self.start(common.stock()[0], 'stock'), self.start(common.TERN, 'tern')
        for name, play in PLAYS.items():
            answers = []
            for flash in (stock, tern):
                flash.write(0, 0xff)
                flash.write(0, 0xff)
                answers.append([(step, flash.read(*step[1:])) if step[0] == 'look' else flash.write(*step) for step in play])
            with self.subTest(name):
                self.assertEqual(answers[1], answers[0])
                self.assertEqual(tern.contents(), stock.contents())

    def test_states(self):
        for machine in ('pc-q35-7.2', 'pc-i440fx-7.2'):
            for name, play in STATES.items():
                found = []
                for command in (common.stock()[0], common.TERN):
                    flash = self.start(command, 'state', machine)
                    for step in play:
                        flash.write(*step)
                    found.append(sections(flash.save()))
                    flash.vm.close()
                with self.subTest(machine + ', ' + name):
                    self.assertEqual(found[1][0], found[0][0])
                    self.assertEqual([line for line in found[1][1] if 'flash' in line or 'isa-bios' in line],
                                     [line for line in found[0][1] if 'flash' in line or 'isa-bios' in line])

    def check_goes_on(self, source, destination):
        """In the middle of a buffer, whose image the other side has."""
        first = self.start(source, 'first')
        for step in STATES['buffer filling']:
            first.write(*step)
        stream = first.save()
        first.vm.close()
        second = self.start(destination, 'second', more=['-incoming', f'exec:cat "{stream}"'])
        self.assertEqual(second.vm.wait_migration()['status'], 'completed', second.vm.stderr())
        second.vm.qmp.command('cont')
        for step in ((0x1002, 0x66), (0x1000, 0x77), (0x1000, 0xd0)):
            second.write(*step)
        if destination is common.TERN:  # stock shows the array in the middle of a command, once it has moved
            self.assertEqual(second.read(0), 0x80)
        second.write(0, 0xff)
        self.assertEqual(second.read(0x1000, 4), 0x55664477)
        self.assertEqual(second.contents()[0x1000:0x1004], bytes.fromhex('77446655'))

    def test_goes_on_in_stock(self):
        self.check_goes_on(common.TERN, common.stock()[0])

    def test_goes_on_from_stock(self):
        self.check_goes_on(common.stock()[0], common.TERN)


if __name__ == '__main__':
    tap.main()
