#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recordings of SPICE displays (the form of SPICE_WORKER_RECORD_FILENAME), made without a guest:
the same bytes each time, so that two libraries can be given the same work.

  recordings.py NAME PATH [SECONDS]     NAME: console desktop paint video mixed
  recordings.py times RECORDING PATH    the index that spice-replay wants, of any recording

Each scene is what a kind of guest sends: `console` is QEMU's simple display with a scrolling text
screen in columns of 32 pixels, `desktop` a native driver with fills, moves, cached icons and an
off-screen surface. tests/interop/drawings.py has what only Windows drivers draw.
"""
import random
import re
import struct
import sys
from pathlib import Path

DRAW, SURFACE = 1, 5
FILL, OPAQUE, COPY, COPY_BITS, BLEND, BLACKNESS, WHITENESS, INVERS = range(1, 9)
ROP3, STROKE, TEXT, TRANSPARENT, ALPHA_BLEND = range(9, 14)
PUT = 8
CACHE_ME = 1
BMP_32, BMP_RGBA, BMP_8, BMP_4BE, BMP_1BE, BMP_24, BMP_16 = 8, 9, 5, 4, 2, 7, 6
DIRECT, TOP_DOWN = 1, 4
SURFACE_XRGB, SURFACE_ARGB = 32, 96
NOWHERE = (0, 0, 0, 0)


class Recording:
    """Writes events; `at_ms` is the time of those that follow."""

    def __init__(self, path, width, height):
        self.file = open(path, "wb")
        self.count = 0
        self.at_ms = 0.0
        self.image_id = 0
        self.text("SPICE_REPLAY 1")
        self.event(1, 20)
        self.text(f"{width} {height} {width * 4} 32", "0 0 0 0")
        self.blob("data", bytes(width * height * 4))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def text(self, *lines):
        self.file.write("".join(line + "\n" for line in lines).encode())

    def blob(self, name, data):
        self.file.write(f"binary 0 {name} {len(data)}:".encode() + data + b"\n")

    def chunks(self, name, data):
        self.text(f"data_chunks 0 {len(data)}")
        self.blob(name, data)

    def event(self, what, kind):
        self.text(f"event {self.count} {what} {kind} {int(self.at_ms * 1e6)}")
        self.count += 1

    # A rectangle is (left, top, right, bottom).
    def rect(self, name, rect):
        left, top, right, bottom = rect
        self.text(f"rect {name} {top} {left} {bottom} {right}")

    def drawable(self, kind, box, surface=0, clip=(), source=None, opaque=False, own=None):
        """`source`: the (surface, area) that is read, which the device tells beside the image.
        `own`: the part of its own surface that stands for a picture which is not there.
        `opaque`: nothing is left of what was under the box."""
        self.event(0, DRAW)
        self.text("drawable")
        self.rect("bbox", box)
        self.text(f"type {1 if clip else 0}")
        if clip:
            self.text(f"num_rects {len(clip)}")
            self.chunks("clip_rects", b"".join(struct.pack("<4i", top, left, bottom, right)
                                               for left, top, right, bottom in clip))
        self.text(f"effect {int(opaque)}", "mm_time 0",
                  f"self_bitmap {int(own is not None)}")
        self.rect("self_bitmap_area", own or NOWHERE)
        self.text(f"surface_id {surface}")
        for read in (source, None, None):
            self.text(f"surfaces_dest {read[0] if read else -1}")
            self.rect("surfaces_rects", read[1] if read else NOWHERE)
        self.text(f"type {kind}")

    def image(self, bitmap):
        """bitmap: None, ("surface", id), or Bitmap."""
        if bitmap is None:
            self.text("image 0")
            return
        self.text("image 1")
        if isinstance(bitmap, tuple):
            self.text("descriptor.id 0", "descriptor.type 104", "descriptor.flags 0",
                      "descriptor.width 0", "descriptor.height 0",
                      f"surface_image.surface_id {bitmap[1]}")
            return
        if bitmap.id is None:
            self.image_id += 1
        unique = self.image_id if bitmap.id is None else bitmap.id
        self.text(f"descriptor.id {unique << 32}", "descriptor.type 0",
                  f"descriptor.flags {bitmap.flags}", f"descriptor.width {bitmap.width}",
                  f"descriptor.height {bitmap.height}", f"bitmap.format {bitmap.format}",
                  f"bitmap.flags {bitmap.top_down * TOP_DOWN | (0 if bitmap.chunked else DIRECT)}",
                  f"bitmap.x {bitmap.width}", f"bitmap.y {bitmap.height}",
                  f"bitmap.stride {bitmap.stride}", f"has_palette {int(bool(bitmap.palette))}")
        if bitmap.palette:
            self.text(f"qp.num_ents {len(bitmap.palette)}", f"unique {unique + 1}")
            for entry in bitmap.palette:
                self.text(f"ents {entry}")
        if bitmap.chunked:
            self.chunks("bitmap.data", bitmap.data)
        else:
            self.blob("image_data_flat", bitmap.data)

    def point(self, x, y):
        self.text(f"point {x} {y}")

    def mask(self, bitmap=None, inverted=False, at=(0, 0)):
        self.text(f"flags {int(inverted)}")
        self.point(*at)
        self.image(bitmap)

    def brush(self, brush):
        """A colour, None, or (bitmap, x, y)."""
        if brush is None:
            self.text("type 0")
        elif isinstance(brush, int):
            self.text("type 1", f"u.color {brush}")
        else:
            self.text("type 2")
            self.image(brush[0])
            self.point(*brush[1:])

    # --- Operations ---

    def fill(self, box, brush, rop=PUT, mask=None, **more):
        opaque = isinstance(brush, int) and rop == PUT and mask is None
        self.drawable(FILL, box, opaque=opaque, **more)
        self.brush(brush)
        self.text(f"rop_descriptor {rop}")
        self.mask(mask)

    def copy(self, box, bitmap, area=None, rop=PUT, mask=None, kind=COPY, **more):
        left, top, right, bottom = box
        area = area or (0, 0, right - left, bottom - top)
        if isinstance(bitmap, tuple):
            more["source"] = (bitmap[1], area)
        self.drawable(kind, box, opaque=rop == PUT and mask is None, **more)
        self.image(bitmap)
        self.rect("src_area", area)
        self.text(f"rop_descriptor {rop}", "scale_mode 1")
        self.mask(mask)

    def copy_bits(self, box, x, y, **more):
        self.drawable(COPY_BITS, box, opaque=True, **more)
        self.point(x, y)

    def create_surface(self, surface, width, height, form=SURFACE_XRGB):
        self.event(0, SURFACE)
        self.text("surface_cmd", f"surface_id {surface}", "type 0", "flags 1",
                  f"u.surface_create.format {form}",
                  f"u.surface_create.width {width}",
                  f"u.surface_create.height {height}", f"u.surface_create.stride {width * 4}")
        self.blob("data", bytes(width * height * 4))

    def destroy_surface(self, surface):
        self.event(0, SURFACE)
        self.text("surface_cmd", f"surface_id {surface}", "type 1", "flags 0")


class Bitmap:
    def __init__(self, width, height, data, form=BMP_32, flags=0, unique=None, palette=(),
                 chunked=False, top_down=True):
        self.width, self.height, self.data, self.format = width, height, data, form
        self.flags, self.id, self.palette, self.chunked = flags, unique, palette, chunked
        self.top_down = top_down
        self.stride = len(data) // height


class Screen:
    """Pixels of 32 bits, a line each."""

    def __init__(self, width, height, colour=0):
        self.width, self.height = width, height
        self.lines = [colour.to_bytes(4, "little") * width for _ in range(height)]

    def part(self, left, top, right, bottom, **more):
        data = b"".join(line[left * 4:right * 4] for line in self.lines[top:bottom])
        return Bitmap(right - left, bottom - top, data, **more)


def font(chance):
    """96 letters as 16 lines of 8 pixels, light gray on black: strokes, not noise."""
    letters = []
    for _ in range(96):
        rows = [0] * 16
        for _ in range(chance.randint(2, 4)):
            if chance.random() < 0.5:
                column, top = chance.randint(1, 6), chance.randint(2, 6)
                for y in range(top, chance.randint(top + 3, 13)):
                    rows[y] |= 3 << column - 1
            else:
                rows[chance.randint(3, 12)] |= chance.choice((0x3c, 0x7e, 0x1e, 0x78))
        letters.append(rows)
    letters[0] = [0] * 16
    colours = {0: bytes(4), 1: b"\xaa\xaa\xaa\0"}
    return [[b"".join(colours[row >> bit & 1] for bit in range(8)) for row in letter]
            for letter in letters]


def text_line(chance, letters, columns):
    """16 lines of pixels: words, and nothing behind them."""
    words = []
    while len(words) < columns * chance.choice((20, 60, 90)) // 100:
        words += [chance.randint(1, 60) for _ in range(chance.randint(2, 9))] + [0]
    words = (words + [0] * columns)[:columns]
    return [b"".join(letters[word][y] for word in words) for y in range(16)]


def photo(chance, width, height):
    """Lines of a picture that changes a little from pixel to pixel."""
    noise = [chance.randint(-3, 3) for _ in range(4099)]
    lines = []
    for y in range(height):
        line = bytearray(width * 4)
        for x in range(width):
            base = 90 + (x * 97 // width) + (y * 61 // height)
            grain = noise[(x * 31 + y * 1009) % 4099]
            line[x * 4] = base // 2 + grain
            line[x * 4 + 1] = base + grain
            line[x * 4 + 2] = 250 - base + grain
        lines.append(bytes(line))
    return lines


# --- Scenes -------------------------------------------------------------------------------------

def columns(recording, old, new, width):
    """What QEMU's simple display sends of a change: for each column of 32 pixels the lines that
    differ, those together in one picture."""
    for left in range(0, width, 32):
        right = min(left + 32, width)
        changed = [y for y, (a, b) in enumerate(zip(old.lines, new.lines))
                   if a is not b and a[left * 4:right * 4] != b[left * 4:right * 4]]
        while changed:
            end = 1
            while end < len(changed) and changed[end] == changed[end - 1] + 1:
                end += 1
            top, bottom = changed[0], changed[end - 1] + 1
            recording.copy((left, top, right, bottom), new.part(left, top, right, bottom))
            changed = changed[end:]


def console(path, seconds):
    chance = random.Random(1)
    letters = font(chance)
    width, height = 720, 400
    with Recording(path, width, height) as recording:
        old = Screen(width, height)
        for frame in range(int(seconds * 12)):
            recording.at_ms = frame * 1000 / 12
            new = Screen(width, height)
            new.lines = list(old.lines)
            for _ in range(chance.choice((1, 1, 2, 3))):
                new.lines = new.lines[16:] + text_line(chance, letters, 90)
            columns(recording, old, new, width)
            old = new


def icon(chance, unique):
    colours = [chance.getrandbits(24) for _ in range(6)]
    data = b"".join(colours[(x // 5 + y // 7 + chance.randint(0, 1)) % 6].to_bytes(4, "little")
                    for y in range(32) for x in range(32))
    return Bitmap(32, 32, data, flags=CACHE_ME, unique=unique)


def desktop(path, seconds):
    """A wallpaper with icons, a terminal that scrolls, a window that is dragged, menus."""
    chance = random.Random(2)
    letters = font(chance)
    width, height = 1024, 768
    with Recording(path, width, height) as recording:
        recording.fill((0, 0, width, height), 0x2d4a66)
        icons = [icon(chance, 1 << 20 | at) for at in range(12)]
        recording.create_surface(1, 256, 128)
        recording.fill((0, 0, 256, 128), 0xd0d0d0, surface=1)
        for at, picture in enumerate(icons):
            recording.copy((40 * (at % 6), 40 * (at // 6), 40 * (at % 6) + 32,
                            40 * (at // 6) + 32), picture, surface=1)
        recording.fill((50, 40, 690, 424), 0)
        window = [700, 420]
        for step in range(int(seconds * 20)):
            recording.at_ms = step * 50
            line = text_line(chance, letters, 80)
            recording.copy_bits((50, 40, 690, 408), 50, 56)
            recording.copy((50, 408, 690, 424), Bitmap(640, 16, b"".join(line)))
            if step % 4 == 0:
                x, y = chance.randint(0, width - 32), chance.randint(430, height - 40)
                recording.copy((x, y, x + 32, y + 32), chance.choice(icons))
            if step % 10 == 0:
                recording.copy((700, 40, 956, 168), ("surface", 1))
                for row in range(12):
                    recording.fill((700, 180 + row * 18, 900, 196 + row * 18),
                                   chance.choice((0xffffff, 0x3465a4, 0xeeeeee)))
            if step % 3 == 0:
                x, y = window
                to_x = min(max(x + chance.randint(-12, 12), 0), width - 200)
                to_y = min(max(y + chance.randint(-8, 8), 426), height - 150)
                recording.copy_bits((to_x, to_y, to_x + 200, to_y + 150), x, y)
                window = [to_x, to_y]
                for _ in range(8):
                    x = to_x + chance.randint(0, 180)
                    y = to_y + chance.randint(0, 130)
                    recording.fill((x, y, x + 20, y + 14), chance.getrandbits(24))
        recording.destroy_surface(1)


def paint(path, seconds):
    """The whole screen anew, ten times a second: flat shapes with text."""
    chance = random.Random(3)
    letters = font(chance)
    width, height = 1024, 768
    with Recording(path, width, height) as recording:
        for frame in range(int(seconds * 10)):
            recording.at_ms = frame * 100
            screen = Screen(width, height, chance.getrandbits(24))
            for _ in range(12):
                left, top = chance.randint(0, 800), chance.randint(0, 700)
                size = chance.randint(40, 220)
                bar = chance.getrandbits(24).to_bytes(4, "little") * size
                for y in range(top, min(top + size // 2, height)):
                    line = screen.lines[y]
                    screen.lines[y] = line[:left * 4] + bar + line[left * 4 + len(bar):]
            for row in range(10):
                text = text_line(chance, letters, 100)
                for y in range(16):
                    screen.lines[60 + row * 24 + y] = (
                        text[y] + screen.lines[60 + row * 24 + y][3200:])
            recording.copy((0, 0, width, height), screen.part(0, 0, width, height))


def video(path, seconds):
    chance = random.Random(4)
    film = photo(chance, 700, 500)
    with Recording(path, 800, 600) as recording:
        recording.fill((0, 0, 800, 600), 0x202020)
        for frame in range(int(seconds * 25)):
            recording.at_ms = frame * 40
            x, y = frame * 3 % 360, frame * 2 % 240
            data = b"".join(line[x * 4:(x + 320) * 4] for line in film[y:y + 240])
            recording.copy((200, 100, 520, 340), Bitmap(320, 240, data))


def mixed(path, seconds):
    """Pages of text with photos in them, scrolled."""
    chance = random.Random(5)
    letters = font(chance)
    width, height = 800, 600
    picture = photo(chance, 360, 240)
    page = []
    for block in range(12):
        if block % 3 == 2:
            page += [bytes(160) + line + bytes(width * 4 - 160 - 1440) for line in picture]
        else:
            for _ in range(12):
                page += text_line(chance, letters, 100)
    with Recording(path, width, height) as recording:
        for step in range(int(seconds * 10)):
            recording.at_ms = step * 100
            top = step * 24 % (len(page) - height)
            lines = page[top:top + height]
            if step % 50 == 0 or top == 0:
                recording.copy((0, 0, width, height), Bitmap(width, height, b"".join(lines)))
                continue
            recording.copy_bits((0, 0, width, height - 24), 0, 24)
            recording.copy((0, height - 24, width, height),
                           Bitmap(width, 24, b"".join(lines[-24:])))


SCENES = {scene.__name__: scene for scene in (console, desktop, paint, video, mixed)}


def times(recording, path):
    """Writes nanoseconds since the first event, a line for each command."""
    found = []
    first = None
    with open(recording, "rb") as file:
        for line in lines_of(file):
            event = re.match(rb"event \d+ (\d+) \d+ (\d+)", line)
            if not event:
                continue
            first = int(event.group(2)) if first is None else first
            if event.group(1) == b"0":
                found.append(int(event.group(2)) - first)
    Path(path).write_text("".join(f"{time}\n" for time in found), encoding="ascii")
    return path


def lines_of(file):
    """The lines of a recording without what stands in raw bytes."""
    while line := file.readline():
        binary = re.match(rb"binary (\d) \S+ (\d+):(?:(\d+):)?", line)
        if not binary:
            yield line
            continue
        size = int(binary.group(3) if binary.group(1) == b"1" else binary.group(2))
        file.seek(size + binary.end() - len(line) + 1, 1)


def main(words):
    if words[0] == "times":
        times(words[1], words[2])
    else:
        SCENES[words[0]](words[1], float(words[2]) if len(words) > 2 else 10)


if __name__ == "__main__":
    main(sys.argv[1:])
