# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-blk and virtio-net under load: machines whose rings tests/bench/ring-load drives from outside.

The guest's RAM is a file in /dev/shm that ring-load maps too; it kicks by the eventfds that the emulator has for that
(ioeventfd), so the load is the same for every emulator and no guest instruction is measured. With /dev/kvm the
machines run under KVM, their processor halted, and MSI-X interrupts take the irqfds; else they run as in the other groups.
"""

import json
import os
import subprocess

import common
from qtest_client import Machine, TestError, halting_rom
import virtio_pci

PROGRAM = os.path.join(os.environ.get('TERN_BUILD_DIR') or os.path.join(common.SOURCE, 'build'), 'tests/bench/ring-load')
RAM = 64 << 20
INDIRECT, EVENT_IDX = 1 << 28, 1 << 29
VECTOR_ADDRESS, VECTOR_DATA = 0xfee00000, 0x4030


def have_kvm():
    return os.access('/dev/kvm', os.R_OK | os.W_OK)


def eventfds(pid):
    """Their numbers in the kernel."""
    found = set()
    folder = f'/proc/{pid}/fdinfo'
    for name in os.listdir(folder):
        try:
            with open(f'{folder}/{name}', encoding='ascii') as file:
                found |= {line.split()[1] for line in file if line.startswith('eventfd-id:')}
        except OSError:
            pass  # closed meanwhile
    return found


def machine(program, folder, args):
    ram = os.path.join(folder, 'ring-ram')
    with open(ram, 'wb') as file:
        file.truncate(RAM)
    rom = os.path.join(folder, 'halt.rom')
    with open(rom, 'wb') as file:
        file.write(halting_rom())
    kvm = have_kvm()
    full = ['-M', 'pc,memory-backend=m0', '-m', str(RAM >> 20), '-object',
            f'memory-backend-file,id=m0,size={RAM},share=on,mem-path={ram}'] + (['-bios', rom] if kvm else []) + args
    return Machine(program.command, full, accel='kvm' if kvm else program.accel)


def enable_vectors(card, count):
    """MSI-X on, each vector with a message for the first processor."""
    qtest, at = card.qtest, card.qtest.config_read(card.bdf, 0x34, 1)
    while at and qtest.config_read(card.bdf, at, 1) != 0x11:
        at = qtest.config_read(card.bdf, at + 1, 1)
    if not at:
        raise TestError('the card has no MSI-X')
    table = qtest.config_read(card.bdf, at + 4)
    base = card.bars[table & 7] + (table & ~7)
    qtest.config_write(card.bdf, at + 2, 2, 0x8000)
    for i in range(count):
        for offset, value in (0, VECTOR_ADDRESS), (4, 0), (8, VECTOR_DATA + i), (12, 0):
            qtest.ask('writel 0x%x 0x%x' % (base + 16 * i + offset, value))


def start(vm, device_id, queues, size):
    """Up to DRIVER_OK; returns the rings' arguments of ring-load, with what it has to know of eventfds."""
    card = virtio_pci.Card(vm, device_id)
    enable_vectors(card, queues)
    card.reset()
    card.negotiate(virtio_pci.VERSION_1 | INDIRECT | EVENT_IDX)
    rings = []
    for i in range(queues):
        queue, _ = card.enable_queue(i, size)
        card.set(virtio_pci.COMMON, 26, 2, i)
        rings += ['--ring', f'{queue.base},{size}']
    old = eventfds(vm.pid)
    card.driver_ok()
    return rings + ['--old', ','.join(sorted(old))]


def load(vm, folder, words):
    done = subprocess.run([PROGRAM, '--pid', str(vm.pid), '--ram', os.path.join(folder, 'ring-ram')] + words,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False, timeout=120)
    if done.returncode:
        raise TestError('%s: %s' % (' '.join(words), done.stderr.strip() or done.returncode))
    return json.loads(done.stdout)
