#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/check-layers, fed with a good tree and with one broken tree per rule."""
import os
import subprocess
import tempfile
import unittest

import tap

SCRIPT = os.path.join(os.path.dirname(os.path.realpath(__file__)), '../../scripts/check-layers')
HEAD = '/* SPDX-License-Identifier: GPL-2.0-or-later */\n'
FIRST = HEAD + '#include "util/osdep.h"\n'
LAYERS = '''[order]
util
block
system
hw/core
migration
hw/usb
[forbidden]
hw -> migration: devices do not know it
[exceptions]
'''
GOOD = {
    'docs/layers.txt': LAYERS,
    'meson.build': "# SPDX-License-Identifier: GPL-2.0-or-later\nlayers = ['util', 'hw/usb']\n",
    'util/meson.build': "# SPDX-License-Identifier: GPL-2.0-or-later\nfiles('list.c')\n",
    'hw/usb/meson.build': "# SPDX-License-Identifier: GPL-2.0-or-later\nfiles('bus.c',\n 'sub/hid.c')\n",
    'include/util/osdep.h': HEAD + '#include "config.h"\n#include <stdint.h>\n',
    'include/util/list.h': HEAD + 'int list;\n',
    'include/block/node.h': HEAD + 'int node;\n',
    'include/hw/core/device.h': HEAD + '#include "util/list.h"\nint device;\n',
    'include/hw/usb/bus.h': HEAD + '#include "hw/core/device.h"\nint bus;\n',
    'include/migration/blocker.h': HEAD + 'int blocker;\n',
    'util/list.c': FIRST + '#include "util/list.h"\n',
    'hw/usb/bus.c': FIRST + '#include "hw/usb/bus.h"\n#include "bus-private.h"\n#include <glib.h>\n',
    'hw/usb/bus-private.h': HEAD + 'int private;\n',
    'hw/usb/sub/hid.c': FIRST + '// #include "migration/blocker.h"\n/*\n#include "no/such.h"\n*/\n',
}


class CheckLayers(unittest.TestCase):
    def run_tree(self, changes, *options):
        """The script's status and output for GOOD with `changes` (None removes a file)."""
        with tempfile.TemporaryDirectory() as root:
            for path, text in {**GOOD, **changes}.items():
                if text is None:
                    continue
                path = os.path.join(root, path)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, 'w', encoding='utf-8') as file:
                    file.write(text)
            done = subprocess.run([SCRIPT, '--root', root, *options], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
            return done.returncode, done.stdout

    def broken(self, changes, *lines):
        """Exactly these lines are complained about."""
        status, output = self.run_tree(changes)
        found = output.splitlines()
        self.assertEqual(len(found), len(lines) + 1, output)
        for line in lines:
            self.assertTrue(any(line in text for text in found), f'{line}\n---\n{output}')
        self.assertEqual(status, 1)

    def test_good_tree(self):
        status, output = self.run_tree({})
        self.assertEqual((status, output), (0, '10 files, 11 includes, 0 problems\n'))

    def test_order(self):
        self.broken({'util/list.c': FIRST + '\n#include "block/node.h"\n'},
                    'util/list.c:4: #include "block/node.h": util must not know block, which is below '
                    'it in docs/layers.txt [order]')

    def test_order_of_a_header(self):
        self.broken({'include/block/node.h': HEAD + '  #  include   "hw/usb/bus.h"\nint x;\n'},
                    'include/block/node.h:2: #include "hw/usb/bus.h": block must not know hw/usb')

    def test_forbidden(self):
        self.broken({'hw/usb/bus.c': FIRST + '#include "migration/blocker.h"\n'},
                    'hw/usb/bus.c:3: #include "migration/blocker.h": hw/usb must not know migration: '
                    'devices do not know it [forbidden]')

    def test_no_layer(self):
        self.broken({'include/stray/x.h': HEAD + 'int x;\n'},
                    'include/stray/x.h:1: is in no layer of docs/layers.txt [order]')

    def test_private_by_dots(self):
        self.broken({'hw/usb/sub/hid.c': FIRST + '#include "../bus-private.h"\n'},
                    'hw/usb/sub/hid.c:3: #include "../bus-private.h": hw/usb/bus-private.h is private')

    def test_private_from_the_root(self):
        self.broken({'util/list.c': FIRST + '#include "hw/usb/bus-private.h"\n'},
                    'util/list.c:3: #include "hw/usb/bus-private.h": is private to its folder [private]')

    def test_angle_brackets(self):
        self.broken({'hw/usb/bus.c': FIRST + '#include <util/list.h>\n'},
                    'hw/usb/bus.c:3: #include <util/list.h>: a project header is included with ""')

    def test_config_header(self):
        self.broken({'util/list.c': FIRST + '#include "config.h"\n'},
                    'util/list.c:3: #include "config.h": comes with util/osdep.h [private]')

    def test_umbrella_by_number(self):
        many = {f'include/util/h{n}.h': HEAD + 'int x;\n' for n in range(11)}
        body = ''.join(f'#include "util/h{n}.h"\n' for n in range(11))
        self.broken({**many, 'include/util/list.h': HEAD + body + 'int y;\n'},
                    'include/util/list.h:1: includes 11 project headers, 10 are enough [umbrella]')

    def test_umbrella_without_a_declaration(self):
        self.broken({'include/hw/usb/bus.h': HEAD + '#ifndef X\n#define X\n#include "util/list.h"\n'
                                             '#include "block/node.h"\n#endif\n'},
                    'include/hw/usb/bus.h:1: declares nothing and gathers other headers [umbrella]')

    def test_umbrella_by_layers(self):
        layers = LAYERS.replace('util\n', 'util\na\nb\nc\nd\n')
        more = {f'include/{name}/x.h': HEAD + 'int x;\n' for name in 'abcd'}
        body = ''.join(f'#include "{name}/x.h"\n' for name in 'abcd')
        body += '#include "util/list.h"\n#include "block/node.h"\nint y;\n'
        self.broken({**more, 'docs/layers.txt': layers, 'include/hw/usb/bus.h': HEAD + body},
                    'include/hw/usb/bus.h:1: includes headers of 6 layers, 5 are enough [umbrella]')

    def test_first(self):
        self.broken({'util/list.c': HEAD + '#include <stdio.h>\n#include "util/osdep.h"\n'},
                    'util/list.c:2: #include "stdio.h" comes before "util/osdep.h" [first]')

    def test_first_of_none(self):
        self.broken({'util/list.c': HEAD}, 'util/list.c:1: includes nothing')

    def test_licence(self):
        self.broken({'util/list.c': '\n' + FIRST, 'scripts/x.py': '#!/bin/python\nx = 1\n'},
                    'util/list.c:1: the first line does not say SPDX-License-Identifier',
                    'scripts/x.py:1: the first line does not say SPDX-License-Identifier')

    def test_unlisted(self):
        self.broken({'hw/usb/new.c': FIRST}, 'hw/usb/new.c:1: is listed in no meson.build [unlisted]')

    def test_unlisted_comment_does_not_count(self):
        self.broken({'util/meson.build': GOOD['util/meson.build'].replace('files', '# files')},
                    'util/list.c:1: is listed in no meson.build [unlisted]')

    def test_unlisted_test_script(self):
        self.broken({'tests/unit/test-x.py': '# SPDX-License-Identifier: GPL-2.0-or-later\n'},
                    'tests/unit/test-x.py:1: is listed in no meson.build [unlisted]')

    def test_exception(self):
        layers = LAYERS + 'util/list.c -> block/node.h: because\n'
        status, output = self.run_tree({'docs/layers.txt': layers,
                                        'util/list.c': FIRST + '#include "block/node.h"\n'})
        self.assertEqual(status, 0, output)

    def test_exception_unused(self):
        self.broken({'docs/layers.txt': LAYERS + 'util/list.c -> block/node.h: because\n'},
                    'docs/layers.txt:11: exception util/list.c -> block/node.h is not needed [config]')

    def test_exception_without_reason(self):
        self.broken({'docs/layers.txt': LAYERS + 'util/list.c -> block/node.h\n'},
                    "docs/layers.txt:11: 'util/list.c -> block/node.h' is not 'FROM -> TO: REASON'")

    def test_layer_twice(self):
        self.broken({'docs/layers.txt': LAYERS.replace('block\n', 'block\nutil\n')},
                    "docs/layers.txt:4: layer 'util' is there twice [config]")

    def test_build_order(self):
        meson = GOOD['meson.build'].replace("'util', 'hw/usb'", "'hw/usb', 'util'")
        self.broken({'meson.build': meson},
                    'meson.build:1: the layers are not in the order of docs/layers.txt [config]')

    def test_tap(self):
        status, output = self.run_tree({'hw/usb/new.c': FIRST}, '--tap')
        self.assertEqual(status, 1)
        self.assertIn('1..8\n', output)
        self.assertIn('ok 1 - layers: config\n', output)
        self.assertIn('not ok 8 - layers: unlisted\n# hw/usb/new.c:1:', output)


if __name__ == '__main__':
    tap.main()
