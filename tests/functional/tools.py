# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests of qemu-img and qemu-io share: the programs, stock's, and images to work on."""

import os
import shutil
import subprocess

import common

BUILD = os.environ.get('TERN_BUILD_DIR') or os.path.join(common.SOURCE, 'build')
IMG = os.path.join(BUILD, 'tools/qemu-img/qemu-img')
IO = os.path.join(BUILD, 'tools/qemu-io/qemu-io')


def stock(name):
    """Path of stock's program, or None."""
    found = shutil.which(name)
    return found if found and os.path.realpath(found) != os.path.realpath(IMG) else None


def formats():
    """Names of the drivers that our qemu-img has."""
    text = subprocess.run([IMG, '--help'], stdout=subprocess.PIPE, text=True, check=True).stdout
    return text[text.index('Supported formats:'):].splitlines()[0].split()[2:]


def sanitized():
    """Whether our programs are built with the address sanitizer: it reserves terabytes."""
    try:
        with open(os.path.join(BUILD, 'config.h'), encoding='utf-8') as file:
            return '#define CONFIG_ASAN' in file.read()
    except OSError:
        return False


STOCK_IMG, STOCK_IO = stock('qemu-img'), stock('qemu-io')


def stock_version():
    """(major, minor) of stock's qemu-img, or None."""
    if not STOCK_IMG:
        return None
    text = subprocess.run([STOCK_IMG, '--version'], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    return tuple(int(n) for n in text.split()[2].split('.')[:2])


def run(*args, folder=None, timeout=120, **options):
    """A program to its end: the CompletedProcess, with text and both outputs apart."""
    return subprocess.run(list(args), cwd=folder, stdin=options.pop('stdin', subprocess.DEVNULL),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          timeout=timeout, check=False, **options)


def good(*args, folder=None, **options):
    """The same, and it has to succeed; its output."""
    done = run(*args, folder=folder, **options)
    if done.returncode:
        raise AssertionError(f'{" ".join(args)}: {done.returncode}\n{done.stdout}{done.stderr}')
    return done.stdout


def write_patterns(path, size, patterns):
    """A raw image: holes, and (offset, length, byte)."""
    with open(path, 'wb') as file:
        file.truncate(size)
        for offset, length, byte in patterns:
            file.seek(offset)
            file.write(bytes([byte]) * length)


MIB = 1 << 20


def images(folder, img, io):
    """The images of tool_table.py, made by these programs."""
    raw = [(0, 65536, 1), (MIB, 1000, 2)]
    at = lambda name: os.path.join(folder, name)  # noqa: E731
    write_patterns(at('a.raw'), 3 * MIB, raw)
    write_patterns(at('same.raw'), 3 * MIB, raw + [(2 * MIB, 65536, 0)])
    write_patterns(at('other.raw'), 4 * MIB, [])
    write_patterns(at('longer.raw'), 4 * MIB, raw)
    write_patterns(at('longer2.raw'), 4 * MIB, raw + [(3584 * 1024, 1024, 5)])
    write_patterns(at('small.raw'), MIB, [])
    good(img, 'create', '-q', '-f', 'qcow2', 'base.qcow2', '3M', folder=folder)
    good(io, '-c', 'write -P 1 0 64k', '-c', 'write -P 2 1M 1000', '-c', 'write -z 2M 64k',
         'base.qcow2', folder=folder)
    for name, back, place in (('mid', 'base', '3 64k'), ('top', 'mid', '4 128k')):
        good(img, 'create', '-q', '-f', 'qcow2', '-b', back + '.qcow2', '-F', 'qcow2',
             name + '.qcow2', folder=folder)
        good(io, '-c', f'write -P {place} 64k', name + '.qcow2', folder=folder)
    good(img, 'create', '-q', '-f', 'qcow2', 'empty.qcow2', '3M', folder=folder)
    good(img, 'create', '-q', '-f', 'qcow2', '-b', 'a.raw', '-F', 'raw', 'over.qcow2',
         folder=folder)
    good(img, 'create', '-q', '-f', 'qcow2', '-u', '-b', 'nosuch', '-F', 'raw', 'lost.qcow2',
         '1M', folder=folder)
    good(img, 'convert', '-c', '-O', 'qcow2', 'a.raw', 'packed.qcow2', folder=folder)
    shutil.copy(at('base.qcow2'), at('snap.qcow2'))
    good(img, 'snapshot', '-c', 's1', 'snap.qcow2', folder=folder)
    leak(at('base.qcow2'), at('leak.qcow2'))
    good(img, 'convert', '-O', 'vdi', 'a.raw', 'disk.vdi', folder=folder)


def leak(source, target):
    """A copy of a qcow2 image in which cluster 20 is counted and not used."""
    with open(source, 'rb') as file:
        data = bytearray(file.read())
    table = int.from_bytes(data[48:56], 'big')
    block = int.from_bytes(data[table:table + 8], 'big')
    data[block + 40:block + 42] = b'\0\1'
    data += bytes(max(0, 65536 * 21 - len(data)))
    with open(target, 'wb') as file:
        file.write(data)
