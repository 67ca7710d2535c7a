# SPDX-License-Identifier: GPL-2.0-or-later
"""The rules of the vhost-user specification for the front end's messages, applied to a trace.

    violations(lines) -> ['line 7: SET_VRING_ENABLE: ring 0 has no kick yet', …]

A trace is what the test back end writes: one line per message of one connection, `>` from the front end and
`<` from the back end, with flags, size, number of descriptors, and what the message is about.  This knows
nothing of Tern; the golden traces say what Tern does, this says whether it may.
"""

import re

LINE = re.compile(r'([<>]) ([A-Z_]+) flags 0x([0-9a-f]+) size (\d+) fds (\d+)(?:: (.*))?$')
VERSION, REPLY, NEED_REPLY = 1, 4, 8
PROTOCOL_FEATURES, LOG_ALL = 1 << 30, 1 << 26
MQ, LOG_SHMFD, RARP, REPLY_ACK, MTU, BACKEND_REQ, CONFIG, INFLIGHT = (1 << n for n in (0, 1, 2, 3, 4, 5, 9, 12))
RESET_DEVICE, SLOTS, STATUS, DEVICE_STATE = (1 << n for n in (13, 15, 16, 19))

# message: (its own reply, the protocol feature that it needs, sizes, descriptors)
ANY = None
MESSAGES = {
    'GET_FEATURES': (True, 0, (0,), (0,)), 'SET_FEATURES': (False, 0, (8,), (0,)),
    'SET_OWNER': (False, 0, (0,), (0,)), 'SET_MEM_TABLE': (False, 0, ANY, ANY),
    'SET_LOG_BASE': (True, LOG_SHMFD, (16,), (1,)), 'SET_VRING_NUM': (False, 0, (8,), (0,)),
    'SET_VRING_ADDR': (False, 0, (40,), (0,)), 'SET_VRING_BASE': (False, 0, (8,), (0,)),
    'GET_VRING_BASE': (True, 0, (8,), (0,)), 'SET_VRING_KICK': (False, 0, (8,), (0, 1)),
    'SET_VRING_CALL': (False, 0, (8,), (0, 1)), 'SET_VRING_ERR': (False, 0, (8,), (0, 1)),
    'GET_PROTOCOL_FEATURES': (True, 0, (0,), (0,)), 'SET_PROTOCOL_FEATURES': (False, 0, (8,), (0,)),
    'GET_QUEUE_NUM': (True, MQ, (0,), (0,)), 'SET_VRING_ENABLE': (False, 0, (8,), (0,)),
    'SEND_RARP': (False, RARP, (8,), (0,)), 'NET_SET_MTU': (False, MTU, (8,), (0,)),
    'SET_BACKEND_REQ_FD': (False, BACKEND_REQ, (0,), (1,)), 'GET_CONFIG': (True, CONFIG, ANY, (0,)),
    'SET_CONFIG': (False, CONFIG, ANY, (0,)), 'GET_INFLIGHT_FD': (True, INFLIGHT, (20, 24), (0,)),
    'SET_INFLIGHT_FD': (False, INFLIGHT, (20, 24), (1,)), 'RESET_DEVICE': (False, RESET_DEVICE, (0,), (0,)),
    'GET_MAX_MEM_SLOTS': (True, SLOTS, (0,), (0,)), 'ADD_MEM_REG': (False, SLOTS, (40,), (1,)),
    'REM_MEM_REG': (False, SLOTS, (40,), (0, 1)), 'SET_STATUS': (False, STATUS, (8,), (0,)),
    'GET_STATUS': (True, STATUS, (0,), (0,)), 'SET_DEVICE_STATE_FD': (True, DEVICE_STATE, (8,), (1,)),
    'CHECK_DEVICE_STATE': (True, DEVICE_STATE, (0,), (0,)),
}
# acts that the guest waits for, or that must be over before anything that depends on them
WAITED = ('SET_VRING_ENABLE', 'SET_MEM_TABLE', 'ADD_MEM_REG', 'REM_MEM_REG', 'RESET_DEVICE', 'SET_INFLIGHT_FD',
          'SET_BACKEND_REQ_FD')


class Ring:
    def __init__(self):
        self.have = set()   # of NUM, BASE, ADDR since the ring was stopped
        self.kick = self.on = False
        self.log = False    # in its addresses
        self.asked = False  # enabled since the last SET_FEATURES


class Checker:
    def __init__(self):
        self.found = []
        self.number = 0
        self.name = ''
        self.offered = self.features = None
        self.protocol_offered = self.protocol = 0
        self.owner = self.memory = self.log = self.started = False
        self.rings = {}
        self.expects = None  # the message whose reply is due
        self.unwaited = None  # what waits for a GET_FEATURES
        self.loading = False  # SET_DEVICE_STATE_FD without its check

    def wrong(self, text):
        self.found.append('line %d: %s: %s' % (self.number, self.name, text))

    def ring(self, text):
        return self.rings.setdefault(int(re.search(r'ring (\d+)', text).group(1)), Ring())

    def line(self, text):
        self.number += 1
        match = LINE.match(text)
        if not match:
            self.name = text[:20]
            self.wrong('is not a message')
            return
        direction, self.name, flags, size, fds, about = match.groups()
        flags, size, fds = int(flags, 16), int(size), int(fds)
        if self.name not in MESSAGES:
            self.wrong('is not known')
        elif direction == '<':
            self.reply(flags, size, about or '')
        else:
            self.request(flags, size, fds, about or '')

    def reply(self, flags, size, about):
        """A reply has the version and the reply bit, and is the one that is due."""
        if flags != VERSION | REPLY:
            self.wrong('flags 0x%x of a reply' % flags)
        if self.expects != self.name:
            self.wrong('nobody waits for this reply')
        self.expects = None
        if self.name == 'GET_FEATURES':
            self.offered = int(about, 16)
            self.unwaited = None
        elif self.name == 'GET_PROTOCOL_FEATURES':
            self.protocol_offered = int(about, 16)
        elif self.name == 'GET_VRING_BASE':
            ring = self.ring(about)
            ring.have.clear()
            ring.kick = False
        elif not MESSAGES[self.name][0] and size != 8:
            self.wrong('an acknowledgement of %d bytes' % size)

    def request(self, flags, size, fds, about):
        own, needs, sizes, descriptors = MESSAGES[self.name]
        if self.expects:
            self.wrong('the reply to %s has not come' % self.expects)
        if flags & ~NEED_REPLY != VERSION:
            self.wrong('flags 0x%x of a request' % flags)
        if flags & NEED_REPLY and not self.protocol & REPLY_ACK:
            self.wrong('NEED_REPLY without REPLY_ACK')
        if flags & NEED_REPLY and own:
            self.wrong('NEED_REPLY of a message that has its own reply')
        if needs and not self.protocol & needs:
            self.wrong('the protocol feature 0x%x has not been agreed upon' % needs)
        if sizes is not ANY and size not in sizes:
            self.wrong('%d bytes' % size)
        if descriptors is not ANY and fds not in descriptors:
            self.wrong('%d descriptors' % fds)
        if self.unwaited and self.name != 'GET_FEATURES':
            self.wrong('%s has not been waited for' % self.unwaited)
        if self.name in WAITED and not flags & NEED_REPLY:
            self.unwaited = self.name
        if own or flags & NEED_REPLY:
            self.expects = self.name
        handler = getattr(self, 'on_' + self.name.lower(), None)
        if handler:
            handler(about, fds)

    # ---- the beginning

    def on_set_owner(self, _about, _fds):
        if self.owner:
            self.wrong('a second time')
        self.owner = True

    def on_get_protocol_features(self, _about, _fds):
        if self.offered is None or not self.offered & PROTOCOL_FEATURES:
            self.wrong('the back end does not offer protocol features')

    def on_set_protocol_features(self, about, _fds):
        self.protocol = int(about, 16)
        if self.protocol & ~self.protocol_offered:
            self.wrong('0x%x are not offered' % (self.protocol & ~self.protocol_offered))
        if self.started:
            self.wrong('rings run already')

    def on_set_features(self, about, _fds):
        self.features = int(about, 16)
        if self.offered is None or self.features & ~self.offered:
            self.wrong('0x%x are not offered' % (self.features & ~(self.offered or 0)))
        if self.features & LOG_ALL and not self.log:
            self.wrong('LOG_ALL before SET_LOG_BASE')
        if not self.owner:
            self.wrong('before SET_OWNER')
        for ring in self.rings.values():
            ring.asked = False

    # ---- memory

    def on_set_mem_table(self, about, fds):
        if self.protocol & SLOTS:
            self.wrong('with CONFIGURE_MEM_SLOTS')
        if int(about.split()[0]) != fds:
            self.wrong('%s with %d descriptors' % (about, fds))
        self.memory = True

    def on_add_mem_reg(self, _about, _fds):
        self.memory = True

    def on_set_log_base(self, _about, _fds):
        self.log = True

    def on_set_inflight_fd(self, _about, _fds):
        if any(ring.kick for ring in self.rings.values()):
            self.wrong('a ring runs already')

    # ---- rings

    def part(self, name, about):
        ring = self.ring(about)
        if self.features is None:
            self.wrong('before SET_FEATURES')
        if ring.kick and name != 'ADDR':
            self.wrong('the ring runs')
        ring.have.add(name)

    def on_set_vring_num(self, about, _fds):
        self.part('NUM', about)

    def on_set_vring_base(self, about, _fds):
        self.part('BASE', about)

    def on_set_vring_addr(self, about, _fds):
        self.part('ADDR', about)
        if not self.memory:
            self.wrong('before the memory table')
        if 'log' in about and not (self.log and self.features & LOG_ALL):
            self.wrong('a log that has not been agreed upon')
        self.ring(about).log = 'log' in about

    def on_set_vring_kick(self, about, _fds):
        ring = self.ring(about)
        for name in ('NUM', 'BASE', 'ADDR'):
            if name not in ring.have:
                self.wrong('before SET_VRING_' + name)
        ring.kick = self.started = True

    def on_set_vring_enable(self, about, _fds):
        ring = self.ring(about)
        if self.features is None or not self.features & PROTOCOL_FEATURES:
            self.wrong('without VHOST_USER_F_PROTOCOL_FEATURES')
        if about.endswith('on'):
            # started and enabled are independent of each other, but a ring that is enabled has to be somewhere
            if not ring.kick and not {'NUM', 'BASE', 'ADDR'} <= ring.have:
                self.wrong('the ring has not been set up, or has been stopped')
            ring.asked = True
        ring.on = about.endswith('on')

    # ---- the state of the back end

    def stands(self):
        if any(ring.kick for ring in self.rings.values()):
            self.wrong('a ring runs')

    def on_set_device_state_fd(self, _about, _fds):
        self.stands()
        self.loading = True

    def on_check_device_state(self, _about, _fds):
        if not self.loading:
            self.wrong('nothing was transferred')
        self.loading = False

    def end(self):
        """When nothing more comes: no reply is due, and rings that run are enabled and logged as the features say."""
        self.name = 'the end'
        if self.expects:
            self.wrong('the reply to %s has not come' % self.expects)
        if self.unwaited:
            self.wrong('%s has not been waited for' % self.unwaited)
        if self.loading:
            self.wrong('SET_DEVICE_STATE_FD without CHECK_DEVICE_STATE')
        for number, ring in sorted(self.rings.items()):
            if ring.kick and ring.on and not ring.asked:
                self.wrong('ring %d was not enabled again behind SET_FEATURES' % number)
            if ring.kick and ring.log != bool(self.features & LOG_ALL):
                self.wrong('ring %d: the log flag of its addresses is not as the features say' % number)


def violations(lines):
    """What is against the specification in the trace of one connection."""
    checker = Checker()
    for line in lines:
        checker.line(line)
    checker.end()
    return checker.found
