# SPDX-License-Identifier: GPL-2.0-or-later
"""A Debian kernel with a real KVM, inside a stock emulator that translates: its processor has SVM.

What runs there is a folder of files and a command; its output comes over the serial line. The kernel is Debian's, its initramfs
is made here of busybox, KVM's modules, the programs under test with their libraries, and Python.

    with Nested(folder) as nested:
        nested.add_tern()
        status, output = nested.run('python3 /tests/functional/test-kvm-boot.py', timeout=300)
"""

import functools
import glob
import os
import re
import shutil
import stat
import subprocess

import common

MODULES = ('irqbypass', 'kvm', 'ccp', 'kvm-amd')
STOCK = ('qemu-system-x86_64',)
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
ip link set lo up
for module in %s; do [ ! -e /modules/$module.ko ] || insmod /modules/$module.ko; done
export PATH=/usr/bin:/bin TMPDIR=/tmp HOME=/ PYTHONDONTWRITEBYTECODE=1
%s
sh -c '%s' 2>&1
echo "''' + MARK + ''' $?"
poweroff -f
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
            for number, (name, (mode, data)) in enumerate(self.entries.items(), 1):
                self.write_entry(file, number, name, mode, data)
            self.write_entry(file, 0, 'TRAILER!!!', 0, b'')

    @staticmethod
    def write_entry(file, number, name, mode, data):
        raw = name.encode() + b'\0'
        fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(raw), 0)
        header = b'070701' + b''.join(b'%08x' % field for field in fields) + raw
        file.write(header + bytes(-len(header) % 4) + data + bytes(-len(data) % 4))


class Nested:
    """The outer machine. Files may be added before run()."""

    def __init__(self, folder, memory=2048):
        self.version, self.kernel = kernels()[-1]
        self.folder = folder
        self.memory = memory
        self.files = Initramfs()
        self.environment = {}
        self.files.add('/bin/busybox')
        self.files.add_modules(self.version, MODULES)
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
        initrd = os.path.join(self.folder, 'initrd')
        exports = '\n'.join(f"export {name}='{value}'" for name, value in self.environment.items())
        self.files.put('/init', (INIT % (' '.join(MODULES), exports, command)).encode(), 0o755)
        self.files.write(initrd)
        argv = [*common.stock()[0], '-accel', 'tcg,thread=multi', '-machine', 'q35', '-cpu', 'EPYC,-xsavec', '-m',
                str(memory or self.memory), '-smp', '1', '-nodefaults', '-display', 'none', '-no-reboot',
                '-serial', 'stdio', '-kernel', self.kernel, '-initrd', initrd,
                '-append', 'console=ttyS0 quiet panic=-1 mitigations=off']
        try:
            out = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                 timeout=timeout, check=False).stdout
        except subprocess.TimeoutExpired as error:
            return None, (error.stdout or b'').decode('utf-8', 'replace')
        finally:
            os.unlink(initrd)
        text = out.decode('utf-8', 'replace').replace('\r\n', '\n')
        ended = re.search(MARK + r' (\d+)', text)
        return int(ended.group(1)) if ended else None, text
