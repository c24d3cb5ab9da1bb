# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine that something pauses while it is copied, and that goes on: its viewers follow it."""
import pytest

from handover_cells import wait_until
from handover_pair import Pair

WATCHDOG = ["-device", "ib700", "-action", "watchdog=pause"]


def pause(vm, by):
    """The watchdog stops the machine as a full disk does, and the library hears of it; of a stop by
    the monitor it hears nothing."""
    if by == "monitor":
        vm.qmp("stop")
    else:
        vm.qmp("human-monitor-command", command_line="o /b 0x443 0x0f")  # due at once
    wait_until(lambda: not vm.qmp("query-status")["running"], "it is not paused")


@pytest.mark.full
@pytest.mark.parametrize("client", ["spice-gtk", "segue-view"])
@pytest.mark.parametrize("by", ["watchdog", "monitor"])
def test_a_machine_that_is_paused_on_its_way(tmp_path, client, by):
    """Its clients' state was told at the first stop, is void when it goes on, and told anew at the
    second: the target has taken the first, and must not believe it."""
    with Pair(tmp_path, *WATCHDOG) as pair:
        source, target = pair.source, pair.target
        pair.first.wait_frame(2)
        with pair.viewer(client) as viewer:
            viewer.wait_connected()
            pair.announce()
            assert source.wait("clients-linked")["linked"] == 1
            source.tell(cmd="carry-state")
            target.give(source.state(final=False), final=False)
            pair.begin()
            pause(pair.first, by)
            if by == "watchdog":
                target.give(source.state(final=True), final=True)
                source.tell(cmd="state-taken")
            pair.first.qmp("cont")
            # The viewer is sent what the state that was told does not know.
            pair.first.wait_frame(pair.first.wait_frame(1) + 10)
            if by == "watchdog":
                target.give(source.state(final=False), final=False)
            pair.finish()
            target.give(source.state(final=True), final=True)
            source.tell(cmd="state-taken")
            pair.arrives_whole(viewer)
