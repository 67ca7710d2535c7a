#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Machines with vhost-user devices, and a back end that is late, silent, dead or lying.

The test is the guest's driver (virtio_pci.py) and owns the back end (vhost_user.py).  What a guest
must be able to rely on: a request that was posted after the device was started is served, whatever
the back end did before; and if that cannot be, the device says so while the rest of the machine
goes on.  TERN_TEST_LONG=1: a thousand rounds with 200 ms of delay.
"""

import os
import re
import socket
import tempfile
import threading
import time
import unittest
import zlib

import common
from common import tap
from qtest_client import Machine, TestError
import vhost_user
from vhost_user import ALL, Backend, DEVICE_STATE, LOG_SHMFD, Pending, REPLY_ACK, wait_for
import virtio_pci
from virtio_pci import Card, NEEDS_RESET, RING_RESET, VERSION_1

DELAY = 200 if common.LONG else 40
ROUNDS = 1000 if common.LONG else 2
FS = 'vhost-user-fs-pci,id=d0,chardev=c0,tag=t'
BLK = 'vhost-user-blk-pci,id=d0,chardev=c0'
FS_ID, BLK_ID = 26, 2


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='vu')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, 's')

    def backend(self, **options):
        backend = Backend(options.pop('path', self.path), **options)
        self.addCleanup(backend.kill)
        return backend

    def machine(self, device, **options):
        vm = vhost_user.start(options.pop('path', self.path), device, **options)
        self.addCleanup(vm.close)
        return vm

    def fs_serves(self, queues, unique=1):
        answers = [virtio_pci.fuse_init(queue, unique) for queue in queues]
        for queue in queues:
            queue.kick()
        for queue, answer in zip(queues, answers):
            self.assertTrue(queue.wait(), 'queue %d: the request was lost' % queue.index)
            self.assertTrue(virtio_pci.fuse_ok(queue, answer, unique))

    def blk_write_read(self, queue, sector, data):
        _, status = virtio_pci.blk_request(queue, 1, sector, data)
        queue.kick()
        self.assertTrue(queue.wait(), 'the write was lost')
        self.assertEqual(queue.card.qtest.read(status, 1), b'\0')
        self.blk_read(queue, sector, data)

    def blk_read(self, queue, sector, data):
        at, status = virtio_pci.blk_request(queue, 0, sector, length=len(data))
        queue.kick()
        self.assertTrue(queue.wait(), 'the read was lost')
        self.assertEqual(queue.card.qtest.read(status, 1), b'\0')
        self.assertEqual(queue.card.qtest.read(at, len(data)), data)

    def nothing_lost(self, backend):
        self.assertEqual(backend.ask()['lost'], 0)

    def log(self, vm, pattern):
        self.assertTrue(wait_for(lambda: re.search(pattern, vm.stderr())),
                        'no %r in %r' % (pattern, vm.stderr()))


class Race(Case):
    """The first request right after the enable, with a back end that drops it if it comes too early."""

    def race(self, protocol, queues, options=('--discard-requests',), rounds=ROUNDS):
        delay = max(DELAY // queues, 1)
        backend = self.backend(queues=queues, protocol=protocol, options=options,
                               rules=['SET_VRING_ENABLE=delay:%d' % delay])
        vm = self.machine(FS + ',num-request-queues=%d' % (queues - 1) if queues > 1 else
                          'vhost-user-device-pci,chardev=c0,virtio-id=26,num_vqs=1')
        card = Card(vm, FS_ID)
        for i in range(rounds):
            made, took = card.start(queues, VERSION_1 | RING_RESET)
            self.assertGreaterEqual(took, queues * delay / 1000)
            self.fs_serves(made, i)
        for i in range(rounds):
            card.reset_queue(queues - 1)
            queue, took = card.enable_queue(queues - 1)
            self.assertGreaterEqual(took, delay / 1000, 'the enabling write did not wait')
            self.fs_serves([queue], i)
        vm.qmp.command('system_reset')
        vm.qmp.wait_event('RESET')
        card.map_bars()
        self.fs_serves(card.start(queues)[0])
        self.nothing_lost(backend)
        return backend, vm, card

    def test_first_request_with_reply_ack(self):
        self.race(ALL, 2)

    def test_first_request_without_reply_ack(self):
        self.race(ALL & ~REPLY_ACK, 2)

    def test_first_request_on_one_queue(self):
        self.race(ALL, 1)

    def test_first_request_on_16_queues(self):
        self.race(ALL, 16)

    def test_first_request_when_kicks_are_forgotten(self):
        self.race(ALL, 2, ('--discard-kicks', '--disable-on-features'))

    def test_stock_loses_the_first_request(self):
        """What this is about: the installed stock emulator, if it is one before 8.2, loses it."""
        stock = common.stock()
        if not stock or not stock[1].startswith('7.'):
            self.skipTest('no stock emulator 7.x')
        backend = self.backend(options=['--discard-requests'], rules=['SET_VRING_ENABLE=delay:100'])
        vm = self.machine(FS, command=stock[0])
        queue = Card(vm, FS_ID).start(2)[0][1]
        virtio_pci.fuse_init(queue)
        queue.kick()
        self.assertFalse(queue.wait(1))
        self.assertGreater(backend.ask()['lost'], 0)

    def test_back_end_without_protocol_features(self):
        """Its rings run from the start: there is no message to wait for but the last GET_FEATURES."""
        backend = self.backend(options=['--no-protocol', '--discard-requests'])
        vm = self.machine(FS)
        self.fs_serves(Card(vm, FS_ID).start(2)[0])
        self.nothing_lost(backend)


class Silence(Case):
    """A back end that says nothing, says no, or goes."""

    def start_to_driver_ok(self, vm, device_id=FS_ID, queues=2):
        card = Card(vm, device_id)
        card.reset()
        card.negotiate()
        made = [card.enable_queue(i)[0] for i in range(queues)]
        write = Pending(vm, 'writeb 0x%x 0xf' % (card.places[virtio_pci.COMMON] + 20))
        return card, made, write

    def test_slow_enable_and_qmp(self):
        """Three seconds of enabling are three seconds for the guest and none for QMP."""
        delay = 3000
        self.backend(rules=['SET_VRING_ENABLE#1=delay:%d' % delay])
        vm = self.machine(FS)
        card, made, write = self.start_to_driver_ok(vm)
        answers = 0
        while not write.over():
            vm.qmp.command('query-status')
            vm.qmp.command('qom-list', {'path': '/machine'})
            answers += 1
        self.assertGreaterEqual(write.wait(), delay / 1000)
        self.assertGreater(answers, 3)  # who waits for the back end gives one
        self.assertEqual(card.status & NEEDS_RESET, 0)
        self.fs_serves(made)

    def test_stop_and_cont_while_it_enables(self):
        self.backend(rules=['SET_VRING_ENABLE#1=delay:300'], options=['--discard-requests'])
        vm = self.machine(FS)
        _, made, write = self.start_to_driver_ok(vm)
        vm.qmp.command('stop')
        vm.qmp.command('cont')
        write.wait()
        self.fs_serves(made)

    def test_silent_back_end(self):
        """The wait is bounded, QMP answers, and then the guest is told."""
        backend = self.backend()
        vm = self.machine(FS + ',reply-timeout=3000')
        backend.stop()
        card, _, write = self.start_to_driver_ok(vm)
        answers = 0
        while not write.over():
            vm.qmp.command('query-status')
            answers += 1
        took = write.wait()
        self.assertGreaterEqual(took, 3)
        self.assertLess(took, 15)
        self.assertGreater(answers, 3)
        self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
        self.log(vm, r'd0: cannot start: the back end did not answer SET_MEM_TABLE within 3000 ms')
        vm.qmp.command('system_reset')
        vm.qmp.command('query-status')
        backend.go_on()

    def test_reply_timeout_is_changed_while_the_device_is_there(self):
        backend = self.backend()
        vm = self.machine(FS + ',reply-timeout=600000')
        backend.stop()
        for wrong in -1, 1 << 32, 'soon':
            with self.assertRaises(TestError):
                vm.qmp.command('qom-set', {'path': '/machine/peripheral/d0', 'property': 'reply-timeout', 'value': wrong})
        vm.qmp.command('qom-set', {'path': '/machine/peripheral/d0', 'property': 'reply-timeout', 'value': 300})
        self.assertEqual(vm.qmp.command('qom-get', {'path': '/machine/peripheral/d0', 'property': 'reply-timeout'}), 300)
        card, _, write = self.start_to_driver_ok(vm)
        write.wait()
        self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
        self.log(vm, r'd0: cannot start: the back end did not answer SET_MEM_TABLE within 300 ms')
        backend.go_on()

    def test_sigterm_with_a_silent_back_end(self):
        backend = self.backend()
        vm = self.machine(FS)
        backend.stop()
        self.start_to_driver_ok(vm)
        before = time.monotonic()
        vm.process.terminate()
        vm.wait(60)
        self.assertLess(time.monotonic() - before, 15)
        backend.go_on()

    def test_quit_with_a_silent_back_end(self):
        backend = self.backend()
        vm = self.machine(FS)
        Card(vm, FS_ID).start(2)
        backend.stop()
        vm.qmp.command('quit')
        vm.wait(60)
        backend.go_on()

    def test_stop_with_a_silent_back_end(self):
        """stop waits for the rings, at most as long as a reply may take."""
        backend = self.backend()
        vm = self.machine(FS + ',reply-timeout=300')
        Card(vm, FS_ID).start(2)
        backend.stop()
        before = time.monotonic()
        vm.qmp.command('stop')
        self.assertLess(time.monotonic() - before, 15)
        self.log(vm, 'did not answer')
        backend.go_on()

    def test_cont_while_another_monitor_stops_it(self):
        """The device is in the middle of its stop, which waits for the back end: it is not started in there."""
        trace = os.path.join(self.folder, 'trace')
        backend = self.backend(rules=['GET_VRING_BASE#1=delay:5000'], trace=trace)
        vm = self.machine(FS, args=['-chardev', 'socket,id=h,server=on,wait=off,path=' + self.path + '-h', '-mon', 'chardev=h'])
        queues, _ = Card(vm, FS_ID).start(2)
        with socket.socket(socket.AF_UNIX) as monitor:
            monitor.settimeout(60)
            monitor.connect(self.path + '-h')

            def say_in_the_middle():
                wait_for(lambda: any('> GET_VRING_BASE' in line for line in backend.messages()))
                monitor.sendall(b'cont\n')
            later = threading.Thread(target=say_in_the_middle)
            later.start()
            vm.qmp.command('stop')
            later.join()
            told = b''
            while b'being stopped' not in told:
                told += monitor.recv(4096)
        self.assertEqual(vm.qmp.command('query-status')['status'], 'paused')
        vm.qmp.command('cont')
        self.fs_serves(queues)

    def test_device_add_with_a_silent_back_end(self):
        backend = self.backend(rules=['*=silent'])
        vm = Machine(common.TERN, vhost_user.arguments(self.path, 'virtio-rng-pci'))
        self.addCleanup(vm.close)
        with self.assertRaisesRegex(TestError, "'c0': the back end did not answer GET_FEATURES within 300 ms"):
            vm.qmp.command('device_add', {'driver': 'vhost-user-fs-pci', 'chardev': 'c0', 'tag': 't',
                                          'id': 'd0', 'reply-timeout': 300})
        self.assertEqual(vm.qmp.command('query-status')['running'], True)
        del backend

    def test_refused_enable(self):
        self.backend(rules=['SET_VRING_ENABLE#2=refuse'])
        vm = self.machine(FS)
        card, made, write = self.start_to_driver_ok(vm)
        write.wait()
        self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
        self.log(vm, r'd0: cannot start: the back end refused SET_VRING_ENABLE')
        made, _ = card.start(2)
        self.assertEqual(card.status & NEEDS_RESET, 0)
        self.fs_serves(made)

    def test_dead_back_end(self):
        backend = self.backend()
        vm = self.machine(FS)
        card = Card(vm, FS_ID)
        card.start(2)
        backend.kill()
        self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
        self.log(vm, 'd0: .*the back end has gone')
        card.reset()
        self.assertEqual(vm.qmp.command('query-status')['running'], True)

    def test_lies(self):
        for lie in 'wrong-id', 'wrong-flags', 'wrong-size', 'huge-size', 'extra-fd':
            with self.subTest(lie=lie):
                path = os.path.join(self.folder, lie)
                self.backend(path=path, rules=['SET_VRING_ENABLE#1=' + lie])
                vm = self.machine(FS, path=path)
                card, _, write = self.start_to_driver_ok(vm)
                write.wait()
                self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
                self.log(vm, 'd0: cannot start: (the reply to SET_VRING_ENABLE|a descriptor came)')

    def test_killed_at_every_message(self):
        """The guest's writes come back and the monitor answers, wherever the back end dies."""
        trace = os.path.join(self.folder, 'trace')
        recorded = self.backend(trace=trace)
        vm = self.machine(FS)
        card = Card(vm, FS_ID)
        card.start(2)
        card.reset()
        vm.close()
        total = sum(line.startswith('>') for line in recorded.messages())
        begin = next(i for i, line in enumerate(l for l in recorded.messages() if l[0] == '>')
                     if 'SET_FEATURES' in line)
        self.assertGreater(total, 20)
        for n in range(1, total + 1, 1 if common.LONG else 3):
            path = os.path.join(self.folder, 'k%d' % n)
            self.backend(path=path, rules=['*#%d=die' % n])
            if n <= begin:
                with self.assertRaisesRegex(TestError, 'the back end has gone|cannot send'):
                    self.machine(FS, path=path)
                continue
            vm = self.machine(FS, path=path)
            card = Card(vm, FS_ID)
            card.start(2)
            card.reset()
            self.assertEqual(vm.qmp.command('query-status')['running'], True)
            vm.close()


class Return(Case):
    """chardev reconnect brings the device back."""

    def test_blk_request_posted_while_it_was_away(self):
        for options in ['--discard-kicks'], ['--discard-requests']:
            backend = self.backend(device='blk', queues=1, options=options)
            vm = self.machine(BLK, chardev=',reconnect=1')
            queue = Card(vm, BLK_ID).start(1)[0][0]
            self.blk_write_read(queue, 7, b'before' * 50)
            for _ in range(2):
                backend.kill()
                virtio_pci.blk_request(queue, 1, 3, b'meanwhile' * 20)
                queue.kick()
                backend = self.backend(device='blk', queues=1, options=options,
                                       rules=['SET_VRING_ENABLE=delay:50'])
                self.assertTrue(queue.wait(), 'the request that was posted meanwhile was lost')
                self.blk_read(queue, 3, b'meanwhile' * 20)
                self.nothing_lost(backend)
            backend.kill()
            vm.close()

    def test_blk_request_posted_while_it_is_being_set_up(self):
        """The guest runs on when a back end comes back: its kick must not meet a ring that is not enabled yet."""
        for protocol in ALL, ALL & ~REPLY_ACK:
            backend = self.backend(device='blk', queues=1, protocol=protocol)
            vm = self.machine(BLK, chardev=',reconnect=1')
            queue = Card(vm, BLK_ID).start(1)[0][0]
            backend.kill()
            trace = os.path.join(self.folder, 'trace')
            backend = self.backend(device='blk', queues=1, protocol=protocol, options=['--discard-requests'],
                                   trace=trace, rules=['SET_VRING_ENABLE=delay:500'])
            self.assertTrue(wait_for(lambda: any('> SET_VRING_ENABLE' in line for line in backend.messages())))
            virtio_pci.blk_request(queue, 1, 3, b'meanwhile' * 20)
            queue.kick()
            self.assertTrue(queue.wait(), 'the request that was posted meanwhile was lost')
            self.nothing_lost(backend)
            backend.kill()
            vm.close()

    def test_fs_with_reconnect(self):
        """Starts, and goes on when virtiofsd comes back."""
        backend = self.backend(options=['--discard-kicks'])
        vm = self.machine(FS, chardev=',reconnect=1')
        card = Card(vm, FS_ID)
        made = card.start(2)[0]
        self.fs_serves(made)
        backend.kill()
        self.backend(options=['--discard-kicks'])
        self.fs_serves(made, 2)
        self.assertEqual(card.status & NEEDS_RESET, 0)

    def test_request_in_flight(self):
        backend = self.backend(device='blk', queues=1, options=['--hold', '1'])
        vm = self.machine(BLK, chardev=',reconnect=1')
        queue = Card(vm, BLK_ID).start(1)[0][0]
        virtio_pci.blk_request(queue, 1, 3, b'in flight' * 20)
        queue.kick()
        self.assertTrue(wait_for(lambda: backend.ask()['held'] == 1))
        backend.kill()
        self.backend(device='blk', queues=1)
        self.assertTrue(queue.wait(), 'the request in flight was lost')
        self.blk_read(queue, 3, b'in flight' * 20)

    def test_reset_while_it_is_away(self):
        backend = self.backend()
        vm = self.machine(FS + ',reply-timeout=3000', chardev=',reconnect=1')
        card = Card(vm, FS_ID)
        card.start(2)
        backend.kill()
        card.reset()
        vm.qmp.command('system_reset')
        vm.qmp.wait_event('RESET')
        card.map_bars()
        backend = self.backend(options=['--discard-requests'], rules=['SET_VRING_ENABLE=delay:20'])
        self.fs_serves(card.start(2)[0])
        self.nothing_lost(backend)

    def test_another_back_end_lacks_features(self):
        backend = self.backend()
        vm = self.machine(FS, chardev=',reconnect=1')
        card = Card(vm, FS_ID)
        card.start(2, VERSION_1 | 1 << 28)
        backend.kill()
        self.backend(options=['--features', hex(VERSION_1 | 1 << 26)])
        self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
        self.log(vm, 'lacks features that are in use: 0x10000000')

    def test_back_end_in_between_lacks_features(self):
        """Another one comes between the driver's choice and DRIVER_OK: it is not started with less than was chosen, and a
        driver that begins anew is offered what this one has."""
        for device, number in (FS, FS_ID), (BLK, BLK_ID):
            kind = 'fs' if number == FS_ID else 'blk'
            backend = self.backend(device=kind)
            vm = self.machine(device, chardev=',reconnect=1')
            card = Card(vm, number)
            card.reset()
            self.assertTrue(card.negotiate(VERSION_1 | 1 << 28) & 1 << 28)
            backend.kill()
            backend = self.backend(device=kind, options=['--features', hex(VERSION_1 | 1 << 26)])
            self.log(vm, 'the back end has come back')
            card.enable_queue(0)
            card.driver_ok()
            self.assertTrue(card.status & NEEDS_RESET)
            self.log(vm, 'cannot start: the back end lacks features that the driver uses: 0x10000000')
            queues, _ = card.start(2 if number == FS_ID else 1, VERSION_1 | 1 << 28)
            self.assertEqual(card.chosen & 1 << 28, 0)
            if number == FS_ID:
                self.fs_serves(queues)
            else:
                self.blk_write_read(queues[0], 3, b'contents' * 64)
            backend.kill()
            vm.close()


class Migration(Case):
    def test_write_cache_is_on_again_after_a_move(self):
        """A driver that has switched it off does not flush: what it was told is written has to be."""
        options = ['--features', hex(VERSION_1 | 1 << 26 | 1 << 9 | 1 << 11)]
        _, vm, second, target, uri = self.pair(BLK, device='blk', queues=1, options=options)
        card = Card(vm, BLK_ID)
        queue = card.start(1, VERSION_1 | 1 << 9 | 1 << 11)[0][0]
        self.assertEqual(card.get(virtio_pci.DEVICE, 32, 1), 1)
        card.set(virtio_pci.DEVICE, 32, 1, 0)
        self.assertEqual(card.get(virtio_pci.DEVICE, 32, 1), 0)
        vm.qmp.command('migrate', {'uri': uri})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')
        card.moved(target)
        self.assertEqual(card.get(virtio_pci.DEVICE, 32, 1), 0)
        self.blk_write_read(queue, 9, b'contents' * 64)
        self.nothing_lost(second)

    def test_postcopy_lets_a_back_end_read_pages_that_have_not_arrived(self):
        """Both sides refuse it by name; without the capability the machine moves."""
        self.backend()
        vm = self.machine(FS)
        capability = {'capabilities': [{'capability': 'postcopy-ram', 'state': True}]}
        vm.qmp.command('migrate-set-capabilities', capability)
        with self.assertRaisesRegex(TestError, 'd0 cannot be migrated by postcopy: its vhost-user back end'):
            vm.qmp.command('migrate', {'uri': 'unix:' + self.path + '-m'})
        self.assertEqual(vm.qmp.command('query-status')['running'], True)
        vm.close()
        self.backend()
        target = self.machine(FS, args=['-incoming', 'defer'])
        target.qmp.command('migrate-set-capabilities', capability)
        with self.assertRaisesRegex(TestError, 'd0 cannot be migrated by postcopy: its vhost-user back end'):
            target.qmp.command('migrate-incoming', {'uri': 'unix:' + self.path + '-m'})
        capability['capabilities'][0]['state'] = False
        target.qmp.command('migrate-set-capabilities', capability)
        target.qmp.command('migrate-incoming', {'uri': 'unix:' + self.path + '-m'})

    def pair(self, name, **backend_options):
        """A running source with its back end, and a destination that waits, with another."""
        first = self.backend(**backend_options)
        vm = self.machine(name)
        other = os.path.join(self.folder, 'd')
        second = self.backend(path=other, **backend_options)
        stream = os.path.join(self.folder, 'm')
        target = self.machine(name, path=other, args=['-incoming', 'unix:' + stream])
        return first, vm, second, target, 'unix:' + stream

    def test_request_after_migration(self):
        """Also the one that was posted while the rings were being set up on the other side."""
        for protocol in ALL | DEVICE_STATE, ALL & ~REPLY_ACK | DEVICE_STATE:
            first, vm, second, target, uri = self.pair(
                FS, protocol=protocol, options=['--discard-requests'], rules=['SET_VRING_ENABLE=delay:20'])
            card = Card(vm, FS_ID)
            made = card.start(2)[0]
            self.fs_serves(made)
            vm.qmp.command('stop')
            answers = [virtio_pci.fuse_init(queue, 5) for queue in made]
            vm.qmp.command('migrate', {'uri': uri})
            self.assertEqual(vm.wait_migration()['status'], 'completed')
            wait_for(lambda: target.qmp.command('query-status')['status'] != 'inmigrate')
            target.qmp.command('cont')
            card.moved(target)
            for queue, answer in zip(made, answers):
                self.assertTrue(queue.wait(), 'a request that travelled was lost')
                self.assertTrue(virtio_pci.fuse_ok(queue, answer, 5))
            self.fs_serves(made, 6)
            self.nothing_lost(first)
            self.nothing_lost(second)
            for thing in first, second:
                thing.kill()
            vm.close()
            target.close()

    def test_contents_after_live_migration(self):
        """Pages that the back end wrote while the machine was being moved arrive."""
        first, vm, second, target, uri = self.pair(BLK, device='blk', queues=1)
        card = Card(vm, BLK_ID)
        queue = card.start(1)[0][0]
        self.blk_write_read(queue, 9, b'contents' * 60)
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 18, 'downtime-limit': 1})
        vm.qtest.write(0x1000000, os.urandom(4 << 20))
        vm.qmp.command('migrate', {'uri': uri})
        served = 0
        while vm.qmp.command('query-migrate').get('status') in ('setup', 'active') and served < 40:
            self.blk_read(queue, 9, b'contents' * 60)
            served += 1
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 40, 'downtime-limit': 300})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')
        self.assertGreater(served, 3)
        self.assertEqual(target.qtest.read(queue.base, 0x10000), vm.qtest.read(queue.base, 0x10000))
        card.moved(target)
        self.blk_write_read(queue, 11, b'behind' * 60)
        del first, second

    def test_state_of_the_back_end_travels(self):
        _, vm, _, target, uri = self.pair(FS, protocol=ALL | DEVICE_STATE)
        Card(vm, FS_ID).start(2)
        vm.qmp.command('migrate', {'uri': uri})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')

    def test_back_end_that_cannot_be_migrated(self):
        for protocol, what in (ALL & ~LOG_SHMFD | DEVICE_STATE, 'LOG_SHMFD'), (ALL, 'DEVICE_STATE'):
            path = os.path.join(self.folder, what)
            self.backend(path=path, protocol=protocol)
            vm = self.machine(FS, path=path)
            with self.assertRaisesRegex(TestError, 'd0 cannot be migrated: its vhost-user back end has no .*' + what):
                vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
            with self.assertRaisesRegex(TestError, 'cannot be migrated'):
                self.machine(FS, path=path, args=['-only-migratable'])

    def test_late_writer(self):
        """A back end that writes after it was stopped: the migration fails and says so."""
        self.backend(device='blk', queues=1, options=['--late-writer'])
        vm = self.machine(BLK)
        card = Card(vm, BLK_ID)
        queue = card.start(1)[0][0]
        for _ in range(20):
            vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
            info = vm.wait_migration()
            if info['status'] == 'failed':
                break
            vm.qmp.command('cont')  # it was not there in time: on a busy machine it may be off its processor
        self.assertEqual(info['status'], 'failed')
        self.assertRegex(info['error-desc'], 'd0: the vhost-user back end wrote|guest memory was written after')
        vm.qmp.wait_event('RESUME')
        self.blk_write_read(queue, 9, b'contents' * 60)

    def sums(self, vm):
        """Of each page of guest memory, 8 MiB."""
        found = []
        for start in range(0, 8 << 20, 1 << 20):
            data = vm.qtest.read(start, 1 << 20)
            found += [zlib.crc32(data[at:at + 4096]) for at in range(0, 1 << 20, 4096)]
        return found

    def test_late_writer_that_logs_nothing(self):
        """Nobody sees it write but who compares the pages: with this mode of the back end they differ, else not."""
        for options, differs in (['--late-unlogged'], True), ([], False):
            backend = self.backend(device='blk', queues=1, options=options)
            vm = self.machine(BLK, megabytes=8)
            queue = Card(vm, BLK_ID).start(1)[0][0]
            self.blk_write_read(queue, 9, b'contents' * 60)
            seen = False
            for _ in range(20 if differs else 2):
                vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
                self.assertEqual(vm.wait_migration()['status'], 'completed')
                before = self.sums(vm)
                time.sleep(0.05)
                seen = seen or before != self.sums(vm)
                if seen:
                    break
                vm.qmp.command('cont')
                self.blk_read(queue, 9, b'contents' * 60)
            self.assertEqual(seen, differs)
            backend.kill()
            vm.close()

    def test_generic_device_is_a_named_blocker(self):
        """Nobody knows what a device of unknown kind keeps: refused before anything is sent, with its name and why."""
        self.backend(device='echo')
        device = 'vhost-user-device-pci,id=d0,chardev=c0,virtio-id=42'
        vm = self.machine(device)
        with self.assertRaisesRegex(TestError, "non-migratable device '.*vhost-user-device': what a vhost-user back end"):
            vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
        self.assertTrue(vm.qmp.command('query-status')['running'])
        vm.close()
        with self.assertRaises(TestError):
            self.machine(device, args=['-only-migratable'])

    def test_in_flight_region_travels(self):
        """A request that the back end kept is submitted again by the one on the other side."""
        first, vm, second, target, uri = self.pair(BLK, device='blk', queues=1,
                                                   options=['--hold', '1', '--keep-held'])
        card = Card(vm, BLK_ID)
        queue = card.start(1)[0][0]
        virtio_pci.blk_request(queue, 1, 3, b'kept' * 20)
        queue.kick()
        self.assertTrue(wait_for(lambda: first.ask()['held'] == 1))
        second.ask('release')
        vm.qmp.command('migrate', {'uri': uri})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')
        card.moved(target)
        self.assertTrue(queue.wait(), 'the request in flight was lost')
        self.blk_read(queue, 3, b'kept' * 20)

    def test_killed_in_every_phase(self):
        """The source goes on; its guest is intact; nobody hangs."""
        points = ['SET_LOG_BASE#1', 'SET_VRING_ADDR#2', 'SET_VRING_ENABLE#2', 'GET_VRING_BASE#1',
                  'SET_VRING_ENABLE#3']
        for point in points:
            path = os.path.join(self.folder, point)
            self.backend(path=path, device='blk', queues=1, rules=[point + '=die'])
            vm = self.machine(BLK, path=path)
            card = Card(vm, BLK_ID)
            queue = card.start(1)[0][0]
            self.blk_write_read(queue, 9, b'contents' * 60)
            vm.qtest.write(0x1000000, b'mine' * 1000)
            try:
                vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
                status = vm.wait_migration()['status']
            except TestError as err:
                status = str(err)
            if status == 'completed':
                # it died when it was to stop, and nothing was in flight: there is nothing to lose
                self.assertIn(point, points[3:])
                vm.qmp.command('cont')
            self.assertEqual(vm.qtest.read(0x1000000, 4000), b'mine' * 1000)
            self.assertTrue(wait_for(lambda: vm.qmp.command('query-status')['running']), point)
            vm.close()

    def test_silent_when_it_is_to_stop(self):
        """A request is in flight then: nobody could finish it on the other side."""
        backend = self.backend(device='blk', queues=1, options=['--hold', '1'])
        vm = self.machine(BLK + ',reply-timeout=400')
        queue = Card(vm, BLK_ID).start(1)[0][0]
        virtio_pci.blk_request(queue, 1, 3, b'open' * 20)
        queue.kick()
        self.assertTrue(wait_for(lambda: backend.ask()['held'] == 1))
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 20})
        vm.qtest.write(0x1000000, os.urandom(1 << 20))
        vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
        self.assertTrue(wait_for(lambda: vm.qmp.command('query-migrate').get('status') == 'active'))
        backend.stop()
        info = vm.wait_migration()
        backend.go_on()
        self.assertEqual(info['status'], 'failed')
        self.assertIn('d0', info.get('error-desc', ''))
        vm.qmp.wait_event('RESUME')


class Stock(Case):
    """Streams to and from the installed stock emulator: there, back, there, back, with requests in between."""

    def travel(self, device, device_id, kind, prepare, check, protocol=ALL):
        stock = common.stock()
        if not stock or stock[1].split('.')[0] not in ('7', '10'):
            self.skipTest('no stock emulator 7.2 or 10.0')
        machine = 'pc-i440fx-%s' % '.'.join(stock[1].split('.')[:2])
        backend = self.backend(device=kind, protocol=protocol)
        vm = card = queues = None
        for i, program in enumerate([stock[0], common.TERN] * 2):
            uri = 'unix:' + os.path.join(self.folder, 'm%d' % i)
            following = self.machine(device, command=program, machine=machine, args=['-incoming', uri] if vm else [])
            if vm:
                vm.qmp.command('migrate', {'uri': uri})
                self.assertEqual(vm.wait_migration()['status'], 'completed')
                self.assertTrue(wait_for(lambda: following.qmp.command('query-status')['running']))
                vm.close()
                card.moved(following)
            else:
                card = Card(following, device_id)
                queues = prepare(card)
            vm = following
            check(queues, i)
        self.nothing_lost(backend)

    def awaken(self, queue):
        """Stock does not wait until the ring is enabled, and a kick that comes before is forgotten: there are more of them."""
        virtio_pci.blk_request(queue, 0, 0, length=512)
        queue.kick()
        end = time.monotonic() + 60
        while not queue.wait(0.2):
            self.assertLess(time.monotonic(), end)
            queue.kick()

    def test_blk(self):
        def check(queues, i):
            self.awaken(queues[0])
            self.blk_write_read(queues[0], i, bytes([65 + i]) * 512)
        self.travel(BLK, BLK_ID, 'blk', lambda card: card.start(1)[0], check)

    def test_fs(self):
        if not common.stock() or common.stock()[1].startswith('7'):
            self.skipTest('stock 7.2 cannot migrate vhost-user-fs')
        self.travel(FS, FS_ID, 'fs', lambda card: card.start(2)[0],
                    lambda queues, i: self.fs_serves(queues, i + 1), ALL | DEVICE_STATE)

    def test_scsi(self):
        """Nothing here serves SCSI: the rings and the card arrive."""
        cards = []

        def prepare(card):
            cards.append(card)
            return card.start(3)[0]
        self.travel('vhost-user-scsi-pci,id=d0,chardev=c0', 8, 'blk', prepare,
                    lambda queues, i: self.assertEqual(cards[0].status, 15))


class Scsi(Case):
    """A disk behind vhost-user-scsi."""

    def command(self, queue, cdb, data=b'', length=0, target=0):
        """(response, status, sense code, data)"""
        response, place = virtio_pci.scsi_request(queue, cdb, data, length, target)
        queue.kick()
        self.assertTrue(queue.wait(), 'the command was lost')
        got = queue.card.qtest.read(response, 108)
        return got[11], got[10], got[24], queue.card.qtest.read(place, length)

    def test_commands(self):
        backend = self.backend(device='scsi', queues=3, options=['--discard-requests'],
                               rules=['SET_VRING_ENABLE=delay:20'])
        vm = self.machine('vhost-user-scsi-pci,id=d0,chardev=c0')
        card = Card(vm, 8)
        queue = card.start(3)[0][2]
        self.assertEqual(self.command(queue, bytes([0x12, 0, 0, 0, 36, 0]), length=36)[3][8:16], b'TERN    ')
        self.assertEqual(self.command(queue, bytes([0x25] + [0] * 9), length=8), (0, 0, 0, b'\0\0\7\xff\0\0\2\0'))
        self.assertEqual(self.command(queue, bytes([0x2a, 0, 0, 0, 0, 9, 0, 0, 1, 0]), b'scsi' * 128)[:2], (0, 0))
        self.assertEqual(self.command(queue, bytes([0x28, 0, 0, 0, 0, 9, 0, 0, 1, 0]), length=512)[3], b'scsi' * 128)
        self.assertEqual(self.command(queue, bytes([0x28, 0, 0, 1, 0, 0, 0, 0, 1, 0]), length=512)[:3], (0, 2, 0x21))
        self.assertEqual(self.command(queue, bytes([0x42] + [0] * 9))[:3], (0, 2, 0x20))
        self.assertEqual(self.command(queue, bytes(6), target=4)[0], 3)
        self.nothing_lost(backend)


class Net(Case):
    """-netdev vhost-user: the echo back end writes what was sent into the same chain, inverted."""

    NIC = 'virtio-net-pci,id=d0,netdev=n0,romfile='
    FEATURES = VERSION_1 | 1 << 26 | 1 << 15 | 1 << 22 | 1 << 28

    def start_net(self, queues=1, machine_args=(), path=None, chardev='', **options):
        backend = self.backend(device='net', queues=queues, path=path or self.path, **options)
        card = self.NIC + (',mq=on' if queues > 1 else '')
        vm = Machine(common.TERN, vhost_user.arguments(path or self.path, card, chardev=chardev)[:-2] + [
            '-netdev', 'vhost-user,id=n0,chardev=c0,queues=%d' % queues, '-device', card] + list(machine_args))
        self.addCleanup(vm.close)
        return backend, vm

    def echo(self, queue, unique):
        """A chain of both kinds through a transmit ring."""
        at = queue.data + 64 * (queue.posted % 64)
        queue.card.qtest.write(at, bytes([unique] * 16))
        queue.card.qtest.fill(at + 32, 16, 0)
        queue.post([(at, 16, False), (at + 32, 16, True)])
        queue.kick()
        self.assertTrue(queue.wait(), 'ring %d: the packet was lost' % queue.index)
        self.assertEqual(queue.card.qtest.read(at + 32, 16), bytes([~unique & 255] * 16))

    def test_enables_come_after_features_and_memory(self):
        """With a back end that disables its rings at SET_FEATURES and drops what comes too early."""
        for protocol in ALL, ALL & ~REPLY_ACK:
            path = os.path.join(self.folder, hex(protocol))
            trace = path + 't'
            backend, vm = self.start_net(path=path, protocol=protocol, trace=trace,
                                         options=['--disable-on-features', '--discard-requests'],
                                         rules=['SET_VRING_ENABLE=delay:20'])
            card = Card(vm, 1)
            queues, _ = card.start(3)
            self.echo(queues[1], 7)
            self.nothing_lost(backend)
            names = [line.split()[1] for line in backend.messages() if line[0] == '>']
            self.assertLess(names.index('SET_MEM_TABLE'), names.index('SET_VRING_ENABLE'))
            self.assertGreater(names.index('SET_VRING_ENABLE'), len(names) - names[::-1].index('SET_FEATURES') - 1)

    def test_enables_come_again_after_each_later_set_features(self):
        """The log of a migration goes on and off by SET_FEATURES, where this back end turns its rings off."""
        for protocol in ALL, ALL & ~REPLY_ACK:
            backend, vm = self.start_net(path=os.path.join(self.folder, hex(protocol)), protocol=protocol,
                                         options=['--disable-on-features', '--discard-requests'])
            queues, _ = Card(vm, 1).start(3)
            vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 16})
            vm.qtest.write(0x1000000, os.urandom(1 << 19))
            for unique in range(1, 4):
                vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
                self.assertTrue(wait_for(lambda: vm.qmp.command('query-migrate').get('status') == 'active'))
                self.echo(queues[1], unique)
                vm.qmp.command('migrate_cancel')
                self.assertEqual(vm.wait_migration()['status'], 'cancelled')
                self.echo(queues[1], unique + 10)
            self.nothing_lost(backend)

    def test_queue_reset_reaches_the_back_end(self):
        trace = os.path.join(self.folder, 't')
        backend, vm = self.start_net(trace=trace, options=['--discard-requests'],
                                     rules=['SET_VRING_ENABLE=delay:20'])
        card = Card(vm, 1)
        queues, _ = card.start(3, VERSION_1 | RING_RESET)
        self.echo(queues[1], 1)
        before = len(backend.messages())
        card.reset_queue(1)
        self.assertTrue(any('GET_VRING_BASE' in line for line in backend.messages()[before:]))
        self.echo(card.enable_queue(1)[0], 2)
        self.nothing_lost(backend)

    def test_back_end_without_protocol_features(self):
        backend, vm = self.start_net(options=['--no-protocol', '--discard-requests'])
        self.echo(Card(vm, 1).start(3)[0][1], 1)
        self.nothing_lost(backend)

    def test_queue_pairs(self):
        """Pairs that the driver does not use are off, and the control queue is not the back end's."""
        backend, vm = self.start_net(queues=2, options=['--discard-requests', '--features', hex(self.FEATURES)])
        card = Card(vm, 1)
        queues, _ = card.start(5, VERSION_1 | 1 << 22 | 1 << 17)
        self.echo(queues[1], 1)
        control = queues[4]
        card.qtest.write(control.data, bytes([4, 0, 2, 0, 0xff]))
        control.post([(control.data, 2, False), (control.data + 2, 2, False), (control.data + 4, 1, True)])
        control.kick()
        self.assertTrue(control.wait())
        self.assertEqual(card.qtest.read(control.data + 4, 1), b'\0')
        self.assertTrue(wait_for(lambda: backend.ask()['lost'] == 0))
        self.echo(queues[3], 2)
        self.echo(queues[1], 3)
        self.nothing_lost(backend)

    def test_netdev_is_deleted_under_a_running_card(self):
        """The card stays, without a cable: it stops the rings, and can be reset, moved and unplugged."""
        backend, vm = self.start_net()
        card = Card(vm, 1)
        queues, _ = card.start(3, VERSION_1 | 1 << 16)
        self.echo(queues[1], 1)
        vm.qmp.command('netdev_del', {'id': 'n0'})
        self.assertEqual(card.get(virtio_pci.DEVICE, 6, 2) & 1, 0)
        vm.qmp.command('stop')
        vm.qmp.command('cont')
        card.reset()
        Card(vm, 1).start(3, VERSION_1 | 1 << 16)
        vm.qmp.command('migrate', {'uri': 'exec:cat>/dev/null'})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        vm.qmp.command('cont')
        vm.qmp.command('device_del', {'id': 'd0'})
        vm.qmp.command('query-status')

    def test_link_goes_with_the_back_end(self):
        backend, vm = self.start_net(chardev=',reconnect=1')
        card = Card(vm, 1)
        queues, _ = card.start(3, VERSION_1 | 1 << 16)
        self.assertEqual(card.get(virtio_pci.DEVICE, 6, 2) & 1, 1)
        backend.kill()
        self.assertTrue(wait_for(lambda: card.get(virtio_pci.DEVICE, 6, 2) & 1 == 0))
        self.backend(device='net', queues=1)
        self.assertTrue(wait_for(lambda: card.get(virtio_pci.DEVICE, 6, 2) & 1 == 1))
        self.echo(queues[1], 9)
        self.assertEqual(card.status & NEEDS_RESET, 0)

    def test_back_end_in_between_lacks_features(self):
        """As with the other devices: not started with less than was chosen, and offered what there is after a reset."""
        backend, vm = self.start_net(chardev=',reconnect=1')
        card = Card(vm, 1)
        card.reset()
        self.assertTrue(card.negotiate(VERSION_1 | 1 << 28) & 1 << 28)
        backend.kill()
        self.backend(device='net', queues=1, options=['--features', hex(VERSION_1 | 1 << 26)])
        self.log(vm, 'the back end has come back')
        for index in range(3):
            card.enable_queue(index)
        card.driver_ok()
        self.assertTrue(card.status & NEEDS_RESET)
        self.log(vm, 'lacks features that the driver uses: 0x10000000')
        queues, _ = card.start(3, VERSION_1 | 1 << 28)
        self.assertEqual(card.chosen & 1 << 28, 0)
        self.echo(queues[1], 9)

    def test_cable_that_was_pulled_is_plugged_in_by_a_new_back_end(self):
        """set_link is the user's, and holds until the user says otherwise."""
        backend, vm = self.start_net(chardev=',reconnect=1')
        card = Card(vm, 1)
        card.start(3, VERSION_1 | 1 << 16)
        vm.qmp.command('set_link', {'name': 'n0', 'up': False})
        self.assertEqual(card.get(virtio_pci.DEVICE, 6, 2) & 1, 0)
        backend.kill()
        self.backend(device='net', queues=1)
        self.log(vm, 'the back end has come back')
        self.assertEqual(card.get(virtio_pci.DEVICE, 6, 2) & 1, 0)
        vm.qmp.command('set_link', {'name': 'n0', 'up': True})
        self.assertEqual(card.get(virtio_pci.DEVICE, 6, 2) & 1, 1)

    def dropped(self, queue):
        """The card takes the packet, and no back end sees it."""
        at = queue.data + 64 * (queue.posted % 64)
        queue.card.qtest.fill(at, 64, 0)
        queue.post([(at, 16, False), (at + 32, 16, True)])
        queue.kick()
        self.assertTrue(queue.wait(), 'the packet was not taken')
        self.assertEqual(queue.card.qtest.read(at + 32, 16), bytes(16), 'the packet went through a cable that is pulled')

    def link(self, card):
        return card.get(virtio_pci.DEVICE, 6, 2) & 1

    def set_link(self, vm, name, up):
        vm.qmp.command('set_link', {'name': name, 'up': up})

    def test_packets_through_a_cable_that_is_pulled(self):
        """By the netdev's name or the card's: the rings are taken from the back end, and given back; also where the machine moves."""
        for protocol, name in ((ALL, 'n0'), (ALL & ~REPLY_ACK, 'd0')):
            path = os.path.join(self.folder, name)
            backend, vm = self.start_net(path=path, protocol=protocol, trace=path + 't', options=['--discard-requests'])
            card = Card(vm, 1)
            queues, _ = card.start(3, VERSION_1 | 1 << 16)
            self.echo(queues[1], 1)
            before = len(backend.messages())
            self.set_link(vm, name, False)
            self.assertEqual(self.link(card), 0)
            halted = [line for line in backend.messages()[before:] if line[0] == '>' and 'GET_VRING_BASE' in line]
            self.assertEqual(len(halted), 2, 'a ring of the pair runs on')
            self.dropped(queues[1])
            self.set_link(vm, name, True)
            self.assertEqual(self.link(card), 1)
            self.echo(queues[1], 2)
            self.set_link(vm, name, False)
            uri = 'unix:' + path + 'm'
            _, target = self.start_net(path=path + 'o', protocol=protocol, machine_args=['-incoming', uri])
            vm.qmp.command('migrate', {'uri': uri})
            self.assertEqual(vm.wait_migration()['status'], 'completed')
            target.qmp.wait_event('RESUME')
            card.moved(target)
            self.assertEqual(self.link(card), 0)
            self.dropped(queues[1])
            self.set_link(target, name, True)
            self.assertEqual(self.link(card), 1)
            self.echo(queues[1], 3)

    def test_cable_that_is_pulled_while_the_back_end_is_away(self):
        backend, vm = self.start_net(chardev=',reconnect=1')
        card = Card(vm, 1)
        queues, _ = card.start(3, VERSION_1 | 1 << 16)
        backend.kill()
        self.assertTrue(wait_for(lambda: self.link(card) == 0))
        self.set_link(vm, 'd0', False)
        self.backend(device='net', queues=1)
        self.log(vm, 'the back end has come back')
        self.assertEqual(self.link(card), 0)
        self.dropped(queues[1])
        self.set_link(vm, 'd0', True)
        self.assertEqual(self.link(card), 1)
        self.echo(queues[1], 9)

    def test_machine_that_moves_while_the_back_end_is_away(self):
        """The back end there is another one: the cable is not pulled, and the guest is told to look."""
        backend, vm = self.start_net(chardev=',reconnect=1')
        card = Card(vm, 1)
        queues, _ = card.start(3, VERSION_1 | 1 << 16)
        backend.kill()
        self.assertTrue(wait_for(lambda: self.link(card) == 0))
        uri = 'unix:' + os.path.join(self.folder, 'm')
        card.get(virtio_pci.ISR, 0, 1)
        _, target = self.start_net(path=os.path.join(self.folder, 'o'), machine_args=['-incoming', uri])
        vm.qmp.command('migrate', {'uri': uri})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')
        card.moved(target)
        self.assertEqual(card.get(virtio_pci.ISR, 0, 1) & 2, 2)
        self.assertEqual(self.link(card), 1)
        self.echo(queues[1], 5)

    MTU = ALL | 1 << 4

    def start_mtu(self, mtu_feature=True, rules=(), protocol=MTU, chardev=''):
        features = self.FEATURES | 1 << 3
        self.NIC = 'virtio-net-pci,id=d0,netdev=n0,romfile=,host_mtu=1400'
        backend, vm = self.start_net(protocol=protocol, rules=rules, chardev=chardev, trace=os.path.join(self.folder, 't'),
                                     options=['--features', hex(features)])
        card = Card(vm, 1)
        queues, _ = card.start(3, VERSION_1 | (1 << 3 if mtu_feature else 0))
        return backend, vm, card, queues

    def mtu_lines(self, backend):
        return [n for n, line in enumerate(backend.messages()) if line[0] == '>' and 'NET_SET_MTU' in line]

    def test_mtu(self):
        """Said between the features, where the driver took MTU, and the rings; to the next back end as well."""
        for protocol in self.MTU, self.MTU & ~REPLY_ACK:
            backend, vm, _, queues = self.start_mtu(protocol=protocol, chardev=',reconnect=1')
            self.echo(queues[1], 1)
            for _ in range(2):
                names = [line.split()[1] for line in backend.messages() if line[0] == '>']
                self.assertEqual(len(self.mtu_lines(backend)), 1)
                self.assertLess(names.index('SET_FEATURES'), names.index('NET_SET_MTU'))
                self.assertLess(names.index('NET_SET_MTU'), names.index('SET_VRING_ENABLE'))
                backend.kill()
                backend = self.backend(device='net', queues=1, protocol=protocol, trace=os.path.join(self.folder, 'u'),
                                       options=['--features', hex(self.FEATURES | 1 << 3)])
                self.log(vm, 'the back end has come back')
                self.echo(queues[1], 2)
            vm.close()
            backend.kill()

    def test_mtu_that_the_driver_did_not_take(self):
        backend, _, _, queues = self.start_mtu(mtu_feature=False)
        self.echo(queues[1], 1)
        self.assertEqual(self.mtu_lines(backend), [])

    def test_mtu_that_the_back_end_refuses(self):
        """The guest is told that its device does not work, and the log has the reason; no ring is given to that back end."""
        backend, vm, card, _ = self.start_mtu(rules=['NET_SET_MTU=refuse'])
        self.assertTrue(wait_for(lambda: card.status & NEEDS_RESET))
        self.log(vm, 'NET_SET_MTU')
        self.assertFalse([line for line in backend.messages() if 'SET_VRING_ENABLE' in line])

    def test_migration(self):
        _, vm = self.start_net()
        card = Card(vm, 1)
        queues, _ = card.start(3)
        self.echo(queues[1], 4)
        uri = 'unix:' + os.path.join(self.folder, 'm')
        _, target = self.start_net(path=os.path.join(self.folder, 'o'), machine_args=['-incoming', uri])
        vm.qmp.command('migrate', {'uri': uri})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')
        card.moved(target)
        self.echo(queues[1], 5)


class Setup(Case):
    def test_private_memory(self):
        self.backend()
        with self.assertRaisesRegex(TestError, r"guest RAM 'pc.ram' cannot be shared .*memory-backend-memfd.*share=on"):
            Machine(common.TERN, ['-M', 'pc', '-m', '64M', '-chardev', 'socket,id=c0,path=' + self.path,
                                  '-device', FS])

    def test_private_memory_of_a_node(self):
        """One of two is private: a back end would not see a half of the guest's memory."""
        self.backend()
        args = ['-M', 'pc', '-m', '64M', '-smp', '2', '-object', 'memory-backend-memfd,id=m0,size=32M,share=on',
                '-object', 'memory-backend-ram,id=m1,size=32M', '-numa', 'node,nodeid=0,cpus=0,memdev=m0',
                '-numa', 'node,nodeid=1,cpus=1,memdev=m1', '-chardev', 'socket,id=c0,path=' + self.path]
        with self.assertRaisesRegex(TestError, r"guest RAM 'm1' cannot be shared .*memory-backend-memfd.*share=on"):
            Machine(common.TERN, args + ['-device', FS])

    def test_memory_of_a_file(self):
        self.backend()
        vm = Machine(common.TERN, ['-M', 'pc,memory-backend=m0', '-m', '64M', '-object',
                                   'memory-backend-file,id=m0,size=64M,share=on,mem-path=' +
                                   os.path.join(self.folder, 'ram'),
                                   '-chardev', 'socket,id=c0,path=' + self.path, '-device', FS])
        self.addCleanup(vm.close)
        self.fs_serves(Card(vm, FS_ID).start(2)[0])

    def test_properties_that_are_missing(self):
        self.backend()
        for device, text in (('vhost-user-fs-pci,tag=t', "property 'chardev' is required"),
                             ('vhost-user-fs-pci,chardev=c0', 'missing tag property'),
                             (FS + ',num-request-queues=0', 'num-request-queues property'),
                             (FS + ',queue-size=7', 'queue-size property must be a power of 2'),
                             ('vhost-user-blk-pci,chardev=c0,num-queues=9', 'supported by the backend is 2'),
                             ('vhost-user-device-pci,chardev=c0', 'virtio-id property is required')):
            with self.assertRaisesRegex(TestError, text):
                self.machine(device)

    def test_slots(self):
        """A back end with CONFIGURE_MEM_SLOTS gets its memory region by region."""
        trace = os.path.join(self.folder, 'trace')
        backend = self.backend(protocol=ALL | 1 << 15, trace=trace)
        vm = self.machine(FS)
        self.fs_serves(Card(vm, FS_ID).start(2)[0])
        names = [line.split()[1] for line in backend.messages()]
        self.assertIn('ADD_MEM_REG', names)
        self.assertNotIn('SET_MEM_TABLE', names)

    def test_unplug(self):
        backend = self.backend()
        vm = Machine(common.TERN, vhost_user.arguments(self.path, 'virtio-rng-pci'))
        self.addCleanup(vm.close)
        for i in range(2):
            vm.qmp.command('device_add', {'driver': 'vhost-user-fs-pci', 'chardev': 'c0', 'tag': 't',
                                          'id': 'd%d' % i, 'addr': '5'})
            card = Card(vm, FS_ID, 5 << 3)
            self.fs_serves(card.start(2)[0])
            vm.qmp.command('device_del', {'id': 'd%d' % i})
            vm.qtest.port_out(0xae08, 4, 1 << 5)
            vm.qmp.wait_event('DEVICE_DELETED')
            if i == 0:
                vm.qmp.command('chardev-remove', {'id': 'c0'})
                vm.qmp.command('chardev-add', {'id': 'c0', 'backend': {'type': 'socket', 'data': {
                    'server': False, 'addr': {'type': 'unix', 'data': {'path': self.path}}}}})
        self.assertEqual(backend.ask()['connections'], 2)


if __name__ == '__main__':
    tap.main()
