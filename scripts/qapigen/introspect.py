# SPDX-License-Identifier: GPL-2.0-or-later
"""introspect.c: the answer to query-qmp-schema as one constant string, and lists of names."""

import json

from .names import BANNER, c_string


class Builder:
    """Numbers the types that commands and events reach."""

    def __init__(self, schema):
        self.schema = schema
        self.numbers = {}
        self.queue = []
        self.builtins = []
        self.arrays = []
        self.entries = []

    def type_name(self, t):
        if t.kind == 'builtin':
            name = {'size': 'int'}.get(t.name, t.name)
            name = 'int' if t.json_type() == 'int' else name
            if (name, t.json_type()) not in self.builtins:
                self.builtins.append((name, t.json_type()))
            return name
        if t.kind == 'array':
            element = self.type_name(t.element)
            name = f'[{element}]'
            if (name, element) not in self.arrays:
                self.arrays.append((name, element))
            return name
        if t not in self.numbers:
            self.numbers[t] = str(len(self.numbers) + 1)
            self.queue.append(t)
        return self.numbers[t]

    def args(self, c):
        if not c.arg or not (self.schema.all_members(c.arg) or c.arg.branches):
            return '0'
        return self.type_name(c.arg)

    def member(self, m):
        entry = {'name': m.name}
        if m.optional:
            entry['default'] = None
        entry['type'] = self.type_name(m.type)
        if m.features:
            entry['features'] = m.features
        return entry

    def type_entry(self, t):
        entry = {'name': self.numbers[t]}
        if t.kind == 'enum':
            entry['members'] = [{'name': v.name, 'features': v.features} if v.features else {'name': v.name}
                                for v in t.values]
            entry['meta-type'] = 'enum'
            entry['values'] = [v.name for v in t.values]
        elif t.kind == 'alternate':
            entry['members'] = [{'type': self.type_name(b.type)} for b in t.branches]
            entry['meta-type'] = 'alternate'
        else:
            entry['members'] = [self.member(m) for m in self.schema.all_members(t)]
            entry['meta-type'] = 'object'
            if t.tag:
                entry['tag'] = t.tag.name
                cases = {b.name: b.type for b in t.branches}
                entry['variants'] = [
                    {'case': v.name, 'type': self.branch(cases.get(v.name))} for v in t.tag.type.values]
        if t.features:
            entry['features'] = t.features
        return entry

    def branch(self, t):
        if t is None or not (self.schema.all_members(t) or t.branches):
            return '0'
        return self.type_name(t)

    def build(self):
        for c in self.schema.commands.values():
            entry = {'name': c.name, 'ret-type': self.ret(c), 'meta-type': 'command', 'arg-type': self.args(c)}
            if c.allow_oob:
                entry['allow-oob'] = True
            if c.features:
                entry['features'] = c.features
            self.entries.append(entry)
        for e in self.schema.events.values():
            entry = {'name': e.name, 'meta-type': 'event', 'arg-type': self.args(e)}
            if e.features:
                entry['features'] = e.features
            self.entries.append(entry)
        self.entries.append({'name': '0', 'members': [], 'meta-type': 'object'})
        while self.queue:
            self.entries.append(self.type_entry(self.queue.pop(0)))
        for name, element in self.arrays:
            self.entries.append({'name': name, 'element-type': element, 'meta-type': 'array'})
        for name, kind in self.builtins:
            self.entries.append({'name': name, 'json-type': kind, 'meta-type': 'builtin'})
        return self.entries

    def ret(self, c):
        if c.ret is None:
            return '0'
        if c.ret.kind == 'struct':
            return self.branch(c.ret)
        return self.type_name(c.ret)


def string_array(symbol, names):
    return [f'const char *const {symbol}[] = {{'] + [f'    {c_string(n)},' for n in names] + ['    NULL', '};', '']


def source(schema):
    text = json.dumps(Builder(schema).build())
    pieces = [text[i:i + 90] for i in range(0, len(text), 90)]
    lines = [BANNER.format(module='MODULE') + '#include "util/osdep.h"', '', '#include "qapi/dispatch.h"', '',
             'const char qapi_introspect_json[] =']
    lines += [f'    {c_string(p)}' for p in pieces]
    lines[-1] += ';'
    lines.append('')
    lines += string_array('qapi_schema_commands', sorted(schema.commands))
    lines += string_array('qapi_schema_events', sorted(schema.events))
    return '\n'.join(lines)
