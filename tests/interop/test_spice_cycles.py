# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hundred sessions that come and go leave nothing in QEMU: no memory, no thread, no descriptor.
With the library under ASan (SEGUE_SPICE_PRELOAD) LeakSanitizer looks, too, when QEMU ends."""
import os
import struct
from pathlib import Path

import guest
import pytest

from hosts import wait_until
from spice_lab import LITTLE_QUARANTINE, Client, Machine, same_picture
from spice_raw import CURSOR, DISPLAY, INPUTS, Channel
from test_spice_hostile import memory_kib

WARM_UP, CYCLES = 100, 100
# A dictionary of 4 Mi pixels and an image cache, as stock's clients ask for.
DISPLAY_INIT = struct.pack("<BqBi", 1, 1 << 22, 1, 1 << 22)
KEY_DOWN, KEY_UP = 101, 102
MARK = 102


def one_session(machine):
    """Four channels, some pictures, a key; then it is gone without a word."""
    with Channel(machine) as main:
        session = main.session()
        with Channel(machine, DISPLAY, session) as display, \
                Channel(machine, INPUTS, session) as inputs, Channel(machine, CURSOR, session):
            display.send(101, DISPLAY_INIT)
            while display.receive()[0] != MARK:
                pass
            inputs.send(KEY_DOWN, struct.pack("<I", 0x1e))
            inputs.send(KEY_UP, struct.pack("<I", 0x9e))


def held(machine):
    process = Path(f"/proc/{machine.process.pid}")
    return len(list((process / "fd").iterdir())), len(list((process / "task").iterdir()))


def under_asan():
    return "SEGUE_SPICE_PRELOAD" in os.environ


def our_leaks(directory):
    """What LeakSanitizer found on paths through our library; QEMU and GLib have leaks of their own
    at their end."""
    found = []
    for log in directory.glob("leaks.*"):
        text = log.read_text(errors="replace")
        assert "LeakSanitizer has encountered a fatal error" not in text, text
        found += [block for block in text.split("\n\n")
                  if "leak of" in block and ("segue::" in block or "libspice-server.so" in block)]
    return found


def lets_it_look_for_leaks(machine, directory):
    if under_asan():
        machine.environment["ASAN_OPTIONS"] = (
            f"detect_leaks=1:log_path={directory}/leaks:exitcode=0:{LITTLE_QUARANTINE}")
        # It reads the threads' storage where QEMU's libraries have none, and ends there.
        machine.environment["LSAN_OPTIONS"] = "use_tls=0"


@pytest.mark.full
def test_a_hundred_sessions_leave_nothing(tmp_path):
    machine = Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img"))
    lets_it_look_for_leaks(machine, tmp_path)
    with machine:
        machine.wait_frame(2)
        for _ in range(WARM_UP):
            one_session(machine)
        machine.wait_channels([])
        memory, handles = memory_kib(machine), held(machine)
        for _ in range(CYCLES):
            one_session(machine)
        machine.wait_channels([])
        # A thread of QEMU's own pool may end meanwhile.
        wait_until(lambda: all(now <= then for now, then in zip(held(machine), handles)),
                   what=lambda: f"{held(machine)} of {handles}")
        grown = memory_kib(machine) - memory
        with Client(machine.uri) as client:
            client.linked()
            machine.qmp("stop")
            assert same_picture(machine, client, tmp_path)
        machine.qmp("quit")
        machine.process.wait(120)
    print(f"{grown} KiB more behind {CYCLES} sessions")
    # Less than 3 KiB a session: the allocator's own ups and downs.
    assert grown < (2048 if under_asan() else 256), f"{grown} KiB"
    assert our_leaks(tmp_path) == []
