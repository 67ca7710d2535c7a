# SPDX-License-Identifier: GPL-2.0-or-later
"""events-MODULE.[ch]: one function per event."""

from .commands import arg_struct
from .ctypes import params, struct_table, type_ref
from .names import BANNER, c_name, c_string


def prototype(schema, e):
    return f'void qapi_event_send_{c_name(e.name)}({", ".join(params(schema, e)) or "void"})'


def header(schema, module):
    guard = 'QAPI_EVENTS_' + module.replace('-', '_').upper() + '_H'
    lines = [BANNER.format(module=module) + f'#ifndef {guard}', f'#define {guard}', '',
             '#include "qapi/dispatch.h"', f'#include "qapi/types-{module}.h"', '']
    for e in schema.module_events(module):
        lines.append(prototype(schema, e) + ';')
    return '\n'.join(lines + ['', '#endif', ''])


def sender(schema, e):
    lines, struct = arg_struct(schema, e)
    name = c_name(e.name)
    if struct and e.arg.implicit:
        lines += struct_table(schema, e.arg, struct, f'args_{name}', 'static const')
    lines += [prototype(schema, e), '{']
    if not e.arg:
        return lines + [f'    qapi_event_emit({c_string(e.name)}, NULL);', '}', '']
    if e.boxed:
        value = 'arg'
    else:
        lines += [f'    {struct} arg = {{']
        for m in schema.all_members(e.arg):
            c = c_name(m.name)
            if m.has:
                lines.append(f'        .has_{c} = has_{c},')
            cast = f'({m.type.c_type()})' if m.type.by_pointer else ''
            lines.append(f'        .{c} = {cast}{c},')
        lines += ['    };']
        value = '&arg'
    t = f'&args_{name}' if e.arg.implicit else type_ref(e.arg)
    return lines + [f'    qapi_event_emit({c_string(e.name)}, qapi_encode_value({t}, {value}));', '}', '']


def source(schema, module):
    lines = [BANNER.format(module=module) + '#include "util/osdep.h"', '',
             f'#include "qapi/events-{module}.h"', '']
    for e in schema.module_events(module):
        lines += sender(schema, e)
    return '\n'.join(lines)
