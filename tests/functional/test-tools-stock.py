#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""qemu-img and qemu-io beside the installed stock programs: the same command lines on the same images give the same
output, messages and exit status. The command lines are in tool_table.py."""

import os
import re
import shutil
import subprocess
import tempfile
import unittest

import common  # noqa: F401
from common import tap
import tool_table
import tools

# Rates and times; hints that stock prints without a line break; progress.
NOISE = ((re.compile(r'; [0-9:.]+( sec)? \(.*ops/sec\)'), '; T'),
         (re.compile(r'(?m),\d+:[\d:.]+,[\d.]+,[\d.]+$'), ',T'),
         (re.compile(r'completed in [\d.]+ sec'), 'completed in T sec'),
         (re.compile(r'\r'), '\n'))


def normal(text):
    for pattern, by in NOISE:
        text = pattern.sub(by, text)
    return text.rstrip('\n')


def split(line):
    """('err out', [arguments]) of a line of the table."""
    marks, bar, rest = line.rpartition(' | ')
    return (marks if bar else '').split(), [word.replace('%20', ' ') for word in rest.split(' ')]


HAVE = tools.formats()


def wants(args):
    """Drivers that the arguments need, beyond those that are always there."""
    need = {'vdi'} if any('vdi' in word for word in args) else set()
    if set(args) & {'-C', '-rC'} and 'convert' not in args:
        need.add('copy-on-read')
    return need


def lines(text):
    return [line for line in text.splitlines() if line]


@unittest.skipUnless(tools.STOCK_IMG and tools.STOCK_IO, 'no stock qemu-img and qemu-io (qemu-utils)')
@unittest.skipUnless(tools.stock_version() in (None, (7, 2)), 'stock qemu-img is not 7.2')
class Beside(unittest.TestCase):
    folder = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        os.mkdir(cls.path('images'))
        tools.images(cls.path('images'), tools.STOCK_IMG, tools.STOCK_IO)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    @classmethod
    def path(cls, name):
        return os.path.join(cls.folder, name)

    def both(self, ours, stock, args):
        """What the two say to the same arguments, each in its own copy of the images."""
        answers = []
        for program in (stock, ours):
            work = self.path('work')
            subprocess.run(['cp', '-r', '--sparse=always', self.path('images'), work], check=True)
            try:
                done = tools.run(program, *args, folder=work)
            finally:
                shutil.rmtree(work)
            answers.append({'out': normal(done.stdout), 'err': normal(done.stderr),
                            'status': done.returncode})
        return answers

    def check(self, ours, stock, table):
        different = []
        for marks, args in table:
            if not wants(args) <= set(HAVE):
                continue
            theirs, mine = self.both(ours, stock, args)
            for key in ('out', 'err', 'status'):
                if key not in marks and theirs[key] != mine[key]:
                    different.append(f'{" ".join(args)}\n  {key}: {theirs[key]!r}\n   not: '
                                     f'{mine[key]!r}')
        if different:
            self.fail(f'{len(different)} answers differ:\n' + '\n'.join(different))

    def check_img(self, *commands):
        table = [split(line) for line in lines(tool_table.IMG)]
        self.check(tools.IMG, tools.STOCK_IMG,
                   [(marks, args) for marks, args in table if args[0] in commands])

    def test_create(self):
        self.check_img('create')

    def test_info_and_map(self):
        self.check_img('info', 'map')

    def test_compare(self):
        self.check_img('compare')

    def test_convert(self):
        self.check_img('convert')

    def test_check_resize_snapshot(self):
        self.check_img('check', 'resize', 'snapshot')

    def test_measure_dd_bench(self):
        self.check_img('measure', 'dd', 'bench')

    def test_commit_rebase_amend_and_the_rest(self):
        self.check_img('commit', 'rebase', 'amend', 'bitmap', 'bogus', '-z')

    def test_io_commands(self):
        table = []
        for line in lines(tool_table.IO):
            args = ['-f', 'raw']
            for command in line.split(' & '):
                args += ['-c', command.replace('%20', ' ')]
            table.append(([], args + ['a.raw']))
        self.check(tools.IO, tools.STOCK_IO, table)

    def test_io_command_lines(self):
        self.check(tools.IO, tools.STOCK_IO, [split(line) for line in lines(tool_table.IO_LINES)])

    def test_io_on_a_pipe(self):
        for text in ('length\nread -P 1 0 1\n\nbogus\nlength', 'q\nlength\n', '', 'length\n'):
            answers = []
            for program in (tools.STOCK_IO, tools.IO):
                done = subprocess.run([program, '-f', 'raw', self.path('images/a.raw')],
                                      input=text, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                      text=True, timeout=120, check=False)
                answers.append((normal(done.stdout), normal(done.stderr), done.returncode))
            self.assertEqual(*answers, text)


if __name__ == '__main__':
    tap.main()
