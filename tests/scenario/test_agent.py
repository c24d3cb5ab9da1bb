# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-agent: QEMU is answered at once, the standby commits, output leaves with the commit."""
import os
import signal
import time

import guest
import pytest
from agent import Pair


def disk_went_on(pair):
    """The promoted guest's disk: nothing missing, nothing from the future."""
    again = guest.Ticks(pair.serial, "disk")
    known = again.wait(again.wait(1, 120) + 10, 120)
    assert b"BAD" not in again.text()
    assert again.gaps() == []
    assert guest.lost_records(pair.remote, known) == []


@pytest.mark.full
def test_killed_primary_gate_at_standby(tmp_path):
    with Pair(tmp_path, "standby") as pair:
        before = pair.outside.last()
        pair.outside.wait(before + 20)
        pair.primary.kill()
        # Its host lives and says so: no policy has to be asked.
        pair.standby.wait("promoted")
        pair.outside.wait(pair.outside.last() + 50)
        assert pair.outside.irregular() == []
        disk_went_on(pair)
        # Its work is over.
        assert pair.agent.process.wait(120) == 0


@pytest.mark.full
def test_killed_primary_gate_at_primary(tmp_path):
    with Pair(tmp_path, "primary") as pair:
        pair.outside.wait(pair.outside.last() + 20)
        pair.primary.kill()
        pair.standby.wait("promoted")
        pair.outside.wait(pair.outside.last() + 50)
        # The last committed frames may be lost; none is repeated, none leaves that nobody knows.
        assert pair.outside.backward() == []
        disk_went_on(pair)


@pytest.mark.full
def test_planned_takeover_loses_nothing(tmp_path):
    with Pair(tmp_path, "standby") as pair:
        still = pair.agent.ask(cmd="freeze")
        assert still.get("state") == "still", still
        promoted = pair.standby.control(cmd="promote", force=True)
        assert promoted["epoch"] == still["epoch"]
        # The link is gone, and the frozen guest does not go on beside the promoted one.
        said = pair.agent.wait(lambda said: said["state"] != "protected")
        assert said["state"] == "isolated"
        # A daemon that believes that the takeover failed must not let it go on.
        for word in ("thaw", "end"):
            assert "taken over" in pair.agent.ask(cmd=word)["error"]
        assert pair.agent.status()["state"] == "isolated"
        assert pair.primary.qmp("query-status")["running"] is False
        pair.outside.wait(pair.outside.last() + 50)
        assert pair.outside.irregular() == []
        disk_went_on(pair)


@pytest.mark.full
def test_a_primary_that_does_not_say_that_it_stands_still_is_not_taken_over(tmp_path):
    with Pair(tmp_path, "standby") as pair:
        os.kill(pair.agent.process.pid, signal.SIGSTOP)
        refused = pair.standby.control(cmd="promote", force=True)
        assert "it may go on" in refused["error"], refused
        assert pair.standby.control(cmd="status")["state"] == "lost"
        # It hears then what it was told, and obeys; whoever knows that has the last word.
        os.kill(pair.agent.process.pid, signal.SIGCONT)
        said = pair.agent.wait(lambda said: said["state"] != "protected")
        assert said["state"] == "isolated", said
        promoted = pair.standby.control(cmd="promote", force=True)
        assert "epoch" in promoted, promoted
        pair.outside.wait(pair.outside.last() + 50)
        assert pair.outside.irregular() == []
        disk_went_on(pair)


@pytest.mark.full
def test_a_primary_that_is_taken_over_stands_still_first(tmp_path):
    with Pair(tmp_path, "primary") as pair:
        # Whatever it is doing: an epoch may be on its way, or being committed.
        promoted = pair.standby.control(cmd="promote", force=True)
        assert "epoch" in promoted, promoted
        assert pair.agent.wait(lambda said: said["state"] == "isolated")
        pair.outside.wait(pair.outside.last() + 50)
        assert pair.outside.backward() == []
        disk_went_on(pair)


@pytest.mark.full
def test_an_epoch_whose_disk_log_fails_is_not_committed(tmp_path):
    with Pair(tmp_path, "standby", on_loss="promote") as pair:
        # One of the next epochs cannot be sealed. (None comes while it is chosen.)
        os.kill(pair.standby.process.pid, signal.SIGSTOP)
        logs = [int(path.name[5:]) for path in pair.standby.state.glob("disk-*")]
        (pair.standby.state / f"disk-{max(logs) + 8}").symlink_to("/nonexistent/disk")
        os.kill(pair.standby.process.pid, signal.SIGCONT)
        pair.standby.wait("promoted")
        pair.outside.wait(pair.outside.last() + 50)
        assert pair.outside.irregular() == []
        disk_went_on(pair)


@pytest.mark.full
def test_lost_standby_hold_goes_on(tmp_path):
    with Pair(tmp_path, "standby") as pair:
        pair.standby.kill()
        pair.agent.wait(lambda said: said["state"] == "lost")
        # Checkpoints are answered and thrown away until somebody ends them; output passes.
        reached = pair.agent.status()["local_epoch"]
        pair.agent.wait(lambda said: said["local_epoch"] >= reached + 5)
        pair.outside.wait(pair.outside.last() + 50)
        assert pair.outside.backward() == []
        pair.primary.qmp("x-colo-lost-heartbeat")
        pair.outside.wait(pair.outside.last() + 20)


@pytest.mark.full
def test_a_standby_that_was_given_up_is_not_taken_for_a_newest_one(tmp_path):
    with Pair(tmp_path, "standby") as pair:
        pair.agent.ask(cmd="end")
        # Whatever becomes of it then: its primary has gone on.
        pair.standby.kill()
        pair.standby.start()
        assert pair.standby.control(cmd="status")["state"] == "none"
        refused = pair.standby.control(cmd="promote", force=True)
        assert "nothing to promote" in refused["error"], refused


@pytest.mark.full
def test_lost_standby_promote_stands_still(tmp_path):
    with Pair(tmp_path, "standby", on_loss="promote") as pair:
        pair.standby.kill()
        pair.agent.wait(lambda said: said["state"] == "isolated")
        deadline = time.monotonic() + 120
        while pair.primary.qmp("query-status")["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        time.sleep(1)       # what left before comes
        seen = pair.outside.last()
        time.sleep(0.5)     # nothing can come: the guest stands still, and its frames are dropped
        assert pair.outside.last() == seen


@pytest.mark.full
def test_killed_agent_is_a_lost_primary(tmp_path):
    with Pair(tmp_path, "standby") as pair:
        os.kill(pair.agent.process.pid, 9)
        lost = pair.standby.wait("lost")
        refused = pair.standby.control(cmd="promote")
        assert str(lost["epoch"]) in refused["error"] and "force" in refused["error"]
        # Fail closed: what the guest sends now is seen by nobody; what left before has come.
        time.sleep(1)
        seen = pair.outside.last()
        time.sleep(0.5)
        assert pair.outside.last() == seen
