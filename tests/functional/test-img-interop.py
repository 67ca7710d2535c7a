#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Images go both ways between Tern's tools and stock's: what one has made the other reads, checks, writes to, and the
first reads that; for every format and option of creating one."""

import os
import random
import shutil
import tempfile
import unittest

import common  # noqa: F401
from common import tap
import tools
from tools import MIB, good

SEED = int(os.environ.get('TOOLS_SEED', '1'))
SIZE = 4 * MIB
OURS = (tools.IMG, tools.IO)
STOCK = (tools.STOCK_IMG, tools.STOCK_IO)
CASES = {
    'raw': ('', 'preallocation=off', 'preallocation=falloc', 'preallocation=full'),
    'vdi': ('', 'static=on', 'preallocation=falloc', 'preallocation=full', 'static=on,preallocation=full'),
    'qcow2': ('', 'compat=0.10', 'compat=1.1,lazy_refcounts=on', 'cluster_size=512',
              'cluster_size=4k', 'cluster_size=2M', 'extended_l2=on,cluster_size=128k',
              'extended_l2=on,cluster_size=16k,refcount_bits=1', 'refcount_bits=8',
              'refcount_bits=64', 'compression_type=zstd', 'preallocation=metadata',
              'preallocation=falloc', 'preallocation=full',
              'extended_l2=on,preallocation=metadata'),
}


def commands(rng):
    """qemu-io commands: writes, zeros, discards that stay inside the image."""
    result = []
    for _ in range(14):
        at = rng.randrange(0, SIZE - MIB) // 512 * 512
        n = rng.choice((512, 4096, 65536, 300 * 1024, 1024 * 1023))
        result += ['-c', rng.choice((f'write -q -P {rng.randrange(1, 256)} {at} {n}',
                                     f'write -q -P {rng.randrange(1, 256)} {at} {n}',
                                     f'write -q -z {at} {n}', f'write -q -zu {at} {n}'))]
    return result


@unittest.skipUnless(tools.STOCK_IMG and tools.STOCK_IO, 'no stock qemu-img and qemu-io (qemu-utils)')
class Interop(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        rng = random.Random(SEED)
        with open(os.path.join(self.folder, 'a.raw'), 'wb') as file:
            file.truncate(SIZE)
            for _ in range(12):
                file.seek(rng.randrange(0, SIZE - MIB) // 512 * 512)
                file.write(rng.choice((rng.randbytes(70000), bytes([7]) * 200000, b'x' * 512)))

    def good(self, *args):
        return good(*args, folder=self.folder)

    def same(self, img, fmt, fmt2='raw', other='a.raw'):
        self.good(img, 'compare', '-f', fmt, '-F', fmt2, 'b', other)

    def check(self, img, fmt):
        if fmt != 'raw':
            self.good(img, 'check', '-f', fmt, 'b')

    def there_and_back(self, fmt, options, first, second):
        """first makes it, second reads it and writes to it, first reads that and repairs nothing."""
        extra = ['-o', options] if options else []
        self.good(first[0], 'convert', '-f', 'raw', '-O', fmt, *extra, 'a.raw', 'b')
        self.same(second[0], fmt)
        self.check(second[0], fmt)
        self.good(second[1], '-f', fmt, *commands(random.Random(SEED)), 'b')
        self.good(second[0], 'convert', '-f', fmt, '-O', 'raw', 'b', 'c')
        self.same(first[0], fmt, other='c')
        self.check(first[0], fmt)
        self.check(second[0], fmt)
        self.good(first[1], '-f', fmt, *commands(random.Random(SEED + 1)), 'b')
        self.good(first[0], 'convert', '-f', fmt, '-O', 'raw', 'b', 'c')
        self.same(second[0], fmt, other='c')
        self.check(second[0], fmt)

    def both_ways(self, fmt):
        if fmt not in tools.formats():
            self.skipTest(f'no format {fmt}')
        for options in CASES[fmt]:
            for first, second in ((OURS, STOCK), (STOCK, OURS)):
                with self.subTest(options=options, first=first[0]):
                    self.there_and_back(fmt, options, first, second)

    def test_raw(self):
        self.both_ways('raw')

    def test_vdi(self):
        self.both_ways('vdi')

    def test_qcow2(self):
        self.both_ways('qcow2')

    def test_compressed_clusters(self):
        for options in ('', 'compression_type=zstd', 'cluster_size=4k', 'compat=0.10'):
            for first, second in ((OURS, STOCK), (STOCK, OURS)):
                extra = ['-o', options] if options else []
                self.good(first[0], 'convert', '-c', '-O', 'qcow2', *extra, 'a.raw', 'b')
                self.same(second[0], 'qcow2')
                self.check(second[0], 'qcow2')
                self.good(second[1], *commands(random.Random(SEED)), 'b')
                self.good(second[0], 'convert', '-O', 'raw', 'b', 'c')
                self.same(first[0], 'qcow2', other='c')
                self.check(first[0], 'qcow2')

    @unittest.skipUnless(shutil.which('7z'), 'no 7z (p7zip-full)')
    def test_another_reader(self):
        """7-Zip has readers of its own for VDI and qcow2."""
        for fmt, options in (('vdi', ''), ('vdi', 'static=on'), ('qcow2', ''), ('qcow2', 'compat=0.10'),
                             ('qcow2', 'cluster_size=4k'), ('qcow2', 'cluster_size=2M')):
            extra = ['-o', options] if options else []
            self.good(tools.IMG, 'create', '-q', '-f', fmt, *extra, 'b', '5M')
            self.good(tools.IO, '-f', fmt, *commands(random.Random(SEED)), '-c', 'write -q -P 5 4M 3k', 'b')
            self.good(tools.IMG, 'convert', '-f', fmt, '-O', 'raw', 'b', 'c')
            self.good('7z', 'x', '-y', '-oother', 'b')
            other = os.path.join(self.folder, 'other')
            name, = os.listdir(other)
            self.good('cmp', os.path.join('other', name), 'c')
            shutil.rmtree(other)

    def test_chains_snapshots_and_sizes(self):
        for first, second in ((OURS, STOCK), (STOCK, OURS)):
            self.good(first[0], 'create', '-q', '-f', 'qcow2', '-b', 'a.raw', '-F', 'raw', 'b',
                      '5M')
            self.good(first[1], '-c', 'write -q -P 3 1M 100k', '-c', 'write -q -z 0 64k', 'b')
            self.good(second[0], 'snapshot', '-c', 'one', 'b')
            self.good(second[1], '-c', 'write -q -P 4 1M 2M', 'b')
            self.good(first[0], 'snapshot', '-c', 'two', 'b')
            self.good(first[0], 'resize', '-q', 'b', '6M')
            for img in (first[0], second[0]):
                self.good(img, 'convert', '-l', 'one', '-O', 'raw', 'b', 'c.' + str(img == first[0]))
                self.check(img, 'qcow2')
            self.good(first[0], 'compare', '-f', 'raw', '-F', 'raw', 'c.True', 'c.False')
            self.good(second[0], 'snapshot', '-a', 'two', 'b')
            self.good(first[0], 'snapshot', '-d', 'two', 'b')
            self.good(second[0], 'snapshot', '-d', 'one', 'b')
            for img in (first[0], second[0]):
                self.check(img, 'qcow2')
            self.good(second[0], 'convert', '-O', 'raw', 'b', 'd')
            self.good(first[0], 'rebase', '-b', '', 'b')
            self.same(second[0], 'qcow2', other='d')
            self.check(second[0], 'qcow2')
            self.good(first[0], 'measure', '-O', 'qcow2', 'b')

    def test_measure_agrees(self):
        for options in CASES['qcow2']:
            for source in (['-f', 'raw', 'a.raw'], ['--size', '10G']):
                extra = ['-o', options] if options else []
                answers = [self.good(img, 'measure', '-O', 'qcow2', '--output=json', *extra, *source)
                           for img in (tools.IMG, tools.STOCK_IMG)]
                self.assertEqual(*answers, (options, source))


if __name__ == '__main__':
    tap.main()
