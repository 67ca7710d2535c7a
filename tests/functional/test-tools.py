#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu-img and qemu-io by themselves: data stay what they are through every way of copying, and what goes wrong (no space,
a file in use, a signal, a broken pipe, a sector that cannot be read) is told."""

import os
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import common  # noqa: F401
from common import tap
import tools
from tools import IMG, IO, MIB, good, run

SEED = int(os.environ.get('TOOLS_SEED', '1'))


def sparse_bytes(size, rng):
    """Zeros with runs of data of many lengths, some of them of zeros."""
    data = bytearray(size)
    at = 0
    while at < size:
        at += rng.choice((512, 4096, 65536, 200000, 1000))
        run_length = rng.choice((512, 1536, 4096, 60000, 300000))
        data[at:at + run_length] = bytes([rng.choice((0, 1, 7, 255))]) * len(
            data[at:at + run_length])
        at += run_length
    return bytes(data[:size])


class Folder(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def good(self, *args):
        return good(*args, folder=self.folder)

    def run_in(self, *args, **options):
        return run(*args, folder=self.folder, **options)

    def write(self, name, data):
        with open(self.path(name), 'wb') as file:
            file.write(data)

    def write_sparse(self, name, data):
        """With holes where 4 KiB are zero."""
        with open(self.path(name), 'wb') as file:
            file.truncate(len(data))
            for at in range(0, len(data), 4096):
                if any(data[at:at + 4096]):
                    file.seek(at)
                    file.write(data[at:at + 4096])

    def read(self, name):
        with open(self.path(name), 'rb') as file:
            return file.read()

    def content(self, name, fmt):
        """The bytes of an image, by way of convert."""
        self.good(IMG, 'convert', '-f', fmt, '-O', 'raw', name, 'content.raw')
        return self.read('content.raw')


class Copies(Folder):
    def test_convert_keeps_every_byte(self):
        rng = random.Random(SEED)
        data = sparse_bytes(5 * MIB + 3 * 512, rng)
        self.write_sparse('a.raw', data)
        formats = [f for f in ('raw', 'qcow2', 'vdi') if f in tools.formats()]
        ways = ([], ['-S', '0'], ['-S', '512'], ['-S', '64k'], ['-W', '-m', '16'], ['-m', '1'],
                ['-t', 'none', '-T', 'none'], ['-C'])
        for fmt in formats:
            for way in ways:
                self.good(IMG, 'convert', *way, '-f', 'raw', '-O', fmt, 'a.raw', 'b')
                back = self.content('b', fmt)
                self.assertEqual(back[:len(data)], data, (fmt, way))
                self.assertFalse(any(back[len(data):]), (fmt, way))
        for other in (['-c'], ['-c', '-o', 'compression_type=zstd'], ['-o', 'cluster_size=512'],
                      ['-o', 'extended_l2=on,cluster_size=128k'], ['-o', 'compat=0.10']):
            self.good(IMG, 'convert', *other, '-f', 'raw', '-O', 'qcow2', 'a.raw', 'b')
            self.assertEqual(self.content('b', 'qcow2'), data, other)
            self.good(IMG, 'check', 'b')

    def test_sources_one_behind_the_other(self):
        rng = random.Random(SEED)
        parts = [sparse_bytes(n, rng) for n in (MIB + 512, 512, 3 * MIB - 1024, 0, 70 * 1024)]
        names = []
        for i, part in enumerate(parts):
            self.write_sparse(f'p{i}', part)
            names.append(f'p{i}')
        for way in ([], ['-c'], ['-W'], ['-S', '0']):
            self.good(IMG, 'convert', *way, '-f', 'raw', '-O', 'qcow2', *names, 'b')
            self.assertEqual(self.content('b', 'qcow2'), b''.join(parts), way)

    def test_zeros_take_no_space(self):
        self.write('a.raw', bytes(64 * MIB))
        for fmt in [f for f in ('raw', 'qcow2', 'vdi') if f in tools.formats()]:
            self.good(IMG, 'convert', '-f', 'raw', '-O', fmt, 'a.raw', 'b')
            self.assertLess(os.stat(self.path('b')).st_blocks * 512, MIB, fmt)

    def test_target_that_is_there_gets_zeros(self):
        self.write('a.raw', bytes(2 * MIB))
        self.write('b.raw', b'x' * 3 * MIB)
        self.good(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'a.raw', 'b.raw')
        self.assertFalse(any(self.read('b.raw')[:2 * MIB]))
        self.good(IMG, 'create', '-f', 'qcow2', 'c.qcow2', '2M')
        self.good(IO, '-c', 'write -P 5 0 2M', 'c.qcow2')
        self.good(IMG, 'convert', '-n', '-f', 'raw', '-O', 'qcow2', 'a.raw', 'c.qcow2')
        self.assertFalse(any(self.content('c.qcow2', 'qcow2')))

    def test_dd_skips_and_counts(self):
        data = random.Random(SEED).randbytes(10 * 1024)
        self.write('a', data)
        for size, skip, count in ((1024, 2, 3), (512, 0, 1), (512, 19, 5), (1000, 1, 2)):
            self.good(IMG, 'dd', '-f', 'raw', 'if=a', 'of=b', f'bs={size}', f'skip={skip}',
                      f'count={count}')
            want = data[size * skip:size * (skip + count)]
            got = self.read('b')
            self.assertEqual(got[:len(want)], want)
            self.assertLess(len(got) - len(want), 512)

    def test_backing_file_shows_through(self):
        self.write('base.raw', b'b' * 2 * MIB)
        self.good(IMG, 'create', '-f', 'qcow2', '-b', 'base.raw', '-F', 'raw', 'a.qcow2', '3M')
        self.good(IO, '-c', 'write -P 9 100k 100k', '-c', 'write -z 1M 64k', 'a.qcow2')
        want = self.content('a.qcow2', 'qcow2')
        self.good(IMG, 'convert', '-O', 'qcow2', '-B', 'base.raw', '-F', 'raw', 'a.qcow2',
                  'b.qcow2')
        self.assertEqual(self.content('b.qcow2', 'qcow2'), want)
        self.assertLess(os.stat(self.path('b.qcow2')).st_blocks * 512, 700 * 1024)

    def test_target_with_another_backing_file_gets_all_of_the_source(self):
        """With -n and without -B nobody has said that the two backing files are the same."""
        self.write('a.raw', b'a' * 2 * MIB)
        self.write('b.raw', b'b' * 3 * MIB)
        self.good(IMG, 'create', '-f', 'qcow2', '-b', 'a.raw', '-F', 'raw', 'source', '2560k')
        self.good(IO, '-c', 'write -P 9 100k 100k', '-c', 'write -z 1M 64k', 'source')
        want = self.content('source', 'qcow2')
        for way in ([], ['-S', '0'], ['-c'], ['-W']):
            self.good(IMG, 'create', '-f', 'qcow2', '-b', 'b.raw', '-F', 'raw', 'target', '2560k')
            self.good(IMG, 'convert', *way, '-n', '-O', 'qcow2', 'source', 'target')
            self.assertEqual(self.content('target', 'qcow2'), want, way)

    def chain(self, rng):
        self.write('base.raw', sparse_bytes(2 * MIB, rng))
        for name, back, fmt, size in (('mid', 'base.raw', 'raw', '1536k'),
                                      ('top', 'mid', 'qcow2', '3M')):
            self.good(IMG, 'create', '-f', 'qcow2', '-b', back, '-F', fmt, name, size)
            commands = []
            for _ in range(12):
                at, n = rng.randrange(0, 1400) * 1024, rng.choice((512, 4096, 65536, 100000))
                commands += ['-c', rng.choice((f'write -P {rng.randrange(256)} {at} {n}',
                                               f'write -z {at} {n}'))]
            self.good(IO, *commands, name)

    def test_commit_and_rebase_change_nothing(self):
        for seed in range(SEED, SEED + 3):
            rng = random.Random(seed)
            self.chain(rng)
            want, mid = self.content('top', 'qcow2'), self.content('mid', 'qcow2')
            self.good(IMG, 'rebase', '-b', 'base.raw', '-F', 'raw', 'top')
            self.assertEqual(self.content('top', 'qcow2'), want, seed)
            self.good(IMG, 'rebase', '-b', 'mid', '-F', 'qcow2', 'top')
            self.assertEqual(self.content('top', 'qcow2'), want, seed)
            self.good(IMG, 'rebase', '-b', '', 'top')
            self.assertEqual(self.content('top', 'qcow2'), want, seed)
            self.assertEqual(self.content('mid', 'qcow2'), mid, seed)
            self.chain(random.Random(seed))
            self.good(IMG, 'commit', 'top')
            self.assertEqual(self.content('mid', 'qcow2'), want, seed)
            self.assertEqual(self.content('top', 'qcow2'), want, seed)
            self.chain(random.Random(seed))
            self.good(IMG, 'commit', '-b', 'base.raw', 'top')
            self.assertEqual(self.read('base.raw'), want, seed)
            self.good(IMG, 'check', 'top')


class Failures(Folder):
    def setUp(self):
        super().setUp()
        self.write('a.raw', random.Random(SEED).randbytes(8 * MIB))

    def test_no_space_in_the_middle_of_convert(self):
        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, 3 * MIB))
        for fmt in [f for f in ('raw', 'qcow2', 'vdi') if f in tools.formats()]:
            done = self.run_in(IMG, 'convert', '-f', 'raw', '-O', fmt, 'a.raw', 'b',
                               preexec_fn=limit)
            self.assertEqual(done.returncode, 1, fmt)
            if fmt == 'raw':  # its size is set at once
                self.assertIn("File too large", done.stderr)
                continue
            self.assertIn('error while writing at byte ', done.stderr)
            self.assertIn(': File too large\n', done.stderr)
            self.assertIn("qemu-img: 'b' is incomplete\n", done.stderr)

    def test_no_space_on_the_device_in_the_middle_of_convert(self):
        for fmt in [f for f in ('raw', 'qcow2', 'vdi') if f in tools.formats()]:
            self.good(IMG, 'create', '-q', '-f', fmt, 'b', '8M')
            target = (f'driver={fmt},file.driver=blkdebug,file.image.driver=file,'
                      'file.image.filename=b,file.inject-error.0.event=none,'
                      'file.inject-error.0.iotype=write,file.inject-error.0.errno=28,'
                      f'file.inject-error.0.sector={5 * MIB // 512 + 7}')
            done = self.run_in(IMG, 'convert', '-n', '-m', '2', '-f', 'raw', '--target-image-opts',
                               'a.raw', target)
            self.assertEqual(done.returncode, 1, fmt)
            self.assertRegex(done.stderr, r'error while writing at byte \d+: No space left on device\n')
            self.assertRegex(done.stderr, r"qemu-img: '.*' is incomplete\n")
            # What has been written before is there, and the image is not damaged.
            self.good(IMG, 'info', '-f', fmt, 'b')
            if fmt != 'raw':
                checked = self.run_in(IMG, 'check', '-f', fmt, 'b')
                self.assertIn(checked.returncode, (0, 3), checked.stdout)

    def test_sizes_that_make_no_sense(self):
        def limit():
            if not tools.sanitized():
                resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))
        lines = [(IMG, 'create', '-f', fmt, 'n', '{}') for fmt in ('raw', 'qcow2', 'vdi')]
        lines += [(IMG, 'create', '-f', 'qcow2', '-o', 'cluster_size={}', 'n', '1M'),
                  (IMG, 'resize', '-f', 'raw', 'a.raw', '{}'), (IMG, 'measure', '--size={}'),
                  (IMG, 'convert', '-f', 'raw', '-S', '{}', 'a.raw', 'n'),
                  (IMG, 'dd', '-f', 'raw', 'if=a.raw', 'of=n', 'bs={}'),
                  (IMG, 'bench', '-f', 'raw', '-c', '1', '-s', '{}', 'a.raw'),
                  (IMG, 'map', '-f', 'raw', '--start-offset={}', 'a.raw')]
        lines += [(IO, '-f', 'raw', '-c', command + ' {}', 'a.raw')
                  for command in ('read --', 'read -- 0', 'write -- 0', 'writev -- 0', 'discard -- 0',
                                  'truncate --', 'alloc')]
        for size in ('-5', '1Z', '9223372036854775808', '18446744073709551616', '0x', '1e3', 'nan'):
            for line in lines:
                args = [a.format(size) for a in line]
                done = self.run_in(*args, preexec_fn=limit)
                self.assertEqual(done.returncode, 1, args)
                self.assertNotEqual(done.stdout + done.stderr, '', args)
                self.assertFalse(os.path.exists(self.path('n')), args)
        self.assertEqual(os.stat(self.path('a.raw')).st_size, 8 * MIB)

    @unittest.skipIf(tools.sanitized(), 'the sanitizer ends programs that want too much memory')
    def test_more_requests_than_memory(self):
        for args in (['-w'], [], ['-w', '-s', '2147483647']):
            done = self.run_in(IMG, 'bench', '-f', 'raw', '-c', '2147483647', '-d', '2147483647', *args, 'a.raw',
                               preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30)))
            self.assertEqual(done.returncode, 1, args)
            self.assertIn('no memory for 2147483647 requests', done.stderr)

    def test_wrong_format(self):
        for fmt, text in (('vdi', 'Image not in VDI format'), ('qcow2', 'Image is not in qcow2 format')):
            for args in (('info',), ('check',), ('map',), ('convert', '-O', 'raw')):
                rest = ['a.raw', 'n'] if args[0] == 'convert' else ['a.raw']
                done = self.run_in(IMG, args[0], '-f', fmt, *args[1:], *rest)
                self.assertEqual(done.returncode, 1, (fmt, args))
                self.assertIn(text, done.stderr, (fmt, args))

    def test_file_in_use(self):
        with subprocess.Popen([IO, '-f', 'raw', self.path('a.raw')], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE) as user:
            user.stdout.read(len('qemu-io> '))
            for args in (('info', '-f', 'raw'), ('convert', '-f', 'raw', '-O', 'raw'),
                         ('resize', '-f', 'raw')):
                rest = ['a.raw', 'b'] if args[0] == 'convert' else ['a.raw']
                rest += ['16M'] if args[0] == 'resize' else []
                done = self.run_in(IMG, *args, *rest)
                self.assertEqual(done.returncode, 1, args)
                self.assertIn('"write" lock\nIs another process using the image [a.raw]?',
                              done.stderr)
            self.good(IMG, 'info', '-U', '-f', 'raw', 'a.raw')
            self.good(IMG, 'convert', '-U', '-f', 'raw', '-O', 'raw', 'a.raw', 'b')
            done = self.run_in(IMG, 'convert', '-f', 'raw', '-O', 'raw', 'b', 'a.raw')
            self.assertEqual(done.returncode, 1)
            self.assertEqual(len(self.read('a.raw')), 8 * MIB)
            user.communicate(b'q\n')
            self.assertEqual(user.returncode, 0)

    def test_target_that_is_read_only(self):
        self.write('b', bytes(8 * MIB))
        done = self.run_in(IMG, 'convert', '-n', '-f', 'raw', '--target-image-opts', 'a.raw',
                           'driver=raw,read-only=on,file.filename=b')
        self.assertEqual((done.returncode, done.stderr),
                         (1, "qemu-img: Could not open 'driver=raw,read-only=on,file.filename=b': "
                             'Block node is read-only\n'))

    def convert_slowly(self, *args):
        process = subprocess.Popen(
            [IMG, 'convert', '-r', '2M', '-f', 'raw', '-O', 'raw', *args, 'a.raw', 'b'],
            cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stderr.close)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                if os.stat(self.path('b')).st_blocks:
                    return process
            except FileNotFoundError:
                pass
            time.sleep(0.02)
        self.fail('convert does not begin')

    def test_interrupted_convert_says_what_it_leaves(self):
        process = self.convert_slowly()
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=90)
        self.assertEqual(process.returncode, -signal.SIGINT)
        self.assertEqual(err, "qemu-img: interrupted: 'b' is incomplete\n")

    def test_signal_asks_for_progress(self):
        process = self.convert_slowly()
        process.send_signal(signal.SIGUSR1)
        line = process.stderr.readline()
        self.assertRegex(line, r'^    \(\d+\.\d\d/100%\)$')
        process.kill()

    def test_progress_ends_at_hundred(self):
        out = self.good(IMG, 'convert', '-p', '-f', 'raw', '-O', 'raw', 'a.raw', 'b')
        self.assertRegex(out, r'^    \(0\.00/100%\)\n(    \(\d+\.\d\d/100%\)\n)*'
                              r'    \(100\.00/100%\)\n+$')

    def test_output_into_a_broken_pipe(self):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run([IMG, 'map', '-f', 'raw', '--output=json', self.path('a.raw')],
                              stdout=write, stderr=subprocess.PIPE, text=True, check=False,
                              timeout=90)
        os.close(write)
        self.assertEqual((done.returncode, done.stderr),
                         (1, 'qemu-img: error writing the output: Broken pipe\n'))

    def test_sector_that_cannot_be_read(self):
        self.write('bd.conf', b'[inject-error]\nevent = "none"\nsector = "2050"\n')
        source = 'blkdebug:bd.conf:a.raw'
        done = self.run_in(IMG, 'convert', '-f', 'raw', '-O', 'raw', source, 'b')
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r'error while reading at byte \d+: Input/output error\n')
        # one worker: its buffer is not fresh when it comes to that sector
        done = self.run_in(IMG, 'convert', '--salvage', '-m', '1', '-f', 'raw', '-O', 'raw', source, 'b')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stderr, 'qemu-img: warning: error while reading offset '
                                      f'{2050 * 512}: Input/output error\n')
        want = bytearray(self.read('a.raw'))
        want[2050 * 512:2051 * 512] = bytes(512)
        self.assertEqual(self.read('b'), bytes(want))

    def test_failed_create_leaves_no_image(self):
        done = self.run_in(IMG, 'create', '-f', 'qcow2', '-o', 'cluster_size=3', 'n.qcow2', '1M')
        self.assertEqual(done.returncode, 1)
        self.assertFalse(os.path.exists(self.path('n.qcow2')))

    def test_failed_rebase_leaves_the_image_as_it_was(self):
        """The new backing file is named only when what the old one had is in the image."""
        for event in ('l2_update', 'refblock_update_part', 'write_aio', 'flush_to_disk'):
            with self.subTest(event):
                self.write('old.raw', b'o' * 2 * MIB)
                self.write('new.raw', b'n' * 2 * MIB)
                self.good(IMG, 'create', '-f', 'qcow2', '-b', 'old.raw', '-F', 'raw', 'top')
                self.good(IO, '-c', 'write -P 9 100k 100k', 'top')
                want = self.content('top', 'qcow2')
                self.write('bd.conf', f'[inject-error]\nevent = "{event}"\n'.encode())
                done = self.run_in(IMG, 'rebase', '-f', 'qcow2', '-b', self.path('new.raw'), '-F', 'raw',
                                   'blkdebug:bd.conf:' + self.path('top'))
                self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
                self.assertEqual(self.content('top', 'qcow2'), want)

    FLUSH_FAILS_ONCE = ('driver=qcow2,file.driver=blkdebug,file.align=512,file.image.driver=file,file.image.filename={},'
                        'file.inject-error.0.event=pwritev_rmw_head,file.inject-error.0.iotype=flush,'
                        'file.inject-error.0.once=on,file.inject-error.0.state={}{}')

    def test_snapshot_whose_flush_fails_is_not_there(self):
        """The header had named it, and its clusters were free for others."""
        self.good(IMG, 'create', '-f', 'qcow2', 's.qcow2', '4M')
        self.good(IO, '-c', 'write -P 1 0 1M', 's.qcow2')
        done = self.run_in(IMG, 'snapshot', '--image-opts', '-c', 'x', self.FLUSH_FAILS_ONCE.format('s.qcow2', 1, ''))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertEqual(self.good(IMG, 'snapshot', '-l', 's.qcow2'), '')
        # as stock says: clusters that count too much, and no harm in it
        done = self.run_in(IMG, 'check', 's.qcow2')
        self.assertEqual((done.returncode, 'OFLAG_COPIED' in done.stderr), (3, False), done.stderr)
        self.good(IMG, 'check', '-r', 'leaks', 's.qcow2')
        if tools.STOCK_IMG:
            self.good(tools.STOCK_IMG, 'check', 's.qcow2')
        self.good(IO, '-c', 'read -P 1 0 1M', 's.qcow2')

    def test_writes_after_a_resize_whose_flush_failed(self):
        """The header had named the larger L1 table; they went into the old one, and over the new one."""
        self.good(IMG, 'create', '-f', 'qcow2', 's.qcow2', '4M')
        self.good(IO, '-c', 'write -P 1 0 1M', 's.qcow2')
        done = self.run_in(IO, '--image-opts', '-c', 'truncate 1G', '-c', 'write -P 2 1M 1M', '-c', 'flush',
                           self.FLUSH_FAILS_ONCE.format('s.qcow2', 1, ''))
        self.assertIn('Failed to grow the L1 table', done.stderr)
        self.assertIn('wrote 1048576/1048576', done.stdout)
        self.assertIn(self.run_in(IMG, 'check', 's.qcow2').returncode, (0, 3))
        self.good(IO, '-c', 'read -P 1 0 1M', '-c', 'read -P 2 1M 1M', 's.qcow2')

    def test_image_is_its_own_backing_file(self):
        self.good(IMG, 'create', '-f', 'qcow2', 'l.qcow2', '1M')
        self.good(IMG, 'rebase', '-u', '-b', 'l.qcow2', '-F', 'qcow2', 'l.qcow2')
        done = self.run_in(IMG, 'info', '--backing-chain', 'l.qcow2')
        self.assertEqual((done.returncode, done.stderr),
                         (1, "qemu-img: Backing file 'l.qcow2' creates an infinite loop.\n"))


class HostDevice(Folder):
    """A block device of the host: a loop device over a file."""

    def setUp(self):
        super().setUp()
        self.data = bytearray(sparse_bytes(8 * MIB, random.Random(SEED)))
        self.write('disk', self.data)
        losetup = shutil.which('losetup', path=os.environ.get('PATH', '') + ':/sbin:/usr/sbin')
        if not losetup or os.geteuid() != 0:
            self.skipTest('no loop device: losetup and root are needed')
        done = run(losetup, '-f', '--show', self.path('disk'))
        if done.returncode:
            self.skipTest('no loop device: ' + done.stderr.strip())
        self.device = done.stdout.strip()
        self.addCleanup(run, losetup, '-d', self.device)

    def test_requests_to_a_host_device(self):
        rng = random.Random(SEED)
        for cache in ('none', 'writeback', 'directsync'):
            commands = []
            for _ in range(30):
                at, n = rng.randrange(0, 8 * MIB - 300000), rng.choice((1, 512, 4096, 65536, 300000))
                at, n = (at // 4096 * 4096, max(n, 4096)) if rng.randrange(2) else (at, n)
                byte = rng.randrange(1, 256)
                kind = rng.choice(('write -P %d' % byte, 'write -P %d' % byte, 'write -z', 'write -zu'))
                commands += ['-c', '%s %d %d' % (kind, at, n)]
                self.data[at:at + n] = bytes((byte if 'P' in kind else 0,)) * n
            self.good(IO, '-f', 'raw', '-t', cache, '-d', 'unmap', *commands, '-c', 'flush', self.device)
            self.good(IMG, 'convert', '-f', 'raw', '-O', 'raw', self.device, 'out')
            self.assertEqual(self.read('out'), bytes(self.data), cache)
        info = self.good(IMG, 'info', '--output=json', self.device)
        self.assertIn('"virtual-size": %d' % (8 * MIB), info)

    def test_formats_on_a_host_device(self):
        self.write('a.raw', self.data[:4 * MIB])
        for fmt in ('raw', 'qcow2', 'vdi'):
            if fmt == 'raw':
                self.good(IMG, 'convert', '-n', '-f', 'raw', '-O', 'raw', 'a.raw', self.device)
                self.assertEqual(self.read('disk')[:4 * MIB], bytes(self.data[:4 * MIB]))
                continue
            done = self.run_in(IMG, 'create', '-f', fmt, self.device, '4M')
            self.assertEqual(done.returncode, 0, done.stderr)
            self.good(IMG, 'convert', '-n', '-f', 'raw', '-O', fmt, 'a.raw', self.device)
            self.good(IMG, 'compare', '-f', 'raw', '-F', fmt, 'a.raw', self.device)
            self.assertIn(self.run_in(IMG, 'check', '-f', fmt, self.device).returncode, (0, 3), fmt)

    def test_end_of_a_host_device(self):
        done = self.run_in(IO, '-f', 'raw', '-c', 'write 8M 512', self.device)
        self.assertEqual(done.returncode, 1)
        done = self.run_in(IMG, 'convert', '-n', '-S', '0', '--image-opts', '--target-image-opts',
                           'driver=null-co,size=9437184,read-zeroes=on',
                           f'driver=raw,file.driver=host_device,file.filename={self.device}')
        self.assertEqual(done.returncode, 1)
        self.assertIn('smaller', done.stderr)
        self.assertEqual(self.run_in(IMG, 'resize', '-f', 'raw', self.device, '9M').returncode, 1)


class Manual(unittest.TestCase):
    def test_manual_has_every_command_and_option(self):
        def page(name):
            with open(os.path.join(common.SOURCE, 'docs/man', name), encoding='utf-8') as file:
                return file.read().replace('\\-', '-')
        text = good(IMG, '--help')
        syntax = text[text.index('Command syntax:'):].split('\n\n')[0].splitlines()[1:]
        manual = page('qemu-img.1')
        self.assertGreater(len(syntax), 10)
        for line in syntax:
            name, args = line.split(None, 1)
            self.assertIn(f'\n.B {name}\n{args}\n', manual)
        manual = page('qemu-io.1')
        for option in ('--cmd', '--format', '--image-opts', '--read-only', '--snapshot',
                       '--nocache', '--copy-on-read', '--misalign', '--native-aio', '--aio',
                       '--discard', '--cache', '--trace', '--force-share', '--object', '--help',
                       '--version'):
            self.assertIn(option, manual)
            self.assertIn(option, good(IO, '--help'))


if __name__ == '__main__':
    tap.main()
