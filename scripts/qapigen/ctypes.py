# SPDX-License-Identifier: GPL-2.0-or-later
"""types-MODULE.h and types-MODULE.c: C types and the tables that qapi/decode.c reads."""

from .names import BANNER, c_name, c_string, enum_const, enum_prefix, words_upper
from .schema import BUILTINS


def used_modules(schema, module):
    """Other modules whose types this one uses."""
    found = []

    def use(t):
        if t is None:
            return
        if t.kind == 'array':
            t = t.element
        if t.module and t.module != module and t.module not in found:
            found.append(t.module)

    def use_struct(t):
        for m in schema.all_members(t):
            use(m.type)
        for b in t.branches:
            use(b.type)

    for t in schema.module_types(module):
        if t.kind == 'struct':
            use_struct(t)
        elif t.kind == 'alternate':
            for b in t.branches:
                use(b.type)
    for c in schema.module_commands(module) + schema.module_events(module):
        use(c.ret)
        if c.arg:
            if c.arg.implicit:
                use_struct(c.arg)
            else:
                use(c.arg)
                for m in schema.all_members(c.arg):
                    use(m.type)
    return found


def enum_decl(t):
    lines = ['typedef enum {']
    for v in t.values:
        lines.append(f'    {enum_const(t, v.name)},')
    name = c_name(t.name)
    lines += [f'    {enum_prefix(t)}_COUNT',
              f'}} {name};',
              f'extern const QapiType qapi_type_{name};',
              f'static inline const char *qapi_name_{name}(int value)',
              '{',
              f'    return qapi_enum_name(&qapi_type_{name}, value);',
              '}',
              f'static inline int qapi_parse_{name}(const char *text)',
              '{',
              f'    return qapi_enum_parse(&qapi_type_{name}, text);',
              '}',
              '']
    return lines


def kind_const(t, branch):
    return words_upper(t.name) + '_KIND_' + c_name(branch.name).upper().rstrip('_')


def member_lines(schema, t, indent='    '):
    lines = []
    for m in schema.all_members(t):
        if m.has:
            lines.append(f'{indent}bool has_{c_name(m.name)};')
        lines.append(f'{indent}{m.type.c_type()}{c_name(m.name)};')
    return lines


def struct_decl(schema, t):
    name = c_name(t.name)
    lines = [f'struct {name} {{']
    body = member_lines(schema, t)
    if t.branches:
        body.append('    union {')
        for b in t.branches:
            body.append(f'        {c_name(b.type.name)} {c_name(b.name)};')
        body.append('    } u;')
    return lines + (body or ['    char empty_;']) + ['};', '']


def alternate_decl(t):
    name = c_name(t.name)
    lines = ['typedef enum {']
    for b in t.branches:
        lines.append(f'    {kind_const(t, b)},')
    lines += [f'}} {name}Kind;', f'struct {name} {{', f'    {name}Kind kind;', '    union {']
    for b in t.branches:
        if b.type.kind == 'struct':
            lines.append(f'        {c_name(b.type.name)} {c_name(b.name)};')
        else:
            lines.append(f'        {b.type.c_type()}{c_name(b.name)};')
    return lines + ['    } u;', '};', '']


def array_decl(t):
    element = t.element.c_type()
    return [f'struct {t.name} {{', '    size_t len;', f'    {element}*items;'.replace(' **', ' **'), '};', '']


def accessors(name):
    return [f'extern const QapiType qapi_type_{name};',
            f'static inline {name} *qapi_decode_{name}(json_object *in, QapiInput mode, GError **error)',
            '{',
            f'    return ({name} *)qapi_decode_value(&qapi_type_{name}, in, mode, error);',
            '}',
            f'static inline json_object *qapi_encode_{name}(const {name} *value)',
            '{',
            f'    return qapi_encode_value(&qapi_type_{name}, value);',
            '}',
            f'static inline {name} *qapi_clone_{name}(const {name} *value)',
            '{',
            f'    return ({name} *)qapi_clone_value(&qapi_type_{name}, value);',
            '}',
            f'static inline void qapi_free_{name}({name} *value)',
            '{',
            f'    qapi_free_value(&qapi_type_{name}, value);',
            '}',
            f'G_DEFINE_AUTOPTR_CLEANUP_FUNC({name}, qapi_free_{name})',
            '']


def by_value_order(types):
    """Structs that hold others by value come behind them."""
    done, result = set(), []
    names = {t.name for t in types}

    def visit(t):
        if t.name in done:
            return
        done.add(t.name)
        for b in t.branches:
            if b.type.kind == 'struct' and b.type.name in names:
                visit(b.type)
        result.append(t)

    for t in types:
        visit(t)
    return result


def module_arrays(schema, module):
    return [a for a in schema.arrays.values() if a.module == module]


def header(schema, module):
    guard = 'QAPI_TYPES_' + module.replace('-', '_').upper() + '_H'
    aggregates = [t for t in schema.module_types(module) if t.kind != 'enum']
    arrays = module_arrays(schema, module)
    lines = [BANNER.format(module=module) + f'#ifndef {guard}', f'#define {guard}', '',
             '#include "qapi/qapi.h"', '']
    for t in schema.module_types(module, 'enum'):
        lines += enum_decl(t)
    for t in aggregates:
        lines.append(f'typedef struct {c_name(t.name)} {c_name(t.name)};')
    for a in arrays:
        lines.append(f'typedef struct {a.name} {a.name};')
    lines.append('')
    for other in used_modules(schema, module):
        lines.append(f'#include "qapi/types-{other}.h"')
    lines.append('')
    for t in by_value_order(aggregates):
        lines += alternate_decl(t) if t.kind == 'alternate' else struct_decl(schema, t)
    for a in arrays:
        lines += array_decl(a)
    for t in aggregates:
        lines += accessors(c_name(t.name))
    for a in arrays:
        lines += accessors(a.name)
    return '\n'.join(lines + ['#endif', ''])


# -- tables ----------------------------------------------------------------------------------------------------

def type_ref(t):
    return f'&qapi_type_{t.name}'  # type names are C names


def member_table(schema, t, c_struct, table):
    """The QapiMember array of a struct; c_struct is how C calls the struct."""
    lines = []
    for m in schema.all_members(t):
        c = c_name(m.name)
        has = f', offsetof({c_struct}, has_{c}), true' if m.has else ', 0, false'
        lines.append(f'    {{ {c_string(m.name)}, {type_ref(m.type)}, offsetof({c_struct}, {c}){has}, '
                     f'{"true" if m.optional else "false"} }},')
    if not lines:
        return []
    return [f'static const QapiMember {table}[] = {{'] + lines + ['};']


def struct_table(schema, t, c_struct, symbol, linkage='const'):
    c = c_name(t.name)
    members = schema.all_members(t)
    lines = member_table(schema, t, c_struct, f'members_{c}')
    if t.branches:
        lines.append(f'static const QapiBranch branches_{c}[] = {{')
        for b in t.branches:
            lines.append(f'    {{ {type_ref(b.type)}, {enum_const(t.tag.type, b.name)}, '
                         f'offsetof({c_struct}, u.{c_name(b.name)}) }},')
        lines.append('};')
    lines += [f'{linkage} QapiType {symbol} = {{', f'    .name = {c_string(t.name)},',
              '    .kind = QAPI_KIND_STRUCT,', f'    .size = sizeof({c_struct}),']
    if members:
        lines += [f'    .members = members_{c},', f'    .n_members = {len(members)},']
    if t.tag:
        lines.append(f'    .tag = &members_{c}[{members.index(t.tag)}],')
    if t.branches:
        lines += [f'    .branches = branches_{c},', f'    .n_branches = {len(t.branches)},']
    return lines + ['};', '']


def enum_table(t):
    c = c_name(t.name)
    lines = []
    if t.values:
        lines += [f'static const char *const words_{c}[] = {{']
        lines += [f'    {c_string(v.name)},' for v in t.values] + ['};']
    lines += [f'const QapiType qapi_type_{c} = {{', f'    .name = {c_string(t.name)},',
              '    .kind = QAPI_KIND_ENUM,', f'    .size = sizeof({c}),']
    if t.values:
        lines += [f'    .words = words_{c},', f'    .n_words = {len(t.values)},']
    return lines + ['};', '']


def alternate_table(t):
    c = c_name(t.name)
    lines = [f'static const QapiBranch branches_{c}[] = {{']
    for b in t.branches:
        lines.append(f'    {{ {type_ref(b.type)}, {kind_const(t, b)}, offsetof({c}, u.{c_name(b.name)}) }},')
    return lines + ['};', f'const QapiType qapi_type_{c} = {{', f'    .name = {c_string(t.name)},',
                    '    .kind = QAPI_KIND_ALTERNATE,', f'    .size = sizeof({c}),',
                    f'    .tag_offset = offsetof({c}, kind),', f'    .branches = branches_{c},',
                    f'    .n_branches = {len(t.branches)},', '};', '']


def array_table(a):
    return [f'const QapiType qapi_type_{a.name} = {{', f'    .name = {c_string(a.name)},',
            '    .kind = QAPI_KIND_ARRAY,', f'    .size = sizeof({a.name}),',
            f'    .element = {type_ref(a.element)},', '};', '']


def source(schema, module):
    lines = [BANNER.format(module=module) + '#include "util/osdep.h"', '',
             f'#include "qapi/types-{module}.h"', '']
    for t in schema.module_types(module):
        c = c_name(t.name)
        if t.kind == 'enum':
            lines += enum_table(t)
        elif t.kind == 'alternate':
            lines += alternate_table(t)
        else:
            lines += struct_table(schema, t, c, f'qapi_type_{c}')
    for a in module_arrays(schema, module):
        lines += array_table(a)
    return '\n'.join(lines)


# -- arguments of commands and events --------------------------------------------------------------------------

def params(schema, c):
    """C parameters for the arguments of a command or event."""
    if not c.arg:
        return []
    if c.boxed:
        return [f'const {c_name(c.arg.name)} *arg']
    result = []
    for m in schema.all_members(c.arg):
        if m.has:
            result.append(f'bool has_{c_name(m.name)}')
        ctype = m.type.c_type()
        if m.type.by_pointer and m.type.name != 'any':
            ctype = 'const ' + ctype
        result.append(ctype + c_name(m.name))
    return result


def check_builtins():
    assert all(len(v) == 3 for v in BUILTINS.values())
