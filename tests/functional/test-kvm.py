# SPDX-License-Identifier: GPL-2.0-or-later
"""Small guests under KVM (guests/kvm-guest.S): what the processor keeps and does while it is paused, reset and moved.

Skipped without /dev/kvm, and without the assembler.
"""

import os
import re
import shutil
import struct
import subprocess
import tempfile
import time
import unittest

from common import HERE, LONG, TERN, stock, tap
from qtest_client import Machine, TestError

HEARTBEAT, FAULT, TICKS, NMIS, AP_HEARTBEAT = 0x7000, 0x7004, 0x7008, 0x700c, 0x7010
MOVES = 40 if LONG else 6


def why_not():
    try:
        os.close(os.open('/dev/kvm', os.O_RDWR))
    except OSError as err:
        return f'/dev/kvm: {err.strerror}'
    for name in ('as', 'ld'):
        if not shutil.which(name):
            return f'no {name}'
    return None


def setUpModule():
    reason = why_not()
    if reason:
        raise unittest.SkipTest(reason)


class KvmCase(unittest.TestCase):
    accel = ''
    smp = 1

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def rom(self, guest):
        binary, obj = self.path(guest + '.bin'), self.path(guest + '.o')
        if not os.path.exists(binary):
            subprocess.run(['as', '--32', '--defsym', f'{guest}=1', os.path.join(HERE, 'guests/kvm-guest.S'), '-o', obj],
                           check=True)
            subprocess.run(['ld', '-m', 'elf_i386', '--oformat', 'binary', '-Ttext', '0xffff0000', '-e', '0xffff0000',
                            obj, '-o', binary], check=True)
        return binary

    def start(self, guest, *more, accel=None):
        """A running machine; a run state other than the guest's is seen by the tests themselves."""
        accel = self.accel if accel is None else accel
        machine = Machine(TERN, ['-M', 'pc-i440fx-7.2', '-m', '16M', '-smp', str(self.smp),
                                 '-bios', self.rom(guest), *more], accel='kvm' + accel)
        self.addCleanup(machine.close)
        return machine

    def word(self, machine, address):
        return struct.unpack('<I', machine.qtest.read(address, 4))[0]

    def wait(self, machine, address, least, seconds=8):
        """Until the word is at least so much; every fault of the guest ends the test."""
        deadline = time.monotonic() + seconds
        while True:
            value = self.word(machine, address)
            self.assertEqual(self.word(machine, FAULT), 0, 'the guest saw something wrong')
            if value >= least:
                return value
            self.assertLess(time.monotonic(), deadline, f'word 0x{address:x} is {value}, not {least}: '
                            + machine.qmp.hmp('info registers')[:200])
            time.sleep(0.01)

    def goes_on(self, machine, address=HEARTBEAT, n=2):
        return self.wait(machine, address, self.word(machine, address) + n)

    def move(self, source, guest, *more, accel=None):
        """Live; the source ends."""
        destination = self.start(guest, *more, '-incoming', 'defer', accel=accel)
        uri = 'unix:' + self.path('move')
        destination.qmp.command('migrate-incoming', {'uri': uri})
        source.qmp.command('migrate', {'uri': uri})
        while True:
            status = source.qmp.command('query-migrate')
            if status['status'] in ('completed', 'failed'):
                break
            time.sleep(0.005)
        self.assertEqual(status['status'], 'completed', status.get('error-desc'))
        while destination.qmp.command('query-status')['status'] == 'inmigrate':
            time.sleep(0.005)
        source.close()
        return destination

    def moved(self, guest, address=HEARTBEAT, moves=MOVES, n=2):
        machine = self.start(guest)
        self.wait(machine, address, n)
        for _ in range(moves):
            machine = self.move(machine, guest)
            self.goes_on(machine, address, n)
        return machine


class Kernel(KvmCase):
    """Interrupt controllers in the kernel."""

    def test_memory_written_while_it_is_moved(self):
        self.moved('PATTERNS')

    def test_registers_survive_moves(self):
        self.moved('REGISTERS')

    def test_timer_wakes_and_stands_while_paused(self):
        machine = self.start('TIMER')
        self.wait(machine, TICKS, 5)
        machine.qmp.command('stop')
        ticks = self.word(machine, TICKS)
        time.sleep(0.3)
        self.assertEqual(self.word(machine, TICKS), ticks)
        machine.qmp.command('cont')
        self.wait(machine, TICKS, ticks + 5)

    def test_timer_goes_on_after_moves(self):
        self.moved('TIMER', TICKS, moves=3)

    def test_local_timer_goes_on_after_moves(self):
        self.moved('APIC_TIMER', TICKS, moves=3)

    def test_nmi(self):
        machine = self.start('TIMER')
        self.wait(machine, TICKS, 2)
        for n in range(1, 4):
            machine.qmp.command('inject-nmi')
            self.assertEqual(self.wait(machine, NMIS, n), n)
        self.goes_on(machine, TICKS)

    def test_rom_and_holes(self):
        machine = self.start('ROM')
        self.wait(machine, HEARTBEAT, 1)

    def test_reset(self):
        machine = self.start('REGISTERS')
        for _ in range(5):
            self.wait(machine, HEARTBEAT, 2)
            machine.qmp.command('stop')
            machine.qmp.command('system_reset')
            machine.qmp.wait_event('RESET')
            self.assertIn('EIP=0000fff0', machine.qmp.hmp('info registers'))
            machine.qtest.write(HEARTBEAT, bytes(8))
            machine.qmp.command('cont')

    def test_triple_fault_resets(self):
        machine = self.start('TRIPLE_FAULT')
        for _ in range(2):
            event = machine.qmp.wait_event('RESET')
            self.assertEqual(event['data'], {'guest': True, 'reason': 'guest-reset'})

    def test_triple_fault_with_no_reboot_ends(self):
        machine = self.start('TRIPLE_FAULT', '-no-reboot', '-no-shutdown', '-S')
        machine.qmp.command('cont')
        machine.qmp.wait_event('SHUTDOWN')
        self.assertEqual(machine.qmp.command('query-status')['status'], 'shutdown')

    def test_save_and_load(self):
        machine = self.start('REGISTERS')
        self.wait(machine, HEARTBEAT, 2)
        file = self.path('saved')
        for _ in range(3):
            machine.qmp.command('stop')
            registers = machine.qmp.hmp('info registers')
            machine.qmp.command('migrate', {'uri': f'exec:cat > {file}'})
            while machine.qmp.command('query-migrate')['status'] not in ('completed', 'failed'):
                time.sleep(0.01)
            machine.close()
            machine = self.start('REGISTERS', '-incoming', f'exec:cat {file}', '-S')
            while machine.qmp.command('query-status')['status'] == 'inmigrate':
                time.sleep(0.01)
            self.assertEqual(machine.qmp.hmp('info registers'), registers)
            machine.qmp.command('cont')
            self.goes_on(machine)

    def test_monitor(self):
        machine = self.start('HALT')
        self.wait(machine, HEARTBEAT, 1)
        self.assertEqual(machine.qmp.command('query-kvm'), {'enabled': True, 'present': True})
        cpu, = machine.qmp.command('query-cpus-fast')
        self.assertTrue(os.path.exists(f'/proc/{machine.process.pid}/task/{cpu["thread-id"]}'))
        self.assertEqual(machine.qmp.hmp('info kvm'), 'kvm support: enabled\r\n')
        self.assertIn(f'* CPU #0: thread_id={cpu["thread-id"]}', machine.qmp.hmp('info cpus'))
        self.assertEqual(machine.qmp.hmp('x /1xw 0x7000'), '0000000000007000: 0x00000001\r\n')
        self.assertIn('HLT=1', machine.qmp.hmp('info registers'))
        self.assertIn('invalid CPU index', machine.qmp.hmp('cpu 1'))
        self.assertIn('Invalid MCE bank number', machine.qmp.hmp('mce 0 200 0x8000000000000000 0 0 0'))
        self.assertIn('Invalid MCE status code', machine.qmp.hmp('mce 0 1 0 0 0 0'))

    def test_corrected_machine_check_is_in_its_bank(self):
        machine = self.start('HALT')
        self.wait(machine, HEARTBEAT, 1)
        self.assertEqual(machine.qmp.hmp('mce 0 3 0x8c00000000000123 0 0x1000 0x2000'), '')
        machine.qmp.command('stop')
        saved = self.path('mce')
        machine.qmp.command('migrate', {'uri': f'exec:cat > {saved}'})
        while machine.qmp.command('query-migrate')['status'] not in ('completed', 'failed'):
            time.sleep(0.01)
        with open(saved, 'rb') as file:
            self.assertIn(bytes.fromhex('8c00000000000123' '0000000000001000' '0000000000002000'), file.read())

    def test_halted_guest_lets_the_host_sleep(self):
        machine = self.start('HALT')
        self.wait(machine, HEARTBEAT, 1)
        machine.qmp.hmp('info status')

        def switches():
            total = 0
            for task in os.listdir(f'/proc/{machine.process.pid}/task'):
                with open(f'/proc/{machine.process.pid}/task/{task}/status', encoding='ascii') as file:
                    total += sum(int(line.split()[1]) for line in file if 'ctxt_switches' in line)
            return total
        time.sleep(0.2)
        before = switches()
        time.sleep(1)
        self.assertLessEqual(switches() - before, 5)


class Peer(KvmCase):
    """Beside the stock program under the same KVM."""

    def sections(self, command):
        machine = Machine(command, ['-M', 'pc-i440fx-7.2', '-m', '16M', '-bios', self.rom('REGISTERS')], accel='kvm')
        self.addCleanup(machine.close)
        file = self.path('stream')
        self.wait(machine, HEARTBEAT, 2)
        machine.qmp.command('stop')
        registers = machine.qmp.hmp('info registers')
        machine.qmp.command('migrate', {'uri': f'exec:cat > {file}'})
        machine.wait_migration()
        machine.close()
        found = {}
        for name in ('cpu_common', 'cpu', 'apic', 'kvm-tpr-opt', 'kvmclock', 'i8259', 'ioapic', 'i8254'):
            found[name] = subprocess.run([os.path.join(HERE, '../tools/stream-dump'), 'hex', file, name],
                                         stdout=subprocess.PIPE, check=True, text=True).stdout.splitlines()
        return found, registers

    def test_sections_and_values_are_those_of_stock(self):
        if not stock():
            self.skipTest('no stock emulator')
        theirs, their_registers = self.sections(stock()[0])
        ours, our_registers = self.sections(TERN)
        self.assertEqual(our_registers.partition('DR0')[2], their_registers.partition('DR0')[2])

        def fields(lines):
            """Without places in the stream and what time has done."""
            kept = [line.split() for line in lines if line.startswith('  +')]
            return [words[:3] if re.search(r'time|irr|isr|tsc$|^clock$|eip|eflags|regs\[|cr\[2|count', words[1]) else words
                    for words in kept]
        for name, lines in theirs.items():
            with self.subTest(section=name):
                self.assertEqual(fields(ours[name]), fields(lines))


    def journey(self, commands):
        """SeaBIOS begins on the first and is moved on to each of the others; its log."""
        log = self.path('firmware')
        args = ['-M', 'pc-i440fx-7.2', '-m', '32M', '-chardev', f'file,id=log,path={log},append=on', '-device',
                'isa-debugcon,chardev=log,iobase=0x402']
        if os.path.exists(log):
            os.remove(log)

        def text():
            with open(log, encoding='latin-1') as file:
                return file.read()
        machine = Machine(commands[0], args, accel='kvm')
        self.addCleanup(machine.close)
        for command in commands[1:]:
            before = len(text())
            while len(text()) < before + 40:
                time.sleep(0.005)
            destination = Machine(command, args + ['-incoming', 'defer'], accel='kvm')
            self.addCleanup(destination.close)
            uri = 'unix:' + self.path('move')
            destination.qmp.command('migrate-incoming', {'uri': uri})
            machine.qmp.command('migrate', {'uri': uri})
            self.assertEqual(machine.wait_migration()['status'], 'completed')
            destination.wait_migration()
            machine.close()
            machine = destination
        deadline = time.monotonic() + 90
        while 'No bootable device' not in text():
            self.assertLess(time.monotonic(), deadline, text()[-300:])
            time.sleep(0.05)

    def test_firmware_goes_on_at_stock(self):
        if not stock():
            self.skipTest('no stock emulator')
        self.journey([TERN, TERN, stock()[0]])

    def test_firmware_comes_from_stock_and_goes_back(self):
        if not stock():
            self.skipTest('no stock emulator')
        with Machine(TERN, ['-M', 'none'], accel='qtest') as machine:
            known = {entry['name'] for entry in machine.qmp.command('qom-list-types')}
        lacking = {'i8257', 'hpet', 'isa-fdc', 'vmmouse'} - known
        if lacking:
            self.skipTest('stock sends the state of ' + ', '.join(sorted(lacking)) + ', which this build does not have')
        self.journey([stock()[0], TERN, stock()[0]])


class Split(KvmCase):
    accel = ',kernel-irqchip=split'

    def test_memory_written_while_it_is_moved(self):
        self.moved('PATTERNS', moves=2)

    def test_timer_goes_on_after_moves(self):
        self.moved('TIMER', TICKS, moves=3)

    def test_local_timer_goes_on_after_moves(self):
        self.moved('APIC_TIMER', TICKS, moves=2)

    def test_nmi(self):
        Kernel.test_nmi(self)

    def test_pause(self):
        Kernel.test_timer_wakes_and_stands_while_paused(self)


class User(Split):
    accel = ',kernel-irqchip=off'

    def test_rom_and_holes(self):
        Kernel.test_rom_and_holes(self)


class Ring(KvmCase):
    """Dirty pages by rings. The guest that writes all the time is for the long runs: on a KVM that emulates guest code
    small rings lose pages now and then (docs/system/kvm.md)."""
    accel = ',dirty-ring-size=1024'

    def test_registers_survive_moves(self):
        try:
            self.moved('REGISTERS')
        except TestError as err:
            if 'KVM_CAP_DIRTY_LOG_RING' in str(err):
                self.skipTest('KVM_CAP_DIRTY_LOG_RING')
            raise

    def test_ring_and_bitmap_are_one_to_the_other(self):
        machine = self.start('REGISTERS')
        self.wait(machine, HEARTBEAT, 2)
        for accel in ('', ',dirty-ring-size=4096', ',kernel-irqchip=on'):
            machine = self.move(machine, 'REGISTERS', accel=accel)
            self.goes_on(machine)

    @unittest.skipUnless(LONG, 'TERN_TEST_LONG is not set')
    def test_memory_written_while_it_is_moved(self):
        self.moved('PATTERNS')


class Two(KvmCase):
    """Two processors."""
    smp = 2

    def test_second_processor_starts_and_moves(self):
        for self.accel in ('', ',kernel-irqchip=split', ',kernel-irqchip=off'):
            with self.subTest(accel=self.accel):
                machine = self.start('SECOND')
                self.wait(machine, HEARTBEAT, 2)
                self.wait(machine, AP_HEARTBEAT, 2)
                for _ in range(2):
                    machine = self.move(machine, 'SECOND')
                    self.goes_on(machine)
                    self.goes_on(machine, AP_HEARTBEAT)
                machine.qmp.command('stop')
                machine.qmp.command('system_reset')
                machine.qmp.wait_event('RESET')
                machine.qtest.write(HEARTBEAT, bytes(20))
                machine.qmp.command('cont')
                self.wait(machine, AP_HEARTBEAT, 2)


if __name__ == '__main__':
    tap.main()
