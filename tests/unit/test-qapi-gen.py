#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/qapi-gen: what it refuses, with the place; what it makes of conditions; the introspection's shape."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import tap

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../scripts'))
sys.dont_write_bytecode = True
from qapigen.parser import SchemaError  # noqa: E402
from qapigen.schema import Schema       # noqa: E402

SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../scripts/qapi-gen')
ENUM = "{ 'enum': 'Color', 'data': ['red', 'blue'] }\n"
POINT = "{ 'struct': 'Point', 'data': { 'x': 'int', '*y': 'int' } }\n"

# text -> what the message says, behind "a.json:LINE: "
BAD = [
    ("{ 'enum' 'A' }", 1, "expected ':'"),
    ("{ 'enum': 'A', 'data': [ 'a' }", 1, "expected ',' or ']'"),
    ("{ 'enum': 'A\n", 1, 'missing terminating'),
    ('{ "enum": 1 }', 1, "stray '\"'"),
    ("[]", 1, "expected '{'"),
    ("{ 'enum': 'A', 'enum': 'B' }", 1, "duplicate key 'enum'"),
    ("{ 'what': 'A' }", 1, 'must have exactly one of'),
    ("{ 'enum': 'A', 'struct': 'A' }", 1, 'must have exactly one of'),
    ("\n\n{ 'enum': 'A' }", 3, "misses key 'data'"),
    ("{ 'enum': 'A', 'data': [], 'foo': 1 }", 1, "stray '1'"),
    ("{ 'enum': 'A', 'data': [], 'foo': [] }", 1, "unknown key 'foo'"),
    ("{ 'enum': 'a', 'data': [] }", 1, 'not well-formed'),
    ("{ 'enum': 'A', 'data': ['x y'] }", 1, 'not well-formed'),
    ("{ 'enum': 'A', 'data': ['x-y', 'x_y'] }", 1, 'collides'),
    (ENUM + ENUM, 2, "already defined at "),
    ("{ 'struct': 'StrArray', 'data': {} }", 1, "must not end in 'Array'"),
    ("{ 'struct': 'A', 'data': { 'x': 'Nope' } }", 1, "unknown type 'Nope'"),
    ("{ 'struct': 'A', 'data': { 'x': ['int', 'int'] } }", 1, 'single type name'),
    ("{ 'struct': 'A', 'data': { 'x': 'null' } }", 1, "'null' only makes sense"),
    ("{ 'struct': 'A', 'data': { '1x': 'int' } }", 1, 'not well-formed'),
    ("{ 'struct': 'A', 'data': { 'u': 'int' } }", 1, 'reserved'),
    ("{ 'struct': 'A', 'data': { 'has-x': 'int' } }", 1, 'reserved'),
    ("{ 'struct': 'A', 'data': { 'x-y': 'int', 'x_y': 'int' } }", 1, 'collides'),
    (ENUM + "{ 'struct': 'A', 'base': 'Color', 'data': {} }", 2, "'base' must be a struct"),
    (POINT + "{ 'struct': 'A', 'base': 'Point', 'data': { 'x': 'str' } }", 2, 'defined twice'),
    ("{ 'struct': 'A', 'base': 'A', 'data': {} }", 1, 'contains itself'),
    (POINT + "{ 'union': 'U', 'base': 'Point', 'discriminator': 'k', 'data': {} }", 2, 'is not a member'),
    (POINT + "{ 'union': 'U', 'base': 'Point', 'discriminator': 'x', 'data': {} }", 2, 'mandatory enum'),
    (ENUM + "{ 'union': 'U', 'base': { '*k': 'Color' }, 'discriminator': 'k', 'data': {} }", 2, 'mandatory enum'),
    (ENUM + POINT + "{ 'union': 'U', 'base': { 'k': 'Color' }, 'discriminator': 'k', 'data': { 'pink': 'Point' } }",
     3, "branch 'pink' is not a value"),
    (ENUM + "{ 'union': 'U', 'base': { 'k': 'Color' }, 'discriminator': 'k', 'data': { 'red': 'int' } }",
     2, 'must be a struct'),
    (ENUM + POINT + "{ 'union': 'U', 'base': { 'k': 'Color', 'x': 'int' }, 'discriminator': 'k',\n"
     " 'data': { 'red': 'Point' } }", 3, 'defined twice'),
    ("{ 'alternate': 'A', 'data': {} }", 1, 'non-empty'),
    ("{ 'alternate': 'A', 'data': { 'a': 'int', 'b': 'number' } }", 1, 'cannot be told'),
    (ENUM + "{ 'alternate': 'A', 'data': { 'a': 'str', 'b': 'Color' } }", 2, 'cannot be told'),
    ("{ 'alternate': 'A', 'data': { 'a': 'any' } }", 1, "cannot use 'any'"),
    ("{ 'command': 'Foo' }", 1, 'not well-formed'),
    ("{ 'event': 'foo' }", 1, 'not well-formed'),
    ("{ 'command': 'c', 'boxed': true }", 1, "requires 'data'"),
    ("{ 'command': 'c', 'boxed': true, 'data': {} }", 1, 'named type'),
    ("{ 'command': 'c', 'data': 'int' }", 1, 'object or the name of one'),
    ("{ 'command': 'c', 'returns': 'Nope' }", 1, "unknown type 'Nope'"),
    ("{ 'command': 'c', 'allow-oob': 'yes' }", 1, 'must be true or false'),
    ("{ 'command': 'c' }\n{ 'command': 'c' }", 2, 'already defined'),
    ("{ 'command': 'c', 'if': 'lower' }", 1, 'not a valid identifier'),
    ("{ 'command': 'c', 'if': { 'some': [] } }", 1, "'all', 'any' or 'not'"),
    ("{ 'command': 'c', 'features': ['a', 'a'] }", 1, 'duplicate feature'),
    ("##\n# @d:\n##\n{ 'command': 'c' }", 1, "documentation is for 'd'"),
    ("##\n# @c:\n#\n# @x: gone\n##\n{ 'command': 'c', 'data': {} }", 1, 'describes nothing'),
    ("##\n# @c:\n", 1, "must end with '##'"),
    ("##\n#no space\n##\n", 2, "missing space"),
    ("{ 'include': 'other.json' }", 1, 'is not a module'),
]


def run(files, modules, *options):
    """Result and a function that reads outputs."""
    with tempfile.TemporaryDirectory() as d:
        for name, text in files.items():
            with open(os.path.join(d, name), 'w', encoding='utf-8') as f:
                f.write(text)
        out = os.path.join(d, 'out')
        os.mkdir(out)
        opts = [o.replace('@D@', d) for o in options]
        r = subprocess.run([sys.executable, SCRIPT, *opts, '--schema-dir', d, '--out-dir', out,
                            '--doc', os.path.join(out, 'doc.md'), *modules],
                           capture_output=True, text=True, check=False)
        outputs = {n: open(os.path.join(out, n), encoding='utf-8').read() for n in os.listdir(out)}
        return r, outputs


def introspection(outputs):
    """The JSON in introspect.c."""
    body = outputs['introspect.c'].split('qapi_introspect_json[] =')[1].split(';\n\n')[0]
    return json.loads(''.join(json.loads(x) for x in re.findall(r'^ {4}(".*")', body, re.M)))


class QapiGen(unittest.TestCase):
    def test_bad_schemas(self):
        for text, line, message in BAD:
            with tempfile.TemporaryDirectory() as d:
                with open(os.path.join(d, 'a.json'), 'w', encoding='utf-8') as f:
                    f.write(text)
                with self.assertRaises(SchemaError, msg=text) as raised:
                    Schema(d, ['a'], set())
            self.assertRegex(str(raised.exception), rf'a\.json:{line}: .*{re.escape(message)}', text)

    def test_bad_schema_ends_the_program(self):
        text, line, message = BAD[0]
        r, outputs = run({'a.json': text}, ['a'])
        self.assertEqual(r.returncode, 1)
        self.assertRegex(r.stderr, rf'^\S*a\.json:{line}: .*{re.escape(message)}\n$')
        self.assertEqual(outputs, {})

    def test_missing_module(self):
        r, _ = run({}, ['nope'])
        self.assertEqual(r.returncode, 1)
        self.assertIn('nope.json', r.stderr)

    def test_conditions(self):
        text = ("{ 'enum': 'E', 'data': ['a', { 'name': 'b', 'if': 'CONFIG_B' }] }\n"
                "{ 'struct': 'S', 'data': { 'e': 'E', '*c': { 'type': 'int', 'if': { 'not': 'CONFIG_B' } } } }\n"
                "{ 'command': 'x', 'data': 'S', 'if': { 'any': ['CONFIG_B', 'CONFIG_C'] } }\n"
                "{ 'command': 'y', 'data': 'S', 'if': { 'all': ['CONFIG_B', 'CONFIG_C'] } }\n")
        r, out = run({'a.json': text, 'config.h': '#define CONFIG_B\n#undef CONFIG_C\n'}, ['a'],
                     '--config', '@D@/config.h')
        self.assertEqual(r.returncode, 0, r.stderr)
        self.assertIn('E_B,', out['types-a.h'])
        self.assertNotIn('has_c', out['types-a.h'])
        self.assertIn('qmp_x(', out['commands-a.h'])
        self.assertNotIn('qmp_y(', out['commands-a.h'])
        r, out = run({'a.json': text}, ['a'])
        self.assertNotIn('E_B,', out['types-a.h'])
        self.assertIn('has_c', out['types-a.h'])
        self.assertNotIn('qmp_x(', out['commands-a.h'])

    def test_introspection(self):
        text = ("{ 'enum': 'K', 'data': ['a', { 'name': 'b', 'features': ['deprecated'] }] }\n"
                "{ 'struct': 'A', 'data': { 'n': 'uint8', '*l': ['str'] } }\n"
                "{ 'union': 'U', 'base': { 'k': 'K' }, 'discriminator': 'k', 'data': { 'a': 'A' } }\n"
                "{ 'alternate': 'X', 'data': { 's': 'str', 'v': 'U' } }\n"
                "{ 'struct': 'Unused', 'data': {} }\n"
                "{ 'command': 'c', 'data': { 'x': 'X' }, 'returns': ['size'], 'allow-oob': true,\n"
                "  'features': ['f'] }\n"
                "{ 'event': 'E' }\n")
        r, out = run({'a.json': text}, ['a'])
        self.assertEqual(r.returncode, 0, r.stderr)
        entries = {e['name']: e for e in introspection(out)}
        command = entries['c']
        self.assertEqual(command['ret-type'], '[int]')
        self.assertEqual(command['allow-oob'], True)
        self.assertEqual(command['features'], ['f'])
        self.assertEqual(entries['E'], {'name': 'E', 'meta-type': 'event', 'arg-type': '0'})
        alternate = entries[entries[command['arg-type']]['members'][0]['type']]
        self.assertEqual(alternate['meta-type'], 'alternate')
        self.assertEqual(alternate['members'][0], {'type': 'str'})
        union = entries[alternate['members'][1]['type']]
        self.assertEqual(union['tag'], 'k')
        self.assertEqual([v['case'] for v in union['variants']], ['a', 'b'])
        self.assertEqual(union['variants'][1]['type'], '0')
        branch = entries[union['variants'][0]['type']]
        self.assertEqual(branch['members'], [{'name': 'n', 'type': 'int'},
                                             {'name': 'l', 'default': None, 'type': '[str]'}])
        kind = entries[union['members'][0]['type']]
        self.assertEqual(kind['values'], ['a', 'b'])
        self.assertEqual(kind['members'][1], {'name': 'b', 'features': ['deprecated']})
        self.assertEqual(entries['[str]'], {'name': '[str]', 'element-type': 'str', 'meta-type': 'array'})
        self.assertEqual(entries['int'], {'name': 'int', 'json-type': 'int', 'meta-type': 'builtin'})
        self.assertEqual(sum(e['meta-type'] == 'object' for e in entries.values()), 4)  # no Unused

    def test_same_output_twice_and_reference(self):
        text = "##\n# @Point:\n#\n# A place.\n#\n# @x: how far\n##\n" + POINT
        _, out = run({'a.json': text}, ['a'])
        _, again = run({'a.json': text}, ['a'])
        self.assertEqual(out, again)
        self.assertIn('A place.', out['doc.md'])
        self.assertIn('- `x`: int — how far', out['doc.md'])
        self.assertIn('- `y`: int (optional)', out['doc.md'])

    def test_real_schema_is_documented(self):
        """Every command and event of the real schema has a '##' comment."""
        schema_dir = os.path.join(os.path.dirname(SCRIPT), '../qapi')
        for name in sorted(os.listdir(schema_dir)):
            if name.endswith('.json'):
                with open(os.path.join(schema_dir, name), encoding='utf-8') as f:
                    text = f.read()
                for kind, symbol in re.findall(r"^\{ '(command|event)': '([^']+)'", text, re.M):
                    self.assertRegex(text, rf'(?m)^# @{re.escape(symbol)}:$', f'{name}: {kind} {symbol}')


if __name__ == '__main__':
    tap.main()
