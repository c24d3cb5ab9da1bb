# SPDX-License-Identifier: LGPL-2.1-or-later
"""The Linux guest with a sound card: Debian's generic kernel, whose modules the graphic guest has
fetched (the cloud kernel is built without sound), and the loads. See README.md."""
import shutil
import tempfile
from pathlib import Path

import graphic
import guest

# The codec's driver first: nobody in there loads it when the card asks.
DRIVERS = ("snd-hda-codec-generic", "snd-hda-intel")


def make(target, kernel, load):
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for folder in ("bin", "dev", "proc", "sys", "tmp"):
            (root / folder).mkdir()
        for program, name in ((shutil.which("busybox"), "bin/busybox"), (load, "bin/load"),
                              (guest.HERE / "init", "init")):
            shutil.copy(program, root / name)
            (root / name).chmod(0o755)
        graphic.add_drivers(root, kernel, DRIVERS)
        guest.pack(root, target)


def linux(*words):
    """QEMU arguments that boot it (256 MiB of memory) with these words."""
    kernel, load = graphic.fetch_kernel(), guest.loads()
    sources = [guest.HERE / "init", Path(__file__), Path(graphic.__file__), kernel.release, load]
    image = guest.cached("sounding.gz", sources, lambda target: make(target, kernel, load))
    line = " ".join(["console=ttyS0", "quiet", "no_timer_check", "tick=0",
                     f"modules={','.join(DRIVERS)}", *words])
    return ["-kernel", str(kernel.image), "-initrd", str(image), "-append", line]
