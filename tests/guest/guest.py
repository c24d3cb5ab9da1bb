# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the test guests and drives bare QEMUs with them. See README.md.

Built once into build/guest (or $SEGUE_GUEST_DIR), under a lock, keyed by the sources.
"""
import fcntl
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

import cells

HERE = Path(__file__).resolve().parent
EMULATOR = "/usr/bin/qemu-system-x86_64"
MODULES = ("virtio_pci", "virtio_blk", "virtio_net", "virtio_console", "virtio_balloon",
           "virtio-rng", "ata_piix", "ahci", "sd_mod", "evdev")
DISK_SLOTS = 2000  # of loads/disk.c


def build_dir():
    default = HERE.parents[1] / "build" / "guest"
    path = Path(os.environ.get("SEGUE_GUEST_DIR", default))
    path.mkdir(parents=True, exist_ok=True)
    return path


def kernel():
    """Debian's cloud kernel, the newest that has its modules installed."""
    found = [path for path in sorted(Path("/boot").glob("vmlinuz-*-cloud-amd64"))
             if Path("/lib/modules", release_of(path)).is_dir()]
    if not found:
        raise FileNotFoundError("no /boot/vmlinuz-*-cloud-amd64: apt-get install "
                                "linux-image-cloud-amd64")
    return found[-1]


def release_of(kernel_path):
    return kernel_path.name[len("vmlinuz-"):]


def cached(name, sources, make):
    """Path of the built file: `make(path)` runs once for a given content of `sources`."""
    digest = hashlib.sha256()
    for source in sources:
        digest.update(source.read_bytes() if isinstance(source, Path) else str(source).encode())
    target = build_dir() / f"{digest.hexdigest()[:12]}-{name}"
    with open(build_dir() / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            fresh = target.with_suffix(".new")
            make(fresh)
            fresh.chmod(0o644)
            fresh.rename(target)
    return target


def module_files(release):
    """The module files that MODULES need, with all they depend on."""
    root = Path("/lib/modules", release)
    depends = dict(line.split(":", 1) for line in (root / "modules.dep").read_text().splitlines())
    by_name = {Path(path).name.split(".")[0]: path for path in depends}
    wanted = [by_name[name] for name in MODULES if name in by_name]
    for path in wanted:
        wanted += [other for other in depends[path].split() if other not in wanted]
    return [root / path for path in wanted]


def loads():
    """The program with all loads, for any Linux guest."""
    sources = sorted((HERE / "loads").glob("*.[ch]"))
    programs = [str(path) for path in sources if path.suffix == ".c"]
    return cached("load", [Path(__file__), *sources], lambda target: subprocess.run(
        ["gcc", "-O2", "-static", "-s", "-o", target, *programs], check=True))


def initramfs():
    """The initramfs: busybox, `init`, the loads, and the modules of `kernel()`."""
    load, release = loads(), release_of(kernel())
    return cached("initramfs.gz", [HERE / "init", Path(__file__), release, load],
                  lambda target: make_initramfs(target, release, load))


def make_initramfs(target, release, load):
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch)
        modules = root / "lib" / "modules" / release
        for folder in ("bin", "dev", "proc", "sys", "tmp"):
            (root / folder).mkdir()
        shutil.copy(shutil.which("busybox"), root / "bin" / "busybox")
        shutil.copy(HERE / "init", root / "init")
        (root / "init").chmod(0o755)
        shutil.copy(load, root / "bin" / "load")
        (root / "bin" / "load").chmod(0o755)
        for module in module_files(release):
            copy = modules / module.relative_to(Path("/lib/modules", release))
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(module, copy)
        for index in ("modules.order", "modules.builtin", "modules.builtin.modinfo"):
            shutil.copy(Path("/lib/modules", release, index), modules / index)
        subprocess.run(["/sbin/depmod", "-b", root, release], check=True)
        pack(root, target)


def pack(root, target):
    """Writes a folder as an initramfs."""
    names = "\0".join(str(path.relative_to(root)) for path in sorted(root.rglob("*")))
    archive = subprocess.run(["cpio", "--null", "-o", "-H", "newc", "--quiet"], cwd=root,
                             input=names.encode(), capture_output=True, check=True).stdout
    packed = subprocess.run(["gzip", "-1n"], input=archive, capture_output=True, check=True)
    Path(target).write_bytes(packed.stdout)


def boot_sector(name="boot"):
    """The assembled boot sector guest, with its numbers as NAME.s has them."""
    def make(target):
        with tempfile.TemporaryDirectory() as scratch:
            code = Path(scratch, "boot.o")
            subprocess.run(["as", "--32", "-I", HERE, "-o", code, HERE / f"{name}.s"],
                           check=True)
            subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary",
                            "-o", target, code], check=True)
    sources = [HERE / f"{name}.s", HERE / "com1.s"]
    return cached(f"{name}.bin", sources, make).read_bytes()


def sector_disk(path, name, size=1 << 20):
    """QEMU arguments that boot another boot sector guest."""
    sector = boot_sector(name)
    Path(path).write_bytes(sector + bytes(size - len(sector)))
    return ["-drive", f"file={path},format=raw,if=ide"]


def echo_disk(path):
    """The guest which repeats what comes on COM2 and COM3 (echo.s)."""
    return sector_disk(path, "echo")


def keys_disk(path):
    """The guest which says what its keyboard sends (keys.s)."""
    return sector_disk(path, "keys")


def mouse_disk(path):
    """The guest which says what its keyboard and its mouse send (mouse.s)."""
    return sector_disk(path, "mouse")


def disc_image(path):
    """Writes a CD image from which the firmware boots the guest that reads its disc (disc.s):
    ECMA-119 as far as El Torito needs it, and blocks that the guest checks."""
    blocks = [bytes(2048)] * 128
    blocks[16] = b"\1CD001\1" + bytes(2041)
    boot_record = b"\0CD001\1" + b"EL TORITO SPECIFICATION".ljust(64, b"\0")
    blocks[17] = (boot_record + struct.pack("<I", 18)).ljust(2048, b"\0")
    validation = bytearray(struct.pack("<BBH24sHH", 1, 0, 0, b"", 0, 0xaa55))
    struct.pack_into("<H", validation, 28, -sum(struct.unpack("<16H", validation)) & 0xffff)
    entry = struct.pack("<BBHBBHI", 0x88, 0, 0, 0, 0, 4, 19)
    blocks[18] = (bytes(validation) + entry).ljust(2048, b"\0")
    blocks[19] = boot_sector("disc").ljust(2048, b"\0")
    blocks[20] = b"\xffCD001\1" + bytes(2041)
    for number in range(64, 128):
        blocks[number] = struct.pack("<I2040xI", number, ~number & 0xffffffff)
    Path(path).write_bytes(b"".join(blocks))
    return Path(path)


def boot_image(path, tick_ms=100, timer_hz=100, dirty_mb_s=0, dirty_first_mb=2, dirty_end_mb=16,
               fps=10, size=1 << 20):
    """Writes a raw disk image with the boot sector guest, with these numbers. A tick and a frame
    are whole numbers of timer periods; memory is dirtied round and round from first to end."""
    image = bytearray(boot_sector())
    at = image.index(b"SEGUEBT1") + 8
    struct.pack_into("<HHHHII", image, at, min(65535, 1193182 // timer_hz),
                     max(1, tick_ms * timer_hz // 1000), dirty_mb_s * 256 // timer_hz,
                     timer_hz // fps if fps else 0, dirty_first_mb << 20, dirty_end_mb << 20)
    Path(path).write_bytes(bytes(image) + bytes(size - len(image)))
    return Path(path)


class Ticks:
    """What a guest counted on a serial line that goes to a file."""

    def __init__(self, path, word="tick"):
        self.path, self.pattern = Path(path), re.compile(rf"\b{word} (\d+)\r?\n".encode())

    def text(self):
        return self.path.read_bytes() if self.path.exists() else b""

    def all(self):
        return [int(found) for found in self.pattern.findall(self.text())]

    def last(self):
        numbers = self.all()
        return numbers[-1] if numbers else 0

    def wait(self, at_least=1, timeout=60):
        """Waits until the guest counted so far; returns the count."""
        end = time.monotonic() + timeout
        while self.last() < at_least:
            if time.monotonic() > end:
                raise TimeoutError(f"'{self.path}' shows {self.last()} after {timeout} s, not "
                                   f"{at_least}; its end: {self.text()[-300:]!r}")
            time.sleep(0.02)
        return self.last()

    def gaps_into(self, later):
        """The same across two files: this one's guest went on in the other one, wherever the move
        cut a line."""
        found = self.pattern.findall(self.text() + later.text())
        numbers = [int(number) for number in found]
        return [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]

    def gaps(self):
        """Pairs of neighbours that do not count by one: empty if nothing was lost or repeated."""
        numbers = self.all()
        return [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]


class Qmp:
    """A QMP client for tests: one command at a time; events are kept in `events`."""

    def __init__(self, path, timeout=60):
        self.events = []
        end = time.monotonic() + timeout
        while True:
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.settimeout(timeout)
            self.file = self.socket.makefile("rb")
            try:
                self.socket.connect(str(path))
                # Closed at once, or in the middle, by a QEMU that has not noticed yet that whoever
                # was connected before has gone.
                self.greeting = self.read()
                self("qmp_capabilities")
                break
            except OSError:
                self.close()
                if time.monotonic() > end:
                    raise
                time.sleep(0.01)

    def __call__(self, command, **arguments):
        """The "return" member; RuntimeError with QEMU's words where it refused."""
        names = {name.replace("_", "-") if name not in ("unix_sock",) else name: value
                 for name, value in arguments.items()}
        message = {"execute": command, "arguments": names} if names else {"execute": command}
        self.socket.sendall(json.dumps(message).encode() + b"\n")
        while True:
            reply = self.read()
            if "error" in reply:
                raise RuntimeError(f"{command}: {reply['error']['desc']}")
            if "return" in reply:
                return reply["return"]

    def read(self):
        line = self.file.readline()
        if not line:
            raise ConnectionError("QEMU's monitor is gone")
        message = json.loads(line)
        if "event" in message:
            self.events.append(message)
        return message

    def human(self, command_line):
        return self("human-monitor-command", command_line=command_line)

    def wait_event(self, name, timeout=60):
        """The first event of that name that was not waited for yet."""
        self.socket.settimeout(timeout)
        while True:
            for event in self.events:
                if event["event"] == name:
                    self.events.remove(event)
                    return event
            self.read()

    def close(self):
        self.file.close()
        self.socket.close()


class Qemu:
    """A bare QEMU (tcg, no defaults) in a directory of its own; a context manager.

    with Qemu(directory, "-kernel", …) as vm: vm.qmp("query-status"); vm.ticks.wait(3)
    """

    def __init__(self, directory, *arguments, memory=128, machine="pc-i440fx-7.2",
                 emulator=EMULATOR, display=("-display", "none"), environment=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.ticks = Ticks(self.directory / "serial")
        self.socket = self.directory / "qmp.sock"
        self.argv = [emulator, "-accel", "tcg", "-machine", machine, "-m", str(memory),
                     "-nodefaults", "-no-user-config", *display,
                     "-chardev", f"file,id=serial0,path={self.ticks.path},append=on",
                     "-device", "isa-serial,chardev=serial0",
                     "-qmp", f"unix:{self.socket},server=on,wait=off", *map(str, arguments)]
        self.environment = environment
        self.process = self.qmp = None

    def __enter__(self):
        with open(self.directory / "stderr", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=self.environment)
        try:
            self.qmp = Qmp(self.socket)
        except OSError as error:
            self.stop()
            raise RuntimeError(f"QEMU did not start: {self.stderr()}") from error
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, how=signal.SIGTERM):
        """Ends this QEMU and nothing else."""
        if self.qmp:
            self.qmp.close()
            self.qmp = None
        if self.process and self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)

    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def picture(self):
        """The screen now, as a cells.Picture (QEMU's own screendump)."""
        path = self.directory / "screen.ppm"
        self.qmp("screendump", filename=str(path))
        return cells.Picture.read(path)

    def frame(self):
        """The frame counter on the screen now, or None."""
        return cells.frame_of(self.picture())

    def wait_frame(self, at_least=1, timeout=60):
        """The frame counter, once it has come so far. A look between the two rows of a frame that
        is being painted shows none: frame() alone may be None at any time."""
        end = time.monotonic() + timeout
        while (seen := self.frame()) is None or seen < at_least:
            if time.monotonic() > end:
                raise TimeoutError(f"no frame {at_least} after {timeout} s: {seen}")
            time.sleep(0.1)
        return seen


def linux(*words, tick=100):
    """QEMU arguments that boot the Linux guest: linux("load=dirty:32:50", "net=10.0.2.15/24")."""
    # On a busy host a guest hung once in the kernel's timer check: a late tick under tcg fails it.
    line = " ".join(["console=ttyS0", "quiet", "no_timer_check", f"tick={tick}", *words])
    return ["-kernel", kernel(), "-initrd", initramfs(), "-append", line]


def boot_disk(path, **numbers):
    """QEMU arguments that boot the boot sector guest from an image that is written to `path`."""
    boot_image(path, **numbers)
    return ["-drive", f"file={path},format=raw,if=ide"]


def records(image_path):
    """{number: slot} of the records that the disk load wrote into a raw image."""
    found = {}
    with open(image_path, "rb") as image:
        slot = 0
        while block := image.read(4096):
            match = re.match(rb"REC (\d+)\n", block)
            if match:
                found[int(match.group(1))] = slot
            slot += 1
    return found


def lost_records(image_path, known=None):
    """The records that an image lacks, of those that the disk load has not overwritten by going
    round. `known`: the last one that was on the disk before this look, where the guest writes on;
    else the newest in the image."""
    found = records(image_path)
    newest = max(found, default=0)
    oldest = max(1, newest - DISK_SLOTS + 1)
    return sorted(set(range(oldest, (known or newest) + 1)) - found.keys())


if __name__ == "__main__":
    print(kernel(), initramfs(), sep="\n")
