#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The Q35 machine beside stock 7.2: its sections, their order, shapes and values after a reset, and streams both ways."""

import os
import subprocess
import sys
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine

stream_test = common.load(os.path.join(common.SOURCE, 'tests/functional/test-stock-stream.py'))
dump = stream_test.dump

# Stock finds a drive when the guest first looks at the port or takes FISes.
FOUND_LATER = ('.error', '.status', '.port_regs.cmd', '.port_regs.scr_stat', '.port_regs.sig')
# What differs on purpose, besides what the 440FX machine's test names.
OTHER_VALUES = dict(stream_test.OTHER_VALUES)
OTHER_VALUES.update({
    ('mch', 'parent_obj.config[0]'): 'no TSEG: its size reads 0',
    ('ICH9LPC', 'pm.smi_en'): 'without SMM firmware finds its SMI handler set up',
})
DRIVES = ['-blockdev', '{"driver":"null-co","node-name":"n0","size":16777216,"read-zeroes":true}',
          '-device', 'ide-hd,drive=n0,bus=ide.0,model=disk,serial=1,ver=1', '-device', 'ide-cd,bus=ide.1,model=cd,serial=2,ver=1']
VIRTIO = ['-blockdev', '{"driver":"null-co","node-name":"n1","size":16777216,"read-zeroes":true}',
          '-blockdev', '{"driver":"null-co","node-name":"n2","size":16777216,"read-zeroes":true}',
          '-device', 'virtio-blk-pci,addr=3,drive=n1', '-device', 'virtio-scsi-pci,id=hba,addr=4',
          '-device', 'scsi-hd,bus=hba.0,drive=n2', '-device', 'virtio-net-pci,addr=5', '-device', 'virtio-rng-pci,addr=6',
          '-device', 'virtio-balloon-pci,addr=7']
MACHINE = ['-M', 'pc-q35-7.2', '-m', '32', '-nodefaults', '-S'] + DRIVES + VIRTIO


def write_stream(command, path, accel):
    with Machine(command, MACHINE, accel=accel) as vm:
        vm.qmp.command('migrate', {'uri': 'exec:cat > "%s"' % path})
        assert vm.wait_migration()['status'] == 'completed', vm.stderr()
    return dump.load(path)


class Q35(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        if not common.stock() or not common.stock()[1].startswith('7.2.'):
            raise unittest.SkipTest('stock 7.2 is not installed')
        cls.folder = tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR'))
        cls.addClassCleanup(cls.folder.cleanup)
        cls.path = {name: os.path.join(cls.folder.name, name) for name in ('stock', 'tern')}
        cls.stock = write_stream(common.stock()[0], cls.path['stock'], 'tcg')
        cls.tern = write_stream(common.TERN, cls.path['tern'], 'qtest')

    def test_order(self):
        names = [[sec.name for sec in stream.sections if sec.kind == 'full'] for stream in (self.tern, self.stock)]
        self.assertEqual(names[0], names[1])

    def test_shapes(self):
        found = subprocess.run([sys.executable, os.path.join(common.SOURCE, 'tests/tools/stream-dump'), 'compare',
                                self.path['stock'], self.path['tern']], stdout=subprocess.PIPE, text=True, check=False).stdout
        lines = [line for line in found.splitlines() if not line.startswith(('hpet#0.fields[3][0]:', 'cpu#0.subsections:'))]
        self.assertEqual(lines, [])

    def test_values(self):
        stock, found = stream_test.values(self.stock), {}
        for key, data in stream_test.values(self.tern).items():
            name = stream_test.short(key[0])
            if stock.get(key) != data and name != 'timer' and key[2] != 'num_timers_save' and \
                    (name, key[2]) not in OTHER_VALUES and \
                    not (name == 'ich9_ahci' and key[2].endswith(FOUND_LATER)):
                found[(name, key[2])] = (data.hex(), (stock.get(key) or b'').hex())
        self.assertEqual(found, {})

    def check_loads(self, command, name, accel):
        args = MACHINE + ['-incoming', 'exec:cat "%s"' % self.path[name]]
        with Machine(command, args, accel=accel) as vm:
            self.assertEqual(vm.wait_migration()['status'], 'completed', vm.stderr())

    def test_stock_loads_it(self):
        self.check_loads(common.stock()[0], 'tern', 'tcg')

    def test_tern_loads_stock(self):
        self.check_loads(common.TERN, 'stock', 'qtest')


if __name__ == '__main__':
    tap.main()
