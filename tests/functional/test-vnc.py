#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""VNC: what clients see is what screendump shows; keys, pointers, passwords; nobody holds up the machine."""
import os
import shutil
import socket
import subprocess
import tempfile
import time
import unittest

import common
import rfb_client

PCI = 2 << 11 | 1 << 31
VRAM = 0xe0000000


class Vnc(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, 'vnc')
        self.clients = []
        self.machine = None

    def tearDown(self):
        for client in self.clients:
            client.close()
        if self.machine:
            self.assertEqual(self.machine.close(), 0, self.machine.stderr())
        self.folder.cleanup()

    def start(self, options='', args=()):
        self.machine = common.machine(
            ['-device', 'VGA,id=v,addr=2', '-usb', '-device', 'usb-kbd,id=k', '-device', 'usb-mouse,id=m',
             '-vnc', 'unix:' + self.path + options, *args])
        self.qmp = self.machine.qmp
        q = self.machine.qtest
        for register, value in ((0x10, VRAM), (4, 3)):
            q.port_out(0xcf8, 4, PCI | register)
            q.port_out(0xcfc, 4, value)

    def connect(self, **options):
        client = rfb_client.Client(self.path, **options)
        self.clients.append(client)
        return client

    def set_mode(self, width, height):
        q = self.machine.qtest
        for index, value in ((4, 0), (1, width), (2, height), (3, 32), (4, 0x41)):
            q.port_out(0x1ce, 2, index)
            q.port_out(0x1cf, 2, value)
        q.port_in(0x3da, 1)
        q.port_in(0x3ba, 1)
        q.port_out(0x3c0, 1, 0x20)

    def picture(self):
        name = os.path.join(self.folder.name, 'shot.ppm')
        self.qmp.command('screendump', {'filename': name})
        with open(name, 'rb') as file:
            data = file.read()
        return data.split(b'\n', 3)[3]

    def trace(self, events):
        """Turns events on; they go to stderr."""
        self.qmp.command('trace-event-set-state', {'name': events, 'enable': True})

    def assert_traced(self, text):
        deadline = time.monotonic() + 60
        while text not in self.machine.stderr():
            self.assertLess(time.monotonic(), deadline, '%s not in: %s' % (text, self.machine.stderr()))
            time.sleep(0.01)

    def test_picture(self):
        self.start()
        client = self.connect()
        self.assertEqual((client.width, client.height), (640, 480))
        self.assertEqual(client.kinds, [1])
        self.set_mode(320, 200)
        client.update_until(lambda: (client.width, client.height) == (320, 200))
        self.machine.qtest.write(VRAM + 4 * (320 * 100 + 50), bytes(range(256)) * 8)
        expected = self.picture()
        client.update_until(lambda: client.rgb() == expected)
        self.set_mode(640, 400)
        self.machine.qtest.write(VRAM, bytes(range(256)) * 256)
        expected = self.picture()
        client.update_until(lambda: (client.width, client.height) == (640, 400) and client.rgb() == expected)
        second = self.connect()
        second.update_until(lambda: second.rgb() == expected)

    def test_clients_and_events(self):
        self.start(',connections=2', ['-name', 'guest'])
        client = self.connect()
        self.assertEqual(client.name, 'QEMU (guest)')
        self.qmp.wait_event('VNC_CONNECTED')
        event = self.qmp.wait_event('VNC_INITIALIZED')
        self.assertEqual(event['data']['server'],
                         {'host': '', 'service': self.path, 'family': 'unix', 'websocket': False, 'auth': 'none'})
        self.connect()
        self.qmp.wait_event('VNC_INITIALIZED')
        self.assertEqual(len(self.qmp.command('query-vnc')['clients']), 2)
        self.assertIn('Client', self.qmp.hmp('info vnc'))
        with self.assertRaises((rfb_client.Refused, OSError)):
            self.connect()
        self.connect_exclusive()

    def connect_exclusive(self):
        """A client that wants to be alone: the others are disconnected."""
        self.clients.pop().close()
        self.qmp.wait_event('VNC_DISCONNECTED')
        self.connect(shared=False)
        self.qmp.wait_event('VNC_DISCONNECTED')
        self.assertEqual(len(self.qmp.command('query-vnc')['clients']), 1)

    def test_password(self):
        self.start(',password=on')
        with self.assertRaises(rfb_client.Refused):
            self.connect(password='')
        self.qmp.command('set_password', {'protocol': 'vnc', 'password': 'secret'})
        self.assertEqual(self.connect(password='secret').kinds, [2])
        with self.assertRaises(rfb_client.Refused):
            self.connect(password='Secret')
        self.qmp.command('expire_password', {'protocol': 'vnc', 'time': 'now'})
        with self.assertRaises(rfb_client.Refused):
            self.connect(password='secret')
        self.qmp.command('expire_password', {'protocol': 'vnc', 'time': '+1000'})
        self.qmp.command('change-vnc-password', {'password': 'other'})
        self.connect(password='other')

    def test_keys(self):
        self.start()
        self.trace('input_event_key_qcode')
        client = self.connect(encodings=(rfb_client.RAW, rfb_client.EXTENDED_KEY, rfb_client.LEDS))
        client.key(ord('A'), True)
        client.key(ord('A'), False)
        client.key(0xff0d, True)
        client.key(0x1234567, True)
        self.assert_traced('key qcode a, down 0')
        self.assert_traced('key qcode ret, down 1')
        client.scan_code(0, 0xc8, True)
        self.assert_traced('key qcode up, down 1')
        client.request(False)
        while not (client.extended_key and client.leds is not None):
            client.message()
        self.assertNotIn('key qcode up, down 0', self.machine.stderr())
        client.close()
        self.assert_traced('key qcode up, down 0')
        self.assert_traced('key qcode ret, down 0')

    def test_pointer(self):
        self.start(args=['-device', 'usb-tablet,id=t'])
        self.trace('input_event_*')
        client = self.connect(encodings=(rfb_client.RAW, rfb_client.POINTER_TYPE))
        client.request(False)
        while client.pointer_absolute is None:
            client.message()
        self.assertFalse(client.pointer_absolute)
        client.message()
        client.pointer(0, 0x7fff + 5, 0x7fff - 7)
        self.assert_traced('axis x, value 5')
        self.assert_traced('axis y, value -7')
        tablet = [m['index'] for m in self.qmp.command('query-mice') if m['absolute']][0]
        self.qmp.hmp('mouse_set %d' % tablet)
        while not client.pointer_absolute:
            client.message()
        client.pointer(1, 639, 0)
        self.assert_traced('axis x, value 0x7fff')
        self.assert_traced('button left, down 1')
        client.close()
        self.assert_traced('button left, down 0')

    def test_client_that_does_not_read_stops_nobody(self):
        self.start()
        client = self.connect()
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 12)
        client.request(False)
        slowest = 0
        for _ in range(100):
            began = time.monotonic()
            self.qmp.command('query-status')
            slowest = max(slowest, time.monotonic() - began)
            time.sleep(0.002)
        self.assertLess(slowest, 30)

    def test_garbage(self):
        self.start()
        for data in (b'', b'x', b'\0' * 100, b'RFB 003.008\n' + bytes(range(256)), b'RFB 003.003\n' + b'\xff' * 4096,
                     b'RFB 003.008\n\1\1' + bytes([2, 0, 255, 255]) + b'\xff' * 1000,
                     b'RFB 003.008\n\1\1' + bytes([255, 7]) + b'x' * 500,
                     b'RFB 003.008\n\1\1' + bytes([6, 0, 0, 0, 255, 255, 255, 255]) + b'x' * 500):
            with socket.socket(socket.AF_UNIX) as sock:
                sock.settimeout(60)
                sock.connect(self.path)
                try:
                    sock.sendall(data)
                    sock.shutdown(socket.SHUT_WR)
                    while sock.recv(4096):
                        pass
                except ConnectionError:
                    pass
        self.assertTrue(self.connect())

    def test_moved_machine_shows_the_same(self):
        self.start()
        self.set_mode(320, 200)
        self.machine.qtest.write(VRAM, bytes(range(256)) * 64)
        expected = self.picture()
        stream = os.path.join(self.folder.name, 'stream')
        self.qmp.command('migrate', {'uri': 'exec:cat>' + stream})
        self.assertEqual(self.machine.wait_migration()['status'], 'completed')
        self.assertEqual(self.machine.close(), 0)
        self.start(args=['-incoming', 'exec:cat ' + stream])
        self.machine.wait_migration()
        client = self.connect()
        client.update_until(lambda: client.rgb() == expected)

    @unittest.skipUnless(shutil.which('vncsnapshot'), 'vncsnapshot is not installed')
    def test_vncsnapshot(self):
        """A real client."""
        display = common.free_port() - 5900
        self.machine = common.machine(['-device', 'VGA', '-vnc', '127.0.0.1:%d' % display])
        name = os.path.join(self.folder.name, 'shot.jpeg')
        subprocess.run(['vncsnapshot', '-quiet', '-allowblank', '127.0.0.1:%d' % display, name], check=True, timeout=120,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.assertGreater(os.path.getsize(name), 100)


if __name__ == '__main__':
    common.tap.main()
