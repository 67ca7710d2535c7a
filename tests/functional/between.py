# SPDX-License-Identifier: GPL-2.0-or-later
"""Stands between the source of a migration and its destination, on unix sockets."""

import fcntl
import socket
import struct
import termios
import threading


def shut(*ends):
    for end in ends:
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Between:
    """The source comes to path, the destination listens at target; several connections if need be. questions() and answers() see
    what is said in each direction and return what is passed on. What the destination says can be held back (hold)."""

    def __init__(self, path, target, hold=False):
        self.target = target
        self.gate = threading.Event()
        if not hold:
            self.gate.set()
        self.sockets = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(path)
        self.listener.listen(16)
        threading.Thread(target=self.accept, daemon=True).start()

    def questions(self, data):
        return data

    def answers(self, data):
        return data

    def accept(self):
        while True:
            try:
                one = self.listener.accept()[0]
                other = socket.socket(socket.AF_UNIX)
                other.connect(self.target)
            except OSError:
                return
            self.sockets += [one, other]
            for ends in ((one, other, self.questions), (other, one, self.answer)):
                threading.Thread(target=self.pump, args=ends, daemon=True).start()

    def answer(self, data):
        self.gate.wait()
        return self.answers(data)

    @staticmethod
    def pump(source, target, change):
        try:
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                data = change(data)
                try:
                    target.sendall(data)
                except OSError:  # it has gone; what it has said last still comes the other way
                    source.shutdown(socket.SHUT_RD)
                    return
        except OSError:
            pass
        shut(source, target)

    def hold_answers(self):
        self.gate.clear()

    def pass_answers(self):
        self.gate.set()

    def drained(self):
        """Whether the destination has taken what the source has said, but for what is on its way between two sockets."""
        def waiting(sock, question):
            return struct.unpack('i', fcntl.ioctl(sock, question, bytes(4)))[0]
        return not any(waiting(one, termios.FIONREAD) or waiting(other, termios.TIOCOUTQ)
                       for one, other in zip(self.sockets[::2], self.sockets[1::2]))

    def cut(self):
        """Ends what goes through it."""
        shut(*self.sockets)

    def close(self):
        self.listener.close()
        self.gate.set()
        self.cut()
