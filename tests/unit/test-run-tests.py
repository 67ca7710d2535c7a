#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/run-tests, fed with programs that behave well and badly."""
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import unittest

import tap

SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../scripts/run-tests')


def running(argument):
    """Is there a process with this argument on its command line?"""
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/cmdline', 'rb') as file:
                if argument in file.read().split(b'\0'):
                    return True
        except OSError:
            continue
    return False


class RunTests(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.build = folder.name
        os.mkdir(os.path.join(self.build, 'meson-info'))
        with open(os.path.join(self.build, 'build.ninja'), 'w', encoding='utf-8'):
            pass
        self.tests = []

    def add(self, name, shell, suite='unit', timeout=20, protocol='tap', parallel=True):
        self.tests.append({'name': name, 'suite': [f'tern:{suite}'], 'env': {'WORD': 'blue'},
                           'cmd': ['/bin/sh', '-c', shell], 'timeout': timeout,
                           'is_parallel': parallel, 'protocol': protocol})

    def command(self, *options):
        path = os.path.join(self.build, 'meson-info', 'intro-tests.json')
        with open(path, 'w', encoding='utf-8') as file:
            json.dump(self.tests, file)
        return [SCRIPT, '--build', self.build, '--tmpdir', self.build, *options]

    def run_tests(self, *options):
        done = subprocess.run(self.command(*options), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        return done.returncode, done.stdout

    def expect(self, total, status, *patterns, options=()):
        found, output = self.run_tests(*options)
        self.assertEqual(output.splitlines()[-1], total, output)
        self.assertEqual(found, status, output)
        for pattern in patterns:
            self.assertRegex(output, pattern)
        self.assertEqual([name for name in os.listdir(self.build) if name.startswith('tern-')], [])

    def test_counts(self):
        self.add('a', 'echo 1..3; echo ok 1 /a; echo "# text"; echo ok 2 - b; echo ok 3 c')
        self.add('b', 'echo ok 1; echo 1..1', suite='qtest')
        self.expect('4 passed, 0 failed, 0 skipped', 0, r'ok   unit/a: 3 passed \(', 'ok   qtest/b')

    def test_skips(self):
        self.add('a', 'echo 1..2; echo "ok 1 /a # SKIP no moon"; echo ok 2 /b')
        self.add('b', 'echo "1..0 # SKIP stock qemu is not there"')
        self.expect('1 passed, 0 failed, 2 skipped', 0, 'skipped a: no moon',
                    'skipped b: stock qemu is not there')

    def test_failed_point(self):
        self.add('a', 'echo 1..2; echo not ok 1 /a; echo reason >&2; echo ok 2 /b; exit 1')
        self.expect('1 passed, 1 failed, 0 skipped', 1, 'FAIL unit/a', 'not ok: /a', '    reason',
                    'failed unit/a: /a')

    def test_todo(self):
        self.add('a', 'echo 1..1; echo "not ok 1 /a # TODO later"')
        self.expect('1 passed, 0 failed, 0 skipped', 0)

    def test_exit_status(self):
        self.add('a', 'echo 1..1; echo ok 1 /a; exit 3')
        self.expect('1 passed, 1 failed, 0 skipped', 1, r'\(exit status 3\)')

    def test_signal(self):
        self.add('a', 'echo 1..2; echo ok 1 /a; kill -SEGV $$')
        self.expect('1 passed, 1 failed, 0 skipped', 1, r'\(killed by SIGSEGV\)')

    def test_plan_not_kept(self):
        self.add('a', 'echo 1..3; echo ok 1; echo ok 2')
        self.add('b', 'echo hello')
        self.add('c', 'echo 1..2; echo ok 1; echo ok 3')
        self.expect('3 passed, 3 failed, 0 skipped', 1, r'\(2 of 3 planned points\)', r'\(no plan',
                    'point 3 where 2 was due')

    def test_bail_out(self):
        self.add('a', 'echo 1..3; echo ok 1; echo "Bail out! no disk"')
        self.expect('1 passed, 1 failed, 0 skipped', 1, r'\(Bail out! no disk\)')

    def test_timeout(self):
        self.add('a', 'echo 1..1; sleep 100 & sleep 100', timeout=0.3)
        start = time.monotonic()
        self.expect('0 passed, 1 failed, 0 skipped', 1, r'\(took more than 0.3 s')
        self.assertLess(time.monotonic() - start, 20)

    def test_until(self):
        for name in 'ab':
            self.add(name, 'echo 1..1; echo ok 1; exit 1')
        self.expect('0 passed, 0 failed, 2 skipped', 0, 'skipped a: not started: the time was over',
                    options=('--until', str(time.time() - 1)))

    def test_until_passes_while_a_test_runs(self):
        self.add('a', 'echo 1..1; sleep 100 & sleep 100', timeout=0)
        self.add('b', 'echo 1..1; echo ok 1')
        self.expect('1 passed, 0 failed, 1 skipped', 0, 'skipped a: stopped after . s: the time was over',
                    options=('--until', str(time.time() + 1), '--overtime', '0.5', '-j2'))

    def test_left_file(self):
        self.add('a', 'echo 1..1; echo ok 1; touch "$TMPDIR"/x; mkdir y')
        self.expect('1 passed, 1 failed, 0 skipped', 1, r'\(left behind: x y/\)')

    def test_left_process(self):
        # a daemon in a session of its own, which no longer is our child
        self.add('a', 'echo 1..1; echo ok 1; setsid sleep 97 >/dev/null 2>&1 & sleep 0.2')
        self.expect('1 passed, 1 failed, 0 skipped', 1, r'\(left process \d+ behind: sleep 97\)')

    def test_process_that_goes_in_time(self):
        self.add('a', 'echo 1..1; echo ok 1; setsid sleep 0.3 >/dev/null 2>&1 &')
        self.expect('1 passed, 0 failed, 0 skipped', 0)

    def test_environment(self):
        self.add('a', 'echo 1..1; [ $WORD = blue ] && [ "$PWD" = "$TMPDIR" ] && echo ok 1')
        self.expect('1 passed, 0 failed, 0 skipped', 0)

    def test_exitcode_protocol(self):
        self.add('a', 'true', protocol='exitcode')
        self.add('b', 'exit 77', protocol='exitcode')
        self.add('c', 'false', protocol='exitcode')
        self.expect('1 passed, 1 failed, 1 skipped', 1)

    def test_serial(self):
        shell = 'echo 1..1; mkdir ../held && sleep 0.1 && rmdir ../held && echo ok 1'
        for name in 'abc':
            self.add(name, shell, parallel=False)
        self.expect('3 passed, 0 failed, 0 skipped', 0)

    def test_missing_program(self):
        self.add('a', '')
        self.tests[0]['cmd'] = ['/no/such/program']
        self.expect('0 passed, 1 failed, 0 skipped', 1, r'\(exit status 127\)', '/no/such/program: No')

    def test_choice(self):
        for name in ('alpha', 'beta'):
            self.add(name, 'echo 1..1; echo ok 1')
        self.add('gamma', 'echo 1..1; echo ok 1', suite='qtest')
        self.assertEqual(self.run_tests('--list', '--suite', 'qtest')[1], 'qtest/gamma\n')
        self.assertEqual(self.run_tests('--list', '*a', '--suite=unit')[1], 'unit/alpha\nunit/beta\n')
        status, output = self.run_tests('nothing')
        self.assertEqual(status, 1)
        self.assertTrue(output.endswith('nothing to run\n0 passed, 0 failed, 0 skipped\n'), output)
        status, output = self.run_tests('--suite', 'qtets')
        self.assertEqual(status, 2)
        self.assertIn("unknown suite 'qtets'", output)

    def test_interrupt(self):
        self.add('a', 'echo 1..1; sleep 96.125')
        runner = subprocess.Popen(self.command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  text=True)
        until = time.monotonic() + 60
        while not running(b'96.125') and time.monotonic() < until:
            time.sleep(0.05)
        runner.send_signal(signal.SIGTERM)
        output = runner.communicate(timeout=60)[0]
        self.assertEqual(runner.returncode, 130, output)
        self.assertFalse(running(b'96.125'))
        self.assertEqual([name for name in os.listdir(self.build) if re.match('tern-', name)], [])

    def test_tests_go_on_when_the_runner_is_killed(self):
        """What they have started, too, and their directories go."""
        self.add('a', 'echo 1..1; sleep 97.25 & setsid sleep 97.125')
        runner = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 60
        while not (running(b'97.25') and running(b'97.125')):
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)
        runner.kill()
        runner.wait()
        while running(b'97.25') or running(b'97.125') or [name for name in os.listdir(self.build) if name.startswith('tern-')]:
            self.assertLess(time.monotonic(), until)
            time.sleep(0.05)


if __name__ == '__main__':
    tap.main()
