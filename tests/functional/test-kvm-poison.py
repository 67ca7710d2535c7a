# SPDX-License-Identifier: GPL-2.0-or-later
"""A page that the host has lost becomes a machine check of the guest (guests/kvm-guest.S, POISON), here and after a move.

Poison is made by x-poison-page; where the kernel does it itself (MADV_HWPOISON) by that as well: test-nested-kvm.py runs this in a
kernel that can. Skipped without /dev/kvm, and without the assembler.
"""

import os
import struct
import time
import unittest

import common
from common import tap
from qtest_client import Machine, TestError

kvm = common.load(os.path.join(common.HERE, 'test-kvm.py'))
HEARTBEAT = kvm.HEARTBEAT
CHECKS, CHECK_MCG, CHECK_STATUS, CHECK_ADDRESS, SKIP = 0x7014, 0x7018, 0x701c, 0x7024, 0x7028
AMD, INTEL = 'qemu64,vendor=AuthenticAMD', 'qemu64,vendor=GenuineIntel,family=6,model=60'


NESTED = 'TERN_GUEST_ROMS' in os.environ


def setUpModule():
    kvm.setUpModule()


@unittest.skipIf(NESTED and not common.LONG, 'TERN_TEST_LONG is not set')
class Poison(kvm.KvmCase):
    """A page that the host has lost (x-poison-page: really unreadable) becomes a machine check, here and after a move."""
    LOST = 0x123000

    def lose(self, machine, notice, address=LOST):
        try:
            machine.qmp.command('x-poison-page', {'address': address, 'notice': notice})
        except TestError as err:
            if 'UFFDIO_POISON' in str(err):
                self.skipTest(str(err))
            raise

    def check_is(self, machine, mcg, status):
        """The last machine check: bits of MCG_STATUS, upper and lower half of the bank's status."""
        self.assertEqual(self.word(machine, CHECK_ADDRESS), self.LOST)
        self.assertEqual(self.word(machine, CHECK_MCG), mcg)
        self.assertEqual((self.word(machine, CHECK_STATUS + 4), self.word(machine, CHECK_STATUS)), status)

    def entry(self, machine):
        entry, = machine.qmp.command('x-query-memory-errors')
        return entry

    def test_touched(self):
        for cpu, status in ((AMD, (0xbc000800, 0x134)), (INTEL, (0xbd800000, 0x134))):
            with self.subTest(cpu=cpu):
                machine = self.start('POISON', '-cpu', cpu)
                self.wait(machine, HEARTBEAT, 2)
                self.lose(machine, 'none')
                self.wait(machine, CHECKS, 1)
                self.check_is(machine, 7, status)
                event = machine.qmp.wait_event('MEMORY_FAILURE')
                self.assertEqual(event['data'], {'recipient': 'guest', 'action': 'inject',
                                                 'flags': {'action-required': True, 'recursive': False}})
                entry = self.entry(machine)
                self.assertTrue(entry['reported'] and entry['action-required'])
                self.goes_on(machine)
                self.assertEqual(self.word(machine, CHECKS), 1)
                for _ in range(2):
                    machine = self.move(machine, 'POISON', '-cpu', cpu)
                    self.goes_on(machine)
                    self.assertTrue(self.entry(machine)['reported'])
                machine.qtest.write(SKIP, bytes(4))  # it forgets; the page does not
                self.wait(machine, CHECKS, 2)
                self.check_is(machine, 7, status)

    def test_noticed_by_the_host(self):
        machine = self.start('POISON', '-cpu', INTEL)
        self.wait(machine, HEARTBEAT, 2)
        machine.qmp.command('stop')
        self.lose(machine, 'action-optional')
        event = machine.qmp.wait_event('MEMORY_FAILURE')
        self.assertEqual(event['data']['action'], 'inject')
        self.assertFalse(event['data']['flags']['action-required'])
        self.assertTrue(self.entry(machine)['reported'])
        machine.qmp.command('cont')
        self.wait(machine, CHECKS, 1)
        self.check_is(machine, 5, (0xbd000000, 0xc0))
        self.goes_on(self.move(machine, 'POISON', '-cpu', INTEL))

    def test_deferred_error_stands_in_the_bank(self):
        """AMD: no exception; the guest that polls finds it. The one that does not touches the page."""
        machine = self.start('POISON', '-cpu', AMD)
        self.wait(machine, HEARTBEAT, 1)
        machine.qmp.command('x-poison-page', {'address': 0x800000, 'notice': 'action-optional'})
        self.assertEqual(machine.qmp.wait_event('MEMORY_FAILURE')['data']['action'], 'inject')
        machine.qmp.command('stop')
        saved = self.path('deferred')
        machine.qmp.command('migrate', {'uri': f'exec:cat > {saved}'})
        self.assertEqual(machine.wait_migration()['status'], 'completed')
        with open(saved, 'rb') as file:
            self.assertIn(struct.pack('>QQQ', 0x9c00180000000134, 0x800000, 0x8c), file.read())

    def test_guest_that_takes_no_machine_check_is_reset(self):
        machine = self.start('NO_MCE')
        self.wait(machine, HEARTBEAT, 2)
        self.lose(machine, 'none')
        event = machine.qmp.wait_event('MEMORY_FAILURE')
        self.assertEqual(event['data'], {'recipient': 'guest', 'action': 'reset',
                                         'flags': {'action-required': True, 'recursive': False}})
        machine.qmp.wait_event('RESET')
        self.assertEqual(machine.qmp.command('x-query-memory-errors'), [])
        self.goes_on(self.move(machine, 'NO_MCE'))

    def test_unreported_until_the_guest_takes_machine_checks(self):
        machine = self.start('NO_MCE', '-S')
        self.lose(machine, 'action-optional')
        self.assertEqual(machine.qmp.wait_event('MEMORY_FAILURE')['data']['action'], 'ignore')
        with self.assertRaisesRegex(TestError, 'guest address 0x123000'):
            machine.qmp.command('migrate', {'uri': 'exec:cat >/dev/null'})
        machine.qmp.command('system_reset')
        machine.qmp.wait_event('RESET')
        machine.qmp.command('migrate', {'uri': 'exec:cat >/dev/null'})

    def test_optional_one_is_told_later(self):
        machine = self.start('POISON', '-cpu', INTEL, '-S')
        self.lose(machine, 'action-optional')
        self.assertEqual(machine.qmp.wait_event('MEMORY_FAILURE')['data']['action'], 'ignore')
        machine.qmp.command('cont')
        self.wait(machine, CHECKS, 1)
        self.assertTrue(self.entry(machine)['reported'])
        self.goes_on(self.move(machine, 'POISON', '-cpu', INTEL))

    def test_guest_that_takes_no_machine_check_with_no_reboot(self):
        machine = self.start('NO_MCE', '-no-reboot', '-no-shutdown')
        self.wait(machine, HEARTBEAT, 2)
        self.lose(machine, 'none')
        self.assertEqual(machine.qmp.wait_event('MEMORY_FAILURE')['data']['action'], 'reset')
        event = machine.qmp.wait_event('SHUTDOWN')
        self.assertEqual(event['data'], {'guest': True, 'reason': 'guest-reset'})
        self.assertEqual(machine.qmp.command('query-status')['status'], 'shutdown')

    def test_lost_while_another_one_is_handled(self):
        """The handler meets the page in which it counts: nothing can be said to a guest that is being told something."""
        machine = self.start('POISON', '-cpu', INTEL)
        self.wait(machine, HEARTBEAT, 2)
        machine.qmp.command('stop')
        self.lose(machine, 'none', HEARTBEAT)
        machine.qmp.command('cont')
        first, second = (machine.qmp.wait_event('MEMORY_FAILURE')['data'] for _ in range(2))
        self.assertEqual(first, {'recipient': 'guest', 'action': 'inject', 'flags': {'action-required': True, 'recursive': False}})
        self.assertEqual(second, {'recipient': 'guest', 'action': 'reset', 'flags': {'action-required': True, 'recursive': True}})
        machine.qmp.wait_event('RESET')
        self.assertEqual(machine.qmp.command('x-query-memory-errors'), [])
        self.goes_on(machine)

    def test_source_loses_it_after_the_hand_over(self):
        """By postcopy: the guest runs over there, and is told there, not at the source."""
        source = self.start('POISON', '-cpu', INTEL)
        self.wait(source, HEARTBEAT, 2)
        destination = self.start('POISON', '-cpu', INTEL, '-incoming', 'defer')
        for machine in (source, destination):
            machine.qmp.command('migrate-set-capabilities', {'capabilities': [{'capability': 'postcopy-ram', 'state': True}]})
        # nothing comes then that nobody waits for
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 16, 'max-postcopy-bandwidth': 1})
        source.qtest.write(0x500000, os.urandom(0x100000))
        destination.qmp.command('migrate-incoming', {'uri': 'unix:' + self.path('move')})
        source.qmp.command('migrate', {'uri': 'unix:' + self.path('move')})
        source.qmp.command('migrate-start-postcopy')
        self.wait_status(source, 'query-migrate', 'postcopy-active')
        self.wait_status(destination, 'query-status', 'running')
        source.qmp.command('x-poison-page', {'address': 0x5ff000, 'notice': 'action-optional'})
        self.assertEqual(source.qmp.wait_event('MEMORY_FAILURE')['data'],
                         {'recipient': 'guest', 'action': 'ignore', 'flags': {'action-required': False, 'recursive': False}})
        self.assertIn('it is told where it runs', source.stderr())
        source.qmp.command('migrate-set-parameters', {'max-postcopy-bandwidth': 0})
        for machine in (source, destination):
            self.assertEqual(machine.wait_migration()['status'], 'completed', machine.stderr())
        self.assertEqual(destination.qmp.wait_event('MEMORY_FAILURE')['data']['action'], 'inject')
        entry, = destination.qmp.command('x-query-memory-errors')
        self.assertTrue(entry['reported'])
        self.assertEqual(entry['address'], 0x5ff000)
        self.assertFalse([event for event in source.qmp.poll_events() if event['event'] == 'MEMORY_FAILURE'])
        entry, = source.qmp.command('x-query-memory-errors')
        self.assertFalse(entry['reported'])


# What is known of stock (7.2.22, 10.0.2) in the same place; `Stock` looks at some of it.
STOCK = {
    'idle': ('completes', 'refuses to migrate any machine that has met an error'),
    'paused': ('the source dies of SIGBUS', 'refuses'),
    'walk': ('the source dies of SIGBUS', 'refuses'),
    'file': ('the source dies of SIGBUS', 'refuses'),
    'multifd': ('the source dies of SIGBUS', 'refuses'),
    'postcopy': ('the source dies when the destination runs already', 'refuses'),
    'while it moves': ('the source dies', 'the source dies'),
    'destination': ('completes: its reset maps the page anew', 'the destination dies, the source goes on'),
    'reset, then it moves': ('completes', 'refuses'),
    'no CR4.MCE': ('the guest is reset, then it completes', 'not looked at'),
}


class Hardware(kvm.KvmCase):
    """The kernel's own poison: real signals."""
    LOST = 0x123000
    INCOMING = ('-incoming', 'defer')

    def saw(self, scenario, text):
        seven, ten = STOCK[scenario]
        print(f'# saw {scenario}: {text} | stock 7.2: {seven}; 10.0: {ten}')

    def start(self, guest, *more, accel=None):
        return super().start(guest, '-cpu', INTEL, *more, accel=accel)

    def lose(self, machine, address=LOST):
        try:
            machine.qmp.command('x-poison-page', {'address': address, 'notice': 'hardware'})
        except TestError as err:
            if 'MADV_HWPOISON' in str(err):
                self.skipTest(str(err))
            raise

    def running(self, *more):
        machine = self.start('POISON', *more)
        self.wait(machine, HEARTBEAT, 2)
        return machine

    def entry(self, machine):
        entry, = machine.qmp.command('x-query-memory-errors')
        return entry

    def told(self, machine):
        """Until the guest knows; what kind of check it had."""
        self.wait(machine, CHECKS, 1)
        self.assertEqual(self.word(machine, CHECK_ADDRESS), self.LOST)
        deadline = time.monotonic() + kvm.SECONDS
        while not self.entry(machine)['reported']:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.goes_on(machine)
        return 'required' if self.word(machine, CHECK_MCG) & 2 else 'optional'

    def forgets(self, machine):
        """The guest touches the page once more: an error again, not zeros."""
        count = self.word(machine, CHECKS)
        machine.qtest.write(SKIP, bytes(4))
        self.wait(machine, CHECKS, count + 1)
        self.assertEqual(self.word(machine, CHECK_ADDRESS), self.LOST)
        self.goes_on(machine)

    def arrives(self, source, destination):
        status = source.wait_migration()
        self.assertEqual(status['status'], 'completed', status.get('error-desc'))
        self.wait_status(destination, 'query-status', 'running')

    @staticmethod
    def make_slow(source):
        """Its precopy has not come to an end when it is asked for postcopy."""
        source.qtest.write(0x600000, os.urandom(0x100000))
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 16})

    def connect(self, source, destination, uri, *capabilities):
        for machine in (source, destination):
            for name in capabilities:
                machine.qmp.command('migrate-set-capabilities', {'capabilities': [{'capability': name, 'state': True}]})
        if not uri.startswith('file:'):
            destination.qmp.command('migrate-incoming', {'uri': uri})
        source.qmp.command('migrate', {'uri': uri})

    def send(self, source, uri, *capabilities):
        """The guest is told, and meets the error again where it goes on."""
        kind = self.told(source)
        destination = self.start('POISON', *self.INCOMING)
        if 'postcopy-ram' in capabilities:
            self.make_slow(source)
        self.connect(source, destination, uri, *capabilities)
        if 'postcopy-ram' in capabilities:
            source.qmp.command('migrate-start-postcopy')
        if uri.startswith('file:'):
            source.wait_migration()
            destination.qmp.command('migrate-incoming', {'uri': uri})
        self.arrives(source, destination)
        source.close()
        self.goes_on(destination)
        self.assertTrue(self.entry(destination)['reported'])
        self.forgets(destination)
        self.sent = (f'the guest was told (action {kind}), moved, and gets the error again at the destination '
                     f'({self.word(destination, CHECKS)} checks)')
        return destination

    def socket(self):
        return 'unix:' + self.path('poison')

    def test_idle(self):
        """The guest halts; nobody touches the page before it has moved: the kernel's notice alone."""
        machine = self.start('HALT')
        self.wait(machine, HEARTBEAT, 1)
        self.lose(machine)
        action = machine.qmp.wait_event('MEMORY_FAILURE')['data']['action']
        if not self.entry(machine)['reported']:  # the small guest takes no machine checks: nothing is sent
            with self.assertRaisesRegex(TestError, 'guest address 0x123000'):
                machine.qmp.command('migrate', {'uri': self.socket()})
            machine.qmp.command('system_reset')
            machine.qmp.wait_event('RESET')
        destination = self.start('HALT', *self.INCOMING)
        self.connect(machine, destination, self.socket())
        self.arrives(machine, destination)
        self.saw('idle', f'{action}: refused by name as long as the guest cannot be told; after a reset it moves')

    def test_guest_walks_over_it_and_moves_twice(self):
        machine = self.running()
        self.lose(machine)
        destination = self.send(machine, self.socket())
        self.send(destination, self.socket())
        self.saw('walk', self.sent + ', twice')

    def test_paused(self):
        machine = self.running()
        machine.qmp.command('stop')
        self.lose(machine)
        self.assertEqual(machine.qmp.wait_event('MEMORY_FAILURE')['data']['action'], 'inject')
        machine.qmp.command('cont')
        self.send(machine, self.socket())
        self.saw('paused', self.sent)

    def test_to_a_file(self):
        machine = self.running()
        self.lose(machine)
        self.told(machine)
        machine.qmp.command('pmemsave', {'val': self.LOST - 4096, 'size': 3 * 4096, 'filename': self.path('memory')})
        with open(self.path('memory'), 'rb') as file:
            self.assertEqual(file.read()[4096:8192], bytes(4096))
        self.send(machine, 'file:' + self.path('stream'))
        self.saw('file', self.sent + '; pmemsave has zeros')

    def test_multifd(self):
        machine = self.running()
        self.lose(machine)
        self.send(machine, self.socket(), 'multifd')
        self.saw('multifd', self.sent)

    def test_postcopy(self):
        machine = self.running()
        self.lose(machine)
        self.send(machine, self.socket(), 'postcopy-ram')
        self.saw('postcopy', self.sent)

    def test_while_it_moves(self):
        machine = self.running()
        machine.qtest.write(0x400000, b'x' * 0x400000)
        destination = self.start('POISON', *self.INCOMING)
        machine.qmp.command('migrate-set-parameters', {'max-bandwidth': 200000})
        self.connect(machine, destination, self.socket())
        deadline = time.monotonic() + kvm.SECONDS
        while machine.qmp.command('query-migrate').get('ram', {}).get('transferred', 0) < 100000:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)
        self.lose(machine)
        machine.qmp.command('migrate-set-parameters', {'max-bandwidth': 0})
        self.arrives(machine, destination)
        kind = self.told(destination)
        self.saw('while it moves', f'it goes on, and the guest has been told (action {kind})')

    def test_destination(self):
        """Its memory fails before the content has come: a fresh page. By postcopy, too."""
        for capabilities in ((), ('multifd',), ('postcopy-ram',)):
            machine = self.running()
            machine.qtest.write(0x500000, b'content')
            destination = self.start('POISON', *self.INCOMING)
            self.lose(destination, 0x500000)
            if 'postcopy-ram' in capabilities:
                self.make_slow(machine)
            self.connect(machine, destination, self.socket(), *capabilities)
            if 'postcopy-ram' in capabilities:
                machine.qmp.command('migrate-start-postcopy')
            self.arrives(machine, destination)
            self.assertEqual(destination.qtest.read(0x500000, 7), b'content')
            self.assertEqual(destination.qmp.command('x-query-memory-errors'), [])
            self.goes_on(destination)
            machine.close()
            destination.close()
        self.saw('destination', 'a fresh page takes its place, the content is right: stream, multifd, postcopy')

    def test_reset_then_migrate(self):
        machine = self.running()
        self.lose(machine)
        self.told(machine)
        machine.qmp.command('system_reset')
        machine.qmp.wait_event('RESET')
        self.assertEqual(machine.qmp.command('x-query-memory-errors'), [])
        self.goes_on(self.move(machine, 'POISON'))
        self.saw('reset, then it moves', 'a fresh page, an empty list, no error at the destination')

    def test_guest_that_takes_no_machine_check(self):
        machine = self.start('NO_MCE')
        self.wait(machine, HEARTBEAT, 2)
        self.lose(machine)
        machine.qmp.wait_event('RESET')
        self.assertEqual(machine.qmp.command('x-query-memory-errors'), [])
        self.goes_on(self.move(machine, 'NO_MCE'))
        self.saw('no CR4.MCE', 'the guest is reset, has a fresh page, and moves')


@unittest.skipUnless(NESTED and common.LONG and common.stock(), 'not nested, TERN_TEST_LONG is not set, or no stock emulator')
class Stock(kvm.KvmCase):
    """What is printed of stock, looked at: nothing is demanded of it."""
    LOST = 0x123000

    def begin(self, guest, *more):
        machine = Machine(common.stock()[0], ['-M', 'pc-i440fx-7.2', '-m', '16M', '-bios', self.rom(guest), '-cpu', INTEL, *more],
                          accel='kvm')
        self.addCleanup(machine.close)
        if not more:
            self.wait(machine, HEARTBEAT, 1)
        return machine

    @staticmethod
    def lose(machine, address=LOST):
        inside = common.load(os.path.join(common.HERE, 'nested-inside.py'))
        machine.qtest.write(address, bytes(4))  # a page that is not there cannot be lost
        inside.lose_page(machine.pid, inside.ram_start(machine.pid, 16 << 20) + address)

    @staticmethod
    def outcome(machine):
        try:
            machine.qmp.command('migrate', {'uri': 'exec:cat >/dev/null'})
            info = machine.wait_migration()
            return info['status'] + ' ' + info.get('error-desc', '')
        except TestError as err:
            return ' '.join(str(err).split())[:160]

    def case(self, name, guest, *steps):
        machine = self.begin(guest)
        done = []
        try:
            for step in steps:
                done.append(step(machine) or '')
        except TestError as err:
            done.append(' '.join(str(err).split())[:160])
        except (AssertionError, OSError) as err:
            done.append(type(err).__name__ + ': ' + ' '.join(str(err).split())[:160])
        print(f'# saw stock {common.stock()[1]}, {name}: ' + ' '.join(filter(None, done)))
        machine.close()

    def told(self, machine):
        self.wait(machine, CHECKS, 1, seconds=60)

    @staticmethod
    def reset(machine):
        machine.qmp.command('system_reset')
        machine.qmp.wait_event('RESET')

    @staticmethod
    def is_reset(machine):
        machine.qmp.wait_event('RESET')
        return 'the guest is reset;'

    def test_what_it_does(self):
        self.case('idle', 'HALT', self.lose, self.outcome)
        self.case('walk', 'POISON', self.lose, self.told, self.outcome)
        self.case('reset, then it moves', 'POISON', self.lose, self.told, self.reset, self.outcome)
        self.case('no CR4.MCE', 'NO_MCE', self.lose, self.is_reset, self.outcome)


if __name__ == '__main__':
    tap.main()
