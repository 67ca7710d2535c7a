#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in the nested machine (test-nested-kvm.py): guests under a real KVM, moved from process to process while they run.

    nested-inside.py FOLDER SCENARIO...

FOLDER has `kernel`, `initrd`, `medium` and `grub.iso`. Prints a line `scenario NAME ok: TEXT` or `scenario NAME wrong: TEXT` for each, and
what a guest that went wrong had said.
"""

import functools
import hashlib
import json
import os
import re
import subprocess
import sys
import time
import unittest

import common
import moving
from scenarios import Scenarios, Wrong

FOLDER = sys.argv[1] if len(sys.argv) > 1 else '.'
PATIENCE = 240  # seconds; a fifth of it where nothing else runs
# Without a scan of all buses for an AGP bridge, which alone takes seconds here.
KERNEL_OPTIONS = 'console=ttyS0 quiet mitigations=off pci=noearly'
TEXT_SCREEN, COLUMNS, ROWS = 0xb8000, 80, 25
UHCI = ['-device', 'piix3-usb-uhci,id=uhci,addr=1.2']
TROUBLE = re.compile(r'(?i)usb.*reset|i/o error|sense|call trace|clocksource.*(unstable|skew)|bug:|soft lockup|timed out')
SCENARIOS = Scenarios()


class Journey(moving.Journey):
    """Where everything is emulated twice a guest may take more than the usual 3 s to fetch the answer that a switchover waits for."""

    def migrate(self, there, uri):
        if self.machine.command[0] == common.TERN[0]:
            self.machine.qmp.command('migrate-set-parameters', {'x-quiesce-timeout': 60000})
        return super().migrate(there, uri)


def usb_cd(path):
    return UHCI + ['-drive', f'if=none,id=d,format=raw,media=cdrom,readonly=on,file={path}',
                   '-device', 'usb-storage,drive=d,port=2']


def virtio_cards(path):
    """A disk in an iothread, so that its interrupts go by irqfd; packed rings; entropy, a balloon."""
    return ['-object', 'iothread,id=io', '-drive', f'if=none,id=d,format=raw,readonly=on,file={path}',
            '-device', 'virtio-blk-pci,drive=d,iothread=io,packed=on', '-device', 'virtio-rng-pci', '-device', 'virtio-balloon-pci']


def written_disk(path):
    """One that the guest writes."""
    return ['-drive', f'if=none,id=d,format=raw,file={path}', '-device', 'virtio-blk-pci,drive=d,addr=4']


def linux(*words, memory=112, medium='medium', devices=usb_cd):
    """Arguments of a machine that boots Debian's kernel; words: what its init is told to do."""
    return ['-M', 'pc-i440fx-7.2', '-cpu', 'qemu64', '-m', str(memory), *devices(f'{FOLDER}/{medium}'), '-no-reboot',
            '-kernel', f'{FOLDER}/kernel', '-initrd', f'{FOLDER}/initrd',
            '-append', ' '.join((KERNEL_OPTIONS, *words))]


def console(journey):
    return journey.serial().decode('utf-8', 'replace').replace('\r\n', '\n')


def check_console(text):
    """Every line of the counter, once and in order, and none that tells of trouble."""
    ticks = [int(n) for n in re.findall(r'(?m)^tick (\d+)$', text)]
    if ticks != list(range(1, len(ticks) + 1)) or len(ticks) < 2:
        raise Wrong(f'console lines are missing or repeated: {ticks}')
    for line in text.splitlines():
        if TROUBLE.search(line):
            raise Wrong(f'the guest says: {line}')


def check_sum(text, medium='medium', device='sr0'):
    with open(f'{FOLDER}/{medium}', 'rb') as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    if f'{digest}  /dev/{device}' not in text:
        raise Wrong('the sum of the disc is wrong')


def summary(journey, since):
    times = sorted(journey.downtimes)
    return (f'{journey.moves} moves in {time.monotonic() - since:.1f} s, downtime p50 {times[len(times) // 2]} ms, '
            f'longest {times[-1]} ms')


def read_disc(folder, programs, moves, **options):
    since = time.monotonic()
    with Journey(linux('do=disc'), folder, programs=programs, **options) as journey:
        try:
            journey.run(lambda: b'\nEND' in journey.serial(), PATIENCE)
            text = console(journey)
            check_sum(text)
            check_console(text)
            if journey.moves < moves:
                raise Wrong(f'only {journey.moves} moves')
        except Exception:
            print(console(journey), flush=True)
            raise
        refused = f', {len(journey.refused)} refused' if journey.refused else ''
        return summary(journey, since) + refused


@SCENARIOS.add
def disc(folder):
    """Debian's kernel sums a USB CD-ROM."""
    return read_disc(folder, (common.TERN,), 5)


@SCENARIOS.add
def disc_with_stock(folder):
    """The same, from stock to Tern and back again and again."""
    return read_disc(folder, (common.stock()[0], common.TERN), 4, may_refuse='load of migration failed')


def wait_for(journey, text, moving=True):
    """Until the guest has said a line that begins so."""
    journey.run(lambda: re.search('(?m)^' + text, console(journey)), PATIENCE, moving=moving, pause=0.05)


PLUGS = (('pci', {'driver': 'pci-serial', 'chardev': 'n', 'addr': '5'}, 'came: 0x1b36 0x0002'),
         ('cpu', {'driver': 'qemu64-x86_64-cpu', 'socket-id': 1, 'core-id': 0, 'thread-id': 0}, 'came: 2'))


def plug(folder, names):
    """Devices come and go by ACPI, with a move in each state."""
    since = time.monotonic()
    args = linux('do=plug') + ['-smp', '1,maxcpus=2,sockets=2,cores=1,threads=1', '-chardev', 'null,id=n']
    with Journey(args, folder) as journey:
        try:
            wait_for(journey, 'plugs wanted')
            for name, device, came in PLUGS[:names]:
                device = {'id': 'hot-' + name, **device}
                journey.machine.qmp.command('device_add', device)
                journey.args += ['-device', json.dumps(device)]
                journey.move()
                wait_for(journey, f'{name} {came}', moving=False)
                journey.machine.qmp.command('device_del', {'id': device['id']})
                journey.machine.qmp.wait_event('DEVICE_DELETED', PATIENCE)
                del journey.args[-2:]
                journey.move()
                wait_for(journey, name + ' gone', moving=False)
            check_console(console(journey))
        except Exception:
            print(console(journey), flush=True)
            raise
        return summary(journey, since)


@SCENARIOS.add
def plug_pci(folder):
    """A serial card."""
    return plug(folder, 1)


@SCENARIOS.add
def plug_cpu(folder):
    """Behind a PCI device."""
    return plug(folder, 2)


@SCENARIOS.add
def sleep(folder):
    """Suspended to RAM, moved, and woken, twice."""
    since = time.monotonic()
    with Journey(linux('do=sleep', 'no_console_suspend'), folder) as journey:
        journey.status = ('running', 'suspended')
        try:
            for n in (1, 2):
                wait_for(journey, f'sleeps {n}')
                while journey.machine.qmp.command('query-status')['status'] != 'suspended':
                    if time.monotonic() - since > PATIENCE:
                        raise Wrong('it does not fall asleep')
                    time.sleep(0.1)
                journey.move()
                journey.move()
                journey.machine.qmp.command('system_wakeup')
                wait_for(journey, f'woke {n}', moving=n == 2)
            wait_for(journey, 'END')
            check_console(console(journey))
        except Exception:
            print(console(journey), journey.debug()[-3000:].decode('latin-1'), sep='\n', flush=True)
            raise
        return summary(journey, since)


# ---- pages that the host loses ----

MARK = b'TERN MARK '


def ram_start(pid, size):
    """Where the guest's memory begins in the emulator."""
    with open(f'/proc/{pid}/maps', encoding='ascii') as file:
        for line in file:
            first, last = (int(word, 16) for word in line.split()[0].split('-'))
            if last - first == size:
                return first
    raise Wrong('the emulator has no mapping of the size of the guest\'s memory')


def marked_pages(pid, start, size):
    """{number of the mark: address in the emulator} of whole pages of the guest's file that stand once in its memory."""
    found = {}
    with open(f'/proc/{pid}/mem', 'rb', 0) as file:
        for at in range(start, start + size, 1 << 20):
            file.seek(at)
            data = file.read(1 << 20)
            for page in range(0, len(data), 4096):
                if data.startswith(MARK, page) and data[page + 4095] == 10:
                    found.setdefault(int(data[page + len(MARK):page + 32].split()[0]), []).append(at + page)
    return {number: places[0] for number, places in found.items() if len(places) == 1}


def lose_page(pid, address):
    """As if the hardware had told the host's kernel (hwpoison-inject)."""
    with open(f'/proc/{pid}/pagemap', 'rb') as file:
        file.seek(address // 4096 * 8)
        entry = int.from_bytes(file.read(8), 'little')
    with open('/sys/kernel/debug/hwpoison/corrupt-pfn', 'w', encoding='ascii') as file:
        file.write(str(entry & (1 << 55) - 1))


def poison(folder, how):
    since, size = time.monotonic(), 112 << 20
    with Journey(linux('do=poison') + ['-chardev', 'null,id=n'], folder) as journey:
        try:
            wait_for(journey, 'marks are there', moving=False)
            machine = journey.machine
            start = ram_start(machine.pid, size)
            pages = marked_pages(machine.pid, start, size)
            number, address = sorted(pages.items())[len(pages) // 2]
            how(journey, lambda: lose_page(machine.pid, address))
            wait_for(journey, '.*Memory failure', moving=False)
            journey.move()
            go_on(journey)
            wait_for(journey, 'END', moving=False)
            text = console(journey)
            refused = re.findall(r'(?m)^page (\d+): (.*)$', text)
            if refused != [(str(number), 'refused')]:
                raise Wrong(f'page {number} was lost, and the guest says {refused}')
            if [int(n) for n in re.findall(r'(?m)^tick (\d+)$', text)][-1] < 2:
                raise Wrong('the guest does not go on')
        except Exception:
            print(console(journey), journey.machine.stderr(), subprocess.run(['dmesg'], stdout=subprocess.PIPE, check=False, text=True)
                  .stdout[-2000:], sep='\n', flush=True)
            raise
        return summary(journey, since)


def poison_idle(journey, lose):
    lose()


def poison_paused(journey, lose):
    """The guest is told when it runs again, on the other side."""
    journey.machine.qmp.command('stop')
    lose()
    journey.machine.qmp.command('cont')


def poison_unnoticed(journey, lose):
    """Moved at once."""
    lose()
    journey.move()


for poison_how in (poison_idle, poison_paused, poison_unnoticed):
    SCENARIOS.add(functools.partial(poison, how=poison_how), poison_how.__name__.replace('_', '-'))


@SCENARIOS.add
def kvm_tests(folder):
    """What test-kvm.py has to say."""
    done = subprocess.run([sys.executable, os.path.join(common.HERE, 'test-kvm.py')], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, check=False, env={**os.environ, 'TERN_GUEST_ROMS': f'{FOLDER}/roms'})
    points = re.findall(r'(?m)^(ok|not ok) \d+ - (.*)$', done.stdout)
    if done.returncode or not points:
        print(done.stdout, flush=True)
        raise Wrong('; '.join(name for word, name in points if word != 'ok') or 'it did not come to its end')
    print(*re.findall(r'(?m)^# ((?:writes|written) .*)$', done.stdout), sep='\n', flush=True)
    skipped = sum('# SKIP' in name for _, name in points)
    return f'{len(points) - skipped} passed, {skipped} skipped'


@SCENARIOS.add
def virtio(folder):
    """Debian's virtio drivers: a disk with packed rings, entropy, a balloon that is asked for memory."""
    since = time.monotonic()
    with Journey(linux('do=virtio', devices=virtio_cards), folder) as journey:
        try:
            journey.run(lambda: b'\nEND' in journey.serial(), PATIENCE)
            text = console(journey)
            check_sum(text, device='vda')
            check_console(text)
            if text.count('entropy 48') != 2:
                raise Wrong('no entropy')
            if not re.search(r'(?m)^ *\d+: +[1-9]\d* .*virtio\d+-req', text):
                raise Wrong('no interrupt of the disk by a vector of its own')
            size = 100 << 20
            journey.machine.qmp.command('balloon', {'value': size})
            journey.run(lambda: journey.machine.qmp.command('query-balloon')['actual'] == size, PATIENCE)
        except Exception:
            print(console(journey), flush=True)
            raise
        return summary(journey, since)


# ---- a live migration under load ----

def check_blocks(path):
    """The last 64 writes of the guest, each in its place."""
    with open(path, 'rb') as file:
        numbers = [int(file.read(4096).split()[1]) for _ in range(64)]
    if any(number % 64 != place for place, number in enumerate(numbers)) or max(numbers) - min(numbers) != 63:
        raise Wrong(f'the disk has {numbers}')


def go_on(journey):
    """A device comes: what the guest waits for."""
    device = {'driver': 'pci-serial', 'chardev': 'n', 'addr': '5', 'id': 'go-on'}
    journey.machine.qmp.command('device_add', device)
    journey.args += ['-device', json.dumps(device)]


def under_load(folder, programs, moves):
    since = time.monotonic()
    with open(f'{FOLDER}/disk', 'wb') as file:
        file.truncate(64 * 4096)
    args = linux('do=load', medium='disk', devices=written_disk) + ['-chardev', 'null,id=n']
    with Journey(args, folder, programs=programs) as journey:
        try:
            wait_for(journey, 'load begins', moving=False)
            began = time.monotonic()
            while journey.moves < moves or journey.moves % len(programs):  # there and back
                journey.move()
                time.sleep(0.5)
            moved = time.monotonic() - began
            go_on(journey)
            wait_for(journey, 'END', moving=False)
            text = console(journey)
            check_console(text)
            wrong = re.findall(r'(?m)^(?:memory|disk|timers)(?: is| are|:) .*$', text)
            if wrong:
                raise Wrong('; '.join(wrong))
            check_blocks(f'{FOLDER}/disk')
            done = re.search(r'(?m)^load: (.*)$', text).group(1)
        except Exception:
            print(console(journey), journey.machine.stderr(), sep='\n', flush=True)
            raise
        names = ' and '.join('Tern' if program == common.TERN else 'stock' for program in programs)
        return f'{summary(journey, since)}; moving took {moved:.1f} s on {names}; checked in the guest: {done}'


@SCENARIOS.add
def load(folder):
    """Debian's kernel writes and checks memory, a disk and timers, and is moved there and back meanwhile."""
    return under_load(folder, (common.TERN,), 4 if os.environ.get('NESTED_TEST_LONG') else 2)


@SCENARIOS.add
def load_with_stock(folder):
    """The same: begins on stock, goes to Tern, back, and there again and back."""
    return under_load(folder, (common.stock()[0], common.TERN), 4)


@SCENARIOS.add
def second_processor(folder):
    """That of test-kvm.py which needs an old kernel to fail."""
    os.environ['TERN_GUEST_ROMS'] = f'{FOLDER}/roms'
    name = 'Plugged.test_a_device_does_not_interrupt_a_plugged_processor_after_moves'
    tests = unittest.defaultTestLoader.loadTestsFromName(name, common.load(os.path.join(common.HERE, 'test-kvm.py')))
    result = unittest.TestResult()
    tests.run(result)
    if result.skipped or not result.wasSuccessful():
        raise Wrong(' '.join(text for _, text in result.skipped + result.failures + result.errors))
    return 'interrupts go where they should'


@SCENARIOS.add
def real_poison(folder):
    """What test-kvm-poison.py has to say, where the kernel poisons memory itself."""
    more = {'TERN_GUEST_ROMS': f'{FOLDER}/roms', 'TERN_TEST_LONG': os.environ.get('NESTED_TEST_LONG', '')}
    done = subprocess.run([sys.executable, os.path.join(common.HERE, 'test-kvm-poison.py')], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False, env={**os.environ, **more})
    points = re.findall(r'(?m)^(ok|not ok) \d+ - (.*)$', done.stdout)
    print(*re.findall(r'(?m)^# (saw .*)$', done.stdout), sep='\n', flush=True)
    if done.returncode or not points:
        print(done.stdout, flush=True)
        subprocess.run(['dmesg'], check=False)
        raise Wrong('; '.join(name for word, name in points if word != 'ok') or 'it did not come to its end')
    skipped = sum('# SKIP' in name for _, name in points)
    return f'{len(points) - skipped} passed, {skipped} skipped'


@SCENARIOS.add
def grub(folder):
    """Debian's rescue disc up to GRUB's prompt. What the firmware's time-outs on a busy host make of it says nothing."""
    def screen(journey):
        path = f'{folder}/screen'
        journey.machine.qmp.command('pmemsave', {'val': TEXT_SCREEN, 'size': COLUMNS * ROWS * 2, 'filename': path})
        with open(path, 'rb') as file:
            return file.read()[::2].decode('cp437')

    def at_end(journey):
        if b'Timeout at' in journey.debug():
            raise moving.SaysNothing(f'a time-out of the firmware after {journey.moves} moves')
        return 'grub>' in screen(journey) or 'Press enter to boot' in screen(journey)

    def boot(pause):
        since = time.monotonic()
        with Journey(['-m', '64', '-device', 'VGA', *usb_cd(f'{FOLDER}/grub.iso')], folder) as journey:
            try:
                journey.run(lambda: at_end(journey), PATIENCE, pause=pause)
            except Exception:
                print(journey.debug().decode('latin-1'), screen(journey), sep='\n', flush=True)
                raise
            return summary(journey, since)

    return moving.patiently('grub', boot, (0, 1, 3))


if __name__ == '__main__':
    SCENARIOS.main(sys.argv[2:])
