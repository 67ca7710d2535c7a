#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""make install into a folder, and what a management program does with what it finds there.

The installed program is asked as libvirt asks one that it does not know: a probe with the machine
"none" in the background, found by its pid file, questioned over its socket, ended by a signal.
"""

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Line, Qmp

BUILD = os.environ.get('TERN_BUILD_DIR') or os.path.dirname(common.TERN[0])
# What libvirt 9.0 and 11.3 cannot do without when they probe; "no such type" is an answer.
PROBE = ('query-version', 'query-target', 'query-qmp-schema', 'query-commands', 'query-kvm',
         'qom-list-types', 'query-machines', 'query-command-line-options',
         'query-migrate-capabilities')
# Asked for by libvirt whether or not they were listed; an error about the type is good, a dead
# connection or "no such command" is not.
DEVICES = ('virtio-blk-pci', 'virtio-net-pci', 'scsi-hd', 'scsi-cd', 'ide-hd', 'PIIX4_PM',
           'usb-storage', 'piix3-usb-uhci', 'usb-hub', 'VGA', 'memory-backend-file')
# Types for which anything but an array crashes libvirtd.
LISTED = ('memory-backend-file', 'none-machine', 'generic-pc-machine')
# What libvirt needs for a domain and Tern does not have yet; the day it comes the test says so.
ABSENT_TYPES = {'tcg-accel': 'arrives with the processor', 'x86_64-cpu': 'arrives with the processor'}


def make(*args, **variables):
    """Run make in the source tree; what a make around the tests said does not count."""
    env = {key: value for key, value in os.environ.items() if not key.startswith('MAKE')
           and key != 'MFLAGS'}
    words = ['%s=%s' % item for item in variables.items()]
    return subprocess.run(['make', '-s', '-C', common.SOURCE, *args, *words], env=env,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, timeout=300)


class Installed(unittest.TestCase):
    folder = None

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        done = make('install', BUILD=BUILD, DESTDIR=cls.folder)
        if done.returncode:
            shutil.rmtree(cls.folder)
            raise AssertionError(done.stdout)
        with open(os.path.join(BUILD, 'config.h'), encoding='utf-8') as file:
            prefix = [line.split()[2].strip('"') for line in file
                      if line.startswith('#define TERN_PREFIX')][0]
        cls.prefix = cls.folder + prefix
        cls.program = os.path.join(cls.prefix, 'bin/qemu-system-x86_64')
        cls.run_dir = os.path.join(cls.folder, 'run')
        os.mkdir(cls.run_dir)

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def run_it(self, *args):
        return subprocess.run([self.program, *args], stdin=subprocess.DEVNULL, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False, timeout=120,
                              env={'PATH': '/usr/bin:/bin', 'LC_ALL': 'C', 'HOME': self.run_dir})

    def test_files(self):
        """Programs, manual, documentation; readable by all; nothing outside of the prefix."""
        found = set()
        for root, _, files in os.walk(self.folder):
            for name in files:
                path = os.path.join(root, name)
                self.assertTrue(path.startswith((self.prefix + '/', self.run_dir)), path)
                mode = os.stat(path).st_mode
                self.assertTrue(mode & stat.S_IROTH, path)
                self.assertEqual(bool(mode & stat.S_IXOTH), '/bin/' in path, path)
                found.add(os.path.relpath(path, self.prefix))
        for name in ('bin/qemu-system-x86_64', 'share/man/man1/qemu-system-x86_64.1',
                     'bin/qemu-img', 'share/man/man1/qemu-img.1',
                     'bin/qemu-io', 'share/man/man1/qemu-io.1',
                     'share/doc/tern/COPYING', 'share/doc/tern/README.md'):
            self.assertIn(name, found)

    def test_needs_nothing_of_the_build(self):
        """No library path into the build directory."""
        text = subprocess.run(['readelf', '-d', self.program], stdout=subprocess.PIPE, text=True,
                              check=True).stdout if shutil.which('readelf') else ''
        self.assertNotIn('RPATH', text)
        self.assertNotIn('RUNPATH', text)

    def test_first_words(self):
        done = self.run_it('-version')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('QEMU emulator version', done.stdout)
        done = self.run_it('-machine', 'help')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertRegex(done.stdout, r'(?m)^pc-i440fx-7\.2 ')
        self.assertRegex(done.stdout, r'(?m)^none ')
        done = self.run_it('-device', 'help')
        self.assertEqual((done.returncode, done.stderr), (0, ''))
        self.assertIn('"usb-storage"', done.stdout)

    def test_machine_with_firmware(self):
        """It finds the firmware from where it was installed, as the built one does."""
        done = self.run_it('-machine', 'pc', '-accel', 'qtest', '-display', 'none', '-nodefaults',
                           '-S', '-monitor', 'none', '-incoming', 'exec:exit 0')
        self.assertEqual(done.returncode, 1)
        self.assertIn('load of migration failed', done.stderr)

    # -- the probe

    def start_probe(self, accel):
        self.monitor = os.path.join(self.run_dir, 'qmp.monitor')
        self.pid_file = os.path.join(self.run_dir, 'qmp.pid')
        return self.run_it('-S', '-no-user-config', '-nodefaults', '-nographic', '-machine',
                           'none,accel=' + accel, '-qmp', 'unix:%s,server=on,wait=off' % self.monitor,
                           '-pidfile', self.pid_file, '-daemonize')

    def probe(self, accel='qtest'):
        done = self.start_probe(accel)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, '', ''))
        with open(self.pid_file, encoding='ascii') as file:
            self.pid = int(file.read())
        self.addCleanup(self.end)
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self.monitor)
        self.line = Line(sock, 'probe')
        self.addCleanup(self.line.close)
        return Qmp(self.line)

    def end(self):
        try:
            os.kill(self.pid, signal.SIGTERM)
        except ProcessLookupError:
            return
        until = time.monotonic() + 60
        while time.monotonic() < until and os.path.exists('/proc/%d' % self.pid):
            time.sleep(0.01)

    def test_probe(self):
        """Each question that libvirt's probe cannot do without, and the shape of its answers."""
        qmp = self.probe()
        answers = {name: qmp.command(name) for name in PROBE}
        version = answers['query-version']['qemu']
        self.assertGreaterEqual((version['major'], version['minor'], version['micro']), (6, 2, 0))
        self.assertEqual(answers['query-target'], {'arch': 'x86_64'})
        self.assertIn('enabled', answers['query-kvm'])
        types = {entry['name'] for entry in answers['qom-list-types']}
        self.assertLessEqual({'usb-storage', 'piix3-usb-uhci', 'memory-backend-ram'}, types)
        self.assertEqual(types & set(ABSENT_TYPES), set())
        machines = {entry.get('alias'): entry for entry in answers['query-machines']}
        self.assertTrue(machines['pc']['is-default'])
        self.assertEqual(machines['pc']['default-ram-id'], 'pc.ram')
        capabilities = {entry['capability'] for entry in answers['query-migrate-capabilities']}
        self.assertLessEqual({'events', 'return-path', 'pause-before-switchover'}, capabilities)
        options = {entry['option'] for entry in answers['query-command-line-options']}
        self.assertLessEqual({'machine', 'chardev', 'mon', 'drive', 'accel', 'name'}, options)

    def test_schema(self):
        """The answer to query-qmp-schema is closed, and says which syntax may be used."""
        qmp = self.probe()
        schema = qmp.command('query-qmp-schema')
        by_name = {entry['name']: entry for entry in schema}
        self.assertEqual(len(by_name), len(schema))
        commands = {entry['name'] for entry in qmp.command('query-commands')}
        self.assertEqual({name for name, entry in by_name.items()
                          if entry['meta-type'] == 'command'}, commands)
        self.assertIn('json-cli-hotplug', by_name['device_add'].get('features', []))
        add = by_name[by_name['object-add']['arg-type']]
        kinds = {variant['case'] for variant in add['variants']}
        self.assertLessEqual({'memory-backend-ram', 'memory-backend-file'}, kinds)

    def test_types(self):
        """Questions about types that exist and types that do not; what is no array kills libvirtd."""
        qmp = self.probe()
        for name in LISTED:
            self.assertIsInstance(qmp.command('qom-list-properties', {'typename': name}), list)
        for name in DEVICES:
            answer = qmp.raw({'execute': 'device-list-properties', 'arguments': {'typename': name}})
            if 'return' in answer:
                self.assertIsInstance(answer['return'], list)
            else:
                self.assertIn(answer['error']['class'], ('DeviceNotFound', 'GenericError'), name)
        disk = {entry['name'] for entry in
                qmp.command('device-list-properties', {'typename': 'scsi-hd'})}
        self.assertLessEqual({'drive', 'serial', 'wwn', 'write-cache', 'share-rw', 'device_id',
                              'rotation_rate'}, disk)
        for name in ('query-tpm-models', 'query-tpm-types'):
            answer = qmp.raw({'execute': name})
            self.assertEqual(answer['error']['class'], 'CommandNotFound')

    def test_end_of_probe(self):
        """The connection is closed and the pid is killed; no file stays."""
        self.probe()
        self.assertEqual(stat.S_IMODE(os.stat(self.pid_file).st_mode) & 0o077, 0)
        self.line.close()
        self.end()
        self.assertFalse(os.path.exists('/proc/%d' % self.pid))
        self.assertEqual(os.listdir(self.run_dir), [])

    def test_accelerators_of_libvirt(self):
        """accel=kvm:tcg, which libvirt asks for: KVM where the host has it, else each is refused by name."""
        if os.access('/dev/kvm', os.R_OK | os.W_OK):
            answer = self.probe('kvm:tcg').command('query-kvm')
            self.assertEqual(answer, {'enabled': True, 'present': True})
            return
        done = self.start_probe('kvm:tcg')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn("'tcg'", done.stderr)
        self.assertEqual(os.listdir(self.run_dir), [])

    def test_probe_that_fails(self):
        """The text on stderr is what libvirt shows: the parent has it, and the status 1."""
        done = self.run_it('-S', '-no-user-config', '-nodefaults', '-nographic', '-machine',
                           'none,accel=qtest', '-qmp', 'unix:/nonexistent/qmp,server=on,wait=off',
                           '-pidfile', os.path.join(self.run_dir, 'pid'), '-daemonize')
        self.assertEqual((done.returncode, done.stdout), (1, ''))
        self.assertIn('Failed to bind socket to /nonexistent/qmp', done.stderr)
        self.assertEqual(os.listdir(self.run_dir), [])

    def test_two_probes(self):
        """A second one in the same folder is refused by the pid file's lock, the first goes on."""
        qmp = self.probe()
        done = self.run_it('-S', '-nodefaults', '-nographic', '-machine', 'none,accel=qtest',
                           '-pidfile', self.pid_file, '-daemonize')
        self.assertEqual(done.returncode, 1)
        self.assertIn(self.pid_file, done.stderr)
        self.assertEqual(qmp.command('query-status')['running'], False)


if __name__ == '__main__':
    tap.main()
