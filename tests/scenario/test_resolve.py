# SPDX-License-Identifier: LGPL-2.1-or-later
"""The right was given and the destination is silent: the source stays paused, and every place
where an administrator looks names the command. Then each way on, also after a restart of the
daemon; and a destination that comes back never contradicts what was decided."""
import signal

import pytest

from hosts import Hosts, end_process, wait_until
from kill_run import process_state, records_of, status_of
from machines import Machine

BEFORE_IT_TOOK = "destination.record.taken.before"
RUNS_UNHEARD_OF = "destination.reply.finish.before"


class Torn:
    """A migration torn apart: the destination's daemon was stopped at this point, the client is
    dead, and the source has asked in vain."""

    def __init__(self, folder, hosts, point):
        self.one, self.two = hosts
        self.two.stop()
        self.two.start({"SEGUE_FAULT": point})
        self.machine = Machine(folder, name="r", tick_ms=20)
        self.one.virsh("create", self.machine.path)
        self.machine.ticks.wait(3)
        client = self.one.virsh_process("migrate", "--live", "--unsafe", "r", self.two.uri)
        wait_until(lambda: process_state(self.two.process.pid) == "T", 60, "the target stops")
        client.kill()
        client.communicate()
        wait_until(self.unresolved, 60, "the source gives up asking")

    def unresolved(self):
        return status_of(self.one)["r"].get("unresolved")

    def target_goes_on(self):
        self.two.process.send_signal(signal.SIGCONT)

    def target_dies(self):
        """The whole host: its daemon and its QEMU."""
        self.two.kill()
        for pid, _ in self.two.qemus():
            end_process(pid)

    def counts_on(self, more=10):
        self.machine.ticks.wait(self.machine.ticks.last() + more)
        assert self.machine.ticks.gaps() == []


@pytest.fixture(name="hosts")
def two_hosts():
    with Hosts(2) as hosts:
        yield hosts


def expect_everybody_is_told(torn):
    one = torn.one
    for way in ("--runs-here", "--runs-there"):
        command = f"segue resolve r {way}"
        assert command in torn.unresolved()
        assert command in one.segue("status", "r")
        assert command in one.virsh("dominfo", "r")
        assert command in one.log()
    assert one.virsh("domstate", "r", "--reason").strip() == "paused (migrating)"
    # Nobody else's command makes a second copy.
    assert "segue resolve r" in one.virsh("resume", "r", code=1)
    assert "segue resolve r" in one.virsh("domjobabort", "r", code=1)
    assert one.state_of("r") == "paused"


@pytest.mark.full
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_the_host_there_is_dead_and_it_runs_here(tmp_path, hosts, restarted):
    torn = Torn(tmp_path, hosts, BEFORE_IT_TOOK)
    torn.target_dies()
    expect_everybody_is_told(torn)
    if restarted:
        torn.one.kill()
        torn.one.start()
        wait_until(torn.unresolved, 60, "it is unresolved again")
        expect_everybody_is_told(torn)
    assert "here" in torn.one.segue("resolve", "r", "--runs-here")
    torn.counts_on()
    # The dead host comes back with the record of a guest that it never took.
    torn.two.start()
    wait_until(lambda: "r" not in status_of(torn.two), 60, "the target forgets the guest")
    # A daemon that starts asks an emulator what it can do: that one goes by itself.
    wait_until(lambda: not torn.two.qemus(), 60, "no QEMU is left there")
    assert [right for _, right, _ in records_of(torn.two)] in ([], ["refused"])
    wait_until(lambda: not records_of(torn.one), 60, "the source forgets the migration")
    torn.one.virsh("migrate", "--live", "--unsafe", "r", torn.two.uri)
    torn.counts_on()
    assert torn.two.state_of("r") == "running"
    # The old promise, if it is still kept, says nothing of the guest that runs now.
    torn.two.kill()
    torn.two.start()
    torn.counts_on()
    assert torn.two.state_of("r") == "running"


@pytest.mark.full
def test_a_guest_whose_qemu_went_is_still_asked_about(tmp_path, hosts):
    """A transient domain that waits for a decision, without a QEMU and without a definition: every
    question has an answer, also behind a restart."""
    torn = Torn(tmp_path, hosts, BEFORE_IT_TOOK)
    torn.target_dies()
    torn.one.virsh("destroy", "r")
    for _ in range(2):
        assert "r" in torn.one.virsh("list", "--all", "--title")
        for question in ("dominfo", "domstats", "dumpxml", "domblklist", "desc", "dommemstat"):
            torn.one.virsh(question, "r", code=None)
        assert torn.unresolved()
        torn.one.kill()
        torn.one.start()
        wait_until(torn.unresolved, 60, "it is unresolved again")
    assert "there" in torn.one.segue("resolve", "r", "--runs-there")
    wait_until(lambda: torn.one.state_of("r") == "absent", 60, "the guest is forgotten here")


@pytest.mark.full
@pytest.mark.parametrize("restarted", [False, True], ids=["", "restarted"])
def test_it_runs_there_and_the_daemon_there_is_silent(tmp_path, hosts, restarted):
    torn = Torn(tmp_path, hosts, RUNS_UNHEARD_OF)
    expect_everybody_is_told(torn)
    if restarted:
        torn.one.kill()
        torn.one.start()
        wait_until(torn.unresolved, 60, "it is unresolved again")
    assert "there" in torn.one.segue("resolve", "r", "--runs-there")
    wait_until(lambda: not torn.one.qemus(), 60, "the source's QEMU ends")
    wait_until(lambda: "r" not in status_of(torn.one), 60, "the source forgets the guest")
    torn.target_goes_on()
    torn.counts_on()
    assert torn.two.state_of("r") == "running"
    torn.two.virsh("migrate", "--live", "--unsafe", "r", torn.one.uri)
    torn.counts_on()
    assert torn.one.state_of("r") == "running"


@pytest.mark.full
@pytest.mark.parametrize("point", [BEFORE_IT_TOOK, RUNS_UNHEARD_OF], ids=["not-taken", "running"])
def test_the_destination_comes_back_and_nobody_need_decide(tmp_path, hosts, point):
    torn = Torn(tmp_path, hosts, point)
    torn.target_goes_on()
    wait_until(lambda: "r" not in status_of(torn.one), 60, "the source hears that it was taken")
    torn.counts_on()
    assert torn.two.state_of("r") == "running"
    wait_until(lambda: not torn.one.qemus(), 60, "the source's QEMU ends")
    said = torn.one.segue("resolve", "r", "--runs-here", code=None)
    assert "no domain" in said.lower() or "not found" in said.lower(), said


@pytest.mark.full
def test_a_destination_that_lost_its_guest_gives_it_back(tmp_path, hosts):
    torn = Torn(tmp_path, hosts, BEFORE_IT_TOOK)
    torn.target_dies()
    torn.two.start()
    wait_until(lambda: not torn.unresolved(), 60, "the promise has arrived")
    torn.counts_on()
    assert torn.one.state_of("r") == "running"
    said = torn.one.segue("resolve", "r", "--runs-there", code=4)
    assert "no migration whose outcome is open" in said
