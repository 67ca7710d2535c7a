# SPDX-License-Identifier: GPL-2.0-or-later
"""The section of a virtio card in a stream, field by field: what the stream's own description calls one field, "virtio".

    for name, data in rows(body): ...

An independent reader of the layout of docs/devel/virtio.md, for the tests: stock's sections and Tern's.
"""

import re
import struct

QUEUES = 1024  # a stream has room for so many
MSIX, EXPRESS = 0x11, 0x10
# Subsections: the fields at the beginning, and those of each queue behind them.
SUBSECTIONS = {
    'virtio/64bit_features': ((('guest_features', 8),), ()),
    'virtio/virtqueues': ((), (('avail', 8), ('used', 8))),
    'virtio/ringsize': ((), (('max', 4),)),
    'virtio/broken': ((('broken', 1),), ()),
    'virtio/extra_state': ((), ()),
    'virtio_pci/modern_state': ((('dfselect', 4), ('gfselect', 4), ('guest_features[0]', 4), ('guest_features[1]', 4)),
                                (('num', 2), ('unused', 1), ('enabled', 1), ('desc[0]', 4), ('desc[1]', 4), ('avail[0]', 4),
                                 ('avail[1]', 4), ('used[0]', 4), ('used[1]', 4))),
    'virtio/started': ((('started', 1),), ()),
    'virtio/packed_virtqueues': ((), (('last_avail', 2), ('avail_wrap', 1), ('used', 2), ('used_wrap', 1), ('in_flight', 4))),
    'virtio/disabled': ((('disabled', 1),), ()),
}
NAMED = re.compile(rb'\x05.([a-z0-9_-]+[/-][a-z0-9_/-]+)', re.S)


class Section:
    """A cursor over the bytes that collects rows."""

    def __init__(self, data):
        self.data, self.at, self.rows = data, 0, []

    def take(self, name, size):
        if self.at + size > len(self.data):
            raise ValueError('the section ends inside %s' % name)
        chunk = self.data[self.at:self.at + size]
        self.at += size
        self.rows.append((name, chunk))
        return chunk

    def number(self, name, size):
        return int.from_bytes(self.take(name, size), 'big')

    def card(self):
        """The PCI function; whether it has MSI-X."""
        self.take('pci.version', 4)
        config = self.data[self.at:self.at + 256]
        places, at = {}, config[0x34]
        while at and config[at] not in places:
            places[config[at]] = at
            at = config[at + 1]
        for offset in range(0, 4096 if EXPRESS in places else 256, 16):
            self.take('pci.config[%02x]' % offset, 16)
        self.take('pci.irq_state', 16)
        if MSIX not in places:
            return False
        vectors = struct.unpack_from('<H', config, places[MSIX] + 2)[0] % 2048 + 1
        for vector in range(vectors):
            self.take('msix.table[%d]' % vector, 16)
        self.take('msix.pending', (vectors + 7) // 8)
        self.take('config_vector', 2)
        return True

    def common(self, msix):
        for name, size in ('status', 1), ('isr', 1), ('queue_sel', 2), ('guest_features', 4):
            self.take(name, size)
        self.take('config', self.number('config_len', 4))
        for queue in range(self.number('queues', 4)):
            self.take('queue[%d].num' % queue, 4)
            self.take('queue[%d].desc' % queue, 8)
            self.take('queue[%d].last_avail' % queue, 2)
            if msix:
                self.take('queue[%d].vector' % queue, 2)

    def bytes_until_named(self, name):
        """What only the device knows, up to the next subsection."""
        match = self.next_named()
        end = match.start() if match else len(self.data)
        if end > self.at:
            self.take(name, end - self.at)

    def next_named(self):
        for match in NAMED.finditer(self.data, self.at):
            length = self.data[match.start() + 1]
            if match.end(1) - match.start(1) >= length:
                return match
        return None

    def subsection(self):
        length = self.data[self.at + 1]
        name = self.data[self.at + 2:self.at + 2 + length].decode('ascii')
        self.at += 2 + length
        self.rows.append(('<%s>' % name, b''))
        self.take('version', 4)
        if name in SUBSECTIONS:
            first, each = SUBSECTIONS[name]
            for field, size in first:
                self.take(field, size)
            for queue in range(QUEUES if each else 0):
                for field, size in each:
                    self.take('[%d].%s' % (queue, field), size)
        else:
            self.bytes_until_named('fields')


def rows(data):
    """(name, bytes) of every field, in the order of the stream."""
    section = Section(data)
    section.common(section.card())
    section.bytes_until_named('device')
    while section.at < len(data):
        if data[section.at] != 5:
            raise ValueError('no subsection at %d' % section.at)
        section.subsection()
    return section.rows


def hexadecimal(data):
    """Nine and more of a byte in a row as ` 00*9 `."""
    return re.sub(rb'(.)\1{8,}|.', lambda run: (b' %02x*%d ' % (run[0][0], len(run[0])) if run[1]
                                               else run[0].hex().encode()), data, flags=re.S).decode().strip()


def text(data):
    """Lines for a golden file; what is the same for queues in a row stands there once."""
    out, queues = [], []
    for name, value in rows(data) + [('', b'')]:
        match = re.match(r'\[(\d+)\]\.(.*)', name)
        if match:
            if not queues or int(match[1]) != queues[-1][0]:
                queues.append((int(match[1]), []))
            queues[-1][1].append((match[2], value))
            continue
        first = 0
        for at in range(1, len(queues) + 1):
            if at == len(queues) or queues[at][1] != queues[first][1]:
                span = '[%d]' % first if at == first + 1 else '[%d..%d]' % (first, at - 1)
                out += ['%s.%s %d: %s' % (span, field, len(one), hexadecimal(one)) for field, one in queues[first][1]]
                first = at
        queues = []
        if name:
            out.append(name if name.startswith('<') else '%s %d: %s' % (name, len(value), hexadecimal(value)))
    return out
