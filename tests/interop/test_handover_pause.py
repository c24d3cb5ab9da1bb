# SPDX-License-Identifier: LGPL-2.1-or-later
"""A machine that something pauses while it is copied, and that goes on: its viewers follow it."""

import guest
import pytest

from handover_cells import CHANNELS, VIEWERS, wait_until
from spice_lab import Machine, announce, environment
from test_spice_control import Control

SLOW = 1 << 14  # bytes a second: memory is not copied before the test says so


def machine(directory, name, *arguments):
    made = Machine(directory / name, *arguments, "-device", "ib700", "-action", "watchdog=pause",
                   options="seamless-migration=on", tcp=True)
    made.environment = {**environment("segue"),
                        "SEGUE_SPICE_CONTROL": str(directory / f"{name}.control")}
    return made


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
    disk = guest.boot_disk(tmp_path / "disk.img", fps=20)
    first = machine(tmp_path, "source", *disk)
    second = machine(tmp_path, "target", *disk, "-incoming", f"unix:{tmp_path}/migrate.sock")
    with first, second:
        source, target = (Control(tmp_path / f"{name}.control") for name in ("source", "target"))
        first.wait_frame(2)
        with VIEWERS[client](tmp_path, f"127.0.0.1:{first.port}", "seamless", None) as viewer:
            viewer.wait_connected()
            announce(first, second)
            assert source.wait("clients-linked")["linked"] == 1
            source.tell(cmd="carry-state")
            target.give(source.state(final=False), final=False)
            first.qmp("migrate-set-parameters", max_bandwidth=SLOW)
            first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
            wait_until(lambda: first.qmp("query-migrate").get("status") == "active", "it waits")
            pause(first, by)
            if by == "watchdog":
                target.give(source.state(final=True), final=True)
                source.tell(cmd="state-taken")
            first.qmp("cont")
            # The viewer is sent what the state that was told does not know.
            first.wait_frame(first.wait_frame(1) + 10)
            if by == "watchdog":
                target.give(source.state(final=False), final=False)
            first.qmp("migrate-set-parameters", max_bandwidth=1 << 30)
            target.give(source.state(final=True), final=True)
            source.tell(cmd="state-taken")
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
            wait_until(lambda: second.qmp("query-status")["running"], "it does not run")
            wait_until(lambda: second.channels() == CHANNELS, lambda: str(second.channels()))
            second.wait_frame(second.wait_frame(1) + 3)
            second.qmp("stop")
            assert viewer.shows(second)
            assert viewer.sessions_lost() == 0, viewer.story()
            assert viewer.manner() in (None, "seamless")
            first.wait_channels([])
