#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""mapped-ram: files in which each page has its place, written and read by one thread or several, past the page cache or not."""

import os
import random
import resource
import struct
import tempfile
import unittest

from common import TERN, tap
from qtest_client import Machine, TestError

MIB = 1 << 20
PAGE = 4096
SIZE = 16
ARGS = ('-machine', 'pc-i440fx-10.0', '-m', str(SIZE))


class MappedRam(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.random = random.Random(7)

    def path(self, name):
        return os.path.join(self.folder, name)

    def machine(self, *more, command=TERN, channels=0, direct=False, **options):
        vm = Machine(command, [*ARGS, *more], accel='qtest', **options)
        self.addCleanup(vm.close)
        names = ['mapped-ram'] + (['multifd'] if channels else [])
        vm.qmp.command('migrate-set-capabilities', {'capabilities': [
            {'capability': name, 'state': True} for name in names]})
        vm.qmp.command('migrate-set-parameters', {'direct-io': direct, 'multifd-channels': channels or 2})
        return vm

    def source(self, **options):
        """With memory in which rows of pages are zero, random, or both in turn."""
        vm = self.machine(**options)
        self.memory = {}
        for mib in range(1, SIZE - 1, 3):
            data = bytearray(self.random.randbytes(MIB))
            for page in range(0, MIB, PAGE):
                if mib % 2 and self.random.randrange(3) == 0:
                    data[page:page + PAGE] = bytes(PAGE)
            self.memory[mib] = data
            vm.qtest.write(mib * MIB, bytes(data))
        return vm

    def save(self, vm, uri, status='completed'):
        vm.qmp.command('migrate', {'uri': uri})
        info = vm.wait_migration()
        self.assertEqual(info['status'], status, info)
        return info

    def check(self, vm):
        for mib in [2, SIZE - 2, *self.memory]:
            self.assertEqual(vm.qtest.read(mib * MIB, MIB), bytes(self.memory.get(mib, bytes(MIB))), mib)

    def load(self, uri, **options):
        vm = self.machine('-incoming', 'defer', **options)
        vm.qmp.command('migrate-incoming', {'uri': uri})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        self.check(vm)
        return vm

    def test_one_file_whoever_writes_and_reads(self):
        """By threads or not, with direct-io or not, at an offset that is no multiple of a page."""
        for number, how in enumerate((dict(), dict(channels=1), dict(channels=3, direct=True), dict(direct=True), dict(channels=8))):
            uri = 'file:%s,offset=%d' % (self.path('f%d' % number), number * 5003)
            vm = self.source(**how)
            ram = self.save(vm, uri)['ram']
            self.assertGreater(ram['normal'], 700)
            self.assertGreater(ram['duplicate'], 2500)
            self.assertEqual(ram['remaining'], 0)
            self.assertEqual(ram['multifd-bytes'] > 2 * MIB, 'channels' in how, ram)
            vm.close()
            for reader in (dict(), dict(channels=2), dict(channels=4, direct=True), dict(direct=True)):
                with self.subTest(writer=how, reader=reader):
                    self.load(uri, **reader).close()
            os.unlink(self.path('f%d' % number))

    def test_what_is_written_meanwhile(self):
        """Pages that are sent again replace themselves; zero ones leave the bitmap."""
        vm = self.source(channels=3)
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 2 * MIB, 'downtime-limit': 1})
        vm.qmp.command('migrate', {'uri': 'file:' + self.path('f')})
        for number in range(300):
            mib, at = 1 + number % 4 * 3, self.random.randrange(256) * PAGE
            data = self.random.randbytes(PAGE) if number % 3 else bytes(PAGE)
            self.memory[mib][at:at + PAGE] = data
            vm.qtest.write(mib * MIB + at, data)
        self.assertEqual(vm.qmp.command('query-migrate')['status'], 'active')
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 0, 'downtime-limit': 300})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        self.assertLess(os.path.getsize(self.path('f')), (SIZE + 16) * MIB)
        self.load('file:' + self.path('f'), channels=2)

    def test_lost_pages_are_zero_and_known(self):
        for how in (dict(), dict(channels=3), dict(channels=3, direct=True)):
            with self.subTest(**how):
                vm = self.source(**how)
                for mib, notice in ((4, 'reported'), (7, 'reported'), (10, 'none')):
                    vm.qmp.command('x-poison-page', {'address': mib * MIB + 8 * PAGE, 'notice': notice})
                vm.qmp.command('migrate', {'uri': 'file:' + self.path('f')})
                info = vm.wait_migration()
                self.assertEqual(info['status'], 'completed', info)
                data = open(self.path('f'), 'rb').read()
                header = data.index(b'\x06pc.ram') + 7 + 8
                bitmap, pages = struct.unpack('>QQ', data[header + 12:header + 28])
                for mib in (4, 7):
                    page = (mib * MIB) // PAGE + 8
                    self.assertFalse(data[bitmap + page // 8] >> page % 8 & 1)
                self.assertEqual(data[pages + 10 * MIB + 8 * PAGE:][:PAGE], bytes(PAGE))
                self.assertEqual(data[pages + 10 * MIB + 9 * PAGE:][:PAGE], self.memory[10][9 * PAGE:10 * PAGE])
                target = self.machine('-incoming', 'defer', channels=2)
                target.qmp.command('migrate-incoming', {'uri': 'file:' + self.path('f')})
                self.assertEqual(target.wait_migration()['status'], 'completed')
                lost = [error['offset'] // MIB for error in target.qmp.command('x-query-memory-errors')]
                self.assertEqual(sorted(set(lost) & {4, 7}), [4, 7])
                vm.close()
                target.close()

    def descriptors(self, *flags):
        fds = [os.open(self.path('f'), flag | os.O_CREAT, 0o600) for flag in flags]
        for fd in fds:
            self.addCleanup(os.close, fd)
        return fds

    def fdset(self, *flags):
        fds = self.descriptors(*flags)
        more = []
        for fd in fds:
            more += ['-add-fd', 'fd=%d,set=1' % fd]
        return more, fds

    def test_descriptors(self):
        """fd: of a file, and a set with one descriptor for the stream and one with O_DIRECT for pages, in any order."""
        fd, = self.descriptors(os.O_RDWR)
        self.save(self.source(channels=2, pass_fds=[fd]), 'fd:%d' % fd)
        os.lseek(fd, 0, os.SEEK_SET)
        self.load('fd:%d' % fd, channels=3, direct=True, pass_fds=[fd])
        for flags in ((os.O_WRONLY, os.O_WRONLY | os.O_DIRECT), (os.O_WRONLY | os.O_DIRECT, os.O_WRONLY)):
            os.unlink(self.path('f'))
            more, fds = self.fdset(*flags)
            vm = self.machine(*more, channels=2, direct=True, pass_fds=fds)
            self.memory = {2: self.random.randbytes(MIB)}
            vm.qtest.write(2 * MIB, self.memory[2])
            self.save(vm, 'file:/dev/fdset/1,offset=4000')
            self.load('file:%s,offset=4000' % self.path('f'))

    def test_a_set_without_a_descriptor_for_direct_io_is_named(self):
        more, fds = self.fdset(os.O_WRONLY)
        vm = self.machine(*more, channels=2, direct=True, pass_fds=fds)
        info = self.save(vm, 'file:/dev/fdset/1', 'failed')
        self.assertIn('direct-io needs a descriptor with O_DIRECT beside the one without', info['error-desc'])

    def test_what_cannot_be_is_refused_before_anything_is_written(self):
        vm = self.machine(channels=2)
        for uri in ('exec:cat > /dev/null', 'unix:' + self.path('s'), 'tcp:127.0.0.1:1'):
            with self.assertRaisesRegex(TestError, 'requires seekable transport'):
                vm.qmp.command('migrate', {'uri': uri})
        here, there = os.pipe()
        self.addCleanup(os.close, here)
        self.addCleanup(os.close, there)
        pipe = self.machine(pass_fds=[there])
        with self.assertRaisesRegex(TestError, 'requires seekable transport'):
            pipe.qmp.command('migrate', {'uri': 'fd:%d' % there})
        vm.qmp.command('migrate-set-parameters', {'multifd-compression': 'zlib'})
        with self.assertRaisesRegex(TestError, 'Cannot use compression with mapped-ram'):
            vm.qmp.command('migrate', {'uri': 'file:' + self.path('f')})
        self.assertFalse(os.path.exists(self.path('f')))

    def test_a_file_that_cannot_grow_fails_by_name_and_the_guest_runs_on(self):
        for how in (dict(), dict(channels=3), dict(channels=2, direct=True)):
            with self.subTest(**how):
                vm = self.source(command=('env', '--ignore-signal=XFSZ', *TERN), **how)
                resource.prlimit(vm.pid, resource.RLIMIT_FSIZE, (5 * MIB, 5 * MIB))
                info = self.save(vm, 'file:' + self.path('f'), 'failed')
                self.assertIn('cannot write: File too large', info['error-desc'])
                self.assertIn(self.path('f'), info['error-desc'])
                self.assertEqual(vm.qmp.command('query-status')['status'], 'running')
                vm.close()

    def damaged(self, change, **how):
        """What a destination says of a changed file."""
        data = bytearray(self.good)
        data = change(data) or data
        with open(self.path('bad'), 'wb') as f:
            f.write(data)
        vm = self.machine('-incoming', 'defer', **how)
        vm.qmp.command('migrate-incoming', {'uri': 'file:' + self.path('bad'), 'exit-on-error': False})
        info = vm.wait_migration()
        self.assertEqual(info['status'], 'failed')
        return info['error-desc']

    def test_damaged_files_are_refused_by_name(self):
        self.save(self.source(), 'file:' + self.path('f'))
        self.good = open(self.path('f'), 'rb').read()
        header = self.good.index(b'\x06pc.ram') + 7 + 8
        bitmap, pages = struct.unpack('>QQ', self.good[header + 12:header + 28])

        def put(at, data):
            def change(good):
                good[at:at + len(data)] = data
            return change

        def cut(size):
            return lambda good: good[:size]

        for how in (dict(), dict(channels=3), dict(channels=2, direct=True)):
            for change, text in (
                    (put(header, struct.pack('>I', 9)), 'mapped-ram version 9'),
                    (put(header + 4, struct.pack('>Q', 8192)), 'pages of 0x2000 bytes'),
                    (put(header + 12, struct.pack('>Q', 1 << 63)), 'RAM block pc.ram has its bitmap at'),
                    (put(header + 12, struct.pack('>Q', pages)), 'RAM block pc.ram has its bitmap at'),
                    (put(header + 20, struct.pack('>Q', bitmap)), 'RAM block pc.ram has its bitmap at'),
                    (put(header + 20, struct.pack('>Q', 1 << 50)), 'the file ends before the pages'),
                    (cut(bitmap + 3), 'bitmap of RAM block pc.ram: the file ends before'),
                    (cut(pages + 4 * MIB + 5000), 'RAM block pc.ram: the file ends before the pages'),
                    (cut(pages + 10 * MIB), 'RAM block pc.ram: the file ends before the pages'),
                    (cut(header + 6), 'ends')):
                with self.subTest(text=text, **how):
                    self.assertIn(text, self.damaged(change, **how))
        # A place before the end of the block before.
        second = self.good.index(b'etc/acpi/tables') if b'etc/acpi/tables' in self.good else 0
        if second:
            at = second + len('etc/acpi/tables') + 8
            self.assertIn('and the block before ends at', self.damaged(put(at + 12, struct.pack('>Q', bitmap))))


if __name__ == '__main__':
    tap.main()
