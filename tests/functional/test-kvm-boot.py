#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""SeaBIOS boots the test medium under KVM, from every kind of drive, while the machine is moved.

The medium's program (tests/guest/) reads its whole disc by INT 13h and says the sum of it on the serial line; from USB it
reads it once more through a UHCI driver of its own. Both sums have to be those of the file, and the firmware's log must
not have a line about an error that a boot without moves does not have.

The firmware and the program have time-outs in guest time, which goes on while a busy host, or a KVM that emulates guest code, does not
let the guest run; and stock loses a request now and then. A boot in which that happened says nothing: it is repeated, with more time
between moves, and said in the output. If it happens in each boot that PAUSES has it is an error, unless stock, unmoved, has it as well.
"""

import os
import re
import shutil
import tempfile
import time
import unittest

import common
from common import tap
from moving import Journey, SaysNothing, patiently

PROGRAM = os.path.join(os.environ.get('TERN_BUILD_DIR', os.path.join(common.SOURCE, 'build')),
                       'tests/guest/test-medium.bin')
SIZE = 512 * 1024
TIMEOUT = 240
MOVES = 100 if common.LONG else 12
BOOTS = 10 if common.LONG else 3  # at most, for that many moves
ENOUGH = time.monotonic() + (3000 if common.LONG else 360)  # no boot is repeated after that
PAUSES = (0, 0.1, 0.3, 0.6, 1, 1)  # seconds between moves, in one boot after the other that says nothing
FIRMWARE = '/usr/share/seabios/bios-256k.bin'
SHORT_WITH_STOCK = ('usb_cd', 'ide_disk')  # the others with TERN_TEST_LONG
TROUBLE = re.compile(rb'(?i)error|fail|timeout|unable|warning')
GAVE_UP = b'No bootable device'
READ_FAILED = re.compile(rb'UHCI timeout|failed at block \w{8}')
TIMEOUT_PASSED = re.compile(rb'(?i)time[- ]?out')

make_medium = common.load(os.path.join(common.SOURCE, 'tests/guest/make-medium'))

UHCI = ['-device', 'piix3-usb-uhci,id=uhci,addr=1.2']
Q35 = ['-M', 'pc-q35-7.2']


def drive(path, extra=''):
    return ['-drive', f'if=none,id=d,format=raw,file={path},readonly=on{extra}']


# kind of medium, devices, whether the program's own driver finds it
DRIVES = {
    'usb_cd': ('cd', lambda path: UHCI + drive(path, ',media=cdrom') + ['-device', 'usb-storage,drive=d,port=2'], True),
    'ide_cd': ('cd', lambda path: drive(path, ',media=cdrom') + ['-device', 'ide-cd,drive=d,bus=ide.1,unit=0'], False),
    'ide_disk': ('disk', lambda path: ['-drive', f'if=none,id=d,format=raw,file={path}', '-device',
                                       'ide-hd,drive=d,bus=ide.0,unit=0'], False),
    'sata_cd': ('cd', lambda path: Q35 + drive(path, ',media=cdrom') + ['-device', 'ide-cd,drive=d,bus=ide.1'], False),
    'sata_disk': ('disk', lambda path: Q35 + ['-drive', f'if=none,id=d,format=raw,file={path}', '-device',
                                              'ide-hd,drive=d,bus=ide.0'], False),
    'firmware_in_flash': ('disk', lambda path: Q35 + [
        '-drive', f'if=pflash,unit=0,format=raw,readonly=on,file={FIRMWARE}', '-drive', f'if=none,id=d,format=raw,file={path}',
        '-device', 'ide-hd,drive=d,bus=ide.0'], False),
    'floppy': ('floppy', lambda path: ['-drive', f'if=floppy,format=raw,file={path}'], False),
    'virtio_blk': ('disk', lambda path: drive(path) + ['-device', 'virtio-blk-pci,drive=d'], False),
    'virtio_blk_iothread': ('disk', lambda path: ['-object', 'iothread,id=io'] + drive(path) + [
        '-device', 'virtio-blk-pci-non-transitional,drive=d,iothread=io,num-queues=2'], False),
    'virtio_scsi_disk': ('disk', lambda path: ['-device', 'virtio-scsi-pci,id=s'] + drive(path) + [
        '-device', 'scsi-hd,bus=s.0,drive=d,bootindex=1'], False),
    'virtio_scsi_cd': ('cd', lambda path: ['-device', 'virtio-scsi-pci,id=s'] + drive(path, ',media=cdrom') + [
        '-device', 'scsi-cd,bus=s.0,drive=d'], False),
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


def at_end(journey):
    log, serial = journey.debug(), journey.serial()
    if GAVE_UP in log:
        raise SaysNothing(f'the firmware gave up after {journey.moves} moves: {sorted(trouble(log))}')
    if READ_FAILED.search(serial) and (journey.count > 1 or TIMEOUT_PASSED.search(log + serial)):
        raise SaysNothing(f'a read failed after {journey.moves} moves: {serial[-200:]}, {sorted(trouble(log))}')
    return b'END' in serial


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

    def boot(self, args, moving, programs=(common.TERN,), options=None, pause=0.0):
        with Journey(['-m', '32', '-boot', 'strict=on'] + args, self.folder, programs=programs,
                     options=options) as journey:
            journey.run(lambda: at_end(journey), TIMEOUT, moving=moving, pause=pause if moving else 0.05)
            return journey.serial(), journey.debug(), journey.moves

    def boot_unmoved(self, args):
        """The firmware's log. Skips where the guest is too slow under stock as well."""
        try:
            return patiently('unmoved', lambda _: self.boot(args, False)[1], PAUSES, ENOUGH)
        except SaysNothing:
            if common.stock():
                try:
                    for _ in PAUSES:  # on a busy host it is chance
                        self.boot(args, False, programs=(common.stock()[0],))
                except SaysNothing as error:
                    self.skipTest(f'under this KVM the firmware gives up with stock as well, unmoved: {error}')
            raise

    def boot_moved(self, args, pause, still):
        """Serial line and number of moves; the firmware has no more trouble than it had without."""
        serial, log, moves = self.boot(args, True, pause=pause)
        new = trouble(log) - still
        if any(TIMEOUT_PASSED.search(line) for line in new):
            raise SaysNothing(f'{sorted(new)} in {moves} moves')
        self.assertEqual(new, set())
        return serial, moves

    def check_moved(self, name):
        kind, devices, own_driver = DRIVES[name]
        path, total, size = self.medium(kind)
        args = devices(path)
        still, moves, boots = trouble(self.boot_unmoved(args)), 0, 0
        while moves < MOVES and boots < BOOTS:
            serial, more = patiently(name, lambda pause: self.boot_moved(args, pause, still), PAUSES, ENOUGH)
            moves, boots = moves + more, boots + 1
            self.assertIn(b'INT13 sum %s bytes %08x\r\n' % (total, size), serial)
            self.assertEqual(b'UHCI sum %s bytes %08x\r\n' % (total, size) in serial, own_driver, serial)
            self.assertNotIn(b'!', serial)  # a piece that had to be read again
        self.assertGreaterEqual(moves, MOVES)
        print(f'# {name}: {moves} moves in {boots} boots')

    def take_turns(self, args, pause):
        with Journey(args, self.folder, programs=(common.stock()[0], common.TERN),
                     may_refuse='load of migration failed') as journey:
            journey.run(lambda: at_end(journey), TIMEOUT, pause=pause, at_least=4)
            return journey.serial(), journey.moves, len(journey.refused), [
                f'{journey.arrivals[program]} ({journey.refusals[program]} refused)' for program in (common.TERN, common.stock()[0])]

    def check_with_stock(self, name):
        """Stock 7.2 and Tern take turns. Stock may lose a request in flight (the firmware reads the piece again), and refuses states for
        which it has no form (the middle of a USB control transfer, of an ATAPI command, of a DMA transfer): the machine stays where it
        is, and tries again."""
        kind, devices, own_driver = DRIVES[name]
        path, total, size = self.medium(kind)
        args = devices(path)
        args = (['-m', '32'] if '-M' in args else ['-M', 'pc-i440fx-7.2', '-m', '32']) + args
        try:
            serial, moves, refused, turns = patiently(
                f'{name} with stock', lambda pause: self.take_turns(args, pause), PAUSES, ENOUGH)
        except SaysNothing:
            self.boot_unmoved(args)  # skips where that is no wonder
            raise
        self.assertIn(b'INT13 sum %s bytes %08x\r\n' % (total, size), serial)
        self.assertEqual(b'UHCI sum %s bytes %08x\r\n' % (total, size) in serial, own_driver, serial)
        self.assertGreaterEqual(moves, 4)
        print(f'# {name} with stock: {moves} moves, {refused} refused, {serial.count(b"!")} pieces read again')
        print('# | ' + ' | '.join([name, *turns, str(serial.count(b'!'))]) + ' |')  # a line of docs/system/migration.md


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
