# SPDX-License-Identifier: LGPL-2.1-or-later
"""A promotion that failed, or whose standby was killed in the middle, can be done again."""
import json
import threading

import guest
import pytest
import standby as sb
from test_standby import wait_until

# The emulator of a promotion: what it does stands in a file beside it.
EMULATOR = """#!/bin/sh
case "$(cat "$0.mode")" in
fail) exit 3 ;;
hang) exec /usr/bin/python3 -c 'import time; time.sleep(600)' "$@" ;;
*) exec {qemu} "$@" ;;
esac
"""


class Emulator:
    def __init__(self, directory, qemu):
        self.path = directory / "emulator"
        self.path.write_text(EMULATOR.format(qemu=qemu))
        self.path.chmod(0o755)

    def will(self, mode):
        self.path.with_name("emulator.mode").write_text(mode)


@pytest.fixture(name="pair")
def a_lost_primary(tmp_path):
    """A standby that holds an epoch of a primary that is dead, and the emulator it would run."""
    primary = sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path), memory=64)
    command = primary.command_line(tmp_path / "serial")
    emulator = Emulator(tmp_path, command[0])
    with primary, sb.Standby(tmp_path / "s", vm=[emulator.path, *command[1:]]) as standby:
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect(standby.listen, 100)
        standby.wait_epoch(3)
        primary.kill()
        standby.wait("lost")
        yield primary, standby, emulator, guest.Ticks(tmp_path / "serial")


def is_refused(standby, directory):
    """A newcomer on the migration link gets its end, and the epoch stays."""
    with sb.Primary(directory, memory=64) as late:
        late.protect(standby.listen)
        wait_until(lambda: late.qmp("query-migrate").get("status") == "failed")


def goes_on(primary, ticks):
    ticks.wait(primary.ticks.last() + 3, sb.PATIENCE)
    assert ticks.gaps() == []


@pytest.mark.full
def test_a_promotion_that_failed_is_done_again(tmp_path, pair):
    primary, standby, emulator, ticks = pair
    emulator.will("fail")
    failed = standby.control(cmd="promote", force=True)["error"]
    assert "QEMU ended (exit status 3)" in failed
    # The fence stays up meanwhile.
    is_refused(standby, tmp_path / "late")
    assert json.loads((standby.state / "state.json").read_text())["promoted"] is True
    emulator.will("run")
    assert "error" not in standby.control(cmd="promote", force=True)
    goes_on(primary, ticks)
    assert "already promoted" in standby.control(cmd="promote", force=True)["error"]


@pytest.mark.full
def test_a_promotion_whose_standby_was_killed_is_done_again(tmp_path, pair):
    primary, standby, emulator, ticks = pair
    emulator.will("hang")
    answers = []

    def ask():
        try:
            answers.append(standby.control(cmd="promote", force=True))
        except ValueError:
            answers.append(None)    # the standby was killed

    first = threading.Thread(target=ask)
    first.start()
    wait_until(lambda: standby.control(cmd="status")["state"] == "promoting")
    refused = standby.control(cmd="promote", force=True)["error"]
    assert "is being promoted already" in refused and not answers
    standby.kill()
    first.join(sb.PATIENCE)
    assert answers == [None]
    standby.events.clear()
    standby.start()
    status = standby.control(cmd="status")
    assert status["state"] == "stale"
    is_refused(standby, tmp_path / "late")
    emulator.will("run")
    assert standby.control(cmd="promote", force=True)["epoch"] == status["epoch"]
    goes_on(primary, ticks)
    # From here on it is over, for every next process.
    standby.kill()
    standby.events.clear()
    standby.start()
    assert standby.control(cmd="status")["state"] == "promoted"
    assert standby.vm_process()
    ticks.wait(ticks.last() + 3, sb.PATIENCE)
