#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""tests/tools/stream-dump on synthetic streams, whole and damaged, and on the golden files."""
import copy
import glob
import json
import os
import struct
import subprocess
import tempfile
import unittest

import tap

HERE = os.path.dirname(os.path.realpath(__file__))
TOOL = os.path.join(HERE, '../tools/stream-dump')
GOLDEN = os.path.join(HERE, '../golden/vmstate')

PLUG = {'name': 'plug', 'instance_id': 0, 'vmsd_name': 'plug', 'version': 3, 'fields': [
    {'name': 'level', 'type': 'uint8', 'size': 1},
    {'name': 'word', 'type': 'uint16', 'size': 2, 'array_len': 3},
    {'name': 'pin', 'index': 0, 'type': 'struct', 'size': 4, 'struct': {
        'vmsd_name': 'pin', 'version': 1,
        'fields': [{'name': 'volts', 'type': 'int32', 'size': 4}]}},
    {'name': 'pin', 'type': 'struct', 'size': 4, 'struct': {
        'vmsd_name': 'pin', 'version': 1,
        'fields': [{'name': 'volts', 'type': 'int32', 'size': 4}]}}],
    'subsections': [{'vmsd_name': 'plug/heat', 'version': 1,
                     'fields': [{'name': 'kelvin', 'type': 'uint16', 'size': 2}]}]}


def pstr(text):
    return bytes([len(text)]) + text.encode()


def section(kind, ident, name, instance, version, body):
    return (bytes([kind]) + struct.pack('>I', ident) + pstr(name) +
            struct.pack('>II', instance, version) + body + footer(ident))


def footer(ident):
    return b'\x7e' + struct.pack('>I', ident)


def plug_body(level=7):
    heat = b'\x05' + pstr('plug/heat') + struct.pack('>IH', 1, 300)
    return bytes([level]) + struct.pack('>3H2i', 1, 2, 3, 5, -5) + heat


def make(desc=PLUG, body=None, machine='pc-test', tail=True, config=b''):
    ram = struct.pack('>Q', 0x3000 | 0x04) + pstr('pc.ram') + struct.pack('>Q', 0x3000)
    pages = (struct.pack('>Q', 0 | 0x02) + pstr('pc.ram') + b'\0' +
             struct.pack('>Q', 0x1000 | 0x08 | 0x20) + bytes(4096) +
             struct.pack('>Q', 0x2000 | 0x02 | 0x20) + b'\0')
    eos = struct.pack('>Q', 0x10)
    out = b'QEVM' + struct.pack('>I', 3)
    out += b'\x07' + struct.pack('>I', len(machine)) + machine.encode() + config
    out += section(1, 2, 'ram', 0, 4, ram + eos)
    out += b'\x02' + struct.pack('>I', 2) + pages + eos + footer(2)
    out += b'\x08' + struct.pack('>HH', 11, 0)
    out += b'\x03' + struct.pack('>I', 2) + eos + footer(2)
    out += section(4, 5, 'plug', 0, 3, plug_body() if body is None else body)
    out += b'\0'
    if tail:
        text = json.dumps({'page_size': 4096, 'devices': [desc]}).encode()
        out += b'\x06' + struct.pack('>I', len(text)) + text
    return out


class StreamDump(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def file(self, data, name='stream'):
        path = os.path.join(self.folder, name)
        with open(path, 'wb') as out:
            out.write(data)
        return path

    def dump(self, *args, status=0):
        done = subprocess.run([TOOL, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, check=False, timeout=60)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout if status < 2 else done.stderr

    def test_help(self):
        self.assertIn('stream-dump compare', self.dump('--help'))

    def test_sections_in_order(self):
        text = self.dump('list', self.file(make()))
        kinds = [line.split()[1] for line in text.splitlines()]
        self.assertEqual(kinds, ['configuration', 'start', 'part', 'command', 'end', 'full',
                                 'eof', 'vmdesc'])
        self.assertIn('pc-test', text)
        self.assertIn('switchover-start', text)
        self.assertIn('pc.ram:page=1 pc.ram:zero=2', text)

    def test_fields_with_bytes(self):
        lines = [line.split() for line in self.dump('hex', self.file(make()), 'plug').splitlines()]
        found = {line[1]: line[-1] for line in lines[1:]}
        self.assertEqual(found['level'], '07')
        self.assertEqual(found['word[2]'], '0003')
        self.assertEqual(found['pin[0].volts'], '00000005')
        self.assertEqual(found['pin.volts'], 'fffffffb')
        self.assertEqual(found['plug/heat:kelvin'], '012c')

    def test_ram(self):
        text = self.dump('ram', self.file(make()))
        self.assertIn('pc.ram', text)
        self.assertIn('0x3000', text)

    def test_configuration_subsections(self):
        uuid = b'\x05' + pstr('configuration/uuid') + struct.pack('>I', 1) + bytes(range(16))
        caps = (b'\x05' + pstr('configuration/capabilities') + struct.pack('>II', 1, 1) +
                pstr('validate-uuid'))
        text = self.dump('hex', self.file(make(config=uuid + caps)), 'configuration')
        self.assertIn('000102030405060708090a0b0c0d0e0f', text)
        self.assertIn('validate-uuid', text)

    def test_golden_and_check(self):
        folder = os.path.join(self.folder, 'golden')
        path = self.file(make())
        self.dump('golden', path, folder)
        with open(os.path.join(folder, 'plug.json'), encoding='utf-8') as src:
            golden = json.load(src)
        self.assertEqual(golden['version'], 3)
        self.assertEqual([field[0] for field in golden['fields']], ['level', 'word', 'pin[0..1]'])
        self.assertEqual(golden['fields'][1], ['word', 'uint16', 2, 'x3'])
        self.assertEqual(golden['subsections'][0]['vmsd'], 'plug/heat')
        self.dump('check', path, folder)
        other = copy.deepcopy(PLUG)
        other['version'] = 4
        text = self.dump('check', self.file(make(other), 'other'), folder, status=1)
        self.assertEqual(text, 'plug.version: 4 | 3\n')

    def test_golden_same_as(self):
        folder = os.path.join(self.folder, 'new')
        self.dump('golden', self.file(make()), folder)
        older = os.path.join(self.folder, 'old')
        os.mkdir(older)
        self.assertIn('no golden', self.dump('check', self.file(make()), older, status=1))
        with open(os.path.join(older, 'sections.json'), 'w', encoding='utf-8') as out:
            json.dump({'same-as': 'new'}, out)
        self.dump('check', self.file(make()), older)

    def test_compare(self):
        first = self.file(make())
        self.assertEqual(self.dump('compare', first, self.file(make(), 'b')), '')
        # an index left away at an array's last element is no difference
        other = copy.deepcopy(PLUG)
        other['fields'][3]['index'] = 1
        self.dump('compare', first, self.file(make(other), 'b'))
        other['fields'][0].update(type='uint16', size=2)
        body = b'\0' + plug_body()
        text = self.dump('compare', first, self.file(make(other, body), 'b'), status=1)
        self.assertIn('plug#0.fields[0][1]: "uint8" | "uint16"', text)

    def test_values(self):
        first = self.file(make())
        text = self.dump('values', first, self.file(make(body=plug_body(9)), 'b'), status=1)
        self.assertEqual(text, 'plug#0 level: 07 | 09\n')
        self.dump('values', first, first)

    def test_without_description(self):
        text = self.dump('hex', self.file(make(tail=False)), 'plug')
        self.assertIn('(not described)', text)

    def test_every_truncation(self):
        data = make(tail=False)
        whole = len(data)
        for size in [0, 3, 4, 7, 8, 9, 15, 30, 60, 100] + list(range(4200, whole - 1, 7)):
            done = subprocess.run([TOOL, 'list', '-'], input=data[:size], capture_output=True,
                                  check=False, timeout=60)
            self.assertNotIn(b'Traceback', done.stderr, size)
            if done.returncode == 0:  # cut exactly between two sections
                self.assertIn(data[size], b'\x01\x02\x03\x04\x08\x00\x07', size)

    def test_wrong_bytes(self):
        data = make()
        self.assertIn('magic', self.dump('list', self.file(b'XEVM' + data[4:]), status=2))
        self.assertIn('version is 2', self.dump(
            'list', self.file(data[:4] + struct.pack('>I', 2) + data[8:]), status=2))
        self.assertIn('no footer', self.dump('list', self.file(make(body=plug_body() + b'\1')),
                                             status=2))
        self.assertIn('footer names section 6', self.dump(
            'list', self.file(data.replace(footer(5), footer(6))), status=2))
        self.assertIn('not described', self.dump(
            'list', self.file(data.replace(b'plug/heat\0', b'plug/cold\0')), status=2))
        self.assertIn('No such file', self.dump('list', '/nonexistent', status=2))

    def test_golden_files_are_sound(self):
        folders = sorted(glob.glob(os.path.join(GOLDEN, 'pc-i440fx-*')))
        self.assertTrue(folders)
        for folder in folders:
            for path in glob.glob(os.path.join(folder, '*.json')):
                with open(path, encoding='utf-8') as src:
                    value = json.load(src)
                if os.path.basename(path) != 'sections.json':
                    self.assertEqual(os.path.basename(path), value['section'] + '.json')
                    self.check_shape(path, value)
                elif 'same-as' in value:
                    self.assertTrue(os.path.isdir(os.path.join(GOLDEN, value['same-as'])), path)
                else:
                    self.assertEqual(value['machine'], os.path.basename(folder))

    def check_shape(self, path, shape):
        for field in shape['fields']:
            self.assertIsInstance(field[0], str, path)
            self.assertIsInstance(field[1], str, path)
            self.assertIsInstance(field[2], int, path)
            if isinstance(field[-1], dict):
                self.check_shape(path, field[-1])
        for part in shape.get('subsections', []):
            self.check_shape(path, part)


if __name__ == '__main__':
    tap.main()
