# SPDX-License-Identifier: GPL-2.0-or-later
"""unittest that speaks TAP: one point per test method.

The command line of such a program: shell patterns of the methods to run (all without one), as in `test-x.py '*usb_cd*'`.
"""
import fnmatch
import os
import signal
import sys
import unittest


class TapResult(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.count = 0

    def point(self, word, test, note=''):
        self.count += 1
        print(f'{word} {self.count} - {test.id().partition(".")[2]}{note}', flush=True)

    def addSuccess(self, test):
        super().addSuccess(test)
        self.point('ok', test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.point('ok', test, f' # SKIP {reason}')

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.failed(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.failed(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.failed(subtest, self._exc_info_to_string(err, subtest))

    def failed(self, test, text):
        self.point('not ok', test)
        for line in text.splitlines():
            print(f'# {line}', flush=True)


def each(suite):
    """The tests of nested suites."""
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from each(item)
        else:
            yield item


def descendants(ancestor):
    """Pids of the processes that this one has started, and those."""
    parents = {}
    for pid in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{pid}/stat', 'rb') as file:
                parents[int(pid)] = int(file.read().rpartition(b')')[2].split()[1])
        except OSError:
            continue  # gone
    found = [ancestor]
    for parent in found:
        found += [pid for pid, its in parents.items() if its == parent]
    return found[1:]


def ended(number, _frame):
    """Somebody ends the program: the emulators that it has started do not go on without it."""
    for pid in descendants(os.getpid()):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            continue
    os._exit(128 + number)


def main():
    """Runs the test cases of the program's module, or those that the command line names."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ended)
    patterns = sys.argv[1:] or ['*']
    suite = unittest.TestSuite(test for test in each(unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']))
                               if any(fnmatch.fnmatch(test.id().rpartition('.')[2], pattern) for pattern in patterns))
    result = TapResult()
    suite.run(result)
    print(f'1..{result.count}')
    sys.exit(0 if result.wasSuccessful() else 1)
