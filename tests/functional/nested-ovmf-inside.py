#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in the nested machine (test-nested-ovmf.py): OVMF's shell, reset again and again, with a file system from a vhost-user back end.

    nested-ovmf-inside.py FOLDER SCENARIO[:RESETS]...

FOLDER has `code` and `vars`, the two parts of the firmware, and may have `virtiofsd` with the program of that name and all its
libraries. Prints a line `scenario NAME ok: TEXT` or `scenario NAME wrong: TEXT` for each.
"""

import contextlib
import os
import random
import re
import select
import shutil
import socket
import subprocess
import sys
import time

import common
import vhost_user
from moving import Journey
from qtest_client import TestError
from scenarios import Scenarios, Wrong, look, say

FOLDER = sys.argv[1] if len(sys.argv) > 1 else '.'
PATIENCE = int(os.environ.get('NESTED_PATIENCE', '900'))  # seconds for a boot; a tenth of it where nothing else runs
SHELL = re.compile(r'Shell> $')
ESCAPES = re.compile(r'\x1b\[[0-9;=?]*[A-Za-z]')
TEXT = 'hello from the host'
GUID = '11111111-2222-3333-4444-555555555555'
SCENARIOS = Scenarios()


class Virtiofsd:
    """The real one: FOLDER/virtiofsd (Rust), or the C one of QEMU 7.2."""

    name = 'Rust virtiofsd' if os.path.isdir(os.path.join(FOLDER, 'virtiofsd')) else 'C virtiofsd'
    moves = name.startswith('Rust')  # the other one has no state that can be moved

    @staticmethod
    def check(backend):
        """It has no counts."""

    def __init__(self, path, share):
        command = vhost_user.unpacked_virtiofsd(os.path.join(FOLDER, 'virtiofsd'))
        if command:
            command += ['--socket-path=' + path, '--shared-dir', share, '--sandbox', 'none', '--log-level', 'error']
        else:
            command = ['/usr/lib/qemu/virtiofsd', '--socket-path=' + path, '-o', 'source=' + share, '-o', 'sandbox=chroot',
                       '-o', 'log_level=err']
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        if not vhost_user.wait_for(lambda: os.path.exists(path) or self.process.poll() is not None, 60) or self.process.poll():
            raise Wrong('virtiofsd does not start')

    def kill(self):
        self.process.kill()
        self.process.wait()


class Late(vhost_user.Backend):
    """Made for tests: acts on an enable 50 ms late, and drops what it finds in a ring before."""

    name = 'a back end that enables late'
    moves = True

    @staticmethod
    def check(backend):
        counts = backend.ask()
        if counts['lost'] or not counts['served']:
            raise Wrong(f'requests were lost: {counts}')

    def __init__(self, path, share):
        super().__init__(path, protocol=vhost_user.ALL | vhost_user.DEVICE_STATE,
                         rules=['SET_VRING_ENABLE=delay:50'], options=['--discard-requests'])


class Ovmf(Journey):
    """The machine with a serial line that can be typed at."""

    def __init__(self, folder, backend, program=common.TERN, machine='pc-q35-7.2'):
        self.backend_type, self.backend = backend, None
        self.old_backends, self.lines, self.line, self.starts = [], [], None, 0
        self.text = ''
        self.share = os.path.join(folder, 'share')
        os.makedirs(self.share, exist_ok=True)
        with open(os.path.join(self.share, 'hello.txt'), 'w', encoding='ascii') as file:
            file.write(TEXT + '\r\n')
        self.vars = os.path.join(folder, 'vars')
        if not os.path.exists(self.vars):
            shutil.copy(os.path.join(FOLDER, 'vars'), self.vars)
        # Interrupt controllers of our own: with the kernel's, KVM lets the guest write CR8, which the firmware's interrupt handlers do, and
        # the translator outside ends itself ("assertion failed") when it meets that while an interrupt waits.
        args = ['-M', machine + ',memory-backend=m0', '-cpu', 'qemu64', '-m', '192', '-object', 'memory-backend-memfd,id=m0,size=192M,share=on',
                '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={FOLDER}/code',
                '-drive', f'if=pflash,unit=1,format=raw,file={self.vars}']
        super().__init__(args, folder, programs=(program,), accel='kvm,kernel-irqchip=off')
        self.patience = PATIENCE // 3

    def start(self, *more):
        """A process, with a back end and a serial line of its own."""
        path = os.path.join(self.folder, f'fs{self.starts}')
        self.starts += 1
        here, there = socket.socketpair()
        if self.backend:
            self.old_backends.append(self.backend)
        self.backend = self.backend_type(path, self.share) if self.backend_type else None
        self.lines.append(here)
        self.line = here
        here.setblocking(False)
        devices = ['-chardev', f'socket,id=c0,path={path}', '-device', 'vhost-user-fs-pci,chardev=c0,tag=tern'] if self.backend else []
        self.program = program = next(self.programs)
        try:
            return common.qtest_client.Machine(
                program, ['-chardev', f'socket,id=serial,fd={there.fileno()}', '-serial', 'chardev:serial',
                          '-chardev', f'file,id=debug,path={self.debug_path},append=on', '-device', 'isa-debugcon,iobase=0x402,chardev=debug',
                          *self.args, *devices, *more],
                accel=self.accel, qtest=False, pass_fds=[there.fileno()])
        finally:
            there.close()

    def close(self):
        super().close()
        for backend in self.old_backends + ([self.backend] if self.backend else []):
            backend.kill()
        for line in self.lines:
            line.close()
        self.backend, self.old_backends, self.lines = None, [], []

    def move(self):
        say('moves')
        super().move()
        say(f'is there, downtime {self.downtimes[-1]} ms')
        while self.old_backends:
            self.old_backends.pop().kill()

    def listen(self, seconds=0.0):
        """Takes in what the guest says, of every process that has been."""
        end = time.monotonic() + seconds
        while True:
            ready = select.select(self.lines, [], [], max(end - time.monotonic(), 0))[0]
            if ready:
                time.sleep(0.02)  # it comes letter by letter
            for line in ready:
                data = b''
                with contextlib.suppress(OSError):
                    data = line.recv(65536)
                if not data:
                    self.lines.remove(line)
                    line.close()
                self.text = ESCAPES.sub('', self.text + data.decode('latin-1'))
            if time.monotonic() >= end:
                return

    def type(self, text):
        for letter in text:
            self.line.sendall(letter.encode())
            self.listen(0.03)

    def wait_shell(self, patience=PATIENCE, move_after=()):
        """Until the prompt is there; a key in place of the wait for startup.nsh. Moves at these moments (seconds) of the boot."""
        began, asked, moments = time.monotonic(), False, sorted(move_after)
        while True:
            self.listen(0.05)
            if not asked and 'Press ESC in' in self.text:
                asked = True
                self.line.sendall(b'\x1b')
            if SHELL.search(self.text):
                say('has a prompt')
                return time.monotonic() - began
            if moments and time.monotonic() - began >= moments[0]:
                moments.pop(0)
                self.move()
            if time.monotonic() - began > patience:
                raise Wrong(f'no prompt of the shell after {patience} s; the end of the console: {self.text[-500:]!r}')
            if self.machine.process.poll() is not None:
                raise TestError(f'the emulator has ended: {self.machine.stderr()}')

    def ask(self, command, patience=PATIENCE):
        """What the shell answers."""
        say('is asked:', command)
        self.listen()
        self.text = ''
        self.type(command + '\r')
        self.wait_shell(patience)
        return self.text


def check_volume(text):
    """The shell shows volumes as it starts: FUSE_INIT has been answered."""
    if not re.search(r'FS0: Alias', text):
        raise Wrong(f'there is no file system: {text[-800:]!r}')


def set_variable(vm):
    vm.ask(f'setvar TernTest -guid {GUID} -bs -rt -nv =a55a1234')


def check_variable(vm):
    answer = vm.ask(f'setvar TernTest -guid {GUID}')
    if not re.search('(?i)a5 5a 12 34', answer):
        raise Wrong(f'the variable is gone: {answer!r}')


def power_off(vm):
    """By the shell; the variable is in the image of the flash memory then."""
    vm.type('reset -s\r')
    status = vm.machine.wait(PATIENCE)
    with open(vm.vars, 'rb') as file:
        if 'TernTest'.encode('utf-16-le') not in file.read():
            raise Wrong('the variable is not in the image')
    if status:
        raise Wrong(f'the emulator ended with status {status}: {vm.machine.stderr()}')


def reset_loop(folder, backend, resets):
    """Between resets the machine moves, and during every other one. What the firmware keeps is there in the end."""
    choice = random.Random(resets)
    times = []
    with Ovmf(folder, backend) as vm:
        try:
            boot = vm.wait_shell()
            check_volume(vm.text)
            set_variable(vm)
            for n in range(resets):
                if backend.moves and n % 2 == 0:
                    vm.move()
                vm.listen()
                vm.text = ''
                say(f'reset {n + 1}')
                vm.type('reset\r')
                during = [choice.uniform(0, times[-1])] if backend.moves and n % 2 else []  # the first boot takes longer
                times.append(vm.wait_shell(move_after=during))
                check_volume(vm.text)
            check_variable(vm)
            if backend is Virtiofsd and TEXT not in vm.ask('type FS0:\\hello.txt'):
                raise Wrong(f'the file cannot be read: {vm.text!r}')
            backend.check(vm.backend)
            power_off(vm)
        except Exception:
            vm.listen()
            print(vm.text[-3000:], vm.machine and vm.machine.stderr(), sep='\n', flush=True)
            look()
            raise
        return (f'{resets} resets with {backend.name}, {vm.moves} moves, first boot {boot:.1f} s, '
                f'others {sum(times) / max(len(times), 1):.1f} s')


@SCENARIOS.add
def virtiofsd(folder, resets):
    return reset_loop(folder, Virtiofsd, resets)


@SCENARIOS.add
def late_enable(folder, resets):
    return reset_loop(folder, Late, resets)


@SCENARIOS.add
def stock_hangs(folder, resets):
    """Stock and the same late back end: it drops the FUSE_INIT, and the firmware waits for it for ever."""
    with Ovmf(folder, Late, program=common.stock()[0]) as vm:
        end = time.monotonic() + PATIENCE
        while not vm.backend.ask()['lost']:
            vm.listen(0.1)
            if SHELL.search(vm.text) or time.monotonic() > end:
                raise Wrong(f'no request was lost: {vm.backend.ask()}, {vm.text[-300:]!r}')
        since = time.monotonic()
        while time.monotonic() - since < 20:
            vm.listen(0.1)
            if SHELL.search(vm.text):
                raise Wrong('a request was lost, and there is a prompt')
        return f'the first boot hangs, {vm.backend.ask()["lost"]} requests lost'


@SCENARIOS.add
def boot(folder, resets):
    """For a look by hand."""
    with Ovmf(folder, None) as vm:
        try:
            took = vm.wait_shell(1000)
        finally:
            print(vm.text, vm.debug()[-6000:].decode('latin-1'), vm.machine.stderr(), flush=True)
        return f'{took:.1f} s'


if __name__ == '__main__':
    SCENARIOS.main(sys.argv[2:], lambda function, folder, resets: function(folder, int(resets or 3)))
