#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The NBD client against real servers: qemu-nbd and qemu-storage-daemon, and against one that does not keep to the rules."""

import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import unittest

HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, '../..'))
sys.path.insert(0, os.path.join(SOURCE, 'tests/unit'))
import tap  # noqa: E402
from ports import free_port  # noqa: E402

BUILD = os.environ.get('TERN_BUILD_DIR') or os.path.join(SOURCE, 'build')
IO = os.path.join(BUILD, 'tools/qemu-io/qemu-io')
IMG = os.path.join(BUILD, 'tools/qemu-img/qemu-img')
DIR = os.environ.get('TMPDIR', '/tmp')


def path(name):
    return os.path.join(DIR, name)


def io(target, *commands, options=('-f', 'raw'), ok=True):
    args = [IO, *options]
    for c in commands:
        args += ['-c', c]
    p = subprocess.run(args + [target], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if ok and (p.returncode or 'failed' in p.stdout or 'error' in p.stdout):
        raise AssertionError(p.stdout)
    return p.stdout


class Server:
    """A process that listens on a socket."""

    def __init__(self, args, name):
        self.socket = path(name)
        self.args = args
        self.start()

    def start(self):
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen(self.args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for _ in range(3000):
            if os.path.exists(self.socket):
                s = socket.socket(socket.AF_UNIX)
                try:
                    s.connect(self.socket)
                    return
                except OSError:
                    pass
                finally:
                    s.close()
            time.sleep(0.02)
        raise AssertionError('the server does not listen')

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.kill()
        if os.path.exists(self.socket):
            os.unlink(self.socket)


def need(program):
    if not shutil.which(program):
        raise unittest.SkipTest(f'{program} is not installed')


class Nbd(unittest.TestCase):
    def setUp(self):
        self.files = []

    def image(self, name, size=4 << 20):
        with open(path(name), 'wb') as f:
            f.truncate(size)
        self.files.append(path(name))
        return path(name)

    def tearDown(self):
        for f in self.files:
            os.unlink(f)

    def exercise(self, target):
        io(target, 'write -P 1 0 1M', 'write -P 2 100k 3k', 'read -P 2 100k 3k', 'read -P 1 0 100k', 'write -z 64k 64k',
           'read -P 0 64k 64k', 'discard 512k 64k', 'flush', 'aio_write -P 3 1M 1M', 'aio_write -P 4 2M 1M', 'aio_flush',
           'aio_read -P 3 1M 1M', 'aio_read -P 4 2M 1M', 'aio_flush', 'write -f -P 5 3M 4k', 'read -P 5 3M 4k')

    def test_qemu_nbd(self):
        need('qemu-nbd')
        server = Server(['qemu-nbd', '-t', '-e', '8', '-x', 'e', '-f', 'raw', '--discard=unmap', '-k', path('s'),
                         self.image('a.raw')], 's')
        try:
            self.exercise(f'nbd+unix:///e?socket={server.socket}')
            self.exercise(f'nbd:unix:{server.socket}:exportname=e')
            out = io(f'nbd:unix:{server.socket}:exportname=x', 'read 0 512', ok=False)
            self.assertIn("Requested export not available: 'x'", out)
        finally:
            server.stop()

    def test_storage_daemon(self):
        need('qemu-storage-daemon')
        server = Server(['qemu-storage-daemon', '--blockdev', 'driver=file,node-name=f,discard=unmap,filename=' +
                         self.image('b.raw'), '--nbd-server', 'addr.type=unix,addr.path=' + path('d'),
                         '--export', 'type=nbd,id=x,node-name=f,name=e,writable=on'], 'd')
        try:
            self.exercise(f'nbd+unix:///e?socket={server.socket}')
            io('driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=' + server.socket + ',file.export=e',
               'read -P 5 3M 4k', options=('--image-opts',))
        finally:
            server.stop()

    def test_tcp(self):
        need('qemu-nbd')
        port = free_port()
        process = subprocess.Popen(['qemu-nbd', '-t', '-e', '8', '-f', 'raw', '-b', '127.0.0.1', '-p', str(port),
                                    self.image('c.raw')], stderr=subprocess.DEVNULL)
        try:
            for _ in range(3000):
                try:
                    socket.create_connection(('127.0.0.1', port)).close()
                    break
                except OSError:
                    time.sleep(0.02)
            self.exercise(f'nbd://127.0.0.1:{port}')
            self.exercise(f'nbd:127.0.0.1:{port}')
        finally:
            process.kill()
            process.wait()

    def test_read_only(self):
        need('qemu-nbd')
        server = Server(['qemu-nbd', '-t', '-r', '-f', 'raw', '-k', path('r'), self.image('d.raw')], 'r')
        try:
            out = io(f'nbd+unix:///?socket={server.socket}', 'write 0 512', ok=False)
            self.assertIn('write', out)
            io(f'nbd+unix:///?socket={server.socket}', 'read -P 0 0 512', options=('-r', '-f', 'raw'))
        finally:
            server.stop()

    def test_reconnect(self):
        """The server dies and comes back: a request that waits is done, with no delay allowed it fails."""
        need('qemu-nbd')
        args = ['qemu-nbd', '-t', '-e', '8', '-f', 'raw', '-k', path('n'), self.image('e.raw')]
        server = Server(args, 'n')
        target = 'driver=raw,file.driver=nbd,file.server.type=unix,file.server.path=' + server.socket
        for delay, want in ((20, 'wrote 512'), (0, 'write failed')):
            p = subprocess.Popen([IO, '--image-opts', target + f',file.reconnect-delay={delay}'], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            try:
                p.stdin.write('write -P 7 0 512\n')
                p.stdin.flush()
                while 'ops' not in p.stdout.readline():
                    pass
                server.kill()
                if delay == 0:
                    p.stdin.write('sleep 300\n')
                p.stdin.write('write -P 8 512 512\nquit\n')
                p.stdin.flush()
                time.sleep(0.3)
                if delay:
                    server.start()
                out, _ = p.communicate(timeout=120)
                self.assertIn(want, out)
            finally:
                if p.poll() is None:
                    p.kill()
                p.wait()
                p.stdout.close()
        server.stop()

    def fake(self, talk, use=None):
        """A server that sends what `talk` says; what the client (use(URI), or qemu-io) says of it."""
        listener = socket.socket(socket.AF_UNIX)
        name = path('fake')
        if os.path.exists(name):
            os.unlink(name)
        listener.bind(name)
        listener.listen(1)

        def serve():
            conn, _ = listener.accept()
            try:
                talk(conn)
            except OSError:
                pass
            finally:
                conn.close()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            target = f'nbd+unix:///?socket={name}'
            return use(target) if use else io(target, 'read 0 4k', 'read 0 4k', ok=False)
        finally:
            thread.join()
            listener.close()
            os.unlink(name)

    @staticmethod
    def hello(conn):
        """Negotiation with EXPORT_NAME only: simple replies."""
        conn.sendall(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 2))
        conn.recv(4, socket.MSG_WAITALL)
        conn.recv(16, socket.MSG_WAITALL)
        conn.sendall(struct.pack('>QH', 1 << 20, 1))

    def test_bad_servers(self):
        def nothing(conn):
            pass

        def rubbish(conn):
            conn.sendall(b'x' * 100)

        def old(conn):
            conn.sendall(b'NBDMAGIC' + struct.pack('>QQIB', 0x00420281861253, 1 << 20, 0, 0))
            conn.recv(100)

        def huge(conn):
            conn.sendall(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 2))
            conn.recv(4, socket.MSG_WAITALL)
            conn.recv(16, socket.MSG_WAITALL)
            conn.sendall(struct.pack('>QH', 1 << 63, 1))

        def wrong_cookie(conn):
            self.hello(conn)
            conn.recv(28, socket.MSG_WAITALL)
            conn.sendall(struct.pack('>IIQ', 0x67446698, 0, 12345) + bytes(4096))
            conn.recv(100)

        def unasked_chunks(conn):
            self.hello(conn)
            cookie = conn.recv(28, socket.MSG_WAITALL)[8:16]
            conn.sendall(struct.pack('>IHH', 0x668e33ef, 1, 1) + cookie + struct.pack('>IQ', 16, 0) + bytes(8))
            conn.recv(100)

        def ends_in_data(conn):
            self.hello(conn)
            cookie = conn.recv(28, socket.MSG_WAITALL)[8:16]
            conn.sendall(struct.pack('>II', 0x67446698, 0) + cookie + bytes(100))

        def refuses(conn):
            self.hello(conn)
            for _ in range(2):
                cookie = conn.recv(28, socket.MSG_WAITALL)[8:16]
                conn.sendall(struct.pack('>II', 0x67446698, 28) + cookie)
            conn.recv(100)

        for talk, want in ((nothing, 'greeting'), (rubbish, 'Bad initial magic'), (old, 'the old protocol'),
                           (huge, 'too large'), (wrong_cookie, 'read failed: Input/output error'),
                           (unasked_chunks, 'read failed: Input/output error'),
                           (ends_in_data, 'read failed: Input/output error'),
                           (refuses, 'read failed: No space left on device')):
            with self.subTest(talk.__name__):
                self.assertIn(want, self.fake(talk))

    @staticmethod
    def negotiate(conn):
        """Structured replies, and which parts are holes."""
        def reply(option, kind, data=b''):
            conn.sendall(struct.pack('>QIII', 0x3e889045565a9, option, kind, len(data)) + data)

        conn.sendall(b'NBDMAGICIHAVEOPT' + struct.pack('>H', 3))
        conn.recv(4, socket.MSG_WAITALL)
        while True:
            option, n = struct.unpack('>8xII', conn.recv(16, socket.MSG_WAITALL))
            if n:
                conn.recv(n, socket.MSG_WAITALL)
            if option == 10:
                reply(option, 4, struct.pack('>I', 1) + b'base:allocation')
            elif option == 7:
                reply(option, 3, struct.pack('>HQH', 0, 1 << 20, 1))
            reply(option, 1)
            if option == 7:
                return

    def test_answer_without_end(self):
        """Pieces that say nothing, or the same again and again, end the connection; a read waited for ever."""
        def chunks(kind, data):
            def talk(conn):
                self.negotiate(conn)
                cookie = conn.recv(28, socket.MSG_WAITALL)[8:16]
                chunk = struct.pack('>IHH', 0x668e33ef, 0, kind) + cookie + struct.pack('>I', len(data)) + data
                until = time.monotonic() + 20
                while time.monotonic() < until:
                    conn.sendall(chunk * 1000)
            return talk

        for kind, data in ((2, struct.pack('>QI', 0, 0)), (2, struct.pack('>QI', 0, 4096)),
                           (1, struct.pack('>Q', 0) + b'x' * 512)):
            with self.subTest(kind=kind):
                start = time.monotonic()
                self.assertIn('read failed: Input/output error', self.fake(chunks(kind, data)))
                self.assertLess(time.monotonic() - start, 15)

    def test_hole_that_does_not_read_as_zeros(self):
        """A server says of a hole that it is zero, or else it is not."""
        def talk(conn):
            self.negotiate(conn)
            while True:
                head = conn.recv(28, socket.MSG_WAITALL)
                if len(head) < 28 or head[7] == 2:
                    return
                cookie, (offset, n) = head[8:16], struct.unpack('>QI', head[16:])
                if head[7] == 7:  # hole, not zero
                    data, kind = struct.pack('>III', 1, n, 1), 5
                else:
                    data, kind = struct.pack('>Q', offset) + b'\x55' * n, 1
                conn.sendall(struct.pack('>IHH', 0x668e33ef, 1, kind) + cookie + struct.pack('>I', len(data)) + data)

        def convert(target):
            subprocess.run([IMG, 'convert', '-f', 'raw', '-O', 'raw', target, path('h.raw')], check=True, timeout=120)
            self.files.append(path('h.raw'))
            with open(path('h.raw'), 'rb') as f:
                return f.read()

        self.assertEqual(self.fake(talk, convert), b'\x55' * (1 << 20))

    def flapping(self, lose):
        """A server that loses its connections for two seconds, by lose(conn), and then answers: what the client says, and
        how often it came in that time."""
        listener = socket.socket(socket.AF_UNIX)
        name = path('flap')
        listener.bind(name)
        listener.listen(1)
        times = []

        def serve():
            while True:
                conn, _ = listener.accept()
                with conn:
                    times.append(time.monotonic())
                    try:
                        self.hello(conn)
                        if len(times) > 1 and times[-1] - times[1] > 2:
                            head = conn.recv(28, socket.MSG_WAITALL)
                            conn.sendall(struct.pack('>II', 0x67446698, 0) + head[8:16] + b'\x07' * 512)
                            conn.recv(28, socket.MSG_WAITALL)
                            return
                        if len(times) == 1:
                            conn.recv(28, socket.MSG_WAITALL)
                        else:
                            lose(conn)
                    except OSError:
                        pass
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            out = io('driver=raw,file.driver=nbd,file.reconnect-delay=60,file.server.type=unix,file.server.path=' + name,
                     'read -P 7 0 512', options=('--image-opts',), ok=False)
        finally:
            listener.close()
            os.unlink(name)
        return out, len(times)

    def test_server_that_loses_connections(self):
        """The client tries again and again, but not as fast as it can: a request is done when the server answers. It made
        thousands of attempts a second, or (closed at once) none after the first."""
        for lose in (lambda conn: None, lambda conn: conn.recv(28, socket.MSG_WAITALL)):
            out, attempts = self.flapping(lose)
            self.assertIn('read 512/512', out)
            self.assertLess(attempts, 20)

    def test_names(self):
        for name, want in (('nbd:unix:', 'path of a socket'), ('nbd:host', 'error parsing address'),
                           ('nbd+unix:///x', 'socket=PATH'), ('nbd://', 'no host'), ('nbd://h/?x=1', 'parameters'),
                           ('nbds://h', 'Unknown protocol'), ('nbd+foo://h', 'Unknown scheme')):
            self.assertIn(want, io(name, 'read 0 1', ok=False))


if __name__ == '__main__':
    tap.main()
