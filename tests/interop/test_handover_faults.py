# SPDX-License-Identifier: LGPL-2.1-or-later
"""The hand-over when something goes wrong, at each step of it: who is left where, and with what.

Steps: `linking` (the client's way to the target is blocked), `linked`, `moving` (memory is being
copied), `moved` (the machine runs at the target, and the client has not heard of it).
"""
import signal
import time

import guest
import pytest

from handover_cells import CHANNELS, Cell, Move, wait_until
from spice_lab import Client, Machine, announce, environment, migrate, same_picture
from spice_lab import move as move_machine

STEPS = ("linking", "linked", "moving", "moved")
SLOW = 1 << 14  # bytes a second (an empty page costs 9): the move lasts for longer than any test


def cell(client="spice-gtk", source="segue", target="segue"):
    return Cell(source, target, client, "seamless", "plain", "near")


def status(machine):
    return machine.qmp("query-migrate").get("status")


def go_to(step, move):
    """Brings a move to this step and leaves it there."""
    if step == "linking":
        move.lines[1].tell("drop")
    if step == "moving":
        move.first.qmp("migrate-set-parameters", max_bandwidth=SLOW)
    move.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                   port=move.lines[1].port)
    if step == "linking":
        return
    wait_until(lambda: len(move.second.channels()) == 4, "the client does not link")
    if step == "linked":
        return
    if step == "moved":
        move.viewer.wait_linked()
        move.wait_answered()
        move.lines[0].tell("drop")
    move.first.qmp("migrate", uri=f"unix:{move.directory}/migrate.sock")
    wait_until(lambda: status(move.first) == ("completed" if step == "moved" else "active"),
               lambda: str(status(move.first)))


def finish(step, move):
    """Lets the machine arrive."""
    if step in ("linking", "linked"):
        move.first.qmp("migrate", uri=f"unix:{move.directory}/migrate.sock")
    if step == "moving":
        move.first.qmp("migrate-set-parameters", max_bandwidth=1 << 30)
    wait_until(lambda: status(move.first) == "completed", lambda: str(status(move.first)))


def stays_whole(move):
    """The machine and its client are at the source as if nothing had been."""
    before = move.first.wait_frame(1)
    move.first.wait_frame(before + 3)
    move.first.qmp("stop")
    assert move.viewer.shows(move.first)
    assert move.viewer.sessions_lost() == 0
    move.first.wait_channels(CHANNELS)


@pytest.mark.full
@pytest.mark.parametrize("step", STEPS)
def test_the_client_dies(tmp_path, step):
    """The machine arrives, and nothing of the client stays anywhere."""
    with Move(tmp_path, cell()) as move:
        go_to(step, move)
        move.viewer.client.process.kill()
        move.viewer.client.process.wait(60)
        move.lines[0].tell("mend")
        move.lines[1].tell("mend")
        finish(step, move)
        move.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
        wait_until(lambda: not move.first.channels() and not move.second.channels(),
                   lambda: f"left: {move.first.channels()} {move.second.channels()}")
        move.second.wait_frame(move.second.wait_frame(1) + 2)
        # And the next one is served.
        with Client(move.second.uri) as client:
            client.wait("mark", timeout=60)
            move.second.qmp("stop")
            assert same_picture(move.second, client, tmp_path, timeout=60)


@pytest.mark.full
@pytest.mark.parametrize("step", [step for step in STEPS if step != "moved"])
@pytest.mark.parametrize("client", ["spice-gtk", "segue-view"])
def test_the_target_dies(tmp_path, client, step):
    """The machine runs on, and its client stays."""
    with Move(tmp_path, cell(client)) as move:
        go_to(step, move)
        move.second.stop(signal.SIGKILL)
        move.lines[1].tell("cut")
        if step == "moving":
            wait_until(lambda: status(move.first) == "failed", lambda: str(status(move.first)))
        stays_whole(move)


@pytest.mark.full
@pytest.mark.parametrize("step", [step for step in STEPS if step != "moved"])
def test_a_cancelled_move_can_be_made_again(tmp_path, step):
    """Whatever was begun at the first target ends there; the second one takes the client."""
    with Move(tmp_path, cell()) as move:
        go_to(step, move)
        if step != "moving":
            move.first.qmp("migrate-set-parameters", max_bandwidth=SLOW)
            move.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
            wait_until(lambda: status(move.first) == "active", lambda: str(status(move.first)))
        move.first.qmp("migrate_cancel")
        wait_until(lambda: status(move.first) == "cancelled", lambda: str(status(move.first)))
        move.first.wait_frame(move.first.wait_frame(1) + 3)
        move.second.process.wait(60)  # an incoming QEMU does not outlive its source's word
        move.lines[1].tell("cut")
        move.first.qmp("migrate-set-parameters", max_bandwidth=1 << 30)
        disk = ["-drive", f"file={tmp_path}/disk.img,format=raw,if=ide"]
        with Machine(tmp_path / "third", *disk, "-incoming", f"unix:{tmp_path}/third.sock",
                     options="seamless-migration=on", tcp=True) as third:
            move.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                           port=third.port)
            wait_until(lambda: len(third.channels()) == 4, "the client does not link")
            move.first.qmp("migrate", uri=f"unix:{tmp_path}/third.sock")
            move.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
            wait_until(lambda: third.channels() == CHANNELS, lambda: str(third.channels()))
            third.wait_frame(third.wait_frame(1) + 3)
            third.qmp("stop")
            assert move.viewer.shows(third)
            assert move.viewer.sessions_lost() == 0
            assert move.viewer.manner() != "switch-host"


@pytest.mark.full
def test_the_source_dies_before_the_machine_has_moved(tmp_path):
    """The machine is lost, and the viewer says so; it comes back when somebody starts it again."""
    with Move(tmp_path, cell("segue-view")) as move:
        go_to("moving", move)
        port = move.first.port
        move.first.stop(signal.SIGKILL)
        move.lines[0].tell("cut")
        view = move.viewer.view
        assert view.wait("disconnected", timeout=60)["retrying"] is True
        view.wait("error", len(view.named("error")) + 2, timeout=60)
        assert len(view.named("connected")) == 1 and not view.named("migrate-done")
        disk = guest.boot_disk(tmp_path / "disk.img", fps=20)
        again = Machine(tmp_path / "again", *disk, tcp=True)
        again.argv = [word.replace(f"port={again.port}", f"port={port}") for word in again.argv]
        with again:
            again.wait_frame(2)
            view.wait("connected", 2, timeout=60)
            again.wait_frame(again.wait_frame(1) + 3)
            again.qmp("stop")
            assert move.viewer.shows(again)


@pytest.mark.full
def test_the_source_dies_when_the_machine_has_moved(tmp_path):
    """Before it could tell the viewer: that looks for the source, and when nobody is there any more
    it goes to the target by itself."""
    with Move(tmp_path, cell("segue-view")) as move:
        move.viewer.view.wait("frame", 2)
        go_to("moved", move)
        move.viewer.view.wait("target-connected")
        move.first.stop(signal.SIGKILL)
        move.lines[0].tell("cut")
        back = move.viewer.view.wait("connected", 2, timeout=60)
        assert back["host"] == f"127.0.0.1:{move.lines[1].port}"
        wait_until(lambda: move.second.channels() == CHANNELS,
                   lambda: str(move.second.channels()))
        move.second.wait_frame(move.second.wait_frame(1) + 3)
        move.second.qmp("stop")
        assert move.viewer.shows(move.second)
        assert [event["retrying"] for event in move.viewer.view.named("disconnected")] == [True]


@pytest.mark.full
def test_an_announcement_to_a_viewer_that_is_still_coming(tmp_path):
    """Its other channels are being linked when it hears where the machine goes: it follows."""
    with Move(tmp_path, cell("segue-view")._replace(line="200ms"), wait=False) as move:
        wait_until(lambda: move.first.channels() != [], "the viewer does not come")
        assert (1, 0) in move.first.channels()
        move.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                       port=move.lines[1].port)
        wait_until(lambda: len(move.second.channels()) == 4, "the viewer does not link")
        move.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        move.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
        move.check()


PAIRS = [pytest.param("segue", "stock", marks=pytest.mark.full),
         pytest.param("segue", "segue", marks=pytest.mark.full),
         pytest.param("stock", "segue", marks=pytest.mark.soak),
         pytest.param("stock", "stock", marks=pytest.mark.soak)]


def wait_darker(machine):
    """Until the frame counter has just lost six bits: much of the screen that was white when its
    client was frozen is black then, and stays so for a while."""
    machine.wait_frame((machine.wait_frame(1) + 20) // 64 * 64 + 65)


@pytest.mark.parametrize("source, target", PAIRS)
def test_a_viewer_that_was_frozen_shows_the_machine(tmp_path, source, target):
    """Frozen while its machine moves, thawed behind it: not a pixel is old."""
    with Move(tmp_path, cell("spice-gtk", source, target)) as move:
        move.announce()
        process = move.viewer.client.process
        process.send_signal(signal.SIGSTOP)
        wait_darker(move.first)
        move.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        if source == "segue":
            # On stock the guest stands still until its clients have read everything.
            wait_until(lambda: status(move.first) == "completed", lambda: str(status(move.first)))
            if target == "segue":  # stock's drops a client that says nothing for 10 s
                move.second.wait_frame((move.second.frame() or 0) + 5)
        else:
            time.sleep(3)
        process.send_signal(signal.SIGCONT)
        wait_until(lambda: status(move.first) == "completed", lambda: str(status(move.first)))
        move.check()


@pytest.mark.parametrize("target", [pytest.param("stock", marks=pytest.mark.full),
                                    pytest.param("segue", marks=pytest.mark.soak)])
def test_a_frozen_viewer_of_a_machine_that_is_resumed(tmp_path, target):
    """As libvirt moves machines: the target's QEMU has the screen before the machine runs. Stock's
    server makes no surface anew then, and nothing is painted that is black there."""
    with Move(tmp_path, cell("spice-gtk", "segue", target), held=True) as move:
        move.announce()
        process = move.viewer.client.process
        process.send_signal(signal.SIGSTOP)
        wait_darker(move.first)
        move.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        wait_until(lambda: move.second.frame() is not None, "the machine does not arrive")
        # QEMU's next refresh, a timer of 30 ms that is due when it answers again, paints.
        time.sleep(0.1)
        move.second.qmp("query-status")
        move.second.qmp("cont")
        process.send_signal(signal.SIGCONT)
        move.check()


@pytest.mark.full
def test_several_viewers_follow_seamlessly(tmp_path):
    """Stock sends all of them anew."""
    several = {"SPICE_DEBUG_ALLOW_MC": "1"}
    disk = guest.boot_disk(tmp_path / "disk.img", fps=20)
    machines = [Machine(tmp_path / name, *disk, *more, options="seamless-migration=on", tcp=True)
                for name, more in (("one", []),
                                   ("two", ["-incoming", f"unix:{tmp_path}/migrate.sock"]))]
    for machine in machines:
        machine.environment = {**environment("segue"), **several}
    with machines[0] as first, machines[1] as second:
        first.wait_frame(2)
        with Client(first.uri) as client, Client(first.uri) as other:
            for one in (client, other):
                one.linked()
            migrate(first, second, tmp_path)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
            wait_until(lambda: second.channels() == sorted(CHANNELS * 2),
                       lambda: str(second.channels()))
            second.wait_frame(second.wait_frame(1) + 3)
            second.qmp("stop")
            for number, one in enumerate((client, other)):
                (tmp_path / str(number)).mkdir()
                assert same_picture(second, one, tmp_path / str(number), timeout=60)
                assert one.count("disconnected") == 0
                assert one.count("migration", state="switching") == 0
                assert one.count("primary") == 1, "its window was made once"
            wait_until(lambda: first.channels() == [], lambda: str(first.channels()))


@pytest.mark.full
def test_a_ticket_that_has_expired_at_the_target(tmp_path):
    """The client cannot link there: the machine moves all the same, and nothing is left open."""
    password = {"authentication": "password-secret=pw"}
    secret = ["-object", "secret,id=pw,data=word"]
    disk = guest.boot_disk(tmp_path / "disk.img", fps=20)
    first = Machine(tmp_path / "source", *disk, *secret, options="seamless-migration=on", tcp=True,
                    **password)
    second = Machine(tmp_path / "target", *disk, *secret, "-incoming",
                     f"unix:{tmp_path}/migrate.sock", options="seamless-migration=on", tcp=True,
                     **password)
    with first, second:
        first.wait_frame(2)
        second.qmp("expire_password", protocol="spice", time="now")
        with Client(first.uri, "--password", "word") as client:
            client.linked()
            announce(first, second, wait=False)
            time.sleep(1)  # it is refused there, and says so
            move_machine(first, tmp_path)
            first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
            second.wait_frame(second.wait_frame(1) + 3)
            wait_until(lambda: not first.channels() and not second.channels(),
                       lambda: f"left: {first.channels()} {second.channels()}")
        # With a new ticket it is let in again.
        second.qmp("set_password", protocol="spice", password="other")
        second.qmp("expire_password", protocol="spice", time="never")
        with Client(second.uri, "--password", "other") as client:
            client.wait("mark", timeout=60)
            second.qmp("stop")
            assert same_picture(second, client, tmp_path, timeout=60)
