# SPDX-License-Identifier: LGPL-2.1-or-later
"""What every test may import: the test guests, and what the scenarios and the peers share."""
import os
import sys
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parent / room)
                for room in ("guest", "scenario", "interop")]

# What these prove must hold at the first attempt: at most one copy runs, and nothing that was
# promised is lost. Every other scenario shares its machine with stock programs that have races of
# their own, and ./test tries it a second time (HACKING.md, Tests).
PROMISES = ("test_agent", "test_definitions", "test_kill", "test_kill_matrix", "test_protect_fence",
            "test_protect_rescue", "test_recovery", "test_resolve", "test_right_to_run",
            "test_standby", "test_standby_again", "test_standby_output", "test_witness")


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.stem in PROMISES:
            item.add_marker(pytest.mark.flaky(reruns=0))


def pytest_runtest_logreport(report):
    """Says in one line what failed at the first attempt; the count is the gate's to judge."""
    place = os.environ.get("SEGUE_SECOND_ATTEMPTS")
    if report.outcome == "rerun" and place:
        crash = getattr(report.longrepr, "reprcrash", None)
        cause = crash.message.splitlines() if crash else []
        with open(place, "a", encoding="utf-8") as out:
            out.write(f"{report.nodeid}: {cause[0] if cause else report.when}\n")
