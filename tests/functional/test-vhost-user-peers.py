#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost-user devices with the back ends that people run.

Each is skipped by name where it is not installed. Programs of a newer distribution can be unpacked
into a folder of their own (dpkg -x, with their libc6): VHOST_USER_PEERS=FOLDER is looked at first. tests/tools/fetch-virtiofsd makes a place
for one that is looked at last.
TERN_TEST_LONG=1: 300 starts of virtiofsd itself in place of 5.
"""

import os
import shutil
import subprocess
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine
from moving import Journey
import vhost_user
from vhost_user import wait_for
import virtio_pci
from virtio_pci import Card, NEEDS_RESET

PEERS = os.environ.get('VHOST_USER_PEERS', '')
FS = 'vhost-user-fs-pci,id=d0,chardev=c0,tag=t'
BLK = 'vhost-user-blk-pci,id=d0,chardev=c0'


def program(*places):
    """A command for the first of these paths or names that is there; None if there is none."""
    for place in places:
        unpacked = os.path.join(PEERS, place.lstrip('/'))
        loader = os.path.join(PEERS, 'usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2')
        if PEERS and os.path.exists(unpacked):
            libraries = os.path.join(PEERS, 'usr/lib/x86_64-linux-gnu')
            return [loader, '--library-path', libraries, unpacked] if os.path.exists(loader) else [unpacked]
        found = shutil.which(place)
        if found:
            return [found]
    return None


def listens(path):
    """Asked of the kernel, because a peer may serve one client and end. Column four of /proc/net/unix has __SO_ACCEPTCON."""
    with open('/proc/net/unix', encoding='utf-8') as file:
        return any(line.rstrip('\n').endswith(' ' + path) and int(line.split()[3], 16) & 0x10000 for line in file)


class Case(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix='vp')
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.path = os.path.join(self.folder, 's')

    def run_peer(self, name, command, options, path=None):
        """Starts a back end and waits for its socket."""
        if not command:
            self.skipTest('%s is not installed' % name)
        path = path or self.path
        if os.path.exists(path):
            os.unlink(path)
        log = open(os.path.join(self.folder, 'log'), 'a+', encoding='utf-8')  # pylint: disable=consider-using-with
        self.addCleanup(log.close)
        peer = subprocess.Popen(command + options, stdin=subprocess.PIPE, stdout=log, stderr=log,
                                cwd=self.folder)
        self.addCleanup(self.end_peer, peer)
        if not wait_for(lambda: os.path.exists(path) or peer.poll() is not None, 60) or peer.poll() is not None:
            log.seek(0)
            self.skipTest('%s does not start here: %s' % (name, log.read()[-200:].strip()))
        wait_for(lambda: listens(path), 10)
        return peer

    def end_peer(self, peer):
        if peer.poll() is None:
            peer.terminate()
            try:
                peer.wait(30)
            except subprocess.TimeoutExpired:
                peer.kill()
        peer.wait()
        peer.stdin.close()

    def machine(self, device, **options):
        vm = vhost_user.start(options.pop('path', self.path), device, **options)
        self.addCleanup(vm.close)
        return vm


class Virtiofsd(Case):
    def share(self):
        share = os.path.join(self.folder, 'share')
        os.makedirs(share, exist_ok=True)
        return share

    def init(self, card, unique):
        queues, _ = card.start(2)
        answer = virtio_pci.fuse_init(queues[1], unique)
        queues[1].kick()
        self.assertTrue(queues[1].wait(), 'FUSE_INIT %d was lost' % unique)
        self.assertTrue(virtio_pci.fuse_ok(queues[1], answer, unique))

    def test_c_virtiofsd(self):
        """The one of QEMU 7.2."""
        self.run_peer('virtiofsd of qemu-system-common 7.2', program('/usr/lib/qemu/virtiofsd'),
                      ['--socket-path=' + self.path, '-o', 'source=' + self.share(), '-o', 'sandbox=chroot'])
        card = Card(self.machine(FS), 26)
        for i in range(1, 20):
            self.init(card, i)

    def rust(self):
        return program('/usr/libexec/virtiofsd', '/usr/lib/virtiofsd/virtiofsd') or vhost_user.unpacked_virtiofsd()

    def test_rust_virtiofsd(self):
        self.run_peer('Rust virtiofsd', self.rust(), ['--socket-path=' + self.path, '--shared-dir', self.share(),
                                                      '--sandbox', 'none'])
        card = Card(self.machine(FS), 26)
        for i in range(1, 301 if common.LONG else 60):
            self.init(card, i)
        self.assertEqual(card.status & NEEDS_RESET, 0)

    def test_rust_virtiofsd_moves_and_its_guest_is_reset_between(self):
        """Live, each time to a machine with another virtiofsd on the same folder; what is open there goes along."""
        vm, card, uri = None, None, 'unix:' + os.path.join(self.folder, 'm')
        for move in range(21 if common.LONG else 5):
            path = os.path.join(self.folder, f's{move}')
            peer = self.run_peer('Rust virtiofsd', self.rust(), ['--socket-path=' + path, '--shared-dir', self.share(),
                                                                 '--sandbox', 'none'], path)
            there = self.machine(FS, path=path, args=['-incoming', uri] if vm else [])
            if not vm:
                card = Card(there, 26)
                self.init(card, 1)
            else:
                vm.qmp.command('migrate', {'uri': uri})
                self.assertEqual(vm.wait_migration()['status'], 'completed')
                there.qmp.wait_event('RESUME')
                card.moved(there)
                vm.close()
                self.end_peer(old_peer)
                queue = card.queues[1]
                answer = virtio_pci.fuse_init(queue, move)
                queue.kick()
                self.assertTrue(queue.wait(), f'after move {move}: FUSE_INIT was lost')
                self.assertTrue(virtio_pci.fuse_ok(queue, answer, move))
                if move % 2:
                    there.qmp.command('system_reset')
                    there.qmp.wait_event('RESET')
                    card.map_bars()
                    self.init(card, move)
            vm, old_peer = there, peer
        self.assertEqual(card.status & NEEDS_RESET, 0)

    def come_back(self, name, command, options):
        """Killed and started again while the guest has its rings: the next request is served."""
        peer = self.run_peer(name, command, options)
        card = Card(self.machine(FS, chardev=',reconnect=1'), 26)
        self.init(card, 1)
        queue = card.queues[1]
        for unique in 2, 3:
            peer.kill()
            peer.wait()
            answer = virtio_pci.fuse_init(queue, unique)
            queue.kick()
            peer = self.run_peer(name, command, options)
            self.assertTrue(queue.wait(60), f'FUSE_INIT {unique} was lost: {queue.used_index()} of {queue.posted} came back, device '
                                            f'status {card.status:#x}, back end ended with {peer.poll()}: {card.machine.stderr()}')
            self.assertTrue(virtio_pci.fuse_ok(queue, answer, unique))
        self.assertEqual(card.status & NEEDS_RESET, 0)

    def test_c_virtiofsd_killed_and_started_again(self):
        self.come_back('virtiofsd of qemu-system-common 7.2', program('/usr/lib/qemu/virtiofsd'),
                       ['--socket-path=' + self.path, '-o', 'source=' + self.share(), '-o', 'sandbox=chroot'])

    def test_rust_virtiofsd_killed_and_started_again(self):
        self.come_back('Rust virtiofsd', self.rust(),
                       ['--socket-path=' + self.path, '--shared-dir', self.share(), '--sandbox', 'none'])

    def test_rust_virtiofsd_started_each_time(self):
        for i in range(1, 301 if common.LONG else 5):
            peer = self.run_peer('Rust virtiofsd', self.rust(),
                                 ['--socket-path=' + self.path, '--shared-dir', self.share(), '--sandbox', 'none'])
            vm = vhost_user.start(self.path, FS)
            try:
                self.init(Card(vm, 26), i)
            finally:
                vm.close()
            self.end_peer(peer)


class StorageDaemon(Case):
    def start_daemon(self, path=None, image='disk'):
        image = os.path.join(self.folder, image)
        path = path or self.path
        if not os.path.exists(image):
            with open(image, 'wb') as disk:
                disk.truncate(1 << 20)
        return self.run_peer('qemu-storage-daemon', program('qemu-storage-daemon'),
                             ['--blockdev', 'driver=file,node-name=f0,locking=off,filename=' + image, '--export',
                              'type=vhost-user-blk,id=e0,node-name=f0,addr.type=unix,addr.path=%s,writable=on,'
                              'num-queues=2' % path], path)

    def transfer(self, queue, sector, data):
        _, status = virtio_pci.blk_request(queue, 1, sector, data)
        queue.kick()
        self.assertTrue(queue.wait())
        self.assertEqual(queue.card.qtest.read(status, 1), b'\0')
        self.check(queue, sector, data)

    def check(self, queue, sector, data):
        at, status = virtio_pci.blk_request(queue, 0, sector, length=len(data))
        queue.kick()
        self.assertTrue(queue.wait())
        self.assertEqual(queue.card.qtest.read(status, 1), b'\0')
        self.assertEqual(queue.card.qtest.read(at, len(data)), data)

    def test_read_and_write(self):
        self.start_daemon()
        card = Card(self.machine(BLK + ',num-queues=2'), 2)
        for _ in range(3):
            queues, _ = card.start(2)
            self.transfer(queues[0], 5, b'q' * 512)
            self.transfer(queues[1], 9, b'z' * 512)
        self.assertEqual(card.get(virtio_pci.DEVICE, 0, 4), 2048)
        with open(os.path.join(self.folder, 'disk'), 'rb') as disk:
            disk.seek(9 * 512)
            self.assertEqual(disk.read(512), b'z' * 512)

    def test_killed_and_started_again(self):
        peer = self.start_daemon()
        card = Card(self.machine(BLK, chardev=',reconnect=1'), 2)
        queue = card.start(1)[0][0]
        self.transfer(queue, 5, b'q' * 512)
        peer.kill()
        peer.wait()
        peer.stdin.close()
        at, status = virtio_pci.blk_request(queue, 0, 5, length=512)
        queue.kick()
        self.start_daemon()
        self.assertTrue(queue.wait(60), 'the request that was posted meanwhile was lost')
        self.assertEqual(card.qtest.read(at, 512) + card.qtest.read(status, 1), b'q' * 512 + b'\0')

    def test_migration(self):
        """Live, to a machine with another daemon on the same disk."""
        self.start_daemon()
        vm = self.machine(BLK)
        card = Card(vm, 2)
        queue = card.start(1)[0][0]
        self.transfer(queue, 5, b'q' * 512)
        other = os.path.join(self.folder, 'o')
        self.start_daemon(other)
        uri = 'unix:' + os.path.join(self.folder, 'm')
        target = self.machine(BLK, path=other, args=['-incoming', uri])
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 20})
        vm.qtest.write(0x1000000, os.urandom(4 << 20))
        vm.qmp.command('migrate', {'uri': uri})
        for _ in range(10):
            self.check(queue, 5, b'q' * 512)
        self.assertIn(vm.qmp.command('query-migrate')['status'], ('setup', 'active'))
        vm.qmp.command('migrate-set-parameters', {'max-bandwidth': 1 << 40})
        self.assertEqual(vm.wait_migration()['status'], 'completed')
        target.qmp.wait_event('RESUME')
        self.assertEqual(target.qtest.read(queue.base, 0x10000), vm.qtest.read(queue.base, 0x10000))
        card.moved(target)
        self.check(queue, 5, b'q' * 512)


class Net(Case):
    MAC = bytes.fromhex('525400123456')

    def start_card(self):
        command = vhost_user.arguments(self.path, 'x')[:-2] + [
            '-netdev', 'vhost-user,id=n0,chardev=c0', '-device',
            'virtio-net-pci,id=d0,netdev=n0,romfile=,mac=52:54:00:12:34:56']
        vm = Machine(common.TERN, command)
        self.addCleanup(vm.close)
        card = Card(vm, 1)
        queues, _ = card.start(3, virtio_pci.VERSION_1 | 1 << 15)
        return card, queues

    def arp(self, queues, target):
        """Sends a question for that address; returns the answer's frame, b'' without one."""
        receive, send = queues[0], queues[1]
        question = (b'\xff' * 6 + self.MAC + bytes.fromhex('08060001080006040001') + self.MAC +
                    bytes([10, 0, 2, 15]) + b'\0' * 6 + target)
        posted = receive.posted
        for i in range(8):
            receive.post([(receive.data + 2048 * i, 2048, True)])
        receive.kick()
        send.card.qtest.write(send.data, b'\0' * 12 + question.ljust(60, b'\0'))
        for _ in range(10):
            send.post([(send.data, 72, False)])
            send.kick()
            self.assertTrue(send.wait())
            if wait_for(lambda: receive.used_index() != posted, 0.5):
                break
        for i in range(receive.used_index() - posted):
            frame = receive.card.qtest.read(receive.data + 2048 * i + 12, 60)
            if frame[12:14] == b'\x08\x06' and frame[20:22] == b'\0\2':
                return frame
        return b''

    def test_testpmd(self):
        """DPDK's testpmd answers ARP (icmpecho)."""
        self.run_peer('dpdk-testpmd', program('dpdk-testpmd'),
                      ['--no-huge', '-m', '256', '--no-pci', '--file-prefix', 'vp%d' % os.getpid(), '-l', '0,1',
                       '--vdev', 'net_vhost0,iface=%s,queues=1' % self.path, '--',
                       '--forward-mode=icmpecho', '--auto-start', '--total-num-mbufs=4096'])
        card, queues = self.start_card()
        frame = self.arp(queues, bytes([10, 0, 2, 2]))
        self.assertEqual(frame[:6], self.MAC)
        card.reset()
        queues, _ = card.start(3, virtio_pci.VERSION_1 | 1 << 15)
        self.assertEqual(self.arp(queues, bytes([10, 0, 2, 3]))[:6], self.MAC)

    def test_passt(self):
        command = program('/usr/bin/passt.avx2', '/usr/bin/passt', 'passt')
        if not command or '--vhost-user' not in subprocess.run(
                command + ['--help'], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False).stdout:
            self.skipTest('passt with --vhost-user is not installed')
        self.run_peer('passt', command, ['-f', '--vhost-user', '--socket', self.path, '--runas', '0', '-a', '10.0.2.15',
                                         '-n', '24', '-g', '10.0.2.2'])
        card, queues = self.start_card()
        self.assertEqual(self.arp(queues, bytes([10, 0, 2, 2]))[:6], self.MAC)
        self.assertEqual(card.status & NEEDS_RESET, 0)


class Generic(Case):
    def test_vhost_device_vsock(self):
        self.run_peer('vhost-device-vsock', program('vhost-device-vsock', '/usr/bin/vhost-device-vsock'),
                      ['--guest-cid', '3', '--socket', self.path, '--uds-path', os.path.join(self.folder, 'u')])
        card = Card(self.machine('vhost-user-device-pci,id=d0,chardev=c0,virtio-id=19,num_vqs=3,config_size=8'), 19)
        for _ in range(3):
            card.start(2)
            self.assertEqual(card.get(virtio_pci.DEVICE, 0, 4), 3)
        self.assertEqual(card.status & NEEDS_RESET, 0)


class Boot(Case):
    """SeaBIOS boots the test medium (tests/guest) from a vhost-user disk, under KVM."""

    SUM = 'INT13 sum %s bytes %08x\r\n'

    def setUp(self):
        super().setUp()
        boot = common.load(os.path.join(common.HERE, 'test-kvm-boot.py'))
        if boot.kvm_works():
            self.skipTest(boot.kvm_works())
        with open(boot.PROGRAM, 'rb') as file:
            data = boot.make_medium.make(file.read(), 'disk', boot.SIZE)
        self.medium = os.path.join(self.folder, 'medium')
        with open(self.medium, 'wb') as file:
            file.write(data)
        self.expected = (self.SUM % (boot.make_medium.medium_sum(data), len(data))).encode()

    def arguments(self, extra=''):
        return vhost_user.arguments(self.path, BLK + ',bootindex=1' + extra, megabytes=32) + ['-boot', 'strict=on']

    def boots(self, moving, extra=''):
        with Journey(self.arguments(extra), self.folder) as journey:
            journey.run(lambda: b'END' in journey.serial(), 120, moving=moving, pause=0.05)
            self.assertIn(self.expected, journey.serial())
            self.assertNotIn(b'!', journey.serial())
            return journey.moves

    def test_from_qemu_storage_daemon(self):
        self.run_peer('qemu-storage-daemon', program('qemu-storage-daemon'),
                      ['--blockdev', 'driver=file,node-name=f0,read-only=on,filename=' + self.medium, '--export',
                       'type=vhost-user-blk,id=e0,node-name=f0,addr.type=unix,addr.path=' + self.path])
        self.boots(False)

    @unittest.skipUnless(common.LONG, 'TERN_TEST_LONG is not set')
    def test_legacy_interface(self):
        self.run_backend()
        self.boots(False, ',disable-modern=on')

    def test_while_it_is_moved(self):
        self.run_backend()
        self.assertGreater(self.boots(True), 3)

    def run_backend(self):
        backend = vhost_user.Backend(self.path, 'blk', 1, options=['--image', self.medium, '--discard-requests'],
                                     rules=['SET_VRING_ENABLE=delay:5'])
        self.addCleanup(backend.kill)


if __name__ == '__main__':
    tap.main()
