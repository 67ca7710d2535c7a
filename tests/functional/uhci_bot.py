# SPDX-License-Identifier: GPL-2.0-or-later
"""A small USB driver for tests: UHCI host controller, hub, bulk-only mass storage.

Registers, QHs and TDs: UHCI Design Guide 1.1; requests: USB 2.0 chapter 9 and 11;
CBW, CSW: USB Mass Storage Class, Bulk-Only Transport 1.0.  The driver keeps its
schedule in guest memory that nobody else uses and reaches everything through qtest.
"""

import struct
import time

from qtest_client import TestError

USBCMD, USBSTS, USBINTR, FRNUM, FLBASEADD, SOFMOD, PORTSC1, PORTSC2 = (
    0x00, 0x02, 0x04, 0x06, 0x08, 0x0c, 0x10, 0x12)

PID_SETUP, PID_IN, PID_OUT = 0x2d, 0x69, 0xe1

TD_ACTIVE, TD_STALLED, TD_BUFFER, TD_BABBLE, TD_NAK, TD_TIMEOUT, TD_BITSTUFF = (
    1 << 23, 1 << 22, 1 << 21, 1 << 20, 1 << 19, 1 << 18, 1 << 17)
TD_IOC, TD_ISO, TD_LOW, TD_SPD = 1 << 24, 1 << 25, 1 << 26, 1 << 29
TD_ERRORS = TD_STALLED | TD_BUFFER | TD_BABBLE | TD_TIMEOUT | TD_BITSTUFF

TERMINATE, LINK_QH, LINK_DEPTH = 1, 2, 4


class Stalled(TestError):
    """The endpoint answered STALL (or the transfer ended in another error)."""

    def __init__(self, status):
        super().__init__('transfer failed, TD status 0x%08x' % status)
        self.status = status


class Uhci:
    """A host controller at a PCI address, with one queue head in every frame."""

    FRAME_LIST, QUEUE, TDS, SETUP, DATA = 0x0, 0x1000, 0x2000, 0x1e00, 0x10000

    def __init__(self, qtest, bdf=(1 << 3) | 2, base=0xc000, memory=0x100000, step=None):
        """step: None waits in real time; a number of ns steps virtual time per poll."""
        self.qtest = qtest
        self.bdf = bdf
        self.base = base
        self.memory = memory
        self.step = step
        self.toggles = {}
        self.low_speed = set()

    # -- registers

    def read(self, register, width=2):
        return self.qtest.port_in(self.base + register, width)

    def write(self, register, value, width=2):
        self.qtest.port_out(self.base + register, width, value)

    def wait(self, seconds):
        if self.step is None:
            time.sleep(seconds)
        else:
            self.qtest.clock_step(int(seconds * 1e9))

    def start(self):
        """Map the registers, give the schedule and run."""
        self.qtest.config_write(self.bdf, 0x20, 4, self.base)
        self.qtest.config_write(self.bdf, 0x04, 2, 0x0005)
        self.write(USBCMD, 0)
        queue = self.memory + self.QUEUE
        self.qtest.write(queue, struct.pack('<II', TERMINATE, TERMINATE))
        entry = struct.pack('<I', queue | LINK_QH)
        self.qtest.write(self.memory + self.FRAME_LIST, entry * 1024)
        self.write(FLBASEADD, self.memory + self.FRAME_LIST, 4)
        self.write(FRNUM, 0)
        self.write(USBCMD, 0x00c1)

    def reset_port(self, port):
        """Reset and enable port 1 or 2; returns PORTSC afterwards."""
        register = PORTSC1 + 2 * (port - 1)
        self.write(register, 0x0200)
        self.wait(0.012)
        self.write(register, 0x0000)
        self.wait(0.001)
        self.write(register, 0x000e)
        return self.read(register)

    # -- transfers

    def submit(self, tds, control=True):
        """Queue a list of (pid, address, endpoint, toggle, buffer address, length, flags)."""
        table = self.memory + self.TDS
        image = b''
        for index, (pid, address, endpoint, toggle, buffer, length, flags) in enumerate(tds):
            link = TERMINATE if index + 1 == len(tds) else (table + 32 * (index + 1)) | LINK_DEPTH
            status = TD_ACTIVE | 3 << 27 | flags
            if address in self.low_speed:
                status |= TD_LOW
            token = ((length - 1) & 0x7ff) << 21 | toggle << 19 | endpoint << 15 | address << 8 | pid
            image += struct.pack('<IIII', link, status, token, buffer) + bytes(16)
        self.qtest.write(table, image)
        self.qtest.write(self.memory + self.QUEUE + 4, struct.pack('<I', table))

    def status(self, index):
        return struct.unpack('<I', self.qtest.read(self.memory + self.TDS + 32 * index + 4, 4))[0]

    def finish(self, count, timeout=60.0):
        """Wait until the TDs are done; returns their status words.  A short packet ends early."""
        deadline = time.monotonic() + timeout
        polls = 0
        while True:
            words = []
            raw = self.qtest.read(self.memory + self.TDS, 32 * count)
            done = True
            for index in range(count):
                word = struct.unpack_from('<I', raw, 32 * index + 4)[0]
                words.append(word)
                if word & TD_ACTIVE:
                    done = False
                    break
                if word & TD_ERRORS:
                    break
                token = struct.unpack_from('<I', raw, 32 * index + 8)[0]
                actual, wanted = ((word + 1) & 0x7ff), ((token >> 21) + 1) & 0x7ff
                if word & TD_SPD and actual < wanted:
                    break
            if done:
                self.unlink()
                return words
            polls += 1
            expired = polls > 4000 if self.step else time.monotonic() > deadline
            if expired:
                self.unlink()
                raise TestError('transfer does not end, TD status 0x%08x' % words[-1])
            self.wait(0.0005 if self.step is None else self.step / 1e9)

    def unlink(self):
        self.qtest.write(self.memory + self.QUEUE + 4, struct.pack('<I', TERMINATE))

    @staticmethod
    def actual(word):
        return (word + 1) & 0x7ff

    def control(self, address, request_type, request, value, index, data_or_length, packet=64):
        """A control transfer; returns the data of a device-to-host one."""
        incoming = bool(request_type & 0x80)
        length = data_or_length if incoming else len(data_or_length)
        setup = struct.pack('<BBHHH', request_type, request, value, index, length)
        self.qtest.write(self.memory + self.SETUP, setup)
        data = self.memory + self.DATA
        if incoming:
            self.qtest.fill(data, max(length, 1), 0xee)
        else:
            self.qtest.write(data, data_or_length)
        tds = [(PID_SETUP, address, 0, 0, self.memory + self.SETUP, 8, 0)]
        toggle, offset = 1, 0
        while offset < length:
            size = min(packet, length - offset)
            tds.append((PID_IN if incoming else PID_OUT, address, 0, toggle, data + offset, size,
                        TD_SPD if incoming else 0))
            toggle ^= 1
            offset += size
        status = (PID_OUT if incoming and length else PID_IN, address, 0, 1, 0, 0, 0)
        words = []
        if not incoming or not length:
            tds.append(status)
        self.submit(tds)
        words = self.finish(len(tds))
        if words[-1] & TD_ERRORS:
            raise Stalled(words[-1])
        if not incoming or not length:
            return b''
        got = sum(self.actual(word) for word in words[1:])
        answer = self.qtest.read(data, got)
        self.submit([status])
        words = self.finish(1)
        if words[-1] & TD_ERRORS:
            raise Stalled(words[-1])
        return answer

    def pipe(self, address, endpoint, incoming, data_or_length, packet=64, timeout=60.0):
        """A bulk or interrupt transfer with toggles kept; returns the data or the count sent."""
        length = data_or_length if incoming else len(data_or_length)
        data = self.memory + self.DATA
        if incoming:
            self.qtest.fill(data, max(length, 1), 0xee)
        else:
            self.qtest.write(data, data_or_length)
        key = (address, endpoint, incoming)
        toggle = self.toggles.get(key, 0)
        done = 0
        while True:
            tds = []
            offset = done
            next_toggle = toggle
            while (offset < length or length == 0 and not tds) and len(tds) < 128:
                size = min(packet, length - offset)
                tds.append((PID_IN if incoming else PID_OUT, address, endpoint, next_toggle,
                            data + offset, size, TD_SPD if incoming else 0))
                next_toggle ^= 1
                offset += size
            self.submit(tds)
            words = self.finish(len(tds), timeout)
            failed = words[-1] & TD_ERRORS
            good = words[:-1] if failed else words
            done += sum(self.actual(word) for word in good)
            toggle ^= len(good) & 1
            self.toggles[key] = toggle
            if failed:
                raise Stalled(words[-1])
            short = len(words) < len(tds) or self.actual(words[-1]) < tds[len(words) - 1][5]
            if done >= length or short:
                break
        return self.qtest.read(data, done) if incoming else done

    # -- standard requests

    def descriptor(self, address, kind, index=0, length=255, language=0, recipient=0x80, packet=64):
        return self.control(address, recipient, 6, kind << 8 | index, language, length, packet)

    def set_address(self, old, new):
        if old in self.low_speed:
            self.low_speed.add(new)
        self.control(old, 0x00, 5, new, 0, b'')
        self.wait(0.003)

    def set_configuration(self, address, value):
        self.control(address, 0x00, 9, value, 0, b'')
        for key in [key for key in self.toggles if key[0] == address]:
            self.toggles[key] = 0

    def clear_halt(self, address, endpoint, incoming):
        self.control(address, 0x02, 1, 0, endpoint | (0x80 if incoming else 0), b'')
        self.toggles[(address, endpoint, incoming)] = 0

    # -- hub class

    def hub_port_status(self, address, port):
        return struct.unpack('<HH', self.control(address, 0xa3, 0, 0, port, 4, packet=8))

    def hub_port_feature(self, address, port, feature, on=True):
        self.control(address, 0x23, 3 if on else 1, feature, port, b'')


class Answer:
    """What a mass-storage command ended with."""

    def __init__(self, data, status, residue, stalled):
        self.data = data
        self.status = status
        self.residue = residue
        self.stalled = stalled


class MassStorage:
    """Bulk-only transport on an enumerated device: endpoints 1 IN and 2 OUT."""

    def __init__(self, uhci, address, endpoint_in=1, endpoint_out=2):
        self.uhci = uhci
        self.address = address
        self.endpoint_in = endpoint_in
        self.endpoint_out = endpoint_out
        self.tag = 0x100

    @classmethod
    def attach(cls, uhci, port=1, address=1):
        uhci.reset_port(port)
        uhci.set_address(0, address)
        uhci.set_configuration(address, 1)
        return cls(uhci, address)

    def max_lun(self):
        return self.uhci.control(self.address, 0xa1, 0xfe, 0, 0, 1)[0]

    def reset(self):
        self.uhci.control(self.address, 0x21, 0xff, 0, 0, b'')
        self.uhci.clear_halt(self.address, self.endpoint_in, True)
        self.uhci.clear_halt(self.address, self.endpoint_out, False)

    def cbw(self, cdb, length, incoming, lun=0):
        self.tag += 1
        return struct.pack('<IIIBBB', 0x43425355, self.tag, length, 0x80 if incoming else 0,
                           lun, len(cdb)) + bytes(cdb).ljust(16, b'\0')

    def command(self, cdb, length=0, data=None, lun=0, timeout=60.0):
        """Run one command; data given means host to device."""
        incoming = data is None
        total = length if incoming else len(data)
        uhci = self.uhci
        uhci.pipe(self.address, self.endpoint_out, False, self.cbw(cdb, total, incoming, lun))
        answer, stalled = b'', False
        try:
            if total and incoming:
                answer = uhci.pipe(self.address, self.endpoint_in, True, total, timeout=timeout)
            elif total:
                uhci.pipe(self.address, self.endpoint_out, False, data, timeout=timeout)
        except Stalled:
            stalled = True
            if incoming:
                uhci.clear_halt(self.address, self.endpoint_in, True)
            else:
                uhci.clear_halt(self.address, self.endpoint_out, False)
        try:
            csw = uhci.pipe(self.address, self.endpoint_in, True, 13, timeout=timeout)
        except Stalled:
            uhci.clear_halt(self.address, self.endpoint_in, True)
            csw = uhci.pipe(self.address, self.endpoint_in, True, 13, timeout=timeout)
        if len(csw) != 13:
            raise TestError('CSW of %d bytes: %s' % (len(csw), csw.hex()))
        signature, tag, residue, status = struct.unpack('<IIIB', csw)
        if signature != 0x53425355 or tag != self.tag:
            raise TestError('bad CSW %s' % csw.hex())
        return Answer(answer, status, residue, stalled)

    def sense(self, lun=0):
        """REQUEST SENSE; returns (key, asc, ascq)."""
        data = self.command([3, 0, 0, 0, 18, 0], 18, lun=lun).data
        return data[2] & 15, data[12], data[13]
