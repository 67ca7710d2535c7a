#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The migration stream is stock's: sections, versions, field order, names, types and widths.

Every machine version is captured with the devices of tests/tools/capture-golden and compared with
tests/golden/vmstate, and version 7.2 with a capture of the installed stock emulator, which then
has to load Tern's.  What Tern does not have yet stands in ABSENT and ABSENT_RAM, and nowhere else:
one that is missing without being named there fails, and so does one that is named but present.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine, TestError

GOLDEN = os.path.join(common.SOURCE, 'tests/golden/vmstate')
VERSIONS = ('7.2', '8.2', '9.0', '9.1', '9.2', '10.0')
STALE = ' # in the table of what is absent, but there: take it out'
# The first stock program with all of our versions; it gives 7.2 the same shapes as 10.0, which
# differ from those of stock 7.2 in one way of counting globalstate's bytes.
NEWEST = os.path.join(GOLDEN, 'pc-i440fx-10.0')

ABSENT = {}
ABSENT_RAM = {}

# After a reset the values are stock's too, but for these.
BEHIND_HUB = 'a device behind a hub is reset with the machine; stock leaves it until the port is'
TIME = 'the time of day'
# What a field is called in descriptions of the newest stock program, whose names ours are.
RENAMED = {('hpet', 'num_timers'): 'num_timers_save'}
KVM = 'as stock has it under KVM, where processors run; its translator keeps it otherwise'
CONFIGURATION = 'the copy of the configuration space, which stock makes when the guest reads it'
OTHER_VALUES = {
    ('apic', 'count_shift'): KVM, ('cpu', 'env.dr[4]'): KVM, ('cpu', 'env.dr[5]'): KVM, ('cpu', 'env.xstate_bv'): KVM,
    ('cpu_common', 'interrupt_request'): KVM,
    ('piix4_pm', 'parent_obj.config[0]'): 'without SMM firmware finds its SMI handler set up',
    ('mc146818rtc', 'cmos_data'): TIME, ('mc146818rtc', 'base_rtc'): TIME, ('mc146818rtc', 'last_update'): TIME,
    ('mc146818rtc', 'update_timer'): TIME, ('mc146818rtc', 'next_alarm_time'): TIME,
    ('i8254', 'channels[0].next_transition_time'): 'rounded up to a nanosecond at which it is true',
    ('e1000', 'rxbuf_size'): 'follows from RCTL; 0 in stock until that is written',
    ('virtio-net', 'virtio'): CONFIGURATION, ('virtio-blk', 'virtio'): CONFIGURATION, ('virtio-scsi', 'virtio'): CONFIGURATION,
    ('uhci', 'dev.config[0]'): 'LEGSUP is 0x2000 after a reset (UHCI 1.1, 5.2.1), 0 in stock',
    ('usb-kbd', 'dev.state'): BEHIND_HUB, ('usb-kbd', 'hid.protocol'): BEHIND_HUB,
    ('usb-ptr', 'dev.state'): BEHIND_HUB, ('usb-ptr', 'hid.protocol'): BEHIND_HUB,
    ('usb-storage', 'dev.state'): BEHIND_HUB,
}

# Subsections that stock's translator sends and neither its KVM nor Tern, because the value is the one of a reset.
BY_VALUE = ('cpu/poll_control_msr',)

dump = common.tool('stream-dump')
CAPTURE = os.path.join(common.SOURCE, 'tests/tools/capture-golden')


def short(name):
    return dump.short_name(name)


def capture(command, version, path, accel):
    """Have the emulator write the stream of a machine that has just been reset."""
    done = subprocess.run([sys.executable, CAPTURE, '--machine', 'pc-i440fx-' + version, '--accel',
                           accel, '--stream', path, '--', *command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
                          timeout=120)
    if done.returncode:
        raise AssertionError(done.stdout)
    return dump.load(path)


def present_in_order(stream):
    """What is to be in Tern's stream of a list of [name, instance, version]."""
    return [entry for entry in stream if short(entry[0]) not in ABSENT]


def without_absent(desc):
    return [entry for entry in desc.get('devices', []) if short(entry['name']) not in ABSENT]


def differences(mine, theirs):
    """Lines on where two descriptions of one section differ."""
    lines = []
    dump.walk_difference(mine['section'], mine, theirs, lines)
    return lines


def against_stock(mine, theirs):
    """The same for a section of Tern: it may also be like that of the newest stock program."""
    if theirs is None:
        return ['%s: stock has no such section' % mine['section']]
    if mine == dump.read_golden(NEWEST, dump.file_name(mine['section'])):
        return []
    theirs = dict(theirs)
    theirs['subsections'] = [sub for sub in theirs.get('subsections', []) if sub['vmsd'] not in BY_VALUE]
    if not theirs['subsections']:
        del theirs['subsections']
    return differences(mine, theirs)


class StockStream(unittest.TestCase):
    maxDiff = None
    folder = None
    streams = {}

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.accel = common.qtest_client.accelerator(common.TERN)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def tern(self, version):
        if version not in self.streams:
            self.streams[version] = capture(common.TERN, version, self.path('tern-' + version),
                                            self.accel)
        return self.streams[version]

    def stock(self):
        """The stock emulator's command and its stream of machine version 7.2."""
        found = common.stock()
        if found is None:
            self.skipTest('qemu-system-x86_64 is not installed')
        command, version = found
        if not version.startswith('7.2.'):
            self.skipTest('the installed qemu-system-x86_64 is %s, not 7.2' % version)
        if 'stock' not in self.streams:
            self.streams['stock'] = capture(command, '7.2', self.path('stock'), 'tcg')
        return command, self.streams['stock']

    def compare_order(self, mine, *goldens):
        """Sections, instances and versions, in the order of one of the golden lists."""
        names = {short(entry[0]) for entry in mine}
        self.assertEqual(sorted(names & set(ABSENT)), [], STALE)
        wanted = present_in_order(goldens[0])
        self.assertEqual(sorted(mine), sorted(wanted))
        if mine not in [present_in_order(golden) for golden in goldens]:
            self.assertEqual(mine, wanted)

    def compare_ram(self, mine, golden):
        names = {name for name, _ in mine}
        self.assertEqual(sorted(names & set(ABSENT_RAM)), [], STALE)
        wanted = [tuple(block) for block in golden if block[0] not in ABSENT_RAM]
        self.assertEqual([tuple(block) for block in mine], wanted)

    def check_version(self, version):
        machine = 'pc-i440fx-' + version
        stream = self.tern(version)
        golden = dump.read_golden(os.path.join(GOLDEN, machine), 'sections.json')
        lists = [golden if 'order' in golden else
                 dump.read_golden(os.path.join(GOLDEN, golden['same-as']), 'sections.json')]
        # stock changed the order of the board's own sections in between; it does not matter
        # to a reader, and one order serves all versions
        lists += [dump.read_golden(os.path.join(GOLDEN, 'pc-i440fx-' + other), 'sections.json')
                  for other in ('7.2', '10.0')]
        self.compare_order(dump.order_of(stream), *[entry['order'] for entry in lists])
        self.compare_ram(stream.ram_blocks, lists[0]['ram'])
        lines = []
        for desc in stream.desc['devices']:
            mine = dump.golden_of(desc)
            lines += against_stock(mine, dump.read_golden(os.path.join(GOLDEN, machine),
                                                          dump.file_name(mine['section'])))
        self.assertEqual(lines, [])
        kinds = [(sec.kind, sec.note) for sec in stream.sections[:1]]
        self.assertEqual(kinds, [('configuration', machine)])

    def test_configuration_with_all_its_parts(self):
        """It is no section of a device, and has parts only with capabilities."""
        vm = common.machine(['-machine', 'pc-i440fx-10.0', '-S', '-uuid', '00112233-4455-6677-8899-aabbccddeeff'])
        self.addCleanup(vm.close)
        vm.qmp.command('migrate-set-capabilities', {'capabilities': [
            {'capability': name, 'state': True} for name in ('validate-uuid', 'x-ignore-shared')]})
        vm.qmp.command('migrate', {'uri': 'file:' + self.path('configuration')})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        desc = dump.load(self.path('configuration')).desc['configuration']
        mine = dump.golden_of({'name': 'configuration', **desc})
        wanted = dump.read_golden(NEWEST, 'configuration.json')
        wanted['fields'][1][2] = len('pc-i440fx-10.0')     # the machine's name
        self.assertEqual(differences(mine, wanted), [])

    def test_lost_pages(self):
        """A section that stock does not have, which is sent only if there are any."""
        vm = common.machine(['-machine', 'pc-i440fx-10.0', '-S'])
        self.addCleanup(vm.close)
        vm.qmp.command('x-poison-page', {'address': 5 << 20, 'notice': 'reported'})
        vm.qmp.command('migrate', {'uri': 'file:' + self.path('lost')})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        mine, = [dump.golden_of(desc) for desc in dump.load(self.path('lost')).desc['devices'] if desc['name'] == 'memory-errors']
        self.assertEqual(differences(mine, dump.read_golden(os.path.join(GOLDEN, 'own'), 'memory-errors.json')), [])

    def test_there_are_no_other_versions(self):
        """All versions that Tern offers are compared."""
        with common.machine(['-machine', 'none']) as vm:
            found = [entry['name'] for entry in vm.qmp.command('query-machines')]
        found = [name for name in found if name.startswith('pc-i440fx-')]
        self.assertEqual(sorted(found), sorted('pc-i440fx-' + version for version in VERSIONS))

    def test_absent_sections_are_stock_sections(self):
        """The tables of what is missing name nothing that stock does not have."""
        golden = dump.read_golden(NEWEST, 'sections.json')
        names = {short(entry[0]) for entry in golden['order']}
        self.assertEqual(sorted(set(ABSENT) - names), [])
        self.assertEqual(sorted(set(ABSENT_RAM) - {name for name, _ in golden['ram']}), [])

    def test_installed_stock_is_as_the_golden_files_say(self):
        _, stream = self.stock()
        folder = os.path.join(GOLDEN, 'pc-i440fx-7.2')
        golden = dump.read_golden(folder, 'sections.json')
        self.assertEqual(dump.order_of(stream), golden['order'])
        lines = []
        for desc in stream.desc['devices']:
            mine = dump.golden_of(desc)
            lines += differences(mine, dump.read_golden(folder, dump.file_name(mine['section'])))
        self.assertEqual(lines, [])

    def test_installed_stock_7_2(self):
        """Tern's stream beside one that stock made just now."""
        _, theirs = self.stock()
        mine = self.tern('7.2')
        golden = dump.read_golden(NEWEST, 'sections.json')
        self.compare_order(dump.order_of(mine), dump.order_of(theirs), golden['order'])
        self.compare_ram(mine.ram_blocks, theirs.ram_blocks)
        stock = {(desc['name'], desc.get('instance_id', 0)): desc
                 for desc in without_absent(theirs.desc)}
        lines = []
        for desc in mine.desc['devices']:
            other = stock.pop((desc['name'], desc.get('instance_id', 0)))
            lines += against_stock(dump.golden_of(desc), dump.golden_of(other))
        self.assertEqual((lines, sorted(stock)), ([], []))
        self.assertEqual(mine.desc['page_size'], theirs.desc['page_size'])

    def test_values_after_reset(self):
        """The bytes of every field of a machine that has just been reset."""
        _, theirs = self.stock()
        mine = self.tern('7.2')
        stock = values(theirs)
        found = {}
        for old, new in RENAMED.items():
            stock.update({(key[0], key[1], new): data for key, data in stock.items()
                          if (short(key[0]), key[2]) == old})
        for key, data in values(mine).items():
            if stock.get(key) != data and short(key[0]) != 'timer':
                found.setdefault((short(key[0]), key[2]), (data.hex(), stock[key].hex()))
        self.assertEqual({key: pair for key, pair in found.items() if key not in OTHER_VALUES}, {})
        kept = {key for key, why in OTHER_VALUES.items() if why != TIME}
        self.assertEqual(sorted(kept - set(found)), [], STALE)

    def test_stock_7_2_loads_it(self):
        """Stock 7.2 has no complaint about Tern's stream, and has its values afterwards."""
        command, _ = self.stock()
        self.tern('7.2')
        args = list(dump_devices()) + ['-machine', 'pc-i440fx-7.2', '-m', '128', '-S',
                                       '-incoming', 'exec:cat "%s"' % self.path('tern-7.2')]
        with Machine(command, args, accel='tcg') as vm:
            self.assertEqual(vm.wait_migration()['status'], 'completed', vm.stderr())
            self.assertEqual(vm.qmp.command('query-status')['status'], 'prelaunch')
            usb = vm.qmp.hmp('info usb')
            self.assertEqual(len(re.findall('Device ', usb)), 6, usb)
            told = [line for line in vm.stderr().splitlines() if 'has no peer' not in line]
        self.assertEqual(told, [])

    def test_tern_loads_stock_7_2(self):
        """Tern takes a stream of stock 7.2, or says by name which section it has not."""
        self.stock()
        args = list(dump_devices()) + ['-machine', 'pc-i440fx-7.2', '-m', '128', '-S',
                                       '-incoming', 'defer']
        with common.machine(args) as vm:
            vm.qmp.command('migrate-incoming', {'uri': 'exec:cat "%s"' % self.path('stock')})
            try:
                # "failed" can be seen for a moment before the program ends.
                if vm.wait_migration()['status'] == 'completed':
                    return
            except TestError:
                pass
            status, text = vm.wait(), vm.stderr()
        self.assertEqual(status, 1, text)
        self.assertTrue(any(name in text for name in list(ABSENT) + list(ABSENT_RAM)), text)


def values(stream):
    """(section, instance, field) -> bytes, of the sections that Tern has."""
    return {(sec.name, sec.instance, name): stream.reader.data[start:end]
            for sec in stream.sections if sec.kind == 'full' and short(sec.name) not in ABSENT
            for start, name, _, end in sec.rows}


def dump_devices():
    """The devices of tests/tools/capture-golden, with their nodes."""
    tool = common.tool('capture-golden')
    for number in range(tool.NODES):
        yield from ('-blockdev', tool.NODE % number)
    yield from tool.DEVICES


def add(version):
    def test(self):
        self.check_version(version)
    setattr(StockStream, 'test_machine_' + version.replace('.', '_'), test)


for number in VERSIONS:
    add(number)


if __name__ == '__main__':
    tap.main()
