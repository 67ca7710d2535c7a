# SPDX-License-Identifier: GPL-2.0-or-later
"""Ports for servers that have to be told one."""

import os
import socket


def numbers():
    """Below those that the kernel gives to whoever names none (ip_local_port_range, usually from 32768): nobody else's connection takes
    one between the look and its use. Programs that run at the same time begin at different places."""
    number = os.getpid() * 16
    while True:
        yield 12000 + number % 20000
        number += 1


NUMBERS = numbers()


def free_port(kind=socket.SOCK_STREAM):
    """A port of TCP, or of UDP (SOCK_DGRAM), that is free on the loopback interface; another one each time."""
    while True:
        port = next(NUMBERS)
        with socket.socket(socket.AF_INET, kind) as sock:
            try:
                sock.bind(('127.0.0.1', port))
            except OSError:
                continue
        return port
