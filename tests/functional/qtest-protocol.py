#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The qtest server's answers to good, bad and random lines, byte for byte (docs/devel/accel.md)."""
import base64
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ.get('TERN_SOURCE_DIR') or os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..')
sys.path.insert(0, os.path.join(SOURCE, 'tests/unit'))
import tap  # noqa: E402

EMULATOR = os.environ['QTEST_QEMU_BINARY']


class Client:
    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        for _ in range(500):
            try:
                self.socket.connect(path)
                break
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.01)
        self.rest = b''

    def line(self):
        while b'\n' not in self.rest:
            data = self.socket.recv(1 << 20)
            if not data:
                raise EOFError
            self.rest += data
        line, self.rest = self.rest.split(b'\n', 1)
        return line.decode('ascii')

    def ask(self, command):
        self.socket.sendall(command.encode('latin-1') + b'\n')
        return self.line()

    def close(self):
        self.socket.close()


class Protocol(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.sock = os.path.join(self.folder.name, 'qtest')
        self.process = subprocess.Popen(
            [EMULATOR, '-M', 'pc', '-nodefaults', '-accel', 'qtest', '-m', '16M', '-qtest-log', 'none',
             '-qtest', f'unix:{self.sock},server=on,wait=off'], stderr=subprocess.PIPE)
        self.client = Client(self.sock)

    def tearDown(self):
        self.client.close()
        self.process.terminate()
        _, err = self.process.communicate(timeout=60)
        self.folder.cleanup()
        self.assertEqual(self.process.returncode, 0, err)

    def check(self, command, answer):
        self.assertEqual(self.client.ask(command), answer, command[:100])

    def test_values(self):
        self.check('writeb 0x1000 0x1ff', 'OK')
        self.check('readb 0x1000', 'OK 0x00000000000000ff')
        self.check('writel 4096 0x04030201', 'OK')
        self.check('readw 0x1001', 'OK 0x0000000000000302')
        self.check('writeq 0x1000 0x8877665544332211', 'OK')
        self.check('readq 0x1000', 'OK 0x8877665544332211')
        self.check('inb 0x1234', 'OK 0x00ff')
        self.check('inw 0x1234', 'OK 0xffff')
        self.check('inl 0x1234', 'OK 0xffffffff')
        self.check('outb 0x80 1', 'OK')
        self.check('endianness', 'OK little')

    def test_bytes(self):
        self.check('write 0x1000 0x4 0x01020304', 'OK')
        self.check('read 0x1000 0x4', 'OK 0x01020304')
        self.check('b64read 0x1000 0x4', 'OK AQIDBA==')
        self.check('b64write 0x1000 0x4 AQIDBQ==', 'OK')
        self.check('read 0x1000 4', 'OK 0x01020305')
        self.check('memset 0x1000 0x4 0xab', 'OK')
        self.check('read 0x1000 0x5', 'OK 0xabababab00')
        self.check('read 0x1000 0', 'OK 0x')
        self.check('write 0x1000 0x4 0x01', 'OK') # what is missing is zero
        self.check('read 0x1000 0x4', 'OK 0x01000000')
        self.check('memset 0x1000 0 1', 'OK')

    def test_long_lines(self):
        data = random.Random(1).randbytes(3 << 20)
        self.check(f'write 0x200000 {len(data)} 0x{data.hex()}', 'OK')
        self.check(f'read 0x200000 {len(data)}', 'OK 0x' + data.hex())
        self.check(f'b64read 0x200000 {len(data)}', 'OK ' + base64.b64encode(data).decode())

    def test_reader_that_waits(self):
        """Many answers that nobody fetches: none is lost, nothing blocks."""
        self.client.socket.sendall(b'read 0x100000 0x20000\n' * 100)
        time.sleep(0.2)
        for _ in range(100):
            self.assertEqual(self.client.line(), 'OK 0x' + '00' * 0x20000)

    def test_malformed(self):
        for command, reason in (
                ('', 'empty line'),
                ('foo', "Unknown command 'foo'"),
                ('readl', 'readl takes 1 arguments'),
                ('readl 1 2', 'readl takes 1 arguments'),
                ('readl zz', "'zz' is not a number"),
                ('readl -1', "'-1' is not a number"),
                ('readl 0x', "'0x' is not a number"),
                ('readl 99999999999999999999', "'99999999999999999999' is not a number"),
                ('writeb 1', 'writeb takes 2 arguments'),
                ('write 0x1000 0x2 01', 'data must begin with 0x'),
                ('write 0x1000 0x2 0xzz', 'data must be pairs of hexadecimal digits'),
                ('write 0x1000 0x2 0x123', 'data must be pairs of hexadecimal digits'),
                ('b64write 0x1000 0x2 !', 'data must be base64'),
                ('b64write 0x1000 0x2 AQIDBA==', 'data has 4 bytes, not 2'),
                ('read 0x1000 0x1000000000', 'more than 268435456 bytes at once'),
                ('memset 0 0xffffffffffffffff 1', 'more than 268435456 bytes at once'),
                ('clock_step -1', 'the clock cannot step by -1'),
                ('clock_step x', "'x' is not a number"),
                ('irq_intercept_in nosuch', 'Unknown device'),
                ('irq_intercept_in /machine', 'Unknown device'),
                ('irq_intercept_out_named ioapic nosuch', 'the device has no such lines'),
                ('set_irq_in ioapic unnamed-gpio-in 24 1', 'the device has no such line'),
                ('set_irq_in ioapic nosuch 0 1', 'the device has no such line'),
                ('module_load hw- usb', "no module 'hw-usb': this program has none")):
            self.check(command, 'FAIL ' + reason)
        self.check('read 0xfffffffffffffff0 0x20', 'OK 0x' + '00' * 32)

    def test_clock(self):
        """Without a number the clock goes to the next timer, of which a PC has some."""
        def step(text=''):
            word, value = self.client.ask('clock_step' + text).split()
            self.assertEqual(word, 'OK')
            return int(value)
        self.check('clock_step 1000', 'OK 1000')
        self.assertGreater(step(), 1000)
        now = step(' 0')
        self.check('clock_step 1000', f'OK {now + 1000}')
        self.check(f'clock_set {now + 5000}', f'OK {now + 5000}')
        self.check(f'clock_set {now + 4000}', 'FAIL the clock cannot go back')
        self.check('clock_step 0x7fffffffffffffff', 'FAIL the clock cannot step by 9223372036854775807')
        self.check('clock_step 0', f'OK {now + 5000}')

    def test_interrupts(self):
        self.check('irq_intercept_in ioapic', 'OK')
        self.check('irq_intercept_in ioapic', 'OK')
        self.check('irq_intercept_in /machine/ioapic', 'OK')
        self.client.socket.sendall(b'set_irq_in ioapic unnamed-gpio-in 5 1\n')
        self.assertEqual([self.client.line(), self.client.line()], ['IRQ raise 5', 'OK'])
        self.check('set_irq_in ioapic unnamed-gpio-in 5 7', 'OK') # no change
        self.client.socket.sendall(b'set_irq_in ioapic unnamed-gpio-in 5 0\n')
        self.assertEqual([self.client.line(), self.client.line()], ['IRQ lower 5', 'OK'])
        answer = self.client.ask('irq_intercept_in /machine/unattached/device[2]')
        self.assertTrue(answer.startswith('FAIL'), answer)

    def test_next_client(self):
        """Half a line and an interception leave with the client that made them."""
        self.check('irq_intercept_in ioapic', 'OK')
        self.client.socket.sendall(b'write 0x1000 0x4 0x0102')
        self.client.close()
        time.sleep(0.2)
        self.client = Client(self.sock)
        self.check('set_irq_in ioapic unnamed-gpio-in 5 1', 'OK')
        self.check('readl 0x1000', 'OK 0x0000000000000000')

    def test_random_lines(self):
        seed = int(os.environ.get('TEST_SEED', random.randrange(1 << 32)))
        print(f'# seed {seed}: TEST_SEED={seed} runs it again')
        r = random.Random(seed)
        commands = ['inb', 'outl', 'readq', 'writeb', 'read', 'write', 'b64read', 'b64write', 'memset', 'endianness',
                    'clock_step', 'clock_set', 'irq_intercept_in', 'irq_intercept_out', 'set_irq_in', 'module_load']
        words = ['0', '1', '0x10', '0xcf8', '0xfee00000', '0xffffffffffffffff', '-1', 'ioapic', '/machine', 'x', '0xab',
                 'AQID', '0x', '1e3', 'unnamed-gpio-in', '/machine/unattached/device[1]', '\x00', '\xff\xfe', '%s%n']
        for _ in range(3000):
            if r.random() < 0.2:
                line = bytes(r.choice([c for c in range(256) if c != 10]) for _ in range(r.randrange(60))).decode('latin-1')
            else:
                line = ' '.join([r.choice(commands)] + r.choices(words, k=r.randrange(6)))
            if line.startswith(('outl 0xcf9', 'outb 0xcf9')):
                continue
            self.client.socket.sendall(line.encode('latin-1') + b'\n')
            while (answer := self.client.line()).startswith('IRQ '):
                pass
            self.assertRegex(answer, r'^(OK|FAIL )', repr(line))


if __name__ == '__main__':
    tap.main()
