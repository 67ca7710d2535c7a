# SPDX-License-Identifier: GPL-2.0-or-later
"""What the firmware reads from a machine: fw_cfg items and files, ACPI tables, SMBIOS structures."""

import struct

COMMAND = 0x80000
BUFFER = 0x100000
CHUNK = 32768
ERROR, READ, SELECT = 1, 2, 8


def item(qtest, key, size):
    """The first bytes of an item, by DMA."""
    if not size:
        return b''
    qtest.write(COMMAND, struct.pack('>IIQ', key << 16 | READ | SELECT, size, BUFFER))
    qtest.port_out(0x514, 4, 0)
    qtest.port_out(0x518, 4, int.from_bytes(struct.pack('>I', COMMAND), 'little'))
    assert struct.unpack('>I', qtest.read(COMMAND, 4))[0] == 0, 'fw_cfg DMA failed'
    return b''.join(qtest.read(BUFFER + at, min(CHUNK, size - at)) for at in range(0, size, CHUNK))


def directory(qtest):
    """{name: (key, size)} in the order of the directory."""
    count = struct.unpack('>I', item(qtest, 0x19, 4))[0]
    raw = item(qtest, 0x19, 4 + 64 * count)[4:]
    files = {}
    for at in range(0, len(raw), 64):
        size, key, _, name = struct.unpack('>IHH56s', raw[at:at + 64])
        files[name.split(b'\0')[0].decode()] = (key, size)
    return files


def files(qtest):
    """{name: contents}"""
    return {name: item(qtest, key, size) for name, (key, size) in directory(qtest).items()}


def text(raw):
    return raw.split(b'\0')[0].decode()


def load_acpi(contents, base=None):
    """Do what the firmware does with the loader's script.

    Returns {file: bytearray} with files at made-up addresses; asserts that the script makes sense.
    """
    base = base or {}
    place, memory, next_place = {}, {}, 0x7fe0000
    script = contents['etc/table-loader']
    for at in range(0, len(script), 128):
        command, rest = struct.unpack('<I', script[at:at + 4])[0], script[at + 4:at + 128]
        if command == 1:
            name = text(rest[:56])
            align = struct.unpack('<I', rest[56:60])[0]
            assert name in contents and name not in memory and align & (align - 1) == 0, name
            memory[name] = bytearray(contents[name])
            next_place = (next_place - len(memory[name])) // align * align
            place[name] = base.get(name, next_place)
        elif command == 2:
            dest, src = text(rest[:56]), text(rest[56:112])
            offset, size = struct.unpack('<IB', rest[112:117])
            value = int.from_bytes(memory[dest][offset:offset + size], 'little')
            assert offset + size <= len(memory[dest]) and value < len(memory[src]), (dest, offset)
            memory[dest][offset:offset + size] = (value + place[src]).to_bytes(size, 'little')
        elif command == 3:
            name = text(rest[:56])
            offset, start, length = struct.unpack('<III', rest[56:68])
            assert start + length <= len(memory[name]) and start <= offset < start + length, name
            memory[name][offset] = 0
            memory[name][offset] = -sum(memory[name][start:start + length]) & 0xff
        else:
            assert command in (0, 4), command
    return memory, place


def acpi_tables(contents):
    """[(signature, table)] as a guest finds them from the RSDP on; checksums are checked."""
    memory, place = load_acpi(contents)
    blob, at = memory['etc/acpi/tables'], place['etc/acpi/tables']

    def table(address):
        start = address - at
        length = struct.unpack('<I', blob[start + 4:start + 8])[0]
        data = bytes(blob[start:start + length])
        assert len(data) == length, 'a table is cut off'
        if data[:4] != b'FACS':
            assert sum(data) & 0xff == 0, data[:4]
        return data

    rsdp = memory['etc/acpi/rsdp']
    assert rsdp[:8] == b'RSD PTR ' and sum(rsdp[:20]) & 0xff == 0
    rsdt = table(struct.unpack('<I', rsdp[16:20])[0])
    assert rsdt[:4] == b'RSDT'
    found = []
    for pointer in struct.unpack('<%dI' % ((len(rsdt) - 36) // 4), rsdt[36:]):
        data = table(pointer)
        if data[:4] == b'FACP':
            facs, dsdt = struct.unpack('<II', data[36:44])
            found += [('FACS', table(facs)), ('DSDT', table(dsdt))]
        found.append((data[:4].decode(), data))
    return found


def without_addresses(signature, table):
    """The table with what depends on its place taken out, to compare two machines."""
    data = bytearray(table)
    if signature == 'FACP':
        data[36:44] = bytes(8)
    if signature != 'FACS':
        data[9] = 0
    return bytes(data)


def smbios_structures(blob):
    """[(type, handle, formatted part, [strings])]"""
    found, at = [], 0
    while at < len(blob):
        kind, length, handle = struct.unpack('<BBH', blob[at:at + 4])
        end = blob.index(b'\0\0', at + length) + 2
        strings = blob[at + length:end - 2]
        found.append((kind, handle, blob[at + 4:at + length], strings.split(b'\0') if strings else []))
        at = end
    return found
