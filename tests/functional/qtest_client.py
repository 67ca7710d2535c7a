# SPDX-License-Identifier: GPL-2.0-or-later
"""Start an emulator and talk to it: QMP on one socket, the qtest protocol on another.

Works with every program that speaks both protocols.  With the accelerator 'qtest' virtual time
moves only by clock_step; a program without it runs a ROM that halts at once, and virtual time is
real time.

All calls raise TestError when the other side closes, times out or answers FAIL.
"""

import functools
import json
import os
import re
import select
import signal
import socket
import subprocess
import tempfile
import time

TIMEOUT = 60.0  # a busy host is patiently waited for


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

    def say(self, *messages):
        """Send objects at once; whoever says them takes their answers, by answer()."""
        self.line.send(b''.join(json.dumps(message).encode() + b'\n' for message in messages))

    def raw(self, message, timeout=TIMEOUT):
        """Send one object and return the whole answer, error or not."""
        self.say(message)
        return self.answer(timeout)

    def answer(self, timeout=TIMEOUT):
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

    def poll_events(self, seconds=0.0):
        """Take in what has arrived, or arrives within that time, without a command."""
        deadline = time.monotonic() + seconds
        while True:
            left = max(deadline - time.monotonic(), 0)
            if b'\n' not in self.line.buffer and not select.select([self.line.sock], [], [], left)[0]:
                return self.events
            self.events.append(json.loads(self.line.readline()))

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


def halting_rom():
    """A ROM of SeaBIOS's size whose reset vector is cli; hlt; jmp to the hlt."""
    image = bytearray(b'\xf4' * 262144)
    image[0x3fff0:0x3fff4] = b'\xfa\xf4\xeb\xfd'
    return bytes(image)


def memory_file(name, data):
    """A descriptor of a file without a name that holds these bytes."""
    handle = os.memfd_create(name)
    os.write(handle, data)
    os.lseek(handle, 0, os.SEEK_SET)
    return handle


@functools.lru_cache(None)
def accelerator(command):
    """'qtest' where the program has it, else 'tcg'; command is a tuple of words."""
    done = subprocess.run(list(command) + ['-accel', 'help'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
                          timeout=TIMEOUT)
    return 'qtest' if b'qtest' in done.stdout.split() else 'tcg'


def version(command):
    """The first number in what the program says to -version, as '7.2.22'; '' without one."""
    done = subprocess.run(list(command) + ['-version'], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False,
                          timeout=TIMEOUT)
    found = re.search(r'version (\d[\d.]*)', done.stdout.decode('utf-8', 'replace'))
    return found.group(1) if found else ''


def words(command):
    """A command as a tuple of words."""
    return tuple(command) if isinstance(command, (list, tuple)) else (command,)


def exit_text(status):
    if status is None:
        return 'still running'
    if status < 0:
        return 'killed by ' + signal.Signals(-status).name
    return 'exit status %d' % status


class Machine:
    """One running emulator.  Use as a context manager, or call close().

    QMP and qtest run over socket pairs that the program inherits, so nothing of it is on
    disk.  Without an accel given it is 'qtest' where the program has that, else 'tcg' with
    a processor that halts at once.  pass_fds: more descriptors that it inherits.
    """

    def __init__(self, command, args, accel=None, nodefaults=True, env=None, qtest=True,
                 pass_fds=(), folder=None, negotiate=True):
        self.process = None
        self.qmp = None
        self.qtest = None
        self.lines = []
        self.last_words = ''
        self.errors = tempfile.TemporaryFile(dir=folder)
        command = words(command)
        accel = accel or accelerator(command)
        full = list(command) + ['-display', 'none', '-accel', accel]
        full += ['-nodefaults'] if nodefaults else []
        keep = list(pass_fds)
        mine = []
        try:
            if accel == 'tcg':
                mine.append(memory_file('rom', halting_rom()))
                full += ['-bios', '/dev/fd/%d' % mine[-1]]
            sockets = {}
            for name in ('qmp', 'qtest') if qtest else ('qmp',):
                here, there = socket.socketpair()
                sockets[name] = here
                mine.append(there.detach())
                full += ['-chardev', 'socket,id=%s,fd=%d' % (name, mine[-1])]
                self.lines.append(Line(here, name))
            full += ['-mon', 'chardev=qmp,mode=control']
            full += ['-qtest', 'chardev:qtest', '-qtest-log', '/dev/null'] if qtest else []
            self.command = full + list(args)
            self.started = time.monotonic()
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL,
                                            stdout=self.errors, stderr=self.errors, env=env,
                                            pass_fds=keep + mine)
            while mine:
                os.close(mine.pop())
            self.connect(negotiate)
        except BaseException:
            self.close()
            raise
        finally:
            for handle in mine:
                os.close(handle)

    def connect(self, negotiate):
        """Shake hands; what the program said when it went away instead is the error."""
        try:
            self.qmp = Qmp(self.lines[0], negotiate)
        except TestError as err:
            self.process.poll()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                pass
            raise TestError('did not start (%s): %s %s' % (
                exit_text(self.process.poll()), err, self.stderr().strip())) from err
        if len(self.lines) > 1:
            self.qtest = Qtest(self.lines[1])

    @property
    def pid(self):
        return self.process.pid

    def cpu_seconds(self):
        """Processor time of all its threads so far, ended ones included."""
        return time.clock_gettime((~self.pid << 3) | 2)

    def stderr(self):
        """What it wrote to standard output and standard error (also after close())."""
        if self.errors.closed:
            return self.last_words
        data = b''
        while True:  # not by seek(): the program writes where the descriptor that it shares with us stands
            more = os.pread(self.errors.fileno(), 1 << 16, len(data))
            if not more:
                return data.decode('utf-8', 'replace')
            data += more

    def wait(self, timeout=TIMEOUT):
        """Wait for its end; returns the exit status, negative for a signal."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired as err:
            raise TestError('did not end in %.1f s' % timeout) from err

    def wait_migration(self, timeout=TIMEOUT):
        """Wait for the end of a migration, out or in; returns the answer of query-migrate.

        A program that ends itself meanwhile (a destination does, on a bad stream) raises
        TestError with its exit status and its last words.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                info = self.qmp.command('query-migrate')
                if info.get('status') in ('completed', 'failed', 'cancelled'):
                    return info
                self.qmp.poll_events(0.005)
            except TestError as err:
                status = self.wait(max(deadline - time.monotonic(), 1))
                raise TestError('ended (%s): %s' % (exit_text(status), self.stderr())) from err
            if time.monotonic() > deadline:
                raise TestError('migration does not end: %s' % info)

    def close(self):
        """End the program; returns its exit status."""
        status = None
        if self.process is not None:
            if self.process.poll() is None:
                self.process.terminate()
                try:
                    self.process.wait(30)
                except subprocess.TimeoutExpired:
                    self.process.kill()
                    self.process.wait()
            status = self.process.returncode
        for line in self.lines:
            line.close()
        self.lines = []
        self.last_words = self.stderr()
        self.errors.close()
        return status

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
