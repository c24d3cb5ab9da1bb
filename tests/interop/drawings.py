# SPDX-License-Identifier: LGPL-2.1-or-later
"""Recordings of what Windows drivers draw: each kind of operation with every form of its operands.

A recording holds one kind, a drawing in each cell of a grid over a noisy backdrop, so that a
difference names the operation and the cell; `everything` lays all kinds over each other."""
import random
import struct

from replaying import recordings
from recordings import (ALPHA_BLEND, BLACKNESS, BLEND, BMP_16, BMP_24, BMP_32, BMP_4BE, BMP_8,
                        BMP_1BE, BMP_RGBA, CACHE_ME, COPY, FILL, INVERS, NOWHERE, OPAQUE, PUT, ROP3,
                        STROKE, TEXT, TRANSPARENT, WHITENESS, Bitmap)

WIDTH, HEIGHT = 640, 480
CELL_WIDTH, CELL_HEIGHT = 64, 48
CELLS = [(x, y, x + CELL_WIDTH, y + CELL_HEIGHT) for y in range(0, HEIGHT, CELL_HEIGHT)
         for x in range(0, WIDTH, CELL_WIDTH)]
PICTURES, BESIDE = 1, 2  # off-screen surfaces: one to copy from, one to draw on
COMPOSITE = 14
BMP_1LE = 1
BITS = {BMP_1LE: 1, BMP_1BE: 1, BMP_4BE: 4, BMP_8: 8, BMP_16: 16, BMP_24: 24, BMP_32: 32,
        BMP_RGBA: 32}
PICTURE_FORMS = [form for form in BITS if form != BMP_1LE]  # stock ends at those of LE
OPERATIONS = (PUT, 16, 32, 64, 128, 256, 512)  # or, and, xor, blackness, whiteness, invers
NEGATIONS = (1, 2, 4, 1024)  # of source, brush, destination, result
STYLED, START_WITH_GAP = 8, 4


def needs_all(operation):
    """Whether a ROP3 depends on pattern, source and destination: stock ends at any other."""
    return all(any((operation >> at ^ operation >> (at ^ operand)) & 1 for at in range(8))
               for operand in (1, 2, 4))


ROP3S = [operation for operation in range(256) if needs_all(operation)]


class Artist:
    """Draws one operation at a time, with operands by chance."""

    def __init__(self, recording, seed):
        self.recording, self.chance = recording, random.Random(seed)
        recording.create_surface(PICTURES, 128, 96)
        recording.create_surface(BESIDE, WIDTH, HEIGHT, recordings.SURFACE_ARGB)
        recording.copy((0, 0, 128, 96), self.noise(128, 96), surface=PICTURES)
        for surface in (0, BESIDE):
            recording.copy((0, 0, WIDTH, HEIGHT), self.noise(WIDTH, HEIGHT), surface=surface)

    # --- Operands ---

    def often(self, share):
        return self.chance.random() < share

    def noise(self, width, height, form=BMP_32):
        """Of few levels, so that combinations and transparent colours meet."""
        chance, bits = self.chance, BITS[form]
        stride = (width * bits + 31) // 32 * 4 + (4 if self.often(0.2) else 0)
        if form == BMP_RGBA:  # premultiplied
            texels = [bytes((alpha // 2, alpha // 3, alpha, alpha)) for alpha in range(0, 256, 15)]
            data = b"".join(chance.choices(texels, k=stride // 4 * height))
        elif form == BMP_32:
            texels = [bytes(chance.choices((0, 0x55, 0x80, 0xff), k=3)) + b"\0" for _ in range(12)]
            data = b"".join(chance.choices(texels, k=stride // 4 * height))
        else:
            data = chance.randbytes(stride * height)
        colours = 1 << bits if bits <= 8 else 0  # opaque ones: stock heeds their byte of alpha
        palette = [0xff << 24 | chance.getrandbits(24) for _ in range(colours)]
        return Bitmap(width, height, data, form, palette=palette, chunked=self.often(0.3),
                      flags=CACHE_ME if self.often(0.3) else 0, top_down=self.often(0.8))

    def box(self, cell):
        left, top = (self.chance.randint(cell[at], cell[at + 2] - 8) for at in (0, 1))
        return (left, top, self.chance.randint(left + 1, cell[2]),
                self.chance.randint(top + 1, cell[3]))

    def where(self, box):
        """The clip and the surface."""
        clip = [self.box(self.around(box)) for _ in range(3)] if self.often(0.3) else ()
        return {"clip": clip, "surface": BESIDE if self.often(0.3) else 0}

    @staticmethod
    def around(box):
        return (max(box[0] - 8, 0), max(box[1] - 8, 0), min(box[2] + 8, WIDTH),
                min(box[3] + 8, HEIGHT))

    def source(self, box, where, forms=tuple(PICTURE_FORMS)):
        """A picture or an off-screen surface, and the part of it: scaled or not."""
        width, height = box[2] - box[0], box[3] - box[1]
        if self.often(0.3):
            width, height = self.chance.randint(1, 90), self.chance.randint(1, 70)
        width, height = min(width, 128), min(height, 96)
        if self.often(0.25):
            x, y = self.chance.randint(0, 128 - width), self.chance.randint(0, 96 - height)
            area = (x, y, x + width, y + height)
            where["source"] = (PICTURES, area)
            return ("surface", PICTURES), area
        x, y = self.chance.choice(((0, 0), (3, 2)))
        picture = self.noise(x + width, y + height, self.chance.choice(forms))
        return picture, (x, y, x + width, y + height)

    def brush(self, box=(WIDTH, HEIGHT)):
        """The pattern's origin is left of and above the box."""
        if self.often(0.5):
            return self.chance.getrandbits(24)
        tile = self.noise(self.chance.choice((8, 13, 16)), self.chance.choice((8, 11)))
        return (tile, self.chance.randint(0, box[0]), self.chance.randint(0, box[1]))

    def combination(self):
        made = self.chance.choice(OPERATIONS)
        for negation in NEGATIONS:
            if self.often(0.25):
                made |= negation
        return made

    def mask(self, box):
        if self.often(0.6):
            self.recording.mask()
            return
        x, y = self.chance.choice(((0, 0), (5, 3)))
        bitmap = self.noise(x + box[2] - box[0], y + box[3] - box[1],
                            self.chance.choice((BMP_1BE, BMP_1LE)))
        bitmap.palette = ()
        self.recording.mask(bitmap, self.often(0.4), (x, y))

    def transform(self):
        """Of a picture: 16.16 fixed point."""
        return struct.pack("<6i", *(int(part * 65536) for part in (
            self.chance.uniform(0.5, 2), self.chance.uniform(-0.5, 0.5), self.chance.uniform(-4, 4),
            self.chance.uniform(-0.5, 0.5), self.chance.uniform(0.5, 2),
            self.chance.uniform(-4, 4))))

    # --- Operations ---

    def fill(self, box):
        self.recording.drawable(FILL, box, **self.where(box))
        self.recording.brush(self.brush())
        self.recording.text(f"rop_descriptor {self.combination()}")
        self.mask(box)

    def pictured(self, kind, box, **more):
        """What operations with a picture have in common."""
        where = self.where(box)
        picture, area = self.source(box, where, **more)
        if self.often(0.15):  # some drivers say so of copies, too, which have a picture
            where["own"] = self.box((0, 0, WIDTH, HEIGHT))
            if kind not in (COPY, BLEND, COMPOSITE):
                left, top, right, bottom = where["own"]
                picture, area = None, (0, 0, right - left, bottom - top)
                where.pop("source", None)
        self.recording.drawable(kind, box, **where)
        return picture, area

    def copy(self, box, kind=COPY):
        picture, area = self.pictured(kind, box)
        self.recording.image(picture)
        self.recording.rect("src_area", area)
        rop = PUT if self.often(0.3) else self.combination()
        self.recording.text(f"rop_descriptor {rop}", f"scale_mode {self.chance.randint(0, 1)}")
        self.mask(box)

    def blend(self, box):
        self.copy(box, BLEND)

    def opaque(self, box):
        picture, area = self.pictured(OPAQUE, box)
        self.recording.image(picture)
        self.recording.rect("src_area", area)
        self.recording.brush(self.brush())
        self.recording.text(f"rop_descriptor {self.combination()}",
                            f"scale_mode {self.chance.randint(0, 1)}")
        self.mask(box)

    def copy_bits(self, box):
        width, height = box[2] - box[0], box[3] - box[1]
        x, y = self.chance.randint(0, WIDTH - width), self.chance.randint(0, HEIGHT - height)
        if self.often(0.5):  # overlapping
            x = min(max(box[0] + self.chance.randint(-9, 9), 0), WIDTH - width)
            y = min(max(box[1] + self.chance.randint(-9, 9), 0), HEIGHT - height)
        self.recording.copy_bits(box, x, y, **self.where(box))

    def masked(self, kind, box):
        self.recording.drawable(kind, box, **self.where(box))
        self.mask(box)

    def blackness(self, box):
        self.masked(BLACKNESS, box)

    def whiteness(self, box):
        self.masked(WHITENESS, box)

    def invers(self, box):
        self.masked(INVERS, box)

    def rop3(self, box):
        picture, area = self.pictured(ROP3, box, forms=(BMP_32,))
        self.recording.image(picture)
        self.recording.rect("src_area", area)
        self.recording.brush(self.brush(box))
        self.recording.text(f"rop3 {self.chance.choice(ROP3S)}",
                            f"scale_mode {self.chance.randint(0, 1)}")
        self.mask(box)

    def transparent(self, box):
        picture, area = self.pictured(TRANSPARENT, box)
        self.recording.image(picture)
        self.recording.rect("src_area", area)
        color = self.chance.getrandbits(24)
        if isinstance(picture, Bitmap) and picture.format == BMP_32:
            color = int.from_bytes(picture.data[:3], "little")
        elif isinstance(picture, Bitmap) and picture.palette:
            color = self.chance.choice(picture.palette) & 0xffffff
        self.recording.text(f"src_color {color}", f"true_color {color}")

    def alpha_blend(self, box):
        picture, area = self.pictured(ALPHA_BLEND, box, forms=(BMP_32, BMP_RGBA, BMP_RGBA))
        self.recording.text(f"alpha_flags {self.chance.randint(0, 3)}",
                            f"alpha {self.chance.choice((255, self.chance.randint(0, 255)))}")
        self.recording.image(picture)
        self.recording.rect("src_area", area)

    def stroke(self, box):
        dashed = self.often(0.3)
        near = self.around(box)

        def point():
            return (self.chance.randint(near[0] * 16, near[2] * 16),
                    self.chance.randint(near[1] * 16, near[3] * 16))

        def segment():
            curved = not dashed and self.often(0.3)
            count = self.chance.choice((4, 7)) if curved else self.chance.randint(2, 6)
            closed = not dashed and self.often(0.3)
            flags = 1 | 2 | 8 * closed | 16 * curved
            points = [point() for _ in range(count)]
            if dashed:  # straight across or down
                x, y = point()
                points = [(x & ~15, y & ~15), self.chance.choice(((x + 640 & ~15, y & ~15),
                                                                  (x & ~15, y + 640 & ~15)))]
            return struct.pack("<2I", flags, len(points)) + b"".join(
                struct.pack("<2i", *at) for at in points)

        self.recording.drawable(STROKE, box, **self.where(box))
        self.recording.chunks("path", b"".join(segment() for _ in range(self.chance.randint(1, 3))))
        if dashed:
            count = self.chance.choice((2, 2, 4))
            dashes = [self.chance.randint(1, 9) * 16 for _ in range(count)]
            gap = START_WITH_GAP if count == 2 and self.often(0.5) else 0
            self.recording.text(f"attr.flags {STYLED | gap}", f"attr.style_nseg {len(dashes)}")
            self.recording.blob("style", struct.pack(f"<{len(dashes)}i", *dashes))
        else:
            self.recording.text("attr.flags 0")
        self.recording.brush(self.brush())
        self.recording.text(f"fore_mode {self.combination()}", f"back_mode {PUT}")

    def glyphs(self, box, bits):
        """QXLRasterGlyphs: where they are drawn, their origin, their size and lines."""
        x, y = box[0] + self.chance.randint(-3, 6), box[1] + self.chance.randint(2, 20)
        data = b""
        count = self.chance.randint(1, 6)
        for _ in range(count):
            width, height = self.chance.randint(1, 13), self.chance.randint(1, 14)
            data += struct.pack("<4i2H", x, y, self.chance.randint(0, 1), -height, width, height)
            data += self.chance.randbytes((width * bits + 7) // 8 * height)
            x += width + self.chance.randint(-2 if bits == 1 else 1, 3)
        return count, data

    def string(self, box):
        bits, flags = self.chance.choice(((1, 1), (4, 2)))
        count, data = self.glyphs(box, bits)
        self.recording.drawable(TEXT, box, **self.where(box))
        self.recording.text(f"data_size {len(data)}", f"length {count}", f"flags {flags}")
        self.recording.chunks("string", data)
        has_back = self.often(0.4)
        self.recording.rect("back_area", self.box(self.around(box)) if has_back else NOWHERE)
        self.recording.brush(self.brush())
        self.recording.brush(self.brush() if has_back else None)
        self.recording.text(f"fore_mode {PUT}", f"back_mode {PUT}")

    def composite(self, box):
        chance = self.chance
        picture, _ = self.pictured(COMPOSITE, box, forms=(BMP_32, BMP_RGBA, BMP_RGBA))
        filters = [chance.choice((3, 3, 4)) for _ in range(2)]
        repeats = [chance.randint(0, 3) for _ in range(2)]
        has_mask, turns, mask_turns = (self.often(share) for share in (0.4, 0.3, 0.3))
        turns = turns and isinstance(picture, Bitmap)
        flags = (chance.randint(0, 13) | filters[0] << 8 | filters[1] << 11 | repeats[0] << 14 |
                 repeats[1] << 16 | chance.randint(0, 1) << 18 | chance.randint(0, 7) << 22)
        self.recording.text(f"flags {flags}")
        self.recording.image(picture)
        self.recording.text(f"src_transform {int(turns)}")
        if turns:
            self.recording.blob("transform", self.transform())
        self.recording.text(f"mask {int(has_mask)}")
        if has_mask:
            self.recording.image(self.noise(box[2] - box[0], box[3] - box[1], BMP_RGBA))
        self.recording.text(f"mask_transform {int(has_mask and mask_turns)}")
        if has_mask and mask_turns:
            self.recording.blob("transform", self.transform())
        for name in ("src_origin", "mask_origin"):
            self.recording.text(f"{name} {chance.randint(0, 6)} {chance.randint(0, 6)}")


KINDS = {kind.__name__: kind for kind in (
    Artist.fill, Artist.opaque, Artist.copy, Artist.blend, Artist.copy_bits, Artist.blackness,
    Artist.whiteness, Artist.invers, Artist.rop3, Artist.stroke, Artist.string, Artist.transparent,
    Artist.alpha_blend, Artist.composite)}


def record(path, name, seed):
    """`name`: a kind, or `everything`: all kinds, everywhere."""
    with recordings.Recording(path, WIDTH, HEIGHT) as recording:
        artist = Artist(recording, f"{name} {seed}")
        if name == "everything":
            for _ in range(300):
                kind = artist.chance.choice(list(KINDS.values()))
                kind(artist, artist.box((0, 0, WIDTH, HEIGHT)))
            return
        for cell in CELLS:
            KINDS[name](artist, artist.box(cell))
