# SPDX-License-Identifier: LGPL-2.1-or-later
"""A client of bare bytes: state that it made up, and what it is told when its machine leaves."""
import struct
import time
from contextlib import ExitStack

import pytest

from handover_cells import wait_until
from handover_pair import Pair
from spice_raw import DISPLAY, INPUTS, MAIN, Channel
from test_handover_late import LATE, PORT

MIGRATE, DATA, MIGRATE_DATA = 1, 2, 5  # of a server, of a server; of a client
FLUSH_MARK = 4  # of a client
INIT, CHANNELS_LIST, MEDIA_TIME = 103, 104, 106  # of a server
PING, PONG = 4, 3  # of a server, of a client
INVAL_ALL_PALETTES = 108  # of a server, when it has read DISPLAY_INIT
ATTACH_CHANNELS, DO_SEAMLESS, CONNECTED_SEAMLESS = 104, 110, 111  # of a client
CONNECTED, MIGRATE_END = 102, 112  # of a client, of a server
BEGIN_SEAMLESS, ACK = 116, 117  # of a server
NEED_ALL = 3  # a flush mark, and the state

INPUTS_STATE = b"ICMD" + struct.pack("<IH", 1, 0)
MAIN_STATE = b"MNMD" + struct.pack("<II", 1, 1) + bytes(53)
AGES = b"SGMT" + struct.pack("<II", 1, 1 << 30)  # a media time


def heard(channel, wanted):
    """The body of the next message of this number; pings before it are answered."""
    while True:
        number, body = channel.receive()
        if number == wanted:
            return body
        if number == PING:
            channel.send(PONG, body[:12])


class Raw:
    """A client that has been told where its machine goes, and waits for its state there."""

    def __init__(self, pair, *displays, asks=True):
        self.pair = pair
        begun = time.monotonic()
        self.main = Channel(pair.first, MAIN)
        init = heard(self.main, INIT)
        self.since = begun, time.monotonic()  # it was told in between
        self.session, self.time = struct.unpack_from("<I", init)[0], struct.unpack_from(
            "<I", init, 24)[0]
        self.main.send(ATTACH_CHANNELS)
        self.displays = [Channel(pair.first, DISPLAY, self.session, number) for number in displays]
        pair.announce()
        heard(self.main, BEGIN_SEAMLESS)
        self.there = Channel(pair.second, MAIN, self.session)
        if asks:
            self.ask()

    def ask(self):
        self.there.send(DO_SEAMLESS, struct.pack("<I", 1))
        heard(self.there, ACK)

    def is_about(self, there, asked):
        """Whether it is the source's media time, to two seconds; told between `asked`, a time, and
        now."""
        begun, heard_at = self.since
        least, most = asked - heard_at - 2, time.monotonic() - begun + 2
        passed = ((there - self.time + (1 << 31)) % (1 << 32) - (1 << 31)) / 1000
        return least < passed < most

    def links(self, kind):
        channel = Channel(self.pair.second, kind, self.session)
        self.pair.second.wait_channels([(1, 0), (kind, 0)])
        return channel

    def answers(self):
        """The source hears that it is linked; its first state, with the key, is on the way."""
        self.main.send(CONNECTED_SEAMLESS)
        while self.pair.source.wait("clients-linked")["linked"] != 1:
            pass
        self.pair.source.tell(cmd="carry-state")
        return self.pair.source.state(final=False)


@pytest.mark.full
def test_a_channel_that_is_linked_behind_the_key(tmp_path):
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        pair.target.give(client.answers(), final=False)
        inputs = client.links(INPUTS)
        inputs.send(MIGRATE_DATA, INPUTS_STATE)
        assert inputs.is_closed()
        pair.second.wait_channels([(1, 0)])


@pytest.mark.full
@pytest.mark.parametrize("kind, state, left", [(INPUTS, INPUTS_STATE, [(1, 0)]),
                                               (MAIN, MAIN_STATE, [])], ids=["inputs", "main"])
def test_state_that_is_brought_before_the_key(tmp_path, kind, state, left):
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        inputs = client.links(INPUTS)
        channel = inputs if kind == INPUTS else client.there
        channel.send(MIGRATE_DATA, state)
        # Another server's clients have no seal: until the key comes this may be one.
        status = pair.target.status()["clients"][0]
        while kind == MAIN and status["parked"]:
            status = pair.target.status()["clients"][0]
        pair.second.wait_channels([(1, 0), (3, 0)])
        pair.target.give(client.answers(), final=False)
        assert channel.is_closed()
        pair.second.wait_channels(left)


@pytest.mark.full
def test_state_that_is_brought_before_the_key_on_a_channel_that_ends(tmp_path):
    """What it did stays, and so the client goes."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        inputs = client.links(INPUTS)
        inputs.send(MIGRATE_DATA, INPUTS_STATE)
        inputs.close()
        pair.second.wait_channels([(1, 0)])
        pair.target.give(client.answers(), final=False)
        assert client.there.is_closed()
        pair.second.wait_channels([])


@pytest.mark.full
def test_a_second_display_that_was_not_ready(tmp_path):
    """It had nothing to tell, and is asked for all; the state of the first one went beside it."""
    with Pair(tmp_path, "-device", "secondary-vga") as pair:
        pair.first.wait_frame(2)
        client = Raw(pair, 0, 1)
        first, second = client.displays
        first.send(101, struct.pack("<BqBi", 1, 1 << 20, 1, 1 << 20))  # DISPLAY_INIT
        heard(first, INVAL_ALL_PALETTES)
        pair.target.give(client.answers(), final=False)
        pair.first.qmp("migrate-set-capabilities", capabilities=[
            {"capability": "pause-before-switchover", "state": True}])
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        pair.target.give(pair.source.state(final=True), final=True)
        pair.source.tell(cmd="state-taken")
        pair.source.status()
        # The guest has stopped a moment before QEMU waits.
        wait_until(lambda: pair.first.qmp("query-migrate")["status"] == "pre-switchover",
                   "QEMU waits to switch over")
        pair.first.qmp("migrate-continue", state="pre-switchover")
        assert heard(first, MIGRATE) == struct.pack("<I", 0)
        assert heard(second, MIGRATE) == struct.pack("<I", NEED_ALL)


@pytest.mark.full
@pytest.mark.parametrize("way", ["through", "beside"])
def test_the_media_time_goes_on(tmp_path, way):
    """It counts from when a host was started, and the target's was started a day later."""
    with Pair(tmp_path, ahead=86400, crowd=True) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        first = client.answers()
        if way == "beside":
            pair.target.give(first, final=False)
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        last = pair.source.state(final=True)
        if way == "beside":
            pair.target.give(last, final=True)
            # Before its main channel brings it, too.
            asked = time.monotonic()
            with Channel(pair.second, MAIN) as other:
                there = struct.unpack_from("<I", heard(other, INIT), 24)[0]
            assert client.is_about(there, asked)
            pair.source.tell(cmd="state-taken")
        heard(client.main, MIGRATE)
        client.main.send(FLUSH_MARK)
        asked = time.monotonic()
        client.there.send(MIGRATE_DATA, heard(client.main, DATA))
        assert client.is_about(struct.unpack("<I", heard(client.there, MEDIA_TIME))[0], asked)


@pytest.mark.full
@pytest.mark.parametrize("others", [0, 1])
def test_the_media_time_of_a_client_that_made_it_up(tmp_path, others):
    """Without a seal it is believed from the one client that there is, and hurts nobody else."""
    with Pair(tmp_path, crowd=True) as pair:
        pair.first.wait_frame(2)
        with ExitStack() as stack:
            for number in range(others):
                stack.enter_context(Channel(pair.second, MAIN, connection_id=78 + number))
            with Channel(pair.second, MAIN, connection_id=77) as main:
                pair.second.wait_channels([(1, 0)] * (1 + others))
                main.send(DO_SEAMLESS, struct.pack("<I", 1))
                heard(main, ACK)
                main.send(MIGRATE_DATA, MAIN_STATE + AGES)
                there = struct.unpack("<I", heard(main, MEDIA_TIME))[0]
                assert (there >= 1 << 30) is (others == 0)


@pytest.mark.full
def test_the_source_tells_the_media_time_that_a_client_made_up(tmp_path):
    """The client was alone when it said so; the source has its say later, and for all."""
    with Pair(tmp_path, crowd=True) as pair:
        pair.first.wait_frame(2)
        with Channel(pair.second, MAIN, connection_id=77) as liar:
            liar.send(DO_SEAMLESS, struct.pack("<I", 1))
            heard(liar, ACK)
            liar.send(MIGRATE_DATA, MAIN_STATE + AGES)
            assert struct.unpack("<I", heard(liar, MEDIA_TIME))[0] >= 1 << 30
            client = Raw(pair)
            pair.target.give(client.answers(), final=False)
            assert liar.is_closed()
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        pair.target.give(pair.source.state(final=True), final=True)
        asked = time.monotonic()
        with Channel(pair.second, MAIN) as other:
            assert client.is_about(struct.unpack_from("<I", heard(other, INIT), 24)[0], asked)


@pytest.mark.full
def test_one_that_wakes_shortly_behind_the_end_has_the_time_of_the_others(tmp_path):
    """It stood still for most of the ten seconds in which clients follow: it is given ten more."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair, asks=False)
        client.main.send(CONNECTED)
        while pair.source.wait("clients-linked")["linked"] != 1:
            pass
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        pair.first.qmp.wait_event("STOP", 60)
        time.sleep(8)  # so long it neither reads nor answers
        heard(client.main, MIGRATE_END)
        assert not client.main.is_closed(5)


@pytest.mark.full
def test_one_that_comes_to_a_stand_between_two_messages(tmp_path):
    """It has answered the question, and not read MIGRATE behind it: it is waited for as one that
    has read neither."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        client.main.send(CONNECTED_SEAMLESS)
        while pair.source.wait("clients-linked")["linked"] != 1:
            pass
        pair.first.qmp("migrate", uri=f"unix:{tmp_path}/migrate.sock")
        heard(client.main, MIGRATE)
        # Longer than the 10 s in which clients follow.
        assert not client.main.is_closed(13)
        client.main.send(FLUSH_MARK)
        heard(client.main, DATA)


@pytest.mark.full
@pytest.mark.parametrize("link", ["parked", "connected"])
def test_a_device_that_is_plugged_in_again_before_the_client_comes(tmp_path, link):
    """A link that has not seen the old one is the new one's; else the client is told of it once it
    is there, and the link to the old one is closed."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        pair.second.qmp("chardev-add", **LATE)
        client = Raw(pair, asks=link == "connected")
        port = client.links(PORT[0])
        pair.second.qmp("chardev-remove", id=LATE["id"])
        pair.second.qmp("chardev-add", **LATE)
        if link == "parked":
            client.ask()
        client.there.send(MIGRATE_DATA, MAIN_STATE)
        heard(client.there, MEDIA_TIME)
        if link == "connected":
            assert heard(client.there, CHANNELS_LIST) == struct.pack("<IBB", 1, *PORT)
            assert port.is_closed()
            pair.second.wait_channels([(1, 0)])
            port = client.links(PORT[0])
        assert not port.is_closed(2)
        pair.second.wait_channels([(1, 0), PORT])


@pytest.mark.full
def test_a_device_that_is_unplugged_before_the_client_comes(tmp_path):
    """Its channel stays until then: the end of one connection would be taken for the end of all."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        pair.second.qmp("chardev-add", **LATE)
        client = Raw(pair)
        port = client.links(PORT[0])
        pair.second.qmp("chardev-remove", id=LATE["id"])
        assert not port.is_closed(1)
        assert PORT in pair.second.channels()
        client.there.send(MIGRATE_DATA, MAIN_STATE)
        assert port.is_closed()
        pair.second.wait_channels([(1, 0)])


@pytest.mark.full
def test_one_that_has_not_come_yet_is_not_asked_whether_it_lives(tmp_path):
    """It throws the question away: a question that is never answered would cost its session."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair)
        pair.second.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                        port=pair.ports[0])
        # Its time to link is up: that is when clients are asked.
        pair.target.wait("clients-linked")
        pair.target.status()
        client.there.send(MIGRATE_DATA, MAIN_STATE)
        while (number := client.there.receive()[0]) != MEDIA_TIME:
            assert number != PING


@pytest.mark.full
def test_a_parked_channel_that_says_too_much(tmp_path):
    """It is closed: one that is not read would stay for ever."""
    with Pair(tmp_path) as pair:
        pair.first.wait_frame(2)
        client = Raw(pair, asks=False)
        inputs = client.links(INPUTS)
        try:
            inputs.send(101, bytes(1 << 18))
        except ConnectionError:
            pass
        pair.second.wait_channels([(1, 0)])
