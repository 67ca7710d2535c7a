#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the PC tells its firmware, beside what stock 7.2 tells: fw_cfg files, ACPI tables, SMBIOS, boot order, kernels.

ACPI tables go through `iasl -d` without a warning, and all of them equal the disassembly in tests/golden/acpi.
`test-firmware.py --save DIR [ARGUMENT...]` writes tables and their disassembly; `--golden` writes the golden files anew.
"""

import functools
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

import common
import fw_cfg
from common import tap
from qtest_client import Machine, TestError

TERN = common.TERN
STOCK = (common.stock() or ((), ''))[0] if (common.stock() or ((), ''))[1].startswith('7.2') else None
GOLDEN = os.path.join(common.SOURCE, 'tests/golden/acpi')
MACHINE = ['-machine', 'pc-i440fx-7.2']

# name → arguments; each is compared with stock
CONFIGURATIONS = {
    'plain': [],
    'many': ['-smp', '3,maxcpus=6,sockets=1,cores=3,threads=2', '-m', '5G',
             '-uuid', '11223344-5566-7788-99aa-bbccddeeff00',
             '-boot', 'order=dc,menu=on,splash-time=300,reboot-timeout=500'],
    'no-acpi': ['-no-acpi'],
    'no-sleep': ['-global', 'PIIX4_PM.disable_s3=1', '-global', 'PIIX4_PM.s4_val=3'],
    'no-hpet': ['-no-hpet'],
    'smbios': ['-smbios', 'type=0,vendor=V,version=VV,date=01/02/2003,release=1.2,uefi=on',
               '-smbios', 'type=1,manufacturer=M,product=P,version=V,serial=S,sku=K,family=F,'
                          'uuid=00112233-4455-6677-8899-aabbccddeeff',
               '-smbios', 'type=2,manufacturer=M2,product=P2,version=V2,serial=S2,asset=A2,location=L2',
               '-smbios', 'type=3,manufacturer=M3,version=V3,serial=S3,asset=A3,sku=K3',
               '-smbios', 'type=4,sock_pfx=SK,manufacturer=M4,version=V4,serial=S4,asset=A4,part=P4,'
                          'max-speed=3000,current-speed=2500,processor-id=123',
               '-smbios', 'type=11,value=one,value=two,,three',
               '-smbios', 'type=17,loc_pfx=DD,bank=BB,manufacturer=M7,serial=S7,asset=A7,part=P7,speed=3200'],
    'smbios-64': ['-machine', 'smbios-entry-point-type=64', '-smp', '2,sockets=1,cores=2'],
    'numa': ['-m', '128', '-smp', '4,maxcpus=6,sockets=3,cores=2,threads=1',
             '-object', 'memory-backend-ram,id=m0,size=64M', '-object', 'memory-backend-ram,id=m1,size=64M',
             '-numa', 'node,nodeid=0,cpus=0-1,memdev=m0', '-numa', 'node,nodeid=1,cpus=2-3,memdev=m1',
             '-numa', 'dist,src=0,dst=1,val=21'],
    'numa-cpu': ['-m', '4G', '-smp', '4,sockets=2,cores=1,threads=2',
                 '-object', 'memory-backend-ram,id=m0,size=3584M', '-object', 'memory-backend-ram,id=m1,size=512M',
                 '-numa', 'node,memdev=m0', '-numa', 'node,memdev=m1', '-numa', 'node',
                 '-numa', 'cpu,node-id=1,socket-id=1,thread-id=0'],
    'boot-order': [
        '-boot', 'strict=on', '-device', 'piix3-usb-uhci,id=u,addr=1.2',
        '-blockdev', 'null-co,node-name=a,size=1048576', '-blockdev', 'null-co,node-name=b,size=1048576',
        '-blockdev', 'null-co,node-name=c,size=1048576',
        '-device', 'usb-storage,drive=a,bootindex=3', '-device', 'usb-bot,id=bot',
        '-device', 'scsi-cd,bus=bot.0,drive=b,bootindex=1', '-device', 'scsi-hd,bus=bot.0,lun=1,drive=c,bootindex=7'],
}

# folder of tests/golden/acpi → arguments
GOLDENS = {'plain': ['-smp', '1,maxcpus=2,sockets=2'], 'numa': CONFIGURATIONS['numa']}

# Files that differ, by name, and why.
OTHER_FILES = {
    'etc/acpi/tables': 'DSDT and SSDTs are our own; the others are compared one by one',
    'etc/acpi/rsdp': 'has the place of the RSDT',
    'etc/table-loader': 'has the places of the tables',
}
# Files that only one has.
ABSENT = {'genroms/kvmvapic.bin': 'patches guests for the sake of old hosts without TPR shadow'}
SAME_TABLES = ('FACS', 'FACP', 'APIC', 'HPET', 'WAET', 'SRAT', 'SLIT')


@functools.lru_cache(None)
def hpet_option():
    """Both without an HPET as long as Tern has none."""
    with Machine(TERN, ['-machine', 'none']) as machine:
        types = [t['name'] for t in machine.qmp.command('qom-list-types')]
    return [] if 'hpet' in types else ['-no-hpet']


class Told:
    """Everything that a machine told."""

    def __init__(self, command, arguments):
        with Machine(command, MACHINE + arguments + hpet_option()) as machine:
            qtest = machine.qtest
            self.items = {key: fw_cfg.item(qtest, key, 64) for key in
                          (0, 1, 2, 3, 4, 5, 0xd, 0xe, 0xf, 0x8002, 0x8004)}
            self.files = fw_cfg.files(qtest)
            cmos = []
            for index in (0x15, 0x16, 0x17, 0x18, 0x30, 0x31, 0x34, 0x35, 0x38, 0x3d, 0x5b, 0x5c, 0x5d, 0x5f):
                qtest.port_out(0x70, 1, index)
                cmos.append(qtest.port_in(0x71, 1))
            self.cmos = bytes(cmos)


def disassemble(tables, folder):
    """{file: text} of iasl -d; raises what it has to complain."""
    names, texts = [], {}
    for signature, data in tables:
        name = signature + str(sum(n.startswith(signature) for n in names) or '')
        names.append(name)
        with open(os.path.join(folder, name + '.dat'), 'wb') as file:
            file.write(data)
    for name in names:
        others = [n + '.dat' for n in names if n[:4] in ('DSDT', 'SSDT') and n != name]
        command = ['iasl', '-e', *others, '-d', name + '.dat'] if name[:4] in ('DSDT', 'SSDT') else ['iasl', '-d', name + '.dat']
        done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        said = done.stdout
        if done.returncode or re.search(r'(?i)\b(warning|error|unresolved|invalid)\b', said):
            raise AssertionError('%s: %s' % (name, said))
        with open(os.path.join(folder, name + '.dsl'), encoding='utf-8') as file:
            texts[name] = re.sub(r'(?s)^/\*.*?\*/\n', '', file.read(), count=1)
    return texts


def settled_tables(machine):
    """The tables as a guest sees them: the firmware has given the registers their ports."""
    machine.qtest.config_write(0x0b, 0x40, 4, 0x601)
    return fw_cfg.acpi_tables(fw_cfg.files(machine.qtest))


# What a disassembly says of the place of a table in memory; checksums follow from it.
PLACE = re.compile(r'(?m)^.*(Checksum|FACS Address|DSDT Address|ACPI Table Address) : .*\n')


def golden_texts(texts, folder):
    """Those of AML as they are; those of data tables without places and without the bytes behind the text. The DSDT is the same in all."""
    return {name: text if name[:4] in ('DSDT', 'SSDT') else PLACE.sub('', text).split('\nRaw Table Data', 1)[0] + '\n'
            for name, text in texts.items() if name != 'DSDT' or folder == 'plain'}


class BesideStock(unittest.TestCase):
    maxDiff = None

    def compare(self, name):
        arguments = CONFIGURATIONS[name]
        mine, theirs = Told(TERN, arguments), Told(STOCK, arguments)
        self.assertEqual(mine.items, theirs.items)
        self.assertEqual(mine.cmos.hex(), theirs.cmos.hex(), 'CMOS')
        expected = [n for n in theirs.files if n not in ABSENT or n in mine.files]
        self.assertEqual(list(mine.files), expected)
        for file in expected:
            if file not in OTHER_FILES:
                self.assertEqual(mine.files[file].hex(), theirs.files[file].hex(), file)
        if 'etc/acpi/tables' not in expected:
            return
        self.assertEqual([len(mine.files[f]) for f in OTHER_FILES], [len(theirs.files[f]) for f in OTHER_FILES])
        mine_tables, their_tables = (fw_cfg.acpi_tables(told.files) for told in (mine, theirs))
        for signature in SAME_TABLES:
            pair = [[fw_cfg.without_addresses(s, t).hex() for s, t in tables if s == signature]
                    for tables in (mine_tables, their_tables)]
            self.assertEqual(pair[0], pair[1], signature)


def add_comparison(name):
    @unittest.skipUnless(STOCK, 'no stock qemu-system-x86_64 7.2')
    def test(self):
        self.compare(name)
    setattr(BesideStock, 'test_' + name.replace('-', '_'), test)


for configuration in CONFIGURATIONS:
    add_comparison(configuration)


class Tables(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def tables(self, arguments):
        with Machine(TERN, MACHINE + arguments) as machine:
            return settled_tables(machine)

    @unittest.skipUnless(shutil.which('iasl'), 'no iasl (package acpica-tools)')
    def test_disassembled_without_warnings_and_as_golden(self):
        for folder, arguments in GOLDENS.items():
            work = os.path.join(self.folder, folder)
            os.mkdir(work)
            texts = golden_texts(disassemble(self.tables(arguments), work), folder)
            folder = os.path.join(GOLDEN, folder)
            self.assertEqual(sorted(name + '.dsl' for name in texts), sorted(os.listdir(folder)))
            for name, text in texts.items():
                with open(os.path.join(folder, name + '.dsl'), encoding='utf-8') as file:
                    self.assertEqual(text, file.read(), name)

    @unittest.skipUnless(shutil.which('iasl'), 'no iasl (package acpica-tools)')
    def test_disassembly_compiles_again(self):
        disassemble(self.tables([]), self.folder)
        for name in ('DSDT', 'SSDT', 'SSDT1'):
            done = subprocess.run(['iasl', '-p', 'again-' + name, name + '.dsl'], cwd=self.folder, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            self.assertIn(' 0 Errors', done.stdout, name)

    def test_linux_makes_no_object_of_an_external(self):
        """Its interpreter does of one that it meets while it loads a table; hence compilers put them into If (0)."""
        for signature, table in self.tables([]):
            if signature == 'SSDT':
                self.assertNotEqual(table[36], 0x15)

    def test_made_again_after_the_registers_have_their_ports(self):
        with Machine(TERN, MACHINE) as machine:
            before = fw_cfg.acpi_tables(fw_cfg.files(machine.qtest))
            machine.qtest.config_write(0x0b, 0x40, 4, 0x601)
            same = fw_cfg.acpi_tables(fw_cfg.files(machine.qtest))
            machine.qmp.command('system_reset')
            machine.qmp.wait_event('RESET')
            machine.qtest.config_write(0x0b, 0x40, 4, 0x601)
            after = fw_cfg.acpi_tables(fw_cfg.files(machine.qtest))
        ports = [struct.unpack('<I', dict(tables)['FACP'][56:60])[0] for tables in (before, same, after)]
        self.assertEqual(ports, [0, 0, 0x600])

    def test_slots_whose_device_cannot_go_have_no_eject_method(self):
        tables = self.tables([])
        slots = dict(tables)['DSDT']
        self.assertEqual(slots.count(b'_EJ0') + slots.count(b'XEJ0'), 30)
        self.assertNotEqual(slots[36], 0x15, 'SeaBIOS does not know External')
        self.assertEqual(slots.count(b'XEJ0'), 0)

    def test_generation_id_is_found_and_told(self):
        with Machine(TERN, MACHINE + ['-device', 'vmgenid,guid=324e6eaf-d1d1-4bf6-bf41-b9bb6c91fb87']) as machine:
            contents = fw_cfg.files(machine.qtest)
        memory, place = fw_cfg.load_acpi(contents)
        tables = fw_cfg.acpi_tables(contents)
        table = next(t for s, t in tables if s == 'SSDT' and b'QEMUVGID' in t)
        at = table.index(b'VGIA') + 5
        self.assertEqual(struct.unpack('<I', table[at:at + 4])[0], place['etc/vmgenid_guid'])
        self.assertIn(b'_HID\x0dQEMUVGID', table)
        self.assertEqual(memory['etc/vmgenid_guid'][40:44].hex(), 'af6e4e32')

    def test_table_of_the_user(self):
        with tempfile.NamedTemporaryFile(dir=self.folder) as file:
            file.write(b'contents')
            file.flush()
            mine = dict(self.tables(['-acpitable', 'data=%s,sig=OEM1,oem_id=ABCD,rev=3' % file.name]))['OEM1']
        self.assertEqual(mine[36:], b'contents')
        self.assertEqual((mine[8], mine[10:16]), (3, b'ABCD\0\0'))
        whole = os.path.join(self.folder, 'whole')
        with open(whole, 'wb') as file:
            file.write(mine)
        self.assertEqual(dict(self.tables(['-acpitable', 'file=' + whole]))['OEM1'], mine)


def bz_image(protected=b'\x90' * 4096, sectors=4, protocol=0x20f, cmdline=2048, initrd_max=0x7fffffff, high=1):
    """A file with the header of a Linux kernel."""
    setup = bytearray((sectors + 1) * 512)
    setup[0x1f1] = sectors
    setup[0x1fe:0x200] = b'\x55\xaa'
    setup[0x202:0x206] = b'HdrS'
    struct.pack_into('<H', setup, 0x206, protocol)
    setup[0x211] = high
    struct.pack_into('<I', setup, 0x22c, initrd_max)
    struct.pack_into('<I', setup, 0x238, cmdline)
    return bytes(setup) + protected


class Kernel(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    @unittest.skipUnless(os.path.exists('/usr/share/qemu/linuxboot_dma.bin'), 'no linuxboot_dma.bin')
    def test_items(self):
        kernel, initrd = self.file('kernel', bz_image()), self.file('initrd', b'ramdisk' * 1000)
        with Machine(TERN, MACHINE + ['-kernel', kernel, '-initrd', initrd, '-append', 'quiet x=1']) as machine:
            number = lambda key: struct.unpack('<I', fw_cfg.item(machine.qtest, key, 4))[0]
            self.assertEqual([number(k) for k in (0x07, 0x08, 0x16, 0x17, 0x13)], [0x100000, 4096, 0x10000, 2560, 0x20000])
            self.assertEqual(fw_cfg.item(machine.qtest, 0x11, 4096), b'\x90' * 4096)
            self.assertEqual(fw_cfg.item(machine.qtest, 0x15, number(0x14)).rstrip(b'\0'), b'quiet x=1')
            self.assertEqual(fw_cfg.item(machine.qtest, 0x12, number(0x0b)), b'ramdisk' * 1000)
            setup = fw_cfg.item(machine.qtest, 0x18, 2560)
            self.assertEqual(struct.unpack('<II', setup[0x218:0x220]), (number(0x0a), 7000))
            self.assertEqual(number(0x0a) % 4096, 0)
            self.assertEqual((setup[0x210], setup[0x211]), (0xb0, 0x81))
            self.assertEqual(struct.unpack('<I', setup[0x228:0x22c])[0], 0x20000)
            told = fw_cfg.files(machine.qtest)
            self.assertIn('genroms/linuxboot_dma.bin', told)
            self.assertEqual(told['bootorder'], b'/rom@genroms/linuxboot_dma.bin\0')

    def test_bad_kernels(self):
        big = bytes(17 << 20)
        for arguments, expected in (
                (['-kernel', '/etc/passwd'], 'invalid kernel header'),
                (['-kernel', '/nonexistent'], "could not open kernel file '/nonexistent'"),
                (['-kernel', self.file('elf', b'\x7fELF' + bytes(2000))], 'ELF file'),
                (['-kernel', self.file('old', bz_image(protocol=0x100))], 'boot protocol 1.00'),
                (['-kernel', self.file('short', bz_image(sectors=60)[:4096])], 'cut off'),
                (['-kernel', self.file('big', bz_image(big)), '-m', '16'], 'too large'),
                (['-kernel', self.file('low', bz_image(big, high=0))], 'too large'),
                (['-kernel', self.file('k', bz_image()), '-append', 'x' * 3000], 'command line is too long'),
                (['-kernel', self.file('k', bz_image()), '-initrd', '/nonexistent'], 'could not open initrd'),
                (['-kernel', self.file('k', bz_image()), '-initrd', self.file('r', big), '-m', '16'], 'does not fit'),
                (['-kernel', self.file('k', bz_image()), '-initrd', self.file('e', b'')], 'does not fit'),
                (['-append', 'x'], '-append only allowed with -kernel'),
                (['-initrd', 'x'], '-initrd only allowed with -kernel')):
            refused(self, arguments, expected)


def refused(test, arguments, expected):
    done = subprocess.run([*TERN, '-accel', 'qtest', '-display', 'none', '-nodefaults', *MACHINE, *arguments],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60,
                          check=False)
    test.assertEqual((done.returncode, expected in done.stdout), (1, True), '%s: %s' % (arguments, done.stdout))


class BadInput(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)

    def file(self, name, data):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as file:
            file.write(data)
        return path

    def test_refused_by_name(self):
        garbage = self.file('garbage', bytes(range(256)) * 4)
        empty = self.file('empty', b'')
        cut = self.file('cut', b'\x01\x1b\x00\x01' + bytes(10))
        for arguments, expected in (
                (['-numa', 'node,mem=64M'], 'Parameter -numa node,mem is not supported'),
                (['-numa', 'node,memdev=nope'], 'memdev=nope is ambiguous'),
                (['-numa', 'node,nodeid=200'], 'Max number of NUMA nodes reached: 200'),
                (['-numa', 'node', '-numa', 'node,nodeid=0'], 'Duplicate NUMA nodeid: 0'),
                (['-numa', 'node,nodeid=1'], 'numa: Node ID missing: 0'),
                (['-numa', 'node'], 'total memory for NUMA nodes (0x0) should equal RAM size (0x8000000)'),
                (['-numa', 'node,cpus=9'], 'CPU index (9) should be smaller than maxcpus (1)'),
                (['-numa', 'node,cpus=3-1'], "no processor in it: '3-1'"),
                (['-numa', 'node,foo=1'], "Invalid parameter 'foo'"),
                (['-numa', 'node', '-numa', 'dist,src=0,dst=0,val=20'], 'Local distance of node 0 should be 10'),
                (['-numa', 'node', '-numa', 'dist,src=0,dst=1,val=20'], 'Source/Destination NUMA node is missing'),
                (['-numa', 'node', '-numa', 'dist,src=0,dst=0,val=9'], 'NUMA distance (9) is invalid'),
                (['-numa', 'cpu,node-id=7'], 'Invalid node-id=7'),
                (['-numa', 'node', '-numa', 'cpu,node-id=0,socket-id=5'], 'no match found'),
                (['-numa', 'hmat-lb'], 'is not supported'),
                (['-numa', 'foo'], "Parameter 'type' does not accept value 'foo'"),
                (['-bios', '/nonexistent'], "could not load PC BIOS '/nonexistent'"),
                (['-bios', garbage], 'could not load PC BIOS'),
                (['-boot', 'order=xyz'], "Invalid boot device 'x'"),
                (['-boot', 'order=cc'], "Boot device 'c' was given twice"),
                (['-boot', 'once=e'], 'Invalid boot device for PC'),
                (['-boot', 'order=acdn'], 'Too many boot devices for PC'),
                (['-boot', 'menu=maybe'], "Parameter 'boot.menu' expects 'on' or 'off'"),
                (['-boot', 'foo=1'], "Parameter 'boot.foo' is unexpected"),
                (['-boot', 'splash-time=70000'], 'splash-time is invalid'),
                (['-boot', 'reboot-timeout=-2'], 'reboot timeout is invalid'),
                (['-boot', 'splash=/nonexistent'], "failed to find file '/nonexistent'"),
                (['-boot', 'splash=' + garbage], 'must be JPEG or 24 bit BMP'),
                (['-option-rom', '/nonexistent'], "Could not open option rom '/nonexistent'"),
                (['-option-rom', garbage], 'is not an option ROM'),
                (['-acpitable', 'file=/nonexistent'], "can't open file /nonexistent: No such file"),
                (['-acpitable', 'file=' + garbage], 'is no ACPI table'),
                (['-acpitable', 'file=' + empty], 'is no ACPI table'),
                (['-acpitable', 'sig=FOO'], "requires one of 'data' or 'file'"),
                (['-acpitable', 'sig=TOOLONG,data=' + garbage], "Parameter 'sig' has more than 4"),
                (['-acpitable', 'foo=1,data=' + garbage], "Invalid parameter 'foo'"),
                (['-smbios', 'file=/nonexistent'], 'Cannot read SMBIOS file /nonexistent'),
                (['-smbios', 'file=' + garbage], 'is cut off'),
                (['-smbios', 'file=' + cut], 'is cut off'),
                (['-smbios', 'file=' + empty], 'no structure in it'),
                (['-smbios', 'type=99'], "Don't know how to build fields for SMBIOS type 99"),
                (['-smbios', 'type=200'], 'out of range'),
                (['-smbios', 'type=1,foo=1'], "Invalid parameter 'foo'"),
                (['-smbios', 'type=1,uuid=zz'], 'Invalid UUID'),
                (['-smbios', 'type=0,release=x'], 'Invalid release'),
                (['-smbios', 'type=8,connector_type=300'], "expects a number up to 255"),
                (['-smbios', 'type=41,kind=foo'], 'invalid parameter value: foo'),
                (['-smbios', 'type=41,designation=x,pcidev=nope'], 'No PCI device nope for SMBIOS type 41 entry x'),
                (['-smbios', 'foo'], 'Must specify type= or file='),
                (['-machine', 'smbios-entry-point-type=16'], "does not accept value '16'"),
                (['-machine', 'x-oem-id=TOOLONG'], 'oem-id value is bigger than 6 bytes'),
                (['-device', 'piix3-usb-uhci,romfile=/nonexistent'], 'failed to find romfile "/nonexistent"'),
                (['-device', 'piix3-usb-uhci,romfile=' + empty], 'is empty'),
                (['-device', 'piix3-usb-uhci,romsize=1000'], 'ROM size 1000 is not a power of two'),
                (['-device', 'piix3-usb-uhci,romsize=512,romfile=' + garbage], 'is too large for ROM size 512')):
            refused(self, arguments, expected)

    def test_smbios_file_replaces_a_structure(self):
        path = self.file('type1', b'\x01\x1b\x00\x01' + bytes(23) + b'\0\0')
        with Machine(TERN, MACHINE + ['-smbios', 'file=' + path]) as machine:
            blob = fw_cfg.files(machine.qtest)['etc/smbios/smbios-tables']
        self.assertEqual([s[0] for s in fw_cfg.smbios_structures(blob)].count(1), 1)
        refused(self, ['-smbios', 'file=' + path, '-smbios', 'type=1,serial=x'], 'binary file already loaded')
        refused(self, ['-smbios', 'type=1,serial=x', '-smbios', 'file=' + path], 'fields already specified')


class Rom(unittest.TestCase):
    """Option ROMs in a BAR, and without one."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.rom = os.path.join(self.folder, 'x.rom')
        with open(self.rom, 'wb') as file:
            file.write(b'\x55\xaa' + bytes(range(254)) + bytes(3000))

    def test_bar(self):
        with Machine(TERN, MACHINE + ['-device', 'piix3-usb-uhci,addr=5,romfile=' + self.rom]) as machine:
            qtest, bdf = machine.qtest, 5 << 3
            qtest.config_write(bdf, 0x30, 4, 0xffffffff)
            self.assertEqual(qtest.config_read(bdf, 0x30), 0xfffff001)
            qtest.config_write(bdf, 0x30, 4, 0xe0000001)
            self.assertNotEqual(qtest.read(0xe0000000, 2), b'\x55\xaa')
            qtest.config_write(bdf, 4, 2, 2)
            self.assertEqual(qtest.read(0xe0000000, 4), b'\x55\xaa\x00\x01')
            qtest.write(0xe0000000, b'zz')
            self.assertEqual(qtest.read(0xe0000000, 2), b'\x55\xaa')
            qtest.config_write(bdf, 0x30, 4, 0xe0000000)
            self.assertNotEqual(qtest.read(0xe0000000, 2), b'\x55\xaa')
            self.assertIn('0000:00:05.0/uhci.rom', machine.qmp.hmp('info ramblock'))

    def test_files(self):
        with Machine(TERN, MACHINE + ['-device', 'piix3-usb-uhci,addr=5,rombar=0,romfile=' + self.rom]) as machine:
            self.assertEqual(machine.qtest.config_read(5 << 3, 0x30), 0)
            self.assertIn('genroms/x.rom', fw_cfg.files(machine.qtest))
        with Machine(TERN, MACHINE + ['-option-rom', self.rom + ',bootindex=2']) as machine:
            told = fw_cfg.files(machine.qtest)
            self.assertEqual(told['genroms/x.rom'][:4], b'\x55\xaa\x00\x01')
            self.assertEqual(told['bootorder'], b'/rom@genroms/x.rom\0')


class BootOrder(unittest.TestCase):
    def test_index_changes_at_run_time(self):
        arguments = ['-device', 'piix3-usb-uhci,addr=1.2', '-blockdev', 'null-co,node-name=a,size=1048576', '-blockdev',
                     'null-co,node-name=b,size=1048576', '-device', 'usb-storage,id=x,drive=a,bootindex=1', '-device',
                     'usb-storage,id=y,drive=b,bootindex=2']
        x, y = (b'/pci@i0cf8/usb@1,2/%s/channel@0/disk@0,0' % p for p in (b'storage@1', b'hub@2/storage@1'))

        def after_reset(machine):
            machine.qmp.command('system_reset')
            machine.qmp.wait_event('RESET')
            return fw_cfg.files(machine.qtest)['bootorder']

        with Machine(TERN, MACHINE + arguments) as machine:
            self.assertEqual(fw_cfg.files(machine.qtest)['bootorder'], x + b'\n' + y + b'\0')
            with self.assertRaisesRegex(TestError, 'The bootindex 2 has already been used'):
                machine.qmp.command('qom-set', {'path': 'x', 'property': 'bootindex', 'value': 2})
            machine.qmp.command('qom-set', {'path': 'x', 'property': 'bootindex', 'value': 3})
            self.assertEqual(fw_cfg.files(machine.qtest)['bootorder'], x + b'\n' + y + b'\0')
            self.assertEqual(after_reset(machine), y + b'\n' + x + b'\0')
            machine.qmp.command('qom-set', {'path': 'y', 'property': 'bootindex', 'value': -1})
            self.assertEqual(after_reset(machine), x + b'\0')
            machine.qmp.command('device_del', {'id': 'x'})
            machine.qmp.wait_event('DEVICE_DELETED')
            self.assertEqual(after_reset(machine), b'')
        refused(self, arguments[:-1] + ['usb-storage,drive=b,bootindex=1'], 'The bootindex 1 has already been used')

    def test_once(self):
        with Machine(TERN, MACHINE + ['-boot', 'order=c,once=d']) as machine:
            first = []
            for _ in range(3):
                machine.qtest.port_out(0x70, 1, 0x3d)
                first.append(machine.qtest.port_in(0x71, 1) & 0xf)
                machine.qmp.command('system_reset')
                machine.qmp.wait_event('RESET')
            self.assertEqual(first, [3, 2, 2])


def save(folder, arguments, golden):
    os.makedirs(folder, exist_ok=True)
    with tempfile.TemporaryDirectory() as work, Machine(TERN, MACHINE + arguments) as machine:
        texts = disassemble(settled_tables(machine), work)
        for name, text in (golden_texts(texts, os.path.basename(folder)) if golden else texts).items():
            with open(os.path.join(folder, name + '.dsl'), 'w', encoding='utf-8') as file:
                file.write(text)
            if not golden:
                shutil.copy(os.path.join(work, name + '.dat'), folder)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--golden']:
        for golden_folder, golden_arguments in GOLDENS.items():
            save(os.path.join(GOLDEN, golden_folder), golden_arguments, True)
    elif sys.argv[1:2] == ['--save']:
        save(sys.argv[2], sys.argv[3:] or GOLDENS['plain'], False)
    else:
        tap.main()
