# SPDX-License-Identifier: LGPL-2.1-or-later
"""Agent, ports, USB redirection, smartcard: a guest's end held by the test, through a pipe in the
guest; stock spice-gtk, or bare bytes, at the other."""
import random
import struct
import threading
import time

import guest
import pytest

import vdagent
from spice_lab import Client, Machine
from spice_raw import Channel

USBREDIR, SMARTCARD, PORT = 9, 8, 10
AGENT_PORT = "com.redhat.spice.0"


def machine(directory, name, chardev, library="segue", options="", **more):
    return Machine(directory, *vdagent.devices(directory, (name, chardev)),
                   *guest.linux(f"load=pipe:{name}:peer", tick=0), library=library,
                   options=options, **more)


def wait_for_guest(vm, timeout=240):
    end = time.monotonic() + timeout
    while b"pipe ready" not in vm.ticks.text():
        assert time.monotonic() < end, vm.ticks.text()
        time.sleep(0.1)


def noise(size, seed=1):
    return random.Random(seed).randbytes(size)


@pytest.mark.full
@pytest.mark.parametrize("library", ["segue", "stock"])
def test_clipboard_file_and_mouse_reach_the_agent(tmp_path, library):
    """On stock, too: the test itself is checked by it."""
    with machine(tmp_path, AGENT_PORT, "spicevmc,name=vdagent", library) as vm:
        wait_for_guest(vm)
        with vdagent.Agent(tmp_path) as agent, Client(vm.uri, "--devices", tmp_path) as client:
            client.wait("mouse-mode")
            agent.announce()
            client.wait("agent-ready", 60)
            client.wait("mouse-mode", mode=2)  # the agent takes absolute positions
            text = ("segue " * 40000).encode()[:200001]
            (tmp_path / "copied").write_bytes(text)
            client.tell(f"copy {tmp_path}/copied")
            agent.wait(vdagent.CLIPBOARD, 60, lambda data: data[8:] == text)
            client.wait("clipboard-grab", 60)
            client.tell(f"paste {tmp_path}/pasted")
            client.wait("clipboard", 60, size=len(text))
            assert (tmp_path / "pasted").read_bytes() == text

            (tmp_path / "file").write_bytes(noise(300000))
            client.tell(f"send-file {tmp_path}/file")
            assert client.wait("file-sent", 60)["ok"] is True
            assert list(agent.files.values()) == [noise(300000)]

            client.tell("position 100 50 0")
            agent.wait(vdagent.MOUSE, test=lambda data: data[:8] == struct.pack("<II", 100, 50))
            client.tell("quit")
            agent.wait(vdagent.DISCONNECTED)


@pytest.mark.full
@pytest.mark.parametrize("library", ["segue", "stock"])
def test_a_window_that_is_resized_reaches_the_agent(tmp_path, library):
    with machine(tmp_path, AGENT_PORT, "spicevmc,name=vdagent", library) as vm:
        wait_for_guest(vm)
        with vdagent.Agent(tmp_path) as agent, Client(vm.uri, "--devices", tmp_path) as client:
            client.wait("mouse-mode")
            agent.announce()
            client.wait("agent-ready", 60)
            client.linked()
            for width, height in ((1000, 700), (801, 603)):
                client.tell(f"resize {width} {height}")
                # Number of monitors, flags; height, width, depth and place of the first.
                wanted = struct.pack("<II", height, width)
                agent.wait(vdagent.MONITORS, test=lambda data: (
                    data[:4] == struct.pack("<I", 1) and data[8:16] == wanted))


@pytest.mark.full
def test_what_is_forbidden_does_not_reach_the_agent(tmp_path):
    options = "disable-agent-file-xfer=on,disable-copy-paste=on"
    with machine(tmp_path, AGENT_PORT, "spicevmc,name=vdagent", options=options) as vm:
        wait_for_guest(vm)
        with vdagent.Agent(tmp_path) as agent, Client(vm.uri, "--devices", tmp_path) as client:
            client.wait("mouse-mode")
            agent.announce()
            client.wait("agent", connected=True)
            client.wait("mouse-mode", mode=2)
            # What spice-gtk says before a channel is open is lost in it.
            client.wait("channel-event", 60, kind="InputsChannel", what="opened")
            (tmp_path / "copied").write_bytes(b"secret")
            client.tell(f"copy {tmp_path}/copied")
            client.tell(f"send-file {tmp_path}/copied")
            client.tell("position 7 8 0")
            agent.wait(vdagent.MOUSE, test=lambda data: data[:8] == struct.pack("<II", 7, 8))
            seen = {kind for _, kind, _ in agent.messages}
            assert not seen & {vdagent.GRAB, vdagent.CLIPBOARD, vdagent.FILE_START}, seen


@pytest.mark.full
def test_a_port_carries_every_byte_once_both_ways(tmp_path):
    name = "org.segue.test.0"
    with machine(tmp_path, name, f"spiceport,name={name}") as vm:
        wait_for_guest(vm)
        with vdagent.Peer(tmp_path) as peer, Client(vm.uri, "--devices", tmp_path) as client:
            client.wait("port", 60, name=name, opened=True)
            up, down = noise(400000, 2), noise(400000, 3)
            (tmp_path / "up").write_bytes(up)
            sender = threading.Thread(target=peer.send, args=(down,))
            sender.start()
            client.tell(f"port-write {name} {tmp_path}/up")
            assert peer.exact(len(up)) == up
            client.wait("bytes", 60, what=f"port-{name}", total=len(down))
            sender.join()
            assert (tmp_path / f"port-{name}").read_bytes() == down
            client.tell(f"port-event {name} 2")
        # What the guest says while nobody is there waits in the guest.
        with vdagent.Peer(tmp_path) as peer:
            peer.send(b"later")
            (tmp_path / f"port-{name}").unlink()
            with Client(vm.uri, "--devices", tmp_path) as client:
                client.wait("bytes", 60, what=f"port-{name}", total=5)


@pytest.mark.full
def test_usb_bytes_pass_a_slow_guest_and_a_stalled_client(tmp_path):
    with machine(tmp_path, "usb", "spicevmc,name=usbredir") as vm:
        wait_for_guest(vm)
        with vdagent.Peer(tmp_path) as peer, Channel(vm) as main:
            session = main.session()
            with Channel(vm, USBREDIR, session) as usb:
                up, down = noise(3 << 20, 4), noise(600000, 5)
                writer = threading.Thread(target=lambda: [
                    usb.send(101, up[at:at + 100000]) for at in range(0, len(up), 100000)])
                writer.start()
                time.sleep(1)  # the guest's end is not read: the client has to wait
                assert writer.is_alive()
                threading.Thread(target=peer.send, args=(down,)).start()
                got = b""
                assert peer.exact(len(up)) == up
                writer.join(60)
                while len(got) < len(down):
                    number, body = usb.receive()
                    if number == 101:
                        got += body
                assert got == down
            # Gone, and there again: the device was told of both.
            with Channel(vm, USBREDIR, session) as usb:
                usb.send(101, b"again")
                assert peer.exact(5) == b"again"


def vsc(kind, data=b"", order="<", reader=0):
    return struct.pack(order + "III", kind, reader, len(data)) + data


@pytest.mark.full
def test_a_smartcard_speaks_with_the_guest(tmp_path):
    with machine(tmp_path, "card", "spicevmc,name=smartcard") as vm:
        wait_for_guest(vm)
        with vdagent.Peer(tmp_path) as peer, Channel(vm) as main:
            with Channel(vm, SMARTCARD, main.session()) as card:
                card.send(101, vsc(3, b"reader\0"))
                assert peer.exact(12) == vsc(3, order=">")
                card.send(101, vsc(5, b"\x3b\x00"))
                assert peer.exact(14) == vsc(5, b"\x3b\x00", ">")
                for size in (5, 261, 65000):
                    command = noise(size, size)
                    peer.send(vsc(7, command, ">"))
                    while (message := card.receive())[0] != 101:
                        pass
                    assert message[1] == vsc(7, command)
                    card.send(101, vsc(7, command[::-1]))
                    assert peer.exact(12 + size) == vsc(7, command[::-1], ">")
            assert peer.exact(12) == vsc(4, order=">")  # the reader goes with its client


@pytest.mark.full
def test_hostile_clients_of_devices_lose_only_their_connection(tmp_path):
    with machine(tmp_path, "usb", "spicevmc,name=usbredir") as vm:
        wait_for_guest(vm)
        with vdagent.Peer(tmp_path) as peer, Channel(vm) as main:
            session = main.session()
            packed = struct.pack("<BI", 1, 1000)
            for number, body in ((102, packed + bytes(20)), (102, b"\1"), (77, b""),
                                 (102, struct.pack("<BI", 1, 0xffffffff) + bytes(9)), (4, b""),
                                 (5, bytes(33)), (201, b"\0")):
                with Channel(vm, USBREDIR, session) as usb:
                    usb.send(number, body)
                    assert usb.is_closed(), (number, body)
            with Channel(vm, USBREDIR, session) as usb:
                usb.send(101, b"well")
                assert peer.exact(4) == b"well"
            # An agent's message beyond what was granted, where there is no agent: nothing to break.
            main.send(107, bytes(2048))
            main.send(108, struct.pack("<I", 5))
        assert vm.qmp("query-status")["running"]
