# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost-net of a Debian kernel: frames, resets, moves, with and without it; firmware that boots from the network under a real KVM
(net-inside.py). In the nested machine (nested.py), so that it is the same everywhere. Some of the scenarios always, all with
TERN_TEST_LONG.
"""

import os
import random
import subprocess
import unittest

import common
import nested
import vhost_user
from common import tap

MODULES = ('tun', 'tap', 'vhost_iotlb', 'vhost', 'vhost_net', 'llc', 'stp', 'bridge')
SHORT = ('vhost-and-not', 'vhost-bad-driver')
LONG = SHORT + ('vhost-reset', 'vhost-link', 'vhost', 'vhost-queues', 'vhost-no-header', 'vhost-user', 'tap', 'tap-queues', 'tap-link', 'vhost-linux', 'pxe-virtio-net', 'pxe-e1000')
NAMES = os.environ['NET_SCENARIOS'].split() if 'NET_SCENARIOS' in os.environ else LONG if common.LONG else SHORT
BOOT_SIZE = 20000


def add_boot_files(machine, folder):
    """A program for the network, and the ROMs that load it."""
    for name in 'efi-virtio.rom', 'efi-e1000.rom':
        machine.files.add(f'/usr/lib/ipxe/qemu/{name}')
    program, binary = os.path.join(folder, 'o'), os.path.join(folder, 'b')
    subprocess.run(['as', '--defsym', f'SIZE={BOOT_SIZE}', os.path.join(common.HERE, 'guests/pxe-program.S'), '-o', program], check=True)
    subprocess.run(['ld', '--oformat', 'binary', '-Ttext', '0x7c00', '-e', '0x7c00', program, '-o', binary], check=True)
    with open(binary, 'rb') as file:
        data = file.read()
    machine.files.put('/guest/tftp/boot', data + random.Random(7).randbytes(BOOT_SIZE - len(data)))


@unittest.skipIf(nested.why_not(), nested.why_not())
class NestedVhost(nested.Case):
    PROGRAM = '/tests/functional/net-inside.py'
    SCENARIOS = NAMES
    TIMEOUT = 1500 if common.LONG else 1140

    @classmethod
    def outer(cls, folder):
        machine = nested.Nested(folder, modules=MODULES)
        machine.add_tern()
        machine.files.add_program(vhost_user.PROGRAM, '/build/tests/vhost-user/vhost-user-backend')
        if any(name.startswith('pxe') for name in NAMES):
            add_boot_files(machine, folder)
        if 'vhost-linux' in NAMES:
            machine.files.put('/guest/kernel', machine.kernel)
            machine.files.put('/guest/initrd', nested.guest_initrd(machine.version))
        return machine


if __name__ == '__main__':
    tap.main()
