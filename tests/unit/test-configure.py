#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""configure: options, errors, and what it hands to meson (a script that writes down its arguments)."""
import os
import re
import shutil
import subprocess
import tempfile
import unittest

import tap

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..'))
FAKE = '''#!/bin/sh
for word; do echo "$word"; done >args
echo "CC=$CC" "CFLAGS=$CFLAGS" "LDFLAGS=$LDFLAGS" >env
'''


class Configure(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = os.path.realpath(folder.name)
        self.meson = os.path.join(self.folder, 'fake-meson')
        with open(self.meson, 'w', encoding='utf-8') as file:
            file.write(FAKE)
        os.chmod(self.meson, 0o755)

    def run_it(self, *options, program=os.path.join(SOURCE, 'configure')):
        env = {name: value for name, value in os.environ.items()
               if name not in ('CC', 'CFLAGS', 'LDFLAGS', 'MESON', 'NINJA', 'PYTHON')}
        env['NINJA'] = 'true'
        env['MESON'] = self.meson
        return subprocess.run([program, *options], cwd=self.folder, env=env, check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def read(self, name):
        with open(os.path.join(self.folder, name), encoding='utf-8') as file:
            return file.read()

    def arguments(self, *options):
        done = self.run_it(*options)
        self.assertEqual(done.returncode, 0, done.stderr)
        return self.read('args').split('\n')[:-1]

    def refused(self, option, message):
        done = self.run_it(option)
        self.assertEqual((done.returncode, done.stdout, done.stderr),
                         (1, '', f'configure: {message}\n'))
        self.assertFalse(os.path.exists(os.path.join(self.folder, 'args')))

    def test_plain(self):
        self.assertEqual(self.arguments(), ['setup', self.folder, SOURCE])

    def test_directories(self):
        found = self.arguments('--prefix=/opt/x', '--bindir=/b', '--mandir=/m', '--sysconfdir=/e')
        self.assertEqual(found[1:5], ['-Dprefix=/opt/x', '-Dbindir=/b', '-Dmandir=/m', '-Dsysconfdir=/e'])

    def test_features(self):
        found = self.arguments('--enable-linux-io-uring', '--disable-linux-aio')
        self.assertEqual(found[1:3], ['-Dlinux_io_uring=enabled', '-Dlinux_aio=disabled'])

    def test_switches(self):
        found = self.arguments('--enable-debug', '--enable-werror', '--enable-sanitizers')
        self.assertEqual(found[1:5], ['-Dbuildtype=debug', '-Dwerror=true',
                                      '-Db_sanitize=address,undefined', '-Db_lundef=false'])
        self.assertEqual(self.arguments('--enable-debug', '--disable-debug'),
                         ['setup', self.folder, SOURCE])

    def test_compiler(self):
        self.arguments('--cc=sh', '--extra-cflags=-O1 -g3', '--extra-ldflags=-s')
        self.assertEqual(self.read('env'), 'CC=sh CFLAGS= -O1 -g3 LDFLAGS= -s\n')

    def test_unknown(self):
        self.refused('--frob', "unknown option '--frob'; see configure --help")
        self.refused('--enable-frob', "unknown option '--enable-frob'; see configure --help")
        self.refused('--disable-.*', "unknown option '--disable-.*'; see configure --help")
        self.refused('frob', "unknown option 'frob'; see configure --help")

    def test_bad_values(self):
        self.refused('--prefix=here', '--prefix=here: must be an absolute path')
        self.refused('--prefix=/a b', '--prefix=/a b: must not contain spaces')
        self.refused('--prefix', "option '--prefix' needs a value: --prefix=VALUE")
        self.refused('--cc=', "option '--cc=' needs a value: --cc=VALUE")
        self.refused('--cc=no-such-cc', "--cc: compiler 'no-such-cc' not found")
        self.refused('--enable-debug=yes', "option '--enable-debug=yes' takes no value")
        self.refused('--target-list=sparc-softmmu',
                     "--target-list: unknown target 'sparc-softmmu'; x86_64-softmmu is there")

    def test_target_list(self):
        self.assertEqual(len(self.arguments('--target-list=x86_64-softmmu')), 3)

    def test_not_around_the_source(self):
        os.mkdir(os.path.join(self.folder, 'source'))
        copy = os.path.join(self.folder, 'source', 'configure')
        shutil.copy(os.path.join(SOURCE, 'configure'), copy)
        done = self.run_it(program=copy)
        self.assertEqual((done.returncode, done.stderr), (
            1, f'configure: {self.folder} contains the source; run it in a folder made for the build\n'))

    def test_again(self):
        first = self.arguments('--prefix=/opt/x', "--extra-cflags=-DA='b c'")
        env = self.read('env')
        os.unlink(os.path.join(self.folder, 'args'))
        done = self.run_it(program='./config.status')
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.read('args').split('\n')[:-1], first)
        self.assertEqual(self.read('env'), env)

    def test_help_has_every_feature(self):
        with open(os.path.join(SOURCE, 'meson_options.txt'), encoding='utf-8') as file:
            features = re.findall(r"option\('(\w+)', type: 'feature'.*\n\s*description: '(.*)'\)",
                                  file.read())
        self.assertTrue(features)
        done = self.run_it('--help')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        for name, text in features:
            self.assertRegex(done.stdout, rf'(?m)^  {name.replace("_", "-")} +{re.escape(text)}$')


if __name__ == '__main__':
    tap.main()
