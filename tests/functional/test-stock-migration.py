#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""RAM to and from stock by every way that both have: multifd, postcopy with a broken connection, and what follows.

The guest does nothing: memory is written through the qtest socket, before and while it moves.
STOCK_QEMU names another stock program than the installed one; the machine version is its own, and those before it that both have.
STOCK_QEMU_10 names one of version 8.1 or later beside it, and everything is done with both: what the installed 7.2 does not have
(mapped-ram, switchover-ack, newer forms of multifd) is seen with that.
"""

import os
import random
import shlex
import tempfile
import time
import unittest

import common
import qtest_client
from between import Between
from common import tap
from qtest_client import Machine, TestError, halting_rom

MIB = 1 << 20
PAGE = 4096
SIZE = 16
FIRST, LAST = 1, 6       # megabytes that are written


class Pair:
    """A source and a destination, one of them stock, and what the guest's memory shall be."""

    def __init__(self, source, target, version, capabilities, parameters, oob=False, more=(), ram=None):
        self.folder = tempfile.TemporaryDirectory()
        machine = 'pc-i440fx-' + version
        if ram:
            machine += ',memory-backend=m'
            more = [*more, '-object', 'memory-backend-file,id=m,size=%dM,share=on,mem-path=%s' % (SIZE, self.path(ram))]
        # It comes with the stream: a firmware that ran in stock would wait for pages, and the monitor for that.
        with open(self.path('rom'), 'wb') as file:
            file.write(halting_rom())
        args = ['-machine', machine, '-m', str(SIZE), '-bios', self.path('rom'), *more]
        self.source = self.machine(source, args)
        self.target = self.machine(target, args + ['-incoming', 'defer'], negotiate=not oob)
        if oob:
            self.target.qmp.raw({'execute': 'qmp_capabilities', 'arguments': {'enable': ['oob']}})
        for vm in (self.source, self.target):
            vm.qmp.command('migrate-set-capabilities', {'capabilities': [
                {'capability': name, 'state': True} for name in capabilities]})
            if parameters:
                vm.qmp.command('migrate-set-parameters', parameters)
        self.random = random.Random(len(capabilities) * 7 + SIZE)
        self.memory = {}
        for mib in range(FIRST, LAST):
            self.memory[mib] = bytearray(self.random.randbytes(MIB) if mib % 4 else MIB)
            self.source.qtest.write(mib * MIB, bytes(self.memory[mib]))

    @staticmethod
    def machine(command, args, **options):
        return Machine(command, args, **options, accel='qtest' if command == common.TERN else 'tcg')

    def path(self, name):
        return os.path.join(self.folder.name, name)

    def write(self, vm, count):
        for number in range(count):
            mib = self.random.randrange(FIRST, LAST)
            at = self.random.randrange(MIB // PAGE) * PAGE
            data = self.random.randbytes(PAGE) if number % 3 else bytes(PAGE)
            if number % 2:    # a little, in a page that is written often
                mib, at, data = FIRST, at % (8 * PAGE) + 100, data[:50]
            self.memory[mib][at:at + len(data)] = data
            vm.qtest.write(mib * MIB + at, data)

    def limit(self, name, value, downtime=1):
        self.source.qmp.command('migrate-set-parameters', {name: value, 'downtime-limit': downtime})

    def status(self):
        return tuple(vm.qmp.command('query-migrate').get('status') for vm in (self.source, self.target))

    def wait_status(self, wanted):
        deadline = time.monotonic() + 60
        while self.status() != (wanted, wanted):
            if time.monotonic() > deadline:
                raise TestError('%s, not %s: %s %s' % (self.status(), wanted, self.source.stderr(), self.target.stderr()))
            time.sleep(0.01)

    def start(self, uri, listen=None, passes=0):
        """Whether it is still going on, with `passes` over memory done."""
        self.limit('max-bandwidth', 200000)
        self.target.qmp.command('migrate-incoming', {'uri': listen or uri})
        self.source.qmp.command('migrate', {'uri': uri})
        while self.source.qmp.command('query-migrate').get('status') != 'active':
            time.sleep(0.005)
        self.write(self.source, 20)
        if passes:
            # The guest writes all the time, so that there is something to be sent again in each pass.
            self.limit('max-bandwidth', 6000000)
            if not self.write_for(passes):
                return False
            self.limit('max-bandwidth', 10000)
        else:
            self.limit('max-bandwidth', 5000000)
            time.sleep(0.05)
            self.limit('max-bandwidth', 200000)
            self.write(self.source, 60)
        return self.source.qmp.command('query-migrate')['status'] == 'active'

    def write_for(self, passes):
        deadline = time.monotonic() + 90
        while True:
            info = self.source.qmp.command('query-migrate')
            if info['status'] != 'active' or time.monotonic() > deadline:
                return False
            if info['ram']['dirty-sync-count'] >= passes and info.get('xbzrle-cache', {'pages': 1})['pages']:
                return True
            self.memory[LAST - 1] = bytearray(self.random.randbytes(MIB))
            self.source.qtest.write((LAST - 1) * MIB, bytes(self.memory[LAST - 1]))
            self.write(self.source, 10)

    def finish(self):
        for vm in (self.source, self.target):
            if vm.wait_migration()['status'] != 'completed':
                raise TestError('%s: %s %s' % (self.status(), self.source.stderr(), self.target.stderr()))
        return [mib for mib, data in self.memory.items()
                if self.target.qtest.read(mib * MIB, MIB) != bytes(data)]

    def close(self):
        if self.folder:
            self.source.close()
            self.target.close()
            self.folder.cleanup()
            self.folder = None


class StockMigration(unittest.TestCase):
    """With the installed stock program, or the one that STOCK_QEMU names."""

    def setUp(self):
        found = self.find()
        self.stock, version = found
        self.version = '.'.join(version.split('.')[:2])

    def find(self):
        found = common.stock()
        if found is None:
            self.skipTest('qemu-system-x86_64 is not installed')
        return found

    def pair(self, from_stock, capabilities, parameters=None, version=None, **options):
        commands = [self.stock, common.TERN]
        pair = Pair(commands[not from_stock], commands[from_stock], version or self.version, capabilities,
                    parameters, **options)
        self.addCleanup(pair.close)
        return pair

    def need(self, capability):
        """Skips if stock does not have it."""
        vm = Pair.machine(self.stock, ['-machine', 'none'])
        names = [cap['capability'] for cap in vm.qmp.command('query-migrate-capabilities')]
        vm.close()
        if capability not in names:
            self.skipTest('stock %s has no %s' % (self.version, capability))

    def machine_versions(self):
        """Those that both have."""
        names = []
        for command in (self.stock, common.TERN):
            vm = Pair.machine(command, ['-machine', 'none'])
            names.append({machine['name'][len('pc-i440fx-'):] for machine in vm.qmp.command('query-machines')
                          if machine['name'].startswith('pc-i440fx-')})
            vm.close()
        return sorted(names[0] & names[1], key=lambda version: [int(part) for part in version.split('.')])

    def move(self, capabilities, parameters=None, passes=0, version=None, **options):
        for from_stock in (True, False):
            with self.subTest(from_stock=from_stock, version=version or self.version):
                # On a busy host the guest's writes may stop for so long that the end comes before they do.
                for _ in range(3):
                    pair = self.pair(from_stock, capabilities, parameters, version, **options)
                    if pair.start('unix:' + pair.path('m'), passes=passes):
                        break
                    pair.close()
                else:
                    self.skipTest('this host is too busy')
                pair.limit('max-bandwidth', 1 << 40, downtime=300)
                self.assertEqual(pair.finish(), [])
                pair.close()

    def test_zero_and_other_pages(self):
        self.move([])

    def test_xbzrle(self):
        """Differences are sent. There can be no end before the destination's word comes, which is held back; where stock does
        not know that, the guest's writes have to keep pace."""
        try:
            self.need('switchover-ack')
        except unittest.SkipTest:
            self.move(['xbzrle'], passes=5)
            return
        for from_stock in (True, False):
            with self.subTest(from_stock=from_stock):
                pair = self.pair(from_stock, ['xbzrle', 'return-path', 'switchover-ack'])
                between = Between(pair.path('p'), pair.path('t'), hold=True)
                self.addCleanup(between.close)
                self.assertTrue(pair.start('unix:' + pair.path('p'), 'unix:' + pair.path('t'), passes=5))
                between.pass_answers()
                pair.limit('max-bandwidth', 1 << 40, downtime=300)
                self.assertEqual(pair.finish(), [])
                info = pair.source.qmp.command('query-migrate')
                self.assertGreater(info['xbzrle-cache']['pages'], 0)

    def test_switchover_ack(self):
        self.need('switchover-ack')
        self.move(['return-path', 'switchover-ack'])

    def test_validate_uuid(self):
        self.move(['validate-uuid'], more=['-uuid', '8a8e7e4e-0000-4000-8000-123456789abc'])

    def test_shared_memory_stays_where_it_is(self):
        for from_stock in (True, False):
            with self.subTest(from_stock=from_stock):
                pair = self.pair(from_stock, ['x-ignore-shared'], ram='ram')
                pair.target.qmp.command('migrate-incoming', {'uri': 'unix:' + pair.path('m')})
                pair.source.qmp.command('migrate', {'uri': 'unix:' + pair.path('m')})
                self.assertEqual(pair.finish(), [])
                self.assertLess(pair.source.qmp.command('query-migrate')['ram']['normal-bytes'], MIB)
                pair.close()

    def test_auto_converge(self):
        self.move(['auto-converge'], {'cpu-throttle-initial': 50})

    def test_each_machine_version(self):
        """Zero pages, syncs and marks differ with it."""
        for version in self.machine_versions():
            for capabilities in ([], ['multifd', 'return-path']):
                self.move(capabilities, {'multifd-channels': 2} if capabilities else None, version=version)

    def test_who_looks_for_zero_pages(self):
        self.need('mapped-ram')
        for who in ('none', 'legacy', 'multifd'):
            self.move(['multifd'], {'zero-page-detection': who})

    def test_multifd(self):
        self.move(['multifd'], {'multifd-channels': 3})

    def test_multifd_zlib(self):
        self.move(['multifd', 'return-path'], {'multifd-compression': 'zlib'})

    def test_multifd_zstd(self):
        self.move(['multifd'], {'multifd-compression': 'zstd', 'multifd-channels': 4})

    def mapped(self, from_stock, writer, reader, offset):
        """writer, reader: (number of threads, direct-io); 0: without multifd."""
        pair = self.pair(from_stock, [])
        names = [cap['capability'] for vm in (pair.source, pair.target)
                 for cap in vm.qmp.command('query-migrate-capabilities')]
        if names.count('mapped-ram') < 2:
            self.skipTest('stock %s has no mapped-ram' % self.version)
        uri = 'file:%s,offset=%d' % (pair.path('file'), offset)
        for vm, (threads, direct) in ((pair.source, writer), (pair.target, reader)):
            vm.qmp.command('migrate-set-capabilities', {'capabilities': [
                {'capability': 'mapped-ram', 'state': True}, {'capability': 'multifd', 'state': threads > 0}]})
            vm.qmp.command('migrate-set-parameters', {'multifd-channels': threads or 2, 'direct-io': direct})
        pair.source.qmp.command('migrate', {'uri': uri})
        pair.source.wait_migration()
        pair.target.qmp.command('migrate-incoming', {'uri': uri})
        self.assertEqual(pair.finish(), [])
        pair.close()

    def test_mapped_ram(self):
        for from_stock in (True, False):
            for writer, reader, offset in (((0, False), (0, False), 0), ((2, False), (3, False), 65536),
                                           ((3, True), (2, True), 12345), ((4, True), (0, False), 0),
                                           ((0, True), (2, True), 5)):
                with self.subTest(from_stock=from_stock, writer=writer, reader=reader, offset=offset):
                    self.mapped(from_stock, writer, reader, offset)

    def postcopy(self, from_stock, breaks, capabilities=()):
        pair = self.pair(from_stock, ['postcopy-ram', *capabilities])
        between = Between(pair.path('p'), pair.path('t'))
        self.addCleanup(between.close)
        pair.start('unix:' + pair.path('p'), 'unix:' + pair.path('t'))
        pair.limit('max-postcopy-bandwidth', 400000)
        pair.source.qmp.command('migrate-start-postcopy')
        pair.wait_status('postcopy-active')
        self.read(pair, 10)
        for number in range(breaks):
            between.cut()
            pair.wait_status('postcopy-paused')
            between = Between(pair.path('p%d' % number), pair.path('t%d' % number))
            self.addCleanup(between.close)
            pair.target.qmp.command('migrate-recover', {'uri': 'unix:' + pair.path('t%d' % number)})
            pair.source.qmp.command('migrate', {'uri': 'unix:' + pair.path('p%d' % number), 'resume': True})
            pair.wait_status('postcopy-active')
            self.read(pair, 10)
        pair.write(pair.target, 10)
        pair.limit('max-postcopy-bandwidth', 0)
        self.assertEqual(pair.finish(), [])

    def read(self, pair, count):
        """Pages of which most are not there yet."""
        for _ in range(count):
            mib = pair.random.randrange(FIRST, LAST)
            at = pair.random.randrange(MIB // PAGE) * PAGE
            self.assertEqual(pair.target.qtest.read(mib * MIB + at, PAGE), bytes(pair.memory[mib][at:at + PAGE]))

    def test_postcopy_from_stock(self):
        self.postcopy(True, 1)

    def test_postcopy_to_stock(self):
        self.postcopy(False, 1)

    def test_postcopy_to_stock_gives_memory_back_meanwhile(self):
        self.postcopy(False, 1, ['release-ram'])

    def test_postcopy_to_stock_names_a_page_that_is_lost(self):
        pair = self.pair(False, ['postcopy-ram'])
        pair.start('unix:' + pair.path('t'))
        pair.limit('max-postcopy-bandwidth', 400000)
        pair.source.qmp.command('migrate-start-postcopy')
        pair.wait_status('postcopy-active')
        mib = next(mib for mib in range(LAST - 1, FIRST, -1) if mib % 4)
        pair.source.qmp.command('x-poison-page', {'address': mib * MIB, 'notice': 'none'})
        pair.memory[mib][:PAGE] = bytes(PAGE)
        pair.limit('max-postcopy-bandwidth', 0)
        self.assertEqual(pair.finish(), [])
        self.assertIn("the guest finds zeros there: RAM block 'pc.ram', offset 0x%x" % (mib * MIB), pair.source.stderr())

    def test_postcopy_recovers_while_the_main_thread_waits_for_a_page(self):
        """Between Tern and Tern: migrate-recover out of band."""
        pair = Pair(common.TERN, common.TERN, self.version, ['postcopy-ram'], None, oob=True)
        self.addCleanup(pair.close)
        between = Between(pair.path('p'), pair.path('t'))
        pair.start('unix:' + pair.path('p'), 'unix:' + pair.path('t'))
        pair.limit('max-postcopy-bandwidth', 100000)
        pair.source.qmp.command('migrate-start-postcopy')
        pair.wait_status('postcopy-active')
        between.close()
        pair.wait_status('postcopy-paused')
        at = (LAST - 1) * MIB + 0x70000
        line = pair.target.qtest.line
        line.send(b'read 0x%x 0x%x\n' % (at, PAGE))
        with self.assertRaises(TestError):
            line.readline(0.3)
        self.assertEqual(pair.target.qmp.raw({'exec-oob': 'migrate-recover', 'id': 1, 'arguments': {
            'uri': 'unix:' + pair.path('r')}}), {'return': {}, 'id': 1})
        pair.source.qmp.command('migrate', {'uri': 'unix:' + pair.path('r'), 'resume': True})
        answer = line.readline().split()
        self.assertEqual(bytes.fromhex(answer[1].decode()[2:]), bytes(pair.memory[LAST - 1][0x70000:0x71000]))
        pair.limit('max-postcopy-bandwidth', 0)
        self.assertEqual(pair.finish(), [])


class Stock10Migration(StockMigration):
    """All of it with a later one beside the installed."""

    def find(self):
        text = os.environ.get('STOCK_QEMU_10')
        if not text:
            self.skipTest('STOCK_QEMU_10 is not set: a QEMU of version 8.1 or later')
        command = tuple(shlex.split(text))
        return command, qtest_client.version(command)


if __name__ == '__main__':
    tap.main()
