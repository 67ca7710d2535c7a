#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs in the nested machine (test-nested-kvm.py): Debian's kernel reads a USB CD-ROM while its machine is moved.

    nested-linux.py KERNEL INITRD MEDIUM MOVES PROGRAM...

PROGRAM is tern or stock; they take turns. Prints "ok MOVES DOWNTIMES" if the guest's sum of the disc is right and no line of its
console is missing or repeated.
"""

import hashlib
import re
import sys
import tempfile

import common
from moving import Journey


def args_of(kernel, initrd, medium):
    return ['-M', 'pc-i440fx-7.2', '-cpu', 'qemu64', '-m', '192', '-device', 'piix3-usb-uhci,id=uhci,addr=1.2',
            '-drive', f'if=none,id=d,format=raw,media=cdrom,readonly=on,file={medium}',
            '-device', 'usb-storage,drive=d,port=2', '-no-reboot',
            '-kernel', kernel, '-initrd', initrd, '-append', 'console=ttyS0 quiet mitigations=off']


def check(serial, digest):
    text = serial.decode('utf-8', 'replace').replace('\r\n', '\n')
    ticks = [int(n) for n in re.findall(r'(?m)^tick (\d+)$', text)]
    if f'{digest}  /dev/sr0' not in text:
        return 'the sum of the disc is wrong'
    if ticks != list(range(1, len(ticks) + 1)):
        return f'console lines are missing or repeated: {ticks}'
    for line in text.splitlines():
        if re.search(r'(?i)usb.*reset|i/o error|sense|call trace|clocksource.*unstable', line):
            return f'the guest says: {line}'
    return None


def main():
    kernel, initrd, medium, moves = *sys.argv[1:4], int(sys.argv[4])
    programs = [common.TERN if name == 'tern' else common.stock()[0] for name in sys.argv[5:]]
    with open(medium, 'rb') as file:
        digest = hashlib.sha256(file.read()).hexdigest()
    with tempfile.TemporaryDirectory() as folder, \
            Journey(args_of(kernel, initrd, medium), folder, programs=programs) as journey:
        journey.run(lambda: b'END' in journey.serial(), 240, at_least=0)
        wrong = check(journey.serial(), digest)
        if not wrong and journey.moves < moves:
            wrong = f'only {journey.moves} moves'
        if wrong:
            print(journey.serial().decode('utf-8', 'replace'))
            sys.exit(f'{wrong} ({journey.moves} moves)')
        downtimes = sorted(journey.downtimes)
        print(f'ok {journey.moves} moves, downtime p50 {downtimes[len(downtimes) // 2]} ms, longest {downtimes[-1]} ms')


if __name__ == '__main__':
    main()
