#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Images with damaged headers, block maps, L1, L2 and reference counts: qemu-img ends in time and within its memory, with a
text when it fails, and what `check -r all` has repaired is right for the next check. (tests/fuzz/ does this in one process,
millions of times.)

  IMAGE_FUZZ_SEED    [1]
  IMAGE_FUZZ_IMAGES  of each kind [8; 400 with TERN_TEST_LONG]
"""

import os
import random
import resource
import shutil
import struct
import tempfile
import unittest

import common  # noqa: F401
from common import tap
import tools
from tools import IMG, IO, MIB, good, run

SEED = int(os.environ.get('IMAGE_FUZZ_SEED', '1'))
IMAGES = int(os.environ.get('IMAGE_FUZZ_IMAGES', '400' if os.environ.get('TERN_TEST_LONG') else '8'))
MEMORY = 1 << 30
SECONDS = 20
NUMBERS = (0, 1, 2, 7, 0x1ff, 0x200, 0xffff, 0x10000, 1 << 20, 1 << 30, 0x7fffffff, 0x80000000, 0xfffffffe,
           0xffffffff)


def limits():
    if not tools.sanitized():
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * MIB, 256 * MIB))


def vdi_places(data):
    at, blocks = struct.unpack_from('<I', data, 0x154)[0], struct.unpack_from('<I', data, 0x180)[0]
    return {'header': (0x40, 0x1d8), 'map': (at, at + 4 * blocks)}


def qcow2_places(data):
    word = lambda at: struct.unpack_from('>Q', data, at)[0]  # noqa: E731
    mask = (1 << 56) - 512
    l1, table = word(40), word(48)
    l2, block = word(l1) & mask, word(table)
    return {'header': (0, 112), 'L1': (l1, l1 + 64), 'L2': (l2, l2 + 256),
            'reference table': (table, table + 64), 'reference counts': (block, block + 64)}


class Fuzz(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def image(self, fmt, options):
        good(IMG, 'create', '-q', '-f', fmt, *options, 'good', '4M', folder=self.folder)
        good(IO, '-f', fmt, '-c', 'write -q -P 1 0 300k', '-c', 'write -q -P 2 2M 70k', '-c', 'write -q -P 3 3M 4k',
             'good', folder=self.folder)
        if fmt == 'qcow2':
            good(IMG, 'snapshot', '-c', 's', 'good', folder=self.folder)
            good(IO, '-f', fmt, '-c', 'write -q -P 4 64k 64k', 'good', folder=self.folder)
        with open(self.path('good'), 'rb') as file:
            return file.read()

    def damage(self, data, place, order, rng):
        bad = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 5))):
            width = rng.choice((1, 4, 8))
            at = rng.randrange(place[0], place[1] - width + 1) // width * width
            if width == 1:
                bad[at] ^= 1 << rng.randrange(8)
            else:
                value = rng.choice(NUMBERS) << (rng.choice((0, 0, 16, 32)) if width == 8 else 0)
                struct.pack_into(order + ('Q' if width == 8 else 'I'), bad, at, value % (1 << 8 * width))
        if rng.randrange(8) == 0:
            del bad[rng.randrange(512, len(bad)):]
        return bad

    def tool(self, *args):
        done = run(IMG, *args, folder=self.folder, timeout=SECONDS, preexec_fn=limits)
        self.assertIn(done.returncode, (0, 1, 2, 3), (args, done.stderr))
        if done.returncode:
            self.assertNotEqual(done.stdout + done.stderr, '', args)
        return done

    def use(self, fmt, data):
        def put():
            with open(self.path('bad'), 'wb') as file:
                file.write(data)
        put()
        self.tool('info', '-f', fmt, 'bad')
        self.tool('convert', '-f', fmt, '-O', 'raw', 'bad', 'out')
        self.tool('check', '-f', fmt, 'bad')
        done = self.tool('check', '-f', fmt, '-r', 'all', 'bad')
        if done.returncode == 0:
            again = self.tool('check', '-f', fmt, 'bad')
            self.assertEqual(again.returncode, 0, again.stdout + again.stderr)
        put()
        run(IO, '-f', fmt, '-c', 'write 1M 64k', '-c', 'discard 0 1M', '-c', 'write -z 3M 64k', 'bad',
            folder=self.folder, timeout=SECONDS, preexec_fn=limits)

    def all_places(self, fmt, places, order, options=()):
        data = self.image(fmt, options)
        for name, place in places(data).items():
            for n in range(IMAGES):
                rng = random.Random(SEED * 100000 + n)
                with self.subTest(place=name, n=n):
                    self.use(fmt, self.damage(data, place, order, rng))

    def test_vdi(self):
        self.all_places('vdi', vdi_places, '<')

    def test_qcow2(self):
        self.all_places('qcow2', qcow2_places, '>', ('-o', 'cluster_size=4k'))

    def test_qcow2_with_subclusters(self):
        self.all_places('qcow2', qcow2_places, '>', ('-o', 'extended_l2=on,cluster_size=64k'))

    def test_file_that_claims_to_be_huge(self):
        """Sparse files, in which everything fits that the header says."""
        data = bytearray(self.image('vdi', ()))
        struct.pack_into('<QI', data, 0x170, 0x1fffff80 << 20, MIB)
        struct.pack_into('<I', data, 0x180, 0x1fffff80)
        struct.pack_into('<I', data, 0x158, 0x80000000)
        with open(self.path('bad'), 'wb') as file:
            file.write(data)
            file.truncate(3 << 30)
        self.assertEqual(self.tool('info', '-f', 'vdi', 'bad').returncode, 1)
        data = bytearray(self.image('qcow2', ()))
        for at, value in ((24, 1 << 50), (24, 1 << 62)):
            struct.pack_into('>Q', data, at, value)
            with open(self.path('bad'), 'wb') as file:
                file.write(data)
                file.truncate(3 << 30)
            self.assertEqual(self.tool('info', '-f', 'qcow2', 'bad').returncode, 1)


if __name__ == '__main__':
    tap.main()
