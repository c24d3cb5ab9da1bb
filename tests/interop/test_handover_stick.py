# SPDX-License-Identifier: LGPL-2.1-or-later
"""A USB stick of the client's moves along with a write that it has not finished."""
import select
import struct
import time

import guest
import pytest

from handover_pair import Pair
from spice_raw import MAIN, Channel
from test_handover_loads import Moving
from test_handover_raw import (ACK, ATTACH_CHANNELS, BEGIN_SEAMLESS, CONNECTED_SEAMLESS, DATA,
                               DO_SEAMLESS, FLUSH_MARK, INIT, MIGRATE, MIGRATE_DATA, PING, PONG,
                               heard)
from test_spice_devices import USBREDIR
from usb_stick import BLOCK, Stick

SAID = 101
ASKED = "usb_xhci_xfer_async"  # what QEMU traces when a transfer waits for its device
BLOCKS = 4096  # with fewer the firmware counts no cylinder


class Plugged(Moving):
    """The channel, the stick behind it, and the main channel, which must answer meanwhile."""

    def __init__(self, pair, stick):
        self.main = Channel(pair.first, MAIN)
        session, = struct.unpack_from("<I", heard(self.main, INIT))
        self.main.send(ATTACH_CHANNELS)
        super().__init__(pair.first, USBREDIR, session)
        self.stick = stick

    def serve(self, until, what, patience=120):
        end = time.monotonic() + patience
        while not until():
            assert time.monotonic() < end, what
            for ready in select.select([self.main.socket, self.here.socket], [], [], 0.1)[0]:
                channel = self.main if ready is self.main.socket else self.here
                number, body = channel.receive()
                if number == PING:
                    channel.send(PONG, body[:12])
                elif number == SAID and channel is self.here:
                    self.stick.take(body)
            self.flush()

    def flush(self):
        if self.stick.sent:
            self.here.send(SAID, self.stick.sent)
            self.stick.sent = b""

    def starts(self, machine):
        """The firmware looks for sticks when the machine starts: it starts again with this one in;
        once more where its patience with USB was too short for a busy host."""
        self.serve(lambda: "Speed 480 Mb/s" in machine.qmp.human("info usb"), "it is not in")
        for _ in range(6):
            machine.qmp("system_reset")
            end = time.monotonic() + 30
            self.serve(lambda end=end: len(self.stick.writes) > 5 or time.monotonic() > end,
                       "never")
            if len(self.stick.writes) > 5:
                return
        raise TimeoutError(f"the firmware does not start it: {machine.ticks.text()!r}")


# Not in ./test: the firmware waits for a stick for five seconds of the host's time.
@pytest.mark.soak
@pytest.mark.parametrize("target", ["segue", "stock"])
def test_a_write_that_is_outstanding(tmp_path, target):
    """It is done once, and the guest goes on as if nothing were: no error, no stick that went."""
    stick = Stick(guest.boot_sector("stick").ljust(BLOCKS * BLOCK, b"\0"))
    devices = ["-device", "qemu-xhci", "-chardev", "spicevmc,id=usb,name=usbredir",
               "-device", "usb-redir,chardev=usb", "-trace", ASKED]
    with Pair(tmp_path, target=target, disk=devices) as pair:
        plugged = Plugged(pair, stick)
        plugged.starts(pair.first)
        pair.announce()
        heard(plugged.main, BEGIN_SEAMLESS)
        there = Channel(pair.second, MAIN, plugged.session)
        there.send(DO_SEAMLESS, struct.pack("<I", 1))
        heard(there, ACK)
        plugged.link(pair.second)
        plugged.main.send(CONNECTED_SEAMLESS)
        configured = stick.configured

        stick.holds = True
        plugged.serve(lambda: stick.held, "it writes no more")
        # The guest waits for the stick, and not for longer than its firmware has patience.
        pair.first.qmp("stop")
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        plugged.move()
        heard(plugged.main, MIGRATE)
        plugged.main.send(FLUSH_MARK)
        there.send(MIGRATE_DATA, heard(plugged.main, DATA))
        plugged.main = there
        pair.wait_moved()
        done = len(stick.writes)
        pair.second.qmp("cont")
        # QEMU's controller asks for the write again, in a timer behind its start, and usb-redir
        # knows that it is under way. An answer that comes first belongs to nothing there.
        said_there = tmp_path / "target" / "stderr"
        plugged.serve(lambda: ASKED in said_there.read_text(), "the controller does not ask")
        stick.release()
        plugged.flush()
        plugged.serve(lambda: len(stick.writes) > done + 20, "it does not go on")

        numbers = [struct.unpack_from("<I", data)[0] for _, data in stick.writes]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers))), "each once"
        for number, (block, data) in zip(numbers, stick.writes):
            assert block == 64 | number % 64
            assert data[-4:] == struct.pack("<I", ~number & 0xffffffff)
        assert (stick.cancelled, stick.configured) == (0, configured), "it was never unplugged"
        said = pair.first.ticks.all() + pair.second.ticks.all()
        assert said == list(range(said[0], said[0] + len(said))) and len(said) >= done
        assert b"bad" not in pair.second.ticks.text()
