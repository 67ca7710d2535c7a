# SPDX-License-Identifier: GPL-2.0-or-later
"""The test back end (tests/vhost-user) as a process, and machines with vhost-user devices."""

import json
import os
import select
import signal
import subprocess
import time

import common
from qtest_client import Machine, TestError

BUILD = os.environ.get('TERN_BUILD_DIR') or os.path.join(common.SOURCE, 'build')
PROGRAM = os.path.join(BUILD, 'tests/vhost-user/vhost-user-backend')
VIRTIOFSD = os.environ.get('TERN_VIRTIOFSD') or os.path.join(BUILD, 'peers/virtiofsd')  # what tests/tools/fetch-virtiofsd makes
MQ, LOG_SHMFD, REPLY_ACK, BACKEND_REQ, CONFIG, INFLIGHT = 1, 2, 8, 0x20, 0x200, 0x1000
RESET_DEVICE, SLOTS, STATUS, DEVICE_STATE = 0x2000, 0x8000, 0x10000, 0x80000
ALL = MQ | LOG_SHMFD | REPLY_ACK | CONFIG | INFLIGHT


def unpacked_virtiofsd(folder=VIRTIOFSD):
    """Command of the Rust virtiofsd in a folder with its dynamic linker and its libraries; None without that."""
    if not os.path.isdir(folder):
        return None
    return [os.path.join(folder, 'ld-linux-x86-64.so.2'), '--library-path', folder, os.path.join(folder, 'virtiofsd')]


DIED = 9  # exit status of a back end that did as a rule said


class Backend:
    """One back end process that listens at `path`."""

    def __init__(self, path, device='fs', queues=2, protocol=ALL, rules=(), options=(), trace=None):
        self.path = path
        command = [PROGRAM, '--socket', path, '--device', device, '--queues', str(queues),
                   '--protocol', hex(protocol)]
        for rule in rules:
            command += ['--rule', rule]
        self.trace = trace
        command += ['--trace', trace] if trace else []
        self.process = subprocess.Popen(command + list(options), stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True)
        try:
            self.ask()  # it listens when it answers; its socket's name is there before
        except (OSError, ValueError) as err:
            if any('=die' in rule for rule in rules) and self.process.wait(60) == DIED:
                return  # a front end was quick
            raise TestError('the back end did not start') from err

    def ask(self, word='counts'):
        self.process.stdin.write(word + '\n')
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], 60)[0]:
            raise TestError('the back end does not answer')
        return json.loads(self.process.stdout.readline())

    def messages(self):
        """Names of the messages so far, with the direction, from the trace."""
        with open(self.trace, encoding='ascii') as lines:
            return [line.rstrip('\n') for line in lines]

    def stop(self):
        """SIGSTOP: silent from now on, the connection stays."""
        self.process.send_signal(signal.SIGSTOP)
        if not wait_for(self.all_stopped):
            raise TestError('the back end does not stop')

    def all_stopped(self):
        """On a busy machine a thread may go on for a while."""
        folder = '/proc/%d/task' % self.process.pid
        for task in os.listdir(folder):
            try:
                with open(os.path.join(folder, task, 'stat'), encoding='utf-8') as stat:
                    if stat.read().rpartition(')')[2].split()[0] != 'T':
                        return False
            except OSError:
                pass  # it has ended
        return True

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass  # it died with a question in its pipe
        self.process.stdout.close()
        if os.path.exists(self.path):
            os.unlink(self.path)


def wait_for(condition, seconds=60.0):
    """Whether the condition holds in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def arguments(path, device, megabytes=64, chardev='', machine='pc'):
    """A machine with shared memory and the device on that socket."""
    return ['-M', '%s,memory-backend=m0' % machine, '-m', '%dM' % megabytes, '-object',
            'memory-backend-memfd,id=m0,size=%dM,share=on' % megabytes,
            '-chardev', 'socket,id=c0,path=%s%s' % (path, chardev), '-device', device]


def start(path, device, command=None, args=(), **options):
    keep = {k: options.pop(k) for k in list(options) if k in ('accel', 'folder', 'qtest', 'pass_fds')}
    return Machine(command or common.TERN, arguments(path, device, **options) + list(args), **keep)


class Pending:
    """A qtest write that has been sent and whose answer has not been read."""

    def __init__(self, machine, text):
        self.line = machine.qtest.line
        self.line.send(text.encode() + b'\n')
        self.began = time.monotonic()

    def over(self):
        return bool(self.line.buffer) or bool(select.select([self.line.sock], [], [], 0)[0])

    def wait(self, seconds=60.0):
        """Seconds that it took."""
        while True:
            answer = self.line.readline(seconds)
            if not answer.startswith(b'IRQ'):
                return time.monotonic() - self.began
