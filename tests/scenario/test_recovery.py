# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a daemon finds when it starts: records that it does not understand, QEMUs that do not
answer, and guests that are nobody's to let run yet."""
import os
import signal
import sqlite3

import pytest

import guest
from hosts import Hosts, wait_until
from kill_run import process_state
from machines import Machine


def change(host, *statements):
    """Changes the store of a daemon that is stopped."""
    with sqlite3.connect(host.state / "segue.db") as store:
        for statement in statements:
            assert store.execute(*statement).rowcount == 1, statement
    store.close()


def refused(host, machine, table):
    """Everything that would use the domain, or take its name, says why not."""
    said = [host.virsh(*words, code=1)
            for words in (["start", "m"], ["undefine", "m"], ["suspend", "m"], ["resume", "m"],
                          ["destroy", "m"], ["dumpxml", "m"], ["domstate", "m"])]
    said += [host.virsh(verb, machine.path, code=1) for verb in ("define", "create")]
    assert "m" in host.virsh("list", "--all", "--name").split()
    said += [host.segue("start", "m", code=None), host.log()]
    for text in said:
        assert "domain 'm' is blocked" in text and f"table '{table}'" in text, text


@pytest.mark.full
@pytest.mark.parametrize("column", ["live", "definition"])
def test_a_record_that_is_not_understood_is_kept(tmp_path, column):
    """Its guest runs on, nobody starts a second copy, and a record that is mended is taken up."""
    machine = Machine(tmp_path / "m", name="m", tick_ms=20)
    other = Machine(tmp_path / "o", name="o", tick_ms=20)
    with Hosts(1) as (host,):
        for one in (machine, other):
            host.virsh("define", one.path)
            host.virsh("start", one.name)
        machine.ticks.wait(3)
        assert host.stop() == 0
        with sqlite3.connect(host.state / "segue.db") as store:
            good, = store.execute(f"SELECT {column} FROM domains WHERE name = 'm'").fetchone()
        store.close()
        change(host, (f"UPDATE domains SET {column} = '<domain' WHERE name = 'm'",))
        for _ in range(2):  # what the first start left alone is there for the second one
            host.start()
            refused(host, machine, "domains")
            assert host.state_of("o") == "running"
            assert len(host.guests()) == 2
            machine.ticks.wait(machine.ticks.last() + 3)
            assert host.stop() == 0
        change(host, (f"UPDATE domains SET {column} = ? WHERE name = 'm'", (good,)))
        host.start()
        assert host.state_of("m") == "running"
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_migration_that_is_not_understood_blocks_its_domain(tmp_path):
    """Whose right it is to run the guest is written there: nobody may guess."""
    machine = Machine(tmp_path, name="m", tick_ms=20)
    with Hosts(1) as (host,):
        host.virsh("define", machine.path)
        host.virsh("start", "m")
        host.virsh("autostart", "m")
        uuid = host.virsh("domuuid", "m").strip()
        host.virsh("suspend", "m")
        assert host.stop() == 0
        row = {"id": "11111111-2222-4333-8444-555555555555", "role": "source", "protocol": 3,
               "domain": uuid, "domain_name": "m", "incarnation": "", "phase": "later",
               "run_right": "given", "peer_to_peer": 0, "peer_has_right": 0, "run_guest": 1,
               "settled": 0, "peer_address": "", "peer_port": 0, "peer_key": "", "peer_host": "",
               "changed_ms": 0, "flags": 0}
        change(host, (f"INSERT INTO migrations ({', '.join(row)}) VALUES "
                      f"({', '.join('?' * len(row))})", tuple(row.values())))
        host.start()
        refused(host, machine, "migrations")
        assert len(host.guests()) == 1
        assert host.stop() == 0
        change(host, ("DELETE FROM migrations",))
        host.start()
        host.virsh("resume", "m")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []


@pytest.mark.full
def test_a_guest_that_answers_late_is_taken_up(tmp_path):
    """A QEMU that stands still while the daemon starts is there to be steered afterwards."""
    machine = Machine(tmp_path, name="m", tick_ms=20)
    with Hosts(1) as (host,):
        host.virsh("create", machine.path)
        machine.ticks.wait(3)
        (pid, _), = host.guests()
        assert host.stop() == 0
        os.kill(pid, signal.SIGSTOP)
        try:
            host.start()
            assert host.state_of("m") == "paused"
            assert "unknown" in host.virsh("domstate", "--reason", "m")
        finally:
            os.kill(pid, signal.SIGCONT)
        wait_until(lambda: host.state_of("m") == "running", 60, "the guest is known to run")
        host.virsh("suspend", "m")
        assert host.state_of("m") == "paused"
        host.virsh("resume", "m")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []


@pytest.mark.full
def test_no_monitor_command_lets_an_incoming_guest_run(tmp_path):
    """While it is transferred its right is the source's; domstats leaves its QEMU alone."""
    machine = Machine(tmp_path, name="m", tick_ms=20, dirty_mb_s=8)
    with Hosts(2) as (one, two):
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        one.virsh("migrate-setspeed", "m", "1")
        mover = one.virsh_process("migrate", "--live", "--unsafe", "m", two.uri)
        try:
            wait_until(lambda: "Data processed" in one.virsh("domjobinfo", "m", code=None), 60,
                       "the guest's memory is on its way")
            for words in (['{"execute":"cont"}'], ["--hmp", "cont"]):
                said = two.virsh("qemu-monitor-command", "m", *words, code=1)
                assert "migration in" in said, said
            assert "state.state=3" in two.virsh("domstats", "m")
            # A question changes nothing.
            assert "inmigrate" in two.virsh("qemu-monitor-command", "m", "--hmp", "info status")
            # The source's own monitor serves on.
            assert "running" in one.virsh("qemu-monitor-command", "m", "--hmp", "info status")
            one.virsh("domjobabort", "m")
        finally:
            mover.wait(60)
        wait_until(lambda: not two.qemus(), 60, "the destination gives up")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert one.state_of("m") == "running" and machine.ticks.gaps() == []


def waits_for_its_qemu(host, pid):
    """A daemon that starts while one QEMU stands still: it serves the others, and says so."""
    host.start()
    assert f"recovering: QEMU {pid} does not answer" in host.segue("status")
    assert f"recovering: QEMU {pid} does not answer" in host.virsh("dominfo", "m")
    host.virsh("suspend", "o")
    host.virsh("resume", "o")
    # It was given up once: what it has to be told must outlive that.
    wait_until(lambda: f"QEMU {pid} lives, and its monitor does not" in host.log(), 60,
               "its monitor is tried again")


@pytest.mark.full
def test_a_migration_is_undone_when_its_qemu_answers(tmp_path):
    """Without --live the guest stands still meanwhile: only a `cont` that is heard ends that."""
    machine = Machine(tmp_path, name="m", tick_ms=20, dirty_mb_s=8)
    other = Machine(tmp_path / "o", name="o", tick_ms=20)
    with Hosts(2) as (one, two):
        for each in (machine, other):
            one.virsh("create", each.path)
        other.ticks.wait(20)
        machine.ticks.wait(100)  # what it has written by then takes 14 s at 1 MiB/s
        (pid,) = [pid for pid, line in one.qemus() if "guest=m," in line]
        one.virsh("migrate-setspeed", "m", "1")
        mover = one.virsh_process("migrate", "--unsafe", "m", two.uri)
        try:
            wait_until(lambda: "Data processed" in one.virsh("domjobinfo", "m", code=None), 60,
                       "the guest's memory is on its way")
            os.kill(pid, signal.SIGSTOP)
            one.kill()
            try:
                waits_for_its_qemu(one, pid)
                assert "migration" in one.virsh("resume", "m", code=1)
            finally:
                os.kill(pid, signal.SIGCONT)
        finally:
            mover.wait(60)
        wait_until(lambda: one.state_of("m") == "running", 60, "the guest goes on")
        machine.ticks.wait(machine.ticks.last() + 3)
        wait_until(lambda: "None" in one.virsh("domjobinfo", "m"), 60, "its job is over")
        assert "recovering" not in one.segue("status")
        # Nothing of it goes on: cancelled, or failed before at the destination's end.
        assert '"active"' not in one.virsh("qemu-monitor-command", "m",
                                           '{"execute":"query-migrate"}')
        wait_until(lambda: not two.qemus() and two.state_of("m") == "absent", 60, "only here")
        assert machine.ticks.gaps() == [] and other.ticks.gaps() == []


@pytest.mark.full
def test_a_guest_that_arrived_runs_when_its_qemu_answers(tmp_path):
    """Its right to run is here, written down, when both its QEMU and its daemon stop."""
    machine = Machine(tmp_path, name="m", tick_ms=20)
    other = Machine(tmp_path / "o", name="o", tick_ms=20)
    with Hosts(2) as (one, two):
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        assert two.stop() == 0
        two.start({"SEGUE_FAULT": "destination.record.taken.after:stop"})
        two.virsh("create", other.path)
        mover = one.virsh_process("migrate", "--live", "--unsafe", "m", two.uri)
        try:
            wait_until(lambda: process_state(two.process.pid) == "T", 60, "the right is taken")
            (pid,) = [pid for pid, line in two.qemus() if "guest=m," in line]
            os.kill(pid, signal.SIGSTOP)
            two.kill()
            try:
                waits_for_its_qemu(two, pid)
            finally:
                os.kill(pid, signal.SIGCONT)
        finally:
            mover.wait(60)
        wait_until(lambda: two.state_of("m") == "running", 60, "the guest runs")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert "running (migrated)" in two.virsh("domstate", "--reason", "m")
        wait_until(lambda: not one.qemus() and one.state_of("m") == "absent", 60, "only there")
        assert machine.ticks.gaps() == []


def reason_of(host):
    return host.virsh("domstate", "--reason", "m").strip()


@pytest.mark.full
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_domain_keeps_the_reason_of_its_state(tmp_path, how):
    """As libvirt's status file has it, also of a domain that does not run."""
    machine = Machine(tmp_path, name="m", tick_ms=20)

    def keeps(host, reason):
        assert reason_of(host) == reason
        host.stop(how)
        host.start()
        assert reason_of(host) == reason

    with Hosts(2) as (one, two):
        one.virsh("define", machine.path)
        one.virsh("start", "m")
        machine.ticks.wait(3)
        keeps(one, "running (booted)")
        one.virsh("suspend", "m")
        keeps(one, "paused (user)")
        one.virsh("resume", "m")
        keeps(one, "running (unpaused)")
        one.virsh("migrate", "--live", "--unsafe", "m", two.uri)
        keeps(two, "running (migrated)")
        keeps(one, "shut off (migrated)")
        two.virsh("migrate", "--live", "--unsafe", "m", one.uri)
        one.virsh("destroy", "m")
        keeps(one, "shut off (destroyed)")
        one.virsh("start", "m")
        (pid, _), = one.guests()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: reason_of(one) == "shut off (crashed)", 60, "its end is heard")
        keeps(one, "shut off (crashed)")
        # Nothing is kept of a domain that is none of this host's any more.
        assert two.stop() == 0
        with sqlite3.connect(two.state / "segue.db") as store:
            assert store.execute("SELECT count(*) FROM statuses").fetchone() == (0,)
        store.close()


@pytest.mark.full
def test_what_qemu_says_counts(tmp_path):
    """Of a guest that somebody stopped, or let go on, while no daemon was there to hear it."""
    machine = Machine(tmp_path, name="m", tick_ms=20)
    with Hosts(1) as (host,):
        host.virsh("create", machine.path)
        machine.ticks.wait(3)
        place, = (host.state / "domains").glob("*/monitor.sock")
        for command, reason in (("stop", "paused (user)"), ("cont", "running (unpaused)"),
                                ("query-status", "running (unpaused)")):
            assert host.stop() == 0
            monitor = guest.Qmp(place)
            monitor(command)
            monitor.close()
            host.start()
            assert reason_of(host) == reason
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []
