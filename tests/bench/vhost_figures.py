# SPDX-License-Identifier: GPL-2.0-or-later
"""vhost-user: what the wait for the enables costs, and a request. Rows for figures.py: GROUPS and FIGURES.

The back end is the tests' own and answers at once. The guest is a qtest client, which costs the same with every
emulator; a register write that does nothing is measured beside, for comparison.
"""

import os
import tempfile
import time

import vhost_user
import virtio_pci

STARTS = 100
REQUESTS = 300


def vhost(program, _options):
    with tempfile.TemporaryDirectory(prefix='vb') as folder:
        path = os.path.join(folder, 's')
        backend = vhost_user.Backend(path, 'blk', 1)
        try:
            args = vhost_user.arguments(path, 'vhost-user-blk-pci,chardev=c0')
            with program.machine(args) as vm:
                card = virtio_pci.Card(vm, 2)
                starts, plain, requests = [], [], []
                for _ in range(STARTS):
                    queue = card.start(1)[0][0]
                    card.reset()
                    card.negotiate()
                    queue = card.enable_queue(0)[0]
                    starts.append(card.driver_ok() * 1e6)
                    plain.append(card.set(virtio_pci.COMMON, 22, 2, 0) * 1e6)
                for _ in range(REQUESTS):
                    virtio_pci.blk_request(queue, 0, 3, length=512)
                    before = time.monotonic()
                    queue.kick()
                    while queue.used_index() != queue.posted:
                        pass
                    requests.append((time.monotonic() - before) * 1e6)
        finally:
            backend.kill()
    return {'vhost-start-us': starts, 'vhost-plain-us': plain, 'vhost-request-us': requests}


GROUPS = [('vhost-user', vhost, 'a vhost-user disk')]
FIGURES = [
    ('vhost-start-us', 'vhost-user: DRIVER_OK, until the ring is enabled', 'us', True, 0,
     ('less than 1 ms', lambda tern, stock: tern < 1000)),
    ('vhost-plain-us', '  a register write beside it', 'us', True, 0, None),
    ('vhost-request-us', '  request of 512 bytes, kick to used', 'us', True, 0, None),
]
