# SPDX-License-Identifier: GPL-2.0-or-later
"""unittest that speaks TAP: one point per test method."""
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
            self.failed(subtest, ''.join(str(err[1])))

    def failed(self, test, text):
        self.point('not ok', test)
        for line in text.splitlines():
            print(f'# {line}', flush=True)


def main():
    """Runs the test cases of the program's module."""
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__'])
    result = TapResult()
    suite.run(result)
    print(f'1..{result.count}')
    sys.exit(0 if result.wasSuccessful() else 1)
