# SPDX-License-Identifier: LGPL-2.1-or-later
"""Devices go along in a seamless move, from and to stock's library: every byte arrives once."""
import os
import signal
import time

import guest
import pytest

import vdagent
from spice_lab import Client, Machine, migrate
from test_spice_devices import AGENT_PORT, noise, wait_for_guest

PAIRS = [("segue", "segue"), ("segue", "stock"), ("stock", "segue")]


def two(directory, name, chardev, source, target):
    def one(where, library, *more):
        (directory / where).mkdir()
        return Machine(directory / where, *vdagent.devices(directory / where, (name, chardev)),
                       *guest.linux(f"load=pipe:{name}:peer", tick=0), *more, library=library,
                       options="seamless-migration=on", tcp=True)
    return (one("source", source),
            one("target", target, "-incoming", f"unix:{directory}/migrate.sock"))


def move(first, second, client, directory):
    migrate(first, second, directory)
    first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
    client.wait("migration", 60, state="none")


def left_over(machine, peer):
    """What the machine had written to this host when it stopped. Its QEMU stands still meanwhile:
    where there is room it would write on what goes along as the device's state, too."""
    data = b""
    peer.socket.setblocking(False)
    os.kill(machine.process.pid, signal.SIGSTOP)
    try:
        while more := peer.socket.recv(65536):
            data += more
    except BlockingIOError:
        pass
    finally:
        os.kill(machine.process.pid, signal.SIGCONT)
    return data


@pytest.mark.soak
@pytest.mark.parametrize("source, target", PAIRS)
def test_a_port_goes_along(tmp_path, source, target):
    name = "org.segue.test.0"
    first, second = two(tmp_path, name, f"spiceport,name={name}", source, target)
    with first, second:
        wait_for_guest(first)
        with vdagent.Peer(tmp_path / "source") as here, \
                Client(first.uri, "--devices", tmp_path) as client:
            client.wait("port", 60, name=name, opened=True)
            up, down = noise(2000000, 2), noise(300000, 3)
            (tmp_path / "up").write_bytes(up)
            client.tell(f"port-write {name} {tmp_path}/up")
            here.send(down[:100000])
            got = here.exact(100000)  # the rest is in the client, the servers and the guest
            # Connected before the machine comes: QEMU drops what is written to a closed socket.
            with vdagent.Peer(tmp_path / "target", timeout=60) as there:
                move(first, second, client, tmp_path)
                got += left_over(first, here)
                assert len(got) < len(up)
                there.send(down[100000:])
                got += there.exact(len(up) - len(got))
                assert got == up
                client.wait("bytes", 60, what=f"port-{name}", total=len(down))
                assert (tmp_path / f"port-{name}").read_bytes() == down
            assert client.count("disconnected") == 0


def wait_for_agent_port(machine):
    """Until the guest's end is open on the target. Stock passes over what a client says to the
    agent before, though it has told the client that the move is over."""
    def is_open():
        return any(chardev["frontend-open"] for chardev in machine.qmp("query-chardev")
                   if chardev["label"] == f"c-{AGENT_PORT}")

    end = time.monotonic() + 60
    while not is_open():
        assert time.monotonic() < end, "the guest does not open its port on the target"
        time.sleep(0.05)


@pytest.mark.soak
@pytest.mark.parametrize("source, target", PAIRS)
def test_the_agent_goes_along(tmp_path, source, target):
    first, second = two(tmp_path, AGENT_PORT, "spicevmc,name=vdagent", source, target)
    with first, second:
        wait_for_guest(first)
        with vdagent.Agent(tmp_path / "source") as here, \
                Client(first.uri, "--devices", tmp_path) as client:
            client.wait("mouse-mode")
            here.announce()
            client.wait("agent-ready", 60)
            with vdagent.Agent(tmp_path / "target", timeout=60) as there:
                move(first, second, client, tmp_path)
                if target == "stock":
                    wait_for_agent_port(second)
                for size in (10, 100000):  # more than the tokens of one server
                    text = noise(size, size)
                    (tmp_path / "copied").write_bytes(text)
                    client.tell(f"copy {tmp_path}/copied")
                    there.wait(vdagent.CLIPBOARD, 60, lambda data, text=text: data[8:] == text)
                client.wait("clipboard-grab", 60)
                client.wait("clipboard-grab", 60)
                client.tell(f"paste {tmp_path}/pasted")
                client.wait("clipboard", 60, size=100000)
                assert (tmp_path / "pasted").read_bytes() == text
            if target == "segue":
                assert client.count("agent", connected=False) == 0, "the client did not notice"
