# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue migrate` while a guest moves: what it shows, in JSON and on a terminal, and its own
--timeout."""
import json
import re

import pytest

from hosts import BIN, Hosts, wait_until
from machines import Machine
from terminal import Terminal


@pytest.fixture(name="pair")
def two_hosts(tmp_path):
    with Hosts(2) as (one, two):
        # Far more than a slow line carries, also where the guest does not get all of its time.
        machine = Machine(tmp_path, name="web", tick_ms=20, dirty_mb_s=64, dirty_end_mb=28)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        yield one, two, machine


@pytest.mark.full
def test_progress_in_json(pair):
    one, two, machine = pair
    said = one.segue("--output", "json", "migrate", "--unsafe", "--bandwidth", "8", "--timeout",
                     "2", "web", two.uri)
    events = [json.loads(line) for line in said.splitlines()]
    progress = [event for event in events if event["event"] == "progress"]
    assert len(progress) >= 2 and all(event["domain"] == "web" for event in progress)
    assert "perform3" in {event.get("phase") for event in progress}, progress
    assert any(event["figures"]["memory_remaining"] > 0 for event in progress)
    last = events[-1]
    assert last["event"] == "migrated" and last["destination"] == two.uri
    assert last["wall_ms"] >= 2000 and last["timeline"]
    # --timeout: the guest was suspended, and so it arrived in the end, running.
    assert two.state_of("web") == "running" and one.state_of("web") == "absent"
    machine.ticks.wait(machine.ticks.last() + 3)
    assert machine.ticks.gaps() == []


@pytest.mark.full
def test_progress_on_a_terminal(pair):
    one, two, _ = pair
    with Terminal(BIN / "segue", "-c", one.local_uri, "migrate", "--unsafe", "--bandwidth", "8",
                  "--timeout", "2", "web", two.uri) as moving:
        line = (r"web: perform3 \[#* *\] +\d+ %  [\d.]+ (B|[KM]iB) left  [\d.]+ (B|[KM]iB)/s  "
                r"downtime ")
        wait_until(lambda: re.search(line, moving.read()), 60, moving.read)
        assert moving.process.wait(60) == 0
        wait_until(lambda: f"Domain 'web' runs on {two.uri}" in moving.read(), 60, moving.read)
    assert two.state_of("web") == "running"
