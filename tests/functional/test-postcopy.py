#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Postcopy between Tern and Tern: what the source gives back to the host meanwhile (release-ram); who has the guest."""

import os
import random
import signal
import tempfile
import time
import unittest

from between import Between
from common import TERN, tap
from qtest_client import Machine, TestError

MIB = 1 << 20
PAGE = 4096
SIZE = 24
DATA = range(1, 21)     # megabytes that are not zero
ARGS = ('-machine', 'pc-i440fx-10.0', '-m', '%dM' % SIZE)
END = bytes.fromhex('0123456789abcdef')
GOLDEN = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'golden', 'memory-errors', 'ram-lost.txt')
RUNS = bytes.fromhex('0002000400000003')    # the answer to the ping at the end of the package


class Liar(Between):
    """Passes on everything, but says that nothing has arrived when the source asks in a recovery."""

    said = b''

    def answers(self, data):
        self.said += data
        passed = b''
        while self.said[:2] == b'\0\5':     # a bitmap
            head = 4 + int.from_bytes(self.said[2:4], 'big') + 8
            size = int.from_bytes(self.said[head - 8:head], 'big')
            if len(self.said) < 4 or len(self.said) < head + size + 8:
                return passed
            assert self.said[head + size:head + size + 8] == END
            passed += self.said[:head] + bytes(size) + END
            self.said = self.said[head + size + 8:]
        passed += self.said
        self.said = b''
        return passed


class Hole(Between):
    """Passes on everything, until swallow is set: then what the source sends is taken and goes nowhere."""

    swallow = False
    swallowed = 0

    def questions(self, data):
        if not self.swallow:
            return data
        self.swallowed += len(data)
        return b''


class Listener(Between):
    """Keeps what the destination says."""

    said = b''

    def answers(self, data):
        self.said += data
        return data


class Recorder(Between):
    """Keeps what the source says."""

    said = b''

    def questions(self, data):
        self.said += data
        return data


class Postcopy(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        rng = random.Random(5)
        self.memory = {mib: rng.randbytes(MIB) for mib in DATA}

    def path(self, name):
        return os.path.join(self.folder, name)

    def pair(self, *more, source_only=(), target_only=(), capabilities=('release-ram',)):
        machines = []
        for end in (source_only, (*target_only, '-incoming', 'defer')):
            vm = Machine(TERN, [*ARGS, *more, *end], accel='qtest')
            self.addCleanup(vm.close)
            vm.qmp.command('migrate-set-capabilities', {'capabilities': [
                {'capability': name, 'state': True} for name in ('postcopy-ram', *capabilities)]})
            machines.append(vm)
        source, target = machines
        for mib, data in self.memory.items():
            source.qtest.write(mib * MIB, data)
        return source, target

    @staticmethod
    def resident(vm):
        """Of the guest's memory, MiB."""
        with open('/proc/%d/smaps' % vm.pid, encoding='ascii') as file:
            lines = file.read().splitlines()
        sizes = [int(line.split()[1]) for line in lines if line.startswith('Rss:')]
        return sum(sizes) // 1024

    def wait(self, what, *args):
        deadline = time.monotonic() + 90
        while not what(*args):
            if time.monotonic() > deadline:
                self.fail('waited too long for %s%s' % (what.__name__, args))
            time.sleep(0.02)

    @staticmethod
    def is_status(vm, status):
        return vm.qmp.command('query-migrate').get('status') == status

    @staticmethod
    def runs(vm):
        return vm.qmp.command('query-status')['status'] == 'running'

    def has_sent(self, vm, least):
        info = vm.qmp.command('query-migrate')
        self.assertIn(info['status'], ('setup', 'active'), info)
        return info.get('ram', {}).get('transferred', 0) > least

    def start(self, source, target, via=None):
        """Part of the memory has gone. What is between them, if via is a class of such."""
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 8 * MIB, 'downtime-limit': 1})
        target.qmp.command('migrate-incoming', {'uri': 'unix:' + self.path('m'), 'exit-on-error': False})
        between = via(self.path('v'), self.path('m')) if via else None
        if between:
            self.addCleanup(between.close)
        source.qmp.command('migrate', {'uri': 'unix:' + self.path('v' if via else 'm')})
        self.wait(self.has_sent, source, 5 * MIB)
        return between

    def hand_over_unheard(self, source, target):
        """Until all that the guest needs to run has been sent to a destination that does not read it."""
        between = self.start(source, target, Between)
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1000})
        self.wait(between.drained)      # the socket has room for what follows
        os.kill(target.pid, signal.SIGSTOP)
        source.qmp.command('migrate-start-postcopy')
        self.wait(self.is_status, source, 'postcopy-active')

    def begin(self, source, target, rate=6 * MIB, via=None):
        """Until the guest runs over there; part of the memory has gone before."""
        source.qmp.command('migrate-set-parameters', {'max-postcopy-bandwidth': rate})
        between = self.start(source, target, via)
        source.qmp.command('migrate-start-postcopy')
        self.wait(lambda: self.is_status(source, 'postcopy-active') or self.is_status(source, 'completed'))
        return between

    def shrinks(self, vm, by, start):
        return self.resident(vm) <= start - by

    def finish(self, source, target):
        source.qmp.command('migrate-set-parameters', {'max-postcopy-bandwidth': 0})
        for vm in (source, target):
            self.assertEqual(vm.wait_migration(40)['status'], 'completed', vm.stderr())
        self.check(target)

    def check(self, target):
        for mib in range(1, SIZE - 1, 2):
            self.assertEqual(target.qtest.read(mib * MIB, MIB), self.memory.get(mib, bytes(MIB)), mib)

    def paused(self, *machines):
        for vm in machines:
            self.wait(self.is_status, vm, 'postcopy-paused')

    def resume(self, source, target, via=None):
        """Over another connection; what is between them, as start()."""
        target.qmp.command('migrate-recover', {'uri': 'unix:' + self.path('r')})
        between = via(self.path('p'), self.path('r')) if via else None
        if between:
            self.addCleanup(between.close)
        source.qmp.command('migrate', {'uri': 'unix:' + self.path('p' if via else 'r'), 'resume': True})
        return between

    def recover(self, source, target, via=None):
        source.qmp.command('migrate-pause')
        self.paused(source, target)
        return self.resume(source, target, via)

    def test_memory_is_given_back_while_it_goes_over(self):
        for more in ((), ('-object', 'memory-backend-memfd,id=m,size=%dM,share=on' % SIZE, '-machine', 'memory-backend=m')):
            with self.subTest(more=more):
                source, target = self.pair(*more)
                full = self.resident(source)
                self.begin(source, target)
                self.wait(self.shrinks, source, 5, full)       # what went before, and more as it goes on
                self.wait(self.shrinks, source, 11, full)
                self.finish(source, target)
                self.assertTrue(self.shrinks(source, 15, full), (full, self.resident(source)))
                with self.assertRaisesRegex(TestError, r'given back to the host \(release-ram\)'):
                    source.qmp.command('cont')
                self.assertEqual(source.qmp.command('query-status')['status'], 'postmigrate')
                source.close()
                target.close()

    def test_an_image_stays_the_destinations_when_memory_was_given_back(self):
        image = self.path('disk.img')
        with open(image, 'wb') as file:
            file.truncate(MIB)
        source, target = self.pair('-drive', 'file=%s,format=raw' % image)
        self.begin(source, target, 0)
        self.finish(source, target)
        with self.assertRaisesRegex(TestError, r'given back to the host \(release-ram\)'):
            source.qmp.command('cont')

    def test_a_file_with_a_name_is_kept(self):
        file = 'memory-backend-file,id=m,size=%dM,share=on,mem-path=%s' % (SIZE, self.path('ram'))
        source, target = self.pair('-machine', 'memory-backend=m', source_only=('-object', file),
                                   target_only=('-object', 'memory-backend-ram,id=m,size=%dM' % SIZE))
        self.begin(source, target, 0)
        self.finish(source, target)
        with open(self.path('ram'), 'rb') as file:
            file.seek(5 * MIB)
            self.assertEqual(file.read(MIB), self.memory[5])

    def test_without_the_capability_nothing_is_given_back(self):
        source, target = self.pair(capabilities=())
        full = self.resident(source)
        self.begin(source, target, 0)
        self.finish(source, target)
        self.assertFalse(self.shrinks(source, 4, full))
        source.qmp.command('cont')

    def test_a_connection_that_breaks_loses_nothing(self):
        """What the kernel had taken, but nobody has read, is still here."""
        source, target = self.pair()
        full = self.resident(source)
        self.begin(source, target)
        for _ in range(2):
            before = self.resident(source)
            self.wait(self.shrinks, source, 3, min(before, full))
            self.recover(source, target)
            self.wait(self.is_status, source, 'postcopy-active')
        self.finish(source, target)

    def test_what_was_sent_and_never_read_is_still_here(self):
        source, target = self.pair()
        full = self.resident(source)
        hole = self.begin(source, target, via=Hole)
        self.wait(self.shrinks, source, 3, full)
        hole.swallow = True
        self.wait(lambda: hole.swallowed > 7 * MIB)     # more than is sent between two answers
        self.recover(source, target)
        self.wait(self.is_status, source, 'postcopy-active')
        self.finish(source, target)

    def test_a_destination_that_misses_what_it_had_is_refused(self):
        source, target = self.pair()
        full = self.resident(source)
        self.begin(source, target, 3 * MIB)
        self.wait(self.shrinks, source, 5, full)
        self.recover(source, target, Liar)
        self.wait(lambda: 'is missing there' in source.stderr())
        self.wait(self.is_status, source, 'postcopy-paused')
        self.assertIn("release-ram has given back to the host, is missing there", source.stderr())
        self.wait(self.is_status, target, 'postcopy-paused')
        target.qmp.command('migrate-recover', {'uri': 'unix:' + self.path('r')})
        source.qmp.command('migrate', {'uri': 'unix:' + self.path('r'), 'resume': True})
        self.wait(self.is_status, source, 'postcopy-active')
        self.finish(source, target)

    def test_a_guest_that_is_reset_while_its_memory_still_comes(self):
        source, target = self.pair()
        self.begin(source, target, 4 * MIB)
        target.qmp.command('system_reset')
        self.assertTrue(target.qmp.wait_event('RESET'))
        self.assertEqual(target.qmp.command('query-status')['status'], 'running')
        self.finish(source, target)

    def test_a_page_that_the_source_loses_meanwhile_is_an_event_over_there(self):
        source, target = self.pair(capabilities=())
        self.begin(source, target, 1 * MIB)
        source.qmp.command('x-poison-page', {'address': 19 * MIB, 'notice': 'none'})
        source.qmp.command('migrate-set-parameters', {'max-postcopy-bandwidth': 0})
        event = target.qmp.wait_event('MEMORY_FAILURE')
        self.assertEqual(event['data']['flags'], {'action-required': False, 'recursive': False})
        for vm in (source, target):
            self.assertEqual(vm.wait_migration(40)['status'], 'completed', vm.stderr())
        lost, = target.qmp.command('x-query-memory-errors')
        self.assertEqual((lost['offset'], lost['size'], lost['origin']), (19 * MIB, PAGE, 'migration'))
        self.assertEqual(target.qtest.read(19 * MIB + PAGE, MIB - PAGE), self.memory[19][PAGE:])

    def test_a_destination_that_refuses_while_the_source_is_busy_does_not_strand_the_guest(self):
        """Its word is read later than the end of the connection is seen by who writes."""
        fifo = self.path('fifo')
        os.mkfifo(fifo)
        source, target = self.pair(source_only=('-device', 'virtio-balloon-pci'), capabilities=())
        self.hand_over_unheard(source, target)
        source.qmp.say({'execute': 'pmemsave', 'arguments': {'val': 0, 'size': PAGE, 'filename': fifo}})   # until somebody reads
        os.kill(target.pid, signal.SIGCONT)
        self.wait(self.is_status, target, 'failed')
        time.sleep(0.3)
        with open(fifo, 'rb') as file:
            self.assertEqual(len(file.read()), PAGE)
        self.assertEqual(source.qmp.answer(), {'return': {}})
        info = source.wait_migration(40)
        self.assertEqual((info['status'], info['error-desc']), ('failed', 'the destination could not load the stream'))
        self.assertEqual(source.qmp.command('query-status')['status'], 'running')
        self.assertEqual(source.qtest.read(20 * MIB, MIB), self.memory[20])

    def test_a_guest_that_runs_is_not_taken_back_because_the_word_of_it_was_lost_once(self):
        """The destination says it again on the connection that recovers."""
        source, target = self.pair(capabilities=())
        between = self.start(source, target, Between)
        source.qmp.command('migrate-set-parameters', {'max-postcopy-bandwidth': 100000})
        between.hold_answers()
        source.qmp.command('migrate-start-postcopy')
        self.wait(self.is_status, source, 'postcopy-active')
        self.wait(self.runs, target)
        between.cut()
        self.paused(source, target)
        between = self.resume(source, target, Listener)
        self.wait(lambda: RUNS in between.said)
        self.wait(self.is_status, source, 'postcopy-active')
        source.qmp.command('migrate-pause')
        self.paused(source, target)
        source.qmp.command('migrate_cancel')
        time.sleep(0.2)
        self.assertTrue(self.is_status(source, 'postcopy-paused'))
        self.resume(source, target)
        self.finish(source, target)

    def test_a_guest_whose_images_the_destination_cannot_have_runs_on(self):
        """It has all of the package, but does not come to run it."""
        for name in ('here', 'there'):
            with open(self.path(name), 'wb') as file:
                file.truncate(MIB)
        drive = 'if=ide,format=raw,file='
        source, target = self.pair(source_only=('-drive', drive + self.path('here')), target_only=('-drive', drive + self.path('there')),
                                   capabilities=())
        holder = Machine(TERN, ['-machine', 'pc', '-drive', drive + self.path('there')], accel='qtest')
        self.addCleanup(holder.close)
        self.start(source, target)
        source.qmp.command('migrate-start-postcopy')
        self.wait(self.is_status, target, 'failed')
        self.assertIn('lock', target.qmp.command('query-migrate')['error-desc'])
        info = source.wait_migration(40)
        self.assertEqual((info['status'], info['error-desc']), ('failed', 'the destination could not load the stream'))
        self.assertEqual(source.qmp.command('query-status')['status'], 'running')
        self.assertEqual(source.qtest.read(20 * MIB, MIB), self.memory[20])

    def test_a_paused_source_that_quits_takes_nothing_back(self):
        source, target = self.pair(capabilities=())
        self.hand_over_unheard(source, target)
        os.kill(target.pid, signal.SIGKILL)
        self.paused(source)
        source.qmp.command('quit')
        self.assertEqual(source.wait(), 0)
        self.assertIn("the program ended before the destination had all of the guest's memory", source.stderr())
        self.assertNotIn('taken back', source.stderr())

    def test_a_guest_that_was_taken_back_is_not_handed_over_again(self):
        """What a manager says after migrate_cancel comes too late, however soon."""
        source, target = self.pair(capabilities=())
        self.hand_over_unheard(source, target)
        os.kill(target.pid, signal.SIGKILL)
        self.paused(source)
        source.qmp.say({'execute': 'migrate_cancel'},
                       {'execute': 'migrate', 'arguments': {'uri': 'unix:' + self.path('nobody'), 'resume': True}})
        self.assertEqual(source.qmp.answer(), {'return': {}})
        self.assertIn('resume', source.qmp.answer()['error']['desc'])
        self.assertEqual(source.wait_migration(40)['status'], 'cancelled')
        time.sleep(0.1)
        self.assertTrue(self.is_status(source, 'cancelled'))
        self.assertEqual(source.qmp.command('query-status')['status'], 'running')
        self.assertEqual(source.qtest.read(20 * MIB, MIB), self.memory[20])

    def test_the_item_of_a_lost_page_is_the_golden_one(self):
        """Byte by byte: who waits for the page is told of it by a section of its own."""
        with open(GOLDEN, encoding='ascii') as file:
            lines = [line for line in file if not line.startswith('#')]
        golden = b''.join(bytes.fromhex(line.split('  ')[0]) for line in lines)
        source, target = self.pair(capabilities=())
        recorder = self.begin(source, target, 1000, via=Recorder)
        self.wait(self.runs, target)
        source.qmp.command('x-poison-page', {'address': 19 * MIB, 'notice': 'none'})
        self.assertNotIn(golden, recorder.said)
        self.assertEqual(target.qtest.read(19 * MIB, 8), b'\xff' * 8)
        self.assertIn(golden, recorder.said)

    def test_a_migration_that_does_not_go_on_by_postcopy_gives_nothing_back(self):
        source, target = self.pair()
        full = self.resident(source)
        target.qmp.command('migrate-incoming', {'uri': 'unix:' + self.path('m')})
        source.qmp.command('migrate', {'uri': 'unix:' + self.path('m')})
        for vm in (source, target):
            self.assertEqual(vm.wait_migration(40)['status'], 'completed')
        self.assertFalse(self.shrinks(source, 4, full))
        source.qmp.command('cont')


if __name__ == '__main__':
    tap.main()
