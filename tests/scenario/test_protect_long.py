# SPDX-License-Identifier: LGPL-2.1-or-later
"""A guest is protected for SEGUE_PROTECT_MINUTES (30) beside as many busy processes as the host has
processors: no false alarm, no lost frame, no page that differs, and a takeover at the end."""
import os
import signal
import subprocess
import sys
import time

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine
from test_protect_rounds import check_records, differing_pages

MINUTES = float(os.environ.get("SEGUE_PROTECT_MINUTES", "30"))


@pytest.fixture(name="busy_host")
def busy_processors():
    spinners = [subprocess.Popen([sys.executable, "-c", "while True: pass"])
                for _ in range(os.cpu_count())]
    yield
    for spinner in spinners:
        spinner.kill()
        spinner.wait()


@pytest.mark.soak
@pytest.mark.parametrize("bias", ["hold", "promote"])
@pytest.mark.usefixtures("busy_host")
def test_a_long_protection_has_no_false_alarm(tmp_path, bias):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, words=["load=dirty:16:5"]) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", bias)
        agent, epoch = machine.helper(one, "segue-agent"), 0
        end = time.monotonic() + MINUTES * 60
        while time.monotonic() < end:
            said = machine.wait(one, lambda now, last=epoch: now["epoch"] > last)
            assert said["state"] == "protected" and said["qemu"] != "hung", said
            assert machine.helper(one, "segue-agent") == agent
            epoch = said["epoch"]
            time.sleep(1)
        assert differing_pages(machine, one, two, tmp_path) == []
        machine.went_on()
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        check_records(machine, two)
