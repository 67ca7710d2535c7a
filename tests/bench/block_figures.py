# SPDX-License-Identifier: GPL-2.0-or-later
"""Images: what scripts/bench measures of qemu-img. Rows for figures.py: GROUPS and FIGURES.

Files lie in options.folder (memory), so that the disk does not count. Processor time is that of the program's process,
user and system, from the kernel's account of ended children.
"""

import os
import resource
import subprocess
import time

MIB = 1 << 20
RANDOM_MIB = 256
SPARSE = (2048, (1, 300, 777, 1024, 1500, 2000))  # MiB, and where 8 MiB of data are


def tool(program, options):
    """qemu-img beside the emulator: in its folder, or in tools/ of a build."""
    folder = os.path.dirname(program.command[0])
    for name in ('qemu-img', 'tools/qemu-img/qemu-img'):
        path = os.path.join(folder, name)
        if os.access(path, os.X_OK) and not os.path.isdir(path):
            return path
    raise OSError('no qemu-img beside %s' % program.command[0])


def timed(*args):
    """(wall ms, processor ms) of a program that has to succeed."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.PIPE, check=False)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise OSError('%s: %s' % (' '.join(args), done.stderr.decode().strip()))
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall * 1e3, cpu * 1e3


def sources(program, options):
    """Raw images of random and of sparse data, and what the program itself makes of them."""
    img = tool(program, options)
    for kind in ('random', 'sparse'):
        raw = os.path.join(options.folder, kind + '.raw')
        if not os.path.exists(raw):
            with open(raw, 'wb') as file:
                if kind == 'random':
                    for _ in range(RANDOM_MIB):
                        file.write(os.urandom(MIB))
                else:
                    file.truncate(SPARSE[0] * MIB)
                    for place in SPARSE[1]:
                        file.seek(place * MIB)
                        file.write(os.urandom(8 * MIB))
    return img


WAYS = [(kind, source, target) for kind in ('random', 'sparse')
        for source, target in (('raw', 'raw'), ('raw', 'vdi'), ('vdi', 'raw'), ('raw', 'qcow2'),
                               ('qcow2', 'raw'), ('qcow2', 'vdi'), ('vdi', 'qcow2'))]


def convert(program, options):
    img = sources(program, options)
    result = {}
    target_path = os.path.join(options.folder, 'target')
    for kind, source, target in WAYS:
        path = os.path.join(options.folder, '%s.%s' % (kind, source))
        if not os.path.exists(path):
            timed(img, 'convert', '-f', 'raw', '-O', source,
                  os.path.join(options.folder, kind + '.raw'), path)
        wall, cpu = timed(img, 'convert', '-f', source, '-O', target, path, target_path)
        os.unlink(target_path)
        key = 'convert-%s-%s-%s' % (kind, source, target)
        result[key] = [wall]
        result[key + '-cpu'] = [cpu]
    for kind in ('random', 'sparse'):
        for fmt in ('vdi', 'qcow2'):
            os.unlink(os.path.join(options.folder, '%s.%s' % (kind, fmt)))
    return result


def info(program, options):
    img = tool(program, options)
    result = {}
    for fmt in ('raw', 'vdi', 'qcow2'):
        path = os.path.join(options.folder, 'info.' + fmt)
        timed(img, 'create', '-q', '-f', fmt, path, '1G')
        samples = [timed(img, 'info', path) for _ in range(10)]
        os.unlink(path)
        result['info-' + fmt] = [wall for wall, _ in samples]
        result['info-%s-cpu' % fmt] = [cpu for _, cpu in samples]
    return result


# key, format, arguments of bench, requests, whether the image is a new one. The places of the first ones are 37 MiB from each other,
# modulo the disk: each in a block of its own, in no order.
ALLOC = ['-w', '-S', '37M']
REQUESTS = [('alloc-%s%s' % (size, name), 'vdi', ALLOC + ['-s', size] + more, count, True)
            for size in ('4k', '64k')
            for name, more, count in (('', [], 1000), ('-d16', ['-d', '16'], 1000),
                                      ('-flush', ['-d', '8', '--flush-interval', '8'], 400))]
for _fmt in ('vdi', 'raw'):
    REQUESTS += [('%s-write-new-64k' % _fmt, _fmt, ['-w', '-s', '64k', '-d', '16'], 8192, True),
                 ('%s-read-64k' % _fmt, _fmt, ['-s', '64k', '-d', '16'], 8192, False),
                 ('%s-write-again-64k' % _fmt, _fmt, ['-w', '-s', '64k', '-d', '16'], 8192, False),
                 ('%s-write-new-1m' % _fmt, _fmt, ['-w', '-s', '1M', '-d', '8'], 512, True),
                 ('%s-read-1m' % _fmt, _fmt, ['-s', '1M', '-d', '8'], 512, False),
                 ('%s-write-again-1m' % _fmt, _fmt, ['-w', '-s', '1M', '-d', '8'], 512, False)]
REQUESTS.append(('vdi-read-4k', 'vdi', ['-s', '4k', '-d', '16'], 50000, False))


def requests(program, options):
    img = tool(program, options)
    path = os.path.join(options.folder, 'bench.image')
    result = {}
    for key, fmt, args, count, new in REQUESTS:
        if new:
            if os.path.exists(path):
                os.unlink(path)
            timed(img, 'create', '-q', '-f', fmt, path, '4G')
        elif key == 'vdi-read-4k':
            timed(img, 'create', '-q', '-f', fmt, path, '4G')
            timed(img, 'bench', '-w', '-f', fmt, '-s', '1M', '-c', '512', '-t', 'writeback', path)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run([img, 'bench', '-f', fmt, '-t', 'writeback', '-c', str(count), *args, path],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                              check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        if done.returncode:
            raise OSError('%s: %s' % (key, done.stderr.strip()))
        seconds = float(done.stdout.split('completed in ')[1].split()[0])
        cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
        result[key] = [seconds * 1e6 / count]
        result[key + '-cpu'] = [cpu * 1e6 / count]
    os.unlink(path)
    return result


GROUPS = [
    ('convert', convert, 'qemu-img convert'),
    ('info', info, 'qemu-img info'),
    ('vdi', requests, 'requests to VDI, and to raw beside it'),
]

FIGURES = []
for _kind, _source, _target in WAYS:
    _key = 'convert-%s-%s-%s' % (_kind, _source, _target)
    FIGURES += [(_key, 'convert %s %s to %s' % (_kind, _source, _target), 'ms', True, 0, None),
                (_key + '-cpu', '  processor', 'ms', True, 0, None)]
for _fmt in ('raw', 'vdi', 'qcow2'):
    FIGURES += [('info-' + _fmt, 'qemu-img info, ' + _fmt, 'ms', True, 1, None),
                ('info-%s-cpu' % _fmt, '  processor', 'ms', True, 1, None)]
for _key, _fmt, _args, _count, _new in REQUESTS:
    FIGURES += [(_key, '%s, bench %s%s' % (_fmt, ' '.join(_args), ', new image' if _new else ''), 'us', True, 1, None),
                (_key + '-cpu', '  processor', 'us', True, 1, None)]
