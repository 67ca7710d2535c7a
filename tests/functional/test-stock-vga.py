#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The same accesses to the VGA of the installed stock program and to ours: registers, video memory and pictures are equal,
and a screen that moves from one to the other is the same there."""
import hashlib
import os
import random
import tempfile
import unittest

import common

VRAM, MMIO = 0xe0000000, 0xe2000000
COLORS = [0, 1, 2, 3, 4, 5, 0x14, 7, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f]
PLAIN = list(range(16))

# name: misc, sequencer, CRT controller, graphics, attributes
MODES = {
    'text': (0x67, '0300030002', '5f4f50825581bf1f004f200e000000009c8e8f281f96b9a3ff', '0000000000100e00ff',
             COLORS + [0x00, 0, 15, 8, 0]),
    'text40': (0x67, '0308030002', '2d2728902ba0bf1f004f200e000000009c8e8f141f96b9a3ff', '0000000000100e00ff',
               COLORS + [0x04, 0, 15, 8, 0]),
    'mode4': (0x63, '0309030002', '2d2728902b80bf1f00c10000000000009c8e8f140096b9a2ff', '0000000000300f0fff',
              PLAIN + [1, 0, 3, 0, 0]),
    'mode6': (0x63, '0301010006', '5f4f50825480bf1f00c10000000000009c8e8f280096b9c2ff', '0000000000000d0fff',
              PLAIN + [1, 0, 1, 0, 0]),
    'mode0d': (0x63, '03090f0006', '2d2728902b80bf1f00c00000000000009c8e8f140096b9e3ff', '000000000000050fff',
               PLAIN + [1, 0, 15, 0, 0]),
    'mode12': (0xe3, '03010f0006', '5f4f508254800b3e0040000000000000ea8cdf2800e704e3ff', '000000000000050fff',
               COLORS + [1, 0, 15, 0, 0]),
    'mode13': (0x63, '03010f000e', '5f4f50825480bf1f00410000000000009c8e8f284096b9a3ff', '000000000040050fff',
               PLAIN + [0x41, 0, 15, 0, 0]),
    'modex': (0xe3, '03010f0006', '5f4f508254800d3e0041000000000000ea8cdf2800e706e3ff', '000000000040050fff',
              PLAIN + [0x41, 0, 15, 0, 0]),
}


class Screen:
    """A machine with a VGA whose registers are easy to reach."""

    def __init__(self, command, folder, args=()):
        self.machine = common.qtest_client.Machine(
            command, ['-machine', 'pc-i440fx-7.2,usb=off', '-device', 'VGA,id=v,addr=2,romfile=', *args])
        self.q = self.machine.qtest
        self.shot = os.path.join(folder, 'shot')
        for register, value in ((0x10, VRAM), (0x18, MMIO), (4, 3)) if not args else ():
            self.q.port_out(0xcf8, 4, 2 << 11 | 1 << 31 | register)
            self.q.port_out(0xcfc, 4, value)

    def set(self, port, index, value):
        self.q.port_out(port, 1, index)
        self.q.port_out(port + 1, 1, value)

    def attribute(self, index, value):
        self.q.port_in(0x3da, 1)
        self.q.port_out(0x3c0, 1, index)
        self.q.port_out(0x3c0, 1, value)

    def show(self):
        self.q.port_in(0x3da, 1)
        self.q.port_out(0x3c0, 1, 0x20)

    def vbe(self, index, value):
        self.q.port_out(0x1ce, 2, index)
        self.q.port_out(0x1cf, 2, value)

    def set_mode(self, name):
        misc, seq, crtc, gr, attributes = MODES[name]
        self.q.port_out(0x3c2, 1, misc)
        self.set(0x3d4, 0x11, 0)
        for port, values in ((0x3c4, seq), (0x3d4, crtc), (0x3ce, gr)):
            for index, value in enumerate(bytes.fromhex(values)):
                self.set(port, index, value)
        for index, value in enumerate(attributes):
            self.attribute(index, value)
        self.q.port_out(0x3c8, 1, 0)
        for index in range(256):
            for value in (index * 7 & 63, (index * 13 + 5) & 63, (index * 29 + 9) & 63):
                self.q.port_out(0x3c9, 1, value)
        self.show()

    def picture(self):
        self.machine.qmp.command('screendump', {'filename': self.shot})
        with open(self.shot, 'rb') as file:
            data = file.read()
        return data.split(b'\n', 2)[1].decode(), hashlib.md5(data).hexdigest()

    def memory(self, address, size):
        return hashlib.md5(self.q.read(address, size)).hexdigest()


@unittest.skipUnless(common.stock(), 'qemu-system-x86_64 (stock) is not installed')
class StockVga(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.screens = [Screen(command, self.folder.name) for command in (common.stock()[0], common.TERN)]
        self.data = random.Random(7).randbytes(0x10000)

    def tearDown(self):
        for screen in self.screens:
            screen.machine.close()
        self.folder.cleanup()

    def both(self, function, what):
        stock, ours = [function(screen) for screen in self.screens]
        self.assertEqual(ours, stock, what)

    def test_modes(self):
        for name in MODES:
            window = 0xb8000 if bytes.fromhex(MODES[name][3])[6] & 8 else 0xa0000
            size = 0x8000 if window == 0xb8000 else 0x10000

            def run(screen):
                screen.set_mode(name)
                for at in range(0, size, 0x4000):
                    screen.q.write(window + at, self.data[at:at + 0x4000])
                return screen.picture(), screen.memory(VRAM, 0x40000), screen.memory(window, size)
            self.both(run, name)
            self.both(lambda s: self.write_modes(s, name, window), name)

    def write_modes(self, screen, name, window):
        usual = bytes.fromhex(MODES[name][3])[5]
        for index, value in ((0, 10), (1, 3), (8, 0x5a), (3, 0x11), (2, 6), (7, 13)):
            screen.set(0x3ce, index, value)
        sums = []
        for mode in range(4):
            screen.set(0x3ce, 5, usual & ~3 | mode)
            screen.q.read(window + 0x123, 1)
            screen.q.write(window + 0x200 * mode + 0x1000, self.data[:0x200])
            screen.set(0x3ce, 4, mode)
            screen.set(0x3ce, 5, usual & ~3 | 8)
            sums += [screen.memory(VRAM, 0x40000), screen.memory(window, 0x2000)]
        return sums

    def test_vbe(self):
        for bpp in (4, 8, 16, 24, 32):
            def run(screen):
                screen.set_mode('modex')
                for index, value in ((4, 0), (1, 321), (2, 200), (3, bpp), (4, 0x41), (6, 400), (8, 16), (9, 7)):
                    screen.vbe(index, value)
                for at in range(0, 0x40000, 0x4000):
                    screen.q.write(VRAM + at, self.data[at % 0xc000:][:0x4000])
                screen.show()
                return screen.picture(), screen.q.read(MMIO + 0x500, 0x18), screen.q.read(MMIO, 0x100)
            self.both(run, bpp)
            for screen in self.screens:
                screen.vbe(4, 0)

    def test_moved_screens(self):
        for source, target in ((0, 1), (1, 0)):
            screen = self.screens[source]
            screen.set_mode('mode13')
            screen.q.write(0xa0000, self.data[:0xfa00])
            before = screen.picture(), screen.memory(VRAM, 0x10000)
            stream = os.path.join(self.folder.name, 'stream%d' % source)
            screen.machine.qmp.command('stop')
            screen.machine.qmp.command('migrate', {'uri': 'exec:cat>' + stream})
            screen.machine.wait_migration()
            try:
                other = Screen((common.stock()[0], common.TERN)[target], self.folder.name,
                               ['-S', '-incoming', 'exec:cat ' + stream])
            except common.qtest_client.TestError as err:
                self.skipTest('the boards do not fit each other yet: %s' % err)
            try:
                other.machine.wait_migration()
            except common.qtest_client.TestError as err:
                self.assertNotIn('vga', str(err))
                other.machine.close()
                self.skipTest('the boards do not fit each other yet: %s' % err)
            after = other.picture(), other.memory(VRAM, 0x10000)
            other.machine.close()
            self.assertEqual(after, before, ('to stock', 'from stock')[target])


if __name__ == '__main__':
    common.tap.main()
