# SPDX-License-Identifier: LGPL-2.1-or-later
"""A viewer that stands still for longer than anybody who lives would take: its session waits for
it, at both servers, and nothing of one that does not come back stays."""
import signal
import time

import pytest

from handover_cells import CHANNELS, VIEWERS, wait_until
from handover_pair import Pair

# Longer than the 10 s in which clients follow, and the 30 s in which their state comes.
FROZEN = 45


def process_of(viewer):
    return viewer.client.process if hasattr(viewer, "client") else viewer.view.process


class Frozen:
    """A viewer's process that stands still; a context manager."""

    def __init__(self, viewer):
        self.process = process_of(viewer)

    def __enter__(self):
        self.process.send_signal(signal.SIGSTOP)
        self.since = time.monotonic()
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)

    def stay(self, seconds):
        """Nothing can be awaited: that nothing happens is what is tested."""
        time.sleep(max(0.0, self.since + seconds - time.monotonic()))


@pytest.mark.parametrize("client, manner", [
    pytest.param("segue-view", "seamless", marks=pytest.mark.full),
    pytest.param("spice-gtk", "seamless", marks=pytest.mark.full),
    pytest.param("segue-view", "semi", marks=pytest.mark.soak),
    pytest.param("spice-gtk", "semi", marks=pytest.mark.full)])
def test_a_viewer_that_stands_still_for_long(tmp_path, client, manner):
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        with VIEWERS[client](tmp_path, f"127.0.0.1:{pair.ports[0]}", manner, None) as viewer:
            viewer.wait_connected()
            pair.announce()
            assert pair.source.wait("clients-linked")["linked"] == 1
            with Frozen(viewer) as frozen:
                pair.begin()
                pair.finish()
                pair.wait_moved()
                pair.second.wait_frame((pair.second.frame() or 0) + 3)
                frozen.stay(FROZEN)
            pair.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
            wait_until(lambda: pair.second.channels() == CHANNELS,
                       lambda: f"{pair.second.channels()}; {viewer.story()}")
            pair.second.wait_frame(pair.second.wait_frame(1) + 3)
            pair.second.qmp("stop")
            assert viewer.shows(pair.second)
            assert viewer.sessions_lost() == 0, viewer.story()
            assert viewer.manner() in (None, manner)
            pair.first.wait_channels([])


@pytest.mark.full
@pytest.mark.parametrize("client", ["segue-view", "spice-gtk"])
def test_a_viewer_that_stands_still_while_it_links(tmp_path, client):
    """It has not even heard where the machine goes; it is not sent there anew."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        with pair.viewer(client) as viewer:
            viewer.wait_connected()
            with Frozen(viewer) as frozen:
                pair.announce()
                pair.begin()
                pair.finish()
                pair.wait_moved()
                frozen.stay(15)
            pair.arrives_whole(viewer)


@pytest.mark.soak
@pytest.mark.parametrize("client", ["segue-view", "spice-gtk"])
def test_one_that_does_not_come_back_is_given_up(tmp_path, client):
    """At the source in three minutes, at the target a little later: no channel of it is shown."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        with pair.viewer(client) as viewer:
            viewer.wait_connected()
            pair.announce()
            assert pair.source.wait("clients-linked")["linked"] == 1
            with Frozen(viewer):
                pair.begin()
                pair.finish()
                pair.wait_moved()
                pair.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 240)
                pair.first.wait_channels([])
                pair.second.wait_channels([], 120)


@pytest.mark.full
@pytest.mark.parametrize("manner", ["seamless", "semi"])
def test_a_channel_that_ends_while_it_is_parked(tmp_path, manner):
    """Main stays; nobody reads the other one, and yet its end is seen."""
    from spice_raw import Channel, CURSOR, INPUTS, MAIN  # noqa: PLC0415
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        with Channel(pair.second, MAIN, connection_id=77) as main, \
                Channel(pair.second, INPUTS, connection_id=77) as inputs, \
                Channel(pair.second, CURSOR, connection_id=77):
            pair.second.wait_channels([(1, 0), (3, 0), (4, 0)])
            inputs.close()
            pair.second.wait_channels([(1, 0), (4, 0)])
            if manner == "seamless":
                main.send(110, b"\x01\x00\x00\x00")  # MIGRATE_DST_DO_SEAMLESS
                while main.receive()[0] != 117:  # ACK
                    pass
                pair.second.wait_channels([(1, 0), (4, 0)])
        pair.second.wait_channels([])
