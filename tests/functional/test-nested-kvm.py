#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""A real KVM (nested.py): firmware and Linux run on Tern's processors there and are moved, among Tern's own processes and between Tern
and stock."""

import importlib.machinery
import importlib.util
import os
import shutil
import tempfile
import unittest

import common
import nested
from common import tap

PROGRAM = os.path.join(os.environ.get('TERN_BUILD_DIR', os.path.join(common.SOURCE, 'build')),
                       'tests/guest/test-medium.bin')
GUEST_MODULES = ('usb-common', 'usbcore', 'uhci-hcd', 'scsi_common', 'scsi_mod', 'usb-storage', 'cdrom', 'sr_mod')
GUEST_INIT = '''#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in %s; do [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko; done
while [ ! -e /dev/sr0 ]; do sleep 0.1; done
(n=0; while true; do n=$((n + 1)); echo "tick $n"; sleep 0.1; done) &
sha256sum /dev/sr0
dmesg | grep -i -E "usb.*reset|i/o error|sense|call trace|clocksource.*unstable"
echo END
while true; do sleep 1; done
'''
SIZE = 3 * 1024 * 1024

loader = importlib.machinery.SourceFileLoader('make_medium', os.path.join(common.SOURCE, 'tests/guest/make-medium'))
make_medium = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(make_medium)


def why_not():
    return nested.why_not() or (None if shutil.which('xorriso') else 'xorriso is not installed')


@unittest.skipIf(why_not(), why_not())
class NestedKvm(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get('TMPDIR'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def machine(self):
        outer = nested.Nested(self.folder)
        outer.add_tern()
        with open(PROGRAM, 'rb') as file:
            outer.files.put('/media/cd', make_medium.make(file.read(), 'cd', SIZE))
        guest = nested.Initramfs()
        guest.add('/bin/busybox')
        for module in GUEST_MODULES:
            guest.add_modules(outer.version, [module])
        guest.put('/init', (GUEST_INIT % ' '.join(GUEST_MODULES)).encode(), 0o755)
        path = os.path.join(self.folder, 'guest')
        guest.write(path)
        outer.files.add(path, '/media/initrd')
        outer.files.add(outer.kernel, '/media/kernel')
        return outer

    def run_linux(self, moves, *programs):
        outer = self.machine()
        if 'stock' in programs:
            outer.add_stock()
        status, output = outer.run('python3 /tests/functional/nested-linux.py /media/kernel /media/initrd /media/cd '
                                   f'{moves} {" ".join(programs)}', 280)
        self.assertEqual(status, 0, output[-6000:])
        print('#', next(line for line in output.splitlines() if line.startswith('ok ')))

    def test_linux_reads_a_usb_cd_while_it_is_moved(self):
        self.run_linux(20, 'tern')

    def test_linux_moves_between_stock_and_tern(self):
        self.run_linux(10, 'stock', 'tern')


if __name__ == '__main__':
    tap.main()
