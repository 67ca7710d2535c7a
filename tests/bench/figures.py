# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/bench measures: each group starts one emulator (or two) and returns samples.

A group is a function of (program, options) that returns {figure key: [samples]}; FIGURES says
what each key means.  Processor time is that of the emulator's threads only, read from the
kernel's clock of the process, so it hardly depends on what else runs on the host.
"""

import collections
import json
import os
import socket
import struct
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '../functional'))
from qtest_client import Machine, TestError, accelerator  # noqa: E402
import kvm  # noqa: E402
import uhci_bot  # noqa: E402
import block_figures  # noqa: E402
import ram_figures  # noqa: E402
import ring_figures  # noqa: E402
import vhost_figures  # noqa: E402

Figure = collections.namedtuple('Figure', 'key title unit less digits aim')
# needs: a function that says what is missing here, or None
Group = collections.namedtuple('Group', 'name run about needs', defaults=(lambda: None,))

MIB = 1 << 20
IDLE = ['-machine', 'pc', '-m', '128']
STORAGE = ['-blockdev', '{"driver":"null-co","node-name":"disk","size":67108864,"read-zeroes":true}',
           '-device', 'piix3-usb-uhci,id=uhci,addr=01.2',
           '-device', 'usb-storage,id=stick,drive=disk,bus=uhci.0,port=1']


class Program:
    """An emulator to be measured: its command, a name for the table, its own words on its version."""

    def __init__(self, name, command, version):
        self.name = name
        self.command = tuple(command)
        self.version = version
        self.accel = accelerator(self.command)

    def machine(self, args, **options):
        """Without the tests' own check of who writes to memory at switchover: it costs more than the switchover."""
        accel = self.accel
        if accel == 'qtest' and not self.name.startswith('stock'):
            accel += ',x-guard-pages=off'
        return Machine(self.command, args, accel=accel, **options)


# -- start-up and idle

def startup(program, _options):
    """From fork to the answer to qmp_capabilities; -S, so that no firmware runs meanwhile."""
    with program.machine(IDLE + ['-S'], qtest=False) as vm:
        wall = time.monotonic() - vm.started
        cpu = vm.cpu_seconds()
    return {'start-ms': [wall * 1e3], 'start-cpu-ms': [cpu * 1e3]}


def rollup(pid):
    """Kilobytes by name from smaps_rollup."""
    with open('/proc/%d/smaps_rollup' % pid, encoding='ascii') as file:
        rows = [line.split() for line in file if line.endswith('kB\n')]
    return {row[0].rstrip(':'): int(row[1]) for row in rows}


def libraries(pid):
    with open('/proc/%d/maps' % pid, encoding='ascii') as file:
        paths = {line.split(None, 5)[5].strip() for line in file if line.count('/') > 1}
    return {path for path in paths if '.so' in os.path.basename(path)}


def memory(program, _options):
    """A machine with 128 MiB that no guest has touched, half a second after its start."""
    with program.machine(IDLE + ['-S']) as vm:
        time.sleep(0.5)
        table = rollup(vm.pid)
        loaded = len(libraries(vm.pid))
    private = table['Private_Clean'] + table['Private_Dirty']
    return {'rss-mib': [table['Rss'] / 1024], 'private-mib': [private / 1024],
            'libraries': [loaded]}


# -- migration

def pair(program, source_args, target_args):
    """A source, and a destination that waits for migrate-incoming."""
    target = program.machine(target_args + ['-incoming', 'defer'])
    try:
        source = program.machine(source_args)
    except BaseException:
        target.close()
        raise
    return source, target


def move(source, target, path, parameters, seconds=120):
    """Migrate over a unix socket; returns the seconds until it runs over there, and the event."""
    for vm in (source, target):
        vm.qmp.command('migrate-set-capabilities',
                       {'capabilities': [{'capability': 'events', 'state': True}]})
    if parameters:
        source.qmp.command('migrate-set-parameters', parameters)
    target.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
    start = time.monotonic()
    source.qmp.command('migrate', {'uri': 'unix:' + path})
    resumed = target.qmp.wait_event('RESUME', seconds)
    wall = time.monotonic() - start
    while True:
        info = source.qmp.command('query-migrate')
        if info.get('status') == 'completed':
            return wall, resumed
        if info.get('status') not in ('active', 'device') or time.monotonic() > start + seconds:
            raise TestError('migration %s: %s' % (info.get('status'), info.get('error-desc')))
        time.sleep(0.002)


# Bandwidth without a limit that matters; a short downtime, or the whole of the RAM could be sent
# with the machine stopped.
FAST = {'max-bandwidth': 100000000000, 'downtime-limit': 1}


def ram_random(program, options):
    return ram(program, options, 'random', every=1)


def ram_zero(program, options):
    return ram(program, options, 'zero')


def ram_pair(program, options, every=None, plain=False):
    """Two machines; random bytes in every n-th megabyte of the source. plain: the destination's RAM was never touched."""
    source, target = pair(program, options.guest_ram.arguments(),
                          ['-machine', 'pc', '-m', str(options.ram)] if plain else options.guest_ram.arguments())
    try:
        if every:
            options.guest_ram.fill(source, every)
    except BaseException:
        source.close()
        target.close()
        raise
    undisturbed(options, source, target)
    return source, target


def undisturbed(options, *machines):
    """With --realtime their threads, and those that begin later, run before all others of this host."""
    for vm in machines if options.realtime else ():
        for thread in os.listdir('/proc/%d/task' % vm.pid):
            os.sched_setscheduler(int(thread), os.SCHED_FIFO, os.sched_param(1))


def ram(program, options, kind, every=None, plain=False):
    path = os.path.join(options.folder, 'socket')
    source, target = ram_pair(program, options, every, plain or not every)
    with source, target:
        before = source.cpu_seconds() + target.cpu_seconds()
        wall, _ = move(source, target, path, FAST)
        cpu = source.cpu_seconds() + target.cpu_seconds() - before
    return {kind + '-ms': [wall * 1e3], kind + '-cpu': [cpu / (options.ram / 1024)],
            kind + '-mbs': [options.ram * MIB / 1e6 / wall]}


def switchover(program, options):
    """STOP of the source to RESUME of the destination, by their own time stamps."""
    samples = []
    path = os.path.join(options.folder, 'socket')
    for _ in range(5):
        source, target = pair(program, IDLE + STORAGE, IDLE + STORAGE)
        with source, target:
            controller = uhci_bot.Uhci(source.qtest, step=1000000 if program.accel == 'qtest' else None)
            controller.start()
            uhci_bot.MassStorage.attach(controller)
            undisturbed(options, source, target)
            _, resumed = move(source, target, path, None)
            stopped = source.qmp.wait_event('STOP')
        samples.append((stamp(resumed) - stamp(stopped)) * 1e3)
    return {'switchover-ms': samples}


def stamp(event):
    return event['timestamp']['seconds'] + event['timestamp']['microseconds'] / 1e6


# -- USB

class ReadLoop:
    """READ(10) of 32 KiB as one chain of TDs: CBW, 512 packets of data, CSW.

    The chain is written once per toggle; a read costs one qtest write of the TDs, one of the
    queue head, and the polls of the last TD.
    """

    BLOCKS, PACKET = 64, 64

    def __init__(self, vm, step):
        self.step = step
        self.qtest = vm.qtest
        self.uhci = uhci_bot.Uhci(vm.qtest, step=1000000 if step else None)
        self.uhci.start()
        stick = uhci_bot.MassStorage.attach(self.uhci)
        for _ in range(2):  # takes in the unit attention of the reset
            stick.command([0, 0, 0, 0, 0, 0])
            stick.sense()
        self.size = self.BLOCKS * 512
        cdb = struct.pack('>BBIBHB', 0x28, 0, 0, 0, self.BLOCKS, 0)
        self.base = self.uhci.memory + 0x20000
        self.table = self.base + 0x20000
        self.qtest.write(self.base, stick.cbw(cdb, self.size, True))
        toggles = (self.uhci.toggles.get((1, 2, False), 0), self.uhci.toggles.get((1, 1, True), 0))
        self.chains = [self.chain(toggles[0], toggles[1]),
                       self.chain(toggles[0] ^ 1, toggles[1] ^ 1)]
        self.turn = 0

    def chain(self, toggle_out, toggle_in):
        count = self.size // self.PACKET
        tds = [(uhci_bot.PID_OUT, 2, toggle_out, self.base, 31)]
        tds += [(uhci_bot.PID_IN, 1, toggle_in ^ (index & 1), self.base + 0x1000 + index * self.PACKET,
                 self.PACKET) for index in range(count)]
        tds.append((uhci_bot.PID_IN, 1, toggle_in ^ (count & 1), self.base + 0x800, 13))
        image = b''
        for index, (pid, endpoint, toggle, buffer, length) in enumerate(tds):
            last = index + 1 == len(tds)
            link = uhci_bot.TERMINATE if last else (self.table + 32 * (index + 1)) | uhci_bot.LINK_DEPTH
            token = (length - 1) << 21 | toggle << 19 | endpoint << 15 | 1 << 8 | pid
            image += struct.pack('<IIII', link, uhci_bot.TD_ACTIVE | 3 << 27, token, buffer) + bytes(16)
        self.last = self.table + 32 * (len(tds) - 1) + 4
        return image

    def read(self):
        self.qtest.write(self.table, self.chains[self.turn])
        self.qtest.write(self.uhci.memory + self.uhci.QUEUE + 4, struct.pack('<I', self.table))
        self.turn ^= 1
        self.wait(0.026)
        for _ in range(2000):
            word = struct.unpack('<I', self.qtest.read(self.last, 4))[0]
            if not word & uhci_bot.TD_ACTIVE:
                break
            self.wait(0.001)
        else:
            raise TestError('the read does not end')
        csw = self.qtest.read(self.base + 0x800, 13)
        if (word & 0x7ff) != 12 or csw[:4] != b'USBS' or csw[12] != 0:
            raise TestError('the read ended with TD 0x%08x, CSW %s' % (word, csw.hex()))

    def wait(self, seconds):
        if self.step:
            self.qtest.clock_step(int(seconds * 1e9))
        else:
            time.sleep(seconds)


def usb(program, options):
    step = program.accel == 'qtest'
    with program.machine(IDLE + STORAGE) as vm:
        loop = ReadLoop(vm, step)
        for _ in range(3):
            loop.read()
        count = options.reads
        cpu, wall = vm.cpu_seconds(), time.monotonic()
        for _ in range(count):
            loop.read()
        cpu, wall = vm.cpu_seconds() - cpu, time.monotonic() - wall
    return {'usb-cpu-ms': [cpu / count * 1e3], 'usb-reads': [count / wall]}


# -- QMP

def exchange(sock, message):
    """Send a command and take in the answer's line; nothing is parsed here."""
    sock.sendall(message)
    parts = []
    while True:
        parts.append(sock.recv(1 << 20))
        if not parts[-1]:
            raise TestError('qmp: closed by the other side')
        if parts[-1].endswith(b'\n'):
            return b''.join(parts)


def qmp(program, _options):
    with program.machine(IDLE + ['-S'], qtest=False) as vm:
        sock = vm.qmp.line.sock
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        status, schema = [], []
        message = json.dumps({'execute': 'query-status'}).encode()
        for number in range(550):
            start = time.perf_counter()
            exchange(sock, message)
            if number >= 50:
                status.append((time.perf_counter() - start) * 1e6)
        message = json.dumps({'execute': 'query-qmp-schema'}).encode()
        for number in range(6):
            start = time.perf_counter()
            size = len(exchange(sock, message))
            if number >= 1:
                schema.append((time.perf_counter() - start) * 1e3)
    status.sort()
    schema.sort()
    return {'status-us': [status[len(status) // 2]], 'schema-ms': [schema[len(schema) // 2]],
            'schema-kib': [size / 1024]}


GROUPS = [
    Group('startup', startup, 'start to a ready QMP'),
    Group('memory', memory, 'an idle machine'),
    Group('random', ram_random, 'migration of random RAM'),
    Group('zero', ram_zero, 'migration of zero RAM'),
    Group('switchover', switchover, 'STOP to RESUME'),
    Group('usb', usb, 'USB reads'),
    Group('qmp', qmp, 'QMP'),
]
GROUPS += [
    Group('kvm-usb', kvm.usb, 'boot from USB under KVM', kvm.missing),
    Group('kvm-ide', kvm.ide, 'boot from IDE under KVM', kvm.missing),
    Group('kvm-idle', kvm.idle, 'a halted guest', kvm.missing),
]

# key, title, unit, whether less is better (None: neither), digits, aim (text, test of medians)
FIGURES = [
    Figure('start-ms', 'start to ready QMP', 'ms', True, 1,
           ('5 x faster than stock', lambda tern, stock: stock is None or stock >= 5 * tern)),
    Figure('start-cpu-ms', '  processor time of it', 'ms', True, 1, None),
    Figure('rss-mib', 'idle: resident', 'MiB', True, 1, None),
    Figure('private-mib', 'idle: private', 'MiB', True, 2,
           ('4 x smaller than stock', lambda tern, stock: stock is None or stock >= 4 * tern)),
    Figure('libraries', 'idle: shared libraries', '', True, 0, None),
    Figure('random-ms', 'migrate random RAM: total', 'ms', True, 0, None),
    Figure('random-cpu', '  processor, both sides', 's/GiB', True, 3, None),
    Figure('random-mbs', '  speed', 'MB/s', False, 0, None),
    Figure('zero-ms', 'migrate zero RAM: total', 'ms', True, 0, None),
    Figure('zero-cpu', '  processor, both sides', 's/GiB', True, 3, None),
    Figure('zero-mbs', '  speed', 'MB/s', False, 0, None),
    Figure('switchover-ms', 'switchover, STOP to RESUME', 'ms', True, 2,
           ('under 5 ms', lambda tern, _stock: tern < 5)),
    Figure('usb-cpu-ms', 'USB READ(10) of 32 KiB: processor', 'ms', True, 2, None),
    Figure('usb-reads', '  reads per second', '/s', False, 0, None),
    Figure('status-us', 'query-status', 'us', True, 0, None),
    Figure('schema-ms', 'query-qmp-schema', 'ms', True, 2, None),
    Figure('schema-kib', '  size of the answer', 'KiB', None, 0, None),
    Figure('kvm-first-ms', 'KVM: start to SeaBIOS\'s first byte', 'ms', True, 1, None),
    Figure('kvm-sector-ms', '  start to the boot sector (USB)', 'ms', True, 0, None),
    Figure('kvm-usb-int13', '  USB disk, by INT 13h', 'MB/s', False, 2, None),
    Figure('kvm-usb-own', '  USB disk, by a driver of its own', 'MB/s', False, 2, None),
    Figure('kvm-ide-int13', '  IDE disk, by INT 13h', 'MB/s', False, 2, None),
    Figure('kvm-idle-percent', '  processor of a halted guest', '%', True, 2, None),
    Figure('kvm-private-mib', '  private memory of it (64 MiB)', 'MiB', True, 2, None),
]

MORE = (block_figures, vhost_figures, ring_figures, ram_figures)
GROUPS += [Group(*row) for module in MORE for row in module.GROUPS]
FIGURES += [Figure(*row) for module in MORE for row in module.FIGURES]
