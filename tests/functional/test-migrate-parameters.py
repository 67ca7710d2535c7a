#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Parameters of migration in the monitor: each can be set and seen, and what stock has it says in the same words."""

import unittest

import common
from common import tap

# (what is set, what is shown then; None: it is refused)
SETTINGS = (
    ('announce-initial 0', 'announce-initial: 0 ms'), ('announce-max 600', 'announce-max: 600 ms'),
    ('announce-rounds 0', 'announce-rounds: 0'), ('announce-step 7', 'announce-step: 7 ms'), ('announce-initial 100001', None),
    ('throttle-trigger-threshold 99', 'throttle-trigger-threshold: 99'), ('throttle-trigger-threshold 0', None),
    ('cpu-throttle-initial 30', 'cpu-throttle-initial: 30'), ('cpu-throttle-increment 5', 'cpu-throttle-increment: 5'),
    ('cpu-throttle-tailslow on', 'cpu-throttle-tailslow: on'), ('cpu-throttle-tailslow maybe', None),
    ('max-cpu-throttle 29', None), ('max-cpu-throttle 100', None), ('max-cpu-throttle 300', None), ('max-cpu-throttle abc', None),
    ('max-cpu-throttle 31', 'max-cpu-throttle: 31'),
    ('max-bandwidth 3', 'max-bandwidth: 3145728 bytes/second'), ('max-bandwidth 1k', 'max-bandwidth: 1024 bytes/second'),
    ('max-bandwidth x', None), ('avail-switchover-bandwidth 5', 'avail-switchover-bandwidth: 5242880 bytes/second'),
    ('downtime-limit 0x10', 'downtime-limit: 16 ms'), ('downtime-limit 2000001', None),
    ('multifd-channels 255', 'multifd-channels: 255'), ('multifd-channels 0', None), ('multifd-channels 256', None),
    ('multifd-compression zstd', 'multifd-compression: zstd'), ('multifd-compression bad', None),
    ('multifd-zlib-level 9', ''), ('multifd-zlib-level 10', None), ('multifd-zstd-level 20', ''), ('multifd-zstd-level 21', None),
    ('zero-page-detection none', 'zero-page-detection: none'), ('zero-page-detection bad', None),
    ('xbzrle-cache-size 1m', 'xbzrle-cache-size: 1048576 bytes'), ('xbzrle-cache-size 1000', None),
    ('max-postcopy-bandwidth 2', 'max-postcopy-bandwidth: 2'), ('direct-io on', 'direct-io: on'), ('foo 1', None),
)


class Parameters(unittest.TestCase):
    def answers(self, vm):
        """What is said to each, and what is shown in the end."""
        said = [vm.qmp.hmp('migrate_set_parameter ' + setting) for setting, _ in SETTINGS]
        return said, vm.qmp.hmp('info migrate_parameters').splitlines()

    def test_each_can_be_set_and_seen(self):
        with common.machine(['-machine', 'none']) as vm:
            names = {line.split(':')[0] for line in vm.qmp.hmp('info migrate_parameters').splitlines()}
            self.assertEqual(names, set(vm.qmp.command('query-migrate-parameters')))
            for setting, shown in SETTINGS:
                with self.subTest(setting=setting):
                    before = vm.qmp.hmp('info migrate_parameters')
                    said = vm.qmp.hmp('migrate_set_parameter ' + setting)
                    after = vm.qmp.hmp('info migrate_parameters')
                    if shown is None:
                        self.assertTrue(said.startswith('Error: '), said)
                        self.assertEqual(after, before)
                    else:
                        self.assertEqual(said, '')
                        self.assertIn(shown or setting.replace(' ', ': '), after.splitlines())
            for setting in ('x-quiesce-timeout 5', 'x-switchover-timeout 77'):
                self.assertEqual(vm.qmp.hmp('migrate_set_parameter ' + setting), '')
                self.assertIn(setting.replace(' ', ': ') + ' ms', vm.qmp.hmp('info migrate_parameters').splitlines())

    def test_as_stock_says_it(self):
        found = common.stock()
        if found is None:
            self.skipTest('qemu-system-x86_64 is not installed')
        with common.machine(['-machine', 'none']) as vm:
            mine, here = self.answers(vm)
        with common.qtest_client.Machine(found[0], ['-machine', 'none'], accel='tcg') as vm:
            theirs, there = self.answers(vm)
        known = {line.split(':')[0] for line in there} | {'foo'}
        if 'direct-io' in known:     # older ones do not look at them
            known |= {'multifd-zlib-level', 'multifd-zstd-level'}
        for (setting, _), own, other in zip(SETTINGS, mine, theirs):
            if setting.split()[0] in known:
                with self.subTest(setting=setting):
                    self.assertEqual(own, other)
        here = {line.split(':')[0]: line for line in here}
        shown = [line for line in there if line.split(':')[0] in here]
        self.assertGreater(len(shown), 14)
        self.assertEqual([here[line.split(':')[0]] for line in shown], shown)
        # In the same order.
        both = [name for name in here if name in known and not name.startswith('multifd-z')]
        self.assertEqual(both, [line.split(':')[0] for line in shown])


if __name__ == '__main__':
    tap.main()
