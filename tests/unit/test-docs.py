#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The documentation agrees with the tree: links lead somewhere, every layer's page is in the tour."""
import os
import re
import unittest

import tap

SOURCE = os.path.realpath(os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..'))


def read(path):
    with open(os.path.join(SOURCE, path), encoding='utf-8') as file:
        return file.read()


def pages():
    """Every Markdown file of the tree."""
    found = [name for name in os.listdir(SOURCE) if name.endswith('.md')]
    for folder, _, files in os.walk(os.path.join(SOURCE, 'docs')):
        found += [os.path.relpath(os.path.join(folder, name), SOURCE)
                  for name in files if name.endswith('.md')]
    return sorted(found)


def anchors(text):
    """The anchors that headings get: lower case, words joined by dashes."""
    return {re.sub(r'[^\w\- ]', '', title.lower()).strip().replace(' ', '-')
            for title in re.findall(r'(?m)^#+ (.*)$', text)}


class Docs(unittest.TestCase):
    def test_links(self):
        broken = []
        for page in pages():
            text = re.sub(r'(?ms)^```.*?^```', '', read(page))
            for target in re.findall(r'\]\(([^)\s]+)\)', text):
                if re.match(r'\w+:', target):
                    continue
                path, _, anchor = target.partition('#')
                full = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
                if not os.path.exists(os.path.join(SOURCE, full)):
                    broken.append(f'{page}: {target}')
                elif anchor and anchor not in anchors(read(full)):
                    broken.append(f'{page}: {target}: no such heading')
        self.assertEqual(broken, [])

    def test_tour_has_every_page(self):
        tour = read('docs/devel/README.md')
        here = [os.path.basename(page) for page in pages() if page.startswith('docs/devel/')]
        self.assertEqual([name for name in here if name != 'README.md' and f'({name})' not in tour],
                         [])

    def test_tour_has_every_layer(self):
        tour = read('docs/devel/README.md')
        layers = re.findall(r"'([^']+)'", re.search(r'(?ms)^layers = \[(.*?)\]',
                                                    read('meson.build')).group(1))
        self.assertEqual([layer for layer in layers if f'`{layer}/`' not in tour], [])


if __name__ == '__main__':
    tap.main()
