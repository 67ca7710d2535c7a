#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Incoming streams that are cut short, changed or not meant for this machine.

The destination ends with status 1 and a message that says where the stream is wrong, never by a
signal and never by hanging.  A changed byte may also be a good value: then the machine has to work.
The stream has a USB disk with a command between its CBW and its data, so that the request list of
the disk is in it.  TERN_TEST_LONG=1 cuts at every byte and flips a bit of every byte.
"""

import os
import random
import shlex
import signal
import socket
import struct
import sys
import tempfile
import unittest

import common
from common import tap
from qtest_client import Machine, TestError, accelerator, exit_text, memory_file
import uhci_bot

SEED = int(os.environ.get('TERN_TEST_SEED') or random.randrange(1 << 30))
MACHINE = 'pc-i440fx-10.0'
NODES = '-blockdev driver=null-co,node-name=n%d,size=1048576,read-zeroes=on'
DEVICES = shlex.split('%s %s -device piix3-usb-uhci,id=uhci,addr=01.2 '
                      '-device usb-storage,id=stick,drive=n0,bus=uhci.0,port=1 '
                      '-device usb-bot,id=bot,bus=uhci.0,port=2 -device scsi-cd,bus=bot.0,lun=0 '
                      '-device scsi-hd,bus=bot.0,lun=1,drive=n1' % (NODES % 0, NODES % 1))
BIOS = bytes(65536)

dump = common.tool('stream-dump')


def step():
    """How the driver lets time pass: in steps where the clock is ours."""
    return 1000000 if accelerator(common.TERN) == 'qtest' else None


class Small(Machine):
    """Tern with 1 MiB of RAM and a BIOS of zeros: a short stream."""

    def __init__(self, args, devices=DEVICES, machine=MACHINE, memory='1', pass_fds=()):
        bios = memory_file('bios', BIOS)
        try:
            super().__init__(common.TERN, ['-machine', machine, '-m', memory, '-bios',
                                           '/dev/fd/%d' % bios, *devices, *args],
                             accel=accelerator(common.TERN), pass_fds=[bios, *pass_fds])
        finally:
            os.close(bios)


class Incoming(Small):
    """A destination whose stream comes over a socket pair."""

    def __init__(self, data, **options):
        mine, theirs = socket.socketpair()
        self.ended = None
        with mine, theirs:
            mine.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
            super().__init__(['-incoming', 'fd:%d' % theirs.fileno()],
                             pass_fds=[theirs.fileno()], **options)
            theirs.close()
            try:
                mine.sendall(data)
            except (BrokenPipeError, ConnectionResetError):
                pass

    def connect(self, negotiate):
        """It may be at its end before QMP has said a word; that is not an error here."""
        try:
            super().connect(negotiate)
        except TestError:
            self.ended = True


def outcome(data, **options):
    """Run a destination on these bytes: (exit status, message), status None if it was loaded."""
    with Incoming(data, **options) as vm:
        if not vm.ended:
            try:
                info = vm.wait_migration(60)
                if info['status'] == 'completed':
                    exercise(vm)
                    return None, vm.stderr()
            except TestError:
                pass
        status = vm.wait(60)
        return status, vm.stderr()


def exercise(vm):
    """What was loaded works: time passes, devices answer, it can be saved, and it ends by quit."""
    vm.qmp.hmp('info usb')
    vm.qmp.hmp('info qtree')
    if step():
        vm.qtest.clock_step(20000000)
    vm.qtest.config_read(0x0a, 0)
    vm.qmp.command('migrate', {'uri': 'exec:cat > /dev/null'})
    vm.wait_migration(60)
    vm.qmp.command('quit')
    if vm.wait(60) != 0:
        raise TestError('quit: %s' % exit_text(vm.process.returncode))


class Parts:
    """A stream cut at its sections, to be put together in another way."""

    def __init__(self, data):
        self.data = data
        self.stream = dump.Stream(data)
        self.sections = self.stream.sections

    def index(self, name, kind='full'):
        for number, sec in enumerate(self.sections):
            if sec.kind == kind and (name is None or sec.name and dump.short_name(sec.name) == name):
                return number
        raise AssertionError('no section %s %s' % (kind, name))

    def bounds(self, number):
        """From the section's type byte to the next one's, the footer included."""
        start = self.sections[number].offset
        following = self.sections[number + 1:number + 2]
        return start, following[0].offset if following else len(self.data)

    def bytes_of(self, number):
        start, end = self.bounds(number)
        return self.data[start:end]

    def without(self, number):
        start, end = self.bounds(number)
        return self.data[:start] + self.data[end:]

    def inserted(self, number, piece):
        start, _ = self.bounds(number)
        return self.data[:start] + piece + self.data[start:]

    def changed(self, number, old, new):
        """Replace the first `old` in a section."""
        start, end = self.bounds(number)
        piece = self.data[start:end]
        assert old in piece, (old, piece[:40])
        return self.data[:start] + piece.replace(old, new, 1) + self.data[end:]

    def patched(self, offset, piece):
        return self.data[:offset] + piece + self.data[offset + len(piece):]

    def field(self, number, name):
        """(offset, size) of a field of a section."""
        for start, label, _, end in self.sections[number].rows:
            if label == name:
                return start, end - start
        raise AssertionError('%s has no field %s' % (self.sections[number].name, name))

    def at(self, offset):
        """The section that an offset lies in."""
        found = self.sections[0]
        for sec in self.sections:
            if sec.offset <= offset:
                found = sec
        return found

    @property
    def end_of_devices(self):
        """After the mark that ends the devices; only the description comes later."""
        return self.sections[self.index(None, 'eof')].offset + 1


def make_stream():
    """Move a machine into a file in the middle of a command."""
    with tempfile.TemporaryDirectory() as folder, Small([]) as vm:
        controller = uhci_bot.Uhci(vm.qtest, memory=0x20000, step=step())
        controller.start()
        stick = uhci_bot.MassStorage.attach(controller, 1, 1)
        stick.command([0, 0, 0, 0, 0, 0])
        stick.sense()
        uhci_bot.MassStorage.attach(controller, 2, 2)
        cdb = [0x12, 0, 0, 0, 36, 0]
        controller.pipe(1, stick.endpoint_out, False, stick.cbw(cdb, 36, True))
        path = os.path.join(folder, 'stream')
        vm.qmp.command('migrate', {'uri': 'exec:cat > "%s"' % path})
        if vm.wait_migration()['status'] != 'completed':
            raise TestError('no stream: %s' % vm.stderr())
        with open(path, 'rb') as file:
            return file.read()


class BadStream(unittest.TestCase):
    parts = None

    @classmethod
    def setUpClass(cls):
        cls.parts = Parts(make_stream())
        cls.data = cls.parts.data

    def told(self, status, text, where):
        return '%s: %s: %s (seed %d)' % (where, exit_text(status), text, SEED)

    def refused(self, data, *words, **options):
        """It ends with status 1 and one message that has all of the words."""
        status, text = outcome(data, **options)
        told = self.told(status, text, 'stream of %d bytes' % len(data))
        self.assertEqual(status, 1, told)
        self.assertRegex(text, r'load of migration failed|: ', told)
        self.assertLess(len(text), 2000, told)
        for word in words:
            self.assertIn(word, text, told)
        return text

    def survives(self, data, where, **options):
        """Refused with a message, or loaded; returns whether it was refused."""
        status, text = outcome(data, **options)
        told = self.told(status, text, where)
        self.assertIn(status, (None, 1), told)
        if status == 1:
            self.assertNotEqual(text.strip(), '', told)
            self.assertLess(len(text), 4000, told)
        return status == 1

    # -- whole

    def test_0_good(self):
        """As it is, it is loaded; and the request that was in flight is in it."""
        status, text = outcome(self.data)
        self.assertIsNone(status, text)
        number = self.parts.index('scsi-disk')
        self.assertGreater(self.parts.field(number, 'qdev.requests')[1], 1)

    def test_bytes_after_the_end(self):
        self.assertFalse(self.survives(self.data + b'more' * 100, 'with more at its end'))

    # -- cut short

    def cut(self, size):
        sec = self.parts.at(size - 1 if size else 0)
        where = 'cut at %d, in %s' % (size, sec.name or sec.kind)
        status, text = outcome(self.data[:size])
        told = self.told(status, text, where)
        if size >= self.parts.end_of_devices:
            self.assertIn(status, (None, 1), told)
            return
        self.assertEqual(status, 1, told)
        self.assertIn('load of migration failed', text, told)
        if sec.kind == 'full' and size > sec.body and size < sec.end:
            self.assertIn(sec.name, text, told)

    def test_cut_anywhere(self):
        """The first bytes one by one, the borders of sections, and samples of the rest."""
        sizes = set(range(0, 64)) | {self.parts.end_of_devices - 1, self.parts.end_of_devices,
                                     len(self.data) - 1}
        for sec in self.parts.sections:
            sizes |= {sec.offset, sec.offset + 1, sec.body, sec.end, sec.end + 1}
        rng = random.Random(SEED)
        sizes |= {rng.randrange(len(self.data)) for _ in range(150)}
        if common.LONG:
            sizes = set(range(len(self.data)))
        for size in sorted(size for size in sizes if size < len(self.data)):
            self.cut(size)

    def test_empty(self):
        """A source that goes away before its first byte: an error, as of any other."""
        text = self.refused(b'')
        self.assertIn('load of migration failed', text)

    # -- changed

    def test_flipped_bits(self):
        """One bit of the stream is wrong: refused, or a value that the machine can live with."""
        rng = random.Random(SEED)
        first = self.parts.sections[self.parts.index('timer')].offset
        offsets = [rng.randrange(0, first) for _ in range(60)]
        offsets += [rng.randrange(first, self.parts.end_of_devices) for _ in range(220)]
        offsets += [rng.randrange(self.parts.end_of_devices, len(self.data)) for _ in range(20)]
        if common.LONG:
            offsets = range(len(self.data))
        refused = 0
        for offset in offsets:
            bit = 1 << rng.randrange(8)
            piece = bytes([self.data[offset] ^ bit])
            refused += self.survives(self.parts.patched(offset, piece), 'bit 0x%02x of byte %d, in %s'
                                     % (bit, offset, self.parts.at(offset).name))
        # Most bits are the guest's data, of which any value will do: registers, CMOS, EEPROMs, memory.
        self.assertGreater(refused, len(offsets) // 25)

    def test_every_field_at_its_ends(self):
        """Each field of each device, all ones and the highest bit: indexes, lengths, enums."""
        tried = 0
        rng = random.Random(SEED)
        for number, sec in enumerate(self.parts.sections):
            if sec.kind != 'full':
                continue
            for start, name, _, end in sec.rows:
                size = min(end - start, 16)
                if size == 0:
                    continue
                values = [b'\xff' * size, b'\x80' + bytes(size - 1)]
                if not common.LONG:
                    values = [values[rng.randrange(2)]] if '[' in name else values[:1]
                    if '[' in name and rng.randrange(3):
                        continue
                for value in values:
                    self.survives(self.parts.patched(start, value), '%s.%s = %s'
                                  % (sec.name, name, value.hex()))
                    tried += 1
        self.assertGreater(tried, 100)

    def test_garbage(self):
        rng = random.Random(SEED)
        self.refused(rng.randbytes(65536), 'Not a migration stream')
        self.refused(b'GET / HTTP/1.0\r\n\r\n', 'Not a migration stream')
        self.refused(bytes(65536), 'Not a migration stream')
        for _ in range(20):
            self.refused(self.data[:8] + rng.randbytes(4096))
        start = self.parts.sections[1].offset
        for _ in range(20):
            self.refused(self.data[:start] + rng.randbytes(4096))

    # -- the beginning

    def test_magic_and_version(self):
        self.refused(b'QEVN' + self.data[4:], 'Not a migration stream')
        self.refused(self.data[:4] + struct.pack('>I', 2) + self.data[8:], 'v2', 'obsolete')
        self.refused(self.data[:4] + struct.pack('>I', 4) + self.data[8:],
                     'Unsupported migration stream version')

    def test_wrong_machine(self):
        """Of another version, of another kind, of a name of absurd length."""
        self.refused(self.data, MACHINE, 'pc-i440fx-9.0', machine='pc-i440fx-9.0')
        self.refused(self.parts.changed(0, b'pc-i440fx', b'pc-xxxxxx'), 'pc-xxxxxx-10.0', MACHINE)
        for length in (0, 5, 1000, 0x7fffffff, 0xffffffff):
            self.refused(self.parts.patched(self.parts.sections[0].body, struct.pack('>I', length)))
        self.refused(self.parts.without(0), 'Configuration section missing')

    # -- sections

    def test_unknown_section(self):
        number = self.parts.index('uhci')
        self.refused(self.parts.changed(number, b'uhci', b'uhcx'), '0000:00:01.2/uhcx')
        name = self.parts.sections[number].name.encode()
        long_name = b'x' * 255
        self.refused(self.parts.changed(number, bytes([len(name)]) + name, b'\xff' + long_name),
                     'x' * 100)

    def test_section_of_another_instance(self):
        number = self.parts.index('uhci')
        name = self.parts.sections[number].name.encode()
        self.refused(self.parts.changed(number, name + struct.pack('>I', 0),
                                        name + struct.pack('>I', 5)), '0000:00:01.2/uhci')

    def test_wrong_section_version(self):
        for short, version in (('uhci', 4), ('uhci', 0x7fffffff), ('usb-storage', 2),
                               ('scsi-disk', 0xffffffff), ('PCIBUS', 9), ('uhci', 0)):
            number = self.parts.index(short)
            name = self.parts.sections[number].name.encode()
            old = struct.pack('>II', 0, self.parts.sections[number].version)
            data = self.parts.changed(number, name + old, name + struct.pack('>II', 0, version))
            self.refused(data, short)

    def test_unknown_section_type(self):
        number = self.parts.index('uhci')
        for kind in (0x09, 0x55, 0x7d, 0xff):
            self.refused(self.parts.inserted(number, bytes([kind])), str(kind))
        self.refused(self.parts.inserted(number, b'\x7e' + bytes(4)))
        self.refused(self.parts.inserted(number, b'\x05'))

    def test_footer(self):
        number = self.parts.index('uhci')
        ident = struct.pack('>I', self.parts.sections[number].section_id)
        self.refused(self.parts.changed(number, b'\x7e' + ident, b'\x7e' + struct.pack('>I', 999)),
                     'uhci')
        self.refused(self.parts.changed(number, b'\x7e' + ident, b''), 'uhci')
        self.refused(self.parts.changed(number, b'\x7e' + ident, b'\x00\x7e' + ident), 'uhci')

    def test_part_without_start(self):
        number = self.parts.index('uhci')
        for kind in (2, 3):
            self.refused(self.parts.inserted(number, bytes([kind]) + struct.pack('>I', 4711)), '4711')

    def test_section_twice(self):
        number = self.parts.index('uhci')
        self.survives(self.parts.inserted(number, self.parts.bytes_of(number)), 'uhci twice')
        number = self.parts.index('ram', 'start')
        self.refused(self.parts.inserted(number, self.parts.bytes_of(number)), 'ram')

    def test_sections_in_another_order(self):
        number = self.parts.index('uhci')
        piece = self.parts.bytes_of(number)
        rest = Parts.without(self.parts, number)
        start, _ = self.parts.bounds(self.parts.index('PCIBUS'))
        self.survives(rest[:start] + piece + rest[start:], 'uhci before the PCI bus')

    def test_unknown_subsection(self):
        number = self.parts.index('uhci')
        start, end = self.parts.bounds(number)
        piece = b'\x05' + bytes([11]) + b'uhci/nosuch' + struct.pack('>I', 1) + b'abcd'
        self.refused(self.data[:end - 5] + piece + self.data[end - 5:], 'uhci')

    def test_missing_section(self):
        """Nothing is loaded by halves in silence: taken or refused, the machine works."""
        for short in ('uhci', 'usb-storage', 'scsi-disk', 'PCIBUS', 'globalstate', 'timer'):
            self.survives(self.parts.without(self.parts.index(short)), 'without ' + short)

    def test_commands(self):
        number = self.parts.index('ram', 'end')
        for command, payload in ((0, b''), (3, bytes(16)), (4, b''), (5, b''), (7, b''),
                                 (8, bytes(4)), (8, struct.pack('>I', 0xffffffff)), (9, b''),
                                 (10, b'\x06pc.ram'), (6, b'\0'), (99, b''), (0xffff, bytes(99))):
            piece = b'\x08' + struct.pack('>HH', command, len(payload)) + payload
            self.refused(self.parts.inserted(number, piece))
        for command, payload in ((2, bytes(4)), (2, b''), (3, b''), (1, b'x'), (11, b'')):
            piece = b'\x08' + struct.pack('>HH', command, len(payload)) + payload
            self.survives(self.parts.inserted(number, piece), 'command %d' % command)
        self.refused(self.parts.inserted(number, b'\x08' + struct.pack('>HH', 2, 0xffff)))

    # -- the machine is another

    def test_other_memory_size(self):
        self.refused(self.data, 'pc.ram', '0x100000', '0x200000', memory='2')

    def test_device_missing_here(self):
        only_controller = [word for word in DEVICES[:6]]
        self.refused(self.data, '0000:00:01.2/1', devices=only_controller)
        self.refused(self.data, '0000:00:01.2/uhci', devices=[])

    def test_device_more_here(self):
        """As in stock a device that the source has not keeps its reset state."""
        self.assertFalse(self.survives(self.data, 'one device more', devices=DEVICES + [
            '-device', 'piix4-usb-uhci,id=more,addr=05.0']))

    def test_device_elsewhere(self):
        devices = [word.replace('port=1', 'port=3').replace('port=2', 'port=1').replace('port=3', 'port=2')
                   for word in DEVICES]
        self.refused(self.data, '0000:00:01.2/', devices=devices)

    # -- RAM

    def ram_offset(self, kind='part'):
        return self.parts.sections[self.parts.index('ram', kind)].body

    def test_ram_table(self):
        number = self.parts.index('ram', 'start')
        self.refused(self.parts.changed(number, b'\x06pc.ram', b'\x06pc.rax'), 'pc.rax')
        self.refused(self.parts.changed(number, b'\x06pc.ram', b'\xffpc.ram'))
        self.refused(self.parts.changed(number, b'\x06pc.ram', b'\x00'))
        size = struct.pack('>Q', 1 << 20)
        for wrong in (0, 1, 4096, (1 << 20) + 1, 1 << 21, 1 << 63, (1 << 64) - 1):
            self.refused(self.parts.changed(number, b'pc.ram' + size,
                                            b'pc.ram' + struct.pack('>Q', wrong)), 'pc.ram')
        total = self.ram_offset('start')
        for wrong in (0, 0x1000, 1 << 40, (1 << 64) - 4096):
            self.survives(self.parts.patched(total, struct.pack('>Q', wrong | 4)),
                          'RAM of 0x%x bytes in all' % wrong)

    def test_ram_pages(self):
        start = self.ram_offset()
        head = self.data[:start]
        rest = self.data[start:]
        name = b'\x06pc.ram'
        for word, tail in (
                (0x20 | 2, b'\0'),                              # goes on with no block
                ((1 << 20) | 8, name + bytes(4096)),            # behind the end
                ((1 << 20) | 2, name + b'\0'),
                ((1 << 63) | 2, name + b'\0'),
                ((1 << 64) - 4096 | 8, name + bytes(4096)),
                (8, b'\x06pc.rax' + bytes(4096)),               # another block
                (2, b'\x00\0'),
                (0x40, name + b'\x01\x00\x10' + bytes(16)),     # kinds that nobody asked for
                (0x100, name + struct.pack('>I', 0xffffffff)),
                (0x80, b''),
                (0x01, name + b'\0'), (0x800, name + b'\0'), (0, name),
                (0x1000 | 4, name + struct.pack('>Q', 0x1000))):  # a second table, another size
            self.refused(head + struct.pack('>Q', word) + tail + rest, 'ram')
        self.survives(head + struct.pack('>Q', 2) + name + b'\x55' + rest, 'a page of one byte')

    # -- the description

    def test_description(self):
        number = self.parts.index(None, 'vmdesc')
        start, end = self.parts.bounds(number)
        text = self.data[start + 5:end]
        for length, body in ((0xffffffff, text), (0, b''), (len(text), b'\xff' * len(text)),
                             (4, b'{}'), (0x7fffffff, b'')):
            self.survives(self.data[:start] + b'\x06' + struct.pack('>I', length) + body,
                          'description of %d bytes' % length)
        self.survives(self.data[:start], 'without description')

    # -- fields that other fields depend on

    def set_fields(self, short, **values):
        data = self.data
        number = self.parts.index(short)
        for name, value in values.items():
            start, size = self.parts.field(number, name.replace('__', '.'))
            data = data[:start] + value.to_bytes(size, 'big') + data[start + size:]
        return data

    def test_request_list(self):
        """Lengths in the list of requests are checked against what is there."""
        number = self.parts.index('scsi-disk')
        start, size = self.parts.field(number, 'qdev.requests')
        entry = self.data[start:start + size]
        cut = 1 + 16 + 4 + 4
        head, payload = entry[:cut], entry[cut:-1]
        self.assertEqual((entry[0], entry[-1]), (2, 0))
        bad = [b'\x03' + entry[1:],                                       # neither 1 nor 2
               head[:-4] + struct.pack('>I', 7) + payload + b'\0',        # a LUN that is not there
               entry[:-1] * 300 + b'\0',                                  # many of one tag
               head + payload[:12] + struct.pack('>I', 0xffffffff) + payload[16:] + b'\0']
        if len(payload) >= 20:
            for length in (0xffffffff, 0x80000000, 0x10000, 0x1001):
                bad.append(head + payload[:16] + struct.pack('>I', length) + payload[20:] + b'\0')
        for piece in bad:
            self.survives(self.data[:start] + piece + self.data[start + size:],
                          'request list %s' % piece[:64].hex())

    def test_signals_are_none(self):
        """A destination that is told to end while it waits for a stream does so, with status 0."""
        mine, theirs = socket.socketpair()
        with mine, theirs:
            with Small(['-incoming', 'fd:%d' % theirs.fileno()], pass_fds=[theirs.fileno()]) as vm:
                mine.sendall(self.data[:len(self.data) // 2])
                vm.qmp.poll_events(0.05)
                vm.process.send_signal(signal.SIGTERM)
                self.assertEqual(vm.wait(60), 0, vm.stderr())


if __name__ == '__main__':
    print('# TERN_TEST_SEED=%d' % SEED)
    sys.stdout.flush()
    tap.main()
