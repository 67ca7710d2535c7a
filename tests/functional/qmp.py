#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""QMP of the real program: the schema and the commands agree, the schema is one that clients can walk, sessions survive
what clients send."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ.get('TERN_SOURCE_DIR') or os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..')
sys.path.insert(0, os.path.join(SOURCE, 'tests/unit'))
import tap  # noqa: E402

EMULATOR = os.environ['QTEST_QEMU_BINARY']


class Emulator:
    """Started with a QMP socket; clients connect to it."""

    def __init__(self, *args):
        self.dir = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.dir.name, 'qmp')
        self.process = subprocess.Popen(
            [EMULATOR, '-M', 'none', '-nodefaults', '-accel', 'qtest', '-display', 'none',
             '-qmp', f'unix:{self.path},server=on,wait=off', *args],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        deadline = time.monotonic() + 60
        while not os.path.exists(self.path):
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError('no socket: ' + self.process.communicate()[1].decode())
            time.sleep(0.002)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def close(self):
        self.process.send_signal(signal.SIGTERM)
        _, err = self.process.communicate(timeout=60)
        self.dir.cleanup()
        return self.process.returncode, err.decode()


class Client:
    """One session."""

    def __init__(self, path, negotiate=True):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        deadline = time.monotonic() + 60
        while True:
            try:
                self.socket.connect(path)
                break
            except ConnectionRefusedError: # bound, and listening in a moment
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.002)
        self.file = self.socket.makefile('rb')
        self.greeting = self.read()
        if negotiate:
            self.command('qmp_capabilities')

    def read(self):
        return json.loads(self.file.readline())

    def send(self, data):
        self.socket.sendall(data if isinstance(data, bytes) else data.encode())

    def ask(self, name, /, **arguments):
        self.send(json.dumps({'execute': name, 'arguments': arguments}))
        answer = self.read()
        while 'event' in answer:
            answer = self.read()
        return answer

    def command(self, name, **arguments):
        answer = self.ask(name, **arguments)
        if 'return' not in answer:
            raise AssertionError(f'{name}: {answer}')
        return answer['return']

    def close(self):
        self.file.close()
        self.socket.close()


class Qmp(unittest.TestCase):
    def setUp(self):
        self.emulator = Emulator()
        self.addCleanup(self.emulator.kill)
        self.client = Client(self.emulator.path)

    def tearDown(self):
        self.client.close()
        status, err = self.emulator.close()
        self.assertEqual(status, 0, err)

    def test_greeting(self):
        version = self.client.greeting['QMP']['version']
        self.assertEqual(self.client.greeting['QMP']['capabilities'], ['oob'])
        self.assertEqual(self.client.command('query-version'), version)
        self.assertEqual(version['qemu'], {'major': 10, 'minor': 0, 'micro': 2})
        self.assertRegex(version['package'], r'^Tern \d')

    def test_declared_is_there(self):
        """What the schema declares can be run, and nothing else can."""
        schema = self.client.command('query-qmp-schema')
        declared = {e['name'] for e in schema if e['meta-type'] == 'command'}
        there = {c['name'] for c in self.client.command('query-commands')}
        self.assertEqual(sorted(declared), sorted(there))

    def test_schema_can_be_walked(self):
        schema = self.client.command('query-qmp-schema')
        entries = {e['name']: e for e in schema}
        self.assertEqual(len(entries), len(schema))
        used = set()
        for e in schema:
            kind = e['meta-type']
            references = {
                'command': lambda: [e['arg-type'], e['ret-type']],
                'event': lambda: [e['arg-type']],
                'array': lambda: [e['element-type']],
                'object': lambda: [m['type'] for m in e['members'] + e.get('variants', [])],
                'alternate': lambda: [m['type'] for m in e['members']],
            }.get(kind, list)()
            for name in references:
                self.assertIn(name, entries, e)
                used.add(name)
            if kind == 'object' and 'tag' in e:
                self.assertIn(e['tag'], [m['name'] for m in e['members']])
        types = {e['name'] for e in schema if e['meta-type'] not in ('command', 'event')}
        self.assertEqual(types - used - {'0'}, set())

    def test_same_as_stock(self):
        """Arguments and results of our commands are a part of stock's, by name, type and being optional. The golden file is
        what stock 10.0.2 answers to query-qmp-schema. What is ours alone is called x-something."""
        with open(os.path.join(SOURCE, 'tests/golden/qmp-schema-10.0.json'), encoding='utf-8') as f:
            stock = {e['name']: e for e in json.load(f)}
        ours = {e['name']: e for e in self.client.command('query-qmp-schema')}
        problems = []

        def compare(mine, theirs, path, seen):
            a, b = ours[mine], stock[theirs]
            if (mine, theirs) in seen:
                return
            seen.add((mine, theirs))
            if a['meta-type'] != b['meta-type']:
                problems.append(f"{path}: {a['meta-type']} here, {b['meta-type']} there")
            elif a['meta-type'] == 'builtin' and a['json-type'] != b['json-type']:
                problems.append(f"{path}: {a['json-type']} here, {b['json-type']} there")
            elif a['meta-type'] == 'array':
                compare(a['element-type'], b['element-type'], path + '[]', seen)
            elif a['meta-type'] == 'enum':
                for value in set(a['values']) - set(b['values']):
                    problems.append(f'{path}: value {value} is ours alone')
            elif a['meta-type'] == 'object':
                compare_objects(a, b, path, seen)

        def compare_objects(a, b, path, seen):
            theirs = {m['name']: m for m in b['members']}
            for m in a['members']:
                t = theirs.get(m['name'])
                if t is None and m['name'].startswith('x-') and 'default' in m:
                    continue
                if t is None:
                    problems.append(f"{path}.{m['name']}: ours alone")
                elif ('default' in m) != ('default' in t):
                    problems.append(f"{path}.{m['name']}: {'optional' if 'default' in m else 'mandatory'} here")
                else:
                    compare(m['type'], t['type'], f"{path}.{m['name']}", seen)
            cases = {v['case']: v['type'] for v in b.get('variants', [])}
            for v in a.get('variants', []):
                if v['case'] not in cases:
                    problems.append(f"{path}: case {v['case']} is ours alone")
                else:
                    compare(v['type'], cases[v['case']], f"{path}({v['case']})", seen)

        for name, entry in ours.items():
            if entry['meta-type'] not in ('command', 'event'):
                continue
            if name.startswith('x-') and name not in stock:
                continue
            if name not in stock:
                problems.append(f"{entry['meta-type']} {name}: ours alone")
                continue
            compare(entry['arg-type'], stock[name]['arg-type'], name, set())
            if entry['meta-type'] == 'command':
                compare(entry['ret-type'], stock[name]['ret-type'], name + ' returns', set())
                if entry.get('allow-oob', False) != stock[name].get('allow-oob', False):
                    problems.append(f'{name}: allow-oob differs')
        self.assertEqual(problems, [])

    def test_every_query_answers(self):
        """Every query without mandatory arguments gives an answer of the declared kind, or an error with a text."""
        schema = {e['name']: e for e in self.client.command('query-qmp-schema')}
        for name, entry in schema.items():
            if entry['meta-type'] != 'command' or not name.startswith('query-'):
                continue
            if any('default' not in m for m in schema[entry['arg-type']]['members']):
                continue
            answer = self.client.ask(name)
            if 'error' in answer:
                self.assertTrue(answer['error']['desc'], name)
            else:
                self.check_value(schema, entry['ret-type'], answer['return'], name)

    def check_value(self, schema, type_name, value, path):
        entry = schema[type_name]
        kind = entry['meta-type']
        if kind == 'array':
            self.assertIsInstance(value, list, path)
            for item in value:
                self.check_value(schema, entry['element-type'], item, path + '[]')
        elif kind == 'enum':
            self.assertIn(value, entry['values'], path)
        elif kind == 'object':
            self.assertIsInstance(value, dict, path)
            members = {m['name']: m for m in entry['members']}
            if 'tag' in entry:
                for v in entry['variants']:
                    if v['case'] == value[entry['tag']]:
                        members.update({m['name']: m for m in schema[v['type']]['members']})
            for m in members.values():
                self.assertTrue(m['name'] in value or 'default' in m, f"{path}.{m['name']} is missing")
            for key, item in value.items():
                self.assertIn(key, members, path)
                self.check_value(schema, members[key]['type'], item, f'{path}.{key}')
        elif kind == 'builtin':
            python = {'string': str, 'int': int, 'number': (int, float), 'boolean': bool}.get(entry['json-type'])
            if python:
                self.assertIsInstance(value, python, path)

    def test_bad_arguments_of_every_command(self):
        """Unknown and wrongly typed arguments are refused by name, whatever the command."""
        schema = {e['name']: e for e in self.client.command('query-qmp-schema')}
        for name, entry in schema.items():
            if entry['meta-type'] != 'command' or name in ('qmp_capabilities', 'device_add'):
                continue
            answer = self.client.ask(name, **{'no-such-argument': 1})
            self.assertIn('error', answer, name)
            self.assertRegex(answer['error']['desc'], r"is unexpected|is missing|expects|not accept", name)
            for member in schema[entry['arg-type']]['members']:
                if schema[member['type']].get('json-type') == 'value':
                    continue
                answer = self.client.ask(name, **{member['name']: [[None]]})
                self.assertIn('error', answer, f"{name} {member['name']}")

    def test_broken_input_and_two_sessions(self):
        for text in (b'{"execute":', b'}}}}', b'\xff\xff\xff', b'[' * 3000, b'{"a":"\x00"}', b'nonsense\n' * 50,
                     b'{"execute":"query-status","arguments":{"x":' + b'{"x":' * 900):
            self.client.send(text)
            self.client.close()
            self.client = Client(self.emulator.path)
        self.client.command('query-status')

    def test_no_reader(self):
        """A client that never reads and goes away leaves everything in order."""
        self.client.close()
        silent = socket.socket(socket.AF_UNIX)
        silent.connect(self.emulator.path)
        silent.setblocking(False)
        data = b'{"execute":"qmp_capabilities"}' + b'{"execute":"query-qmp-schema"}' * 20000
        for _ in range(100):
            try:
                data = data[silent.send(data):]
            except BlockingIOError:
                time.sleep(0.005)
        self.assertTrue(data)
        with open(f'/proc/{self.emulator.process.pid}/status', encoding='ascii') as f:
            resident = int(re.search(r'VmRSS:\s+(\d+)', f.read()).group(1))
        self.assertLess(resident, 200 << 10)
        silent.close()
        self.client = Client(self.emulator.path)
        self.client.command('query-status')


if __name__ == '__main__':
    tap.main()
