#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The sections of the virtio and vhost-user devices in a stream, field by field, as the golden files have them.

The description at the tail of a stream calls all of such a section one field. Here each card is brought to some states on pc and q35, saved,
and taken apart by virtio_section.py; tests/golden/virtio has the lines. Where a stock program is installed, its
sections are compared with the same files. TERN_UPDATE_GOLDEN=1 writes them anew; STOCK_QEMU names another stock program, e.g. 10.0.2.
"""

import os
import struct
import subprocess
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine
from vhost_session import KINDS, VARIANTS
from vhost_user import Backend
import virtio_pci
from virtio_pci import Card, RING_RESET
import virtio_section

GOLDEN = os.path.join(common.SOURCE, 'tests/golden/virtio')
UPDATE = bool(os.environ.get('TERN_UPDATE_GOLDEN'))
MACHINES = ('pc-i440fx-7.2', 'pc-i440fx-10.0', 'pc-q35-7.2', 'pc-q35-10.0')
SLOT = 5
RING_PACKED = 1 << 34
DISK = ('-blockdev', '{"driver":"null-co","node-name":"n0","size":16777216,"read-zeroes":true}')
BAD_DISK = ('-blockdev', '{"driver":"blkdebug","node-name":"n0","image":{"driver":"null-co","size":16777216},'
            '"inject-error":[{"event":"none","iotype":"read","sector":8}]}')


class Device:
    """What the card is called, how many queues its driver uses, what it needs besides, and its vhost-user back end if it has one."""

    def __init__(self, driver, virtio_id, queues, options='', more=(), size=64, backend=None, variant=None, skip=()):
        self.driver, self.virtio_id, self.queues, self.options, self.more = driver, virtio_id, queues, options, more
        self.size, self.backend, self.variant, self.skip = size, backend, variant, skip
        self.section = {'vhost-user-scsi': 'virtio-scsi'}.get(driver, driver)

    def states(self):
        if self.backend:
            return ('reset', 'running', 'stopped')
        return ('reset', 'running', 'packed') + (('parked',) if self.driver == 'virtio-blk' else ())


DEVICES = {device.driver: device for device in (
    Device('virtio-blk', 2, 2, ',num-queues=2,drive=n0,rerror=stop,write-cache=on', DISK),
    Device('virtio-net', 1, 3, ',romfile=,mac=52:54:00:12:34:56'),
    Device('virtio-scsi', 8, 3, ',num_queues=1'),
    Device('virtio-rng', 4, 1, size=8),
    Device('virtio-balloon', 5, 3),
    Device('vhost-user-blk', 2, 2, ',num-queues=2', backend='blk', variant='ack'),
    Device('vhost-user-scsi', 8, 3, ',num_queues=1', backend='scsi', variant='ack'),
    Device('vhost-user-fs', 26, 2, ',tag=t', backend='fs', variant='ack', skip=('7.2.',)),
)}
# Fields that are not stock's, and why.
COPY = 'the copy of the configuration space, which stock makes when the guest reads it'
VLANS = 'stock 10.0.2 lets all VLANs through that a driver has not forbidden; 7.2 and Tern none that it has not allowed'


def different(device, field, version):
    """Why the value is not stock's; None: it has to be."""
    if field == 'config':
        return COPY
    return VLANS if (device.driver, field) == ('virtio-net', 'device') and not version.startswith('7.2.') else None


def bring(machine, device, state):
    """The card in that state; what it is before any driver for `reset`."""
    card = Card(machine, device.virtio_id, SLOT << 3)
    if state == 'reset':
        return
    card.reset()
    wanted = ~RING_RESET & (1 << 64) - 1
    card.negotiate(wanted if state == 'packed' else wanted & ~RING_PACKED)
    queues = [card.enable_queue(n, device.size)[0] for n in range(device.queues)]
    for offset in range(0, 64, 4):
        card.get(virtio_pci.DEVICE, offset, 4)
    card.driver_ok()
    if state == 'parked':
        virtio_pci.blk_request(queues[1], 0, 8, length=512)
        queues[1].kick()
        machine.qmp.wait_event('BLOCK_IO_ERROR')
        machine.qmp.wait_event('STOP')
    elif state == 'stopped':
        queue = queues[KINDS[device.backend].ring]
        KINDS[device.backend].request(Served(machine), queue)
        for _ in range(20):
            queue.kick()  # stock 7.2 may lose the first one
            if queue.wait(1):
                break
        machine.qmp.command('stop')


class Served:
    """What the request makers of vhost_session.py want to know of a session."""

    requests = 1

    def __init__(self, vm):
        self.vm = vm


def section(path, name):
    """The bytes of the card's section."""
    with open(path, 'rb') as file:
        data = file.read()
    found = ('0000:00:%02x.0/%s' % (SLOT, name)).encode()
    at = data.index(bytes([len(found)]) + found)
    start = at + 1 + len(found) + 8
    return data[start:data.index(b'\x7e' + data[at - 4:at], start)]


class VirtioSection(unittest.TestCase):
    maxDiff = None

    def save(self, command, machine, device, state):
        """The section's lines."""
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, 'stream')
            options, more = device.options, device.more
            if device.backend:
                socket = os.path.join(folder, 's')
                backend = Backend(socket, device.backend, 3, VARIANTS[device.variant].protocol)
                self.addCleanup(backend.kill)
                options += ',chardev=c0'
                more = ('-chardev', 'socket,id=c0,path=' + socket)
            elif state == 'parked':
                more = BAD_DISK
            options += ',packed=on' if state == 'packed' else ''
            with Machine(command, [
                    '-M', machine + ',memory-backend=m0', '-m', '16M', '-object', 'memory-backend-memfd,id=m0,size=16M,share=on',
                    '-vga', 'none', *more, '-device', '%s-pci,id=d0,addr=%x%s' % (device.driver, SLOT, options)]) as vm:
                bring(vm, device, state)
                vm.qmp.command('migrate', {'uri': 'exec:cat>' + path})
                self.assertEqual(vm.wait_migration()['status'], 'completed', vm.stderr())
            return virtio_section.text(section(path, device.section))

    def load(self, data, args):
        """How a destination that gets these bytes ends, and what it says; None if it runs on."""
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            process = subprocess.Popen([*common.TERN, '-accel', 'qtest', '-display', 'none', '-nodefaults', *args,
                                        '-incoming', 'exec:cat ' + file.name], stderr=subprocess.PIPE, text=True)
            try:
                text = process.communicate(timeout=60)[1]
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
                return None, ''
        return process.returncode, text

    def packed_stream(self, folder, args):
        """A stream with a card whose driver uses packed rings; where the position of queue 0 is, and the subsection that has it."""
        path = os.path.join(folder, 'stream')
        with Machine(common.TERN, args) as vm:
            bring(vm, DEVICES['virtio-rng'], 'packed')
            vm.qmp.command('migrate', {'uri': 'exec:cat>' + path})
            self.assertEqual(vm.wait_migration()['status'], 'completed', vm.stderr())
        with open(path, 'rb') as file:
            data = file.read()
        body, position = section(path, 'virtio-rng'), 0
        for field, value in virtio_section.rows(body):
            if field == 'queue[0].last_avail':
                break
            position += len(value)
        name = b'virtio/packed_virtqueues'
        begin = data.index(bytes([5, len(name)]) + name)
        return data, data.index(body) + position, begin, begin + 2 + len(name) + 4

    def test_packed_ring_beyond_its_end(self):
        """A position that no packed ring has: the stream is refused, also if it has no subsection to say so."""
        args = ('-M', 'pc', '-m', '16M', '-vga', 'none', '-device', 'virtio-rng-pci,id=d0,addr=%x,packed=on' % SLOT)
        with tempfile.TemporaryDirectory() as folder:
            data, position, begin, body = self.packed_stream(folder, args)
        beyond = struct.pack('>H', 0x7000)
        for bad in (data[:body] + beyond + data[body + 2:],
                    data[:position] + beyond + data[position + 2:begin] + data[body + 1024 * 10:]):
            status, text = self.load(bad, args)
            self.assertEqual(status, 1, text)
            self.assertIn('queue 0 cannot be at 28672', text)

    def golden(self, machine, device):
        """state -> lines."""
        states = {}
        with open(os.path.join(GOLDEN, machine, device.driver + '.txt'), encoding='ascii') as file:
            for line in file.read().splitlines():
                if line.startswith('== '):
                    lines = states.setdefault(line[3:], [])
                else:
                    lines.append(line)
        return states

    def check_tern(self, machine, device):
        found = {state: self.save(common.TERN, machine, device, state) for state in device.states()}
        if UPDATE:
            os.makedirs(os.path.join(GOLDEN, machine), exist_ok=True)
            with open(os.path.join(GOLDEN, machine, device.driver + '.txt'), 'w', encoding='ascii') as file:
                for state, lines in found.items():
                    file.write('== %s\n%s\n' % (state, '\n'.join(lines)))
        self.assertEqual(found, self.golden(machine, device))

    def check_stock(self, machine, device):
        command, version = common.stock()
        if not machine.endswith('-7.2') and version.startswith('7.2.'):
            self.skipTest('stock %s has no %s' % (version, machine))
        if any(version.startswith(old) for old in device.skip):
            self.skipTest('%s of stock %s cannot be migrated' % (device.driver, version))
        for state, lines in self.golden(machine, device).items():
            theirs = self.save(command, machine, device, state)
            self.assertEqual(self.comparable(device, theirs, version), self.comparable(device, lines, version), state)

    def comparable(self, device, lines, version):
        """Without the values that differ on purpose; their fields and widths stay."""
        return [line.partition(':')[0] if different(device, line.partition(' ')[0], version) else line for line in lines]


def add(machine, device):
    name = '%s_%s' % (machine, device.driver)
    name = name.replace('-', '_').replace('.', '_')
    setattr(VirtioSection, 'test_' + name, lambda self: self.check_tern(machine, device))
    if common.stock():
        setattr(VirtioSection, 'test_stock_' + name, lambda self: self.check_stock(machine, device))


for each in MACHINES:
    for kind in DEVICES.values():
        add(each, kind)

if __name__ == '__main__':
    tap.main()
