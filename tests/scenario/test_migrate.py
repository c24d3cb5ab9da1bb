# SPDX-License-Identifier: LGPL-2.1-or-later
"""Migration between two hosts, driven by the unmodified virsh; the guest counts all the way."""
import json
import os
import re
import signal
import time

import pytest

from hosts import Hosts, wait_until
from machines import Machine
from terminal import Terminal


@pytest.fixture(scope="module", name="pair")
def two_hosts():
    with Hosts(2) as hosts:
        yield hosts


@pytest.fixture(name="machine")
def counting_machine(pair, tmp_path):
    machine = Machine(tmp_path, name="m", dirty_mb_s=8, tick_ms=20)
    pair[0].virsh("define", machine.path)
    pair[0].virsh("start", "m")
    machine.ticks.wait(3)
    yield machine
    for host in pair:
        host.virsh("destroy", "m", code=None)
        host.virsh("undefine", "m", code=None)
        wait_until(lambda h=host: not h.qemus(), 60, f"no QEMU is left on {host.name}")


def counts_on(machine, more=10):
    machine.ticks.wait(machine.ticks.last() + more)
    assert machine.ticks.gaps() == []


@pytest.mark.quick
@pytest.mark.parametrize("mode", [[], ["--p2p"]], ids=["managed", "p2p"])
def test_there_and_back(pair, machine, mode):
    one, two = pair
    one.virsh("migrate", "--live", "--unsafe", *mode, "m", two.uri)
    assert two.virsh("domstate", "m", "--reason").strip() == "running (migrated)"
    assert one.virsh("domstate", "m", "--reason").strip() == "shut off (migrated)"
    counts_on(machine)
    two.virsh("migrate", "--live", "--unsafe", *mode, "m", one.uri)
    assert one.state_of("m") == "running"
    assert two.state_of("m") == "absent"
    counts_on(machine)
    wait_until(lambda: len(one.qemus()) == 1 and not two.qemus(), 60, "one QEMU is left")


@pytest.mark.full
@pytest.mark.parametrize("offer", ["v2", "v3"])
def test_older_protocols_move_it_there_and_back(tmp_path, offer):
    with Hosts(2, config=f'[migration]\noffer = ["{offer}"]\n') as (one, two):
        machine = Machine(tmp_path, name="old", tick_ms=20)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        one.virsh("migrate", "--live", "--unsafe", "old", two.uri)
        counts_on(machine)
        two.virsh("migrate", "--live", "--unsafe", "--p2p", "old", one.uri)
        counts_on(machine)
        wait_until(lambda: len(one.qemus()) == 1 and not two.qemus(), 60, "one QEMU is left")
        assert one.state_of("old") == "running" and two.state_of("old") == "absent"


@pytest.mark.quick
def test_both_hosts_tell_of_it(pair, machine):
    """Events, as an unmodified virsh shows them to who watches either host."""
    one, two = pair
    with Terminal("virsh", "-c", one.local_uri, "event", "--all", "--loop") as source, \
            Terminal("virsh", "-c", two.local_uri, "event", "--all", "--loop") as target:
        def registered():  # nothing says when it is: events of a guest on either host tell
            for verb in ("suspend", "resume"):
                one.virsh(verb, "m")
            return "Resumed Unpaused" in source.read()
        wait_until(registered, 60, "virsh has registered its callbacks on the source")
        other = Machine(machine.path.parent / "other", name="other")

        def heard_there():
            two.virsh("create", "--paused", other.path)
            two.virsh("destroy", "other")
            return "Stopped Destroyed" in target.read()
        wait_until(heard_there, 60, "virsh has registered its callbacks on the destination")
        one.virsh("migrate", "--live", "--unsafe", "m", two.uri)
        for watcher, lines in (
                (source, ["event 'migration-iteration' for domain 'm': iteration: '1'",
                          "event 'lifecycle' for domain 'm': Suspended Migrated",
                          "event 'job-completed' for domain 'm':\r\n\toperation: 5\r\n",
                          "\tmemory_total: ",
                          "event 'lifecycle' for domain 'm': Stopped Migrated"]),
                (target, ["event 'lifecycle' for domain 'm': Started Migrated",
                          "event 'lifecycle' for domain 'm': Resumed Migrated"])):
            for line in lines:
                wait_until(lambda w=watcher, text=line: text in w.read(), 60,
                           lambda w=watcher, text=line: f"{text}; seen:\n{w.seen[-3000:]}")


@pytest.mark.quick
def test_persistent_and_undefinesource_move_the_definition(pair, machine):
    one, two = pair
    one.virsh("migrate", "--live", "--unsafe", "--persistent", "--undefinesource", "m", two.uri)
    assert one.state_of("m") == "absent"
    assert re.search(r"Persistent: +yes", two.virsh("dominfo", "m"))
    counts_on(machine)


@pytest.mark.quick
def test_a_migration_is_cancelled_and_the_guest_runs_on(pair, machine):
    one, two = pair
    one.virsh("migrate-setspeed", "m", "1")
    moving = one.virsh_process("migrate", "--live", "--unsafe", "m", two.uri)
    wait_until(lambda: "Unbounded" in one.virsh("domjobinfo", "m"), 60, "the job is seen")
    # The destination has the domain behind Prepare.
    wait_until(lambda: "Unbounded" in two.virsh("domjobinfo", "m", code=None), 60,
               "the destination sees it")
    one.virsh("domjobabort", "m")
    said, _ = moving.communicate(timeout=60)
    assert moving.returncode == 1 and "cancel" in said
    assert one.virsh("domstate", "m").strip() == "running"
    wait_until(lambda: two.state_of("m") == "absent", 60, "the destination forgets it")
    counts_on(machine)
    one.virsh("migrate-setspeed", "m", "0")
    assert_cancelled(one)


def last_migration(host):
    return json.loads(host.segue("status", "m", "--output", "json"))["last_migration"]


def timeline_outcome(report):
    return next(one["timeline"]["outcome"] for one in report["domains"] if one["name"] == "m")


def assert_cancelled(host):
    """A cancel is no failure, to whoever asks; and is still told when virsh took the figures."""
    last = last_migration(host)
    assert (last["side"], last["outcome"]) == ("source", "cancelled")
    assert "canceled by client" in last["cause"]
    assert abs(time.time() * 1000 - last["ended_ms"]) < 600_000
    report = json.loads(host.segue("report"))
    assert timeline_outcome(report) == f"cancelled: {last['cause']}"
    assert re.search(r'segue_migrations_total{.*outcome="cancelled"', report["daemon"]["metrics"])
    said = host.segue("job", "m", "--completed")
    assert "cancelled" in said and last["cause"] in said
    assert re.search(r"ended +\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", said), said
    assert re.search(r"Job type: +Cancelled", host.virsh("domjobinfo", "m", "--completed"))
    assert re.search(r"Job type: +None", host.virsh("domjobinfo", "m", "--completed"))
    job = json.loads(host.segue("job", "m", "--completed", "--output", "json"))
    assert job["job"] == "none" and job["last_migration"] == last == last_migration(host)


# What went wrong on the destination only peer-to-peer's driver, which is the daemon, is told.
@pytest.mark.quick
@pytest.mark.parametrize("mode, cause", [
    ([], "the migration was given up before Perform: Prepare failed on the destination"),
    (["--p2p"], "Cannot assign requested address")], ids=["managed", "p2p"])
def test_a_failed_prepare_is_told_as_such(pair, machine, mode, cause):
    one, two = pair
    with Terminal("virsh", "-c", one.local_uri, "event", "--all", "--loop") as watcher:
        def registered():
            for verb in ("suspend", "resume"):
                one.virsh(verb, "m")
            return "Resumed Unpaused" in watcher.read()
        wait_until(registered, 60, "virsh has registered its callbacks")
        said = one.virsh("migrate", "--live", "--unsafe", *mode, "--listen-address", "10.9.9.9",
                         "m", two.uri, code=1)
        assert "Cannot assign requested address" in said
        wait_until(lambda: "errmsg: " in watcher.read(), 60, "the job's end is told")
        event = watcher.read()
    assert cause in event and "Finish failed" not in event
    last = last_migration(one)
    assert last["outcome"] == "failed" and cause in last["cause"]
    report = json.loads(one.segue("report"))
    assert timeline_outcome(report) == f"failed: {last['cause']}"
    assert any(event["text"].endswith(timeline_outcome(report))
               for event in report["daemon"]["events"])
    assert one.state_of("m") == "running" and two.state_of("m") == "absent"
    counts_on(machine)
    one.virsh("migrate", "--live", "--unsafe", *mode, "m", two.uri)
    assert last_migration(one)["outcome"] == last_migration(two)["outcome"] == "completed"
    assert "cause" not in last_migration(one)


@pytest.mark.quick
def test_statistics_wait_for_nobody(pair, machine):
    """Both QEMUs stand still and answer nothing; both daemons say all the same what they know."""
    one, two = pair
    one.virsh("migrate-setspeed", "m", "1")
    moving = one.virsh_process("migrate", "--live", "--unsafe", "m", two.uri)
    wait_until(lambda: "Memory processed" in one.virsh("domjobinfo", "m"), 60, "memory is sent")
    stopped = [pid for host in pair for pid, _ in host.guests()]
    assert len(stopped) == 2
    try:
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        for host, kind in ((one, "Outgoing migration"), (two, "Incoming migration")):
            said = host.virsh("domjobinfo", "m", timeout=10)
            assert "Unbounded" in said and kind in said and "Time elapsed" in said
            assert host.virsh("domstate", "m", timeout=10).strip() != ""
            job = json.loads(host.segue("job", "m", "--output", "json", timeout=10))
            assert "time_elapsed" in job["figures"]
    finally:
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)
    one.virsh("migrate-setspeed", "m", "0")
    moving.communicate(timeout=60)
    assert moving.returncode == 0
    for host, kind in ((one, "Outgoing migration"), (two, "Incoming migration")):
        said = host.virsh("domjobinfo", "m", "--completed", "--keep-completed")
        assert kind in said and re.search(r"Time elapsed w/o network: +\d+", said), said
    counts_on(machine)


@pytest.mark.quick
def test_a_dead_client_cancels_a_managed_migration(pair, machine):
    one, two = pair
    one.virsh("migrate-setspeed", "m", "1")
    moving = one.virsh_process("migrate", "--live", "--unsafe", "m", two.uri)
    wait_until(lambda: "Unbounded" in one.virsh("domjobinfo", "m"), 60, "the job is seen")
    moving.kill()
    moving.communicate()
    wait_until(lambda: "None" in one.virsh("domjobinfo", "m"), 60, "the job ends")
    assert one.state_of("m") == "running"
    wait_until(lambda: two.state_of("m") == "absent", 60, "the destination forgets it")
    counts_on(machine)


@pytest.mark.quick
def test_refusals_name_their_reason(pair, machine, tmp_path):
    one, two = pair
    assert "same host" in one.virsh("migrate", "--live", "--unsafe", "m", one.uri, code=1)
    assert "nsafe" in one.virsh("migrate", "--live", "m", two.uri, code=1)
    two.virsh("create", Machine(tmp_path / "other", name="m").path)
    said = one.virsh("migrate", "--live", "--unsafe", "m", two.uri, code=1)
    assert "already" in said
    assert one.state_of("m") == "running"
    counts_on(machine)


@pytest.mark.quick
def test_a_paused_guest_arrives_paused(pair, machine):
    one, two = pair
    one.virsh("suspend", "m")
    one.virsh("migrate", "--unsafe", "m", two.uri)
    assert two.state_of("m") == "paused"
    two.virsh("resume", "m")
    counts_on(machine)


@pytest.mark.quick
@pytest.mark.parametrize("mode", [[], ["--p2p"]], ids=["managed", "p2p"])
def test_without_live_the_guest_stands_still_first(pair, machine, mode):
    one, two = pair
    # Memory that is not empty: a guest that stands still writes no more, and 1 MiB/s carries what
    # it has in a second, where it has just begun.
    machine.ticks.wait(100)
    one.virsh("migrate-setspeed", "m", "1")
    moving = one.virsh_process("migrate", "--unsafe", *mode, "m", two.uri)
    wait_until(lambda: "paused (migrating)" in one.virsh("domstate", "m", "--reason"), 60,
               "the guest stands still")
    assert moving.poll() is None and "Unbounded" in one.virsh("domjobinfo", "m")
    one.virsh("domjobabort", "m")
    moving.communicate(timeout=60)
    assert one.virsh("domstate", "m").strip() == "running"
    counts_on(machine)
    one.virsh("migrate-setspeed", "m", "0")
    wait_until(lambda: two.state_of("m") == "absent", 60, "the destination forgets it")
    one.virsh("migrate", "--unsafe", *mode, "m", two.uri)
    assert two.state_of("m") == "running"
    counts_on(machine)


@pytest.mark.quick
def test_offline_moves_only_the_definition(pair, machine):
    one, two = pair
    one.virsh("destroy", "m")
    one.virsh("migrate", "--offline", "--persistent", "m", two.uri)
    assert two.state_of("m") == "shut off"
    assert one.state_of("m") == "shut off"
