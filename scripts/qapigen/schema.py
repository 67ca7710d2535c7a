# SPDX-License-Identifier: GPL-2.0-or-later
"""The checked schema: modules, types, commands, events."""

import os
import re

from .names import c_name
from .parser import Parser, SchemaError

# name: (JSON type for introspection, C type, is a pointer, C list type)
BUILTINS = {
    'str': ('string', 'char *', 'StrArray'),
    'number': ('number', 'double', 'NumberArray'),
    'int': ('int', 'int64_t', 'IntArray'),
    'int8': ('int', 'int8_t', 'Int8Array'),
    'int16': ('int', 'int16_t', 'Int16Array'),
    'int32': ('int', 'int32_t', 'Int32Array'),
    'int64': ('int', 'int64_t', 'Int64Array'),
    'uint8': ('int', 'uint8_t', 'Uint8Array'),
    'uint16': ('int', 'uint16_t', 'Uint16Array'),
    'uint32': ('int', 'uint32_t', 'Uint32Array'),
    'uint64': ('int', 'uint64_t', 'Uint64Array'),
    'size': ('int', 'uint64_t', 'SizeArray'),
    'bool': ('boolean', 'bool', 'BoolArray'),
    'null': ('null', 'bool', None),
    'any': ('value', 'json_object *', 'AnyArray'),
}

KEYS = {
    'include': set(),
    'pragma': set(),
    'enum': {'data', 'prefix', 'if', 'features'},
    'struct': {'data', 'base', 'if', 'features'},
    'union': {'base', 'discriminator', 'data', 'if', 'features'},
    'alternate': {'data', 'if', 'features'},
    'command': {'data', 'boxed', 'returns', 'success-response', 'gen', 'allow-oob', 'allow-preconfig',
                'coroutine', 'if', 'features'},
    'event': {'data', 'boxed', 'if', 'features'},
}
NEEDED = {'enum': ['data'], 'struct': ['data'], 'union': ['base', 'discriminator', 'data'],
          'alternate': ['data']}


class Type:
    """A type; kind is builtin, enum, struct (also unions), alternate, array."""

    def __init__(self, name, kind, module, place, doc=None):
        self.name = name
        self.kind = kind
        self.module = module
        self.place = place
        self.doc = doc
        self.features = []
        self.implicit = False  # arguments of a command: C struct only inside generated code

    @property
    def by_pointer(self):
        return self.kind in ('struct', 'alternate', 'array') or self.name in ('str', 'any')

    @property
    def aggregate(self):
        return self.kind in ('struct', 'alternate', 'array')

    def c_type(self):
        """C type of a member, with a trailing blank unless it ends in '*'."""
        if self.kind == 'builtin':
            c = BUILTINS[self.name][1]
            return c if c.endswith('*') else c + ' '
        if self.kind == 'enum':
            return c_name(self.name) + ' '
        return c_name(self.c_struct()) + ' *'

    def c_struct(self):
        return self.name

    def json_type(self):
        if self.kind == 'builtin':
            return BUILTINS[self.name][0]
        return {'enum': 'string', 'struct': 'object', 'array': 'array'}.get(self.kind, 'value')


class Array(Type):
    """A list of element."""

    def __init__(self, element):
        if element.kind == 'builtin':
            name = BUILTINS[element.name][2]
        else:
            name = c_name(element.name) + 'Array'
        super().__init__(name, 'array', element.module, element.place)
        self.element = element


class Member:
    """A member of a struct or a value of an enum."""

    def __init__(self, name, type_=None, optional=False, features=()):
        self.name = name
        self.type = type_
        self.optional = optional
        self.features = list(features)

    @property
    def has(self):
        return self.optional and not self.type.by_pointer


class Command:
    """A command or an event."""

    def __init__(self, name, module, expr):
        self.name = name
        self.module = module
        self.place = expr.place
        self.doc = expr.doc
        self.arg = None
        self.ret = None
        data = expr.data
        self.boxed = data.get('boxed', False)
        self.gen = data.get('gen', True)
        self.success_response = data.get('success-response', True)
        self.allow_oob = data.get('allow-oob', False)
        self.allow_preconfig = data.get('allow-preconfig', False)
        self.features = []


class Schema:
    """Everything that the modules say, checked."""

    def __init__(self, directory, modules, defined):
        self.defined = defined
        self.modules = modules
        self.types = {}
        self.arrays = {}
        self.commands = {}
        self.events = {}
        self.exprs = []
        self.order = []  # types in the order of the text
        for name in BUILTINS:
            self.types[name] = Type(name, 'builtin', None, 'built-in')
        for module in modules:
            self.load(directory, module)
        for module, expr in self.exprs:
            self.declare(module, expr)
        for module, expr in self.exprs:
            self.define(module, expr)
        for t in self.order:
            if t.kind == 'struct':
                self.check_struct(t, set())
        for t in self.order:
            if t.kind == 'alternate':
                self.check_alternate(t)

    # -- reading ------------------------------------------------------------------------------------------

    def load(self, directory, module):
        path = os.path.join(directory, module + '.json')
        try:
            exprs = Parser(path).expressions()
        except FileNotFoundError as err:
            raise SchemaError(f'{path}:1', f"module '{module}' has no schema file") from err
        for expr in exprs:
            if 'include' in expr.data:
                name = expr.data['include']
                if not isinstance(name, str):
                    raise SchemaError(expr.place, "value of 'include' must be a string")
                if len(expr.data) != 1:
                    raise SchemaError(expr.place, "invalid 'include' directive")
                if re.sub(r'\.json$', '', name) not in self.modules:
                    raise SchemaError(expr.place, f"included file '{name}' is not a module")
            elif 'pragma' not in expr.data:
                self.exprs.append((module, expr))

    def meta(self, expr):
        found = [k for k in KEYS if k in expr.data]
        if len(found) != 1:
            raise SchemaError(expr.place, 'expression must have exactly one of ' +
                              ', '.join(f"'{k}'" for k in KEYS))
        return found[0]

    def enabled(self, cond, place):
        """Whether an 'if' holds."""
        if isinstance(cond, str):
            if not re.fullmatch(r'[A-Z][A-Z0-9_]*', cond):
                raise SchemaError(place, f"'if' condition '{cond}' is not a valid identifier")
            return cond in self.defined
        if isinstance(cond, dict) and len(cond) == 1:
            op, arg = next(iter(cond.items()))
            if op == 'not':
                return not self.enabled(arg, place)
            if op in ('all', 'any') and isinstance(arg, list) and arg:
                return (all if op == 'all' else any)(self.enabled(c, place) for c in arg)
        raise SchemaError(place, "'if' condition must be a string, or an object with 'all', 'any' or 'not'")

    def features(self, data, place):
        result = []
        features = data.get('features', [])
        if not isinstance(features, list):
            raise SchemaError(place, "'features' must be an array")
        for f in features:
            if isinstance(f, dict):
                if not set(f) <= {'name', 'if'} or 'name' not in f:
                    raise SchemaError(place, "invalid member of 'features'")
                if 'if' in f and not self.enabled(f['if'], place):
                    continue
                f = f['name']
            if not isinstance(f, str):
                raise SchemaError(place, "a feature must be a string or an object")
            if f in result:
                raise SchemaError(place, f"duplicate feature '{f}'")
            result.append(f)
        return result

    def declare(self, module, expr):
        """Checks keys and enters the name."""
        meta = self.meta(expr)
        name = expr.data[meta]
        place = expr.place
        expr.skip = False
        if not isinstance(name, str):
            raise SchemaError(place, f"'{meta}' key must have a string value")
        for key in expr.data:
            if key != meta and key not in KEYS[meta]:
                raise SchemaError(place, f"{meta} '{name}' has unknown key '{key}'")
        for key in NEEDED.get(meta, []):
            if key not in expr.data:
                raise SchemaError(place, f"{meta} '{name}' misses key '{key}'")
        for key in ('boxed', 'gen', 'success-response', 'allow-oob', 'allow-preconfig', 'coroutine'):
            if key in expr.data and not isinstance(expr.data[key], bool):
                raise SchemaError(place, f"flag '{key}' must be true or false")
        if expr.doc and expr.doc.symbol != name:
            raise SchemaError(expr.doc.place, f"documentation is for '{expr.doc.symbol}', not '{name}'")
        expr.skip = 'if' in expr.data and not self.enabled(expr.data['if'], place)
        pattern = {'command': r'[a-z][a-zA-Z0-9_-]*', 'event': r'[A-Z][A-Z0-9_]*'}.get(
            meta, r'[A-Z][A-Za-z0-9]*')
        if not re.fullmatch(pattern, re.sub(r'^(__[a-zA-Z0-9.-]+_|x-)', '', name)):
            raise SchemaError(place, f"{meta} name '{name}' is not well-formed")
        if expr.skip:
            return
        if meta in ('command', 'event'):
            table = self.commands if meta == 'command' else self.events
            if name in table:
                raise SchemaError(place, f"{meta} '{name}' is already defined at {table[name].place}")
            table[name] = Command(name, module, expr)
            return
        if name.endswith('Array'):
            raise SchemaError(place, f"type name '{name}' must not end in 'Array'")
        if name in self.types:
            raise SchemaError(place, f"'{name}' is already defined at {self.types[name].place}")
        kind = {'union': 'struct'}.get(meta, meta)
        t = self.types[name] = Type(name, kind, module, place, expr.doc)
        self.order.append(t)

    # -- resolving ----------------------------------------------------------------------------------------

    def lookup(self, ref, place, what):
        if isinstance(ref, list):
            if len(ref) != 1 or not isinstance(ref[0], str):
                raise SchemaError(place, f'{what}: array type must contain a single type name')
            element = self.lookup(ref[0], place, what)
            array = self.arrays.get(element.name)
            if array is None:
                if element.name == 'null':
                    raise SchemaError(place, f"{what}: no lists of 'null'")
                array = self.arrays[element.name] = Array(element)
            return array
        if not isinstance(ref, str):
            raise SchemaError(place, f'{what} must be a type name')
        if ref not in self.types:
            raise SchemaError(place, f"{what} uses unknown type '{ref}'")
        return self.types[ref]

    def members(self, data, place, what):
        """Members of an inline object."""
        if not isinstance(data, dict):
            raise SchemaError(place, f'{what} must be an object')
        result = []
        for name, ref in data.items():
            features = []
            if isinstance(ref, dict):
                if not set(ref) <= {'type', 'if', 'features'} or 'type' not in ref:
                    raise SchemaError(place, f"{what}, member '{name}': invalid keys")
                if 'if' in ref and not self.enabled(ref['if'], place):
                    continue
                features = self.features(ref, place)
                ref = ref['type']
            optional = name.startswith('*')
            name = name.lstrip('*')
            self.check_member_name(name, place, what)
            if any(c_name(m.name) == c_name(name) for m in result):
                raise SchemaError(place, f"{what}: member '{name}' collides")
            t = self.lookup(ref, place, f"{what}, member '{name}'")
            if t.name == 'null':
                raise SchemaError(place, f"{what}, member '{name}': 'null' only makes sense in an alternate")
            result.append(Member(name, t, optional, features))
        return result

    @staticmethod
    def check_member_name(name, place, what):
        if not re.fullmatch(r'(__[a-zA-Z0-9.-]+_)?[a-zA-Z][a-zA-Z0-9_-]*', name):
            raise SchemaError(place, f"{what}: member name '{name}' is not well-formed")
        if name == 'u' or name.startswith('has_') or name.startswith('has-'):
            raise SchemaError(place, f"{what}: member name '{name}' is reserved")

    def define(self, module, expr):
        if expr.skip:
            return
        meta = self.meta(expr)
        getattr(self, 'define_' + meta)(expr.data[meta], expr)

    def define_enum(self, name, expr):
        t = self.types[name]
        t.prefix = expr.data.get('prefix')
        t.values = []
        t.features = self.features(expr.data, expr.place)
        if not isinstance(expr.data['data'], list):
            raise SchemaError(expr.place, f"enum '{name}': 'data' must be an array")
        for v in expr.data['data']:
            features = []
            if isinstance(v, dict):
                if not set(v) <= {'name', 'if', 'features'} or 'name' not in v:
                    raise SchemaError(expr.place, f"enum '{name}': invalid value")
                if 'if' in v and not self.enabled(v['if'], expr.place):
                    continue
                features = self.features(v, expr.place)
                v = v['name']
            if not isinstance(v, str) or not re.fullmatch(r'[a-zA-Z0-9_.-]+', v):
                raise SchemaError(expr.place, f"enum '{name}': value '{v}' is not well-formed")
            if any(c_name(m.name) == c_name(v) for m in t.values):
                raise SchemaError(expr.place, f"enum '{name}': value '{v}' collides")
            t.values.append(Member(v, None, False, features))
        self.check_doc(expr, [m.name for m in t.values])

    def define_struct(self, name, expr):
        t = self.types[name]
        what = f"struct '{name}'"
        t.features = self.features(expr.data, expr.place)
        t.base = None
        t.tag = None
        t.branches = []
        if 'base' in expr.data:
            t.base = self.lookup(expr.data['base'], expr.place, f"{what}, 'base'")
            if t.base.kind != 'struct':
                raise SchemaError(expr.place, f"{what}: 'base' must be a struct")
        t.own = self.members(expr.data['data'], expr.place, f"{what}, 'data'")
        self.check_doc(expr, [m.name for m in t.own])

    def define_union(self, name, expr):
        t = self.types[name]
        what = f"union '{name}'"
        t.features = self.features(expr.data, expr.place)
        t.branches = []
        base = expr.data['base']
        if isinstance(base, dict):
            t.base = None
            t.own = self.members(base, expr.place, f"{what}, 'base'")
        else:
            t.base = self.lookup(base, expr.place, f"{what}, 'base'")
            if t.base.kind != 'struct':
                raise SchemaError(expr.place, f"{what}: 'base' must be a struct")
            t.own = []
        t.tag = expr.data['discriminator']
        data = expr.data['data']
        if not isinstance(data, dict):
            raise SchemaError(expr.place, f"{what}: 'data' must be an object")
        for case, ref in data.items():
            if isinstance(ref, dict):
                if not set(ref) <= {'type', 'if'} or 'type' not in ref:
                    raise SchemaError(expr.place, f"{what}, branch '{case}': invalid keys")
                if 'if' in ref and not self.enabled(ref['if'], expr.place):
                    continue
                ref = ref['type']
            branch = self.lookup(ref, expr.place, f"{what}, branch '{case}'")
            if branch.kind != 'struct':
                raise SchemaError(expr.place, f"{what}, branch '{case}' must be a struct or union")
            t.branches.append(Member(case, branch))
        self.check_doc(expr, [m.name for m in t.own] + [b.name for b in t.branches])

    def define_alternate(self, name, expr):
        t = self.types[name]
        what = f"alternate '{name}'"
        t.features = self.features(expr.data, expr.place)
        t.branches = []
        data = expr.data['data']
        if not isinstance(data, dict) or not data:
            raise SchemaError(expr.place, f"{what}: 'data' must be a non-empty object")
        for case, ref in data.items():
            if isinstance(ref, dict):
                if 'if' in ref and not self.enabled(ref['if'], expr.place):
                    continue
                ref = ref.get('type')
            self.check_member_name(case, expr.place, what)
            t.branches.append(Member(case, self.lookup(ref, expr.place, f"{what}, branch '{case}'")))
        if name + 'Kind' in self.types:
            raise SchemaError(expr.place, f"{what} collides with type '{name}Kind'")
        self.check_doc(expr, [b.name for b in t.branches])

    def define_command(self, name, expr):
        c = self.commands[name]
        self.define_args(c, expr, f"command '{name}'")
        if 'returns' in expr.data:
            c.ret = self.lookup(expr.data['returns'], expr.place, f"command '{name}', 'returns'")
        if not c.gen and c.boxed:
            raise SchemaError(expr.place, f"command '{name}': 'boxed' and 'gen': false exclude each other")

    def define_event(self, name, expr):
        self.define_args(self.events[name], expr, f"event '{name}'")

    def define_args(self, c, expr, what):
        c.features = self.features(expr.data, expr.place)
        data = expr.data.get('data')
        if data is None:
            if c.boxed:
                raise SchemaError(expr.place, f"{what}: 'boxed': true requires 'data'")
        elif isinstance(data, dict):
            if c.boxed:
                raise SchemaError(expr.place, f"{what}: 'boxed' arguments must be a named type")
            t = Type(c.name + '-arg', 'struct', c.module, expr.place)
            t.implicit = True
            t.base = None
            t.tag = None
            t.branches = []
            t.own = self.members(data, expr.place, f"{what}, 'data'")
            c.arg = t
        else:
            c.arg = self.lookup(data, expr.place, f"{what}, 'data'")
            if c.arg.kind != 'struct':
                raise SchemaError(expr.place, f"{what}: 'data' must be an object or the name of one")
        names = [m.name for m in self.all_members(c.arg)] if c.arg and c.arg.implicit else None
        self.check_doc(expr, names)

    def check_doc(self, expr, names):
        if expr.doc is None or names is None:
            return
        for name in expr.doc.members:
            if name not in names and name not in self.features_of(expr):
                raise SchemaError(expr.doc.place, f"'@{name}:' describes nothing")

    def features_of(self, expr):
        found = set()

        def walk(node):
            if isinstance(node, dict):
                for f in node.get('features', []) if isinstance(node.get('features', []), list) else []:
                    found.add(f['name'] if isinstance(f, dict) else f)
                for value in node.values():
                    walk(value)
            elif isinstance(node, list):
                for value in node:
                    walk(value)
        walk(expr.data)
        # members and branches that an 'if' took away may stay in the comment
        data = expr.data.get('data')
        if isinstance(data, dict):
            found |= {k.lstrip('*') for k in data}
        if isinstance(data, list):
            found |= {v['name'] for v in data if isinstance(v, dict)}
        base = expr.data.get('base')
        if isinstance(base, dict):
            found |= {k.lstrip('*') for k in base}
        return found

    # -- structure checks ---------------------------------------------------------------------------------

    def all_members(self, t):
        """Members with those of the bases, base first."""
        if not hasattr(t, 'own'):
            return []
        return (self.all_members(t.base) if t.base else []) + t.own

    def check_struct(self, t, seen):
        if t.name in seen:
            raise SchemaError(t.place, f"'{t.name}' contains itself")
        if t.base:
            self.check_struct(t.base, seen | {t.name})
            if t.base.branches and t.tag is None:
                raise SchemaError(t.place, f"'{t.name}': 'base' must not be a union")
        members = self.all_members(t)
        self.check_unique(t, members, {})
        if isinstance(t.tag, str):
            found = [m for m in members if m.name == t.tag]
            if not found:
                raise SchemaError(t.place, f"union '{t.name}': discriminator '{t.tag}' is not a member of 'base'")
            if found[0].type.kind != 'enum' or found[0].optional:
                raise SchemaError(t.place,
                                  f"union '{t.name}': discriminator '{t.tag}' must be a mandatory enum member")
            t.tag = found[0]
            values = [v.name for v in t.tag.type.values]
            for b in t.branches:
                if b.name not in values:
                    raise SchemaError(t.place, f"union '{t.name}': branch '{b.name}' is not a value of "
                                      f"'{t.tag.type.name}'")
                self.check_struct(b.type, seen | {t.name})
                self.check_unique(t, members + self.all_members(b.type), {})

    @staticmethod
    def check_unique(t, members, names):
        for m in members:
            if c_name(m.name) in names:
                raise SchemaError(t.place, f"'{t.name}': member '{m.name}' is defined twice")
            names[c_name(m.name)] = m

    def check_alternate(self, t):
        used = {}
        for b in t.branches:
            if b.type.kind == 'alternate' or b.type.name == 'any':
                raise SchemaError(t.place, f"alternate '{t.name}': branch '{b.name}' cannot use '{b.type.name}'")
            json = b.type.json_type()
            json = 'number' if json == 'int' else json
            if json in used:
                raise SchemaError(t.place, f"alternate '{t.name}': branch '{b.name}' cannot be told from "
                                  f"'{used[json]}'")
            used[json] = b.name

    # -- queries for the generators -----------------------------------------------------------------------

    def module_types(self, module, kind=None):
        return [t for t in self.order if t.module == module and (kind is None or t.kind == kind)]

    def module_commands(self, module):
        return [c for c in self.commands.values() if c.module == module]

    def module_events(self, module):
        return [e for e in self.events.values() if e.module == module]
