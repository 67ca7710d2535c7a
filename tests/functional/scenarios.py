# SPDX-License-Identifier: GPL-2.0-or-later
"""What the programs that run in a place of their own (nested.py, test-net-tap.py) share: a table of scenarios, and what they say about it.

    SCENARIOS = Scenarios()

    @SCENARIOS.add
    def disc(folder): ...           # returns a text, raises Wrong or any other error

    SCENARIOS.main(sys.argv[2:])    # prints `scenario NAME ok: TEXT` or `scenario NAME wrong: TEXT` for each

A scenario tells how far it is by say(). One that has said nothing for TERN_TEST_SILENCE seconds [300] is looked at from outside: where in
Python it is, and where the threads of all its processes wait (look()). The place outside reads the outcomes with outcomes().
"""

import faulthandler
import glob
import os
import re
import sys
import tempfile
import threading
import time
import traceback

SILENCE = float(os.environ.get('TERN_TEST_SILENCE', '300'))
BEGAN = time.monotonic()
LAST = [BEGAN]


class Wrong(Exception):
    """Something that should not be."""


def say(*words):
    """A line about the progress, with the seconds since the program's start."""
    LAST[0] = time.monotonic()
    print(f'progress {LAST[0] - BEGAN:.1f}:', *words, flush=True)


def outcomes(output):
    """{name: ('ok' or 'wrong', text)} of what a program with scenarios has printed."""
    return {name: (word, text) for name, word, text in re.findall(r'(?m)^scenario (\S+) (ok|wrong): (.*)$', output)}


def _read(path):
    try:
        with open(path, 'rb') as file:
            return file.read().decode('utf-8', 'replace').replace('\0', ' ').strip()
    except OSError as error:
        return f'({error.strerror})'


def _fields(folder):
    """Those of proc(5)'s stat from the state on; none if it is gone."""
    return _read(folder + '/stat').rpartition(')')[2].split()


def _family():
    """This process and all that come from it."""
    parents = {}
    for folder in glob.glob('/proc/[0-9]*'):
        fields = _fields(folder)
        if len(fields) > 1:
            parents[int(os.path.basename(folder))] = int(fields[1])
    family = {os.getpid()}
    while True:
        more = {pid for pid, parent in parents.items() if parent in family} - family
        if not more:
            return sorted(family)
        family |= more


def look():
    """Where the threads of all our processes are."""
    for pid in _family():
        print(f'process {pid}: {_read(f"/proc/{pid}/cmdline")[:300]}')
        for task in sorted(glob.glob(f'/proc/{pid}/task/*')):
            fields = _fields(task)
            if len(fields) < 13:
                continue
            stack = ' < '.join(line.split()[-1].partition('+')[0] for line in _read(task + '/stack').splitlines())
            print(f'  {os.path.basename(task)} {_read(task + "/comm")}: {fields[0]}, {int(fields[11]) + int(fields[12])} ticks, '
                  f'system call {" ".join(_read(task + "/syscall").split()[:4])}, {stack}')
    sys.stdout.flush()


def _watch(ended):
    seen = None
    while not ended.wait(1):
        if time.monotonic() - LAST[0] > SILENCE and seen != LAST[0]:
            seen = LAST[0]
            print(f'progress {time.monotonic() - BEGAN:.1f}: nothing was said for {SILENCE:.0f} s', flush=True)
            faulthandler.dump_traceback(sys.stdout)
            look()


class Scenarios(dict):
    """By name, with dashes."""

    def add(self, function, name=None):
        self[name or function.__name__.replace('_', '-')] = function
        return function

    def main(self, words, call=lambda function, folder, rest: function(folder)):
        """Runs those of the words, NAME or NAME:REST, each with a folder of its own, and ends the program."""
        failed, ended = False, threading.Event()
        watcher = threading.Thread(target=_watch, args=(ended,))
        watcher.start()
        for word in words:
            name, _, rest = word.partition(':')
            say(name, 'begins')
            with tempfile.TemporaryDirectory() as folder:
                try:
                    print(f'scenario {name} ok: {call(self[name], folder, rest)}', flush=True)
                except Exception as error:  # pylint: disable=broad-except
                    failed = True
                    traceback.print_exc()
                    print(f'scenario {name} wrong: {" ".join(str(error).split())[-1500:]}', flush=True)
        ended.set()
        watcher.join()
        sys.exit(failed)
