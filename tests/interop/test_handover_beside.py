# SPDX-License-Identifier: LGPL-2.1-or-later
"""What goes from server to server beside the clients, channel by channel: the first that a client
hears of its new server is what is new, and nothing that it knows. A client of bare bytes."""
import struct
import time

import pytest

import qtest_qxl
import vdagent
from handover_pair import Pair
from spice_raw import CURSOR, DISPLAY, MAIN, Channel
from test_handover_loads import PLAYBACK, SAID, Moving
from test_handover_raw import (ATTACH_CHANNELS, DATA, FLUSH_MARK, INIT, MIGRATE, MIGRATE_DATA, Raw,
                               heard)
from test_spice_devices import SMARTCARD, noise, vsc

SET_ACK, ACK_SYNC, ACK = 3, 1, 2  # of a server, of a client, of a client
DISPLAY_INIT, DRAW_COPY, SURFACE_CREATE = 101, 304, 314
KEPT = 103  # SPICE_IMAGE_TYPE_FROM_CACHE
CURSOR_INIT, CURSOR_SET, CURSOR_MOVE = 101, 103, 104
CACHE_ME, FROM_CACHE = 2, 4
MOUSE_MODE, MOUSE_MODE_REQUEST = 105, 105  # of a server, of a client
BY_SERVER, BY_CLIENT = 1, 2
SOUND_MODE, SOUND_START, LATENCY = 102, 103, 107
LATENCY_CAP = 1 << 2
AGENT_START, TO_AGENT, FROM_AGENT = 106, 107, 109  # of a client, of a client, of a server
READER_ADD, READER_REMOVE, APDU = 3, 4, 7
AGENT, CARD = 0x2f8, 0x3e8  # the second and third serial port


def goes(pair, client, change=lambda state: state):
    """The machine goes, and all that its clients have beside them. `change`: of what the source
    tells at last."""
    pair.target.give(client.answers(), final=False)
    pair.first.qmp("migrate", uri=f"unix:{pair.directory}/migrate.sock")
    pair.target.give(change(pair.source.state(final=True)), final=True)
    pair.source.tell(cmd="state-taken")
    pair.second.qmp.wait_event("RESUME", 60)


def main_follows(client):
    heard(client.main, MIGRATE)
    client.main.send(FLUSH_MARK)
    client.there.send(MIGRATE_DATA, heard(client.main, DATA))


def with_part(state, session, kind, number, data):
    """A carried state, and one part more: of this session's channel."""
    count = 4 + 4 + 4 + 16 + 1
    parts, = struct.unpack_from("<I", state, count)
    return (state[:count] + struct.pack("<I", parts + 1) + state[count + 4:] +
            struct.pack("<IBBBI", session, kind, number, 0, len(data)) + data)


def driven(directory):
    """A pair whose guests have a QXL device that the test itself drives."""
    pair = Pair(directory, "-device", "qxl")
    for machine in (pair.first, pair.second):
        machine.argv += qtest_qxl.arguments(machine.directory / "qtest.sock")
    return pair


def flags_of(body):
    """(the name of the shape, SPICE_CURSOR_FLAGS_*) of a SET."""
    flags, unique = struct.unpack_from("<HQ", body, 5)
    return unique, flags


@pytest.mark.full
def test_the_pointer(tmp_path):
    """The client shows it, and keeps the shapes that it was sent: none is sent again."""
    with driven(tmp_path) as pair, qtest_qxl.Device(tmp_path / "source/qtest.sock") as device:
        pair.first.wait_frame(2)
        client = Raw(pair)
        here = Channel(pair.first, CURSOR, client.session, 1)
        here.send(ACK_SYNC, heard(here, SET_ACK)[:4])
        heard(here, CURSOR_INIT)
        for unique in (7, 8):
            device.shape(unique, 30, 40)
            assert flags_of(heard(here, CURSOR_SET)) == (unique, CACHE_ME)
        there = Channel(pair.second, CURSOR, client.session, 1)
        pair.second.wait_channels([(1, 0), (CURSOR, 1)])
        goes(pair, client)
        assert here.receive() == (MIGRATE, struct.pack("<I", 0)), "its cache stays"
        main_follows(client)
        there.send(ACK_SYNC, heard(there, SET_ACK)[:4])
        with device.moved(tmp_path / "target/qtest.sock") as moved:
            moved.moves(31, 40)
            assert there.receive() == (CURSOR_MOVE, struct.pack("<hh", 31, 40))
            moved.shape(7, 31, 40)
            number, body = there.receive()
            assert (number, *flags_of(body)) == (CURSOR_SET, 7, FROM_CACHE)


class Screen:
    """A display channel, its acknowledgements and its bytes."""

    def __init__(self, channel):
        self.channel, self.window, self.unread, self.bytes = channel, 0, 0, 0

    def hear(self, wanted):
        while True:
            number, body = self.channel.receive()
            self.bytes += 6 + len(body)
            self.unread += 1
            if number == SET_ACK:
                self.window, self.unread = struct.unpack_from("<I", body, 4)[0], 0
                self.channel.send(ACK_SYNC, body[:4])
            elif self.unread == self.window:
                self.channel.send(ACK)
                self.unread = 0
            if number == wanted:
                return body

    def picture(self):
        """(the image's name, its kind) of the next picture."""
        body = self.hear(DRAW_COPY)
        image, = struct.unpack_from("<I", body, 21)
        return struct.unpack_from("<QB", body, image)


@pytest.mark.full
def test_the_icons_of_a_desktop(tmp_path):
    """A guest's driver names its pictures, and the client keeps them: none is sent again."""
    icons = range(11, 19)
    with driven(tmp_path) as pair, qtest_qxl.Device(tmp_path / "source/qtest.sock") as device:
        pair.first.wait_frame(2)
        client = Raw(pair, 1)
        here = Screen(client.displays[0])
        here.channel.send(DISPLAY_INIT, struct.pack("<BqBi", 1, 1 << 20, 1, 1 << 20))
        here.hear(SURFACE_CREATE)
        names = []
        for at, icon in enumerate(icons):
            device.icon(icon, 20 * at, 40)
            name, kind = here.picture()
            assert kind != KEPT and name not in names
            names.append(name)
        there = Screen(Channel(pair.second, DISPLAY, client.session, 1))
        pair.second.wait_channels([(1, 0), (DISPLAY, 1)])
        goes(pair, client)
        assert here.hear(MIGRATE) == struct.pack("<I", 0)
        main_follows(client)
        with device.moved(tmp_path / "target/qtest.sock") as moved:
            for at, icon in enumerate(icons):
                moved.icon(icon, 20 * at, 80)
                assert there.picture() == (names[at], KEPT)
        # A kept picture and its place are less than a hundred bytes, its pixels a thousand.
        assert there.bytes < 200 * len(icons)


@pytest.mark.full
def test_the_pointer_of_a_state_that_is_late(tmp_path):
    """The source is not told that the target has it: the client's cache stays as it was told."""
    with driven(tmp_path) as pair, qtest_qxl.Device(tmp_path / "source/qtest.sock") as device:
        pair.first.wait_frame(2)
        client = Raw(pair)
        here = Channel(pair.first, CURSOR, client.session, 1)
        here.send(ACK_SYNC, heard(here, SET_ACK)[:4])
        heard(here, CURSOR_INIT)
        device.shape(7, 30, 40)
        assert flags_of(heard(here, CURSOR_SET)) == (7, CACHE_ME)
        there = Channel(pair.second, CURSOR, client.session, 1)
        pair.second.wait_channels([(1, 0), (CURSOR, 1)])
        pair.target.give(client.answers(), final=False)
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        last = pair.source.state(final=True)
        pair.second.qmp.wait_event("RESUME", 60)
        assert here.receive() == (MIGRATE, struct.pack("<I", 0))
        main_follows(client)
        there.send(ACK_SYNC, heard(there, SET_ACK)[:4])
        # The device shows its pointer anew where nothing comes in time.
        number, body = there.receive()
        assert (number, *flags_of(body)) == (CURSOR_SET, 7, CACHE_ME)
        pair.target.give(last, final=True)
        with device.moved(tmp_path / "target/qtest.sock") as moved:
            moved.moves(31, 40)
            assert there.receive() == (CURSOR_MOVE, struct.pack("<hh", 31, 40))


@pytest.mark.full
def test_the_mouse_mode(tmp_path):
    """A client that points by itself need not ask for it anew."""
    agent = ("-chardev", "spicevmc,id=agent,name=vdagent", "-device",
             "isa-serial,chardev=agent,index=1")
    with Pair(tmp_path, *agent) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        client.main.send(MOUSE_MODE_REQUEST, struct.pack("<H", BY_CLIENT))
        by_client = struct.pack("<HH", BY_SERVER | BY_CLIENT, BY_CLIENT)
        assert heard(client.main, MOUSE_MODE) == by_client
        goes(pair, client)
        main_follows(client)
        assert heard(client.there, MOUSE_MODE) == by_client


@pytest.mark.full
def test_the_latency_of_sound(tmp_path):
    """It is told again where sound begins: the client begins with one of its own. What the source
    tells without a video, of which there is none here, is put in its place."""
    pair = Pair(tmp_path, "-audiodev", "spice,id=sound", "-machine", "pcspk-audiodev=sound")
    pair.second.argv += qtest_qxl.arguments(pair.second.directory / "qtest.sock")
    with pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        sound = Moving(pair.first, PLAYBACK, client.session, caps=LATENCY_CAP)
        sound.link(pair.second)
        pair.second.wait_channels([(1, 0), (PLAYBACK, 0)])
        told = b"SGPB" + struct.pack("<II", 1, 123)
        goes(pair, client, lambda state: with_part(state, client.session, PLAYBACK, 0, told))
        sound.move()
        main_follows(client)
        with qtest_qxl.Wire(tmp_path / "target/qtest.sock") as wire:
            wire.beep()
            heard(sound.here, SOUND_START)
            assert heard(sound.here, LATENCY) == struct.pack("<I", 123)


class Serial(qtest_qxl.Wire):
    """The machine's serial ports, as its processor uses them: a byte at a time, either way."""

    def say(self, port, data):
        for byte in data:
            self.ask("outb", hex(port), hex(byte))

    def wait(self, port):
        """Until the port has something."""
        end = time.monotonic() + 60
        while not self.ask("inb", hex(port + 5)) & 1:
            assert time.monotonic() < end, "nothing comes"
            time.sleep(0.01)

    def hear(self, port, size):
        data = b""
        while len(data) < size:
            self.wait(port)
            data += bytes([self.ask("inb", hex(port))])
        return data


def message(kind, data=b""):
    """Of the agent's protocol."""
    return struct.pack("<IIQI", 1, kind, 0, len(data)) + data


def chunk(data, port=vdagent.CLIENT_PORT):
    return struct.pack("<II", port, len(data)) + data


def with_ports(directory):
    """A pair whose guest's agent and card reader are serial ports, which the test itself drives."""
    pair = Pair(directory, "-chardev", "spicevmc,id=agent,name=vdagent",
                "-device", "isa-serial,chardev=agent,index=1",
                "-chardev", "spicevmc,id=card,name=smartcard",
                "-device", "isa-serial,chardev=card,index=2", held=True)
    for machine in (pair.first, pair.second):
        machine.argv += qtest_qxl.arguments(machine.directory / "qtest.sock")
    return pair


@pytest.mark.full
def test_what_stands_in_the_ports_of_devices(tmp_path):
    """The machine leaves in the middle of what its agent and its card reader say, and of what they
    are told; the client that would bring the rest dies. The guest hears whole messages, and that
    its client has gone; the next client hears whole messages, too."""
    first, second, third = (message(vdagent.CLIPBOARD, noise(40, seed)) for seed in range(3))
    request = message(vdagent.REQUEST, bytes(8))
    answer = vsc(APDU, noise(30), ">")
    with with_ports(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        card = Moving(pair.first, SMARTCARD, client.session)
        card.link(pair.second)
        client.main.send(AGENT_START, struct.pack("<I", 10))
        client.main.send(TO_AGENT, request)
        card.here.send(SAID, vsc(READER_ADD))
        with Serial(tmp_path / "source/qtest.sock") as here:
            for port in (AGENT, CARD):
                here.wait(port)  # it takes one byte, and the rest waits in the server
            here.say(AGENT, chunk(first))
            assert heard(client.main, FROM_AGENT) == first
            here.say(AGENT, chunk(second)[:30])
            here.say(CARD, answer[:17])
        pair.target.give(client.answers(), final=False)
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        pair.target.give(pair.source.state(final=True), final=True)
        for channel in (client.main, client.there, card.here, card.there):
            channel.close()
        pair.wait_moved()
        pair.second.wait_channels([])
        pair.second.qmp("cont")
        with Serial(tmp_path / "target/qtest.sock") as there:
            gone = chunk(message(vdagent.DISCONNECTED), vdagent.SERVER_PORT)
            told = chunk(request) + gone
            assert there.hear(AGENT, len(told)) == told
            told = vsc(READER_ADD, order=">") + vsc(READER_REMOVE, order=">")
            assert there.hear(CARD, len(told)) == told
            there.say(AGENT, chunk(second)[30:])
            there.say(CARD, answer[17:])

            main = Channel(pair.second, MAIN)
            session, _, _, _, has_agent = struct.unpack_from("<5I", heard(main, INIT))
            assert has_agent == 1, "it was taken for one that breaks its protocol"
            main.send(ATTACH_CHANNELS)
            main.send(AGENT_START, struct.pack("<I", 10))
            main.send(TO_AGENT, request)
            assert there.hear(AGENT, len(chunk(request))) == chunk(request)
            there.say(AGENT, chunk(third))
            assert heard(main, FROM_AGENT) == third
            card = Channel(pair.second, SMARTCARD, session)
            card.send(SAID, vsc(READER_ADD))
            assert there.hear(CARD, 12) == vsc(READER_ADD, order=">")
            there.say(CARD, vsc(APDU, b"answered", ">"))
            assert heard(card, SAID) == vsc(APDU, b"answered")
