#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""calc-dirty-rate: by samples and by the dirty log. The guest does nothing: memory is written through the qtest socket."""

import os
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import TestError

MIB = 1 << 20
SIZE = 64


class DirtyRate(unittest.TestCase):
    def machine(self, *more):
        vm = common.machine(['-machine', 'pc-i440fx-10.0', '-m', str(SIZE), *more], accel='qtest')
        self.addCleanup(vm.close)
        return vm

    @staticmethod
    def begin(vm, ms, **more):
        vm.qmp.command('calc-dirty-rate', {'calc-time': ms, 'calc-time-unit': 'millisecond', **more})

    @staticmethod
    def info(vm):
        return vm.qmp.command('query-dirty-rate', {'calc-time-unit': 'millisecond'})

    def result(self, vm):
        deadline = time.monotonic() + 60
        while True:
            info = self.info(vm)
            if info['status'] == 'measured':
                return info
            self.assertEqual(info['status'], 'measuring')
            self.assertNotIn('dirty-rate', info)
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_nothing_was_measured_yet(self):
        vm = self.machine()
        self.assertEqual(vm.qmp.command('query-dirty-rate'), {
            'status': 'unstarted', 'start-time': 0, 'calc-time': 0, 'calc-time-unit': 'second', 'sample-pages': 0,
            'mode': 'page-sampling'})
        self.assertEqual(vm.qmp.hmp('info dirty_rate').splitlines(), [
            'Status: unstarted', 'Start Time: 0 (sec)', 'Sample Pages: 0 (per GB)', 'Period: 0 (sec)', 'Mode: page-sampling',
            'Dirty rate: (not ready)'])

    def test_log_counts_each_page_once(self):
        """The rate is what was written in the time that was measured, and nothing of before or after it."""
        vm = self.machine()
        vm.qtest.fill(MIB, 30 * MIB, 1)
        self.begin(vm, 1500, mode='dirty-bitmap')
        for value in range(3):
            vm.qtest.fill(40 * MIB, 12 * MIB, value)
        info = self.result(vm)
        self.assertGreaterEqual(info['calc-time'], 1500)
        self.assertEqual(info['sample-pages'], 0)
        # Whether the last of them came in time is not known; the first did.
        least, most = 12 * 1000 / (info['calc-time'] + 1), 12.5 * 1000 / info['calc-time']
        self.assertTrue(int(least) <= info['dirty-rate'] <= most + 1, info)
        self.begin(vm, 100, mode='dirty-bitmap')
        self.assertEqual(self.result(vm)['dirty-rate'], 0)

    def test_samples_see_what_has_changed(self):
        vm = self.machine()
        self.begin(vm, 100, **{'sample-pages': 16384})
        self.assertEqual(self.result(vm)['dirty-rate'], 0)
        seen = []
        for value in range(1, 6):  # a busy host may be late with the first look, or with the change
            self.begin(vm, 2000, **{'sample-pages': 16384})
            time.sleep(0.7)          # the first look is over
            vm.qtest.fill(0, SIZE * MIB // 2, value)
            info = self.result(vm)
            self.assertEqual(info['sample-pages'], 16384)
            expected = SIZE / 2 * 1000 / info['calc-time']
            seen.append((info, expected))
            if 0.6 * expected <= info['dirty-rate'] <= 1.4 * expected:
                return
        self.fail(str(seen))

    def test_samples_do_not_read_pages_that_are_lost(self):
        vm = self.machine()
        for mib in range(1, SIZE):
            vm.qmp.command('x-poison-page', {'address': mib * MIB, 'notice': 'none'})
        self.begin(vm, 50, **{'sample-pages': 16384})
        self.result(vm)
        self.assertEqual(vm.qmp.command('query-status')['status'], 'running')

    def test_a_migration_ends_a_measurement_by_the_log(self):
        with tempfile.TemporaryDirectory() as folder:
            vm = self.machine()
            self.begin(vm, 60000, mode='dirty-bitmap')
            vm.qtest.fill(8 * MIB, 8 * MIB, 3)
            vm.qmp.command('migrate', {'uri': 'file:' + os.path.join(folder, 'f')})
            info = self.info(vm)
            self.assertEqual(info['status'], 'measured')
            self.assertLess(info['calc-time'], 60000)
            self.assertEqual(vm.wait_migration()['status'], 'completed')
            target = self.machine('-incoming', 'file:' + os.path.join(folder, 'f'))
            self.assertEqual(target.wait_migration()['status'], 'completed')
            self.assertEqual(target.qtest.read(8 * MIB, MIB), b'\3' * MIB)

    def test_the_log_of_a_migration_is_left_to_it(self):
        with tempfile.TemporaryDirectory() as folder:
            vm = self.machine()
            vm.qtest.fill(8 * MIB, 32 * MIB, 3)
            vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1000000})
            vm.qmp.command('migrate', {'uri': 'file:' + os.path.join(folder, 'f')})
            with self.assertRaisesRegex(TestError, 'in use by a migration: use the mode page-sampling'):
                self.begin(vm, 100, mode='dirty-bitmap')
            self.assertEqual(self.info(vm)['status'], 'unstarted')
            self.begin(vm, 100)
            self.result(vm)
            vm.qmp.command('migrate_cancel')
            self.assertEqual(vm.wait_migration()['status'], 'cancelled')
            self.begin(vm, 50, mode='dirty-bitmap')
            self.result(vm)

    def test_memory_that_is_still_to_come_is_not_read(self):
        vm = self.machine('-incoming', 'defer')
        with self.assertRaisesRegex(TestError, "memory is still to come"):
            self.begin(vm, 100)

    def test_what_does_not_make_sense_is_refused(self):
        vm = self.machine()
        for arguments, text in (
                ({'calc-time': 0}, 'out of range'), ({'calc-time': 61}, 'out of range'), ({'calc-time': -1}, 'out of range'),
                ({'calc-time': 1 << 62}, 'out of range'),
                ({'calc-time': 49, 'calc-time-unit': 'millisecond'}, r'\[50ms, 60000ms\]'),
                ({'calc-time': 1, 'sample-pages': 127}, r'sample-pages is out of range\[128, 16384\]'),
                ({'calc-time': 1, 'sample-pages': 16385}, 'sample-pages is out of range'),
                ({'calc-time': 1, 'sample-pages': 512, 'mode': 'dirty-bitmap'}, 'only in page-sampling mode'),
                ({'calc-time': 1, 'mode': 'dirty-ring'}, 'mode dirty-ring is not enabled')):
            with self.subTest(arguments=arguments), self.assertRaisesRegex(TestError, text):
                vm.qmp.command('calc-dirty-rate', arguments)
        self.assertEqual(vm.qmp.hmp('calc_dirty_rate -b 60'),
                         "Starting dirty rate measurement with period 60 seconds\r\n"
                         "[Please use 'info dirty_rate' to check results]\r\n")
        self.assertEqual(vm.qmp.hmp('calc_dirty_rate 1'), 'Error: the dirty rate is already being measured.\r\n')
        self.assertEqual(vm.qmp.hmp('calc_dirty_rate -r -b 1'), 'Either dirty ring or dirty bitmap can be specified!\r\n')
        self.assertEqual(vm.qmp.hmp('calc_dirty_rate 0'), 'Incorrect period length specified!\r\n')
        self.assertIn('Mode: dirty-bitmap', vm.qmp.hmp('info dirty_rate'))


if __name__ == '__main__':
    tap.main()
