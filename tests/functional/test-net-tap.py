#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Tap interfaces at a bridge, in a network namespace of the test's own: frames both ways while the machine moves, queues, link, and what
vhost=on says on a host without vhost-net (net-inside.py; with it: test-nested-vhost.py).
"""

import os
import re
import subprocess
import sys
import unittest

import common
from common import tap

INSIDE = os.path.join(common.HERE, 'net-inside.py')
BRIDGE = 'import socket, fcntl\nfcntl.ioctl(socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0x89a0, b"br0\\0")\nopen("/dev/net/tun", "r+b", 0)'


def why_not():
    """None, or what is missing."""
    if os.geteuid():
        return 'tap interfaces are for root'
    if not os.path.exists('/dev/net/tun'):
        return 'there is no /dev/net/tun'
    if not os.path.exists('/usr/bin/unshare'):
        return 'util-linux is not installed'
    done = subprocess.run(['unshare', '-n', sys.executable, '-c', BRIDGE], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        return 'no network namespace with a bridge and a tap interface: ' + done.stderr.strip().rpartition('\n')[2]
    return None


@unittest.skipIf(why_not(), why_not())
class Tap(unittest.TestCase):
    def run_inside(self, name):
        done = subprocess.run(['unshare', '-n', sys.executable, INSIDE, name], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              check=False, timeout=300)
        found = re.search(rf'(?m)^scenario {name} (ok|wrong): (.*)$', done.stdout)
        self.assertTrue(found, done.stdout[-3000:])
        self.assertEqual(found.group(1), 'ok', done.stdout[-3000:])
        print(f'# {name}: {found.group(2)}')

    def test_frames_both_ways_while_it_moves(self):
        self.run_inside('tap')

    def test_flows_go_to_queues_that_the_guest_does_not_read(self):
        self.run_inside('tap-queues')

    @unittest.skipUnless(common.stock(), 'stock qemu-system-x86_64 is not installed')
    def test_queues_from_stock_and_back(self):
        self.run_inside('stock-queues')

    def test_a_frame_in_many_pieces_comes_whole(self):
        self.run_inside('tap-pieces')

    def test_link(self):
        self.run_inside('tap-link')

    @unittest.skipIf(os.path.exists('/dev/vhost-net'), 'there is /dev/vhost-net')
    def test_vhost_without_the_device_is_ignored(self):
        self.run_inside('vhost-refused')


if __name__ == '__main__':
    tap.main()
