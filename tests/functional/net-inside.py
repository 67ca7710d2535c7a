#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines at a bridge of the host's kernel, by tap interfaces with and without vhost-net. Runs in a network namespace of its own
(test-net-tap.py), and in the nested machine, whose kernel has vhost-net (test-nested-vhost.py).

    net-inside.py SCENARIO...

Prints a line `scenario NAME ok: TEXT` or `scenario NAME wrong: TEXT` for each.
"""

import hashlib
import itertools
import os
import re
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time

import common
import virtio_net
from qtest_client import Machine, TestError, halting_rom
from scenarios import Scenarios, Wrong
from virtio_net import GUEST, HEADER, MQ, NetCard, PATIENCE, USUAL, frame
from virtio_pci import NEEDS_RESET, RING_RESET

SCENARIOS = Scenarios()
FOLDER = tempfile.mkdtemp(prefix='net')
BRIDGE = None
INTERFACES = itertools.count()


def check(condition, text):
    if not condition:
        raise Wrong(text)


def start(how, more=(), queues=1, card='', program=common.TERN, hub=False):
    """how: 'on' or 'off' for vhost=, or the socket of a vhost-user back end. hub: one between card and interface."""
    name = None
    if not how.startswith('/'):
        name = f'tap{next(INTERFACES)}'
        netdev = ['-netdev', f'tap,id={"t" if hub else "n"},ifname={name},vhost={how},script=no,downscript=no' +
                  (f',queues={queues}' if queues > 1 else '')]
        if hub:
            netdev += ['-netdev', 'hubport,id=h,hubid=1,netdev=t', '-netdev', 'hubport,id=n,hubid=1']
    else:
        netdev = ['-chardev', f'socket,id=v,path={how}', '-netdev', 'vhost-user,id=n,chardev=v']
    mac = ':'.join(f'{byte:02x}' for byte in GUEST)
    trace = ['-trace', 'vhost_kernel_ioctl'] if program == common.TERN else []
    with open(os.path.join(FOLDER, 'rom'), 'wb') as file:  # it comes with the stream: no firmware is to run in stock
        file.write(halting_rom())
    machine = Machine(program, ['-M', 'pc-i440fx-7.2,memory-backend=m0', '-bios', os.path.join(FOLDER, 'rom'), '-m', '16', '-object', 'memory-backend-memfd,id=m0,size=16M,share=on',
                             *netdev, '-device', f'virtio-net-pci,id=card,netdev=n,romfile=,addr=4,mac={mac}{card}', *trace, *more])
    if name:
        BRIDGE.plug(name)
    return machine


def runs_in_kernel(machine):
    """How many of the rings have been given to the kernel so far."""
    return len(set(re.findall(r'VHOST_NET_SET_BACKEND ring (\d+): ok', machine.stderr())))


def said(machine):
    """What it has said, without the trace."""
    return '\n'.join(line for line in machine.stderr().splitlines() if 'vhost_kernel_ioctl' not in line)[-1500:]


class Traffic:
    """Numbered frames both ways; what has arrived is checked in the end."""

    def __init__(self, card):
        self.card = card
        self.numbers = iter(range(1, 1 << 30))
        self.sent, self.got = [], []        # by the guest, at the bridge
        self.offered, self.received = [], []  # at the bridge, by the guest

    def guest_sends(self, count, kick=True):
        for _ in range(count):
            number = next(self.numbers)
            self.card.send(frame(number, BRIDGE.mac), kick=kick)
            self.sent.append(number)

    def host_sends(self, count):
        for _ in range(count):
            number = next(self.numbers)
            BRIDGE.send(frame(number, GUEST, BRIDGE.mac))
            self.offered.append(number)

    def settle(self):
        """Nothing is on the way: all that the guest sent must have come."""
        self.got += BRIDGE.receive_all(len(self.sent) - len(self.got))
        check(self.got == self.sent, f'the guest sent {self.sent[-40:]}, the bridge got {self.got[-40:]}')

    def settle_received(self, lossless=True):
        """What waited in front of the source is lost; what comes behind is not."""
        if lossless:
            self.received += self.card.receive_all(len(self.offered) - len(self.received))
        else:
            end = time.monotonic() + PATIENCE
            self.host_sends(1)
            while self.offered[-1] not in self.received[-1:]:
                check(time.monotonic() < end, 'nothing reaches the guest any more')
                self.received += self.card.receive_all(1, seconds=5)
        check(self.received == [number for number in self.offered if number in set(self.received)],
              f'out of order or twice: {self.received[-40:]} of {self.offered[-40:]}')
        if lossless:
            check(self.received == self.offered, f'the bridge sent {self.offered[-40:]}, the guest got {self.received[-40:]}')
        self.offered = list(self.received)

    def both(self, rounds=4):
        for _ in range(rounds):
            self.guest_sends(6)
            self.host_sends(6)
            self.settle()
            self.settle_received()


def move(source, there, traffic=None):
    """Moves the machine; the guest sends and frames for it come meanwhile, which it looks at when it has arrived."""
    path = os.path.join(FOLDER, 'm')
    if traffic:
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 200000, 'downtime-limit': 0})
    there.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
    source.qmp.command('migrate', {'uri': 'unix:' + path})
    for n in range(8 if traffic else 0):  # it does not come to its end meanwhile: memory is no driver's when it does
        traffic.guest_sends(1, kick=n % 3 != 2)
        traffic.host_sends(1)
    if traffic:
        check(source.qmp.command('query-migrate')['status'] in ('setup', 'active'), 'the migration was over too soon')
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 30, 'downtime-limit': 300})
    info = source.wait_migration()
    check(info['status'] == 'completed', f'{info}; {said(source)}')
    there.wait_migration()
    end = time.monotonic() + PATIENCE
    while there.qmp.command('query-status')['status'] != 'running':
        check(time.monotonic() < end, 'the destination does not run')
        time.sleep(0.005)
    source.close()
    return there


def journey(ways, **options):
    """A machine that is moved along these ways to be at the network."""
    machine = start(ways[0], **options)
    try:
        card = NetCard(machine)
        card.begin()
        card.qtest.fill(0x800000, 0x600000, 0x5a)  # so that there is something to send
        traffic = Traffic(card)
        for way in ways[1:]:
            traffic.both()
            there = start(way, more=['-incoming', 'defer'], **options)
            try:
                machine = move(machine, there, traffic)
            except BaseException:
                print(said(there))
                there.close()
                raise
            card.moved(machine)
            card.queues[1].kick()  # the driver cannot know whether its last kick was wanted
            traffic.settle()
            traffic.settle_received(lossless=False)
        traffic.both()
        return f'{len(ways) - 1} moves ({", ".join(ways)}), {len(traffic.sent)} frames sent, {len(traffic.received)} received'
    finally:
        print(said(machine))
        machine.close()


@SCENARIOS.add
def tap():
    """Without vhost."""
    return journey(['off'] * 5)


@SCENARIOS.add
def vhost():
    return journey(['on'] * 6)


@SCENARIOS.add
def vhost_and_not():
    return journey(['on', 'off', 'on'])


@SCENARIOS.add
def vhost_user():
    """A back end that only takes frames and gives none: the rings are where they should be all the same."""
    import vhost_user as test_backend
    path = os.path.join(FOLDER, 'v')
    how = 'on' if os.path.exists('/dev/vhost-net') else 'off'
    machine = start(how)
    backend = test_backend.Backend(path, 'net', queues=2, options=('--features', hex(1 << 15 | 1 << 21 | 1 << 26 | 1 << 28 | 1 << 29 | 1 << 30 | 1 << 32)))
    there = last = None
    try:
        card = NetCard(machine)
        card.begin()
        card.qtest.fill(0x800000, 0x600000, 0x5a)
        traffic = Traffic(card)
        traffic.both()
        there = start(path, more=['-incoming', 'defer'])
        card.moved(move(machine, there, traffic))
        card.queues[1].kick()
        card.send(frame(999999))
        check(card.queues[1].wait(PATIENCE), 'the back end does not take what is sent')
        last = start(how, more=['-incoming', 'defer'])
        card.moved(move(there, last))
        traffic.got += BRIDGE.receive_all(1 << 20, seconds=0.3)
        again = Traffic(card)
        card.discard()  # what the back end has made of them
        again.numbers = iter(range(5000, 1 << 30))
        again.both()
        return 'to a vhost-user back end and back'
    finally:
        for each in machine, there, last:
            if each:
                print(said(each), file=sys.stderr)
                each.close()
        backend.kill()


def flow(number, port):
    """A UDP datagram: the kernel chooses a queue by addresses and ports."""
    body = struct.pack('>I', number) + bytes(60)
    udp = struct.pack('>HHHH', port, 9, 8 + len(body), 0) + body
    ip = struct.pack('>BBHHHBBH4s4s', 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes((10, 9, 0, 1)), bytes((10, 9, 0, 2)))
    total = sum(struct.unpack('>10H', ip))
    total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack('>H', ~(total + (total >> 16)) & 0xffff) + ip[12:]
    return GUEST + BRIDGE.mac + b'\x08\0' + ip + udp


def flows(card, pairs):
    """Sends many flows; returns how many datagrams came on which pair. Each few are waited for: rings that are full make a host drop."""
    counts = [0] * card.max_pairs
    for number in range(64):
        BRIDGE.send(flow(number, 1000 + 37 * number))
        end = time.monotonic() + PATIENCE
        while number % 8 == 7 and sum(counts) <= number and time.monotonic() < end:
            for pair in range(card.max_pairs):
                data = card.receive(pair)
                if data and data[12:14] == b'\x08\0' and data[23] == 17:  # not the kernel's own
                    counts[pair] += 1
    check(sum(counts) == 64, f'of 64 flows {counts} came, the driver uses {pairs} pairs')
    check(all(not count for count in counts[pairs:]), f'queues that the driver does not use got {counts}')
    return counts


def queues(how):
    """As many queues of the interface are attached as the guest uses: no flow goes to one that nobody reads."""
    machine = start(how, queues=2, card=',mq=on')
    try:
        card = NetCard(machine)
        card.begin()  # a driver without MQ
        counts = [flows(card, 1)]
        card.begin(USUAL | MQ)
        counts.append(flows(card, 1))
        card.use_pairs(2)
        counts.append(flows(card, 2))
        there = start(how, queues=2, card=',mq=on', more=['-incoming', 'defer'])
        try:
            machine = move(machine, there)
        except BaseException:
            there.close()
            raise
        card.moved(machine)
        counts.append(flows(card, 2))
        check(all(counts[-1]), f'all flows came on one pair: {counts[-1]}')
        card.use_pairs(1)
        counts.append(flows(card, 1))
        for number in range(20):
            card.send(frame(number + 1, BRIDGE.mac))
        check(BRIDGE.receive_all(20) == list(range(1, 21)), 'frames that the guest sent are missing')
        return f'{counts}'
    finally:
        print(said(machine))
        machine.close()


@SCENARIOS.add
def tap_queues():
    return queues('off')


@SCENARIOS.add
def vhost_queues():
    return queues('on')


@SCENARIOS.add
def stock_queues():
    """A card with two pairs of queues from stock to Tern and back, in use both."""
    stock = common.stock()[0]
    options = {'queues': 2, 'card': ',mq=on'}
    machine = start('off', program=stock, **options)
    try:
        card = NetCard(machine)
        card.begin(USUAL | MQ, pairs=2)
        counts = [flows(card, 2)]
        for n, program in enumerate((common.TERN, stock, common.TERN)):
            there = start('off', more=['-incoming', 'defer'], program=program, **options)
            try:
                machine = move(machine, there)
            except BaseException:
                print(said(there))
                there.close()
                raise
            card.moved(machine)
            counts.append(flows(card, 2))
            for pair in 0, 1:
                for number in range(1, 21):
                    card.send(frame(number, BRIDGE.mac), pair)
                check(BRIDGE.receive_all(20) == list(range(1, 21)), f'frames that the guest sent on pair {pair} are missing')
            card.use_pairs(1 + n % 2)
            counts.append(flows(card, 1 + n % 2))
            card.use_pairs(2)
        check(all(all(each) for each in counts[1::2]), f'a pair is not used: {counts}')
        return f'{counts}'
    finally:
        machine.close()


@SCENARIOS.add
def tap_pieces():
    """A frame in many small descriptors; the interface has a header that a hub does not give."""
    machine = start('off', hub=True)
    try:
        card = NetCard(machine)
        card.begin(size=256)
        tx, data = card.queues[1], bytes(HEADER) + frame(1, BRIDGE.mac, size=1514)
        card.qtest.write(tx.data, data)
        tx.post([(tx.data + at, min(16, len(data) - at), False) for at in range(0, len(data), 16)])
        tx.kick()
        check(BRIDGE.receive_all(1) == [1], 'the frame has not come')
        return f'{len(data) // 16} pieces'
    finally:
        print(said(machine))
        machine.close()


def link(how):
    """Without a cable frames are taken and dropped; with one again they go out."""
    machine = start(how)
    try:
        card = NetCard(machine)
        card.begin()
        traffic = Traffic(card)
        traffic.both()
        for _ in range(3):
            machine.qmp.command('set_link', {'name': 'card', 'up': False})
            for number in range(20):
                card.send(frame(100000 + number))
            check(card.queues[1].wait(), 'what is sent without a cable does not come back to the driver')
            machine.qmp.command('set_link', {'name': 'card', 'up': True})
            check(not BRIDGE.receive_all(1, seconds=0.1), 'a frame came through a cable that was not there')
            while card.receive():  # the kernel kept a few for us
                pass
            traffic.both(2)
        machine.qmp.command('netdev_del', {'id': 'n'})
        card.send(frame(1))
        check(card.queues[1].wait(), 'the backend is gone, and the driver waits for it')
        return 'pulled and plugged three times, backend deleted'
    finally:
        machine.close()


@SCENARIOS.add
def tap_link():
    return link('off')


@SCENARIOS.add
def vhost_link():
    return link('on')


@SCENARIOS.add
def vhost_reset():
    """Reset of the device and of one queue."""
    machine = start('on')
    try:
        card = NetCard(machine)
        for _ in range(5):
            card.begin(USUAL | RING_RESET)
            check(card.chosen & RING_RESET, 'RING_RESET is not offered')
            Traffic(card).both(1)
            for index in 1, 0:
                card.reset_queue(index)
                card.enable_queue(index)
                if index == 0:
                    card.fill()
                Traffic(card).both(1)
        machine.qmp.command('system_reset')
        end = time.monotonic() + PATIENCE
        while not machine.qmp.poll_events(0.05) and time.monotonic() < end:
            pass
        card = NetCard(machine)
        card.begin()
        Traffic(card).both(1)
        check(runs_in_kernel(machine) == 2, 'the kernel has not had the rings')
        machine.qmp.command('stop')
        BRIDGE.send(frame(4, GUEST, BRIDGE.mac))
        time.sleep(0.05)
        check(card.queues[0].used_index() == card.queues[0].seen, 'a frame was written into a machine that is stopped')
        machine.qmp.command('cont')
        check(card.receive_all(1) == [4], 'a frame that waited for the machine was lost')
        return 'five resets of the device, ten of a queue, one of the machine'
    finally:
        machine.close()


@SCENARIOS.add
def vhost_bad_driver():
    """What the kernel says about a ring that cannot be is an error of the device that the driver sees."""
    machine = start('on')
    try:
        card = NetCard(machine)
        card.begin()
        tx = card.queues[1]
        card.qtest.write(tx.avail + 4, struct.pack('<H', 999))
        card.qtest.write(tx.avail + 2, struct.pack('<H', 1))
        tx.kick()
        end = time.monotonic() + PATIENCE
        while not card.status & NEEDS_RESET:
            check(time.monotonic() < end, 'the driver is not told')
            time.sleep(0.01)
        check('the kernel cannot use a ring' in machine.stderr(), machine.stderr()[-500:])
        card.begin()
        Traffic(card).both(1)
        return 'NEEDS_RESET, and after a reset it works'
    finally:
        machine.close()


@SCENARIOS.add
def vhost_no_header():
    """An interface without virtio headers: the kernel makes them up."""
    machine = start('on,vnet_hdr=off')
    try:
        card = NetCard(machine)
        card.begin()
        Traffic(card).both()
        return 'frames are whole'
    finally:
        machine.close()


@SCENARIOS.add
def vhost_refused():
    """No /dev/vhost-net: an error that names it."""
    for more in '', ',vhostforce=on':
        try:
            start('on' + more).close()
        except TestError as error:
            check('open vhost char device failed: /dev/vhost-net: No such file' in str(error), str(error))
        else:
            raise Wrong('vhost=on is ignored')
    return 'by name'


@SCENARIOS.add
def vhost_linux():
    """Debian's driver under KVM reads over TCP while it is moved; interrupts go from kernel to kernel."""
    inside = common.load(os.path.join(common.HERE, 'nested-inside.py'))
    inside.FOLDER = '/guest'
    data = os.urandom(4 << 20)
    digest = hashlib.sha256(data).hexdigest()
    server = socket.create_server(('10.9.0.1', 5000))

    def serve():
        connection, _ = server.accept()
        with connection:
            for at in range(0, len(data), 65536):
                connection.sendall(data[at:at + 65536])
                time.sleep(0.1)
    threading.Thread(target=serve, daemon=True).start()

    class Journey(inside.Journey):
        """Each process has an interface of its own."""

        def start(self, *more):
            name = f'tap{next(INTERFACES)}'
            machine = super().start('-netdev', f'tap,id=n,ifname={name},vhost=on,script=no,downscript=no', '-device',
                                    'virtio-net-pci,netdev=n,romfile=', *more)
            BRIDGE.plug(name)
            return machine
    with tempfile.TemporaryDirectory() as folder, Journey(inside.linux('do=net', devices=lambda path: []), folder) as trip:
        since = time.monotonic()
        try:
            inside.wait_for(trip, 'network is up', moving=False)
            trip.run(lambda: b'\nEND' in trip.serial(), inside.PATIENCE, pause=0.2)
            text = inside.console(trip)
            check(f'{digest}  -' in text, 'the sum is wrong')
            inside.check_console(text)
            check(trip.moves >= 2, f'only {trip.moves} moves')
            check(re.search(r'(?m)^ *\d+: +[1-9]\d* .*virtio\d+-input', text), 'no interrupt by a vector of its own')
        except Exception:
            print(inside.console(trip), trip.machine.stderr()[-1000:], flush=True)
            raise
        return f'4 MiB, {inside.summary(trip, since)}'


def pxe(kind):
    """SeaBIOS and iPXE get an address and a program from the user network, which runs, while the machine is moved."""
    inside = common.load(os.path.join(common.HERE, 'nested-inside.py'))
    with open('/guest/tftp/boot', 'rb') as file:
        total = sum(file.read()) & 0xffffffff
    args = ['-M', 'pc-i440fx-7.2', '-m', '64', '-device', 'VGA', '-netdev', 'user,id=n,tftp=/guest/tftp,bootfile=boot', '-device',
            f'{kind},netdev=n,bootindex=1']

    def screen(trip):
        path = os.path.join(FOLDER, 'screen')
        trip.machine.qmp.command('pmemsave', {'val': inside.TEXT_SCREEN, 'size': 4000, 'filename': path})
        with open(path, 'rb') as file:
            text = file.read()[::2].decode('cp437')
        return '\n'.join(text[at:at + 80].rstrip() for at in range(0, 2000, 80)).strip()
    with tempfile.TemporaryDirectory() as folder, inside.Journey(args, folder) as trip:
        since = time.monotonic()
        try:
            trip.run(lambda: b'END' in trip.serial(), inside.PATIENCE, pause=0.3)
            check(f'sum of the program {total:08x}\r\nEND' in trip.serial().decode('latin-1'), f'the sum is not {total:08x}: {trip.serial()}')
            check(trip.moves >= 2, f'only {trip.moves} moves')
        except Exception:
            print(trip.debug()[-1500:].decode('latin-1'), screen(trip), trip.serial(), sep='\n', flush=True)
            raise
        return inside.summary(trip, since)


@SCENARIOS.add
def pxe_virtio_net():
    return pxe('virtio-net-pci')


@SCENARIOS.add
def pxe_e1000():
    return pxe('e1000')


def run(function):
    """What a scenario before it has left at the bridge is not its own."""
    while BRIDGE.receive():
        pass
    return function()


def main():
    global BRIDGE  # pylint: disable=global-statement
    BRIDGE = virtio_net.Bridge(address='10.9.0.1')
    try:
        SCENARIOS.main(sys.argv[1:], lambda function, folder, rest: run(function))
    finally:
        shutil.rmtree(FOLDER)


if __name__ == '__main__':
    main()
