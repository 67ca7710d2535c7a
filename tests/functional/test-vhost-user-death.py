#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A back end that dies, falls silent or lies at each message of a recorded session.

Every step of vhost_session.py is run once to count its messages.  Then, for each of them, the step is run
again with a back end to which something happens there.  Whatever happens: the guest's accesses come back,
the monitor answers, memory is as it was, a migration ends and leaves a machine that can go on; the guest is
told (NEEDS_RESET), or, with a chardev that connects again, served.  Behind it the next back end serves requests.

TERN_TEST_LONG=1: every message in all combinations; else every STRIDE-th, with another beginning in each of some
combinations. A back end that is silent is waited for, so many sessions do that side by side (TERN_TEST_SESSIONS).
"""

import collections
import contextlib
from concurrent.futures import ThreadPoolExecutor
import itertools
import os
import re
import tempfile
import threading
import time
import unittest

import common
from common import tap
from qtest_client import Machine, TestError
from vhost_session import KINDS, VARIANTS, Session
from vhost_user import wait_for

STRIDE = 1 if common.LONG else 23
SHARE = 7  # every so manieth combination without TERN_TEST_LONG
PATTERN = 0x2000000  # where the guest keeps something
# what happens; the last ones lie, and do so only where there is an answer
DEATHS = ('die', 'die-after')
LIES = ('wrong-id', 'wrong-flags', 'wrong-size', 'huge-size', 'extra-fd', 'twice')
STEPS = ('start', 'reset_and_start', 'reset_queue', 'system_reset', 'stop_and_continue', 'migrate_and_continue',
         'migrate_and_cancel', 'delete')
# machines side by side: where each accident takes a second of waiting, and where it takes processor time
WAITING = int(os.environ.get('TERN_TEST_SESSIONS', '16' if common.LONG else '2'))
WORKING = 2 if common.LONG else 1
TIMEOUT = 1000  # ms that a back end has for an answer in the middle of an accident, where it may be silent
begin = itertools.count()
Accident = collections.namedtuple('Accident', 'step number total action')


def settled(ask, quiet):
    """How many messages a back end has had when none has come for so many seconds."""
    seen, since = -1, time.monotonic()
    while time.monotonic() - since < quiet:
        now = ask()['messages']
        if now != seen:
            seen, since = now, time.monotonic()
        time.sleep(0.01)
    return seen


class Supervisor:
    """Starts the back end again when it has died, as a service manager does."""

    def __init__(self, session):
        self.session, self.over, self.error = session, False, None
        self.lock = threading.Lock()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while not self.over:
            with self.lock:
                if self.session.backend.process.poll() is not None:
                    try:
                        self.session.new_backend()
                    except TestError as err:
                        self.error = err
                        return
            time.sleep(0.005)

    def close(self):
        self.over = True
        self.thread.join()


class Victim(Session):
    """A session whose back end has accidents."""

    def __init__(self, *args, short=None, **options):
        if short and args[0].netdev:  # its time limit is fixed
            options['timeout'] = 3 * short
        super().__init__(*args, **options)
        self.supervisor, self.short = None, short
        self.vm.qtest.write(PATTERN, b'mine' * 1024)

    def prepare(self):
        """A device that runs and serves."""
        self.add()
        if self.reconnect:
            self.supervisor = Supervisor(self)
            self.callback(self.supervisor.close)
        self.start()
        self.request()

    def ask(self, word='counts'):
        """Counts of the back end; None if it is dead."""
        if self.supervisor:
            with self.supervisor.lock:
                if self.supervisor.error:
                    raise TestError('the supervisor has failed') from self.supervisor.error
                return self.ask_now(word)
        return self.ask_now(word)

    def ask_now(self, word):
        try:
            return self.backend.ask(word)
        except (OSError, ValueError, TestError):
            return None

    def settled(self):
        """How many messages there have been when no more come."""
        return settled(self.ask, 0.1)

    def count(self, step):
        """How many messages the step has, from the first to what makes the device serve again."""
        before = self.settled()
        getattr(self, step)()
        if step != 'delete':
            self.request()
        after = self.settled()
        if step == 'delete':
            self.bring_back()
        return after - before

    def bring_back(self):
        """Another device in its place, with a back end without accidents."""
        if self.supervisor:
            self.supervisor.close()
        self.delete()
        self.forget()
        self.add()
        if self.reconnect:
            self.supervisor = Supervisor(self)
            self.callback(self.supervisor.close)
        self.start()
        self.request()

    @contextlib.contextmanager
    def impatient(self):
        """What is asked for meanwhile is waited for as long as `short` says; elsewhere a busy host may take its time."""
        if self.short:
            self.set_timeout(self.short)
        try:
            yield
        finally:
            if self.short:
                self.set_timeout(self.timeout)

    def set_timeout(self, timeout):
        if self.plugged and not self.kind.netdev:
            self.vm.qmp.command('qom-set', {'path': '/machine/peripheral/d0', 'property': 'reply-timeout',
                                            'value': timeout}, 60)

    def accident(self, step, number, what):
        """Runs the step with that at its number-th message, and looks at everything behind it."""
        before, fired = self.backend, self.ask()['fired']
        self.ask('rule *#+%d=%s' % (number, what))
        outcome = None
        with self.impatient():
            try:
                outcome = getattr(self, step)()
            except TestError as err:
                # the driver's own steps may find a card that wants a reset; what must not be is a timeout
                if re.search('no answer|closed|did not|does not', str(err)):
                    raise
                outcome = str(err)
            self.alive()
        if self.vm.qtest.read(PATTERN, 4096) != b'mine' * 1024:
            raise TestError('guest memory was damaged')
        counts = self.ask()
        happened = self.backend is not before or counts is None or counts['fired'] > fired
        if step == 'delete' or not self.reconnect:
            if happened and self.plugged and not wait_for(lambda: self.needs_reset, 60):
                raise TestError('the guest was not told: status 0x%x, %s' % (self.card.status, outcome))
            self.bring_back()
        else:
            self.serves_again()
        return happened, outcome

    def serves_again(self):
        """With another back end, or the same one on another connection; a guest that was told starts again."""
        for _ in range(20):
            if self.needs_reset or not self.card.status & 4:
                self.ask('forget')
                self.start()
            try:
                self.request(10)
                self.ask('forget')
                return
            except TestError:
                if not self.needs_reset:
                    raise
        raise TestError('the device does not come back')


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='vd')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def victim(self, kind, variant, reconnect, **options):
        victim = Victim(KINDS[kind], VARIANTS[variant], tempfile.mkdtemp(dir=self.folder), reconnect, **options)
        self.addCleanup(victim.close)
        return victim

    def share_out(self, sessions, make, work, victim):
        """Runs work(victim) for `sessions` victims at a time, one of which is there; their results."""
        with ThreadPoolExecutor(sessions) as pool:
            others = [pool.submit(lambda: work(make())) for _ in range(sessions - 1)]
            return [work(victim)] + [other.result() for other in others]

    def walk(self, make, actions, sessions, steps=STEPS):
        """Each action at each message of each step."""
        victim = make()
        victim.prepare()
        plan = collections.deque()
        offset = next(begin) * 7
        for step in steps:
            if step.startswith('migrate') and not victim.migrates:
                continue
            total = victim.count(step)
            for number, action in itertools.product(range(1, total + 1), actions):
                offset += 1
                if not offset % STRIDE:
                    plan.append(Accident(step, number, total, action))
        runs = len(plan)
        missed = sum(self.share_out(min(sessions, runs), make, lambda one: self.suffer(one, plan), victim))
        self.assertGreater(runs, 0)
        self.assertLess(missed, runs, 'no accident happened')
        print('# %s %s%s: %d accidents, %d without an effect' % (
            victim.kind.name, victim.variant.name, ', connects again' if victim.reconnect else '', runs, missed))

    def suffer(self, victim, plan):
        """Takes accidents from the plan; how many had no effect."""
        missed = 0
        if not victim.plugged:
            victim.prepare()
        while plan:
            try:
                accident = plan.popleft()
            except IndexError:
                break  # another was quicker
            try:
                missed += not victim.accident(accident.step, accident.number, accident.action)[0]
            except TestError as err:
                plan.clear()
                self.fail('%s: %s at message %d of %d: %s\n%s' % (
                    accident.step, accident.action, accident.number, accident.total, err, victim.vm.stderr()[-2000:]))
        victim.vm.qmp.command('quit')
        self.assertEqual(victim.vm.wait(), 0)
        return missed


class Death(Case):
    """At any message, before it is acted upon and behind its answer."""

    def die(self, kind, variant, reconnect):
        self.walk(lambda: self.victim(kind, variant, reconnect), DEATHS, WORKING)


class Silence(Case):
    """The wait is bounded."""

    def silent(self, kind, variant, reconnect):
        self.walk(lambda: self.victim(kind, variant, reconnect, short=TIMEOUT), ('silent',), WAITING)


class Lies(Case):
    """Wrong number, flags, size; a descriptor too many; an answer too many."""

    def lie(self, kind, variant, reconnect):
        self.walk(lambda: self.victim(kind, variant, reconnect, short=TIMEOUT), LIES, WORKING)


class Negotiation(Case):
    """At the first messages of a new connection."""

    def negotiate(self, kind, variant):
        """device_add fails by name, and the machine goes on."""
        victim = self.victim(kind, variant, False, timeout=1000)
        victim.add()
        total = victim.settled()
        victim.delete()
        victim.forget()
        for number in range(1, total + 1, 1 if common.LONG else 3):
            for action in DEATHS + ('silent',) + LIES:
                try:
                    victim.add(['*#%d=%s' % (number, action)])
                except TestError as err:
                    self.assertRegex(str(err), 'back end|reply|descriptor|cannot send')
                victim.alive()
                victim.delete()
                victim.forget()
        victim.add()
        victim.start()
        victim.request()
        victim.vm.qmp.command('quit')
        self.assertEqual(victim.vm.wait(), 0)

    def reconnect(self, kind, variant):
        """The back end that comes back has an accident, too; the one behind it serves."""
        victim = self.victim(kind, variant, True, timeout=1000)
        victim.prepare()
        total = None
        number = 0
        while total is None or number <= total:
            for action in ('die',) if total is None else ('die', 'die-after', 'silent'):
                rules = ['*#%d=%s' % (number, action)] if total is not None else []
                with victim.supervisor.lock:
                    victim.new_backend(rules)
                if total is None:
                    victim.serves_again()
                    total = victim.settled()
                # a rule of a connection, and not of the next one: the one who is silent is left alone
                if action == 'silent' and rules:
                    wait_for(lambda: (victim.ask() or {'fired': 1})['fired'], 2)
                    victim.ask('forget')
                victim.serves_again()
                victim.alive()
            number += 1 if common.LONG else 7
        self.assertGreater(total, 10)


class Arrival(Case):
    """The back end of the destination, at each message of an incoming migration."""

    def arrive(self, kind, variant):
        victim = self.victim(kind, variant, False, timeout=TIMEOUT)
        victim.prepare()
        total = self.move(victim, [])
        self.assertGreater(total, 10)
        numbers = range(1, total + 1, 1 if common.LONG else 9)
        plan = collections.deque(itertools.product(numbers, DEATHS + ('silent',) + (LIES if common.LONG else ())))
        runs = len(plan)
        self.share_out(WAITING, lambda: self.victim(kind, variant, False, timeout=TIMEOUT),
                       lambda one: self.suffer_arrivals(one, plan), victim)
        print('# arrival of %s %s: %d accidents' % (kind, variant, runs))

    def suffer_arrivals(self, victim, plan):
        if not victim.plugged:
            victim.prepare()
        while plan:
            try:
                number, action = plan.popleft()
            except IndexError:
                break  # another was quicker
            try:
                self.move(victim, ['*#%d=%s' % (number, action)])
            except (TestError, AssertionError) as err:
                plan.clear()
                raise self.failureException('%s at message %d: %s' % (action, number, err)) from err
        victim.vm.qmp.command('quit')
        self.assertEqual(victim.vm.wait(), 0)

    def move(self, victim, rules):
        """One migration; the source goes on behind it. Returns the messages of the destination's back end."""
        other, stream = os.path.join(victim.folder, 'd'), 'unix:' + os.path.join(victim.folder, 'm')
        backend = victim.start_backend(rules, other, os.path.join(victim.folder, 'other'))
        try:
            try:
                target = Machine(common.TERN, victim.machine_arguments() + victim.arguments_at(other) + [
                    '-incoming', 'defer'])
            except TestError as err:
                if not rules or not re.search('exit status 1', str(err)):
                    raise
                return 0  # it died while the device was made: the destination says so and ends
            with target:
                for vm in target, victim.vm:
                    vm.qmp.command('migrate-set-capabilities', {
                        'capabilities': [{'capability': 'return-path', 'state': True}]})
                target.qmp.command('migrate-incoming', {'uri': stream})
                status = victim.migrate(stream)
                if status == 'completed':
                    target.qmp.wait_event('RESUME', 60)
                    target.qmp.command('query-status')
                    target.qtest.ask('readb 0x0', 60)
                    self.assertEqual(target.qtest.read(PATTERN, 4096), b'mine' * 1024)
                else:
                    self.assertTrue(rules, status)
                    self.assertTrue(wait_for(lambda: target.process.poll() is not None, 60))
                    self.assertEqual(target.process.poll(), 1)
                    self.assertRegex(target.stderr(), 'device d0|back end')
                messages = 0 if rules else settled(backend.ask, 0.2)
            victim.go_on()
            victim.request()
            self.assertEqual(victim.vm.qtest.read(PATTERN, 4096), b'mine' * 1024)
            return messages
        finally:
            backend.kill()


class Seen(Case):
    """What these tests found, each by what one sees."""

    def test_reset_with_a_back_end_that_dies_leaves_a_device_that_never_starts(self):
        victim = self.victim('blk', 'no-ack', False)
        victim.prepare()
        self.assertTrue(victim.accident('start', 5, 'die')[0])

    def test_lie_while_the_log_is_set_up_leaves_the_guest_waiting(self):
        victim = self.victim('blk', 'full', False)
        victim.prepare()
        for number in 1, 2:
            self.assertEqual(victim.accident('migrate_and_continue', number, 'wrong-id'), (True, 'failed'))

    def test_back_end_that_says_more_behind_a_lie_is_waited_for_forever(self):
        victim = self.victim('blk', 'no-ack', True, timeout=1000)
        victim.prepare()
        for number in range(1, 5):
            victim.accident('start', number, 'twice')

    def test_unplugged_device_leaves_rings_that_run(self):
        victim = self.victim('scsi', 'full', False)
        victim.prepare()
        for _ in range(5):
            before = len(victim.backend.messages())
            victim.delete()
            stopped = [line for line in victim.backend.messages()[before:] if line.startswith('< GET_VRING_BASE')]
            self.assertEqual(len(stopped), 3)
            victim.bring_back()


def method(name, *args):
    return lambda self: getattr(self, name)(*args)


def make_tests():
    """A test for each kind, with the variants that differ for it; without TERN_TEST_LONG some of each."""
    number = 0
    for kind in KINDS:
        for variant in ('full', 'no-ack') if kind != 'net' else ('full', 'no-ack', 'no-protocol'):
            words = '%s_%s' % (kind, variant.replace('-', '_'))
            tests = []
            for reconnect in False, True:
                end = words + ('_with_reconnect' if reconnect else '')
                tests += [(Death, end, method('die', kind, variant, reconnect)),
                          (Silence, end, method('silent', kind, variant, reconnect)),
                          (Lies, end, method('lie', kind, variant, reconnect))]
            tests += [(Negotiation, words, method('negotiate', kind, variant)),
                      (Negotiation, 'reconnect_' + words, method('reconnect', kind, variant))]
            if VARIANTS[variant].migrates and kind != 'generic':
                tests.append((Arrival, words, method('arrive', kind, variant)))
            for case, name, test in tests:
                number += 1
                if common.LONG or number % SHARE == 1:
                    setattr(case, 'test_' + name, test)


make_tests()
if __name__ == '__main__':
    tap.main()
