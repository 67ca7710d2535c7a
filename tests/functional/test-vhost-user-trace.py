#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a vhost-user back end hears, scenario by scenario.

Each kind of device goes through vhost_session.py with back ends of different abilities.  The messages of each
scenario are those of tests/golden/vhost-user/KIND-VARIANT.txt, and every connection is checked against the rules
of the specification (vhost_order.py), which know nothing of those files.  TERN_UPDATE_GOLDEN=1 writes them anew.
"""

import glob
import os
import re
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Machine
import vhost_order
from vhost_session import KINDS, VARIANTS, Session, fits
from vhost_user import wait_for

GOLDEN = os.path.join(common.SOURCE, 'tests/golden/vhost-user')
UPDATE = bool(os.environ.get('TERN_UPDATE_GOLDEN'))
# title, steps; each ends with a request, so that everything that was to be said has been said
SCENARIOS = (
    ('start', ('add', 'start', 'request')),
    ('guest reset', ('reset_and_start', 'request')),
    ('queue reset', ('reset_queue', 'request')),
    ('machine reset', ('system_reset', 'request')),
    ('stop and continue', ('stop_and_continue', 'request')),
    ('migration, source', ('migrate_and_continue', 'request')),
    ('migration, cancelled', ('migrate_and_cancel', 'request')),
    ('reconnect', ('new_backend', 'request')),
    ('unplug', ('delete',)),
)


def read_golden(path):
    """Scenario → lines."""
    found = {}
    if os.path.exists(path):
        with open(path, encoding='ascii') as file:
            for line in file.read().splitlines():
                if line.startswith('## '):
                    found[line[3:]] = lines = []
                else:
                    lines.append(line)
    return found


class Recorder:
    """Takes the trace of one back end piece by piece."""

    def __init__(self, path):
        self.path, self.taken = path, 0

    def lines(self):
        with open(self.path, encoding='ascii') as file:
            return file.read().splitlines()

    def more(self, expected):
        """What has come since; waits for as much as is expected, or, without that, until nothing more comes."""
        if expected is not None:
            wait_for(lambda: len(self.lines()) >= self.taken + expected, 60)
        else:
            seen, since = -1, time.monotonic()
            while time.monotonic() - since < 0.5:
                if len(self.lines()) != seen:
                    seen, since = len(self.lines()), time.monotonic()
                time.sleep(0.01)
        new = self.lines()[self.taken:]
        self.taken += len(new)
        return new


class Trace(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='vt')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def obeys(self, title, lines):
        self.assertEqual(vhost_order.violations(lines), [], title)

    def travel(self, kind, variant):
        """All scenarios; compares each."""
        path = os.path.join(GOLDEN, '%s-%s.txt' % (kind.name, variant.name))
        golden, got = ({} if UPDATE else read_golden(path)), {}
        with Session(kind, variant, self.folder, reconnect=True) as session:
            recorder = Recorder(session.trace)
            for title, steps in SCENARIOS:
                if title.startswith('migration') and not session.migrates:
                    continue
                if title == 'reconnect':
                    self.obeys('first connection', recorder.lines())
                    recorder = Recorder(session.trace)
                for step in steps:
                    getattr(session, step)()
                got[title] = recorder.more(None if UPDATE else len(golden.get(title, [])))
                if title == 'migration, source':
                    got['migration, destination'] = self.destination(session, golden)
            self.obeys('second connection', recorder.lines())
        if UPDATE:
            with open(path, 'w', encoding='ascii') as file:
                for title, lines in got.items():
                    file.write('## %s\n%s\n' % (title, '\n'.join(lines)) if lines else '## %s\n' % title)
        else:
            for title, lines in got.items():
                self.assertEqual(lines, golden.get(title), '%s-%s: %s' % (kind.name, variant.name, title))
            self.assertEqual(list(got), list(golden))

    def destination(self, session, golden):
        """The other side's back end, from the beginning to the first request there."""
        title = 'migration, destination'
        other, trace = os.path.join(self.folder, 'd'), os.path.join(self.folder, 'other')
        backend = session.start_backend((), other, trace)
        stream = 'unix:' + os.path.join(self.folder, 'm')
        try:
            with Machine(common.TERN, session.machine_arguments() + session.arguments_at(other) + [
                    '-incoming', stream]) as target:
                self.assertEqual(session.migrate(stream), 'completed')
                target.qmp.wait_event('RESUME', 60)
                source, session.vm = session.vm, target
                session.card.moved(target)
                session.request()
                session.vm = source
                session.card.moved(source)
                lines = Recorder(trace).more(None if UPDATE else len(golden.get(title, [])))
        finally:
            backend.kill()
        self.obeys(title, lines)
        session.go_on()
        return lines


def add_tests():
    for kind in KINDS.values():
        for variant in VARIANTS.values():
            if fits(kind, variant):
                setattr(Trace, 'test_%s_%s' % (kind.name, variant.name.replace('-', '_')),
                        lambda self, k=kind, v=variant: self.travel(k, v))


class Order(unittest.TestCase):
    """The rules find what is wrong."""

    def lines(self, name='session-ack'):
        with open(os.path.join(GOLDEN, name + '.txt'), encoding='ascii') as file:
            return file.read().splitlines()

    def breaks(self, change, pattern, name='session-ack'):
        lines = self.lines(name)
        change(lines)
        self.assertRegex('\n'.join(vhost_order.violations(lines)), pattern)

    def test_golden_sessions(self):
        for path in glob.glob(os.path.join(GOLDEN, 'session-*.txt')):
            name = os.path.basename(path)[:-4]
            self.assertEqual(vhost_order.violations(self.lines(name)), [], name)

    @staticmethod
    def at(lines, pattern, nth=0):
        return [i for i, line in enumerate(lines) if re.search(pattern, line)][nth]

    def test_lines_that_are_missing(self):
        """Without any one of these a session is not one."""
        for pattern, found in (('> SET_OWNER', 'before SET_OWNER'), ('> SET_VRING_NUM', 'before SET_VRING_NUM'),
                               ('> SET_MEM_TABLE', 'memory table'),
                               ('> SET_FEATURES', 'SET_FEATURES|FEATURES'), ('< SET_MEM_TABLE', 'has not come'),
                               ('< SET_VRING_ENABLE', 'has not come'), ('> SET_VRING_ADDR', 'before SET_VRING_ADDR'),
                               ('> SET_PROTOCOL_FEATURES', 'agreed upon|NEED_REPLY')):
            self.breaks(lambda lines, p=pattern: lines.pop(self.at(lines, p)), found)

    def test_lines_that_are_changed(self):
        for old, new, found in (('SET_VRING_ENABLE flags 0x9', 'SET_VRING_ENABLE flags 0x1', 'has not been waited for'),
                                ('GET_FEATURES flags 0x1', 'GET_FEATURES flags 0x9', 'NEED_REPLY'),
                                ('SET_OWNER flags 0x1', 'SET_OWNER flags 0x0', 'flags 0x0'),
                                ('SET_VRING_NUM flags 0x1 size 8', 'SET_VRING_NUM flags 0x1 size 9', '9 bytes'),
                                ('SET_VRING_ADDR (.*): ring 0', r'SET_VRING_ADDR \1: ring 0 log', 'log'),
                                ('SET_MEM_TABLE (.*)1 regions', r'SET_MEM_TABLE \g<1>2 regions', 'with 1 descriptors'),
                                ('SET_FEATURES (.*)0x1', r'SET_FEATURES \g<1>0x11', 'not offered'),
                                ('SET_PROTOCOL_FEATURES (.*)0x1', r'SET_PROTOCOL_FEATURES \g<1>0x41', 'not offered')):
            def change(lines, old=old, new=new):
                at = self.at(lines, '> ' + old)
                lines[at] = re.sub(old, new, lines[at])
            self.breaks(change, found)

    def test_features_again_and_no_enable(self):
        """What stock's network does: rings that are not enabled again behind a later SET_FEATURES."""
        def change(lines):
            end = self.at(lines, '< SET_VRING_ENABLE', 1) + 1
            lines[end:] = [lines[self.at(lines, '> SET_FEATURES')]]
        self.breaks(change, 'ring 0 was not enabled again')

    def test_enable_before_the_ring_is_set_up(self):
        def change(lines):
            at = self.at(lines, '> SET_VRING_ENABLE')
            pair = [lines.pop(at), lines.pop(at)]
            num = self.at(lines, '> SET_VRING_NUM')
            lines[num:num] = pair
        self.breaks(change, 'has not been set up')

    def test_log_feature_before_the_log(self):
        def change(lines):
            at = self.at(lines, '> SET_FEATURES')
            lines[at] = lines[at].replace('0x140000000', '0x144000000')
        self.breaks(change, 'LOG_ALL before SET_LOG_BASE')

    def test_no_barrier_without_reply_ack(self):
        def change(lines):
            at = self.at(lines, '> SET_VRING_ENABLE') + 1
            del lines[at:at + 2]
        self.breaks(change, 'has not been waited for', 'session-no-ack')


add_tests()
if __name__ == '__main__':
    tap.main()
