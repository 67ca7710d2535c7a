# SPDX-License-Identifier: GPL-2.0-or-later
"""RAM on the move by several ways: what scripts/bench measures. Rows for figures.py: GROUPS and FIGURES.

Guest memory is that of guest_ram.py. Limits are those of this machine, measured in the
same run by ram-limits.c: copying and reading memory, looking for zeros, a stream through a unix socket.
"""

import os
import socket
import subprocess
import time

MIB = 1 << 20
CHANNELS = (1, 2, 4)


def half(program, options):
    """Every second megabyte is zero."""
    import figures
    return figures.ram(program, options, 'half', every=2)


def fresh(program, options):
    """Random RAM into memory that nobody has touched, as a real destination's is."""
    import figures
    return figures.ram(program, options, 'fresh', every=1, plain=True)


def free_port():
    with socket.socket() as sock:
        sock.bind(('127.0.0.1', 0))
        return sock.getsockname()[1]


def multifd(program, options):
    """Random RAM over TCP."""
    import figures
    samples = {}
    for count in CHANNELS:
        source, target = figures.ram_pair(program, options, every=1)
        with source, target:
            for vm in (source, target):
                vm.qmp.command('migrate-set-capabilities', {'capabilities': [
                    {'capability': name, 'state': True} for name in ('events', 'multifd')]})
                vm.qmp.command('migrate-set-parameters', dict(figures.FAST, **{'multifd-channels': count}))
            uri = 'tcp:127.0.0.1:%d' % free_port()
            target.qmp.command('migrate-incoming', {'uri': uri})
            before, start = source.cpu_seconds() + target.cpu_seconds(), time.monotonic()
            source.qmp.command('migrate', {'uri': uri})
            target.qmp.wait_event('RESUME', 120)
            samples['multifd%d-ms' % count] = [(time.monotonic() - start) * 1e3]
            cpu = source.cpu_seconds() + target.cpu_seconds() - before
            samples['multifd%d-cpu' % count] = [cpu / (options.ram / 1024)]
    return samples


def postcopy(program, options):
    """Pages that are asked for while the rest comes at 10 MB/s."""
    import figures
    path = os.path.join(options.folder, 'socket')
    source, target = figures.ram_pair(program, options, every=1, plain=True)
    with source, target:
        for vm in (source, target):
            vm.qmp.command('migrate-set-capabilities', {'capabilities': [
                {'capability': name, 'state': True} for name in ('events', 'postcopy-ram')]})
        source.qmp.command('migrate-set-parameters', {'max-bandwidth': 1000000, 'downtime-limit': 1,
                                                      'max-postcopy-bandwidth': 10000000})
        target.qmp.command('migrate-incoming', {'uri': 'unix:' + path})
        source.qmp.command('migrate', {'uri': 'unix:' + path})
        while source.qmp.command('query-migrate').get('status') != 'active':
            time.sleep(0.002)
        source.qmp.command('migrate-start-postcopy')
        target.qmp.wait_event('RESUME', 60)
        times = []
        for number in range(60):
            address = (options.ram // 2 + number) * MIB + 0x5000
            start = time.perf_counter()
            target.qtest.read(address, 8)
            times.append((time.perf_counter() - start) * 1e6)
        times.sort()
    return {'postcopy-page-us': [times[len(times) // 2]], 'postcopy-page-90-us': [times[len(times) * 9 // 10]]}


def capable(vm, name):
    return any(row['capability'] == name for row in vm.qmp.command('query-migrate-capabilities'))


def wait_completed(vm, seconds=120):
    import figures
    end = time.monotonic() + seconds
    while True:
        info = vm.qmp.command('query-migrate')
        if info.get('status') == 'completed':
            return
        if info.get('status') == 'failed' or time.monotonic() > end:
            raise figures.TestError('migration %s: %s' % (info.get('status'), info.get('error-desc')))
        time.sleep(0.002)


def mapped(program, options):
    """Random RAM to a mapped-ram file in memory, and back. Stock has that from 9.0 on."""
    import figures
    path = os.path.join(options.folder, 'mapped')
    source, target = figures.ram_pair(program, options, every=1)
    with source, target:
        if not capable(source, 'mapped-ram'):
            return {}
        for vm in (source, target):
            vm.qmp.command('migrate-set-capabilities', {'capabilities': [
                {'capability': name, 'state': True} for name in ('events', 'mapped-ram')]})
        source.qmp.command('migrate-set-parameters', figures.FAST)
        try:
            open(path, 'wb').close()
            before, start = source.cpu_seconds(), time.monotonic()
            source.qmp.command('migrate', {'uri': 'file:' + path})
            wait_completed(source)
            saved, wall = source.cpu_seconds() - before, time.monotonic() - start
            before, start = target.cpu_seconds(), time.monotonic()
            target.qmp.command('migrate-incoming', {'uri': 'file:' + path})
            target.qmp.wait_event('RESUME', 120)
            loaded, load_wall = target.cpu_seconds() - before, time.monotonic() - start
        finally:
            os.unlink(path)
    gib = options.ram / 1024
    return {'mapped-ms': [wall * 1e3], 'mapped-cpu': [saved / gib],
            'mapped-load-ms': [load_wall * 1e3], 'mapped-load-cpu': [loaded / gib]}


DEVICES = 30


def switchover_devices(program, options):
    """STOP of the source to RESUME of the destination with many virtio disks, by their own time stamps."""
    import figures
    args = list(figures.IDLE)
    for number in range(DEVICES):
        args += ['-blockdev', '{"driver":"null-co","node-name":"n%d","size":67108864,"read-zeroes":true}' % number,
                 '-device', 'virtio-blk-pci,id=d%d,drive=n%d,multifunction=on,addr=0x%x.%d'
                 % (number, number, 4 + number // 8, number % 8)]
    samples = []
    for _ in range(3):
        source, target = figures.pair(program, args, args)
        with source, target:
            figures.undisturbed(options, source, target)
            _, resumed = figures.move(source, target, os.path.join(options.folder, 'socket'), None)
            stopped = source.qmp.wait_event('STOP')
        samples.append((figures.stamp(resumed) - figures.stamp(stopped)) * 1e3)
    return {'switchover30-ms': samples}


def limits(program, options):
    """Once for the machine: in the column of the first program."""
    if program.name.startswith('stock'):
        return {}
    first = ['chrt', '--fifo', '1'] if options.realtime else []
    done = subprocess.run(first + [os.path.join(options.build, 'tests/bench/ram-limits')], stdout=subprocess.PIPE, text=True,
                          check=True, timeout=120)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {'limit-' + name: [float(value)] for name, value in rows}


GROUPS = [
    ('fresh', fresh, 'migration of random RAM into untouched memory'),
    ('half', half, 'migration of RAM of which half is zero'),
    ('multifd', multifd, 'migration of random RAM by multifd'),
    ('postcopy', postcopy, 'pages asked for in postcopy'),
    ('mapped', mapped, 'random RAM to a mapped-ram file and back'),
    ('switchover30', switchover_devices, 'STOP to RESUME with %d devices' % DEVICES),
    ('limits', limits, 'what this machine can do'),
]

FIGURES = [
    ('fresh-ms', 'migrate random RAM to untouched: total', 'ms', True, 0, None),
    ('fresh-cpu', '  processor, both sides', 's/GiB', True, 3, None),
    ('fresh-mbs', '  speed', 'MB/s', False, 0, None),
    ('half-ms', 'migrate half-zero RAM: total', 'ms', True, 0, None),
    ('half-cpu', '  processor, both sides', 's/GiB', True, 3, None),
    ('half-mbs', '  speed', 'MB/s', False, 0, None),
]
for _count in CHANNELS:
    FIGURES += [('multifd%d-ms' % _count, 'migrate random RAM, multifd %d (TCP)' % _count, 'ms', True, 0, None),
                ('multifd%d-cpu' % _count, '  processor, both sides', 's/GiB', True, 3, None)]
FIGURES += [
    ('postcopy-page-us', 'postcopy: a page that is asked for, median', 'us', True, 0, None),
    ('postcopy-page-90-us', '  9 of 10 are faster', 'us', True, 0, None),
    ('mapped-ms', 'random RAM to a mapped-ram file', 'ms', True, 0, None),
    ('mapped-cpu', '  processor', 's/GiB', True, 3, None),
    ('mapped-load-ms', '  and back', 'ms', True, 0, None),
    ('mapped-load-cpu', '  processor', 's/GiB', True, 3, None),
    ('switchover30-ms', 'switchover, %d virtio disks' % DEVICES, 'ms', True, 2,
     ('half of stock', lambda tern, stock: stock is None or stock >= 2 * tern)),
    ('limit-memcpy-mbs', 'limit: copying memory', 'MB/s', False, 0, None),
    ('limit-read-mbs', 'limit: reading memory', 'MB/s', False, 0, None),
    ('limit-scan-mbs', '  looking for zeros in it', 'MB/s', False, 0, None),
    ('limit-socket-mbs', 'limit: a stream over a unix socket', 'MB/s', False, 0, None),
    ('limit-socket-cpu', '  processor, both sides', 's/GiB', True, 3, None),
]
