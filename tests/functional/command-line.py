#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line: options, errors, exit statuses, background, signals, the end. Error texts are stock's."""
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest

SOURCE = os.environ.get('TERN_SOURCE_DIR') or os.path.join(os.path.dirname(os.path.realpath(__file__)), '../..')
sys.path.insert(0, os.path.join(SOURCE, 'tests/unit'))
import tap  # noqa: E402

EMULATOR = os.environ['QTEST_QEMU_BINARY']
PROGRAM = os.path.basename(EMULATOR)
QTEST = ['-nodefaults', '-accel', 'qtest']
UHCI = ['-device', 'piix3-usb-uhci,id=uhci']


def run(*args, timeout=60):
    """Runs to the end; status, stdout, stderr."""
    done = subprocess.run([EMULATOR, *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timeout, check=False)
    return done.returncode, done.stdout, done.stderr


class Machine:
    """An emulator with QMP on stdio."""

    def __init__(self, *args, cwd=None):
        self.process = subprocess.Popen([EMULATOR, *QTEST, '-qmp', 'stdio', *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=cwd)
        self.events = []
        self.read()
        self.command('qmp_capabilities')

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError('the emulator ended: ' + self.process.stderr.read())
        return json.loads(line)

    def send(self, name, arguments=None):
        self.process.stdin.write(json.dumps({'execute': name, 'arguments': arguments or {}}) + '\n')
        self.process.stdin.flush()

    def ask(self, command, **arguments):
        self.send(command, {key.replace('_', '-'): value for key, value in arguments.items()})
        while True:
            answer = self.read()
            if 'event' not in answer:
                return answer
            self.events.append(answer)

    def command(self, command, **arguments):
        answer = self.ask(command, **arguments)
        if 'return' not in answer:
            raise AssertionError(f'{command}: {answer}')
        return answer['return']

    def hmp(self, line):
        return self.command('human-monitor-command', command_line=line).replace('\r\n', '\n')

    def wait_event(self, name):
        while not any(event['event'] == name for event in self.events):
            self.events.append(self.read())

    def end(self):
        if self.process.poll() is None:
            try:
                self.send('quit')
            except BrokenPipeError:
                pass
        out = self.process.stdout.read() # with its input open: a session that ends hears no events
        _, err = self.process.communicate(timeout=60)
        self.events += [json.loads(line) for line in out.splitlines() if '"event"' in line]
        return self.process.returncode, err

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is not None:
            self.process.kill()
        status, err = self.end()
        if kind is None and status:
            raise AssertionError(f'exit status {status}: {err}')


class Help(unittest.TestCase):
    def test_version(self):
        status, out, err = run('-version')
        self.assertEqual((status, err), (0, ''))
        self.assertRegex(out, r'^QEMU emulator version \d+\.\d+\.\d+ \(Tern ')
        self.assertEqual(run('--version')[1], out)

    def test_help_has_every_option(self):
        status, out, _ = run('-help')
        self.assertEqual(status, 0)
        self.assertEqual(run('-h')[1], out)
        with open(os.path.join(SOURCE, 'system/main/options.def'), encoding='utf-8') as file:
            table = file.read()
        with open(os.path.join(SOURCE, 'docs/system/invocation.md'), encoding='utf-8') as file:
            page = file.read()
        names = re.findall(r'(?m)^(?:OPTION|ALIAS)\(\w+, "([^"]+)"', table)
        self.assertGreater(len(names), 40)
        for name in names:
            self.assertRegex(out, r'(?m)(^|, )-' + re.escape(name) + r'\b')
            self.assertIn(f'`-{name}', page, 'docs/system/invocation.md')

    def test_lists(self):
        self.assertRegex(run('-machine', 'help')[1], r'(?m)^none +empty machine$')
        self.assertRegex(run('-M', 'help')[1], r'(?m)^pc +Standard PC .*\(alias of pc-i440fx-')
        self.assertIn('qtest\n', run('-accel', 'help')[1])
        self.assertIn('name "piix3-usb-uhci", bus PCI', run('-device', 'help')[1])
        self.assertIn('  memory-backend-ram\n', run('-object', 'help')[1])
        self.assertIn('usb-kbd options:\n', run('-device', 'usb-kbd,help')[1])
        self.assertIn('  size=<size> ', run('-object', 'memory-backend-ram,help')[1])
        self.assertIn('none-machine options:\n', run('-machine', 'none,help')[1])
        for args in (['-machine', 'help'], ['-device', 'usb-kbd,help'], ['-L', 'help'], ['-chardev', 'help']):
            self.assertEqual(run(*args)[0], 0, args)


class Errors(unittest.TestCase):
    def check(self, args, message, base=QTEST):
        status, out, err = run(*base, *args)
        self.assertEqual((status, out, err), (1, '', f'{PROGRAM}: {message}\n'))

    def test_options(self):
        self.check(['-nosuch'], '-nosuch: invalid option')
        self.check(['--nosuch'], '--nosuch: invalid option')
        self.check(['-device'], '-device: requires an argument')

    def test_machine(self):
        unsupported = 'unsupported machine type: "nosuch"\nUse -machine help to list supported machines'
        self.check(['-M', 'nosuch'], unsupported)
        self.check(['-M', 'none,nosuch=1'], "Property 'none-machine.nosuch' not found")
        self.check(['-M', 'none,usb=maybe'], "Parameter 'usb' expects 'on' or 'off'")
        self.check(['-M', 'none,memory-backend=nosuch', '-m', '1M'], "Memory backend 'nosuch' not found")
        self.check(['-M', 'none,memory-backend=m', '-m', '2M', '-object', 'memory-backend-ram,id=m,size=1M'],
                   'Machine memory size does not match the size of the memory backend')

    def test_pflash(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, size in (('odd', 4608), ('empty', 0), ('big', 9 << 20), ('good', 4096)):
                with open(os.path.join(folder, name), 'wb') as file:
                    file.truncate(size)

            def unit(number, name):
                return ['-drive', f'if=pflash,format=raw,unit={number},file={folder}/{name}']
            need = ': its size must be a non-zero multiple of 0x1000'
            self.check(unit(0, 'odd'), 'system firmware block device pflash0 has invalid size 4608' + need)
            self.check(unit(0, 'empty'), 'system firmware block device pflash0 has invalid size 0' + need)
            self.check(unit(0, 'good') + unit(1, 'odd'), 'system firmware block device pflash1 has invalid size 4608' + need)
            self.check(unit(0, 'big'), 'combined size of system firmware exceeds 8388608 bytes')
            self.check(unit(0, 'good') + unit(1, 'good') + ['-M', 'pc,max-fw-size=4096'],
                       'combined size of system firmware exceeds 4096 bytes')
            self.check(unit(1, 'good'), 'pflash1 requires pflash0')
            self.check(unit(0, 'good') + unit(2, 'good'), 'machine type does not support if=pflash,bus=0,unit=2')
            self.check(['-M', 'q35,pflash0=nope'], "Property 'cfi.pflash01.drive' can't find value 'nope'")
            self.check(['-M', 'pc,pflash0=n', '-blockdev', f'file,node-name=n,filename={folder}/good'] + unit(0, 'good'),
                       '-drive if=pflash,unit=0 clashes with -machine pflash0=n')
            self.check(['-drive', 'if=pflash,unit=0'], "can't get size of block device pflash0: No medium found")
            self.check(['-global', 'driver=cfi.pflash01,property=secure,value=on'] + unit(0, 'good'),
                       "cfi.pflash01: property 'secure' needs system management mode, which there is not")

    def test_accel(self):
        self.check(['-M', 'none,accel=qtest', '-accel', 'qtest'],
                   'The -accel and "-machine accel=" options are incompatible', ['-nodefaults'])
        self.check(['-accel', 'nosuch', '-M', 'none'], '-accel nosuch: invalid accelerator nosuch', [])
        self.check(['-accel', 'tcg', '-M', 'none'],
                   "-accel tcg: accelerator 'tcg' is not available in this build", [])
        self.check(['-accel', 'kvm,device=/nonexistent', '-M', 'none'],
                   '-accel kvm,device=/nonexistent: failed to initialize kvm: Could not access KVM kernel module '
                   '/nonexistent: No such file or directory', [])
        self.check(['-accel', 'kvm,device=/dev/null', '-M', 'none'],
                   '-accel kvm,device=/dev/null: failed to initialize kvm: the device is not KVM', [])
        self.check(['-accel', 'kvm,kernel-irqchip=maybe', '-M', 'none'],
                   "-accel kvm,kernel-irqchip=maybe: Parameter 'kernel-irqchip' does not accept value 'maybe'", [])
        # the machine's property is not forgotten when -accel is there, too
        self.check(['-accel', 'kvm', '-M', 'none,kernel-irqchip=maybe'],
                   "-accel kvm: Parameter 'kernel-irqchip' does not accept value 'maybe'", [])
        self.check(['-accel', 'kvm,dirty-ring-size=1000', '-M', 'none'],
                   '-accel kvm,dirty-ring-size=1000: dirty-ring-size must be 0, or a power of two from 1024 to 65536', [])
        self.check(['-enable-kvm', '-accel', 'qtest', '-M', 'none'],
                   '-enable-kvm does not go with -accel or "-machine accel="', [])

    def test_memory(self):
        hint = ("Optional suffix k, M, G, T, P or E means kilo-, mega-, giga-, tera-, peta-\n"
                "and exabytes, respectively.")
        self.check(['-m', 'abc'],
                   f"-m abc: Parameter 'size' expects a non-negative number below 2^64\n{hint}")
        self.check(['-m', '-1'], "-m -1: Value '-1' is out of range for parameter 'size'")
        self.check(['-m', '128,nosuch=1'], "-m 128,nosuch=1: Invalid parameter 'nosuch'")
        self.check(['-m', 'size=128,slots=2'], 'slots specified but no max-size')
        self.check(['-m', 'size=128,slots=2,maxmem=64M'],
                   'invalid value of maxmem: maximum memory size (0x4000000) must be at least the initial memory '
                   'size (0x8000000)')

    def test_smp(self):
        self.check(['-smp', 'abc'], "Parameter 'smp.cpus' expects integer")
        self.check(['-smp', 'cpus=2,nosuch=1'], "Parameter 'smp.nosuch' is unexpected")
        self.check(['-M', 'none', '-smp', '2'],
                   "Invalid SMP CPUs 2. The max CPUs supported by machine 'none' is 1")
        self.check(['-smp', '4,sockets=3,cores=1,threads=1'],
                   'Invalid CPU topology: product of the hierarchy must match maxcpus: sockets (3) * dies (1) * '
                   'cores (1) * threads (1) != maxcpus (4)')

    def test_devices(self):
        for device, message in (
                ('nosuch', "'nosuch' is not a valid device model name"),
                ('id=x', "Parameter 'driver' is missing"),
                ('device', "Parameter 'driver' expects a non-abstract device type"),
                ('PIIX3', "Parameter 'driver' expects a pluggable device type"),
                ('usb-kbd', "No 'usb-bus' bus found for device 'usb-kbd'"),
                ('usb-kbd,bus=nosuch', "Bus 'nosuch' not found"),
                ('usb-kbd,bus=pci.0', "Device 'usb-kbd' can't go on PCI bus"),
                ('piix3-usb-uhci,maxframes=abc', "Parameter 'maxframes' expects integer"),
                ('piix3-usb-uhci,bandwidth=-1', "Parameter 'bandwidth' expects uint32_t"),
                ('piix3-usb-uhci,nosuch=1', "Property 'piix3-usb-uhci.nosuch' not found"),
                ('{"driver":"nosuch"}', "'nosuch' is not a valid device model name"),
                ('{"driver":"piix3-usb-uhci"', 'JSON parse error, premature EOI')):
            self.check(['-device', device], f'-device {device}: {message}')
        self.check(UHCI + ['-device', 'usb-kbd,id=a', '-device', 'usb-mouse,id=a'],
                   "-device usb-mouse,id=a: Duplicate ID 'a' for device")
        self.check(UHCI + ['-device', 'usb-kbd,id=1a'],
                   "-device usb-kbd,id=1a: Parameter 'id' expects an identifier\n"
                   "Identifiers consist of letters, digits, '-', '.', '_', starting with a letter.")
        self.check(['-usbdevice', 'nosuch'], "-usbdevice nosuch: could not add USB device 'nosuch'")

    def test_objects(self):
        for text, message in (
                ('nosuch,id=a', "Parameter 'qom-type' does not accept value 'nosuch'"),
                ('memory-backend-ram', "Parameter 'id' is missing"),
                ('memory-backend-ram,id=a', "Parameter 'size' is missing"),
                ('memory-backend-ram,id=a,size=1M,share=maybe', "Parameter 'share' expects 'on' or 'off'"),
                ('{"qom-type":"memory-backend-ram","id":"a"}', "Parameter 'size' is missing")):
            self.check(['-object', text], f'-object {text}: {message}')
        self.check(['-object', 'memory-backend-ram,id=a,size=1M'] * 2,
                   "-object memory-backend-ram,id=a,size=1M: Duplicate ID 'a' for object")

    def test_globals(self):
        self.check(['-global', 'nosuch'], "-global nosuch: Invalid parameter 'such'")
        self.check(['-global', 'usb-kbd.nosuch=1'] + UHCI + ['-device', 'usb-kbd'],
                   "-device usb-kbd: can't apply global usb-kbd.nosuch=1: Property 'usb-kbd.nosuch' not found")
        status, err = Machine('-M', 'none', '-global', 'nosuch.x=1').end()
        self.assertEqual((status, err), (0, f'{PROGRAM}: warning: global nosuch.x has invalid class name\n'))

    def test_various(self):
        self.check(['-uuid', 'nosuch'], '-uuid nosuch: failed to parse UUID string: wrong format')
        self.check(['-msg', 'nosuch=1'], "-msg nosuch=1: Invalid parameter 'nosuch'")
        self.check(['-action', 'nosuch=1'], "-action nosuch=1: Invalid parameter 'nosuch'")
        self.check(['-action', 'reboot=nosuch'],
                   "-action reboot=nosuch: Parameter 'reboot' does not accept value 'nosuch'")
        self.check(['-add-fd', 'fd=99,set=1'], '-add-fd fd=99,set=1: fd is not valid or already in use')
        self.check(['-pidfile', '/nonexistent/x'],
                   "cannot create PID file: Could not create '/nonexistent/x': No such file or directory")
        self.check(['-bios', '/nonexistent'], "could not load PC BIOS '/nonexistent'")
        self.check(['-daemonize', '-monitor', 'stdio'], '-monitor stdio: cannot use stdio with -daemonize')
        self.check(['-vga', 'cirrus'], "-vga cirrus: 'cirrus' is not available in this build, only 'std' and 'none' are")
        self.check(['-qtest', 'nosuch'], "'nosuch' is not a valid char driver\n"
                   f'{PROGRAM}: Failed to initialize device for qtest: "nosuch"')

    def test_drive_for_nobody(self):
        with tempfile.NamedTemporaryFile() as image:
            image.truncate(1 << 20)
            self.check(['-drive', f'file={image.name},if=ide,index=5,format=raw'],
                       'machine type does not support if=ide,bus=2,unit=1')


class Life(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.path = lambda name: os.path.join(self.folder.name, name)

    def tearDown(self):
        self.folder.cleanup()

    def test_queries(self):
        uuid = '01234567-89ab-cdef-0123-456789abcdef'
        with Machine('-M', 'none', '-S', '-name', 'guest=a,,b,process=tern-test', '-uuid', uuid, '-m', '3M') as machine:
            self.assertEqual(machine.command('query-status'), {'running': False, 'status': 'prelaunch'})
            self.assertEqual(machine.command('query-name'), {'name': 'a,b'})
            self.assertEqual(machine.command('query-uuid'), {'UUID': uuid})
            self.assertEqual(machine.command('query-kvm'), {'enabled': False, 'present': True})
            self.assertEqual(machine.command('query-target'), {'arch': 'x86_64'})
            self.assertEqual(machine.command('query-cpus-fast'), [])
            self.assertEqual(machine.command('query-iothreads'), [])
            self.assertEqual(machine.command('query-memory-size-summary')['base-memory'], 3 << 20)
            self.assertEqual([m['id'] for m in machine.command('query-memdev')], ['ram'])
            with open(f'/proc/{machine.process.pid}/comm', encoding='ascii') as file:
                self.assertEqual(file.read().strip(), 'tern-test')
            machine.command('cont')
            self.assertEqual(machine.command('query-status'), {'running': True, 'status': 'running'})
            machine.command('stop')
            self.assertEqual(machine.command('query-status')['status'], 'paused')
            self.assertEqual([e['event'] for e in machine.events], ['RESUME', 'STOP'])

    def test_machines(self):
        with Machine('-M', 'none') as machine:
            machines = {m['name']: m for m in machine.command('query-machines')}
            self.assertFalse(machines['none'].get('is-default', False))
            self.assertEqual(machines['none']['cpu-max'], 1)
            default = [m for m in machines.values() if m.get('is-default')]
            self.assertEqual(len(default), 1)
            self.assertEqual(default[0]['alias'], 'pc')

    def test_monitor_commands(self):
        with Machine('-M', 'none', '-m', '1M') as machine:
            self.assertEqual(machine.hmp('info status'), 'VM status: running\n')
            machine.hmp('stop')
            self.assertEqual(machine.hmp('info status'), 'VM status: paused\n')
            self.assertEqual(machine.hmp('info qtree'), 'bus: main-system-bus\n  type System\n')
            self.assertIn('/machine (none-machine)\n', machine.hmp('info qom-tree'))
            self.assertIn('  0000000000000000-00000000000fffff (prio 0, ram): ram\n', machine.hmp('info mtree -f'))
            self.assertEqual(machine.hmp('xp /2xw 0x10'), '0000000000000010: 0x00000000 0x00000000\n')
            self.assertEqual(machine.hmp('xp /2dh 0'), '0000000000000000:     0     0\n')
            self.assertEqual(machine.hmp('xp /4ub 0xffffe'), '00000000000ffffe: Cannot access memory\n')
            self.assertEqual(machine.hmp('x /4xb 0'), 'Can not dump without CPU\n')
            self.assertEqual(machine.hmp('device_add nosuch'), "Error: 'nosuch' is not a valid device model name\n")
            self.assertEqual(machine.hmp('device_del nosuch'), "Error: Device 'nosuch' not found\n")

    def test_memory_to_file(self):
        out = self.path('memory')
        with Machine('-M', 'none', '-m', '1M', '-qtest', f'unix:{self.path("qtest")},server=on,wait=off',
                     '-qtest-log', 'none') as machine:
            with socket.socket(socket.AF_UNIX) as guest:
                guest.connect(self.path('qtest'))
                guest.sendall(b'write 0x1000 0x4 0x01020304\n')
                self.assertEqual(guest.recv(100), b'OK\n')
            machine.command('pmemsave', val=0xffe, size=8, filename=out)
            with open(out, 'rb') as file:
                self.assertEqual(file.read(), b'\0\0\1\2\3\4\0\0')
            answer = machine.ask('pmemsave', val=0, size=1, filename='/nonexistent/x')
            self.assertEqual(answer['error']['desc'], "Could not open '/nonexistent/x': No such file or directory")

    def test_hotplug(self):
        with Machine('-M', 'pc', *UHCI) as machine:
            machine.command('device_add', driver='usb-kbd', id='k')
            self.assertIn('dev: usb-kbd, id "k"', machine.hmp('info qtree'))
            answer = machine.ask('device_add', driver='usb-mouse', id='k')
            self.assertEqual(answer['error'], {'class': 'GenericError', 'desc': "Duplicate device ID 'k'"})
            answer = machine.ask('qom-set', path='k', property='port', value='2')
            self.assertEqual(answer['error']['desc'], "Attempt to set property 'port' on device 'k' (type 'usb-kbd') "
                             'after it was realized')
            machine.command('device_del', id='k')
            machine.wait_event('DEVICE_DELETED')
            self.assertEqual(machine.events[-1]['data'], {'device': 'k', 'path': '/machine/peripheral/k'})
            answer = machine.ask('device_del', id='k')
            self.assertEqual(answer['error'], {'class': 'DeviceNotFound', 'desc': "Device 'k' not found"})

    def test_objects(self):
        with Machine('-M', 'none') as machine:
            machine.command('object-add', **{'qom_type': 'memory-backend-ram'}, id='m', size=65536)
            self.assertEqual(machine.command('qom-get', path='/objects/m', property='size'), 65536)
            names = [p['name'] for p in machine.command('qom-list', path='/objects')]
            self.assertIn('m', names)
            answer = machine.ask('object-add', **{'qom_type': 'memory-backend-ram'}, id='n', size=65536, nosuch=1)
            self.assertEqual(answer['error']['desc'], "Parameter 'nosuch' is unexpected")
            machine.command('object-del', id='m')
            answer = machine.ask('object-del', id='m')
            self.assertEqual(answer['error']['desc'], "object 'm' not found")
            types = {t['name']: t for t in machine.command('qom-list-types', implements='machine')}
            self.assertEqual(types['none-machine']['parent'], 'machine')
            self.assertNotIn('machine', types)

    def test_reset_and_powerdown(self):
        with Machine('-M', 'pc') as machine:
            machine.command('system_reset')
            machine.wait_event('RESET')
            self.assertEqual(machine.events[-1]['data'], {'guest': False, 'reason': 'host-qmp-system-reset'})
            machine.command('system_powerdown')
            machine.wait_event('POWERDOWN')

    def test_quit(self):
        machine = Machine('-M', 'none')
        status, err = machine.end()
        self.assertEqual((status, err), (0, ''))
        self.assertEqual(machine.events[-1]['event'], 'SHUTDOWN')
        self.assertEqual(machine.events[-1]['data'], {'guest': False, 'reason': 'host-qmp-quit'})

    def test_signals(self):
        for sig in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            machine = Machine('-M', 'none', '-pidfile', self.path('pid'))
            with open(self.path('pid'), encoding='ascii') as file:
                self.assertEqual(int(file.read()), machine.process.pid)
            os.kill(machine.process.pid, sig)
            out = machine.process.stdout.read()
            _, err = machine.process.communicate(timeout=60)
            self.assertEqual(machine.process.returncode, 0)
            self.assertRegex(err, rf'^{PROGRAM}: terminating on signal {int(sig)} from pid {os.getpid()} \(')
            self.assertEqual(json.loads(out)['data'], {'guest': False, 'reason': 'host-signal'})
            self.assertFalse(os.path.exists(self.path('pid')))

    def test_pidfile_is_locked(self):
        with Machine('-M', 'none', '-pidfile', self.path('pid')):
            status, _, err = run(*QTEST, '-M', 'none', '-pidfile', self.path('pid'))
            self.assertEqual(status, 1)
            self.assertIn('another process has it', err)
            self.assertTrue(os.path.exists(self.path('pid')))

    def test_daemonize(self):
        sock = self.path('qmp')
        status, out, err = run(*QTEST, '-M', 'none', '-daemonize', '-pidfile', self.path('pid'), '-D', self.path('log'),
                               '-msg', 'timestamp=on', '-qmp', f'unix:{sock},server=on,wait=off')
        self.assertEqual((status, out, err), (0, '', ''))
        with open(self.path('pid'), encoding='ascii') as file:
            pid = int(file.read())
        self.assertEqual(os.readlink(f'/proc/{pid}/cwd'), '/')
        self.assertEqual(os.readlink(f'/proc/{pid}/fd/0'), '/dev/null')
        with socket.socket(socket.AF_UNIX) as client: # ready means ready
            client.connect(sock)
            self.assertIn(b'"QMP"', client.recv(1000))
        os.kill(pid, signal.SIGTERM)
        for _ in range(6000):
            if not os.path.exists(self.path('pid')):
                break
            time.sleep(0.01)
        self.assertFalse(os.path.exists(self.path('pid')))
        with open(self.path('log'), encoding='utf-8') as file:
            self.assertRegex(file.read(), r'^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z .*terminating on signal 15')
        self.assertFalse(os.path.exists(sock))

    def test_trace(self):
        log = self.path('log')
        status, out, _ = run('-trace', 'help')
        self.assertEqual(status, 0)
        self.assertIn('\nusb_uhci_td_complete\n', out)
        status, out, _ = run('-d', 'help')
        self.assertEqual(status, 0)
        self.assertIn('\nguest_errors ', out)
        _, _, err = run(*QTEST, '-device', 'piix3-usb-uhci', '-trace', 'usb_uhci_reset', '-d', 'trace:usb_port*',
                        '-device', 'usb-kbd', '-trace', 'usb_nosuch', '-D', log, '-device', 'nosuch')
        self.assertIn("-trace usb_nosuch: warning: trace event 'usb_nosuch' does not exist\n", err)
        with open(log, encoding='utf-8') as file:
            self.assertIn('usb_port_claim bus 0, port 1\n', file.read())
        status, _, err = run(*QTEST, '-d', 'nosuch')
        self.assertEqual((status, err), (1, f"{PROGRAM}: -d nosuch: unknown log item 'nosuch': 'help' lists them\n"))
        status, _, err = run(*QTEST, '-trace', 'events=/nonexistent/x')
        self.assertEqual(status, 1)
        self.assertIn('/nonexistent/x', err)

    def test_default_ports(self):
        """A machine has a serial and a parallel port without being asked."""
        for options, serial, parallel in (
                ([], 1, 1), (['-nodefaults'], 0, 0), (['-serial', 'none'], 0, 1), (['-parallel', 'none'], 1, 0),
                (['-serial', 'null', '-serial', 'null'], 2, 1), (['-nographic', '-monitor', 'none'], 1, 1),
                (['-chardev', 'null,id=s', '-device', 'isa-serial,chardev=s'], 1, 1)):
            with self.subTest(options=options):
                done = subprocess.run([EMULATOR, '-accel', 'qtest', '-machine', 'pc', '-display', 'none', '-qmp', 'stdio',
                                       *options] if '-nographic' not in options else
                                      [EMULATOR, '-accel', 'qtest', '-machine', 'pc', '-chardev', 'stdio,id=m', '-mon',
                                       'm,mode=control', '-serial', 'null', *options],
                                      input='{"execute": "qmp_capabilities"}\n{"execute": "human-monitor-command", '
                                      '"arguments": {"command-line": "info qtree"}}\n{"execute": "quit"}\n',
                                      capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual((done.stdout.count('dev: isa-serial'), done.stdout.count('dev: isa-parallel')),
                                 (serial, parallel))

    def test_trace_while_running(self):
        with Machine('-device', 'piix3-usb-uhci', '-D', self.path('log')) as machine:
            get = 'trace-event-get-state'
            self.assertEqual(machine.command(get, name='usb_uhci_reset'), [{'name': 'usb_uhci_reset', 'state': 'disabled'}])
            machine.command('trace-event-set-state', name='usb_uhci_r*', enable=True)
            machine.command('system_reset')
            machine.wait_event('RESET')
            self.assertEqual(machine.ask(get, name='nosuch')['error']['desc'], 'unknown event "nosuch"')
            self.assertEqual(machine.command(get, name='nosuch*'), [])
            self.assertEqual(machine.hmp('info trace-events usb_uhci_r*'), 'usb_uhci_reset : state 1\n')
        with open(self.path('log'), encoding='utf-8') as file:
            self.assertIn('usb_uhci_reset === RESET ===\n', file.read())

    def test_daemonize_fails(self):
        status, _, err = run(*QTEST, '-M', 'none', '-daemonize', '-device', 'nosuch')
        self.assertEqual((status, err), (1, f"{PROGRAM}: -device nosuch: 'nosuch' is not a valid device model name\n"))

    def test_add_fd(self):
        with open(self.path('image'), 'wb') as image:
            image.truncate(1 << 20)
        fd = os.open(self.path('image'), os.O_RDWR)
        os.set_inheritable(fd, True)
        process = subprocess.run(
            [EMULATOR, *QTEST, '-M', 'none', '-add-fd', f'fd={fd},set=3,opaque=x', '-blockdev',
             'driver=file,filename=/dev/fdset/3,node-name=n', '-monitor', 'stdio'],
            input='quit\n', capture_output=True, text=True, timeout=60, pass_fds=[fd], check=False)
        os.close(fd)
        self.assertEqual((process.returncode, process.stderr), (0, ''))

    def test_backing_files(self):
        with Machine('-M', 'none', '-m', '1M', '-mem-path', self.path('ram'), '-mem-prealloc') as machine:
            self.assertEqual(os.stat(self.path('ram')).st_size, 1 << 20)
            self.assertTrue(machine.command('query-memdev')[0]['prealloc'])

    def test_small_and_fast(self):
        """Far from a benchmark: what would show that somebody made it ten times worse."""
        with Machine('-M', 'pc', *UHCI, '-m', '4G') as machine:
            self.assertLess(time.clock_gettime((~machine.process.pid << 3) | 2), 3)  # of processor time
            with open(f'/proc/{machine.process.pid}/status', encoding='ascii') as file:
                anonymous = int(re.search(r'RssAnon:\s+(\d+) kB', file.read()).group(1))
            if 'sanitize' not in EMULATOR:
                self.assertLess(anonymous, 40 * 1024)


if __name__ == '__main__':
    tap.main()
