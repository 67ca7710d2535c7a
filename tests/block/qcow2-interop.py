#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""qcow2 images go back and forth between Tern's tools and the stock ones.

For combinations of options (pairwise): one side creates the image, both sides write to it in turn (data, zeros,
discards, compressed clusters), and after each turn the other side's `check` finds nothing and its `compare` finds what
was written. Internal snapshots, resizing and amending take part.

  QCOW2_SEED, QCOW2_ROUNDS   other random choices, more of them
"""

import itertools
import json
import os
import random
import shutil
import subprocess

HERE = os.path.dirname(os.path.realpath(__file__))
SOURCE = os.path.realpath(os.path.join(HERE, '../..'))

BUILD = os.environ.get('TERN_BUILD_DIR') or os.path.join(SOURCE, 'build')
TERN = {'img': os.path.join(BUILD, 'tools/qemu-img/qemu-img'), 'io': os.path.join(BUILD, 'tools/qemu-io/qemu-io')}
STOCK = {'img': shutil.which('qemu-img'), 'io': shutil.which('qemu-io')}
SEED = int(os.environ.get('QCOW2_SEED', '1'))
ROUNDS = int(os.environ.get('QCOW2_ROUNDS', '1'))
SIZE = 3 * 1024 * 1024 + 512 * 7

AXES = {
    'compat': ['1.1', '0.10'],
    'cluster_size': ['64k', '512', '4k', '2M', '16k'],
    'refcount_bits': ['16', '1', '2', '8', '64'],
    'extended_l2': ['off', 'on'],
    'compression_type': ['zlib', 'zstd'],
    'lazy_refcounts': ['off', 'on'],
    'preallocation': ['off', 'metadata', 'falloc', 'full'],
    'backing': ['none', 'raw', 'qcow2'],
    'data_file': ['none', 'plain', 'raw'],
}


def allowed(c):
    """What the format permits."""
    if c['compat'] == '0.10' and (c['refcount_bits'] != '16' or c['extended_l2'] == 'on' or c['lazy_refcounts'] == 'on' or
                                  c['compression_type'] != 'zlib' or c['data_file'] != 'none'):
        return False
    if c['extended_l2'] == 'on' and c['cluster_size'] in ('512', '4k'):
        return False
    if c['backing'] != 'none' and c['preallocation'] != 'off' and c['extended_l2'] == 'off':
        return False
    if c['data_file'] == 'raw' and c['backing'] != 'none':
        return False
    return True


def pairwise():
    """Combinations such that each allowed pair of values occurs."""
    rnd = random.Random(4)
    names = list(AXES)
    pairs = {(a, x, b, y) for a, b in itertools.combinations(names, 2) for x in AXES[a] for y in AXES[b]}
    result = []
    misses = 0
    while pairs and misses < 400:
        best, gain = None, 0
        for _ in range(60):
            c = {n: rnd.choice(AXES[n]) for n in names}
            if not allowed(c):
                continue
            g = sum((a, c[a], b, c[b]) in pairs for a, b in itertools.combinations(names, 2))
            if g > gain:
                best, gain = c, g
        if best is None:
            misses += 1
            continue
        result.append(best)
        pairs -= {(a, best[a], b, best[b]) for a, b in itertools.combinations(names, 2)}
    return result


class Failed(Exception):
    pass


def run(command, ok=(0,)):
    p = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=120)
    if p.returncode not in ok:
        raise Failed('%s: status %d\n%s' % (' '.join(command), p.returncode, p.stdout))
    return p.stdout


class Image:
    def __init__(self, combination, rnd):
        self.c, self.rnd = combination, rnd
        self.model = bytearray(SIZE)
        self.cluster = {'512': 512, '4k': 4096, '16k': 16384, '64k': 65536, '2M': 2 << 20}[combination['cluster_size']]
        self.snapshots = {}
        self.dirty_tail = False

    def create(self, tools):
        options = ['%s=%s' % (k, self.c[k]) for k in ('compat', 'cluster_size', 'refcount_bits', 'extended_l2',
                                                      'compression_type', 'lazy_refcounts', 'preallocation')]
        if self.c['data_file'] != 'none':
            options.append('data_file=data.raw')
            if self.c['data_file'] == 'raw':
                options.append('data_file_raw=on')
        extra = []
        if self.c['backing'] != 'none':
            n = SIZE - 65536 * 3
            base = bytes((i // 4096 * 7 + 1) & 255 for i in range(0, n, 512) for _ in range(512))
            with open('base.raw', 'wb') as f:
                f.write(base)
            self.model[:n] = base
            if self.c['backing'] == 'qcow2':
                run([STOCK['img'], 'convert', '-f', 'raw', '-O', 'qcow2', 'base.raw', 'base.qcow2'])
            extra = ['-b', 'base.' + self.c['backing'], '-F', self.c['backing']]
        run([tools['img'], 'create', '-q', '-f', 'qcow2', '-o', ','.join(options)] + extra + ['i.qcow2', str(SIZE)])

    def place(self):
        r = self.rnd
        unit = r.choice((1, 512, 512, 4096, self.cluster))
        offset = r.randrange(SIZE) // unit * unit
        length = min(r.choice((512, 4096, 30000, 65536, 200000, self.cluster)) // unit * unit or unit, SIZE - offset)
        return offset, length

    def operation(self, tools):
        r = self.rnd
        offset, length = self.place()
        kind = r.randrange(100)
        if kind < 55:
            p = r.randrange(1, 256)
            self.model[offset:offset + length] = bytes((p,)) * length
            return 'write -P %d %d %d' % (p, offset, length)
        if kind < 75:
            self.model[offset:offset + length] = bytes(length)
            return 'write -z %s %d %d' % ('-u' if r.random() < .5 else '', offset, length)
        # The stock driver compresses only what is not allocated yet.
        if kind < 85 and tools is TERN and self.c['data_file'] == 'none' and self.cluster < (2 << 20):
            offset = offset // self.cluster * self.cluster
            length = min(self.cluster, SIZE - offset)
            p = r.randrange(1, 256)
            self.model[offset:offset + length] = bytes((p,)) * length
            return 'write -c -P %d %d %d' % (p, offset, length)
        if kind < 92 and self.c['compat'] == '1.1':
            # Whole clusters read as zeros then, in both; of the rest nobody knows.
            first = -(-offset // self.cluster) * self.cluster
            end = (offset + length) // self.cluster * self.cluster
            if end > first:
                self.model[first:end] = bytes(end - first)
                return 'discard %d %d' % (first, end - first)
        if kind < 96:
            return 'flush'
        return 'read -P %d %d 512' % (self.model[offset // 512 * 512], offset // 512 * 512) \
            if len(set(self.model[offset // 512 * 512:offset // 512 * 512 + 512])) == 1 else 'flush'

    def write(self, tools, n):
        commands = []
        for _ in range(n):
            commands += ['-c', self.operation(tools)]
        out = run([tools['io'], '-f', 'qcow2', '-d', 'unmap', 'i.qcow2'] + commands)
        if 'failed' in out or 'rror' in out:
            raise Failed('%s %s:\n%s' % (tools['io'], commands, out))

    def same(self, tools, name=None):
        with open('model.raw', 'wb') as f:
            f.write(self.model)
        run([tools['img'], 'compare', '-f', 'raw', '-F', 'qcow2', 'model.raw', 'i.qcow2'])
        if self.c['data_file'] == 'raw':
            with open('data.raw', 'rb') as f:
                if f.read()[:SIZE] != bytes(self.model):
                    raise Failed('the data file is not what the image is')

    def check(self):
        run([STOCK['img'], 'check', '-f', 'qcow2', 'i.qcow2'])
        out = run([TERN['img'], 'check', '-f', 'qcow2', 'i.qcow2'], ok=(0, 1))
        if 'No errors' not in out and 'not found' not in out:
            raise Failed(out)

    def snapshots_allowed(self):
        return self.c['data_file'] == 'none' and self.c['refcount_bits'] not in ('1', '2')

    def snapshot(self, tools):
        """Create, apply or delete one, at random."""
        r = self.rnd
        kind = r.randrange(3) if self.snapshots else 0
        if kind == 0 and len(self.snapshots) < 3:
            name = 's%d' % r.randrange(1000000)
            run([tools['img'], 'snapshot', '-c', name, 'i.qcow2'])
            self.snapshots[name] = bytes(self.model)
        elif kind == 1 and self.snapshots:
            name = r.choice(sorted(self.snapshots))
            run([tools['img'], 'snapshot', '-a', name, 'i.qcow2'])
            self.model[:] = self.snapshots[name]
        elif self.snapshots:
            name = r.choice(sorted(self.snapshots))
            run([tools['img'], 'snapshot', '-d', name, 'i.qcow2'])
            del self.snapshots[name]


def round_trip(combination, seed):
    rnd = random.Random(seed)
    image = Image(combination, rnd)
    order = [TERN, STOCK] if rnd.random() < .5 else [STOCK, TERN]
    image.create(order[0])
    image.same(order[1])
    image.check()
    for turn in range(4):
        tools = order[turn % 2]
        image.write(tools, rnd.randrange(8, 25))
        image.check()
        image.same(order[(turn + 1) % 2])
        if image.snapshots_allowed():
            image.snapshot(tools)
            image.check()
            image.same(order[(turn + 1) % 2])


def flags_of_bitmaps():
    out = run([STOCK['img'], 'info', '--output=json', 'i.qcow2'])
    return [b['flags'] for b in json.loads(out)['format-specific']['data']['bitmaps']]


def bitmaps(_combination, _seed):
    """Persistent bitmaps of others: kept while nothing is written, not to be trusted afterwards."""
    run([STOCK['img'], 'create', '-q', '-f', 'qcow2', 'i.qcow2', '1M'])
    run([STOCK['img'], 'bitmap', '--add', 'i.qcow2', 'b0'])
    run([TERN['io'], '-f', 'qcow2', '-c', 'read 0 512', 'i.qcow2'])
    if flags_of_bitmaps() != [['auto']]:
        raise Failed('a reader has changed the bitmaps')
    run([TERN['io'], '-f', 'qcow2', '-c', 'write 0 512', 'i.qcow2'])
    if flags_of_bitmaps() != [['in-use', 'auto']]:
        raise Failed('a writer has not marked the bitmaps')
    run([STOCK['img'], 'check', 'i.qcow2'])
    run([STOCK['img'], 'bitmap', '--remove', 'i.qcow2', 'b0'])
    run([STOCK['img'], 'check', 'i.qcow2'])


def cleanup():
    for name in os.listdir('.'):
        if name.endswith(('.raw', '.qcow2')):
            os.unlink(name)


def main():
    if not STOCK['img'] or not STOCK['io']:
        print('1..0 # SKIP qemu-img and qemu-io (qemu-utils) are not installed')
        return
    cases = [(round_trip, c) for c in pairwise()] + [(bitmaps, {'bitmaps': 'of others'})]
    print('1..%d' % len(cases))
    print('# seed %d' % SEED)
    os.chdir(os.environ.get('TMPDIR', '.'))
    number = 0
    for function, c in cases:
        number += 1
        text = ' '.join('%s=%s' % (k, v) for k, v in c.items() if v != AXES.get(k, [None])[0]) or 'defaults'
        try:
            for i in range(ROUNDS):
                seed = SEED * 1000003 + number * 1009 + i
                cleanup()
                function(c, seed)
            print('ok %d - %s' % (number, text), flush=True)
        except (Failed, subprocess.TimeoutExpired) as e:
            print('not ok %d - %s' % (number, text))
            print('# seed %d' % seed)
            print('\n'.join('# ' + line for line in str(e).splitlines()[-30:]), flush=True)
            if os.environ.get('QCOW2_KEEP'):
                break
    if not os.environ.get('QCOW2_KEEP'):
        cleanup()


main()
