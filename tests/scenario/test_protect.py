# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue protect` between two segued: a guest that dies goes on at the other one."""
import os
import signal

import pytest
import standby as sb
from hosts import Failed, Hosts, wait_until
from protected import ProtectedMachine


def figures_are_measured(machine, host, said):
    """Each figure of `status` moves with what happens."""
    assert said["gate"] == "standby" and said["on_loss"] == "hold"
    pauses = said["pause_us"]
    assert 0 < pauses["p50"] <= pauses["p90"] <= pauses["p99"] <= pauses["max"]
    assert said["lag_us"] > 0 and said["commit_lag_us"]["max"] >= said["commit_lag_us"]["p50"] > 0
    assert said["qemu"] == "well"
    # The guest sends without a pause, so that frames wait in nearly every look.
    assert machine.wait(host, lambda now: now["held_frames"] > 0)
    # What a failover would lose grows between two commits, and is small behind one.
    first = machine.status(host)["rpo_us"]
    assert first > 0
    assert machine.wait(host, lambda now: now["rpo_us"] not in (0, first))
    later = machine.wait_epochs(host)
    for name in ("epoch", "checkpoints", "bytes", "pages"):
        assert later[name] > said[name], name


@pytest.mark.full
def test_killed_primary_goes_on_and_is_protected_back(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.protect(one, two)

        said = machine.wait_epochs(one)
        assert said["role"] == "primary" and said["state"] == "protected"
        figures_are_measured(machine, one, said)
        # No promotion of it was measured over there: nobody knows.
        assert said["expected_rto_ms"] is None and "measured" in said["expected_rto"]["reason"]
        other = machine.wait(two, lambda said: said["epoch"] > 1)
        assert other["role"] == "standby" and other["state"] == "protected"
        assert two.state_of(machine.name) == "shut off"
        with pytest.raises(Failed, match="standby of domain"):
            two.virsh("start", machine.name)
        assert "standby" in two.segue("list", "--all")

        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        assert machine.status(two)["state"] == "promoted"
        assert two.virsh("domuuid", machine.name).strip() == machine.uuid
        wait_until(lambda: one.state_of(machine.name) == "shut off", 60, "the old host knows")
        with pytest.raises(Failed, match="taken over"):
            one.virsh("start", machine.name)

        # The survivor is protected toward the old host, and comes back without loss.
        machine.protect(two, one)
        assert machine.wait_epochs(two)["role"] == "primary"
        two.segue("failover", machine.name, "--planned", timeout=sb.PATIENCE)
        wait_until(lambda: one.state_of(machine.name) == "running", sb.PATIENCE, "it is back")
        machine.went_on()
        wait_until(lambda: two.state_of(machine.name) != "running", 60, "it left")
        machine.protect(one, two)
        machine.wait_epochs(one)
        said = machine.wait(one, lambda now: (now["expected_rto"] or {}).get("promotion_us"))
        assert said["expected_rto_ms"] * 1000 >= said["expected_rto"]["promotion_us"]
        one.virsh("destroy", machine.name)


@pytest.mark.full
def test_a_restart_of_either_daemon_interrupts_nothing(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        for host in (one, two):
            host.kill()
            host.start()
        assert machine.status(one)["state"] == "protected"
        machine.wait_epochs(one, 3)
        machine.wait(two, lambda said: said["state"] == "protected")
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.soak
def test_the_interval_follows_the_guest(tmp_path):
    """Nobody named one: frames wait for each commit, and dirtying is light."""
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        one.segue("protect", machine.name, "--standby", two.uri, "--allow-tcg",
                  timeout=sb.PATIENCE)
        machine.wait(one, lambda said: said["interval_ms"] < 500)
        machine.wait_epochs(one, 20)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.full
def test_unprotect_and_destroy_promote_nothing(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        one.segue("unprotect", machine.name)
        assert machine.status(one)["state"] == "none"
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "the standby is gone")
        machine.outside.wait(machine.outside.last() + 30)
        assert machine.outside.backward() == []
        machine.protect(one, two, "--on-loss", "promote")
        machine.wait_epochs(one, 3)
        one.virsh("destroy", machine.name)
        wait_until(lambda: two.state_of(machine.name) == "absent", 60, "the standby is gone")


@pytest.mark.full
def test_lost_standby_hold_goes_on_and_is_protected_again(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one, 3)
        for pid, line in two.qemus():
            if "segue-standby" in line.split()[0]:
                os.kill(pid, signal.SIGKILL)
        machine.wait(one, lambda said: said["state"] == "unprotected")
        machine.outside.wait(machine.outside.last() + 30)
        machine.wait(one, lambda said: said["state"] == "protected")
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []
        assert one.state_of(machine.name) == "running"
