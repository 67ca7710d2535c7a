# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference of commands, events and types in Markdown, from the '##' comments."""


def clean(lines):
    text = ' '.join(line.strip() for line in lines).strip()
    return text


def type_text(t):
    if t.kind == 'array':
        return f'[{type_text(t.element)}]'
    if t.kind == 'builtin' or t.implicit:
        return t.name
    return f'[{t.name}](#{t.name.lower()})'


def member_list(members, doc):
    lines = []
    for m in members:
        note = ' (optional)' if m.optional else ''
        features = f' *features: {", ".join(m.features)}*' if m.features else ''
        described = clean(doc.members.get(m.name, [])) if doc else ''
        kind = f': {type_text(m.type)}' if m.type else ''
        lines.append(f'- `{m.name}`{kind}{note}{features}' + (f' — {described}' if described else ''))
    return lines


def body(doc):
    if doc is None:
        return []
    lines = []
    text = '\n'.join(doc.body).strip()
    if text:
        lines += [text, '']
    for title, content in doc.sections:
        lines += [f'*{title}*: {clean(content)}', '']
    return lines


def entry_command(schema, c, what):
    lines = [f'### {c.name}', '', f'*{what}*' + (', may run out-of-band' if c.allow_oob else ''), ''] + body(c.doc)
    if c.arg and c.arg.implicit:
        lines += member_list(schema.all_members(c.arg), c.doc) + ['']
    elif c.arg:
        lines += [f'Arguments: the members of {type_text(c.arg)}.', '']
    if c.ret:
        lines += [f'Returns: {type_text(c.ret)}', '']
    if c.features:
        lines += [f'Features: {", ".join(c.features)}', '']
    return lines


def entry_type(schema, t):
    lines = [f'### {t.name}', '']
    if t.kind == 'enum':
        return lines + ['*enum*', ''] + body(t.doc) + member_list(t.values, t.doc) + ['']
    if t.kind == 'alternate':
        return lines + ['*alternate*', ''] + body(t.doc) + member_list(t.branches, t.doc) + ['']
    lines += ['*union*' if t.tag else '*struct*', ''] + body(t.doc)
    if t.base:
        lines += [f'The members of {type_text(t.base)}, and:', '']
    lines += member_list(t.own, t.doc)
    for b in t.branches:
        lines.append(f'- if `{t.tag.name}` is `{b.name}`: the members of {type_text(b.type)}')
    return lines + ['']


def text(schema):
    lines = ['# QMP reference', '', 'Made by scripts/qapi-gen from qapi/*.json.', '']
    for module in schema.modules:
        lines += [f'## {module}', '']
        for c in schema.module_commands(module):
            lines += entry_command(schema, c, 'command')
        for e in schema.module_events(module):
            lines += entry_command(schema, e, 'event')
        for t in schema.module_types(module):
            lines += entry_type(schema, t)
    return '\n'.join(lines)
