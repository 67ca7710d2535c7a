#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""blockdev-create and the commands about jobs: images that are made over QMP are what qemu-img makes, a job that fails says why,
and the installed stock emulator answers the same."""

import os
import shutil
import tempfile
import unittest

import common
from common import tap
import qtest_client
import tools
from tools import IMG, IO, MIB, good, run

SUCCESS = ['created', 'running', 'waiting', 'pending', 'concluded']
FAILURE = ['created', 'running', 'aborting', 'concluded']


class Jobs(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def emulators(self):
        """Ours and stock's."""
        yield 'Tern', lambda: common.machine(['-M', 'none'])
        if shutil.which('qemu-system-x86_64'):
            yield 'stock', lambda: qtest_client.Machine(['qemu-system-x86_64'], ['-M', 'none'], accel='tcg', qtest=False)

    def events(self, qmp, job, last):
        seen = []
        while last not in seen:
            data = qmp.wait_event('JOB_STATUS_CHANGE')['data']
            self.assertEqual(data['id'], job)
            seen.append(data['status'])
        return seen

    def create(self, qmp, job, options):
        """Its JobInfo and the statuses it went through; it is dismissed."""
        qmp.command('blockdev-create', {'job-id': job, 'options': options})
        seen = self.events(qmp, job, 'concluded')
        info = qmp.command('query-jobs')
        self.assertEqual(len(info), 1)
        qmp.command('job-dismiss', {'id': job})
        self.assertEqual(self.events(qmp, job, 'null'), ['null'])
        self.assertEqual(qmp.command('query-jobs'), [])
        return info[0], seen

    def test_images_of_every_format(self):
        formats = (({'driver': 'vdi'}, 'vdi'), ({'driver': 'vdi', 'preallocation': 'metadata'}, 'vdi'),
                   ({'driver': 'qcow2'}, 'qcow2'),
                   ({'driver': 'qcow2', 'version': 'v2', 'cluster-size': 4096}, 'qcow2'),
                   ({'driver': 'qcow2', 'extended-l2': True, 'compression-type': 'zstd'}, 'qcow2'))
        for name, start in self.emulators():
            for n, (options, fmt) in enumerate(formats):
                path = self.path(f'{name}{n}')
                with self.subTest(emulator=name, options=options), start() as vm:
                    info, seen = self.create(vm.qmp, 'file', {'driver': 'file', 'filename': path, 'size': 0})
                    self.assertEqual((info['status'], info['type'], seen), ('concluded', 'create', SUCCESS))
                    vm.qmp.command('blockdev-add', {'driver': 'file', 'node-name': 'f', 'filename': path})
                    info, seen = self.create(vm.qmp, 'image', {**options, 'file': 'f', 'size': 5 * MIB})
                    self.assertEqual((info.get('error'), seen), (None, SUCCESS))
                    vm.qmp.command('blockdev-add', {'driver': fmt, 'node-name': 'i', 'file': 'f'})
                    vm.qmp.command('blockdev-del', {'node-name': 'i'})
                    vm.qmp.command('blockdev-del', {'node-name': 'f'})
                good(IO, '-f', fmt, '-c', 'write -P 5 1M 100k', '-c', 'read -P 0 0 1M', path)
                good(IMG, 'check', '-f', fmt, path)
                if tools.STOCK_IMG:
                    good(tools.STOCK_IMG, 'check', '-f', fmt, path)

    def test_job_that_fails_says_why(self):
        answers = {}
        for name, start in self.emulators():
            found = answers[name] = []
            with start() as vm:
                for options in ({'driver': 'file', 'filename': '/nosuch/x', 'size': 1},
                                {'driver': 'qcow2', 'file': 'nosuch', 'size': MIB}):
                    info, seen = self.create(vm.qmp, 'j', options)
                    found.append((info['error'], info['status'], info['type'], seen))
                    self.assertEqual(seen, FAILURE)
                vm.qmp.command('blockdev-create', {'job-id': 'k', 'options': {'driver': 'file', 'filename': '/nosuch/x',
                                                                           'size': 1}})
                for command, arguments in (
                        ('blockdev-create', {'job-id': 'k', 'options': {'driver': 'file', 'filename': 'x', 'size': 1}}),
                        ('blockdev-create', {'job-id': '1', 'options': {'driver': 'file', 'filename': 'x', 'size': 1}}),
                        ('blockdev-create', {'job-id': 'l', 'options': {'driver': 'raw'}}),
                        ('job-dismiss', {'id': 'nosuch'})):
                    with self.assertRaises(qtest_client.TestError) as raised:
                        vm.qmp.command(command, arguments)
                    found.append(str(raised.exception))
        if 'stock' in answers:
            self.assertEqual(answers['Tern'], answers['stock'])

    def test_file_in_use_is_not_overwritten(self):
        path = self.path('used')
        good(IMG, 'create', '-q', '-f', 'qcow2', path, '1M')
        with common.machine(['-M', 'none', '-blockdev',
                             f'driver=qcow2,node-name=q,file.driver=file,file.filename={path}']) as vm:
            for options in ({'driver': 'file', 'filename': path, 'size': MIB},
                            {'driver': 'vdi', 'file': {'driver': 'file', 'filename': path}, 'size': MIB}):
                info, seen = self.create(vm.qmp, 'j', options)
                self.assertEqual(seen, FAILURE)
                self.assertIn('lock', info['error'])
        self.assertEqual(run(IMG, 'check', '-f', 'qcow2', path).returncode, 0)

    def test_quit_in_the_middle(self):
        with common.machine(['-M', 'none']) as vm:
            vm.qmp.raw({'execute': 'blockdev-create', 'arguments': {'job-id': 'j', 'options': {
                'driver': 'file', 'filename': self.path('large'), 'size': 64 * MIB, 'preallocation': 'full'}}})
            vm.qmp.raw({'execute': 'quit'})
            vm.wait()


if __name__ == '__main__':
    tap.main()
