# SPDX-License-Identifier: GPL-2.0-or-later
"""C names of schema names."""

import re

RESERVED = set('''auto break case char const continue default do double else enum extern float for goto if
inline int long register restrict return short signed sizeof static struct switch typedef union unsigned
void volatile while asm typeof bool true false unix linux errno stdin stdout stderr
index ret error args'''.split()) - {'index'}


def c_name(name):
    """'x-foo.bar' -> x_foo_bar; reserved words get '_' behind."""
    name = re.sub(r'[-.]', '_', name)
    if name in RESERVED:
        return name + '_'
    if name[0].isdigit():
        return '_' + name
    return name


def words_upper(name):
    """'OnOffAuto' -> ON_OFF_AUTO, 'QMPCapability' -> QMP_CAPABILITY."""
    name = re.sub(r'([a-z0-9])([A-Z])', r'\1_\2', name)
    name = re.sub(r'([A-Z])([A-Z][a-z])', r'\1_\2', name)
    return re.sub(r'[-.]', '_', name).upper()


def enum_prefix(t):
    return getattr(t, 'prefix', None) or words_upper(t.name)


def enum_const(t, value):
    return enum_prefix(t) + '_' + re.sub(r'[-.]', '_', value).upper()


def c_string(text):
    """A C literal."""
    return '"' + text.replace('\\', '\\\\').replace('"', '\\"').replace('\n', '\\n') + '"'


BANNER = '''/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Made by scripts/qapi-gen from qapi/{module}.json. Do not edit. */
'''
