#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""SeaBIOS boots the test medium under KVM, from every kind of drive, while the machine is moved.

The medium's program (tests/guest/) reads its whole disc by INT 13h and says the sum of it on the serial line; from USB it
reads it once more through a UHCI driver of its own. Both sums have to be those of the file, and the firmware's log must
not have a line about an error that a boot without moves does not have.
"""

import os
import re
import shutil
import tempfile
import unittest

import common
from common import tap
from moving import Journey

PROGRAM = os.path.join(os.environ.get('TERN_BUILD_DIR', os.path.join(common.SOURCE, 'build')),
                       'tests/guest/test-medium.bin')
SIZE = 512 * 1024
TIMEOUT = 240
MOVES = 100 if common.LONG else 12
FIRMWARE = '/usr/share/seabios/bios-256k.bin'
SHORT_WITH_STOCK = ('usb_cd', 'ide_disk')  # the others with TERN_TEST_LONG
TROUBLE = re.compile(rb'(?i)error|fail|timeout|unable|warning')

make_medium = common.load(os.path.join(common.SOURCE, 'tests/guest/make-medium'))

UHCI = ['-device', 'piix3-usb-uhci,id=uhci,addr=1.2']


def drive(path, extra=''):
    return ['-drive', f'if=none,id=d,format=raw,file={path},readonly=on{extra}']


# kind of medium, devices, whether the program's own driver finds it
DRIVES = {
    'usb_cd': ('cd', lambda path: UHCI + drive(path, ',media=cdrom') + ['-device', 'usb-storage,drive=d,port=2'], True),
    'ide_cd': ('cd', lambda path: drive(path, ',media=cdrom') + ['-device', 'ide-cd,drive=d,bus=ide.1,unit=0'], False),
    'ide_disk': ('disk', lambda path: ['-drive', f'if=none,id=d,format=raw,file={path}', '-device',
                                       'ide-hd,drive=d,bus=ide.0,unit=0'], False),
    'floppy': ('floppy', lambda path: ['-drive', f'if=floppy,format=raw,file={path}'], False),
    'usb_disk': ('disk', lambda path: UHCI + drive(path) + ['-device', 'usb-storage,drive=d,port=2'], True),
}


def kvm_works():
    """None, or why not."""
    if not os.access('/dev/kvm', os.R_OK | os.W_OK):
        return '/dev/kvm is not there'
    if not os.path.exists(FIRMWARE):
        return 'seabios is not installed'
    if not shutil.which('xorriso'):
        return 'xorriso is not installed'
    return None


def trouble(log):
    """The firmware's lines about errors, without the numbers in them."""
    return {re.sub(rb'[0-9a-f]{4,}|\d+', b'N', line) for line in log.splitlines() if TROUBLE.search(line)}


@unittest.skipIf(kvm_works(), kvm_works())
class Boot(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=os.environ.get('TMPDIR'))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def medium(self, kind):
        """Path and sum of a new medium."""
        with open(PROGRAM, 'rb') as file:
            data = make_medium.make(file.read(), kind, SIZE)
        path = os.path.join(self.folder, kind)
        with open(path, 'wb') as file:
            file.write(data)
        return path, make_medium.medium_sum(data).encode(), len(data)

    def boot(self, args, moving, programs=(common.TERN,), options=None):
        with Journey(['-m', '32', '-boot', 'strict=on'] + args, self.folder, programs=programs,
                     options=options) as journey:
            journey.run(lambda: b'END' in journey.serial(), TIMEOUT, moving=moving, pause=0 if moving else 0.05)
            return journey.serial(), journey.debug(), journey.moves

    def check_moved(self, name):
        kind, devices, own_driver = DRIVES[name]
        path, total, size = self.medium(kind)
        args = devices(path)
        _, still, _ = self.boot(args, False)
        serial, moved, moves = self.boot(args, True)
        self.assertIn(b'INT13 sum %s bytes %08x\r\n' % (total, size), serial)
        self.assertEqual(b'UHCI sum %s bytes %08x\r\n' % (total, size) in serial, own_driver, serial)
        self.assertNotIn(b'!', serial)  # a piece that had to be read again
        self.assertEqual(trouble(moved) - trouble(still), set())
        self.assertGreaterEqual(moves, MOVES)
        print(f'# {name}: {moves} moves')


    def check_with_stock(self, name):
        """Stock 7.2 and Tern take turns. Stock may lose a request in flight (the firmware reads the piece again), and refuses states for
        which it has no form (the middle of a USB control transfer, of an ATAPI command, of a DMA transfer): the machine stays where it
        is, and tries again."""
        kind, devices, own_driver = DRIVES[name]
        path, total, size = self.medium(kind)
        args = ['-M', 'pc-i440fx-7.2', '-m', '32'] + devices(path)
        with Journey(args, self.folder, programs=(common.stock()[0], common.TERN),
                     may_refuse='load of migration failed') as journey:
            journey.run(lambda: b'END' in journey.serial(), TIMEOUT)
            serial, moves, refused = journey.serial(), journey.moves, len(journey.refused)
        self.assertIn(b'INT13 sum %s bytes %08x\r\n' % (total, size), serial)
        self.assertEqual(b'UHCI sum %s bytes %08x\r\n' % (total, size) in serial, own_driver, serial)
        self.assertGreaterEqual(moves, 4)
        print(f'# {name} with stock: {moves} moves, {refused} refused, {serial.count(b"!")} pieces read again')


def add_test(name):
    def test(self):
        self.check_moved(name)

    def with_stock(self):
        if not common.stock():
            self.skipTest('the stock emulator is not installed')
        if not common.stock()[1].startswith('7.2.'):
            self.skipTest('the stock emulator is not 7.2')
        self.check_with_stock(name)
    setattr(Boot, f'test_{name}', test)
    if common.LONG or name in SHORT_WITH_STOCK:
        setattr(Boot, f'test_{name}_with_stock', with_stock)


for drive_name in DRIVES:
    add_test(drive_name)

if __name__ == '__main__':
    tap.main()
