# SPDX-License-Identifier: LGPL-2.1-or-later
"""Clients that break the protocol lose their connection; the machine and the others notice nothing.

The first four kill a QEMU on stock spice-server 0.15.1.
"""
import os
import random
import struct
import time

import guest
import pytest

from spice_lab import Client, Machine, same_picture
from spice_raw import CURSOR, DISPLAY, INPUTS, MAIN, Channel

DISPLAY_INIT = struct.pack("<BqBi", 1, 1 << 20, 1, 1 << 20)


@pytest.fixture
def machine(tmp_path):
    with Machine(tmp_path, *guest.boot_disk(tmp_path / "disk.img")) as running:
        running.wait_frame(2)
        yield running
        # Whatever the client did: the machine runs, and an honest client sees it.
        assert running.process.poll() is None
        running.wait_frame(running.wait_frame(1) + 1)
        running.qmp("stop")
        with Client(running.uri) as honest:
            honest.wait("mark")
            assert same_picture(running, honest, tmp_path)
        assert "does not hold" not in running.stderr()


@pytest.mark.quick
@pytest.mark.parametrize("kind", [MAIN, DISPLAY, INPUTS, CURSOR])
def test_a_flush_mark_that_nobody_asked_for(machine, kind):
    with Channel(machine) as main:
        session = main.session()
        if kind == MAIN:
            main.send(4)
            assert main.is_closed()
            return
        with Channel(machine, kind, session) as channel:
            channel.send(4)
            assert channel.is_closed()


@pytest.mark.quick
def test_a_second_display_init(machine):
    with Channel(machine) as main, Channel(machine, DISPLAY, main.session()) as display:
        display.send(101, DISPLAY_INIT)
        display.send(101, DISPLAY_INIT)
        assert display.is_closed()


@pytest.mark.quick
def test_main_closes_while_others_link(machine):
    for _ in range(20):
        main = Channel(machine)
        session = main.session()
        others = [Channel(machine, kind, linked=False) for kind in (DISPLAY, INPUTS, CURSOR)]
        main.close()
        for kind, other in zip((DISPLAY, INPUTS, CURSOR), others):
            try:
                other.link(kind, session)
            except ConnectionError:
                pass
            other.close()


@pytest.mark.full
@pytest.mark.parametrize("seed", range(4))
def test_mutated_messages(machine, seed):
    """Some thousand messages with random numbers, sizes and bodies, on all channels."""
    chance = random.Random(seed)
    sent = 0
    end = time.monotonic() + 60
    while sent < 3000 and time.monotonic() < end:
        try:
            with Channel(machine) as main:
                session = main.session()
                kind = chance.choice([MAIN, DISPLAY, INPUTS, CURSOR])
                victim = main if kind == MAIN else Channel(machine, kind, session)
                if kind == DISPLAY and chance.random() < 0.7:
                    victim.send(101, DISPLAY_INIT)
                for _ in range(50):
                    number = chance.choice([chance.randrange(1, 7), chance.randrange(101, 120)])
                    body = chance.randbytes(chance.choice([0, 1, 2, 4, 8, 10, 12, 14, 16, 40, 300]))
                    victim.send(number, body)
                    sent += 1
                victim.close()
        except (ConnectionError, OSError):
            pass
    assert sent > 200


@pytest.mark.quick
def test_sizes_beyond_every_limit(machine):
    with Channel(machine) as main:
        main.session()
        main.socket.sendall(struct.pack("<HI", 107, 0xffffffff))
        assert main.is_closed()


@pytest.mark.quick
@pytest.mark.parametrize("words", [
    b"GET / HTTP/1.1\r\n\r\n",
    b"REDQ" + struct.pack("<III", 2, 2, 0xffffffff),
    b"REDQ" + struct.pack("<III", 99, 2, 18) + bytes(18),
    b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 1 << 30, 0, 18),
    b"REDQ" + struct.pack("<III", 2, 2, 18) + struct.pack("<IBBIII", 0, 1, 0, 1, 1, 0xfffffff0),
    os.urandom(512),
], ids=["http", "size", "version", "caps", "offset", "noise"])
def test_garbage_instead_of_a_link(machine, words):
    with Channel(machine, linked=False) as stranger:
        stranger.socket.sendall(words)
        assert stranger.is_closed()


@pytest.mark.quick
def test_a_session_that_does_not_exist(machine):
    with Channel(machine, DISPLAY, connection_id=12345) as stranger:
        assert stranger.result == 8  # bad connection id
    with Channel(machine) as main, Channel(machine, 9, main.session(), 7) as absent:
        assert absent.result == 9  # channel not available


@pytest.mark.full
def test_a_thousand_sockets(machine):
    crowd = []
    try:
        for _ in range(1000):
            crowd.append(Channel(machine, linked=False))
        # The link of an honest client still gets its turn.
        with Client(machine.uri) as honest:
            honest.wait("mark")
        descriptors = len(os.listdir(f"/proc/{machine.process.pid}/fd"))
        assert descriptors < 400
    finally:
        for one in crowd:
            one.close()


@pytest.mark.full
def test_a_client_that_never_reads(tmp_path):
    """It is sent what it takes; what it does not take is not kept for it: 11 KiB a frame."""
    disk = guest.boot_disk(tmp_path / "disk.img", fps=50)
    with Machine(tmp_path, *disk, options="image-compression=off") as machine, \
            Channel(machine) as main, Channel(machine, DISPLAY, main.session()) as display:
        display.send(101, DISPLAY_INIT)
        frame = machine.wait_frame(20)
        before = memory_kib(machine)
        machine.wait_frame(frame + 500)
        # ASan surrounds each block with room of its own.
        bound = 16 << 10 if "SEGUE_SPICE_PRELOAD" in os.environ else 4 << 10
        assert memory_kib(machine) - before < bound


@pytest.mark.full
def test_a_client_that_asks_and_never_reads(machine):
    """The list of channels may be asked for at any time: the answers have a bound."""
    before = memory_kib(machine)
    with Channel(machine) as main:
        main.session()
        main.socket.settimeout(60)
        asked = struct.pack("<HI", 104, 0) * 10000  # ATTACH_CHANNELS
        with pytest.raises(ConnectionError):
            for _ in range(2000):
                main.socket.sendall(asked)
    assert memory_kib(machine, "VmHWM") - before < 600 << 10


def memory_kib(machine, name="VmRSS"):
    with open(f"/proc/{machine.process.pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(name))
