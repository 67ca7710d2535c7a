# SPDX-License-Identifier: GPL-2.0-or-later
"""commands-MODULE.h: what handlers look like; commands-MODULE.c: from JSON to handler and back."""

from .ctypes import params, struct_table, type_ref
from .names import BANNER, c_name, c_string


def handler_name(c):
    return 'qmp_' + c_name(c.name).rstrip('_')


def prototype(schema, c):
    if c.gen:
        args = params(schema, c)
        if c.ret:
            args.append(f'{c.ret.c_type()}*ret')
    else:
        args = ['json_object *args', 'json_object **ret']
    args.append('GError **error')
    return f'bool {handler_name(c)}({", ".join(args)})'


def header(schema, module):
    guard = 'QAPI_COMMANDS_' + module.replace('-', '_').upper() + '_H'
    lines = [BANNER.format(module=module) + f'#ifndef {guard}', f'#define {guard}', '',
             '#include "qapi/dispatch.h"', f'#include "qapi/types-{module}.h"', '']
    for c in schema.module_commands(module):
        lines.append(prototype(schema, c) + ';')
    return '\n'.join(lines + ['', '#endif', ''])


def arg_struct(schema, c):
    """The C struct that an unboxed command's arguments are decoded into."""
    symbol = 'Args_' + c_name(c.name)
    if not c.arg or c.boxed:
        return [], None
    if not c.arg.implicit:
        return [], c_name(c.arg.name)
    lines = ['typedef struct {']
    members = schema.all_members(c.arg)
    for m in members:
        if m.has:
            lines.append(f'    bool has_{c_name(m.name)};')
        lines.append(f'    {m.type.c_type()}{c_name(m.name)};')
    if not members:
        lines.append('    char empty_;')
    return lines + [f'}} {symbol};'], symbol


def args_type(c):
    if not c.arg:
        return '&qapi_type_no_args'
    return f'&args_{c_name(c.name)}' if c.arg.implicit else type_ref(c.arg)


def call_args(schema, c):
    if not c.arg:
        return []
    if c.boxed:
        return ['arg']
    result = []
    for m in schema.all_members(c.arg):
        if m.has:
            result.append(f'arg.has_{c_name(m.name)}')
        result.append(f'arg.{c_name(m.name)}')
    return result


def marshal(schema, c):
    name = c_name(c.name)
    head = [f'static bool run_{name}(json_object *in, json_object **out, GError **error)', '{']
    if not c.gen:
        return head + [f'    return {handler_name(c)}(in, out, error);', '}', '']
    lines, struct = arg_struct(schema, c)
    if struct and c.arg.implicit:
        lines += struct_table(schema, c.arg, struct, f'args_{name}', 'static const')
        # the member table is named after the type
    lines += head
    if c.boxed:
        lines += [f'    {c_name(c.arg.name)} *arg;']
    elif struct:
        lines += [f'    {struct} arg;']
    else:
        lines += ['    char arg;']
    if c.ret:
        zero = ' = NULL' if c.ret.by_pointer else ' = 0'
        lines += [f'    {c.ret.c_type()}ret{zero};']
    lines += ['    bool ok;', '']
    if c.boxed:
        t = c_name(c.arg.name)
        lines += ['    json_object *empty = in ? NULL : json_object_new_object();',
                  f'    arg = qapi_decode_{t}(in ? in : empty, QAPI_INPUT_JSON, error);',
                  '    json_object_put(empty);', '    if (!arg) {']
    else:
        lines += [f'    if (!qapi_args_decode({args_type(c)}, in, &arg, error)) {{']
    lines += ['        return false;', '    }']
    args = call_args(schema, c) + (['&ret'] if c.ret else []) + ['error']
    lines += [f'    ok = {handler_name(c)}({", ".join(args)});']
    if c.ret:
        lines += ['    if (ok) {', f'        *out = qapi_encode_at({type_ref(c.ret)}, &ret);', '    }',
                  f'    qapi_clear_at({type_ref(c.ret)}, &ret);']
    if c.boxed:
        lines += [f'    qapi_free_{c_name(c.arg.name)}(arg);']
    elif struct:
        lines += [f'    qapi_args_clear({args_type(c)}, &arg);']
    return lines + ['    return ok;', '}', '']


def flags(c):
    names = []
    if c.allow_oob:
        names.append('QMP_ALLOW_OOB')
    if c.allow_preconfig:
        names.append('QMP_ALLOW_PRECONFIG')
    if not c.success_response:
        names.append('QMP_NO_SUCCESS_RESPONSE')
    return ' | '.join(names) or '0'


def source(schema, module):
    cs = schema.module_commands(module)
    symbol = module.replace("-", "_")
    lines = [BANNER.format(module=module) + '#include "util/osdep.h"', '',
             f'#include "qapi/commands-{module}.h"', '']
    for c in cs:
        lines += marshal(schema, c)
    if cs:
        lines.append(f'static const QmpCommand commands_{symbol}[] = {{')
        for c in cs:
            lines.append(f'    {{ {c_string(c.name)}, run_{c_name(c.name)}, {flags(c)} }},')
        lines += ['};', '']
    table = f'commands_{symbol}' if cs else 'NULL'
    lines += [f'extern QmpModule qmp_module_{symbol};',
              f'QmpModule qmp_module_{symbol} = {{ {c_string(module)}, {table}, {len(cs)}, NULL }};', '']
    return '\n'.join(lines)
