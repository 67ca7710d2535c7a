# SPDX-License-Identifier: GPL-2.0-or-later
"""RAM of the machines whose migration is measured.

It is anonymous memory, preallocated and then filled from outside through /proc/PID/mem.  So it lies in huge pages where
transparent_hugepage is `madvise` or `always`, as a guest's memory does.  On a virtual host with shadow page tables (PVM) the
first access of the kernel to a page of a process costs up to ten times its migration: with huge pages that is paid once
in 512 pages, with files of small pages it would be all that is measured, in any program.
"""

import os

from qtest_client import TestError

MIB = 1 << 20
MARK_AT = MIB
HUGE = 2 * MIB
PATTERN_MIB = 32


def find_host(vm, mib):
    """The file of the process's memory, and where the guest's RAM begins in it."""
    mark = os.urandom(16)
    vm.qtest.write(MARK_AT, mark)
    memory = os.open('/proc/%d/mem' % vm.pid, os.O_RDWR)
    with open('/proc/%d/maps' % vm.pid, encoding='utf-8') as file:
        for line in file:
            words = line.split()
            start, end = (int(word, 16) for word in words[0].split('-'))
            if not words[1].startswith('rw'):
                continue
            for base in range((start + HUGE - 1) // HUGE * HUGE, end - mib * MIB + 1, HUGE):
                if os.pread(memory, len(mark), base + MARK_AT) == mark:
                    return memory, base
    os.close(memory)
    raise TestError('no RAM of the guest in the maps of the process')


class GuestRam:
    """mib megabytes of RAM for each machine."""

    def __init__(self, mib):
        self.mib = mib
        self.pattern = None

    def arguments(self):
        return ['-machine', 'pc,memory-backend=pc.ram', '-m', str(self.mib), '-object',
                'memory-backend-ram,id=pc.ram,size=%dM,prealloc=on' % self.mib]

    def fill(self, vm, every=1):
        """Random bytes into every n-th megabyte, from the first one on."""
        if self.pattern is None:
            self.pattern = os.urandom(PATTERN_MIB * MIB)
        memory, base = find_host(vm, self.mib)
        for mib in range(0, self.mib, every):
            at = mib % PATTERN_MIB * MIB
            if os.pwrite(memory, self.pattern[at:at + MIB], base + mib * MIB) != MIB:
                raise TestError('cannot write the RAM of the guest')
        os.close(memory)
