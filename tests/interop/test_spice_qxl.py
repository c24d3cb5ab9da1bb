# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest with the native driver (qxl of Linux's DRM, its console drawn through it) on our library:
the client shows what QEMU shows, at rest and behind a seamless move.

The driver is none of the cloud kernel's: Debian's own kernel package is fetched into
build/guest/qxl (or named, unpacked, by $SEGUE_QXL_KERNEL).
"""
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import guest
import pytest

from spice_lab import Client, Machine, migrate, same_picture

MODULES = ("drm", "drm_kms_helper", "ttm", "drm_ttm_helper", "qxl")
INIT = """#!/bin/busybox sh
/bin/busybox --install -s /bin
mount -t devtmpfs dev /dev
mount -t proc proc /proc
for module in %s; do insmod /$module.ko || echo "no $module" > /dev/ttyS0; done
for word in $(cat /proc/cmdline); do
    case $word in load=*) /load $(echo ${word#load=} | tr : ' ') > /dev/ttyS0 & ;; esac
done
count=0
while :; do
    count=$((count + 1))
    echo "tick $count" > /dev/tty0
    echo "tick $count" > /dev/ttyS0
    usleep 200000
done
""" % " ".join(MODULES)


def fetch(where):
    """Unpacks the newest kernel that has the driver. Returns why it could not, or nothing."""
    where.mkdir(parents=True, exist_ok=True)
    depends = subprocess.run(["apt-cache", "depends", "linux-image-amd64"], capture_output=True,
                             text=True, check=False).stdout
    package = next((line.split()[-1] for line in depends.splitlines() if "Depends:" in line), "")
    done = subprocess.run(["apt-get", "download", package or "linux-image-amd64"], cwd=where,
                          capture_output=True, text=True, check=False)
    if done.returncode != 0:
        return done.stderr.strip()
    archive, = where.glob("linux-image-*.deb")
    subprocess.run(["dpkg-deb", "-x", archive, where], check=True)
    archive.unlink()
    return None


def initramfs(unpacked, directory):
    """The guest: busybox, the driver, and what counts on its console and its serial line."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        for folder in ("bin", "dev", "proc"):
            (root / folder).mkdir()
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        (root / "init").write_text(INIT)
        shutil.copy(guest.loads(), root / "load")
        for program in ("init", "load"):
            (root / program).chmod(0o755)
        for module in MODULES:
            found, = unpacked.glob(f"**/{module}.ko")
            shutil.copy(found, root)
        names = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
        archive = subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet"], cwd=root,
                                 input=names.encode(), capture_output=True, check=True).stdout
        (directory / "qxl.cpio").write_bytes(archive)
    return directory / "qxl.cpio"


@pytest.fixture(scope="module", name="boot")
def boot_arguments(tmp_path_factory):
    """QEMU arguments; the last one is the kernel's command line, which may end in load=NAME:ARG…"""
    given = os.environ.get("SEGUE_QXL_KERNEL")
    unpacked = Path(given) if given else guest.build_dir() / "qxl"
    if not list(unpacked.glob("boot/vmlinuz-*")):
        failure = fetch(unpacked)
        assert failure is None, f"the kernel's package cannot be fetched: {failure}"
    kernel = sorted(unpacked.glob("boot/vmlinuz-*"))[-1]
    made = initramfs(unpacked, tmp_path_factory.mktemp("qxl"))
    return ["-kernel", kernel, "-initrd", made, "-append",
            "console=tty0 console=ttyS0 quiet no_timer_check"]


def machine(directory, boot, *more):
    directory.mkdir()
    return Machine(directory, *map(str, boot), *more, vga="qxl-vga", memory=256, tcp=True,
                   options="seamless-migration=on")


def draws_natively(client):
    """The driver makes a surface of another size than the firmware's text screen."""
    client.wait("primary", 120, width=1024)


@pytest.mark.soak
def test_the_native_driver_shows_the_same_here_and_there(tmp_path, boot):
    with machine(tmp_path / "source", boot) as first, \
            machine(tmp_path / "target", boot, "-incoming",
                    f"unix:{tmp_path}/migrate.sock") as second:
        first.ticks.wait(5, timeout=240)
        assert "no " not in first.ticks.text().decode(errors="replace")
        with Client(first.uri) as client:
            draws_natively(client)
            first.ticks.wait(first.ticks.last() + 60, timeout=120)  # more lines than the screen has
            first.qmp("stop")
            assert same_picture(first, client, tmp_path, timeout=60)
            first.qmp("cont")
            migrate(first, second, tmp_path)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            client.wait("migration", 60, state="none")
            second.ticks.wait(second.ticks.last() + 10, timeout=120)
            second.qmp("stop")
            assert same_picture(second, client, tmp_path, timeout=60)
            assert client.count("disconnected") == 0
            sizes = {event["width"] for event in client.drain() if event["event"] == "primary"}
            assert sizes == {1024}, "the window changes its size"
