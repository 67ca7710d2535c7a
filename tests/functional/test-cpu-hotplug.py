#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Processors that come and go: places, errors in stock's words, the guest's part of it over the ACPI registers, and a move in between."""

import os
import shutil
import tempfile
import unittest

import common
from common import tap

SMP = ['-smp', '2,maxcpus=8,sockets=2,cores=2,threads=2']
TYPE = 'qemu64-x86_64-cpu'
# docs of the interface: ACPI CPU hotplug, "modern" registers at AF00h (PIIX4)
BASE = 0xaf00
SELECTOR, FLAGS, COMMAND, DATA = BASE, BASE + 4, BASE + 5, BASE + 8
ENABLED, INSERT_EVENT, REMOVE_EVENT, EJECT = 1, 2, 4, 8


def ids(socket, core, thread):
    return {'socket-id': socket, 'core-id': core, 'thread-id': thread}


class CpuHotplug(unittest.TestCase):
    def error(self, machine, name, arguments):
        return machine.qmp.raw({'execute': name, 'arguments': arguments})['error']['desc']

    def test_places(self):
        with common.machine(SMP) as machine:
            places = machine.qmp.command('query-hotpluggable-cpus')
            self.assertEqual([p['props'] for p in reversed(places)],
                             [ids(s, c, t) for s in (0, 1) for c in (0, 1) for t in (0, 1)])
            self.assertEqual(['qom-path' in p for p in places], [False] * 6 + [True] * 2)
            self.assertEqual({p['type'] for p in places}, {TYPE})

    def test_errors(self):
        with common.machine(SMP) as machine:
            def add(**more):
                return self.error(machine, 'device_add', {'driver': TYPE, 'id': 'c', **more})
            self.assertEqual(add(), 'CPU socket-id is not set')
            self.assertEqual(add(**{'socket-id': 1}), 'CPU core-id is not set')
            self.assertEqual(add(**ids(2, 0, 0)), 'Invalid CPU socket-id: 2 must be in range 0:1')
            self.assertEqual(add(**ids(0, 7, 0)), 'Invalid CPU core-id: 7 must be in range 0:1')
            self.assertEqual(add(**ids(0, 0, 1)), 'CPU[1] with APIC ID 1 exists')
            self.assertEqual(add(**{'driver': 'Haswell-x86_64-cpu', **ids(1, 0, 0)}),
                             f"Invalid CPU type, expected cpu type: '{TYPE}'")
            boot = machine.qmp.command('query-cpus-fast')[0]['qom-path']
            self.assertEqual(self.error(machine, 'device_del', {'id': boot}), 'Boot CPU is unpluggable')

    def test_guest_takes_part(self):
        with common.machine(SMP) as machine:
            machine.qmp.command('device_add', {'driver': TYPE, 'id': 'c5', **ids(1, 0, 1)})
            # Until the guest asks for the modern registers nobody could tell it to let one go.
            self.assertIn('not supported device type', self.error(machine, 'device_del', {'id': 'c5'}))
            self.assertEqual(machine.qtest.port_in(BASE, 1), 0b100011)
            machine.qtest.port_out(SELECTOR, 1, 0)  # a write to the bitmap switches
            machine.qtest.port_out(SELECTOR, 4, 5)
            self.assertEqual(machine.qtest.port_in(FLAGS, 1), ENABLED | INSERT_EVENT)
            machine.qtest.port_out(FLAGS, 1, INSERT_EVENT)
            self.assertEqual(machine.qtest.port_in(FLAGS, 1), ENABLED)
            machine.qmp.command('device_del', {'id': 'c5'})
            self.assertEqual(machine.qtest.port_in(FLAGS, 1), ENABLED | REMOVE_EVENT)
            self.assertEqual(len(machine.qmp.command('query-cpus-fast')), 3)
            machine.qtest.port_out(FLAGS, 1, REMOVE_EVENT)
            machine.qtest.port_out(FLAGS, 1, EJECT)
            machine.qmp.wait_event('DEVICE_DELETED')
            self.assertEqual(machine.qtest.port_in(FLAGS, 1), 0)
            self.assertEqual([c['cpu-index'] for c in machine.qmp.command('query-cpus-fast')], [0, 1])

    def test_a_plugged_processor_moves(self):
        folder = tempfile.mkdtemp(dir=os.environ.get('TMPDIR'))
        self.addCleanup(shutil.rmtree, folder)
        uri = 'unix:' + os.path.join(folder, 'm')
        device = f'{TYPE},id=c5,socket-id=1,core-id=0,thread-id=1'
        with common.machine(SMP) as here, \
                common.machine(SMP + ['-device', device, '-incoming', uri]) as there:
            here.qmp.command('device_add', {'driver': TYPE, 'id': 'c5', **ids(1, 0, 1)})
            here.qtest.port_out(SELECTOR, 1, 0)
            here.qtest.port_out(SELECTOR, 4, 5)
            here.qmp.command('migrate', {'uri': uri})
            self.assertEqual(here.wait_migration()['status'], 'completed')
            there.wait_migration()
            self.assertEqual(there.qtest.port_in(FLAGS, 1), ENABLED | INSERT_EVENT)
            self.assertEqual([c['cpu-index'] for c in there.qmp.command('query-cpus-fast')], [0, 1, 5])
        # A destination without it refuses the stream by name.
        with common.machine(SMP) as here, common.machine(SMP + ['-incoming', uri]) as there:
            here.qmp.command('device_add', {'driver': TYPE, 'id': 'c5', **ids(1, 0, 1)})
            here.qmp.command('migrate', {'uri': uri})
            there.wait()
            self.assertIn("Unknown savevm section or instance 'cpu_common' 5", there.stderr())


if __name__ == '__main__':
    tap.main()
