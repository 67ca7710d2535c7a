# SPDX-License-Identifier: GPL-2.0-or-later
"""What the functional tests share: the program under test, its stock peer, tools, TAP.

  QTEST_QEMU_BINARY  the emulator under test [build/qemu-system-x86_64]
  STOCK_QEMU         command of the stock emulator, in place of qemu-system-x86_64 in PATH
  TERN_TEST_LONG     set: the long runs (every byte offset, more rounds)
"""

import functools
import importlib.machinery
import importlib.util
import os
import shlex
import shutil
import sys

sys.dont_write_bytecode = True
HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, '../..'))
sys.path.insert(0, os.path.join(SOURCE, 'tests/unit'))

import qtest_client  # noqa: E402
import tap  # noqa: E402,F401
from ports import free_port  # noqa: E402,F401

TERN = tuple(shlex.split(os.environ.get('QTEST_QEMU_BINARY') or
                         os.path.join(SOURCE, 'build/qemu-system-x86_64')))
LONG = bool(os.environ.get('TERN_TEST_LONG'))


def load(path):
    """A Python program, whose name need not end in .py, as a module."""
    loader = importlib.machinery.SourceFileLoader(os.path.basename(path).replace('-', '_'), path)
    spec = importlib.util.spec_from_loader(loader.name, loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def tool(name):
    """A program of tests/tools as a module."""
    return load(os.path.join(SOURCE, 'tests/tools', name))


@functools.lru_cache(None)
def stock():
    """(command, version) of the stock emulator, or None where it is not installed."""
    text = os.environ.get('STOCK_QEMU')
    command = tuple(shlex.split(text)) if text else ()
    if not command:
        found = shutil.which('qemu-system-x86_64')
        if not found or os.path.realpath(found) == os.path.realpath(TERN[0]):
            return None
        command = (found,)
    return command, qtest_client.version(command)


def machine(args=(), **options):
    """Tern with these arguments."""
    return qtest_client.Machine(TERN, args, **options)
