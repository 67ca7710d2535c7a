# SPDX-License-Identifier: GPL-2.0-or-later
"""GRUB and Debian's kernel on Tern under a real KVM, moved from process to process again and again.

The KVM is that of a Debian kernel in a stock emulator that translates (nested.py), so that it is the same everywhere, also where the
host has none. Everything runs in one start of it; nested-inside.py has what happens in there.
"""

import os
import random
import re
import unittest

import common
import nested
from common import tap

GRUB = '/usr/lib/grub-rescue/grub-rescue-cdrom.iso'
SIZE = (8 if common.LONG else 1) << 20
SHORT = ('disc', 'grub', 'virtio', 'load', 'real-poison', 'second-processor')
LONG = SHORT + ('poison-idle', 'poison-paused', 'poison-unnoticed', 'plug-pci', 'plug-cpu', 'sleep', 'disc-with-stock', 'load-with-stock', 'kvm-tests')
WITH_STOCK = {'disc-with-stock', 'load-with-stock'} | ({'real-poison'} if common.LONG else set())
# TERN_NESTED_SCENARIOS: only these, by hand
NAMES = tuple(os.environ.get('TERN_NESTED_SCENARIOS', '').split()) or (LONG if common.LONG else SHORT)
GUESTS = os.path.join(common.HERE, 'guests/kvm-guest.S')


def why_not():
    if not os.path.exists(GRUB):
        return 'grub-rescue-pc is not installed'
    return nested.why_not()


def add_roms(machine, folder):
    with open(GUESTS, encoding='ascii') as file:
        names = re.findall(r'(?m)^\.ifdef ([A-Z_]+)$', file.read())
    for name in names:
        machine.files.add(common.load(os.path.join(common.HERE, 'test-kvm.py')).assembled(name, folder), f'/guest/roms/{name}.bin')


@unittest.skipIf(why_not(), why_not())
class NestedKvm(nested.Case):
    PROGRAM = '/tests/functional/nested-inside.py /guest'
    SCENARIOS = NAMES
    TIMEOUT = 1800 if common.LONG else 1140

    @classmethod
    def outer(cls, folder):
        machine = nested.Nested(folder)
        machine.add_tern()
        add_roms(machine, folder)
        if set(NAMES) & WITH_STOCK:
            machine.add_stock()
        if common.LONG:
            machine.environment['NESTED_TEST_LONG'] = '1'
        machine.files.put('/guest/kernel', machine.kernel)
        machine.files.put('/guest/initrd', nested.guest_initrd(machine.version))
        machine.files.put('/guest/medium', random.Random(common.HERE).randbytes(SIZE))
        machine.files.add(GRUB, '/guest/grub.iso')
        return machine


if __name__ == '__main__':
    tap.main()
