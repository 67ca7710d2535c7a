#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Two machines connected by socket, stream and dgram: Tern with Tern and with stock, while one moves; peers that die, come back, send
rubbish, and do not read.
"""

import contextlib
import os
import random
import socket
import struct
import tempfile
import time
import unittest

import common
from common import tap
from qtest_client import Machine
from virtio_net import GUEST, NetCard, frame, is_ours, number_of

OTHER = bytes.fromhex('525400123457')
PATIENCE = 60


def start(program, netdev, mac=GUEST, more=(), fds=()):
    text = ':'.join(f'{byte:02x}' for byte in mac)
    return Machine(program, ['-M', 'pc-i440fx-7.2', '-m', '16', '-netdev', netdev, '-device',
                             f'virtio-net-pci,id=card,netdev=n,romfile=,addr=4,mac={text}', *more], pass_fds=fds)


# Each gives the options of the two ends, the one that waits first, and descriptors that they need.
WAYS = {}


def way(function):
    WAYS[function.__name__.replace('_', '-')] = function
    return function


@way
def socket_connect(folder):
    port = common.free_port()
    return f'socket,id=n,listen=127.0.0.1:{port}', f'socket,id=n,connect=127.0.0.1:{port}'


@way
def socket_udp(folder):
    one, two = common.free_port(socket.SOCK_DGRAM), common.free_port(socket.SOCK_DGRAM)
    return (f'socket,id=n,udp=127.0.0.1:{one},localaddr=127.0.0.1:{two}', f'socket,id=n,udp=127.0.0.1:{two},localaddr=127.0.0.1:{one}')


@way
def socket_multicast(folder):
    group = f'socket,id=n,mcast=239.1.{os.getpid() % 250}.7:{common.free_port(socket.SOCK_DGRAM)},localaddr=127.0.0.1'
    return group, group


@way
def stream_unix(folder):
    path = os.path.join(folder, 's')
    return f'stream,id=n,server=on,addr.type=unix,addr.path={path}', f'stream,id=n,server=off,addr.type=unix,addr.path={path}'


@way
def stream_inet(folder):
    port = common.free_port()
    address = f'addr.type=inet,addr.host=127.0.0.1,addr.port={port}'
    return f'stream,id=n,server=on,{address}', f'stream,id=n,server=off,{address}'


@way
def dgram_unix(folder):
    one, two = (os.path.join(folder, name) for name in 'ab')
    return tuple(f'dgram,id=n,local.type=unix,local.path={mine},remote.type=unix,remote.path={its}' for mine, its in ((one, two), (two, one)))


@way
def dgram_inet(folder):
    one, two = common.free_port(socket.SOCK_DGRAM), common.free_port(socket.SOCK_DGRAM)
    return tuple(f'dgram,id=n,local.type=inet,local.host=127.0.0.1,local.port={mine},remote.type=inet,remote.host=127.0.0.1,remote.port={its}'
                 for mine, its in ((one, two), (two, one)))


@way
def dgram_multicast(folder):
    group = (f'dgram,id=n,remote.type=inet,remote.host=239.2.{os.getpid() % 250}.7,remote.port={common.free_port(socket.SOCK_DGRAM)},'
             'local.type=inet,local.host=127.0.0.1,local.port=0')
    return group, group


# By descriptors of a socket pair; nobody can take their place.
FD_WAYS = {'stream-fd': (socket.SOCK_STREAM, 'stream,id=n,server=off,addr.type=fd,addr.str={}'),
           'dgram-fd': (socket.SOCK_DGRAM, 'dgram,id=n,local.type=fd,local.str={}'),
           'socket-fd': (socket.SOCK_STREAM, 'socket,id=n,fd={}'),
           'socket-dgram-fd': (socket.SOCK_DGRAM, 'socket,id=n,fd={}')}


class Ends(contextlib.ExitStack):
    """Machines with cards that are started, closed in the end."""

    def machine(self, *args, **options):
        card = NetCard(self.enter_context(start(*args, **options)))
        card.begin()
        return card


class Backends(unittest.TestCase):
    def setUp(self):
        self.numbers = iter(range(1, 1 << 30))
        self.ends = Ends()
        self.addCleanup(self.ends.close)
        folder = tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR'))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    @staticmethod
    def receive_since(receiver, first, wanted, seconds=PATIENCE):
        """Numbers of frames, `first` or later, until there are so many. What was sent before may come at any time: on a busy host it is
        late, and a multicast group brings back one's own."""
        found, end = [], time.monotonic() + seconds
        while len(found) < wanted and time.monotonic() < end:
            found += [number for number in receiver.receive_all(1, seconds=0.1) if number >= first]
        return found

    def connected(self, sender, receiver):
        """A frame that is sent now arrives; those before it went to nobody."""
        first, end = next(self.numbers), time.monotonic() + PATIENCE
        while not self.receive_since(receiver, first, 1, seconds=0.1):
            self.assertLess(time.monotonic(), end, f'nothing arrives: {sender.machine.qmp.hmp("info network")}; '
                                                   f'{receiver.machine.qmp.hmp("info network")}; {sender.machine.stderr()}')
            sender.send(frame(next(self.numbers)))

    def exchange(self, one, two, count=8):
        for sender, receiver in ((one, two), (two, one)):
            sent = [next(self.numbers) for _ in range(count)]
            for number in sent:
                sender.send(frame(number))
            self.assertEqual(self.receive_since(receiver, sent[0], count), sent,
                             f'{sender.machine.qmp.hmp("info network")}; {receiver.machine.qmp.hmp("info network")}')

    def moved(self, card, netdev, mac):
        """The card in another process, which comes to the same network."""
        there = self.ends.enter_context(start(common.TERN, netdev, mac, more=['-incoming', 'defer']))
        path = 'unix:' + os.path.join(self.folder, 'm')
        there.qmp.command('migrate-incoming', {'uri': path})
        card.machine.qmp.command('migrate', {'uri': path})
        self.assertEqual(card.machine.wait_migration()['status'], 'completed')
        there.wait_migration()
        card.machine.close()
        card.moved(there)

    def pair(self, name, programs, moves):
        netdevs = WAYS[name](self.folder)
        one = self.ends.machine(programs[0], netdevs[0], GUEST)
        two = self.ends.machine(programs[1], netdevs[1], OTHER)
        self.connected(two, one)
        self.connected(one, two)
        self.exchange(one, two)
        for _ in range(moves):
            self.moved(two, netdevs[1], OTHER)
            self.connected(two, one)
            self.connected(one, two)
            self.exchange(one, two)

    def by_descriptor(self, name, programs):
        kind, text = FD_WAYS[name]
        cards = []
        for program, sock, mac in zip(programs, socket.socketpair(socket.AF_UNIX, kind), (GUEST, OTHER)):
            with sock:
                cards.append(self.ends.machine(program, text.format(sock.fileno()), mac, fds=(sock.fileno(),)))
        self.exchange(*cards)

    # ---- peers that die ----

    def test_peer_that_dies_takes_the_cable_along(self):
        """The one that connects tries again; the one that waits takes the next one."""
        path = os.path.join(self.folder, 's')
        server = f'stream,id=n,server=on,addr.type=unix,addr.path={path}'
        client = f'stream,id=n,addr.type=unix,addr.path={path},reconnect-ms=50'
        one = self.ends.machine(common.TERN, server, GUEST)
        two = self.ends.machine(common.TERN, client, OTHER)
        for dying in 'one', 'two', 'one':
            self.connected(two, one)
            self.connected(one, two)
            self.exchange(one, two)
            victim, other = (one, two) if dying == 'one' else (two, one)
            victim.machine.process.kill()
            victim.machine.process.wait()
            other.machine.qmp.wait_event('NETDEV_STREAM_DISCONNECTED')
            for _ in range(40):  # to nobody
                other.send(frame(next(self.numbers)))
            self.assertTrue(other.queues[1].wait())
            other.machine.qmp.command('query-status')
            if dying == 'one':
                os.unlink(path)  # the dead one left it
                one = self.ends.machine(common.TERN, server, GUEST)
            else:
                two = self.ends.machine(common.TERN, client, OTHER)
        self.connected(two, one)
        self.connected(one, two)
        self.exchange(one, two)

    def test_peer_that_dies_of_a_socket_hangs_the_card(self):
        for name in 'socket-connect', 'socket-udp', 'dgram-unix':
            with self.subTest(name):
                netdevs = WAYS[name](self.folder)
                one = self.ends.machine(common.TERN, netdevs[0], GUEST)
                two = self.ends.machine(common.TERN, netdevs[1], OTHER)
                self.connected(two, one)
                self.exchange(one, two)
                two.machine.process.kill()
                two.machine.process.wait()
                for _ in range(40):
                    one.send(frame(next(self.numbers)))
                self.assertTrue(one.queues[1].wait())
                two = self.ends.machine(common.TERN, netdevs[1], OTHER)
                self.connected(two, one)
                self.connected(one, two)
                self.exchange(one, two)

    # ---- rubbish ----

    def listen(self):
        """A machine that waits at a unix socket, and a function that connects to it."""
        path = os.path.join(self.folder, 's')
        card = self.ends.machine(common.TERN, f'stream,id=n,server=on,addr.type=unix,addr.path={path}', GUEST)

        def connect():
            sock = self.ends.enter_context(socket.socket(socket.AF_UNIX))
            sock.connect(path)
            card.machine.qmp.wait_event('NETDEV_STREAM_CONNECTED')
            return sock
        return card, connect

    @staticmethod
    def framed(data):
        return struct.pack('>I', len(data)) + data

    def good(self, card, sock):
        """Frames of a peer that behaves."""
        sent = [next(self.numbers) for _ in range(4)]
        for number in sent:
            sock.sendall(self.framed(frame(number, GUEST)))
        self.assertEqual(card.receive_all(4), sent)
        card.send(frame(77))
        sock.settimeout(PATIENCE)
        length, = struct.unpack('>I', sock.recv(4, socket.MSG_WAITALL))
        self.assertEqual(number_of(sock.recv(length, socket.MSG_WAITALL)), 77)

    def test_stream_of_rubbish_from_the_peer(self):
        card, connect = self.listen()
        rng = random.Random(5)
        bad = [b'\xff\xff\xff\xff', b'\x00\x02\x00\x00' + bytes(100), struct.pack('>I', 69 * 1024) + bytes(500), b'\x7f', b'',
               self.framed(b'abc') + b'\xff' * 8] + [b'\xff' + rng.randbytes(rng.randrange(1, 4000)) for _ in range(10)]
        for data in bad:
            sock = connect()
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(data)
            if len(data) >= 4 or not data:
                sock.shutdown(socket.SHUT_WR)
            else:
                sock.close()
            card.machine.qmp.wait_event('NETDEV_STREAM_DISCONNECTED')
            sock.close()
        sock = connect()
        self.good(card, sock)

    def test_frames_of_any_length_from_the_peer(self):
        """Empty, short, and longer than the guest's buffers: dropped or delivered, and the next ones come."""
        card, connect = self.listen()
        sock = connect()
        for length in (0, 1, 13, 14, 15, 59, 1600, 2036, 2037, 9000, 16000, 30000):  # the ring has room for 32 KiB
            sock.sendall(self.framed((GUEST + OTHER + b'\x08\0' + bytes(length))[:length]))
        end = time.monotonic() + PATIENCE
        sock.sendall(self.framed(frame(1, GUEST)))
        seen = []
        while not seen or not is_ours(seen[-1]):
            self.assertLess(time.monotonic(), end)
            seen += self.pieces(card)
        self.good(card, sock)

    @staticmethod
    def pieces(card):
        """What is in the receive ring, each buffer by itself: long frames are in several."""
        rx, found = card.queues[0], []
        while rx.used_index() != rx.seen:
            slot, length = struct.unpack('<II', card.qtest.read(rx.used + 4 + 8 * (rx.seen % rx.size), 8))
            rx.seen = (rx.seen + 1) & 0xffff
            found.append(card.qtest.read(card.buffer(rx, slot // 4), length)[12:])
            rx.post([(card.buffer(rx, slot // 4), 2048, True)])
        rx.kick()
        return found

    def test_datagrams_of_any_length_from_the_peer(self):
        here, there = (os.path.join(self.folder, name) for name in 'ab')
        sock = self.ends.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        sock.bind(here)
        card = self.ends.machine(common.TERN, f'dgram,id=n,local.type=unix,local.path={there},remote.type=unix,remote.path={here}', GUEST)
        for length in (0, 1, 13, 14, 1600, 9000, 30000, 69 * 1024, 100000):
            sock.sendto((GUEST + OTHER + b'\x08\0' + bytes(length))[:length], there)
            self.pieces(card)
        sock.sendto(frame(5, GUEST), there)
        end, seen = time.monotonic() + PATIENCE, []
        while not seen or not is_ours(seen[-1]):
            self.assertLess(time.monotonic(), end)
            seen += self.pieces(card)
        card.send(frame(6))
        sock.settimeout(PATIENCE)
        self.assertEqual(number_of(sock.recv(65536)), 6)

    # ---- a peer that does not read ----

    def test_peer_that_does_not_read_for_a_while(self):
        """What the guest has posted waits, the monitor does not, the machine moves; when it reads, all of it comes, once and in order."""
        card, connect = self.listen()
        sock = connect()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sent = []
        while card.room() and len(sent) < 3000:
            number = next(self.numbers)
            card.send(frame(number, size=1514))
            sent.append(number)
            end = time.monotonic() + 1
            while not card.room() and time.monotonic() < end:
                card.machine.qmp.command('query-status')
                time.sleep(0.02)
        self.assertLess(len(sent), 3000, 'the socket takes everything')
        card.machine.qmp.command('query-status')
        waiting = (card.queues[1].posted - card.queues[1].used_index()) & 0xffff
        self.assertGreater(waiting, 2)
        read, got = sock.makefile('rb'), []
        for _ in range(len(sent)):
            length, = struct.unpack('>I', read.read(4))
            got.append(number_of(read.read(length)))
        self.assertEqual(got, sent)
        self.assertTrue(card.queues[1].wait(PATIENCE))
        read.close()


def add_pair(name, kind, programs, moves):
    def test(self):
        self.pair(name, programs(), moves)
    setattr(Backends, f'test_{name.replace("-", "_")}_{kind}', test)


def add_descriptor(name, kind, programs):
    def test(self):
        self.by_descriptor(name, programs())
    setattr(Backends, f'test_{name.replace("-", "_")}_{kind}', test)


def stock():
    return common.stock()[0]


for each in WAYS:
    add_pair(each, 'moved', lambda: (common.TERN, common.TERN), 3 if common.LONG else 1)
    if common.stock():
        add_pair(each, 'from_stock', lambda: (common.TERN, stock()), 0)
        add_pair(each, 'to_stock', lambda: (stock(), common.TERN), 0 if each in ('socket-connect', 'stream-unix') else 1)  # 7.2 does not wait again
for each in FD_WAYS:
    add_descriptor(each, 'both', lambda: (common.TERN, common.TERN))
    if common.stock():
        add_descriptor(each, 'stock', lambda: (stock(), common.TERN))

if __name__ == '__main__':
    tap.main()
