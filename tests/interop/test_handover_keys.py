# SPDX-License-Identifier: LGPL-2.1-or-later
"""Keys that a user types while the machine goes from host to host arrive there, each once."""
import itertools
import time

import guest
import pytest

from handover_cells import wait_until
from handover_pair import Pair

# QEMU's keyboard keeps 16 bytes that the guest has not read; each key is two.
MOST_UNREAD = 6
KEYS = range(2, 50)  # scan codes of keys with one byte
INPUTS = (3, 0)


class Typist:
    """Presses one key after the other, and never more than the keyboard of a machine that stands
    still can keep."""

    def __init__(self, pair, viewer):
        self.serials = [machine.ticks for machine in (pair.first, pair.second)]
        self.viewer = viewer
        self.codes = itertools.cycle(KEYS)
        self.typed = []

    def heard(self):
        text = b"".join(serial.text() for serial in self.serials)
        return [int(word) for word in guest.Ticks("", "key").pattern.findall(text)]

    def may_type(self):
        return len(self.typed) - len(self.heard()) // 2 < MOST_UNREAD

    def type(self):
        code = next(self.codes)
        if hasattr(self.viewer, "client"):
            self.viewer.client.tell(f"key {code}")
        else:
            for down in (True, False):
                self.viewer.view.tell("key", code=code, down=down)
        self.typed.append(code)

    def type_until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end, f"typed {self.typed}, heard {self.heard()}"
            if self.may_type():
                self.type()
            time.sleep(0.02)

    def all_heard(self):
        return self.heard() == [byte for code in self.typed for byte in (code, code | 0x80)]


@pytest.mark.parametrize("client, line", [
    pytest.param("segue-view", 0, marks=pytest.mark.full),
    pytest.param("segue-view", 200, marks=pytest.mark.soak),
    pytest.param("spice-gtk", 200, marks=pytest.mark.soak)])
def test_keys_between_two_hosts(tmp_path, client, line):
    """Typed on without a pause. With a long line many reach the source when its machine stands
    still already; with the target held, others reach that before its machine runs."""
    with Pair(tmp_path, disk=guest.keys_disk(tmp_path / "disk.img"), line=line,
              held=True) as pair:
        pair.first.ticks.wait(1)
        options = ["--commands"] if client == "segue-view" else []
        with pair.viewer(client, *options) as viewer:
            viewer.wait_connected()
            typist = Typist(pair, viewer)
            typist.type_until(lambda: len(typist.heard()) >= 20)
            pair.announce()
            assert pair.source.wait("clients-linked")["linked"] == 1
            pair.begin()
            typist.type_until(lambda: len(typist.heard()) >= 40)
            pair.finish()
            # Until nothing more is taken: the machine has gone, and does not run there yet. (In
            # this order: before it has gone it may hear what it had not.)
            typist.type_until(lambda: pair.first.qmp("query-migrate").get("status") == "completed"
                              and not typist.may_type())
            wait_until(lambda: INPUTS not in pair.first.channels(), "the viewer does not follow")
            between = len(typist.typed) - len(typist.heard()) // 2
            assert between == MOST_UNREAD
            pair.second.qmp("cont")
            more = len(typist.typed) + 10
            typist.type_until(lambda: len(typist.typed) >= more)
            wait_until(typist.all_heard, lambda: f"typed {typist.typed}, heard {typist.heard()}")
            pair.kept_its_session(viewer)
