# SPDX-License-Identifier: LGPL-2.1-or-later
"""segue-standby as the secondary of a stock QEMU: the image, promotion, loss, restart."""
import json
import re
import socket
import subprocess
import time

import guest
import pytest
import standby as sb

PAGE = 4096


def wait_until(condition, timeout=sb.PATIENCE):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.02)


def differing_pages(memory, image):
    """Pages that differ, of guest RAM below the VGA hole and above 1 MiB."""
    assert len(memory) == len(image)
    ranges = [*range(0, 0xa0000, PAGE), *range(0x100000, len(memory), PAGE)]
    return [hex(at) for at in ranges if memory[at:at + PAGE] != image[at:at + PAGE]]


@pytest.mark.full
@pytest.mark.parametrize("capabilities", [(), ("xbzrle",)], ids=["plain", "xbzrle"])
def test_the_image_equals_the_primarys_memory(tmp_path, capabilities):
    compared = {}
    with sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path, dirty_mb_s=20),
                    memory=64) as primary, \
            sb.Standby(tmp_path / "s") as standby:
        def look(word, count):
            if word != sb.LOADED or count not in (1, 3, 10):
                return
            # The primary stands still and waits for this word.
            primary.qmp("pmemsave", val=0, size=64 << 20, filename=str(tmp_path / "memory"))
            answer = standby.control(cmd="dump", block="pc.ram", path=str(tmp_path / "image"))
            assert "error" not in answer
            compared[count] = (answer["epoch"], differing_pages(
                (tmp_path / "memory").read_bytes(), (tmp_path / "image").read_bytes()))

        relay = sb.Relay(tmp_path / "relay", tmp_path / "s" / "colo.sock", look)
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect(f"unix:{relay.path}", 150, capabilities)
        assert standby.wait("protected")["epoch"] == 1
        first = standby.wait_epoch(2)
        assert first["pages"] > 0 and first["bytes"] > 0
        standby.wait_epoch(12)
        assert relay.failure is None
        assert compared == {1: (2, []), 3: (4, []), 10: (11, [])}
        assert standby.stop() == 0


@pytest.mark.quick
def test_promotes_at_once_when_the_primary_dies(tmp_path):
    """kill -9 of the primary: the guest goes on from the committed tick, in a prestarted QEMU."""
    primary = sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path), memory=64)
    serial = tmp_path / "promoted"
    with primary, sb.Standby(tmp_path / "s", "--prestart", on_loss="promote",
                             vm=primary.command_line(serial)) as standby:
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect(standby.listen, 100)
        standby.wait_epoch(6)
        primary.kill()
        lost = standby.wait("lost")
        promoted = standby.wait("promoted")
        assert promoted["epoch"] == lost["epoch"]
        assert promoted["took_us"] < 10_000_000
        counted = guest.Ticks(serial)
        last = primary.ticks.last()
        counted.wait(last + 5, sb.PATIENCE)
        assert counted.gaps() == []
        first = counted.all()[0]
        # Not before the last committed epoch (100 ms, and what a busy host adds), and not from
        # the future.
        assert last - 500 <= first <= last + 1
        with_operator = guest.Qmp(promoted["qmp"])
        assert with_operator("query-status")["status"] == "running"
        with_operator.close()
        status = standby.control(cmd="status")
        assert (status["state"], status["epoch"]) == ("promoted", promoted["epoch"])
        # The old primary, or anyone, is refused from now on.
        with sb.Primary(tmp_path / "again", memory=64) as late:
            late.protect(standby.listen)
            wait_until(lambda: late.qmp("query-migrate").get("status") == "failed")
            assert "already promoted" in standby.control(cmd="promote")["error"]
        assert standby.stop() == 0
        counted.wait(counted.last() + 5, sb.PATIENCE)   # a promoted VM runs on


@pytest.mark.full
def test_a_guest_that_is_promoted_half_asleep_is_woken(tmp_path):
    """It sleeps, and a checkpoint lets it run: what is promoted waits for a wakeup."""
    primary = sb.Primary(tmp_path / "p", *guest.linux("nap=15", "no_timer_check"))
    serial = tmp_path / "promoted"
    with primary, sb.Standby(tmp_path / "s", on_loss="promote",
                             vm=primary.command_line(serial)) as standby:
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect(standby.listen)

        def sleeps():
            primary.qmp("query-status")
            return any(event["event"] == "SUSPEND" for event in primary.qmp.events)

        wait_until(sleeps, sb.PATIENCE)
        standby.wait_epoch(standby.control(cmd="status")["epoch"] + 3)
        primary.kill()
        standby.wait("promoted")
        guest.Ticks(serial).wait(primary.ticks.last() + 5, sb.PATIENCE)
        assert "half asleep" in standby.stderr()


@pytest.mark.full
def test_holds_until_the_operator_is_sure(tmp_path):
    primary = sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path), memory=64)
    serial = tmp_path / "promoted"
    with primary, sb.Standby(tmp_path / "s", vm=primary.command_line(serial)) as standby:
        primary.ticks.wait(5, sb.PATIENCE)
        assert "nothing to promote" in standby.control(cmd="promote", force=True)["error"]
        primary.protect(standby.listen, 100)
        standby.wait_epoch(4)
        assert "primary is alive" in standby.control(cmd="promote")["error"]
        assert "x-checkpoint-delay" in standby.control(cmd="checkpoint")["error"]
        assert "no RAM block" in standby.control(cmd="dump", block="x", path="/dev/null")["error"]
        primary.kill()
        lost = standby.wait("lost")
        refused = standby.control(cmd="promote")["error"]
        assert f"epoch {lost['epoch']} is lost since 20" in refused and "force" in refused
        status = standby.control(cmd="status")
        assert (status["state"], status["epoch"]) == ("lost", lost["epoch"])
        answer = standby.control(cmd="promote", force=True)
        assert answer["epoch"] == lost["epoch"]
        standby.wait("promoted")
        counted = guest.Ticks(serial)
        counted.wait(primary.ticks.last() + 3, sb.PATIENCE)
        assert counted.gaps() == []


@pytest.mark.full
def test_survives_its_own_kill(tmp_path):
    """kill -9 of the standby: the same --state holds the last epoch, as a stale one."""
    primary = sb.Primary(tmp_path / "p", *sb.small_guest(tmp_path, dirty_mb_s=20), memory=64)
    serial = tmp_path / "promoted"
    with primary, sb.Standby(tmp_path / "s", on_loss="promote",
                             vm=primary.command_line(serial)) as standby:
        primary.ticks.wait(5, sb.PATIENCE)
        primary.protect(standby.listen, 100)
        standby.wait_epoch(5)
        standby.kill()
        last = max([5, *(event["epoch"] for event in standby.events
                         if event["event"] == "checkpoint")])
        standby.events.clear()
        standby.start()
        status = standby.control(cmd="status")
        assert status["state"] == "stale"
        assert last <= status["epoch"] <= last + 1
        refused = standby.control(cmd="promote")["error"]
        assert f"epoch {status['epoch']} is stale since" in refused
        # The primary is told that its standby is gone; it goes on, and can be protected anew.
        primary.qmp("x-colo-lost-heartbeat")
        primary.ticks.wait(primary.ticks.last() + 3, sb.PATIENCE)
        primary.protect(standby.listen, 100)
        assert standby.wait("protected")["epoch"] == 1
        standby.wait_epoch(3)
        assert standby.control(cmd="status")["state"] == "protected"
        standby.kill()
        primary.kill()
        standby.events.clear()
        standby.start()
        answer = standby.control(cmd="promote", force=True)
        assert "error" not in answer
        counted = guest.Ticks(serial)
        counted.wait(counted.wait(1, sb.PATIENCE) + 5, sb.PATIENCE)
        assert counted.gaps() == []


@pytest.mark.full
def test_says_what_is_wrong_on_its_command_line(tmp_path):
    def run(*words):
        done = subprocess.run([str(sb.PROGRAM), *words], capture_output=True, text=True,
                              timeout=60, check=False)
        return done.returncode, done.stderr

    state = ("--state", str(tmp_path / "state"))
    assert run("--help")[0] == 0
    code, text = run("--listen", "tcp:0.0.0.0:0", *state)
    assert code == 2 and "needs --tls" in text
    code, text = run("--listen", f"unix:{tmp_path}/x", *state, "--net", f"unix:{tmp_path}/n")
    assert code == 2 and "--net-out" in text
    code, text = run("--listen", f"unix:{tmp_path}/x", *state, "--on-loss", "perhaps")
    assert code == 2 and "--on-loss" in text
    with sb.Standby(tmp_path) as standby:
        code, text = run("--listen", f"unix:{tmp_path}/y", "--state", str(standby.state))
        assert code == 1 and "another segue-standby" in text
        # A stranger on the migration link gets its own end, and one line says why.
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(tmp_path / "colo.sock"))
            stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert stranger.recv(1) == b""
        assert re.search("begins with 0x47455420", standby.wait("error")["message"])
        assert standby.control(cmd="status")["state"] == "none"
        assert json.dumps(standby.control(cmd="nonsense")).count("unknown cmd") == 1
