# SPDX-License-Identifier: GPL-2.0-or-later
"""A virtual machine that is moved from process to process while it runs.

    with Journey(args, folder=folder) as journey:
        journey.run(lambda: b'END' in journey.serial(), timeout=60)

Each process writes to the same files (serial line, debug console), one after the other.
"""

import collections
import itertools
import os
import time

import common
import qtest_client


class SaysNothing(Exception):
    """A boot in which a time-out in the guest has passed, because the host did not let it run; or in which stock has lost a request."""


def patiently(what, boot, pauses, enough=float('inf')):
    """What boot(pause) returns, the first time that it says something; all reasons if none does, or time.monotonic() is `enough`."""
    reasons = []
    for pause in pauses:
        try:
            return boot(pause)
        except SaysNothing as error:
            reasons.append(str(error))
            print(f'# {what}, boot {len(reasons)}: {error}', flush=True)
        if time.monotonic() > enough:
            break
    raise SaysNothing('; '.join(reasons))


class Journey:
    """args: the machine. programs: the emulators that take turns, Tern alone if not given.

    With `may_refuse` a destination may refuse a state by name that it has no form for (a stock one, the middle of a USB control
    transfer); the machine then goes on where it is, and `refused` has the reasons.
    """

    def __init__(self, args, folder, programs=(common.TERN,), accel='kvm', options=None,
                 may_refuse=None):
        self.args = list(args)
        self.folder = folder
        self.count = len(programs)
        self.programs = itertools.cycle(programs)
        self.accel = accel
        self.options = options or (lambda program: [])
        self.may_refuse = may_refuse
        self.refused = []
        self.arrivals, self.refusals = collections.Counter(), collections.Counter()  # by the destination's program
        self.program = None
        self.status = ('running',)  # in which a machine may arrive
        self.patience = 60  # seconds for a migration
        self.moves = 0
        self.downtimes = []
        self.machine = None
        self.serial_path = os.path.join(folder, 'serial')
        self.debug_path = os.path.join(folder, 'debug')

    def __enter__(self):
        try:
            self.machine = self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        if self.machine:
            self.machine.close()
            self.machine = None
        for path in (self.serial_path, self.debug_path, self.socket_path()):
            if os.path.exists(path):
                os.unlink(path)

    def socket_path(self):
        return os.path.join(self.folder, 'm')

    def start(self, *more):
        self.program = program = next(self.programs)
        lines = []
        for name, path in (('serial', self.serial_path), ('debug', self.debug_path)):
            lines += ['-chardev', f'file,id={name},path={path},append=on']
        lines += ['-serial', 'chardev:serial', '-device', 'isa-debugcon,iobase=0x402,chardev=debug']
        return qtest_client.Machine(program, lines + self.args + self.options(program) + list(more),
                                    accel=self.accel, qtest=False)

    @staticmethod
    def read(path):
        if not os.path.exists(path):
            return b''
        with open(path, 'rb') as file:
            return file.read()

    def serial(self):
        return self.read(self.serial_path)

    def debug(self):
        return self.read(self.debug_path)

    def move(self):
        """To the next process; returns when the machine runs there."""
        uri = 'unix:' + self.socket_path()
        there = self.start('-incoming', 'defer')
        try:
            info = self.migrate(there, uri)
        except BaseException as error:
            why = there.stderr()
            there.close()
            if isinstance(error, qtest_client.TestError) and self.may_refuse and self.may_refuse in why:
                self.stay(why)
                return
            raise qtest_client.TestError('move %d: %s; source: %s; destination: %s' % (
                self.moves + 1, error, self.machine.stderr(), why)) from error
        self.arrivals[self.program] += 1
        self.downtimes.append(info.get('downtime', 0))
        self.machine.close()
        self.machine = there
        self.moves += 1

    def migrate(self, there, uri):
        capabilities = {'capabilities': [{'capability': 'return-path', 'state': True}]}
        for side in (there, self.machine):
            side.qmp.command('migrate-set-capabilities', capabilities)
        there.qmp.command('migrate-incoming', {'uri': uri})
        self.machine.qmp.command('migrate', {'uri': uri})
        info = self.machine.wait_migration(self.patience)
        if info['status'] != 'completed':
            raise qtest_client.TestError(str(info))
        self.wait_running(there, self.patience)
        return info

    def stay(self, why):
        """The destination is gone; the source has learned of it, runs again, and keeps its turn."""
        self.refused.append(why)
        self.refusals[self.program] += 1
        status = self.machine.qmp.command('query-status')['status']
        if status != 'running':
            self.machine.qmp.command('cont')
        self.skip_turn()

    def skip_turn(self):
        """The program that refused is asked again."""
        for _ in range(self.count - 1):
            next(self.programs)

    def wait_running(self, machine, timeout):
        deadline = time.monotonic() + timeout
        while True:
            status = machine.qmp.command('query-status')['status']
            if status in self.status:
                return
            if status != 'inmigrate' or time.monotonic() > deadline:
                raise qtest_client.TestError(f'the destination is {status}: {machine.stderr()}')
            machine.qmp.poll_events(0.001)

    def run(self, done, timeout, moving=True, pause=0.0, at_least=0):
        """Until done() is true, moving without end meanwhile; then at_least moves in all."""
        deadline = time.monotonic() + timeout
        while not done() or self.moves < at_least:
            if time.monotonic() > deadline:
                raise qtest_client.TestError('%d moves, %.0f s: the guest has not come to its end; serial line: %r' % (
                    self.moves, timeout, self.serial()[-300:]))
            if moving and (not done() or self.moves < at_least):
                self.move()
            time.sleep(pause)
