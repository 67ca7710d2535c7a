#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A migration whose other side stalls, resets, dies or is told to stop, at any byte of the stream.

Whatever happens there is one machine that runs: the source runs on (or resumes), answers queries,
its image is writable and intact, the command that the guest had begun goes on, and the next
migration succeeds.  A relay between source and destination does the damage.  TERN_TEST_LONG=1
takes many more offsets.
"""

import hashlib
import os
import random
import select
import shlex
import socket
import struct
import sys
import tempfile
import threading
import time
import unittest

import common
from common import tap
from qtest_client import Machine, TestError, accelerator, exit_text
import uhci_bot

SEED = int(os.environ.get('TERN_TEST_SEED') or random.randrange(1 << 30))
SECTORS = 256
UHCI = '-device piix3-usb-uhci,id=uhci,addr=01.2 '
STEP = 1000000 if accelerator(common.TERN) == 'qtest' else None
UUID = '-uuid 12345678-1234-5678-1234-56789abcdef%d'


class Relay:
    """Passes a connection on, up to a byte of the stream; then it does as it was told.

    then: 'reset' closes both sides, 'source' or 'destination' closes that side only, 'stall'
    passes nothing more until release().  chunk: bytes that are passed on at a time.
    """

    def __init__(self, folder, target, limit=None, then='reset', chunk=1 << 16, family='unix'):
        self.folder = folder
        self.target = target
        self.limit = limit
        self.then = then
        self.chunk = chunk
        self.passed = 0
        self.stopped = threading.Event()
        self.going_on = threading.Event()
        self.ending = threading.Event()
        if family == 'unix':
            self.path = os.path.join(folder, 'relay-%d' % id(self))
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(self.path)
            self.uri = 'unix:' + self.path
        else:
            self.path = None
            self.listener = socket.socket()
            self.listener.bind(('127.0.0.1', 0))
            self.uri = 'tcp:127.0.0.1:%d' % self.listener.getsockname()[1]
        self.listener.listen(1)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.listener.settimeout(60)
        try:
            source, _ = self.listener.accept()
        except OSError:
            return
        destination = connect(self.target)
        with source, destination:
            try:
                self.pump(source, destination)
            except OSError:
                pass
            if source.family == socket.AF_INET:  # a reset, not an orderly end
                for sock in (source, destination):
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
            self.stopped.set()

    def pump(self, source, destination):
        while not self.ending.is_set():
            ready = select.select([source, destination], [], [], 0.05)[0]
            if destination in ready:
                data = destination.recv(1 << 16)
                if not data:
                    return
                source.sendall(data)
            if source not in ready:
                continue
            left = self.chunk if self.limit is None else min(self.chunk, self.limit - self.passed)
            if left == 0:
                if self.then == 'stall':
                    self.stopped.set()
                    self.going_on.wait(120)
                    self.limit = None
                    continue
                self.close_some(source, destination)
                return
            data = source.recv(left)
            if not data:
                # The source has sent all; its end is passed on, an answer may still come back.
                destination.shutdown(socket.SHUT_WR)
                while destination.recv(1 << 16):
                    pass
                return
            destination.sendall(data)
            self.passed += len(data)

    def close_some(self, source, destination):
        """One side is closed at once, the other stays open for a while longer."""
        self.stopped.set()
        if self.then == 'source':
            source.close()
        elif self.then == 'destination':
            destination.close()
        if self.then != 'reset':
            self.ending.wait(0.3)

    def release(self):
        self.going_on.set()

    def close(self):
        self.ending.set()
        self.going_on.set()
        self.listener.close()
        self.thread.join(15)
        if self.path:
            os.unlink(self.path)


def connect(address):
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(address)
    return sock


class Side(Machine):
    """A machine with a USB disk on an image, whose driver the test keeps."""

    def __init__(self, image, args=(), machine='pc', extra='', memory='4'):
        self.image = image
        super().__init__(common.TERN, ['-machine', machine, '-m', memory] + shlex.split(
            UHCI + '-blockdev driver=file,node-name=f0,filename=%s '
            '-device usb-storage,id=stick,drive=f0,bus=uhci.0,port=1 ' % image + extra) + list(args))

    def capabilities(self, **values):
        self.qmp.command('migrate-set-capabilities', {'capabilities': [
            {'capability': name.replace('_', '-'), 'state': state}
            for name, state in values.items()]})

    def status(self):
        return self.qmp.command('query-status')['status']

    def migrate(self, uri):
        self.qmp.command('migrate', {'uri': uri})


class Driver:
    """The guest's side: it survives moves, and knows what the image has to contain."""

    def __init__(self, vm, contents):
        self.contents = contents
        self.controller = uhci_bot.Uhci(vm.qtest, memory=0x100000, step=STEP)
        self.controller.start()
        self.stick = uhci_bot.MassStorage.attach(self.controller)
        self.stick.command([0, 0, 0, 0, 0, 0])
        self.stick.sense()
        self.number = 0
        self.begun = False

    def on(self, vm):
        """The guest runs here now."""
        self.controller.qtest = vm.qtest
        return self

    def begin(self):
        """Leave a command between its CBW and its data: READ CAPACITY."""
        stick = self.stick
        self.controller.pipe(1, stick.endpoint_out, False,
                             stick.cbw([0x25] + [0] * 9, 8, True))
        self.begun = True

    def finish(self):
        """Fetch what begin() asked for."""
        if not self.begun:
            return
        self.begun = False
        data = self.controller.pipe(1, self.stick.endpoint_in, True, 8)
        csw = self.controller.pipe(1, self.stick.endpoint_in, True, 13)
        wanted = struct.pack('>II', SECTORS - 1, 512)
        if data != wanted or csw != b'USBS' + struct.pack('<IIB', self.stick.tag, 0, 0):
            raise TestError('the command in flight gave %s, %s' % (data.hex(), csw.hex()))

    def write(self):
        """Write a sector with new contents, and read another one back."""
        self.number += 1
        sector = self.number * 37 % SECTORS
        data = hashlib.sha512(b'%d' % self.number).digest() * 8
        cdb = struct.pack('>BBIBHB', 0x2a, 0, sector, 0, 1, 0)
        answer = self.stick.command(cdb, data=data)
        if answer.status != 0:
            raise TestError('write: status %d, sense %s' % (answer.status, self.stick.sense()))
        self.contents[sector * 512:(sector + 1) * 512] = data
        self.read((self.number - 1) * 37 % SECTORS)
        self.read(sector)

    def read(self, sector):
        answer = self.stick.command(struct.pack('>BBIBHB', 0x28, 0, sector, 0, 1, 0), 512)
        if answer.status or answer.data != self.contents[sector * 512:(sector + 1) * 512]:
            raise TestError('sector %d is wrong' % sector)


class Base(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.image = os.path.join(self.folder, 'image')
        self.contents = bytearray(random.Random(SEED).randbytes(SECTORS * 512))
        with open(self.image, 'wb') as file:
            file.write(self.contents)
        self.rng = random.Random(SEED)
        self.machines = []
        self.relays = []
        self.count = 0
        self.addCleanup(self.close_all)

    def close_all(self):
        for relay in self.relays:
            relay.close()
        for vm in self.machines:
            vm.close()

    def start(self, args=(), **options):
        vm = Side(self.image, args, **options)
        self.machines.append(vm)
        return vm

    def source(self, **options):
        vm = self.start(**options)
        self.driver = Driver(vm, self.contents)
        self.driver.write()
        vm.capabilities(events=True)
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 33})
        return vm

    def destination(self, **options):
        """A machine that waits; returns it and the path of its socket."""
        self.count += 1
        path = os.path.join(self.folder, 'destination-%d' % self.count)
        vm = self.start(['-incoming', 'unix:' + path], **options)
        return vm, path

    def relay(self, path, *args, **options):
        relay = Relay(self.folder, path, *args, **options)
        self.relays.append(relay)
        return relay

    def drop(self, *things):
        for thing in things:
            thing.close()
            (self.relays if isinstance(thing, Relay) else self.machines).remove(thing)

    def runs(self, vm):
        """The machine is whole here: state, image, the command in flight."""
        self.assertEqual(vm.status(), 'running', vm.stderr())
        self.driver.on(vm).finish()
        self.driver.write()

    def ended(self, vm, timeout=60):
        """A destination without a source: status 1 and a reason."""
        status = vm.wait(timeout)
        self.assertEqual(status, 1, '%s: %s' % (exit_text(status), vm.stderr()))
        self.assertIn('load of migration failed', vm.stderr())

    def moved(self, source, **options):
        """Migrate for good; returns the machine that runs now."""
        vm, path = self.destination(**options)
        source.migrate('unix:' + path)
        info = source.wait_migration()
        self.assertEqual(info['status'], 'completed', '%s %s' % (info, vm.stderr()))
        vm.qmp.wait_event('RESUME')
        self.assertEqual(source.status(), 'postmigrate')
        self.runs(vm)
        self.drop(source)
        vm.capabilities(events=True)
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 33})
        return vm

    def stream_size(self, source):
        """Bytes that a migration takes; it is undone."""
        path = os.path.join(self.folder, 'size')
        source.migrate('exec:cat > "%s"' % path)
        self.assertEqual(source.wait_migration()['status'], 'completed')
        source.qmp.command('cont')
        size = os.path.getsize(path)
        os.unlink(path)
        return size

    def offsets(self, size, fast, slow):
        """Byte offsets: the first ones, the last ones, and samples between."""
        found = {0, 1, 8, 9, 100, size - 1, size - 2, size - 100, size - 12000}
        count = slow if common.LONG else fast
        found |= {self.rng.randrange(size) for _ in range(count)}
        # the devices are in the last part, before the description of some 10 KiB
        found |= {self.rng.randrange(max(size - 14000, 1), size) for _ in range(count)}
        return sorted(offset for offset in found if 0 <= offset < size)


class BrokenConnection(Base):
    failures = 0

    def broken(self, source, offset, then, both_ways, family='unix'):
        """One migration that breaks at a byte; returns the machine that runs."""
        source.capabilities(return_path=both_ways)
        self.driver.begin()
        vm, path = self.destination()
        relay = self.relay(path, offset, then, family=family)
        source.migrate(relay.uri)
        info = source.wait_migration()
        where = '%s at byte %d: %s, %s' % (then, offset, info, source.stderr())
        if info['status'] == 'completed':
            # What was sent may lie in a socket when it breaks; without a way back nobody tells.
            self.assertFalse(both_ways and vm.wait(60), where)
            self.assertEqual(source.status(), 'postmigrate')
            vm.process.poll()
            if not self.took_over(vm):
                source.qmp.command('cont')
                self.runs(source)
            else:
                self.runs(vm)
                self.drop(source, relay)
                vm.capabilities(events=True)
                vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 33})
                return vm
        else:
            self.assertEqual(info['status'], 'failed', where)
            self.assertNotEqual(info.get('error-desc', ''), '', where)
            self.runs(source)
            self.ended(vm)
            self.failures += 1
        self.drop(vm, relay)
        return source

    def took_over(self, vm):
        """Whether the destination has the machine; else it has ended with a message."""
        try:
            if vm.wait_migration(60)['status'] == 'completed':
                return True
        except TestError:
            pass
        self.ended(vm)
        return False

    def check_all(self, then, both_ways, fast, family='unix'):
        source = self.source()
        size = self.stream_size(source)
        offsets = self.offsets(size, fast, fast * 30)
        self.rng.shuffle(offsets)
        for number, offset in enumerate(offsets):
            source = self.broken(source, offset, then, both_ways, family)
            if number % 8 == 7:
                source.capabilities(return_path=both_ways)
                source = self.moved(source)
        # Without a return path the source does not hear of what happens to the last bytes that the socket holds for it.
        self.assertGreater(self.failures, len(offsets) * (9 if both_ways else 3) // 10)
        source = self.moved(source)
        self.check_image(source)

    def check_image(self, vm):
        self.drop(vm)
        with open(self.image, 'rb') as file:
            self.assertTrue(file.read() == self.contents, 'the image is not what was written')

    def test_reset(self):
        self.check_all('reset', False, 5)

    def test_reset_with_return_path(self):
        """With a way back a source never believes in a destination that failed."""
        self.check_all('reset', True, 5)

    def test_reset_of_tcp(self):
        self.check_all('reset', True, 3, 'tcp')

    def test_only_the_source_is_cut_off(self):
        self.check_all('source', True, 2)

    def test_only_the_destination_is_cut_off(self):
        self.check_all('destination', True, 2)

    def test_in_small_pieces(self):
        """One to forty bytes at a time is only slower."""
        source = self.source()
        for chunk in (1, 7, 40, 4097):
            self.driver.begin()
            vm, path = self.destination()
            relay = self.relay(path, chunk=chunk)
            source.capabilities(return_path=bool(chunk & 1))
            source.qmp.command('migrate-set-parameters', {'x-switchover-timeout': 300000})  # 50000 pieces of one byte on a busy host
            source.migrate(relay.uri)
            info = source.wait_migration(300)
            self.assertEqual(info['status'], 'completed', info)
            vm.qmp.wait_event('RESUME')
            self.runs(vm)
            self.drop(source, relay)
            source = vm
        self.check_image(source)

    def test_destination_killed(self):
        """SIGKILL at random moments of a slow migration."""
        source = self.source()
        source.qtest.write(0x200000, os.urandom(1 << 20))  # ten seconds: it does not end before
        for _ in range(60 if common.LONG else 8):
            source.capabilities(return_path=self.rng.randrange(2) == 1)
            self.driver.begin()
            vm, path = self.destination()
            source.qmp.command('migrate-set-parameters', {'max-bandwidth': 100000, 'downtime-limit': 1})
            source.migrate('unix:' + path)
            time.sleep(self.rng.random() * 0.1)
            vm.process.kill()
            info = source.wait_migration()
            source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 33, 'downtime-limit': 300})
            self.assertEqual(info['status'], 'failed', info)
            self.runs(source)
            self.drop(vm)
        source = self.moved(source)
        self.check_image(source)

    def test_nobody_listens(self):
        """A failure before the first byte: an error of the command, or of the migration."""
        source = self.source()
        for uri in ('unix:%s/nobody' % self.folder, 'tcp:127.0.0.1:1', 'exec:exit 3',
                    'exec:/nonexistent/command', 'exec:head -c 1000 >/dev/null',
                    'file:%s/no/file' % self.folder):
            self.driver.begin()
            answer = source.qmp.raw({'execute': 'migrate', 'arguments': {'uri': uri}})
            if 'error' not in answer:
                info = source.wait_migration()
                self.assertEqual(info['status'], 'failed', uri)
                self.assertNotEqual(info.get('error-desc', ''), '', uri)
            self.runs(source)
        self.check_image(self.moved(source))

    def test_full_disk(self):
        """The stream does not fit: the source runs on."""
        source = self.source()
        self.driver.begin()
        source.migrate('file:/dev/full')
        info = source.wait_migration()
        self.assertEqual(info['status'], 'failed')
        self.assertIn('No space left', info['error-desc'])
        self.runs(source)
        self.check_image(self.moved(source))


class Stalls(Base):
    def wait_status(self, vm, status):
        deadline = time.monotonic() + 60
        while vm.qmp.command('query-migrate')['status'] != status:
            self.assertLess(time.monotonic(), deadline, status)
            time.sleep(0.01)

    def quick(self, vm, what):
        start = time.monotonic()
        vm.qmp.command('query-status', timeout=60)
        vm.qmp.command('query-migrate', timeout=60)
        self.assertLess(time.monotonic() - start, 60, what)

    def stall(self, source, offset, both_ways):
        source.capabilities(return_path=both_ways)
        self.driver.begin()
        vm, path = self.destination()
        relay = self.relay(path, offset, 'stall')
        source.migrate(relay.uri)
        return vm, relay

    def test_answers_meanwhile(self):
        """Both sides answer while the stream stands still; then it goes on."""
        source = self.source()
        size = self.stream_size(source)
        for offset in (4, 500, size // 2, size - 13000, size - 11000, size - 1):
            vm, relay = self.stall(source, offset, True)
            relay.stopped.wait(60)
            for side in (source, vm):
                self.quick(side, 'stalled at %d' % offset)
            self.assertIn(vm.status(), ('inmigrate', 'running'))
            relay.release()
            self.assertEqual(source.wait_migration()['status'], 'completed')
            vm.qmp.wait_event('RESUME')
            self.runs(vm)
            self.drop(source, relay)
            source = vm
            source.capabilities(events=True)

    def test_cancel(self):
        """migrate_cancel while the other side takes nothing: the source runs at once."""
        source = self.source(memory='8')
        size = self.stream_size(source)
        for offset in (0, 4, 500, size // 3, size // 2, size - 12500, size - 100, size - 1):
            source.capabilities(return_path=True)
            self.driver.begin()
            vm, path = self.destination(memory='8')
            relay = self.relay(path, offset, 'stall')
            source.migrate(relay.uri)
            relay.stopped.wait(60)
            start = time.monotonic()
            source.qmp.command('migrate_cancel')
            info = source.wait_migration()
            self.assertEqual(info['status'], 'cancelled', 'at %d: %s' % (offset, info))
            self.assertLess(time.monotonic() - start, 60)
            self.runs(source)
            self.drop(relay)
            self.ended(vm)
            self.drop(vm)
        self.moved(source, memory='8')

    def test_destination_can_be_quit(self):
        """quit and SIGTERM end a destination whose source says nothing more."""
        source = self.source()
        size = self.stream_size(source)
        for number, offset in enumerate((0, 30, size // 2, size - 12500)):
            vm, relay = self.stall(source, offset, True)
            relay.stopped.wait(60)
            if number & 1:
                vm.process.terminate()
            else:
                vm.qmp.command('quit')
            self.assertEqual(vm.wait(60), 0, vm.stderr())
            relay.release()
            self.assertEqual(source.wait_migration()['status'], 'failed')
            self.runs(source)
            self.drop(vm, relay)
        self.moved(source)

    def test_source_can_be_quit(self):
        """So can a source whose destination takes nothing; the image is whole."""
        for offset in (100, 20000):
            source = self.source()
            vm, relay = self.stall(source, offset, True)
            relay.stopped.wait(60)
            source.qmp.command('quit')
            self.assertEqual(source.wait(60), 0, source.stderr())
            relay.release()
            self.drop(relay)
            self.ended(vm)
            self.drop(source, vm)
            with open(self.image, 'rb') as file:
                self.assertTrue(file.read() == self.contents)

    def test_silent_listener(self):
        """Connected, and nothing is ever read: a socket's buffer is full, then nothing."""
        source = self.source(memory='16')
        source.qtest.write(0x200000, os.urandom(1 << 20))
        path = os.path.join(self.folder, 'silent')
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(1)
            self.driver.begin()
            source.migrate('unix:' + path)
            silent, _ = listener.accept()
            with silent:
                self.wait_status(source, 'active')
                time.sleep(0.3)
                self.quick(source, 'nothing is read')
                self.assertEqual(source.qmp.command('query-migrate')['status'], 'active')
                self.assertEqual(source.status(), 'running')
                self.runs(source)
                source.qmp.command('migrate_cancel')
                self.assertEqual(source.wait_migration()['status'], 'cancelled')
        self.runs(source)


class OnOneSide(Base):
    def test_cancel_at_random(self):
        """Cancelled in time or too late, one of the two runs."""
        source = self.source()
        seen = set()
        for number in range(200 if common.LONG else 20):
            source.capabilities(return_path=number & 1 == 1)
            self.driver.begin()
            vm, path = self.destination()
            source.migrate('unix:' + path)
            time.sleep(self.rng.random() ** 2 * 0.02)
            source.qmp.command('migrate_cancel')
            info = source.wait_migration()
            seen.add(info['status'])
            if info['status'] == 'completed':
                vm.qmp.wait_event('RESUME')
                self.runs(vm)
                self.drop(source)
                source = vm
                source.capabilities(events=True)
                source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 33})
            else:
                self.assertEqual(info['status'], 'cancelled', info)
                self.runs(source)
                self.ended(vm)
                self.drop(vm)
        self.assertIn('cancelled', seen)
        self.moved(source)

    def test_second_try_of_incoming(self):
        """-incoming defer: an address that does not work, then one that does."""
        source = self.source()
        vm = self.start(['-incoming', 'defer'])
        for uri in ('tcp:nosuch', 'unix:/nonexistent/socket', 'nosuch:x', 'fd:nosuch',
                    'file:/nonexistent'):
            with self.assertRaises(TestError):
                vm.qmp.command('migrate-incoming', {'uri': uri})
        self.assertEqual(vm.status(), 'inmigrate')
        path = os.path.join(self.folder, 'second')
        vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
        with self.assertRaises(TestError):
            vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
        self.driver.begin()
        source.migrate('unix:' + path)
        self.assertEqual(source.wait_migration()['status'], 'completed')
        vm.qmp.wait_event('RESUME')
        self.runs(vm)

    def test_without_exit_on_error(self):
        """exit-on-error false: the destination says what failed, and waits for another source."""
        source = self.source()
        size = self.stream_size(source)
        vm = self.start(['-incoming', 'defer'])
        for offset in (0, 100, size // 2, size - 12500):
            path = os.path.join(self.folder, 'try-%d' % offset)
            vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path, 'exit-on-error': False})
            source.capabilities(return_path=True)
            self.driver.begin()
            relay = self.relay(path, offset)
            source.migrate(relay.uri)
            self.assertEqual(source.wait_migration()['status'], 'failed')
            info = vm.wait_migration()
            self.assertEqual(info['status'], 'failed')
            self.assertNotEqual(info.get('error-desc', ''), '')
            self.assertIsNone(vm.process.poll())
            self.runs(source)
            self.drop(relay)
        path = os.path.join(self.folder, 'last')
        vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
        self.driver.begin()
        source.migrate('unix:' + path)
        self.assertEqual(source.wait_migration()['status'], 'completed')
        vm.qmp.wait_event('RESUME')
        self.runs(vm)

    def test_capabilities_on_one_side(self):
        """Those that only one side has to know make no difference."""
        source = self.source()
        for name in ('events', 'return-path', 'pause-before-switchover', 'late-block-activate'):
            for there in (False, True):
                vm = self.start(['-incoming', 'defer'])
                for other in ('events', 'return-path', 'pause-before-switchover',
                              'late-block-activate'):
                    vm.capabilities(**{other: there and other == name})
                    source.capabilities(**{other: not there and other == name})
                path = os.path.join(self.folder, '%s-%d' % (name, there))
                vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
                self.driver.begin()
                source.migrate('unix:' + path)
                if name == 'pause-before-switchover' and not there:
                    while source.qmp.command('query-migrate')['status'] != 'pre-switchover':
                        source.qmp.poll_events(0.01)
                    self.assertEqual(source.status(), 'finish-migrate')
                    source.qmp.command('migrate-continue', {'state': 'pre-switchover'})
                info = source.wait_migration()
                self.assertEqual(info['status'], 'completed', '%s: %s' % (name, info))
                vm.qmp.wait_event('RESUME')
                self.runs(vm)
                self.drop(source)
                source = vm

    def test_cancel_before_switchover(self):
        """A source that waits for migrate-continue can be cancelled, and runs."""
        source = self.source()
        source.capabilities(pause_before_switchover=True)
        for _ in range(3):
            self.driver.begin()
            vm, path = self.destination()
            source.migrate('unix:' + path)
            while source.qmp.command('query-migrate')['status'] != 'pre-switchover':
                source.qmp.poll_events(0.01)
            source.qmp.command('migrate_cancel')
            self.assertEqual(source.wait_migration()['status'], 'cancelled')
            self.runs(source)
            self.ended(vm)
            self.drop(vm)
        source.capabilities(pause_before_switchover=False)
        self.moved(source)

    def refused(self, source, vm, path, *words):
        self.driver.begin()
        source.capabilities(return_path=True)
        source.migrate('unix:' + path)
        self.assertEqual(source.wait_migration()['status'], 'failed')
        self.ended(vm)
        for word in words:
            self.assertIn(word, vm.stderr())
        self.runs(source)
        self.drop(vm)

    def test_uuid(self):
        """validate-uuid: another UUID is refused by name, on whichever side it is asked for."""
        source = self.source(extra=UUID % 1)
        for mine, theirs in ((True, True), (True, False)):
            vm = self.start(['-incoming', 'defer'], extra=UUID % 2)
            vm.capabilities(validate_uuid=theirs)
            source.capabilities(validate_uuid=mine)
            path = os.path.join(self.folder, 'uuid-%d' % theirs)
            vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
            if theirs:
                self.refused(source, vm, path, (UUID % 1).split()[1], (UUID % 2).split()[1])
            else:
                self.driver.begin()
                source.migrate('unix:' + path)
                self.assertIn(source.wait_migration()['status'], ('completed', 'failed'))
                if not self.still_there(vm):
                    self.runs(source)
                else:
                    vm.qmp.wait_event('RESUME')
                    self.runs(vm)
                    source = vm

    @staticmethod
    def still_there(vm):
        try:
            return vm.wait_migration(60)['status'] == 'completed'
        except TestError:
            return False

    def test_shared_memory_on_one_side(self):
        """x-ignore-shared has to be on at both sides; else it is refused by name."""
        source = self.source()
        vm = self.start(['-incoming', 'defer'])
        path = os.path.join(self.folder, 'shared')
        vm.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
        source.capabilities(x_ignore_shared=True)
        self.refused(source, vm, path, 'x-ignore-shared')
        source.capabilities(x_ignore_shared=False)
        self.moved(source)

    def test_other_machine(self):
        """The destination's refusal reaches a source that can hear it; it runs on."""
        source = self.source()
        for options, word in (({'machine': 'pc-i440fx-9.0'}, 'pc-i440fx-9.0'),
                              ({'memory': '8'}, 'pc.ram')):
            vm, path = self.destination(**options)
            self.refused(source, vm, path, word)
        self.moved(source)

    def test_two_sources(self):
        """A second connection to a destination disturbs nobody."""
        source = self.source()
        size = self.stream_size(source)
        vm, path = self.destination()
        relay = self.relay(path, size // 2, 'stall')
        self.driver.begin()
        source.migrate(relay.uri)
        relay.stopped.wait(60)
        with socket.socket(socket.AF_UNIX) as other:
            try:
                other.connect(path)
                other.sendall(b'QEVM garbage')
            except OSError:
                pass
            relay.release()
            self.assertEqual(source.wait_migration()['status'], 'completed')
        vm.qmp.wait_event('RESUME')
        self.runs(vm)

    def test_monitor_goes_away(self):
        """A client that starts a migration and leaves does not end it."""
        source = self.source()
        second = os.path.join(self.folder, 'qmp')
        source.qmp.command('chardev-add', {'id': 'second', 'backend': {'type': 'socket', 'data': {
            'server': True, 'wait': False,
            'addr': {'type': 'unix', 'data': {'path': second}}}}})
        vm, path = self.destination()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(second)
            self.driver.begin()
            source.migrate('unix:' + path)
        self.assertEqual(source.wait_migration()['status'], 'completed')
        vm.qmp.wait_event('RESUME')
        self.runs(vm)


if __name__ == '__main__':
    print('# TERN_TEST_SEED=%d' % SEED)
    sys.stdout.flush()
    tap.main()
