# SPDX-License-Identifier: GPL-2.0-or-later
"""virtio-blk and slirp under a load from outside (ring_load.py). Rows for figures.py: GROUPS and FIGURES.

Every run measures one machine and one kind of requests for a short time. Requests are 4 KiB and random, or 64 KiB one
behind the other with 8 in flight; used rings are polled by the load, interrupts are asked for as Linux asks for them.
"""

import json
import os
import tempfile

import ring_load

SECONDS = '0.4'
DISK = 256 << 20
BLK_ID, NET_ID = 2, 1
RANDOM = {1: ['--random'], 32: ['--random', '--depth', '32']}
SEQUENTIAL = ['--bytes', '65536', '--depth', '8']
MAC = '52:54:00:12:34:56'


def blk_machine(program, folder, node, iothread):
    args = ['-blockdev', json.dumps(dict(node, **{'node-name': 'd'}))]
    device = 'virtio-blk-pci,drive=d,num-queues=1'
    if iothread:
        args += ['-object', 'iothread,id=io0']
        device += ',iothread=io0'
    return ring_load.machine(program, folder, args + ['-device', device])


def blk_run(program, options, node, iothread, words):
    """One measurement in a fresh machine: what ring-load says."""
    folder = options.folder
    with blk_machine(program, folder, node, iothread) as vm:
        rings = ring_load.start(vm, BLK_ID, 1, 128)
        return ring_load.load(vm, folder, ['blk', '--interrupts', '--seconds', SECONDS, '--disk', str(DISK)] + words + rings)


def random_figures(found, key, run):
    """Adds requests a second and processor microseconds of each depth."""
    for depth, words in RANDOM.items():
        got = run(words)
        found[f'{key}-{depth}-iops'] = [got['requests'] / got['seconds']]
        if got['requests']:
            found[f'{key}-{depth}-us'] = [got['cpu'] / got['requests'] * 1e6]


def blk_null(program, options):
    node = {'driver': 'null-co', 'size': DISK, 'read-zeroes': False}
    found = {}
    for place in 'main', 'iothread':
        random_figures(found, f'blk-{place}', lambda words, io=place == 'iothread': blk_run(program, options, node, io, words))
    return found


def disk_file(folder):
    """A file with data, in the folder; it goes with it."""
    path = os.path.join(folder, 'disk')
    if not os.path.exists(path):
        with open(path, 'wb') as file:
            for _ in range(DISK >> 20):
                file.write(os.urandom(1 << 20))
            os.fsync(file.fileno())
    return path


def file_node(path, aio):
    return {'driver': 'file', 'filename': path, 'aio': aio, 'cache': {'direct': True}}


ENGINES = ('io_uring', 'native', 'threads')


def blk_file(program, options):
    found = {}
    path = disk_file(options.disk_folder)
    for aio in ENGINES:
        random_figures(found, f'file-{aio}', lambda words, aio=aio: blk_run(program, options, file_node(path, aio), True, words))
    return found


def sequential_figures(found, key, got):
    found[f'{key}-mbs'] = [got['requests'] * 65536 / got['seconds'] / 1e6]
    if got['requests']:
        found[f'{key}-cpu'] = [got['cpu'] / (got['requests'] * 65536) * 1e9]


def blk_sequential(program, options):
    found = {}
    for place, folder in ('disk', options.disk_folder), ('memory', options.folder):
        path = disk_file(folder)
        for kind, words in ('read', []), ('write', ['--write']):
            got = blk_run(program, options, file_node(path, 'io_uring'), True, SEQUENTIAL + words)
            sequential_figures(found, f'seq-{place}-{kind}', got)
    return found


def slirp(program, options):
    found = {}
    args = ['-netdev', 'user,id=n0', '-device', f'virtio-net-pci,netdev=n0,mac={MAC}']
    for way, words in ('out', []), ('in', ['--receive']):
        with ring_load.machine(program, options.folder, args) as vm:
            rings = ring_load.start(vm, NET_ID, 2, 256)
            got = ring_load.load(vm, options.folder, ['net', '--interrupts', '--seconds', SECONDS] + words + rings)
        found[f'slirp-{way}-mbs'] = [got['bytes'] / got['seconds'] / 1e6]
        if got['bytes']:
            found[f'slirp-{way}-cpu'] = [got['cpu'] / got['bytes'] * 1e9]
    return found


def better(tern, stock):
    return stock is None or tern >= stock


def cheaper(tern, stock):
    return stock is None or tern <= stock


def random_rows(key, title):
    return [row for depth in RANDOM for row in (
        (f'{key}-{depth}-iops', f'{title}, {depth} at a time', '/s', False, 0, None),
        (f'{key}-{depth}-us', '  processor of a request', 'us', True, 2, ('not more than stock', cheaper)))]


def stream_rows(key, title):
    return [(f'{key}-mbs', title, 'MB/s', False, 0, None),
            (f'{key}-cpu', '  processor', 's/GB', True, 3, ('not more than stock', cheaper))]


GROUPS = [
    ('virtio-blk', blk_null, 'virtio-blk without a disk'),
    ('virtio-blk-file', blk_file, 'virtio-blk, random 4 KiB'),
    ('virtio-blk-seq', blk_sequential, 'virtio-blk, sequential'),
    ('slirp', slirp, 'user networking'),
]
FIGURES = random_rows('blk-main', 'virtio-blk, null-co, main loop')
FIGURES += random_rows('blk-iothread', 'virtio-blk, null-co, iothread')
for engine in ENGINES:
    FIGURES += random_rows(f'file-{engine}', f'virtio-blk, file, {engine}')
for where in 'disk', 'memory':
    for what in 'read', 'write':
        FIGURES += stream_rows(f'seq-{where}-{what}', f'virtio-blk, 64 KiB {what}s, file ({where})')
FIGURES += stream_rows('slirp-out', 'slirp, TCP to the host')
FIGURES += stream_rows('slirp-in', 'slirp, TCP from the host')
