#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What our SPICE server costs its QEMU, beside stock's: rows of issue 3's table, medians of one
run in which the two libraries take turns.

  bench/spice_server.py [RUNS] [CASE …]     default 5 runs of every case
  Cases: open, held, drawing, memory

open     four channels of a client of bare bytes on loopback: the first connection to the last
         link's result. Main comes first, the others together, as clients do it; "in a row" is ten
         such sessions, one right behind the other.
held     how long the vCPU of a guest that is never idle stands still for each of the frames that
         it paints (it waits for QEMU's lock while the display is looked at): wall time less the
         time in which its thread ran or waited for a processor. A spice-gtk client looks on.
drawing  what a guest needs to draw by itself: an Xorg on qxl, a round of x11perf's drawings.
memory   QEMU's own behind 15 seconds of that painting, without the guest's RAM; all of it, too.
"""
import argparse
import hashlib
import os
import re
import socket
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / part) for part in ("tests/interop", "tests/scenario", "tests/guest")]

import graphic  # noqa: E402
import guest  # noqa: E402
from spice_lab import Client, Machine  # noqa: E402
from spice_raw import COMMON_CAPS, CURSOR, DISPLAY, INPUTS, MAIN  # noqa: E402

LIBRARIES = ("segue", "stock")
MEMORY_MIB = 128
INIT, DISPLAY_INIT, MARK = 103, 101, 102
BUSY = ("load=dirty:16:100000", "load=paint:1024x768:25")


def wait(test, what, timeout=120):
    end = time.monotonic() + timeout
    while not (found := test()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)
    return found


def report(title, values, unit, digits=1):
    def text(library):
        of = values[library]
        return (f"{statistics.median(of):.{digits}f} "
                f"[{min(of):.{digits}f}-{max(of):.{digits}f}]")
    ratio = statistics.median(values["segue"]) / max(statistics.median(values["stock"]), 1e-9)
    print(f"| {title} | {text('segue')} {unit} | {text('stock')} {unit} | {ratio:.2f}x "
          f"| {len(values['segue'])} | {os.getloadavg()[0]:.1f} |", flush=True)


def in_turns(runs, measure):
    """{library: values} of `measure(library, directory)`, each in a QEMU of its own."""
    values = {library: [] for library in LIBRARIES}
    for _ in range(runs):
        for library in LIBRARIES:
            with tempfile.TemporaryDirectory(prefix="segue-bench-") as directory:
                values[library].append(measure(library, Path(directory)))
    return values


def column(values, name):
    return {library: [one[name] for one in of] for library, of in values.items()}


# --- Opening four channels ------------------------------------------------------------------------

def link_message(kind, session):
    body = struct.pack("<IBBIIIII", session, kind, 0, 1, 1, 18, COMMON_CAPS, 0b1101)
    return b"REDQ" + struct.pack("<III", 2, 2, len(body)) + body


def mask(seed, size):
    """MGF1 of RFC 8017, with SHA-1."""
    made = b"".join(hashlib.sha1(seed + struct.pack(">I", number)).digest()
                    for number in range(size // 20 + 1))
    return made[:size]


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other))


def ticket(key):
    """No password for a server's RSA key of 1024 bits (OAEP): stock's wants to read it."""
    modulus = int.from_bytes(key[-133:-5], "big")  # in front of the exponent, 65537
    block = hashlib.sha1(b"").digest() + bytes(128 - 2 * 20 - 3) + b"\1\0"
    seed = os.urandom(20)
    block = xor(block, mask(seed, len(block)))
    text = b"\0" + xor(seed, mask(block, 20)) + block
    return pow(int.from_bytes(text, "big"), 65537, modulus).to_bytes(128, "big")


def exact(connection, size):
    data = b""
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise ConnectionError("the server closed a link")
        data += more
    return data


def begin_link(machine, kind, session=0):
    connection = socket.create_connection(("127.0.0.1", machine.port), 60)
    connection.sendall(link_message(kind, session))
    return connection


def answer(connection):
    reply = exact(connection, struct.unpack_from("<I", exact(connection, 16), 12)[0])
    if struct.unpack_from("<I", reply)[0]:
        raise ConnectionError("a link was refused")
    connection.sendall(struct.pack("<I", 1) + ticket(reply[4:4 + 162]))


def end_link(connection):
    if struct.unpack("<I", exact(connection, 4))[0]:
        raise ConnectionError("a ticket was refused")


def message(connection, wanted):
    """The body of the next message of that number, whatever comes before it."""
    while True:
        number, size = struct.unpack("<HI", exact(connection, 6))
        body = exact(connection, size)
        if number == wanted:
            return body


def open_session(machine):
    """(seconds until four channels are linked, those channels)"""
    began = time.perf_counter()
    main = begin_link(machine, MAIN)
    answer(main)
    end_link(main)
    session = struct.unpack_from("<I", message(main, INIT))[0]
    others = [begin_link(machine, kind, session) for kind in (DISPLAY, INPUTS, CURSOR)]
    for step in (answer, end_link):
        for other in others:
            step(other)
    return time.perf_counter() - began, [main, *others]


def close(machine, channels):
    """As a client does that has seen something: QEMU on stock's library dies of others."""
    machine.wait_channels([(1, 0), (2, 0), (3, 0), (4, 0)])
    main, display = channels[:2]
    body = struct.pack("<BqBi", 1, 1 << 20, 1, 1 << 20)
    display.sendall(struct.pack("<HI", DISPLAY_INIT, len(body)) + body)
    message(display, MARK)
    main.close()
    machine.wait_channels([])
    for channel in channels[1:]:
        channel.close()


def open_once(library, directory):
    with Machine(directory, *guest.boot_disk(directory / "disk.img"), library=library,
                 tcp=True) as machine:
        machine.wait_frame(2)
        machine.qmp("stop")
        _, channels = open_session(machine)  # what is made once
        close(machine, channels)
        time.sleep(1)
        alone, channels = open_session(machine)
        close(machine, channels)
        in_a_row = []
        for _ in range(10):
            took, channels = open_session(machine)
            in_a_row.append(took)
            close(machine, channels)
        return {"alone": alone * 1000, "row": statistics.mean(in_a_row) * 1000}


def case_open(runs):
    values = in_turns(runs, open_once)
    report("four channels open on loopback", column(values, "alone"), "ms")
    report("the same, ten sessions in a row", column(values, "row"), "ms")


# --- Time that the vCPU stands still --------------------------------------------------------------

class Standing:
    """Seconds in which a thread neither ran nor waited for a processor."""

    def __init__(self, machine):
        thread = machine.qmp("query-cpus-fast")[0]["thread-id"]
        self.path = Path(f"/proc/{machine.process.pid}/task/{thread}/schedstat")
        self.began, self.busy = time.monotonic(), self.now()

    def now(self):
        ran, waited, _ = map(int, self.path.read_text().split())
        return (ran + waited) / 1e9

    def seconds(self):
        return time.monotonic() - self.began - (self.now() - self.busy)


def busy_machine(library, directory, vga):
    return Machine(directory, *guest.linux(*BUSY, tick=0), vga=vga, library=library, tcp=True,
                   memory=MEMORY_MIB)


def held_once(vga):
    def measure(library, directory):
        with busy_machine(library, directory, vga) as machine:
            machine.wait_frame(20, timeout=240)
            with Client(machine.uri) as client:
                client.linked()
                first = machine.wait_frame(machine.wait_frame(1) + 10)
                standing = Standing(machine)
                last = machine.wait_frame(first + 150, timeout=240)
                return standing.seconds() * 1e6 / (last - first)
    return measure


def case_held(runs):
    for vga in ("VGA", "qxl-vga", "virtio-vga"):
        report(f"vCPU stands still a frame, {vga}", in_turns(runs, held_once(vga)), "us", 0)


# --- A guest that draws natively ------------------------------------------------------------------

def rounds(machine):
    return guest.Ticks(machine.ticks.path, "round")


def drawing_once(library, directory):
    """Milliseconds for a round, of ten."""
    with Machine(directory, *graphic.linux("qxl", "x11perf", "qxl"), vga="qxl-vga",
                 library=library, tcp=True, memory=256) as machine:
        machine.ticks.wait(1, timeout=240)
        with Client(machine.uri) as client:
            client.linked()
            done = rounds(machine)
            first = done.wait(done.last() + 2, timeout=240)
            began = time.monotonic()
            last = done.wait(first + 10, timeout=240)
            return (time.monotonic() - began) * 1000 / (last - first)


def case_drawing(runs):
    report("Xorg on qxl, a round of x11perf", in_turns(runs, drawing_once), "ms", 0)


# --- Memory ---------------------------------------------------------------------------------------

def sizes(pid):
    """MiB resident: all, and without the mapping that is the guest's RAM."""
    total = ram = 0
    for entry in Path(f"/proc/{pid}/smaps").read_text().split("VmFlags"):
        size = re.search(r"^Size: +(\d+)", entry, re.MULTILINE)
        if not size:
            continue
        resident = int(re.search(r"^Rss: +(\d+)", entry, re.MULTILINE).group(1))
        total += resident
        if int(size.group(1)) == MEMORY_MIB << 10:
            ram += resident
    return total / 1024, (total - ram) / 1024


def memory_once(library, directory):
    with busy_machine(library, directory, "VGA") as machine:
        machine.wait_frame(20, timeout=240)
        with Client(machine.uri) as client:
            client.linked()
            end = time.monotonic() + 15
            wait(lambda: time.monotonic() > end, "15 seconds")
            resident, own = sizes(machine.process.pid)
            return {"resident": resident, "own": own}


def case_memory(runs):
    values = in_turns(runs, memory_once)
    report("QEMU's memory without the guest's RAM", column(values, "own"), "MiB")
    report("QEMU's memory", column(values, "resident"), "MiB")


CASES = {"open": case_open, "held": case_held, "drawing": case_drawing, "memory": case_memory}


def main():
    words = argparse.ArgumentParser(description=__doc__,
                                    formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("runs", type=int, nargs="?", default=5)
    words.add_argument("case", nargs="*", choices=[*CASES, []])
    given = words.parse_args()
    print("| Row | ours | stock's | ratio | runs | load |\n|---|---|---|---|---|---|")
    for name in given.case or CASES:
        CASES[name](given.runs)


if __name__ == "__main__":
    main()
