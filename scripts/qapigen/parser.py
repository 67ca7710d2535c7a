# SPDX-License-Identifier: GPL-2.0-or-later
"""From schema text to expressions: dicts with a place and a documentation comment."""

import re


class SchemaError(Exception):
    """A mistake in the schema; the text starts with file:line."""

    def __init__(self, place, text):
        super().__init__(f'{place}: {text}')


class Place:
    """Where something stands."""

    def __init__(self, path, line):
        self.path = path
        self.line = line

    def __str__(self):
        return f'{self.path}:{self.line}'


class Expr:
    """A top-level expression."""

    def __init__(self, data, place, doc):
        self.data = data
        self.place = place
        self.doc = doc


class Doc:
    """A '##' comment: body, and per '@name:' the description."""

    def __init__(self, lines, place):
        self.place = place
        self.symbol = None
        self.body = []
        self.members = {}
        self.sections = []  # (title, lines)
        target = self.body
        for number, line in lines:
            match = re.match(r'@([A-Za-z0-9_.-]+):(?:\s+(.*)|)$', line)
            section = re.match(r'(Returns|Since|Features|Errors|Note|Notes|TODO|Example|Examples)\s*::?'
                               r'(?:\s+(.*)|)$', line)
            if match and self.symbol is None and not ''.join(self.body).strip():
                self.symbol = match.group(1)
                target = self.body
                if match.group(2):
                    target.append(match.group(2))
            elif match:
                if match.group(1) in self.members:
                    raise SchemaError(Place(place.path, number),
                                      f"'@{match.group(1)}:' is described twice")
                target = self.members.setdefault(match.group(1), [])
                if match.group(2):
                    target.append(match.group(2))
            elif section:
                target = [section.group(2) or '']
                self.sections.append((section.group(1), target))
            else:
                target.append(line)


TOKEN = re.compile(r"""
    (?P<space>[ \t\r]+) | (?P<newline>\n) | (?P<doc>\#\#[^\n]*) | (?P<comment>\#[^\n]*)
  | (?P<string>'(?:[^'\\\n]|\\.)*') | (?P<word>true|false|null)(?![A-Za-z0-9_]) | (?P<punct>[{}\[\]:,])
""", re.X)


class Parser:
    """Recursive descent over one file."""

    def __init__(self, path, name=None):
        self.path = name or path
        with open(path, encoding='utf-8') as f:
            self.text = f.read()
        self.tokens = []
        self.pos = 0
        self.scan()

    def fail(self, text, line=None):
        raise SchemaError(Place(self.path, self.peek()[2] if line is None else line), text)

    def scan(self):
        pos, line = 0, 1
        doc, doc_line = None, 0
        while pos < len(self.text):
            match = TOKEN.match(self.text, pos)
            if not match:
                what = self.text[pos]
                if what == "'":
                    self.fail("missing terminating \"'\"", line)
                self.fail(f'stray {what!r}', line)
            kind, value = match.lastgroup, match.group()
            if kind == 'doc':
                if doc is None:
                    doc, doc_line = [], line
                else:
                    self.tokens.append(('doc', doc, doc_line))
                    doc = None
            elif kind == 'comment':
                if doc is not None:
                    if len(value) > 1 and value[1] != ' ':
                        self.fail("missing space after '#'", line)
                    doc.append((line, value[2:].rstrip()))
            elif kind == 'newline':
                line += 1
            elif kind != 'space':
                if doc is not None:
                    self.fail("documentation comment must end with '##'", doc_line)
                if kind == 'string' and '\\' in value:
                    self.fail('unknown escape in a string', line)
                self.tokens.append((kind if kind != 'punct' else value, value, line))
            pos = match.end()
        if doc is not None:
            self.fail("documentation comment must end with '##'", doc_line)
        self.tokens.append(('end', '', line))

    def peek(self):
        if self.pos < len(self.tokens):
            return self.tokens[self.pos]
        return self.tokens[-1] if self.tokens else ('end', '', 1)

    def next(self):
        token = self.peek()
        self.pos += 1
        return token

    def expressions(self):
        """All expressions of the file in order."""
        result, doc = [], None
        while True:
            kind, value, line = self.peek()
            if kind == 'end':
                return result
            if kind == 'doc':
                self.next()
                doc = Doc(value, Place(self.path, line))
                continue
            if kind != '{':
                self.fail("expected '{'")
            data = self.value()
            if doc is not None and doc.symbol is None:
                doc = None  # a free-standing comment
            result.append(Expr(data, Place(self.path, line), doc))
            doc = None

    def value(self):
        kind, value, line = self.next()
        if kind == '{':
            return self.members(line)
        if kind == '[':
            return self.elements()
        if kind == 'string':
            return value[1:-1]
        if kind == 'word':
            return {'true': True, 'false': False, 'null': None}[value]
        self.fail("expected '{', '[', string, or boolean", line)

    def members(self, start):
        result = {}
        if self.peek()[0] == '}':
            self.next()
            return result
        while True:
            kind, key, line = self.next()
            if kind != 'string':
                self.fail("expected string or '}'", line)
            key = key[1:-1]
            if self.next()[0] != ':':
                self.fail("expected ':'", line)
            if key in result:
                self.fail(f"duplicate key '{key}'", line)
            result[key] = self.value()
            kind, _, line = self.next()
            if kind == '}':
                return result
            if kind != ',':
                self.fail("expected ',' or '}'", line)

    def elements(self):
        result = []
        if self.peek()[0] == ']':
            self.next()
            return result
        while True:
            result.append(self.value())
            kind, _, line = self.next()
            if kind == ']':
                return result
            if kind != ',':
                self.fail("expected ',' or ']'", line)
