# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with one vhost-user device that goes through everything that its back end hears of, step by step.

    with Session(KINDS['blk'], VARIANTS['full'], folder) as session:
        session.add()
        session.start()
        session.request()

What is tested with it: that the messages of each step are as they were (test-vhost-user-trace.py), and
that a back end may die at any of them (test-vhost-user-death.py).
"""

import collections
import contextlib
import json
import os
import struct

import common
from qtest_client import Machine, TestError
import vhost_user
from vhost_user import ALL, BACKEND_REQ, Backend, DEVICE_STATE, RESET_DEVICE, REPLY_ACK, SLOTS, STATUS, wait_for
import virtio_pci
from virtio_pci import Card, NEEDS_RESET, RING_RESET, VERSION_1

SLOT = 5

# device: its driver and properties; netdev: it is the netdev that has the back end. queues: those that the driver uses;
# ring: the last one of the back end.
Kind = collections.namedtuple('Kind', 'name virtio_id device backend queues ring request netdev config')
# protocol: features that the back end offers; None: it knows of none.
Variant = collections.namedtuple('Variant', 'name protocol migrates')


def blk_request(session, queue):
    data = bytes([65 + session.requests % 26]) * 512
    _, status = virtio_pci.blk_request(queue, 1, 3, data)
    return lambda: session.vm.qtest.read(status, 1) == b'\0'


def fs_request(session, queue):
    answer = virtio_pci.fuse_init(queue, session.requests)
    return lambda unique=session.requests: virtio_pci.fuse_ok(queue, answer, unique)


def echo_request(session, queue):
    at = queue.data + 64 * (queue.posted % 64)
    byte = session.requests & 255
    session.vm.qtest.write(at, bytes([byte] * 16))
    session.vm.qtest.fill(at + 32, 16, 0)
    queue.post([(at, 16, False), (at + 32, 16, True)])
    return lambda: session.vm.qtest.read(at + 32, 16) == bytes([~byte & 255] * 16)


def scsi_request(session, queue):
    """WRITE(10) of one block to the disk at target 0."""
    data = bytes([97 + session.requests % 26]) * 512
    response = virtio_pci.scsi_request(queue, struct.pack('>BBIBHB', 0x2a, 0, 7, 0, 1, 0), data)[0]
    return lambda: session.vm.qtest.read(response + 10, 2) == b'\0\0'


KINDS = {kind.name: kind for kind in (
    Kind('blk', 2, {'driver': 'vhost-user-blk-pci', 'num-queues': 2}, 'blk', 2, 1, blk_request, False, True),
    Kind('scsi', 8, {'driver': 'vhost-user-scsi-pci', 'num_queues': 1}, 'scsi', 3, 2, scsi_request, False, False),
    Kind('fs', 26, {'driver': 'vhost-user-fs-pci', 'tag': 't'}, 'fs', 2, 1, fs_request, False, False),
    Kind('net', 1, {'driver': 'virtio-net-pci', 'romfile': ''}, 'net', 3, 1, echo_request, True, False),
    Kind('generic', 42, {'driver': 'vhost-user-device-pci', 'virtio-id': 42, 'num_vqs': 2, 'config_size': 8}, 'echo', 2,
         1, echo_request, False, True),
)}
VARIANTS = {variant.name: variant for variant in (
    Variant('full', ALL | DEVICE_STATE | BACKEND_REQ | RESET_DEVICE | SLOTS | STATUS, True),
    Variant('ack', ALL | DEVICE_STATE, True),
    Variant('no-ack', (ALL | DEVICE_STATE) & ~REPLY_ACK, True),
    Variant('no-protocol', None, False),
)}


def fits(kind, variant):
    """A back end without protocol features has no configuration space, which the disk cannot do without."""
    return variant.protocol is not None or kind.name != 'blk'


class Session(contextlib.ExitStack):
    """One machine and, at a time, one back end of its device.

    reconnect: the chardev connects again by itself.  timeout: of a reply, in ms.
    """

    def __init__(self, kind, variant, folder, reconnect=False, timeout=20000, command=common.TERN):
        super().__init__()
        self.kind, self.variant, self.folder = kind, variant, folder
        self.reconnect, self.timeout, self.command = reconnect, timeout, command
        self.path = os.path.join(folder, 's')
        self.trace = os.path.join(folder, 'trace')
        self.requests = self.plugged = 0
        self.backend = self.card = self.queues = None
        self.callback(lambda: self.backend and self.backend.kill())
        self.vm = self.enter_context(Machine(command, self.machine_arguments()))

    @property
    def migrates(self):
        return self.variant.migrates and self.kind.name != 'generic'

    # ---- the host's side

    def machine_arguments(self):
        return ['-M', 'pc,memory-backend=m0', '-m', '64M', '-object', 'memory-backend-memfd,id=m0,size=64M,share=on']

    def device_arguments(self):
        """Of device_add; the netdev, if it is one, is made elsewhere."""
        arguments = dict(self.kind.device, id='d0', addr='%x' % SLOT)
        if self.kind.name == 'generic' and self.variant.protocol is None:
            del arguments['config_size']
        if self.kind.netdev:
            arguments['netdev'] = 'n0'
        else:
            arguments.update({'chardev': 'c0', 'reply-timeout': self.timeout})
        return arguments

    def arguments_at(self, path):
        """The same device on the command line of another machine, with the back end at that path."""
        lines = ['-chardev', 'socket,id=c0,path=' + path]
        if self.kind.netdev:
            lines += ['-netdev', 'vhost-user,id=n0,chardev=c0']
        return lines + ['-device', json.dumps(self.device_arguments())]

    def start_backend(self, rules=(), path=None, trace=None):
        options = [] if self.variant.protocol is not None else ['--no-protocol']
        return Backend(path or self.path, self.kind.backend, 2 if self.kind.name != 'scsi' else 3,
                       self.variant.protocol or 0, rules, options + ['--discard-kicks'], trace or self.trace)

    def new_backend(self, rules=()):
        """In place of the one that was there."""
        if self.backend:
            self.backend.kill()
        self.backend = self.start_backend(rules)

    def add(self, rules=()):
        """Plugs the device in, with a back end of its own."""
        command = self.vm.qmp.command
        self.new_backend(rules)
        data = {'server': False, 'addr': {'type': 'unix', 'data': {'path': self.path}}}
        if self.reconnect:
            data['reconnect-ms'] = 10
        command('chardev-add', {'id': 'c0', 'backend': {'type': 'socket', 'data': data}})
        if self.kind.netdev:
            command('netdev_add', {'type': 'vhost-user', 'id': 'n0', 'chardev': 'c0', 'x-reply-timeout': self.timeout})
        command('device_add', self.device_arguments(), 60)
        self.plugged = True
        self.card = Card(self.vm, self.kind.virtio_id, SLOT << 3)

    def delete(self):
        """Unplugs the device: the guest lets go of it."""
        command = self.vm.qmp.command
        if self.plugged:
            command('device_del', {'id': 'd0'})
            self.vm.qtest.ask('outl 0xae08 0x%x' % (1 << SLOT), 60)
            self.vm.qmp.wait_event('DEVICE_DELETED', 60)
            self.plugged = False

    def forget(self):
        """What is left of it besides the card."""
        if self.kind.netdev:
            self.try_command('netdev_del', {'id': 'n0'})
        self.try_command('chardev-remove', {'id': 'c0'})

    def try_command(self, name, arguments):
        """Whether it worked; it need not."""
        try:
            self.vm.qmp.command(name, arguments, 60)
            return True
        except TestError:
            return False

    # ---- the guest's side

    def start(self):
        """Reset, features, rings, DRIVER_OK."""
        self.card.reset()
        self.card.chosen = self.card.negotiate(VERSION_1 | RING_RESET)
        self.queues = [self.card.enable_queue(i)[0] for i in range(self.kind.queues)]
        self.card.driver_ok()

    def request(self, seconds=60.0):
        """One request through the last ring of the back end; raises if it does not come back right."""
        self.requests += 1
        queue = self.queues[self.kind.ring]
        good = self.kind.request(self, queue)
        queue.kick()
        if not queue.wait(seconds):
            raise TestError('request %d was lost' % self.requests)
        if not good():
            raise TestError('request %d was answered wrong' % self.requests)

    def reset_and_start(self):
        self.card.reset()
        self.start()

    def reset_queue(self):
        """Resets a ring and enables it again."""
        if self.card.chosen & RING_RESET:
            self.card.reset_queue(self.kind.ring)
            self.queues[self.kind.ring] = self.card.enable_queue(self.kind.ring)[0]

    def system_reset(self):
        """The machine's reset, and a driver that starts again."""
        self.vm.qmp.command('system_reset', timeout=60)
        self.vm.qmp.wait_event('RESET', 60)
        self.card.map_bars()
        self.start()

    def stop_and_continue(self):
        self.vm.qmp.command('stop', timeout=60)
        self.vm.qmp.command('cont', timeout=60)

    def migrate(self, uri='exec:cat>/dev/null'):
        """All phases on the source; returns its status, or the words of the refusal."""
        try:
            self.vm.qmp.command('migrate', {'uri': uri}, 60)
        except TestError as err:
            return str(err)
        return self.vm.wait_migration(60)['status']

    def migrate_and_continue(self):
        """A migration to nowhere; the machine goes on here."""
        status = self.migrate()
        self.go_on()
        return status

    def go_on(self):
        """Runs again behind a migration, whatever became of it."""
        if not wait_for(lambda: self.vm.qmp.command('query-status', timeout=60)['status'] not in ('finish-migrate',), 60):
            raise TestError('the source does not come back')
        self.vm.qmp.command('cont', timeout=60)

    def migrate_and_cancel(self):
        """Log on, some rounds, log off."""
        self.vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 16})
        self.vm.qtest.write(0x1000000, os.urandom(1 << 19))
        status = 'failed'
        if self.try_command('migrate', {'uri': 'exec:cat>/dev/null'}):
            wait_for(lambda: self.vm.qmp.command('query-migrate').get('status') != 'setup')
            self.vm.qmp.command('migrate_cancel', timeout=60)
            status = self.vm.wait_migration(60)['status']
        self.vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 30})
        self.vm.qtest.fill(0x1000000, 1 << 19, 0)
        self.go_on()
        return status

    # ---- what became of it

    def alive(self):
        """Monitor and processor go on; the reason why not is raised."""
        self.vm.qmp.command('query-status', timeout=60)
        self.vm.qtest.ask('readb 0x0', 60)
        if self.vm.process.poll() is not None:
            raise TestError('the emulator ended: %s' % self.vm.stderr())

    @property
    def needs_reset(self):
        return bool(self.card.status & NEEDS_RESET)
