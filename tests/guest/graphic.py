#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""The graphic guest: Debian's generic kernel with the drivers of QEMU's display adapters, Xorg,
xterm and x11perf of this host. See README.md.

The cloud kernel has no such drivers. The generic one is taken where it is installed; else its
package is fetched once and unpacked into build/guest, which ./setup does:

  graphic.py            fetches what is missing
"""
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import guest

HERE = Path(__file__).resolve().parent / "graphic"
DRIVERS = ("qxl", "bochs", "virtio-gpu", "virtio_pci")
X_MODULES = ("drivers/qxl_drv.so", "drivers/modesetting_drv.so", "libexa.so", "libfbdevhw.so",
             "libint10.so", "libshadow.so", "libshadowfb.so", "libvgahw.so")
X_PROGRAMS = ("/usr/lib/xorg/Xorg", "/usr/bin/xkbcomp", "/usr/bin/xterm", "/usr/bin/x11perf")


class Kernel:
    """An image, and the tree with lib/modules/RELEASE below it."""

    def __init__(self, image, root):
        self.image, self.root = image, root
        self.release = guest.release_of(image)
        self.modules = root / "lib" / "modules" / self.release

    def is_whole(self):
        return any(self.modules.glob("**/qxl.ko*"))


def unpacked():
    given = os.environ.get("SEGUE_QXL_KERNEL")
    return Path(given) if given else guest.build_dir() / "kernel"


def find_kernel():
    """The newest generic kernel, or None."""
    for root in (Path("/"), unpacked()):
        for image in sorted((root / "boot").glob("vmlinuz-*"), reverse=True):
            if re.search(r"-\d+-amd64$", image.name) and Kernel(image, root).is_whole():
                return Kernel(image, root)
    return None


def fetch_kernel():
    """Downloads and unpacks it where there is none."""
    place = unpacked()
    place.mkdir(parents=True, exist_ok=True)
    with open(place / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = find_kernel()
        if found:
            return found
        depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], text=True,
                                 capture_output=True, check=True).stdout
        package = re.search(r"Depends: (linux-image-\S+)", depends).group(1)
        with tempfile.TemporaryDirectory(dir=place) as scratch:
            # As root apt-get would drop to a user who cannot write here, and say so.
            subprocess.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download",
                            package], cwd=scratch, check=True)
            archive, = Path(scratch).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", archive, place], check=True)
        found = find_kernel()
        subprocess.run(["/sbin/depmod", "-b", place, found.release], check=True)
        return found


def libraries(programs):
    """The shared libraries that programs and modules load, and the loader, as they are here."""
    said = subprocess.run(["ldd", *programs], capture_output=True, text=True, check=True).stdout
    return sorted(set(re.findall(r"(/\S+) \(0x", said)))


def copy(root, path):
    to = root / str(path).lstrip("/")
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, to)


def add_drivers(root, kernel, drivers=DRIVERS):
    depends = dict(line.split(":", 1)
                   for line in (kernel.modules / "modules.dep").read_text().splitlines())
    by_name = {Path(path).name.split(".")[0]: path for path in depends}
    wanted = [by_name[name] for name in drivers]
    for path in wanted:
        wanted += [other for other in depends[path].split() if other not in wanted]
    for path in wanted:
        to = root / "lib" / "modules" / kernel.release / path
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(kernel.modules / path, to)
    for index in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
        shutil.copy(kernel.modules / index, root / "lib" / "modules" / kernel.release)
    subprocess.run(["/sbin/depmod", "-b", root, kernel.release], check=True)


def add_xorg(root):
    parts = [f"/usr/lib/xorg/modules/{name}" for name in X_MODULES]
    for path in [*X_PROGRAMS, *parts, *libraries([*X_PROGRAMS, *parts]),
                 "/usr/lib/xorg/protocol.txt"]:
        copy(root, path)
    shutil.copytree("/usr/share/X11/xkb", root / "usr/share/X11/xkb", symlinks=False)
    for folder in ("tmp/.X11-unix", "var/lib/xkb", "var/log", "etc"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "etc" / "passwd").write_text("root::0:0:root:/:/bin/sh\n")


def make(target, kernel):
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for folder in ("bin", "dev", "proc", "sys"):
            (root / folder).mkdir()
        copy(root, shutil.which("busybox"))
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        for name in ("init", "count", "xorg.conf"):
            shutil.copy(HERE / name, root / name)
        (root / "init").chmod(0o755)
        add_drivers(root, kernel)
        add_xorg(root)
        guest.pack(root, target)


def initramfs(kernel):
    sources = [HERE / "init", HERE / "count", HERE / "xorg.conf", Path(__file__), kernel.release]
    sources += [f"{path} {os.stat(path).st_mtime}" for path in X_PROGRAMS]
    return guest.cached("graphic.gz", sources, lambda target: make(target, kernel))


def linux(driver, screen="console", xdriver="modesetting"):
    """QEMU arguments that boot it (256 MiB of memory): the driver of its adapter, what it shows,
    and Xorg's driver."""
    kernel = fetch_kernel()
    line = (f"console=tty0 console=ttyS0 quiet no_timer_check driver={driver} screen={screen} "
            f"xdriver={xdriver}")
    return ["-kernel", str(kernel.image), "-initrd", str(initramfs(kernel)), "-append", line]


if __name__ == "__main__":
    print(fetch_kernel().image)
