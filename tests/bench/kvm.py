# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures of guests that KVM runs: firmware, reading from drives, a halted processor."""

import os
import re
import shutil
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.realpath(__file__))
sys.path.insert(0, os.path.join(HERE, '../functional'))
import common  # noqa: E402
from qtest_client import Machine, TestError  # noqa: E402

MEDIUM = 2 * 1024 * 1024
PATIENCE = 120
BIOS_READY, PROGRAM, INT13_DONE, END = b'Booting from 0000:7c00', b'Tern test medium', b'INT13 sum', b'END'
USB = ['-device', 'piix3-usb-uhci,id=uhci,addr=1.2', '-device', 'usb-storage,drive=d,port=2']
IDE = ['-device', 'ide-hd,drive=d,bus=ide.0']


def missing():
    """Why this host cannot run them, or None."""
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return 'no /dev/kvm'
    return None if shutil.which('xorriso') else 'no xorriso'


def medium(folder, kind):
    build = os.environ.get('TERN_BUILD_DIR', os.path.join(common.SOURCE, 'build'))
    make_medium = common.load(os.path.join(common.SOURCE, 'tests/guest/make-medium'))
    with open(os.path.join(build, 'tests/guest/test-medium.bin'), 'rb') as file:
        data = make_medium.make(file.read(), kind, MEDIUM)
    path = os.path.join(folder, kind)
    with open(path, 'wb') as file:
        file.write(data)
    return path, len(data)


class Watch:
    """The two text lines of a guest, and when something came first."""

    def __init__(self, folder):
        self.paths = {name: os.path.join(folder, name) for name in ('serial', 'debug')}

    def args(self):
        out = []
        for name, path in self.paths.items():
            if os.path.exists(path):
                os.unlink(path)
            out += ['-chardev', f'file,id={name},path={path}']
        return out + ['-serial', 'chardev:serial', '-device', 'isa-debugcon,iobase=0x402,chardev=debug']

    def wait(self, name, text):
        """The time at which the text is there."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if os.path.exists(self.paths[name]):
                with open(self.paths[name], 'rb') as file:
                    if text in file.read():
                        return time.monotonic()
            time.sleep(0.001)
        raise TestError(f'{text!r} did not come in {PATIENCE} s')


def boot(program, folder, kind, devices):
    """(ms to the first byte of the firmware's log, ms to the boot sector, MB/s by INT 13h, MB/s by the own driver or None)"""
    path, size = medium(folder, kind)
    watch = Watch(folder)
    drive = ['-drive', f'if=none,id=d,format=raw,file={path}']
    with Machine(program.command, ['-m', '32', '-M', 'pc'] + watch.args() + drive + devices, accel='kvm', qtest=False) as vm:
        first = watch.wait('debug', b'S')
        sector = watch.wait('serial', PROGRAM)
        int13 = watch.wait('serial', INT13_DONE)
        end = watch.wait('serial', END)
        with open(watch.paths['serial'], 'rb') as file:
            own = re.search(rb'UHCI sum', file.read())
    return ((first - vm.started) * 1e3, (sector - vm.started) * 1e3, size / 1e6 / (int13 - sector),
            size / 1e6 / (end - int13) if own else None)


def usb(program, _options):
    with tempfile.TemporaryDirectory() as folder:
        first, sector, int13, own = boot(program, folder, 'disk', USB)
    return {'kvm-first-ms': [first], 'kvm-sector-ms': [sector], 'kvm-usb-int13': [int13], 'kvm-usb-own': [own]}


def ide(program, _options):
    with tempfile.TemporaryDirectory() as folder:
        return {'kvm-ide-int13': [boot(program, folder, 'disk', IDE)[2]]}


def idle(program, _options):
    """Firmware has found nothing to boot and halts; processor time and memory of ten seconds of it."""
    with tempfile.TemporaryDirectory() as folder:
        watch = Watch(folder)
        with Machine(program.command, ['-m', '64', '-M', 'pc'] + watch.args(), accel='kvm', qtest=False) as vm:
            watch.wait('debug', b'No bootable device')
            time.sleep(1)
            before = vm.cpu_seconds()
            time.sleep(10)
            used = vm.cpu_seconds() - before
            with open(f'/proc/{vm.pid}/smaps_rollup', encoding='ascii') as file:
                table = {line.split()[0]: int(line.split()[1]) for line in file if line.endswith('kB\n')}
    return {'kvm-idle-percent': [used * 10],
            'kvm-private-mib': [(table['Private_Clean:'] + table['Private_Dirty:']) / 1024]}
