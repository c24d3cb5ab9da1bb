# SPDX-License-Identifier: LGPL-2.1-or-later
"""What comes between the announcement of a move and the move: a viewer, a channel."""
import pytest

from handover_cells import CHANNELS
from handover_pair import Pair

LATE = {"id": "late", "backend": {"type": "spiceport", "data": {"fqdn": "org.segue.late.0"}}}
PORT = (10, 0)
OPTIONS = {"spice-gtk": [], "segue-view": ["--commands"]}  # only then it opens ports


@pytest.mark.full
@pytest.mark.parametrize("client, target", [("spice-gtk", "segue"), ("segue-view", "segue"),
                                            ("spice-gtk", "stock"), ("segue-view", "stock")])
def test_a_viewer_that_comes_while_the_machine_is_copied(tmp_path, client, target):
    """Nobody was there to be told where it goes; this one is told when it has its channels."""
    with Pair(tmp_path, target=target) as pair:
        pair.first.wait_frame(2)
        pair.announce()
        assert pair.source.wait("clients-linked")["linked"] == 0
        pair.begin()
        with pair.viewer(client) as viewer:
            viewer.wait_connected()
            assert pair.source.wait("clients-linked")["linked"] == 1
            pair.finish()
            pair.arrives_whole(viewer)


@pytest.mark.soak
def test_a_viewer_that_comes_when_the_machine_is_about_to_go(tmp_path):
    """It has not linked its channels here when the machine has gone: it is waited for, for 4 s."""
    with Pair(tmp_path, line=40) as pair:
        pair.first.wait_frame(2)
        pair.announce()
        pair.begin()
        with pair.viewer("segue-view") as viewer:
            pair.source.wait("client-connected")
            pair.finish()
            pair.wait_moved()
            pair.arrives_whole(viewer)


@pytest.mark.full
@pytest.mark.parametrize("client, target", [("spice-gtk", "segue"), ("segue-view", "segue"),
                                            ("spice-gtk", "stock"), ("segue-view", "stock")])
def test_a_channel_that_is_plugged_in_meanwhile(tmp_path, client, target):
    """The viewer is linked to the target, and knows nothing of it: at ours it learns of it when it
    has moved, at stock's as stock has it. It keeps its session in either case."""
    with Pair(tmp_path, target=target) as pair:
        pair.first.wait_frame(2)
        with pair.viewer(client, *OPTIONS[client]) as viewer:
            viewer.wait_connected()
            pair.announce()
            assert pair.source.wait("clients-linked")["linked"] == 1
            for machine in (pair.first, pair.second):
                machine.qmp("chardev-add", **LATE)
            pair.begin()
            assert PORT not in pair.first.channels()
            pair.finish()
            opens_it = client == "segue-view" and target == "segue"
            pair.arrives_whole(viewer, sorted([*CHANNELS, PORT]) if opens_it else CHANNELS)
            if client == "spice-gtk" and target == "segue":
                viewer.client.wait("channel", kind="PortChannel")


@pytest.mark.full
@pytest.mark.parametrize("client", ["spice-gtk", "segue-view"])
def test_a_channel_that_is_plugged_in_before_a_move_is_cancelled(tmp_path, client):
    """The viewer stays, and learns of it then."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        with pair.viewer(client, *OPTIONS[client]) as viewer:
            viewer.wait_connected()
            pair.announce()
            assert pair.source.wait("clients-linked")["linked"] == 1
            pair.first.qmp("chardev-add", **LATE)
            pair.begin()
            pair.first.qmp("migrate_cancel")
            if client == "spice-gtk":
                viewer.client.wait("channel", kind="PortChannel")
            else:
                pair.first.wait_channels([*CHANNELS, PORT])
            pair.first.wait_frame(pair.first.wait_frame(1) + 3)
            pair.first.qmp("stop")
            assert viewer.shows(pair.first)
            assert viewer.sessions_lost() == 0, viewer.story()


@pytest.mark.full
@pytest.mark.parametrize("target", ["segue", "stock"])
def test_a_channel_that_is_unplugged_meanwhile(tmp_path, target):
    """Its ends at both servers close between the announcement and the move; the viewer goes on with
    the others, and keeps its session."""
    with Pair(tmp_path, target=target) as pair:
        pair.first.wait_frame(2)
        for machine in (pair.first, pair.second):
            machine.qmp("chardev-add", **LATE)
        with pair.viewer("segue-view", *OPTIONS["segue-view"]) as viewer:
            viewer.wait_connected()
            pair.first.wait_channels([*CHANNELS, PORT])
            pair.announce()
            assert pair.source.wait("clients-linked")["linked"] == 1
            pair.second.wait_channels([*CHANNELS, PORT])
            for machine in (pair.first, pair.second):
                machine.qmp("chardev-remove", id=LATE["id"])
            pair.first.wait_channels(CHANNELS)
            pair.begin()
            pair.finish()
            pair.arrives_whole(viewer)
