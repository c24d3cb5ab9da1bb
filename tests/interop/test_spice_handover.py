# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stock client follows a machine from server to server, ours and stock's."""
import signal
import time

import guest
import pytest

from spice_lab import Client, Machine, migrate, same_picture

PAIRS = [("segue", "segue"), ("segue", "stock"), ("stock", "segue")]


def two_machines(directory, source, target, seamless, **numbers):
    options = "seamless-migration=" + ("on" if seamless else "off")
    disk = guest.boot_disk(directory / "disk.img", **numbers)
    first = Machine(directory / "source", *disk, library=source, options=options, tcp=True)
    second = Machine(directory / "target", *disk, "-incoming",
                     f"unix:{directory}/migrate.sock", library=target, options=options, tcp=True)
    return first, second


@pytest.mark.full
@pytest.mark.parametrize("seamless", [True, False], ids=["seamless", "semi"])
@pytest.mark.parametrize("source, target", PAIRS)
def test_the_client_follows_its_machine(tmp_path, source, target, seamless):
    first, second = two_machines(tmp_path, source, target, seamless)
    with first, second:
        first.wait_frame(3)
        with Client(first.uri) as client:
            client.wait("mark")
            client.wait("draw")
            assert first.uses_our_library() == (source == "segue")
            assert second.uses_our_library() == (target == "segue")
            migrate(first, second, client, tmp_path)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
            assert first.qmp("query-spice")["migrated"] is True
            client.wait("migration", state="none")
            before = second.wait_frame(1)
            second.wait_frame(before + 3)
            second.qmp("stop")
            assert same_picture(second, client, tmp_path)
            assert client.count("disconnected") == 0
            assert client.count("migration", state="switching") == 0
            # main, display, inputs, cursor: once each, nothing left over from the links.
            assert second.channels() == [(1, 0), (2, 0), (3, 0), (4, 0)]
            assert first.channels() == []
