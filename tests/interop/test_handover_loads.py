# SPDX-License-Identifier: LGPL-2.1-or-later
"""A seamless move in the middle of work: every byte arrives once, and no device notices."""
import struct
import threading
import time
from contextlib import ExitStack

import guest
import pytest

import vdagent
from handover_cells import wait_until
from handover_pair import Pair
from spice_lab import Client, Machine
from spice_raw import MAIN, Channel
from test_handover_raw import (ACK, ATTACH_CHANNELS, BEGIN_SEAMLESS, CONNECTED_SEAMLESS, DATA,
                               DO_SEAMLESS, FLUSH_MARK, INIT, MIGRATE, MIGRATE_DATA, PING, PONG,
                               Raw, heard)
from test_spice_devices import AGENT_PORT, SMARTCARD, USBREDIR, noise, vsc, wait_for_guest
from test_spice_devices_move import left_over, move

PAIRS = [("segue", "segue"), ("segue", "stock"), ("stock", "segue")]
PLAYBACK = 5
SAID = 101  # what a device says, either way
NEED_FLUSH, NEED_DATA = 1, 2


class Moving:
    """A channel of bare bytes that moves as a client's does; what its device said is in `said`."""

    def __init__(self, machine, kind, session, caps=0):
        self.kind, self.session, self.caps = kind, session, caps
        self.here = Channel(machine, kind, session, caps=caps)
        self.there, self.said = None, []

    def link(self, machine):
        self.there = Channel(machine, self.kind, self.session, caps=self.caps)

    def hear(self, wanted, of=None):
        """The body of the next message of this number; what the device says before it is kept."""
        channel = of or self.here
        while True:
            number, body = channel.receive()
            if number == wanted:
                return body
            if number == PING:
                channel.send(PONG, body[:12])
            elif number == SAID:
                self.said.append(body)

    def hear_device(self, messages):
        """Until it has said so many."""
        while len(self.said) < messages:
            number, body = self.here.receive()
            if number == PING:
                self.here.send(PONG, body[:12])
            elif number == SAID:
                self.said.append(body)

    def move(self):
        flags, = struct.unpack("<I", self.hear(MIGRATE))
        if flags & NEED_FLUSH:
            self.here.send(FLUSH_MARK)
        if flags & NEED_DATA:
            self.there.send(MIGRATE_DATA, self.hear(DATA))
        self.here.close()
        self.here = self.there


def machine(directory, library, *more):
    """USB and smartcard as SPICE devices of a guest that repeats on either what it hears."""
    directory.mkdir()
    return Machine(directory, "-chardev", "spicevmc,id=usb,name=usbredir",
                   "-device", "isa-serial,chardev=usb,index=1",
                   "-chardev", "spicevmc,id=card,name=smartcard",
                   "-device", "isa-serial,chardev=card,index=2",
                   *guest.echo_disk(directory / "disk.img"), *more, library=library,
                   options="seamless-migration=on", tcp=True)


@pytest.mark.full
@pytest.mark.parametrize("source, target", PAIRS)
def test_usb_and_smartcard_in_flight(tmp_path, source, target):
    """A transfer both ways, and a command to a card that is answered behind the move. The reader
    stays in: nobody tells the guest that it went. (What stock reads in pieces from a card's guest
    it spoils, moved or not: of that only the kind and the size are held against what was said.)"""
    sent, command = noise(20000, 1), noise(300, 2)
    first = machine(tmp_path / "source", source)
    second = machine(tmp_path / "target", target, "-incoming", f"unix:{tmp_path}/migrate.sock")
    with first, second:
        first.ticks.wait(1)
        main = Channel(first, MAIN)
        session, = struct.unpack_from("<I", heard(main, INIT))
        main.send(ATTACH_CHANNELS)
        usb, card = Moving(first, USBREDIR, session), Moving(first, SMARTCARD, session)
        added, inserted = vsc(3, b"reader\0"), vsc(5, b"\x3b\x00")
        for message in (added, inserted):
            card.here.send(SAID, message)
        card.hear_device(2)

        first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1", port=second.port)
        heard(main, BEGIN_SEAMLESS)
        there = Channel(second, MAIN, session)
        there.send(DO_SEAMLESS, struct.pack("<I", 1))
        heard(there, ACK)
        for channel in (usb, card):
            channel.link(second)
        main.send(CONNECTED_SEAMLESS)
        time.sleep(2 if source == "stock" else 0)  # it does not say when it has heard

        for at in range(0, 12000, 3000):
            usb.here.send(SAID, sent[at:at + 3000])
        usb.hear_device(1)  # the rest is in the server, the guest and the line
        card.here.send(SAID, vsc(7, command))
        first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        first.qmp.wait_event("STOP", 60)
        for channel in (usb, card):
            channel.move()
        heard(main, MIGRATE)
        main.send(FLUSH_MARK)
        there.send(MIGRATE_DATA, heard(main, DATA))
        second.qmp.wait_event("RESUME", 60)
        assert len(b"".join(usb.said)) < 12000, "nothing was in flight"

        usb.here.send(SAID, sent[12000:])
        while len(b"".join(usb.said)) < len(sent):
            usb.hear_device(len(usb.said) + 1)
        assert b"".join(usb.said) == sent
        card.hear_device(3)
        # Behind what is still to come, if anything is.
        card.here.send(SAID, vsc(7, command[::-1]))
        card.hear_device(4)
        answers = [vsc(7, command), vsc(7, command[::-1])]
        assert [message[:4] for message in card.said[:2]] == [added[:4], inserted[:4]]
        assert [message[:12] for message in card.said[2:]] == [one[:12] for one in answers]
        if target == "segue":
            assert card.said[2:] == answers


class Listener(Moving):
    """A playback channel. `late`: of each piece, when it came beyond when it is to be played, in
    ms; what is the same for all of them does not matter."""

    def __init__(self, machine, session):
        super().__init__(machine, PLAYBACK, session)
        self.late = []
        self.here.socket.settimeout(20)

    def hear_device(self, messages):
        while len(self.said) < messages:
            super().hear_device(len(self.said) + 1)
            stamp, = struct.unpack_from("<I", self.said[-1])
            self.late.append((int(time.monotonic() * 1000) - stamp) % (1 << 32))


@pytest.mark.soak
def test_sound_goes_on_in_its_time(tmp_path):
    """Sound and videos are timed by the same clock: what sound is late by after the move, beyond
    what it was before, it is apart from the pictures by. The source's host is a day ahead."""
    with Pair(tmp_path, "-audiodev", "spice,id=sound", "-machine", "pcspk-audiodev=sound",
              disk=guest.linux("load=beep:1000", tick=0), ahead=86400) as pair:
        wait_until(lambda: b"beep ready" in pair.first.ticks.text(), "the guest does not sound")
        client = Raw(pair)
        sound = Listener(pair.first, client.session)
        sound.link(pair.second)
        sound.there.socket.settimeout(20)
        pair.target.give(client.answers(), final=False)
        sound.hear_device(100)
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        pair.target.give(pair.source.state(final=True), final=True)
        pair.source.tell(cmd="state-taken")
        sound.move()
        before = len(sound.late)
        heard(client.main, MIGRATE)
        client.main.send(FLUSH_MARK)
        client.there.send(MIGRATE_DATA, heard(client.main, DATA))
        sound.hear_device(len(sound.said) + 100)
        # The least of many: what a busy host adds is not the clock's.
        earlier, later = min(sound.late[:before]), min(sound.late[before:])
        assert abs(later - earlier) <= 40
        stamps = [struct.unpack_from("<I", body)[0] for body in sound.said]
        steps = [(b - a) % (1 << 32) for a, b in zip(stamps, stamps[1:])]
        assert max(steps) < 1 << 31, "it stepped back"


class MovingAgent(vdagent.Agent):
    """An agent whose machine moves. It hears all that the source's machine says: a virtio-serial
    port that waits for its reader when the machine leaves may be broken at its target ("Virtqueue
    size exceeded": QEMU 7.2 writes on what waited while it loads the queue). From pause() on it
    reads nothing, until follow() tells it what the source's machine had written, and where to go
    on."""

    def __init__(self, directory):
        self.may_read = threading.Event()
        self.may_read.set()
        self.reading = threading.Lock()
        self.brought = b""
        super().__init__(directory)

    def exact(self, size):
        data = b""
        while len(data) < size:
            self.may_read.wait()
            with self.reading:
                if self.may_read.is_set():
                    data += self.more(size - len(data))
        return data

    def more(self, size):
        """At most so much of what it has; it looks at times whether it may go on."""
        if self.brought:
            data, self.brought = self.brought[:size], self.brought[size:]
            return data
        try:
            data = self.socket.recv(min(4096, size))
        except (TimeoutError, BlockingIOError):
            return b""
        if not data:
            raise ConnectionError("the guest's end closed")
        return data

    def pause(self):
        self.may_read.clear()
        with self.reading:
            pass  # what it was just reading, it has

    def follow(self, brought, there):
        self.brought, self.socket = brought, there.socket
        self.socket.settimeout(0.1)
        self.may_read.set()


def agents_machine(directory, library, *more):
    directory.mkdir()
    return Machine(directory, *vdagent.devices(directory, (AGENT_PORT, "spicevmc,name=vdagent")),
                   *guest.linux(f"load=pipe:{AGENT_PORT}:peer:100", tick=0), *more,
                   library=library, options="seamless-migration=on", tcp=True)


# Stock's server as the target passes over what a client says to the agent before the guest's port
# is open there, though it has told the client that the move is over.
@pytest.mark.parametrize("source", [pytest.param("segue", marks=pytest.mark.full),
                                    pytest.param("stock", marks=pytest.mark.soak)])
def test_a_file_and_the_clipboard_in_flight(tmp_path, source):
    """Both on their way to the agent when the machine leaves; spice-gtk."""
    first = agents_machine(tmp_path / "source", source)
    second = agents_machine(tmp_path / "target", "segue", "-incoming",
                            f"unix:{tmp_path}/migrate.sock")
    text, content = noise(150000, 4), noise(800000, 5)
    (tmp_path / "copied").write_bytes(text)
    (tmp_path / "file").write_bytes(content)
    with first, second:
        wait_for_guest(first)
        with MovingAgent(tmp_path / "source") as agent, \
                Client(first.uri, "--devices", tmp_path) as client:
            agent.socket.settimeout(0.1)
            client.wait("mouse-mode")
            agent.announce()
            client.wait("agent-ready", 60)
            with vdagent.Peer(tmp_path / "target", timeout=60) as there:
                client.tell(f"send-file {tmp_path}/file")
                agent.wait(vdagent.FILE_DATA, 60)
                client.tell(f"copy {tmp_path}/copied")
                move(first, second, client, tmp_path)
                agent.pause()
                assert sum(map(len, agent.files.values())) < len(content), "nothing is in flight"
                agent.follow(left_over(first, agent), there)
                assert client.wait("file-sent", 60)["ok"] is True
                agent.wait(vdagent.CLIPBOARD, 60, lambda data: data[8:] == text)
            assert list(agent.files.values()) == [content]
            assert client.count("agent", connected=False) == 0, "the client did not notice"
            assert client.count("disconnected") == 0
