# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pictures of the codecs that QEMU does not choose by itself on a fast line: LZ4, JPEG, and zlib
over GLZ. A recording is replayed on stock's library and on ours: what loses nothing is shown as
spice-gtk shows it, JPEG nearly as the uncompressed pictures."""
import pytest

from replaying import COMPRESSIONS, Replay, scene
from test_spice_replay import most_apart
from test_viewer_video import watch

ALWAYS, NEVER = 2, 3
# What the event lines call it, and whether it loses nothing.
MODES = {"lz4": ("lz4", True, {"compression": COMPRESSIONS["lz4"], "jpeg": NEVER, "zlib": NEVER}),
         "zlib": ("zlib_glz_rgb", True,
                  {"compression": COMPRESSIONS["glz"], "jpeg": NEVER, "zlib": ALWAYS}),
         "jpeg": ("jpeg", False,
                  {"compression": COMPRESSIONS["auto_glz"], "jpeg": ALWAYS, "zlib": NEVER})}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return scene("video", tmp_path_factory.mktemp("codecs"), 2)


@pytest.mark.full
@pytest.mark.parametrize("library", ["stock", "segue"])
@pytest.mark.parametrize("mode", MODES)
def test_pictures_are_as_they_were_drawn(tmp_path, recorded, mode, library):
    codec, lossless, options = MODES[mode]
    shown, codecs = watch(Replay(library, *recorded, streaming=1, **options), tmp_path, mode)
    assert codec in codecs
    if lossless:
        other = Replay(library, *recorded, streaming=1, **options).run(tmp_path)["picture"]
    else:
        plain = {"compression": COMPRESSIONS["off"], "jpeg": NEVER, "zlib": NEVER}
        other, _ = watch(Replay(library, *recorded, streaming=1, **plain), tmp_path, "off")
    assert (shown.width, shown.height) == (other.width, other.height)
    assert most_apart(shown.data, other.data) < (1 if lossless else 64)
