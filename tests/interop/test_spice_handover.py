# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stock client follows a machine from server to server, ours and stock's."""
import signal
import time

import guest
import pytest

from spice_lab import CHANNELS, Client, Machine, announce, migrate, same_picture

PAIRS = [("segue", "segue"), ("segue", "stock"), ("stock", "segue")]


def two_machines(directory, source, target, seamless, **numbers):
    options = "seamless-migration=" + ("on" if seamless else "off")
    disk = guest.boot_disk(directory / "disk.img", **numbers)
    first = Machine(directory / "source", *disk, library=source, options=options, tcp=True)
    second = Machine(directory / "target", *disk, "-incoming",
                     f"unix:{directory}/migrate.sock", library=target, options=options, tcp=True)
    return first, second


def wait_status(machine, wanted, timeout=60):
    end = time.monotonic() + timeout
    while (info := machine.qmp("query-migrate")).get("status") != wanted:
        assert time.monotonic() < end, info
        time.sleep(0.02)


@pytest.mark.full
@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "semi"])
@pytest.mark.parametrize("source, target", PAIRS)
def test_the_client_follows_its_machine(tmp_path, source, target, seamless):
    first, second = two_machines(tmp_path, source, target, seamless)
    with first, second:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.linked()
            client.wait("draw")
            assert first.uses_our_library() == (source == "segue")
            assert second.uses_our_library() == (target == "segue")
            migrate(first, second, tmp_path)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            assert first.qmp("query-spice")["migrated"] is True
            client.wait("migration", state="none")
            second.wait_frame(second.wait_frame(1) + 3)
            second.qmp("stop")
            assert same_picture(second, client, tmp_path)
            assert client.count("disconnected") == 0
            assert client.count("migration", state="switching") == 0
            # Nothing is left over from the links.
            second.wait_channels(CHANNELS)
            first.wait_channels([])
            if target == "segue":
                # The client's window was made once: no other mode was shown in between.
                assert client.count("primary") == 1, client.events


@pytest.mark.full
@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "semi"])
def test_a_frozen_viewer_stops_no_machine(tmp_path, seamless):
    """On stock a drawing guest stands still for 30 seconds."""
    first, second = two_machines(tmp_path, "segue", "segue", seamless, fps=50)
    with first, second:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.linked()
            announce(first, second)
            client.process.send_signal(signal.SIGSTOP)
            first.wait_frame(first.wait_frame(1) + 75)  # its socket fills
            first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
            end = time.monotonic() + 60
            while (info := first.qmp("query-migrate"))["status"] != "completed":
                assert time.monotonic() < end, info
                time.sleep(0.02)
            # Far below the 30 s, and no question of how fast this machine is.
            assert info["downtime"] < 10_000
            second.wait_frame(second.wait_frame(1) + 5)
            client.process.send_signal(signal.SIGCONT)
            client.wait("migration", state="none")
            second.qmp("stop")
            assert same_picture(second, client, tmp_path)


@pytest.mark.full
def test_a_cancelled_move_leaves_the_client_where_it_was(tmp_path):
    first, second = two_machines(tmp_path, "segue", "segue", True)
    with first, second:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.linked()
            first.qmp("migrate-set-parameters", max_bandwidth=1 << 14)
            announce(first, second)
            second.wait_channels(CHANNELS)
            first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
            wait_status(first, "active")
            first.qmp("migrate_cancel")
            wait_status(first, "cancelled")
            first.wait_frame(first.wait_frame(1) + 5)
            first.qmp("stop")
            assert same_picture(first, client, tmp_path)
            assert client.count("disconnected") == 0
            assert not [e for e in first.qmp.events if e["event"] == "SPICE_MIGRATE_COMPLETED"]


@pytest.mark.full
def test_the_client_goes_while_it_is_parked(tmp_path):
    """Nothing of it stays at the target."""
    first, second = two_machines(tmp_path, "segue", "segue", True)
    with first, second:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.linked()
            announce(first, second)
            client.process.kill()
        second.wait_channels([])
        first.wait_channels([])


@pytest.mark.full
@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "semi"])
def test_a_move_that_outruns_the_client(tmp_path, seamless):
    """The machine has moved before the client is linked: it is waited for, and not sent anew."""
    first, second = two_machines(tmp_path, "segue", "segue", seamless)
    with first, second:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.linked()
            migrate(first, second, tmp_path, wait=False)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            client.wait("migration", state="none")
            second.wait_frame(second.wait_frame(1) + 3)
            second.qmp("stop")
            assert same_picture(second, client, tmp_path)
            assert client.count("migration", state="switching") == 0
            second.wait_channels(CHANNELS)


@pytest.mark.full
@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "semi"])
def test_a_second_move_right_behind_the_first(tmp_path, seamless):
    """The client has linked to the second server and not yet come over when that one tells it to go
    on. (One that links behind that announcement is sent by a new login.)"""
    options = "seamless-migration=" + ("on" if seamless else "off")
    disk = guest.boot_disk(tmp_path / "disk.img")
    machines = [Machine(tmp_path / "0", *disk, options=options, tcp=True)]
    for number in (1, 2):
        machines.append(Machine(tmp_path / str(number), *disk, "-incoming",
                                f"unix:{tmp_path}/{number}/migrate.sock", options=options,
                                tcp=True))
    with machines[0] as first, machines[1] as second, machines[2] as third:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.linked()
            migrate(first, second, second.directory, wait=False)
            second.wait_channels(CHANNELS)
            migrate(second, third, third.directory, wait=False)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            second.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            third.wait_channels(CHANNELS)
            third.wait_frame(third.wait_frame(1) + 3)
            third.qmp("stop")
            assert same_picture(third, client, tmp_path)
            assert client.count("disconnected") == 0
            assert client.count("migration", state="switching") == 0
            first.wait_channels([])
            second.wait_channels([])


@pytest.mark.full
def test_without_a_client_the_move_is_announced_once(tmp_path):
    first, second = two_machines(tmp_path, "segue", "segue", True)
    with first, second:
        first.wait_frame(2)
        migrate(first, second, tmp_path)
        first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
        time.sleep(0.5)
        first.qmp("query-status")
        assert not [e for e in first.qmp.events if e["event"] == "SPICE_MIGRATE_COMPLETED"]
