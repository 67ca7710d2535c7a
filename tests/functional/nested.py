# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian kernel with a real KVM, inside a stock emulator that translates: its processor has SVM.

What runs there is a folder of files and a command; its output comes over the serial line. The kernel is Debian's, its initramfs
is made here of busybox, KVM's modules, the programs under test with their libraries, and Python.

    nested = Nested(folder)
    nested.add_tern()
    status, output = nested.run('python3 /tests/functional/test-kvm-boot.py', timeout=300)

TERN_NESTED_LOG=FILE: the console goes there while the machine runs. TERN_NESTED_SHELL=SOCKET: a shell in there, at that unix socket
(socat - unix:SOCKET).
"""

import contextlib
import functools
import glob
import io
import lzma
import os
import re
import shutil
import stat
import struct
import subprocess
import tempfile
import unittest

import common
import scenarios

MODULES = ('irqbypass', 'kvm', 'ccp', 'kvm-amd', 'hwpoison-inject')
KERNEL_START, KERNEL_TABLES = 0x100000, 0x101000
MARK = 'nested command ended with'
INIT = '''#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /bin /usr/bin /run
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm /dev/pts
mount -t tmpfs tmp /tmp
mount -t tmpfs shm /dev/shm
mount -t debugfs debug /sys/kernel/debug
ip link set lo up
for module in %s; do [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko; done
export PATH=/usr/bin:/bin TMPDIR=/tmp HOME=/ PYTHONDONTWRITEBYTECODE=1
%s
[ -z "$TERN_NESTED_SHELL" ] || setsid sh -c "while sleep 1; do sh -i; done" <> /dev/ttyS1 >&0 2>&1 &
sh -c '%s' 2>&1
echo "''' + MARK + ''' $?"
poweroff -f
'''

GUEST_MODULES = ('scsi_common', 'scsi_mod', 'cdrom', 'sr_mod', 'usb-common', 'usbcore', 'uhci-hcd', 'usb-storage',
                 'virtio_ring', 'virtio', 'virtio_pci_legacy_dev', 'virtio_pci_modern_dev', 'virtio_pci', 'virtio_blk', 'rng-core',
                 'virtio-rng', 'virtio_balloon', 'failover', 'net_failover', 'virtio_net')
# What to do is on the kernel's command line; a counter on the console shows whether a line is lost or said twice.
GUEST_INIT = '''#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /bin
/bin/busybox --install -s /bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
export PATH=/bin
for word in $(cat /proc/cmdline); do
    case $word in *=*) export "$word" ;; esac
done
(n=0; while n=$((n + 1)); do echo "tick $n"; sleep 0.1; done) &
for module in %s; do [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko; done
wait_for() { until (: < $1) 2>/dev/null; do sleep 0.05; done; }
case $do in
disc)
    wait_for /dev/sr0
    sha256sum /dev/sr0
    ;;
plug)
    device=/sys/bus/pci/devices/0000:00:05.0 cpu=/sys/devices/system/cpu/cpu1
    echo "plugs wanted"
    until [ -e $device ]; do sleep 0.05; done
    echo "pci came: $(cat $device/vendor) $(cat $device/device)"
    while [ -e $device ]; do sleep 0.05; done
    echo "pci gone"
    until [ -e $cpu ]; do sleep 0.05; done
    [ "$(cat $cpu/online)" = 1 ] || echo 1 > $cpu/online
    echo "cpu came: $(grep -c ^processor /proc/cpuinfo)"
    while [ -e $cpu ]; do sleep 0.05; done
    echo "cpu gone: $(grep -c ^processor /proc/cpuinfo)"
    ;;
poison)
    # pages that can be told apart, in a file that only memory has
    mount -t tmpfs tmp /tmp
    echo 1 > /sys/devices/system/machinecheck/machinecheck0/check_interval  # AMD: found when it looks
    n=0
    while [ $n -lt 64 ]; do printf '%%-4095s\\n' "TERN MARK $n"; n=$((n + 1)); done > /tmp/pages
    echo "marks are there"
    until dmesg | grep -q 'Memory failure'; do sleep 0.05; done
    dmesg | grep 'Memory failure'
    while [ ! -e /sys/bus/pci/devices/0000:00:05.0 ]; do sleep 0.05; done
    n=0
    while [ $n -lt 64 ]; do
        if ! dd if=/tmp/pages bs=4096 skip=$n count=1 of=/tmp/page 2>/dev/null; then
            echo "page $n: refused"
        elif [ "$(head -n 1 /tmp/page | tr -d ' ')" != "TERNMARK$n" ]; then
            echo "page $n: wrong"
        fi
        n=$((n + 1))
    done
    ;;
sleep)
    for n in 1 2; do
        echo "sleeps $n"
        echo mem > /sys/power/state
        echo "woke $n"
    done
    ;;
load)
    # memory, a disk and timers, each checked without end; what is wrong is said, and how often it went well
    wait_for /dev/vda
    mount -t tmpfs tmp /tmp
    head -c 1000000 /dev/urandom > /tmp/a
    for what in memory disk timers; do echo 0 > /tmp/$what; done
    (n=0; while n=$((n + 1)); do
        sum=$(md5sum < /tmp/a)
        { tail -c 5000 /tmp/a; head -c 995000 /tmp/a; } > /tmp/b
        { tail -c 995000 /tmp/b; head -c 5000 /tmp/b; } > /tmp/c
        [ "$(md5sum < /tmp/c)" = "$sum" ] || echo "memory is wrong: $n"
        mv /tmp/b /tmp/a
        echo $n > /tmp/memory
    done) &
    others=$!
    (n=0; while n=$((n + 1)); do
        printf '%%-4095s\n' "BLOCK $n" > /tmp/block
        dd if=/tmp/block of=/dev/vda bs=4096 seek=$((n %% 64)) conv=fsync,notrunc 2>/dev/null || echo "disk: no write: $n"
        blockdev --flushbufs /dev/vda
        dd if=/dev/vda bs=4096 skip=$((n %% 64)) count=1 2>/dev/null | cmp -s - /tmp/block || echo "disk is wrong: $n"
        echo $n > /tmp/disk
        [ -e /tmp/enough ] && break
    done) &
    disk=$!
    (n=0; while n=$((n + 1)); do
        read a b < /proc/uptime; sleep 0.1; read c d < /proc/uptime
        a=${a%%.*}${a#*.} c=${c%%.*}${c#*.}
        [ $((c - a)) -ge 9 ] && [ $((c - a)) -lt 3000 ] || echo "timers are wrong: $a $c"
        echo $n > /tmp/timers
    done) &
    others="$others $!"
    echo "load begins"
    enough() { read n < /tmp/$1; [ "${n:-0}" -ge $2 ]; }
    until enough memory 8 && enough disk 66 && enough timers 40; do sleep 0.2; done
    while [ ! -e /sys/bus/pci/devices/0000:00:05.0 ]; do sleep 0.05; done
    touch /tmp/enough
    wait $disk
    kill $others
    echo "load: memory $(cat /tmp/memory) times, disk $(cat /tmp/disk), timers $(cat /tmp/timers)"
    ;;
virtio)
    wait_for /dev/vda
    echo "entropy $(head -c 48 /dev/hwrng | wc -c)"
    sha256sum /dev/vda
    echo "entropy $(head -c 48 /dev/hwrng | wc -c)"
    grep virtio /proc/interrupts
    ;;
net)
    wait_for /sys/class/net/eth0/address
    ip addr add 10.9.0.2/24 dev eth0
    ip link set eth0 up
    echo "network is up"
    nc 10.9.0.1 5000 | sha256sum
    grep virtio /proc/interrupts
    ;;
esac
kill %%1
wait 2>/dev/null
echo END
sleep 1000
'''


def kernels():
    """(version, path) of Debian's kernels that are here, the newest last."""
    found = []
    for path in glob.glob('/boot/vmlinuz-*-amd64'):
        version = os.path.basename(path)[len('vmlinuz-'):]
        if 'cloud' not in version and os.path.isdir(f'/lib/modules/{version}'):
            found.append((version, path))
    return sorted(found)


def why_not():
    """None, or what is missing."""
    if not common.stock():
        return 'the stock emulator is not installed'
    if not kernels():
        return 'no generic Debian kernel (linux-image-amd64)'
    for path, package in (('/bin/busybox', 'busybox-static'), ('/usr/bin/python3', 'python3')):
        if not os.path.exists(path):
            return f'{package} is not installed'
    with open(common.TERN[0], 'rb') as file:
        if b'__asan_init' in file.read():
            return 'the emulator has sanitizers, which is too slow where everything is emulated twice'
    return None


@functools.lru_cache(None)
def libraries(program):
    """Real files that the dynamic linker loads for it, and under which name."""
    out = subprocess.run(['ldd', program], capture_output=True, text=True, check=False).stdout
    return tuple(dict.fromkeys(re.findall(r'(?m)(?:=> |^\s*)(/\S+) \(', out)))


def module_path(version, name):
    for suffix in ('.ko', '.ko.xz'):
        found = glob.glob(f'/lib/modules/{version}/kernel/**/{name}{suffix}', recursive=True)
        if found:
            return found[0]
    raise FileNotFoundError(f'{name}.ko of {version}')


def assemble(source, address):
    with tempfile.TemporaryDirectory() as folder:
        obj, binary = os.path.join(folder, 'o'), os.path.join(folder, 'b')
        subprocess.run(['as', os.path.join(common.HERE, 'guests', source), '-o', obj], check=True)
        subprocess.run(['ld', '--oformat', 'binary', '-Ttext', hex(address), '-e', hex(address), obj, '-o', binary], check=True)
        with open(binary, 'rb') as file:
            return file.read()


def plain_kernel(path):
    """Debian's kernel without its decompressor, which takes longest of all where everything is emulated twice: the setup code, and behind
    it linux-start.S and the kernel's segments, each where it is to be in memory. As it is if it is not packed by xz."""
    with open(path, 'rb') as file:
        image = file.read()
    setup = (image[0x1f1] + 1) * 512
    offset, length = struct.unpack_from('<II', image, 0x248)
    packed = image[setup + offset:setup + offset + length]
    if not packed.startswith(b'\xfd7zXZ\0'):
        return image
    elf = lzma.LZMADecompressor().decompress(packed)
    memory = bytearray(assemble('linux-start.S', KERNEL_START))
    memory.extend(bytes(KERNEL_TABLES - KERNEL_START - len(memory)))
    memory += struct.pack('<512Q', KERNEL_TABLES + 0x1003, *[0] * 511)
    memory += struct.pack('<512Q', *(KERNEL_TABLES + 0x2003 + (n << 12) for n in range(4)), *[0] * 508)
    memory += struct.pack('<2048Q', *(n << 21 | 0x83 for n in range(2048)))
    entry, headers = struct.unpack_from('<QQ', elf, 0x18)
    memory += struct.pack('<Q', entry)
    for n in range(struct.unpack_from('<H', elf, 0x38)[0]):
        kind, _, start, _, address, size = struct.unpack_from('<IIQQQQ', elf, headers + n * 0x38)
        if kind == 1:
            memory.extend(bytes(max(address - KERNEL_START + size - len(memory), 0)))
            memory[address - KERNEL_START:address - KERNEL_START + size] = elf[start:start + size]
    header = bytearray(image[:setup])
    struct.pack_into('<I', header, 0x1f4, (len(memory) + 15) // 16)
    return bytes(header + memory)


class Initramfs:
    """Files of a cpio archive in the form that the kernel unpacks (Documentation/driver-api/early-userspace/buffer-format.rst)."""

    def __init__(self):
        self.entries = {}

    def folder(self, path):
        path = path.strip('/')
        if path and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | 0o755, b'')

    def put(self, path, data, mode=0o644):
        path = path.strip('/')
        self.folder(os.path.dirname(path))
        self.entries[path] = (stat.S_IFREG | mode, data)

    def link(self, path, target):
        path = path.strip('/')
        self.folder(os.path.dirname(path))
        self.entries[path] = (stat.S_IFLNK | 0o777, target.encode())

    def add(self, source, path=None):
        with open(source, 'rb') as file:
            self.put(path or source, file.read(), os.stat(source).st_mode & 0o777)

    def add_program(self, source, path=None):
        self.add(os.path.realpath(source), path or source)
        for library in libraries(os.path.realpath(source)):
            self.add(os.path.realpath(library), library)

    def add_tree(self, source, path=None, skip=()):
        for base, folders, files in os.walk(source):
            folders[:] = [name for name in folders if name not in skip]
            for name in files:
                full = os.path.join(base, name)
                if os.path.isfile(full):
                    self.add(full, os.path.join(path or source, os.path.relpath(full, source)))

    def add_modules(self, version, names):
        """Modules that are built into the kernel are passed over."""
        with open(f'/lib/modules/{version}/modules.builtin', encoding='ascii') as file:
            built_in = {os.path.basename(line.strip())[:-len('.ko')].replace('-', '_') for line in file}
        for name in names:
            if name.replace('-', '_') in built_in:
                continue
            path = module_path(version, name)
            if path.endswith('.xz'):
                data = subprocess.run(['xz', '-dc', path], capture_output=True, check=True).stdout
                self.put(f'/modules/{name}.ko', data)
            else:
                self.add(path, f'/modules/{name}.ko')

    def write(self, path):
        with open(path, 'wb') as file:
            self.write_to(file)

    def write_to(self, file):
        for number, (name, (mode, data)) in enumerate(self.entries.items(), 1):
            self.write_entry(file, number, name, mode, data)
        self.write_entry(file, 0, 'TRAILER!!!', 0, b'')

    @staticmethod
    def write_entry(file, number, name, mode, data):
        raw = name.encode() + b'\0'
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        header = b'070701' + b''.join(b'%08x' % field for field in fields) + raw
        file.write(header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4))


def guest_initrd(version):
    """An initramfs for Debian's kernel as a guest in the nested KVM (GUEST_INIT), as bytes."""
    files = Initramfs()
    files.add('/bin/busybox')
    files.add_modules(version, GUEST_MODULES)
    files.put('/init', (GUEST_INIT % ' '.join(GUEST_MODULES)).encode(), 0o755)
    out = io.BytesIO()
    files.write_to(out)
    return out.getvalue()


class Nested:
    """The outer machine. Files may be added before run()."""

    def __init__(self, folder, memory=2048, modules=()):
        self.version, path = kernels()[-1]
        self.kernel = plain_kernel(path)
        self.folder = folder
        self.memory = memory
        self.modules = MODULES + tuple(modules)
        self.files = Initramfs()
        self.environment = {}
        self.files.add('/bin/busybox')
        self.files.add_modules(self.version, self.modules)
        self.add_python()

    def add_python(self):
        self.files.add_program('/usr/bin/python3')
        tree = os.path.dirname(subprocess.run(['/usr/bin/python3', '-c', 'import os; print(os.__file__)'],
                                              capture_output=True, text=True, check=True).stdout.strip())
        skip = ('__pycache__', 'test', 'idlelib', 'ensurepip', 'lib2to3', 'dist-packages', 'pydoc_data', 'tkinter',
                'distutils', 'turtledemo')
        self.files.add_tree(tree, skip=skip)

    def add_tern(self):
        """The emulator, the firmware and the tests."""
        self.files.add_program(common.TERN[0], '/tern/qemu-system-x86_64')
        self.files.add_tree('/usr/share/seabios')
        for rom in ('linuxboot_dma.bin', 'kvmvapic.bin'):
            self.files.add(f'/usr/share/qemu/{rom}')
        for folder in ('tests/functional', 'tests/guest', 'tests/tools', 'tests/unit'):
            self.files.add_tree(os.path.join(common.SOURCE, folder), '/' + folder, skip=('__pycache__',))
        self.environment.update(QTEST_QEMU_BINARY='/tern/qemu-system-x86_64', TERN_SOURCE_DIR='/', TERN_BUILD_DIR='/build')

    def add_stock(self):
        """The stock emulator as a peer in there."""
        self.files.add_program(shutil.which('qemu-system-x86_64'), '/usr/bin/qemu-system-x86_64')
        for folder in ('/usr/share/qemu', '/usr/lib/ipxe/qemu'):
            self.files.add_tree(folder, skip=('applications', 'icons', 'init'))

    def run(self, command, timeout, memory=None):
        """Runs a shell command in there; returns its exit status and all that came over the serial line."""
        kernel, initrd = (os.path.join(self.folder, name) for name in ('kernel', 'initrd'))
        shell = os.environ.get('TERN_NESTED_SHELL')
        if shell:
            self.environment['TERN_NESTED_SHELL'] = '1'
        exports = '\n'.join(f"export {name}='{value}'" for name, value in self.environment.items())
        self.files.put('/init', (INIT % (' '.join(self.modules), exports, command)).encode(), 0o755)
        self.files.write(initrd)
        with open(kernel, 'wb') as file:
            file.write(self.kernel)
        argv = [*common.stock()[0], '-accel', 'tcg,thread=multi', '-machine', 'q35', '-cpu', 'EPYC,-xsavec', '-m',
                str(memory or self.memory), '-smp', '2', '-nodefaults', '-display', 'none', '-no-reboot',
                '-serial', 'stdio', *(['-serial', f'unix:{shell},server=on,wait=off'] if shell else []), '-kernel', kernel, '-initrd', initrd,
                '-append', 'console=ttyS0 quiet panic=-1 mitigations=off no_timer_check tsc=reliable']
        with contextlib.ExitStack() as stack:
            for path in kernel, initrd:
                stack.callback(os.unlink, path)
            log = os.environ.get('TERN_NESTED_LOG')
            console = stack.enter_context(open(log, 'w+b') if log else tempfile.TemporaryFile(dir=self.folder))
            outer = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
            try:
                outer.wait(timeout)
            except subprocess.TimeoutExpired:
                pass
            finally:
                outer.kill()
                outer.wait()
            console.seek(0)
            text = console.read().decode('utf-8', 'replace').replace('\r\n', '\n')
        ended = re.search(MARK + r' (\d+)', text)
        return int(ended.group(1)) if ended else None, text


class Case(unittest.TestCase):
    """Scenarios (scenarios.py) that all run in one start of the outer machine, each a point. What a subclass has:"""

    PROGRAM = ''  # runs in there, and gets the scenarios as its last arguments
    SCENARIOS = ()  # NAME or NAME:REST
    TIMEOUT = 0  # seconds for all of them

    @classmethod
    def outer(cls, folder):
        """The machine with all that they need."""
        raise NotImplementedError

    def __init_subclass__(cls):
        for word in cls.SCENARIOS:
            name = word.partition(':')[0]
            setattr(cls, 'test_' + name.replace('-', '_'), lambda self, name=name: self.outcome(name))

    @classmethod
    def setUpClass(cls):
        with tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR')) as folder:
            _, cls.output = cls.outer(folder).run(' '.join(('python3', cls.PROGRAM, *cls.SCENARIOS)), cls.TIMEOUT)
        for line in re.findall(r'(?m)^(?:saw|writes|written) .*$', cls.output):
            print('# ' + line)
        cls.results = scenarios.outcomes(cls.output)

    def outcome(self, name):
        if name not in self.results:
            self.fail('nothing was said about it; the end of the console:\n' + self.output[-6000:])
        word, text = self.results[name]
        self.assertEqual(word, 'ok', text + '\n' + self.output[-12000:])
        print(f'# {name}: {text}')
