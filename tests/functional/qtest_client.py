# SPDX-License-Identifier: GPL-2.0-or-later
"""Start an emulator and talk to it: QMP on one socket, the qtest protocol on another.

Works with every program that speaks both protocols.  Two ways to use it:

  Machine(binary, args)                 the processor runs a ROM that halts at once, virtual time
                                        is real time (a program without the qtest accelerator)
  Machine(binary, args, accel='qtest')  virtual time moves only by clock_step

All calls raise TestError when the other side closes, times out or answers FAIL.
"""

import json
import os
import select
import shutil
import socket
import subprocess
import tempfile
import time

TIMEOUT = 20.0


class TestError(Exception):
    """What was asked could not be done; the text says what and why."""


class Line:
    """A socket read line by line with a deadline."""

    def __init__(self, sock, what):
        self.sock = sock
        self.what = what
        self.buffer = b''

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as err:
            raise TestError('%s: write: %s' % (self.what, err)) from err

    def readline(self, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while b'\n' not in self.buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.sock], [], [], left)[0]:
                raise TestError('%s: no answer in %.1f s' % (self.what, timeout))
            try:
                data = self.sock.recv(1 << 16)
            except OSError as err:
                raise TestError('%s: read: %s' % (self.what, err)) from err
            if not data:
                raise TestError('%s: closed by the other side' % self.what)
            self.buffer += data
        line, self.buffer = self.buffer.split(b'\n', 1)
        return line

    def close(self):
        self.sock.close()


class Qmp:
    """QMP: commands in order, events kept in self.events."""

    def __init__(self, line, negotiate=True):
        self.line = line
        self.events = []
        self.greeting = json.loads(line.readline())
        if negotiate:
            self.command('qmp_capabilities')

    def raw(self, message, timeout=TIMEOUT):
        """Send one object and return the whole answer, error or not."""
        self.line.send(json.dumps(message).encode() + b'\n')
        while True:
            answer = json.loads(self.line.readline(timeout))
            if 'event' not in answer:
                return answer
            self.events.append(answer)

    def command(self, name, arguments=None, timeout=TIMEOUT):
        """Run a command; return its 'return' value or raise TestError."""
        message = {'execute': name}
        if arguments:
            message['arguments'] = arguments
        answer = self.raw(message, timeout)
        if 'error' in answer:
            raise TestError('%s: %s' % (name, answer['error'].get('desc')))
        return answer['return']

    def hmp(self, text):
        return self.command('human-monitor-command', {'command-line': text})

    def wait_event(self, name, timeout=TIMEOUT):
        deadline = time.monotonic() + timeout
        while True:
            for event in self.events:
                if event['event'] == name:
                    self.events.remove(event)
                    return event
            left = deadline - time.monotonic()
            if left <= 0:
                raise TestError('event %s did not come' % name)
            answer = json.loads(self.line.readline(left))
            if 'event' in answer:
                self.events.append(answer)


class Qtest:
    """The qtest line protocol; numbers are plain integers, data is bytes."""

    def __init__(self, line):
        self.line = line
        self.irqs = []

    def ask(self, text, timeout=TIMEOUT):
        self.line.send(text.encode() + b'\n')
        while True:
            answer = self.line.readline(timeout).decode()
            if answer.startswith('IRQ '):
                self.irqs.append(answer)
                continue
            if answer.startswith('OK'):
                return answer[2:].strip()
            raise TestError('qtest: %s -> %s' % (text[:60], answer))

    def port_in(self, port, width):
        return int(self.ask('in%s 0x%x' % ({1: 'b', 2: 'w', 4: 'l'}[width], port)), 0)

    def port_out(self, port, width, value):
        self.ask('out%s 0x%x 0x%x' % ({1: 'b', 2: 'w', 4: 'l'}[width], port, value))

    def read(self, address, size):
        if size == 0:
            return b''
        return bytes.fromhex(self.ask('read 0x%x 0x%x' % (address, size))[2:])

    def write(self, address, data):
        if data:
            self.ask('write 0x%x 0x%x 0x%s' % (address, len(data), data.hex()))

    def fill(self, address, size, value):
        self.ask('memset 0x%x 0x%x 0x%x' % (address, size, value))

    def clock_step(self, nanoseconds=None):
        text = 'clock_step' if nanoseconds is None else 'clock_step %d' % nanoseconds
        return int(self.ask(text))

    def config_read(self, bdf, offset, width=4):
        self.port_out(0xcf8, 4, 0x80000000 | bdf << 8 | offset & 0xfc)
        return self.port_in(0xcfc + (offset & 3), width)

    def config_write(self, bdf, offset, width, value):
        self.port_out(0xcf8, 4, 0x80000000 | bdf << 8 | offset & 0xfc)
        self.port_out(0xcfc + (offset & 3), width, value)


def halting_rom(path):
    """Write a 64 KiB ROM whose reset vector is cli; hlt; jmp to the hlt."""
    image = bytearray(b'\xf4' * 65536)
    image[0xfff0:0xfff4] = b'\xfa\xf4\xeb\xfd'
    with open(path, 'wb') as rom:
        rom.write(image)


class Machine:
    """One running emulator.  Use as a context manager, or call close()."""

    def __init__(self, command, args, accel='tcg', nodefaults=True, folder=None, env=None):
        self.folder = tempfile.mkdtemp(prefix='machine-', dir=folder)
        self.process = None
        self.lines = []
        rom = os.path.join(self.folder, 'halt.rom')
        halting_rom(rom)
        listeners = {}
        for name in ('qmp', 'qtest'):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.bind(os.path.join(self.folder, name))
            sock.listen(1)
            listeners[name] = sock
        full = list(command) if isinstance(command, (list, tuple)) else [command]
        full += ['-display', 'none', '-accel', accel, '-bios', rom]
        full += ['-nodefaults'] if nodefaults else []
        full += ['-qmp', 'unix:' + os.path.join(self.folder, 'qmp')]
        full += ['-qtest', 'unix:' + os.path.join(self.folder, 'qtest')]
        full += ['-qtest-log', '/dev/null']
        self.errors = open(os.path.join(self.folder, 'stderr'), 'w+b')
        try:
            self.process = subprocess.Popen(full + list(args), stdin=subprocess.DEVNULL,
                                            stdout=self.errors, stderr=self.errors, env=env)
            # A program may wait for one of the two before it opens the other.
            pending = dict(listeners)
            found = {}
            deadline = time.monotonic() + TIMEOUT
            while pending:
                ready = select.select(list(pending.values()), [], [], 0.1)[0]
                for name in [key for key, sock in pending.items() if sock in ready]:
                    found[name] = Line(pending.pop(name).accept()[0], name)
                if self.process.poll() is not None or time.monotonic() > deadline:
                    raise TestError('did not start: ' + self.stderr())
            self.lines = list(found.values())
            self.qtest = Qtest(found['qtest'])
            self.qmp = Qmp(found['qmp'])
        except (OSError, TestError):
            self.close()
            raise
        finally:
            for sock in listeners.values():
                sock.close()

    def stderr(self):
        self.errors.flush()
        self.errors.seek(0)
        return self.errors.read().decode('utf-8', 'replace')

    def close(self):
        """End the program and remove its folder; returns its exit status."""
        status = None
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(5)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            status = self.process.returncode
        for line in self.lines:
            line.close()
        self.lines = []
        self.errors.close()
        shutil.rmtree(self.folder, ignore_errors=True)
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
