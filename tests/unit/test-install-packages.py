#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/install-packages with a list, an apt-get and an id of our own."""
import os
import shutil
import subprocess
import tempfile
import unittest

import tap

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..'))
LIST = '''# comment
[build]
there     cmd:sh
absent    cmd:program-that-is-absent
header    file:{root}/head*.h
[tests]
module    pc:no-such-module
[full]
there     cmd:sh
slash     file:/
'''
# installs what it is told to: the command into bin/, the header into the root
APT = '''#!/bin/sh
echo "$*" >>{root}/apt-log
case $* in
*install*absent*) [ -e {root}/broken ] && exit 100
    [ -e {root}/useless ] || {{ ln -s /bin/true {root}/bin/program-that-is-absent; : >{root}/header.h; }} ;;
esac
'''


class InstallPackages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = os.path.realpath(folder.name)
        for name in ('scripts', 'bin'):
            os.mkdir(os.path.join(self.root, name))
        self.script = os.path.join(self.root, 'scripts', 'install-packages')
        shutil.copy(os.path.join(SOURCE, 'scripts', 'install-packages'), self.script)
        self.write('packages.txt', LIST.format(root=self.root))
        for tool in ('dirname', 'sh', 'ln'):
            os.symlink(shutil.which(tool), os.path.join(self.root, 'bin', tool))

    def write(self, path, text, mode=0o644):
        path = os.path.join(self.root, path)
        with open(path, 'w', encoding='utf-8') as file:
            file.write(text)
        os.chmod(path, mode)

    def provide(self, user):
        """An apt-get, and a user."""
        self.write('bin/apt-get', APT.format(root=self.root), 0o755)
        self.write('bin/id', f'#!/bin/sh\necho {user}\n', 0o755)

    def run_it(self, *arguments):
        done = subprocess.run(['/bin/sh', self.script, *arguments], check=False, text=True,
                              env={'PATH': os.path.join(self.root, 'bin')},
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        return done.returncode, done.stdout

    def apt_log(self):
        try:
            with open(os.path.join(self.root, 'apt-log'), encoding='utf-8') as file:
                return file.read()
        except FileNotFoundError:
            return ''

    def test_all_there(self):
        self.assertEqual(self.run_it('full'), (0, ''))

    def test_check(self):
        self.assertEqual(self.run_it('--check', 'build', 'tests'),
                         (1, 'missing packages: absent header module\n'))

    def test_without_apt(self):
        self.assertEqual(self.run_it('build'), (
            1, 'install-packages: these are missing (names of Debian packages): absent header. '
               'Please install them.\n'))

    def test_not_root(self):
        self.provide(1000)
        self.assertEqual(self.run_it('build'), (
            1, 'install-packages: these packages are missing: absent header. '
               'As root: apt-get install absent header\n'))
        self.assertEqual(self.apt_log(), '')

    def test_installs(self):
        self.provide(0)
        status, output = self.run_it('build')
        self.assertEqual((status, output), (0, 'installing: absent header\n'))
        log = self.apt_log().splitlines()
        self.assertEqual(len(log), 2)
        self.assertTrue(log[0].endswith(' update'), log)
        self.assertTrue(log[1].endswith(' install absent header'), log)
        self.assertEqual(self.run_it('build'), (0, ''))
        self.assertEqual(len(self.apt_log().splitlines()), 2)

    def test_apt_fails(self):
        self.provide(0)
        self.write('broken', '')
        self.assertEqual(self.run_it('build'), (
            1, 'installing: absent header\n'
               'install-packages: apt-get install absent header failed\n'))

    def test_installed_and_still_not_there(self):
        self.provide(0)
        self.write('useless', '')
        self.assertEqual(self.run_it('build'), (
            1, 'installing: absent header\n'
               'install-packages: installed, but still not found: absent header\n'))

    def test_unknown_section(self):
        status, output = self.run_it('bulid')
        self.assertEqual(status, 1)
        self.assertIn("has no section 'bulid'", output)
        self.assertEqual(self.run_it()[0], 1)

    def test_the_real_list(self):
        done = subprocess.run([os.path.join(SOURCE, 'scripts/install-packages'), '--check', 'build',
                               'tests', 'demo', 'clang'], check=False, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.assertEqual(done.stderr, '')


if __name__ == '__main__':
    tap.main()
