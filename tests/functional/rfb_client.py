# SPDX-License-Identifier: GPL-2.0-or-later
"""A small RFB client (RFC 6143): raw and desktop size rectangles, and what QEMU's clients know beside them."""
import socket
import struct
import time

RAW = 0
DESKTOP_SIZE = -223
POINTER_TYPE = -257
EXTENDED_KEY = -258
LEDS = -261


def des_encrypt(key, block):
    """DES with one block (FIPS 46-3), for the password: small, slow, and enough."""
    def table(text):
        return [int(x) for x in text.split()]

    ip = table('58 50 42 34 26 18 10 2 60 52 44 36 28 20 12 4 62 54 46 38 30 22 14 6 64 56 48 40 32 24 16 8 '
               '57 49 41 33 25 17 9 1 59 51 43 35 27 19 11 3 61 53 45 37 29 21 13 5 63 55 47 39 31 23 15 7')
    fp = [ip.index(i + 1) + 1 for i in range(64)]
    expand = [(4 * r + c - 1) % 32 + 1 for r in range(8) for c in range(6)]
    perm = table('16 7 20 21 29 12 28 17 1 15 23 26 5 18 31 10 2 8 24 14 32 27 3 9 19 13 30 6 22 11 4 25')
    pc1 = table('57 49 41 33 25 17 9 1 58 50 42 34 26 18 10 2 59 51 43 35 27 19 11 3 60 52 44 36 '
                '63 55 47 39 31 23 15 7 62 54 46 38 30 22 14 6 61 53 45 37 29 21 13 5 28 20 12 4')
    pc2 = table('14 17 11 24 1 5 3 28 15 6 21 10 23 19 12 4 26 8 16 7 27 20 13 2 '
                '41 52 31 37 47 55 30 40 51 45 33 48 44 49 39 56 34 53 46 42 50 36 29 32')
    boxes = [
        'e4d12fb83a6c5907' '0f74e2d1a6cb9538' '41e8d62bfc973a50' 'fc8249175b3ea06d',
        'f18e6b34972dc05a' '3d47f28ec01a69b5' '0e7ba4d158c6932f' 'd8a13f42b67c05e9',
        'a09e63f51dc7b428' 'd709346a285ecbf1' 'd6498f30b12c5ae7' '1ad069874fe3b52c',
        '7de3069a1285bc4f' 'd8b56f03472c1ae9' 'a690cb7df13e5284' '3f06a1d8945bc72e',
        '2c417ab6853fd0e9' 'eb2c47d150fa3986' '421bad78f9c5630e' 'b8c71e2d6f09a453',
        'c1af92680d34e75b' 'af427c9561de0b38' '9ef528c3704a1db6' '432c95fabe17608d',
        '4b2ef08d3c975a61' 'd0b7491ae35c2f86' '14bdc37eaf680592' '6bd814a7950fe23c',
        'd2846fb1a93e50c7' '1fd8a374c56b0e92' '7b419ce206adf358' '21e74a8dfc90356b',
    ]

    def bits(data):
        return [data[i // 8] >> (7 - i % 8) & 1 for i in range(len(data) * 8)]

    k = [bits(key)[i - 1] for i in pc1]
    data = [bits(block)[i - 1] for i in ip]
    left, right = data[:32], data[32:]
    for turn in range(16):
        shift = 1 if turn in (0, 1, 8, 15) else 2
        k = k[shift:28] + k[:shift] + k[28 + shift:] + k[28:28 + shift]
        mixed = [a ^ b for a, b in zip([right[i - 1] for i in expand], [k[i - 1] for i in pc2])]
        out = []
        for n in range(8):
            b = mixed[6 * n:6 * n + 6]
            value = int(boxes[n][(b[0] * 2 + b[5]) * 16 + b[1] * 8 + b[2] * 4 + b[3] * 2 + b[4]], 16)
            out += [value >> 3 & 1, value >> 2 & 1, value >> 1 & 1, value & 1]
        left, right = right, [a ^ out[i - 1] for a, i in zip(left, perm)]
    final = [(right + left)[i - 1] for i in fp]
    return bytes(sum(final[8 * i + j] << (7 - j) for j in range(8)) for i in range(8))


def answer_challenge(password, challenge):
    """VNC authentication: the key's bytes have their bits in reverse order."""
    key = bytes(int('{:08b}'.format(b)[::-1], 2) for b in password.encode()[:8].ljust(8, b'\0'))
    return des_encrypt(key, challenge[:8]) + des_encrypt(key, challenge[8:])


class Refused(Exception):
    """The server does not want us."""


class Client:
    """Connects, and is ready to see."""

    def __init__(self, address, password=None, shared=True, encodings=(RAW, DESKTOP_SIZE), timeout=60):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        self.sock = socket.socket(family)
        self.sock.settimeout(timeout)
        self.sock.connect(address)
        self.leds = self.extended_key = self.pointer_absolute = None
        assert self.read(12).startswith(b'RFB 003.')
        self.sock.sendall(b'RFB 003.008\n')
        self.authenticate(password)
        self.sock.sendall(bytes([shared]))
        self.width, self.height = struct.unpack('>HH', self.read(4))
        self.read(16)
        self.name = self.read(struct.unpack('>I', self.read(4))[0]).decode()
        self.pixels = bytearray(self.width * self.height * 4)
        # 32 bits, little endian, red at 16, green at 8, blue at 0
        self.sock.sendall(struct.pack('>BxxxBBBBHHHBBBxxx', 0, 32, 24, 0, 1, 255, 255, 255, 16, 8, 0))
        self.sock.sendall(struct.pack('>BxH%di' % len(encodings), 2, len(encodings), *encodings))

    def read(self, n):
        data = b''
        while len(data) < n:
            more = self.sock.recv(n - len(data))
            if not more:
                raise Refused('closed')
            data += more
        return data

    def authenticate(self, password):
        kinds = self.read(self.read(1)[0])
        if not kinds:
            raise Refused(self.read(struct.unpack('>I', self.read(4))[0]).decode())
        self.kinds = list(kinds)
        self.sock.sendall(bytes([kinds[0]]))
        if kinds[0] == 2:
            challenge = self.read(16)
            self.sock.sendall(answer_challenge(password or '', challenge))
        if struct.unpack('>I', self.read(4))[0]:
            raise Refused('wrong password')

    def request(self, incremental=True):
        self.sock.sendall(struct.pack('>BBHHHH', 3, incremental, 0, 0, self.width, self.height))

    def rectangle(self):
        x, y, w, h, encoding = struct.unpack('>HHHHi', self.read(12))
        if encoding == RAW:
            data = self.read(w * h * 4)
            for line in range(h):
                at = ((y + line) * self.width + x) * 4
                self.pixels[at:at + w * 4] = data[line * w * 4:(line + 1) * w * 4]
        elif encoding == DESKTOP_SIZE:
            self.width, self.height = w, h
            self.pixels = bytearray(w * h * 4)
        elif encoding == EXTENDED_KEY:
            self.extended_key = True
        elif encoding == POINTER_TYPE:
            self.pointer_absolute = bool(x)
        elif encoding == LEDS:
            self.leds = self.read(1)[0]
        else:
            raise AssertionError('encoding %d' % encoding)
        return encoding

    def message(self):
        """Reads one message of the server; the encodings of an update."""
        kind = self.read(1)[0]
        if kind == 0:
            self.read(1)
            return [self.rectangle() for _ in range(struct.unpack('>H', self.read(2))[0])]
        raise AssertionError('message %d' % kind)

    def rgb(self):
        """The picture as a PPM has it."""
        out = bytearray(self.width * self.height * 3)
        out[0::3] = self.pixels[2::4]
        out[1::3] = self.pixels[1::4]
        out[2::3] = self.pixels[0::4]
        return bytes(out)

    def update_until(self, condition, timeout=60):
        """Asks for updates until the condition holds."""
        deadline = time.monotonic() + timeout
        self.request(False)
        while True:
            self.message()
            if condition():
                return
            assert time.monotonic() < deadline, 'what was expected did not appear on the screen'
            self.request()

    def key(self, keysym, down):
        self.sock.sendall(struct.pack('>BBxxI', 4, down, keysym))

    def scan_code(self, keysym, number, down):
        self.sock.sendall(struct.pack('>BBHII', 255, 0, down, keysym, number))

    def pointer(self, buttons, x, y):
        self.sock.sendall(struct.pack('>BBHH', 5, buttons, x, y))

    def close(self):
        self.sock.close()
