#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""OVMF on Q35 under a real KVM, `reset` typed at its shell again and again, with a file system over vhost-user: no FUSE_INIT is lost.

Stock 7.2 hangs in this: the ring is enabled over the control socket after the guest has gone on and kicked it. The KVM is that
of test-nested-kvm.py; nested-ovmf-inside.py has what happens in there. The back end is Rust virtiofsd where there is one (TERN_VIRTIOFSD is a folder
with the program and its libraries; tests/tools/fetch-virtiofsd makes one), else QEMU 7.2's. TERN_OVMF_SCENARIOS names others than the usual (virtiofsd:3).
"""

import os
import unittest

import common
import nested
import vhost_user
from common import tap

CODE, VARS = '/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd'
C_VIRTIOFSD = '/usr/lib/qemu/virtiofsd'
SCENARIOS = tuple(os.environ.get('TERN_OVMF_SCENARIOS', 'virtiofsd:50 late-enable:10 stock-hangs').split())


def why_not():
    if not common.LONG and 'TERN_OVMF_SCENARIOS' not in os.environ:
        return 'each boot takes a minute of processor time: TERN_TEST_LONG'
    if not os.path.exists(CODE):
        return 'ovmf is not installed'
    if not os.path.isdir(vhost_user.VIRTIOFSD) and not os.path.exists(C_VIRTIOFSD):
        return 'no virtiofsd'
    return nested.why_not()


@unittest.skipIf(why_not(), why_not())
class NestedOvmf(nested.Case):
    PROGRAM = '/tests/functional/nested-ovmf-inside.py /guest'
    SCENARIOS = SCENARIOS
    TIMEOUT = 3 * 3600

    @classmethod
    def outer(cls, folder):
        outer = nested.Nested(folder)
        outer.add_tern()
        outer.add_stock()
        outer.files.add_program(vhost_user.PROGRAM, '/build/tests/vhost-user/vhost-user-backend')
        outer.files.add(CODE, '/guest/code')
        outer.files.add(VARS, '/guest/vars')
        if os.path.isdir(vhost_user.VIRTIOFSD):
            for name in os.listdir(vhost_user.VIRTIOFSD):
                outer.files.add(os.path.realpath(os.path.join(vhost_user.VIRTIOFSD, name)), '/guest/virtiofsd/' + name)
        else:
            outer.files.add_program(C_VIRTIOFSD)
        return outer


if __name__ == '__main__':
    tap.main()
