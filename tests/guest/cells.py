# SPDX-License-Identifier: LGPL-2.1-or-later
"""Reads the frame counter that the guests paint.

Two rows of 40 cells stand at the top left, each cell width/40 pixels wide and high. In the first
row the columns 0 and 1, and 34 to 39, alternate white and black; columns 2 to 33 are the counter,
most significant bit first, white for 1. The second row is the first one inverted.
"""
import struct
import zlib

COLUMNS, BITS, FIRST = 40, 32, 2


class Picture:
    """Pixels as rows of (red, green, blue), from a PPM (P6) or PNG file (8 bit, RGB or RGBA)."""

    def __init__(self, width, height, channels, data):
        self.width, self.height, self.channels, self.data = width, height, channels, data

    @staticmethod
    def read(path):
        with open(path, "rb") as file:
            content = file.read()
        return Picture.of_png(content) if content[:4] == b"\x89PNG" else Picture.of_ppm(content)

    @staticmethod
    def of_ppm(content):
        fields = content.split(None, 4)
        if fields[0] != b"P6" or fields[3] != b"255":
            raise ValueError("not an 8 bit PPM (P6)")
        width, height = int(fields[1]), int(fields[2])
        return Picture(width, height, 3, content[len(content) - 3 * width * height:])

    @staticmethod
    def of_png(content):
        at, header, packed = 8, None, b""
        while at < len(content):
            size, kind = struct.unpack_from(">I4s", content, at)
            body = content[at + 8:at + 8 + size]
            at += 12 + size
            if kind == b"IHDR":
                header = struct.unpack(">IIBBBBB", body)
            elif kind == b"IDAT":
                packed += body
        width, height, depth, colour, _, _, interlace = header
        if depth != 8 or colour not in (2, 6) or interlace:
            raise ValueError("PNG is not 8 bit RGB or RGBA, or is interlaced")
        channels = 3 if colour == 2 else 4
        return Picture(width, height, channels,
                       unfilter(zlib.decompress(packed), width * channels, height, channels))

    def pixel(self, x, y):
        at = (y * self.width + x) * self.channels
        return tuple(self.data[at:at + 3])


def unfilter(data, stride, height, step):
    """PNG's five line filters, undone."""
    out, above = bytearray(), bytearray(stride)
    for row in range(height):
        kind = data[row * (stride + 1)]
        line = bytearray(data[row * (stride + 1) + 1:(row + 1) * (stride + 1)])
        if kind:
            for x in range(stride):
                left = line[x - step] if x >= step else 0
                up = above[x]
                corner = above[x - step] if x >= step else 0
                if kind == 1:
                    guess = left
                elif kind == 2:
                    guess = up
                elif kind == 3:
                    guess = (left + up) // 2
                else:
                    distances = (abs(up - corner), abs(left - corner),
                                 abs(left + up - 2 * corner))
                    guess = (left, up, corner)[distances.index(min(distances))]
                line[x] = (line[x] + guess) & 255
        out += line
        above = line
    return bytes(out)


def frame_of(picture):
    """The counter, or None where no whole row of cells stands (booting, torn or blank screen)."""
    size = picture.width // COLUMNS
    if size == 0 or picture.height < 2 * size:
        return None
    value = 0
    for column in range(COLUMNS):
        x = column * size + size // 2
        light = sum(picture.pixel(x, size // 2)) > 384
        dark = sum(picture.pixel(x, size + size // 2)) > 384
        if light == dark:
            return None
        if FIRST <= column < FIRST + BITS:
            value = value << 1 | light
        elif light == bool(column & 1):
            return None
    return value
