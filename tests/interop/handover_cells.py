# SPDX-License-Identifier: LGPL-2.1-or-later
"""The matrix of the hand-over: its cells, and one move of one of them on real QEMUs and clients.

A cell: whose server is the source and whose the target, whose client looks, how it moves, over
what line. Whatever the cell: the client ends with the picture of the machine where that runs, on
four channels, and nothing of it is left at the source. Where our source has the say, it moves in
the manner that client and servers allow; stock's source does not wait for a client, and may send
it anew.
"""
import itertools
import time
from collections import namedtuple
from contextlib import ExitStack

import cells
import guest
import viewer
from line import Line
from hosts import free_port
from spice_lab import CHANNELS, Client, Machine, environment, same_picture
from test_spice_control import Control

Cell = namedtuple("Cell", "source target client manner security line")

SERVERS = ("segue", "stock")
CLIENTS = ("spice-gtk", "segue-view")
MANNERS = ("seamless", "semi", "switch-host")
SECURITIES = ("plain", "tls")
# (round trip in ms, bytes a second)
LINES = {"near": (0, 0), "40ms": (40, 0), "200ms": (200, 0), "20mbit": (0, 2_500_000)}

ALL = [Cell(*values) for values in itertools.product(SERVERS, SERVERS, CLIENTS, MANNERS, SECURITIES,
                                                     LINES)]
# Every two values of two columns meet in one of these.
FEW = [Cell(*words.split()) for words in (
    "segue segue spice-gtk  seamless    plain near",
    "segue segue segue-view seamless    tls   40ms",
    "segue stock spice-gtk  seamless    plain 200ms",
    "segue stock segue-view seamless    plain 20mbit",
    "stock stock spice-gtk  seamless    plain 20mbit",
    "segue segue spice-gtk  seamless    plain 20mbit",
    "stock stock segue-view semi        plain near",
    "stock segue spice-gtk  semi        tls   40ms",
    "segue segue segue-view semi        tls   200ms",
    "segue stock spice-gtk  semi        plain 20mbit",
    "segue segue segue-view switch-host tls   near",
    "stock stock segue-view switch-host plain 40ms",
    "stock segue spice-gtk  switch-host plain 200ms",
    "segue stock spice-gtk  switch-host tls   20mbit",
)]
# And with a film on the screen, which the servers send as MJPEG: with segue-view, which tells how
# its frames came, every pair of servers; every manner but a login anew.
FILMS = [Cell(*words.split()) for words in (
    "segue segue segue-view seamless    plain 40ms",
    "segue stock segue-view seamless    plain near",
    "stock segue segue-view seamless    tls   near",
    "segue segue segue-view semi        tls   20mbit",
)]
FILM = "load=paint:640x480:25:film"
# How a client is made to do no more than this.
MASKS = {
    "seamless": {},
    "semi": {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0"},
    "switch-host": {"SPICE_MAIN_CAP_SEAMLESS_MIGRATE": "0",
                    "SPICE_MAIN_CAP_SEMI_SEAMLESS_MIGRATE": "0"},
}
SUBJECT = "O=Segue,CN=127.0.0.1"  # of test_spice_tls.py's certificate


def name_of(cell):
    return "-".join(cell)


def wait_until(condition, what, timeout=60):
    end = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(what() if callable(what) else what)
        time.sleep(0.05)


class StockViewer:
    """spice-gtk's client."""

    def __init__(self, directory, address, manner, authority, *more):
        options = ["--ca", authority] if authority else []
        self.client = Client(f"spice://{address}", *options, *more, environment=MASKS[manner])
        self.directory = directory

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.__exit__()

    def wait_connected(self):
        self.client.linked()

    def manner(self):
        """How it has moved, as far as this client says."""
        return "switch-host" if self.client.count("migration", state="switching") else None

    def story(self):
        return [event for event in self.client.events if event["event"] != "draw"]

    def sessions_lost(self):
        return self.client.count("disconnected")

    def wait_linked(self):
        """More than links at the target cannot be seen of this client."""

    def shows(self, machine):
        shot = f"shot {self.directory / 'first.ppm'}"
        wait_until(lambda: "error" not in self.client.tell(shot), "the viewer has no picture")
        return same_picture(machine, self.client, self.directory, timeout=60)


class OwnViewer:
    """segue-view, headless; its pictures are those that it has shown."""

    def __init__(self, directory, address, manner, authority, *more):
        self.frames = directory / "frames"
        self.frames.mkdir()
        options = ["--spice-secure-channels=all", f"--spice-ca-file={authority}"] * bool(authority)
        self.view = viewer.Viewer(directory / "view", f"spice://{address}", *options,
                                  f"--frames={self.frames}", *more, environment=MASKS[manner])

    def __enter__(self):
        self.view.__enter__()
        return self

    def __exit__(self, *_):
        self.view.__exit__()

    def wait_connected(self):
        self.view.wait("connected", timeout=60)
        self.view.wait("frame", timeout=60)

    def manner(self):
        switches = self.view.named("switch")
        return switches[-1]["manner"].replace("semi-seamless", "semi") if switches else None

    def story(self):
        return [event for event in self.view.events if event["event"] != "frame"]

    def sessions_lost(self):
        return len(self.view.named("disconnected"))

    def wait_film(self):
        """Until a frame of a video is shown that is newer than this call."""
        seen = len(self.view.named("frame"))
        wait_until(lambda: any(frame["codec"] == "mjpeg"
                               for frame in self.view.named("frame")[seen:]),
                   "nothing comes as a video", 120)

    def wait_linked(self):
        self.view.wait("target-connected", timeout=60)

    def shows(self, machine):
        wanted = machine.picture()

        def is_shown():
            shown = sorted(self.frames.glob("*.png"))
            try:
                last = cells.Picture.read(shown[-1]) if shown else None
            except (ValueError, OSError, EOFError, IndexError):
                return False  # it is just being written
            return last is not None and (last.width, last.height, bytes(last.data)) == (
                wanted.width, wanted.height, bytes(wanted.data))
        wait_until(is_shown, "the viewer does not show the machine's picture")
        return True


VIEWERS = {"spice-gtk": StockViewer, "segue-view": OwnViewer}


class Move:
    """One cell: two machines, their lines, a viewer; a context manager. `wait`: until the viewer
    shows the machine. `held`: at the target the machine waits for `cont`. `film`: one plays."""

    def __init__(self, directory, cell, certificates=None, wait=True, held=False, film=False):
        self.directory, self.cell, self.wait = directory, cell, wait
        self.certificates = certificates if cell.security == "tls" else None
        self.rtt_ms, self.rate = LINES[cell.line]
        self.film = film
        disk = (guest.linux(FILM, tick=0) if film
                else guest.boot_disk(directory / "disk.img", fps=20))
        self.first = self.machine("source", cell.source, *disk)
        self.second = self.machine("target", cell.target, *disk, "-incoming",
                                   f"unix:{directory}/migrate.sock", *["-S"] * held)

    def machine(self, name, library, *arguments):
        options = ["seamless-migration=on"] + ["streaming-video=all"] * self.film
        tls_port = free_port()
        if self.certificates:
            # spice-gtk follows to a secure port only from a plain one that refuses it.
            options += [f"tls-port={tls_port}", f"x509-dir={self.certificates}",
                        "tls-channel=default"]
        made = Machine(self.directory / name, *arguments, library=library, tcp=True,
                       options=",".join(options))
        if library == "segue":
            made.environment = {**environment(library),
                                "SEGUE_SPICE_CONTROL": str(self.directory / f"{name}.control")}
        made.served_port = tls_port if self.certificates else made.port
        return made

    def __enter__(self):
        with ExitStack() as stack:
            for machine in (self.first, self.second):
                stack.enter_context(machine)
            self.source = (Control(self.directory / "source.control")
                           if self.cell.source == "segue" else None)
            self.lines = [stack.enter_context(Line(machine.served_port, self.rtt_ms, self.rate))
                          for machine in (self.first, self.second)]
            self.first.wait_frame(2)
            port = self.lines[0].port
            address = f"127.0.0.1?tls-port={port}" if self.certificates else f"127.0.0.1:{port}"
            authority = self.certificates / "ca-cert.pem" if self.certificates else None
            self.viewer = stack.enter_context(VIEWERS[self.cell.client](
                self.directory, address, self.cell.manner, authority))
            if self.wait:
                self.viewer.wait_connected()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    def announce(self):
        port = self.lines[1].port
        to = {"port": port}
        if self.certificates:
            to = {"port": self.second.port, "tls_port": port, "cert_subject": SUBJECT}
        self.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1", **to)
        if self.cell.manner == "switch-host":
            return
        wait_until(lambda: len(self.second.channels()) == 4, "the client does not link")
        self.viewer.wait_linked()
        self.wait_answered()

    def wait_answered(self):
        """Until the source has heard that its client is linked to the target."""
        if self.source is None:
            # Stock's does not say when: the answer is on its way.
            time.sleep(2 + 2 * self.rtt_ms / 1000)
            return

        def is_linked():
            clients = self.source.status()["clients"]
            return clients and all(client["linked_to_target"] for client in clients)
        wait_until(is_linked, "the source does not hear that the client is linked")

    def run(self):
        self.announce()
        self.first.qmp("migrate", uri=f"unix:{self.directory}/migrate.sock")
        wait_until(lambda: self.first.qmp("query-migrate").get("status") == "completed",
                   lambda: str(self.first.qmp("query-migrate")))
        self.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)

    def check(self):
        # A picture that is asked for earlier would be the device's, and change what it paints.
        wait_until(lambda: self.second.qmp("query-status")["running"], "the machine does not run")
        wait_until(lambda: self.second.channels() == CHANNELS,
                   lambda: f"channels at the target: {self.second.channels()}")
        self.second.wait_frame(self.second.wait_frame(1) + 3)
        self.second.qmp("stop")
        assert self.viewer.shows(self.second)
        assert self.viewer.sessions_lost() == 0, self.viewer.story()
        wait_until(lambda: self.first.channels() == [],
                   lambda: f"left at the source: {self.first.channels()}")
        assert self.second.channels() == CHANNELS
        went = self.viewer.manner()
        if self.cell.source == "segue" and went is not None:
            assert went == self.cell.manner, f"it moved by {went}"


def run_cell(directory, cell, certificates):
    with Move(directory, cell, certificates) as move:
        move.run()
        move.check()


def run_film(directory, cell, certificates):
    with Move(directory, cell, certificates, film=True) as move:
        move.viewer.wait_film()
        move.run()
        move.viewer.wait_film()
        move.check()
