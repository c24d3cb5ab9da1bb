# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every drawing operation leaves the pixels that it leaves on stock's library, in the guest's own
memory: what Windows drivers draw, generated, and replayed without a client.

What is left out, since stock's pixels are none that a guest could ask for: the ROP3s that need not
all of pattern, source and destination, and pictures of 1 and 4 bits in little endian (stock ends);
glyphs of 8 bits (read a line beyond their end), and those of 4 bits that lie over each other; a
ROP3's pattern whose origin is right of its box (read before its begin); transformed surfaces (they
stay transformed); dashes that are not straight across or down (polygons, where drivers count
pixels), and more than one dash behind a gap that begins the line (the wrong one is first)."""
import drawings
import pytest

from replaying import Replay

SEEDS = 3


def split(pixels):
    """The primary surface and the others, without the byte of the former that is no colour."""
    primary = bytearray(pixels[:drawings.WIDTH * drawings.HEIGHT * 4])
    primary[3::4] = bytes(len(primary) // 4)
    return bytes(primary), pixels[len(primary):]


def first_difference(ours, stocks):
    """Where: cells are those of drawings.CELLS."""
    for surface, (one, other) in enumerate(zip(ours, stocks)):
        # Those that were drawn on are of one size, the last of their part.
        one, other = (part[-drawings.WIDTH * drawings.HEIGHT * 4:] for part in (one, other))
        for at in range(0, len(one), 4):
            if one[at:at + 4] != other[at:at + 4]:
                x, y = at // 4 % drawings.WIDTH, at // 4 // drawings.WIDTH
                cell = (y // drawings.CELL_HEIGHT * (drawings.WIDTH // drawings.CELL_WIDTH) +
                        x // drawings.CELL_WIDTH)
                return (f"cell {cell} of surface {surface}, at {x},{y}: {one[at:at + 4].hex()}, "
                        f"stock's {other[at:at + 4].hex()}")
    return "the source of copies"


@pytest.mark.full
@pytest.mark.parametrize("kind", [*drawings.KINDS, "everything"])
def test_what_is_drawn_is_what_stock_draws(tmp_path, kind):
    for seed in range(SEEDS):
        recording = tmp_path / f"{kind}-{seed}.rec"
        drawings.record(recording, kind, seed)
        stocks, ours = (split(Replay(library, recording, "/dev/null").render())
                        for library in ("stock", "segue"))
        assert any(stocks[0])
        if ours != stocks:
            pytest.fail(f"{kind}, seed {seed}: {first_difference(ours, stocks)}")
