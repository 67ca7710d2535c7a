#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the VDI driver of the installed stock qemu-io loses, and that ours does not (docs/devel/vdi.md).

Each case is a scenario that is run with both programs, through the same commands: stock has to show the
loss (else the case says nothing any more), ours must not.

  QEMU_IO        ours [build/tools/qemu-io/qemu-io]
  STOCK_QEMU_IO  stock's, in place of qemu-io in PATH
"""

import os
import re
import select
import shutil
import struct
import subprocess
import sys
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, '../..'))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(SOURCE, 'tests/unit'))
import tap  # noqa: E402

OURS = os.environ.get('QEMU_IO') or os.path.join(
    os.environ.get('G_TEST_BUILDDIR', os.path.join(SOURCE, 'build/tests/block')),
    '../../tools/qemu-io/qemu-io')
BLOCKS = 10
MIB = 1 << 20


def make_vdi(name, data=1024):
    """An empty image as stock's qemu-img makes it."""
    head = bytearray(data)
    struct.pack_into('<4I', head, 0x40, 0xbeda107f, 0x00010001, 0x180, 1)
    struct.pack_into('<2I', head, 0x154, 512, data)
    struct.pack_into('<I', head, 0x168, 512)
    struct.pack_into('<QIIII', head, 0x170, BLOCKS * MIB, MIB, 0, BLOCKS, 0)
    struct.pack_into('<%dI' % BLOCKS, head, 512, *[0xffffffff] * BLOCKS)
    with open(name, 'wb') as f:
        f.write(head)
    return name


def layout(name):
    """(blocks_allocated, entries that are blocks)"""
    with open(name, 'rb') as f:
        head = f.read(1024)
    entries = struct.unpack_from('<%dI' % BLOCKS, head, 512)
    return struct.unpack_from('<I', head, 0x184)[0], [e for e in entries if e < 0xfffffffe]


class Io:
    """An interactive qemu-io on vdi over blkdebug."""

    def __init__(self, program, image, rules='', driver='vdi'):
        # How long a write may take that must not be acknowledged (ours) or is expected to be (stock).
        self.patience = 0.5 if program == OURS else 4
        # It would keep what it says until the next command.
        # stdbuf puts a library in front, which a sanitized program does not want to see there.
        asan = ':'.join(filter(None, (os.environ.get('ASAN_OPTIONS'), 'verify_asan_link_order=0')))
        self.p = subprocess.Popen(['stdbuf', '-oL', program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, bufsize=0, env=dict(os.environ, ASAN_OPTIONS=asan))
        self.text = ''
        self.say('open -o driver=%s,file.driver=blkdebug,file.image.driver=file,'
                 'file.image.filename=%s%s' % (driver, image, rules))

    def say(self, line):
        """One line at a time: stock looks at the next one only when more arrives."""
        seen = len(self.text)
        self.p.stdin.write(line.encode() + b'\n')
        end = time.monotonic() + 60
        while line != 'quit' and 'qemu-io> ' not in self.text[seen:] and time.monotonic() < end:
            self.read(end - time.monotonic())

    def read(self, seconds):
        if seconds <= 0 or not select.select([self.p.stdout], [], [], seconds)[0]:
            return False
        data = os.read(self.p.stdout.fileno(), 65536)
        self.text += data.decode(errors='replace')
        return bool(data)

    def wait(self, pattern, seconds):
        """Whether the pattern comes within that time; what was read is used up to its end."""
        end = time.monotonic() + seconds
        while True:
            match = re.search(pattern, self.text)
            if match:
                self.matched = match.group(0)
                self.text = self.text[match.end():]
                return True
            # Stock's requests go on when it looks for a command: an empty one makes it look.
            if not self.read(min(end - time.monotonic(), 0.5)):
                if time.monotonic() >= end:
                    return False
                self.p.stdin.write(b'\n')

    def hold(self, command, n):
        """Starts a request and stops it before its n-th write of the file (breakpoint W<n - 1>); False
        if it has not so many."""
        for i in range(n):
            self.say('break pwritev W%d' % i)
            self.say('resume W%d' % (i - 1) if i else command)
            if not self.wait(r"Suspended request 'W%d'|wrote \d+/\d+ bytes" % i, 20):
                return False
            if 'wrote' in self.matched:
                return False
        return True

    def close(self):
        """Ends it gracefully; everything that it said since."""
        self.say('quit')
        self.p.stdin.close()
        out = self.text + self.p.stdout.read().decode(errors='replace')
        self.p.wait()
        self.p.stdout.close()
        return out

    def kill(self):
        self.p.kill()
        self.p.wait()
        self.p.stdin.close()
        self.p.stdout.close()


def run(program, image, *commands, rules=None, driver='vdi'):
    """Commands at once; the output."""
    args = [program]
    for c in commands:
        args += ['-c', c]
    spec = 'driver=%s,file.driver=%s' % (driver, 'file' if rules is None else 'blkdebug')
    spec += (',file.filename=%s' % image if rules is None else
             ',file.image.driver=file,file.image.filename=%s%s' % (image, rules))
    r = subprocess.run(args + ['--image-opts', spec], stdout=subprocess.PIPE,
                       stderr=subprocess.STDOUT, timeout=120)
    return r.stdout.decode(errors='replace')


def holds(program, image, offset, length, value, driver='vdi'):
    out = run(program, image, 'read -P %d %d %d' % (value, offset, length), driver=driver)
    return 'read %d/%d bytes' % (length, length) in out and 'verification failed' not in out


# Each returns the number of losses; what it does stands in the docstring.

def failed_first_write(program):
    """A first write to a block fails (its n-th write of the file); the next one to the block is
    acknowledged; close and reopen."""
    lost = 0
    for n in range(1, 5):
        image = make_vdi('failed.vdi')
        # The state counts the writes of the file.
        rules = ''.join(',file.set-state.%d.event=pwritev,file.set-state.%d.state=%d,'
                        'file.set-state.%d.new_state=%d' % (i, i, i + 1, i, i + 2) for i in range(n - 1))
        rules += (',file.inject-error.0.event=pwritev,file.inject-error.0.state=%d,'
                  'file.inject-error.0.once=on,file.inject-error.0.iotype=write' % n)
        out = run(program, image, 'write -P 1 0 64k', 'write -P 2 64k 64k', rules=rules)
        acked = 'wrote 65536/65536 bytes at offset 65536' in out
        if acked and not holds(program, image, 65536, 65536, 2):
            lost += 1
    return lost


def race_and_power_loss(program, fua=False):
    """A first write to a block is held before its n-th write of the file; a second one to the block is
    acknowledged and flushed (or has FUA); the host crashes."""
    lost = 0
    for n in range(1, 5):
        image, copy = make_vdi('race.vdi'), 'race-crashed.vdi'
        io = Io(program, image)
        held = io.hold('aio_write -P 1 0 4k', n)
        if held:
            io.say('aio_write -f -P 2 8k 4k' if fua else 'aio_write -P 2 8k 4k')
            if io.wait(r'wrote 4096/4096 bytes at offset 8192', io.patience):
                if not fua:
                    io.say('flush')
                io.say('length')
                io.wait(r'10 MiB', 10)
                shutil.copyfile(image, copy)
                lost += not holds(program, copy, 8192, 4096, 2)
        io.kill()
        if lost:
            break # one is enough, and each place takes seconds
    return lost


def race_with_fua(program):
    """The same, the second write with FUA instead of a flush."""
    return race_and_power_loss(program, fua=True)


def shared_block(program):
    """Two first writes to different blocks, the first one held before its n-th write of the file; close
    and reopen; the next block must be one of its own."""
    lost = 0
    for n in range(1, 5):
        image = make_vdi('shared.vdi')
        io = Io(program, image)
        held = io.hold('aio_write -P 1 0 4k', n)
        if held:
            io.say('aio_write -P 2 1M 4k')
            io.wait(r'wrote 4096/4096 bytes at offset 1048576', io.patience)
            io.say('resume W%d' % (n - 1))
            io.say('aio_flush')
            io.close()
        else:
            io.kill()
        if held:
            allocated, entries = layout(image)
            run(program, image, 'write -P 3 2M 4k')
            good = (holds(program, image, 0, 4096, 1) and holds(program, image, MIB, 4096, 2) and
                    holds(program, image, 2 * MIB, 4096, 3))
            lost += allocated < len(entries) or not good
        if lost:
            break
    return lost


def reuse_after_power_loss(program):
    """Power is lost with the block map on the disk, and the header as it was before the session; the next
    block must be one of its own."""
    image = make_vdi('reuse.vdi')
    with open(image, 'rb') as f:
        header = f.read(512)
    run(program, image, 'write -P 1 0 4k')
    with open(image, 'r+b') as f:
        f.write(header)
    run(program, image, 'write -P 2 1M 4k')
    return int(not (holds(program, image, 0, 4096, 1) and holds(program, image, MIB, 4096, 2)))


def failed_read_before_write(program):
    """A file below that takes whole pages; the read that a smaller write needs fails: so must the write.
    Raw and vdi."""
    lost = 0
    rules = (',file.align=4096,file.inject-error.0.event=pwritev_rmw_head,'
             'file.inject-error.0.iotype=read')
    with open('rmw.raw', 'wb') as f:
        f.write(b'\x01' * 65536)
    out = run(program, 'rmw.raw', 'write -P 2 512 512', rules=rules, driver='raw')
    lost += 'wrote 512/512' in out or not holds(program, 'rmw.raw', 1024, 64512, 1, driver='raw')
    image = make_vdi('rmw.vdi', data=4096)
    run(program, image, 'write -P 1 0 64k')
    out = run(program, image, 'write -P 2 512 512', rules=rules)
    lost += 'wrote 512/512' in out or not holds(program, image, 1024, 64512, 1)
    return lost


STOCK = os.environ.get('STOCK_QEMU_IO') or shutil.which('qemu-io')
if STOCK and os.path.realpath(STOCK) == os.path.realpath(OURS):
    STOCK = None


class VdiLoss(unittest.TestCase):
    def tearDown(self):
        for name in os.listdir('.'):
            if name.endswith(('.vdi', '.raw')):
                os.unlink(name)

    def both(self, func):
        self.assertEqual(func(OURS), 0)
        if not STOCK:
            self.skipTest('no stock qemu-io to compare with')
        version = subprocess.run([STOCK, '--version'], stdout=subprocess.PIPE).stdout.decode()
        losses = 0
        for _ in range(5): # what happens first is up to its threads
            losses = losses or func(STOCK)
        print('# %s: %s: %d losses' % (version.split('\n')[0], func.__name__, losses), flush=True)
        self.assertGreater(losses, 0, 'stock does not show it')

    def test_lost_after_a_failed_first_write(self):
        self.both(failed_first_write)

    def test_lost_by_a_race_and_a_crash(self):
        self.both(race_and_power_loss)

    def test_lost_by_a_race_with_fua_and_a_crash(self):
        self.both(race_with_fua)

    def test_block_that_is_shared_later(self):
        self.both(shared_block)

    def test_block_that_is_used_again_after_power_loss(self):
        self.both(reuse_after_power_loss)

    def test_neighbours_of_a_write_whose_read_failed(self):
        self.both(failed_read_before_write)


tap.main()
