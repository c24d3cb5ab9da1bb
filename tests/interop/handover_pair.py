# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two machines and their control sockets: a move whose steps a test takes one by one."""
from contextlib import ExitStack

import guest

from handover_cells import CHANNELS, VIEWERS, wait_until
from line import Line
from spice_lab import Machine, environment
from test_spice_control import Control

SLOW = 1 << 14  # bytes a second: memory is not copied before the test says so


class Pair:
    """The source runs our library, the target what `target` says; a context manager. `line`: round
    trip in ms of the viewers' line to either. `held`: the machine waits there for `cont`. `ahead`:
    the source's host was started so many seconds earlier. `crowd`: several clients may come."""

    def __init__(self, directory, *devices, target="segue", disk=None, line=0, held=False,
                 ahead=0, crowd=False):
        self.directory, self.line, self.crowd = directory, line, crowd
        disk = disk or guest.boot_disk(directory / "disk.img", fps=20)
        self.first = self.machine("source", "segue", *disk, *devices)
        if ahead:
            self.first.argv = ["unshare", "--time", "--monotonic", str(ahead), *self.first.argv]
        self.second = self.machine("target", target, *disk, *devices, "-incoming",
                                   f"unix:{directory}/migrate.sock", *["-S"] * held)

    def machine(self, name, library, *arguments):
        made = Machine(self.directory / name, *arguments, library=library,
                       options="seamless-migration=on", tcp=True)
        made.environment = {**environment(library),
                            "SEGUE_SPICE_CONTROL": str(self.directory / f"{name}.control")}
        if self.crowd:
            made.environment["SPICE_DEBUG_ALLOW_MC"] = "1"
        return made

    def __enter__(self):
        with ExitStack() as stack:
            for machine in (self.first, self.second):
                stack.enter_context(machine)
            self.source = Control(self.directory / "source.control")
            if self.second.library == "segue":
                self.target = Control(self.directory / "target.control")
                self.target.status()
            # An answer: this connection is served, and no event passes it by.
            self.source.status()
            self.ports = [machine.port for machine in (self.first, self.second)]
            if self.line:
                self.ports = [stack.enter_context(Line(port, self.line)).port
                              for port in self.ports]
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *exception):
        self.stack.__exit__(*exception)

    def viewer(self, client, *options):
        """One more viewer of the source; a context manager."""
        return VIEWERS[client](self.directory, f"127.0.0.1:{self.ports[0]}", "seamless", None,
                               *options)

    def announce(self):
        self.first.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
                       port=self.ports[1])

    def wait_linked(self):
        """Until every client of the source has said that it is linked to the target."""
        def all_linked():
            clients = self.source.status()["clients"]
            return clients and all(client["linked_to_target"] for client in clients)
        wait_until(all_linked, "the viewer does not link")

    def begin(self):
        """The machine is on its way, and does not arrive before finish()."""
        self.first.qmp("migrate-set-parameters", max_bandwidth=SLOW)
        self.first.qmp("migrate", uri=f"unix:{self.directory}/migrate.sock")
        wait_until(lambda: self.first.qmp("query-migrate").get("status") == "active",
                   "it is not on its way")

    def finish(self):
        self.first.qmp("migrate-set-parameters", max_bandwidth=1 << 30)

    def wait_moved(self):
        """The machine has gone, and has arrived: before that QEMU forgets the `cont` of one that
        stood still when it left."""
        wait_until(lambda: self.first.qmp("query-migrate").get("status") == "completed",
                   lambda: str(self.first.qmp("query-migrate")))
        wait_until(lambda: self.second.qmp("query-status")["status"] != "inmigrate",
                   "it does not arrive")

    def arrives_whole(self, viewer, channels=CHANNELS):
        """The viewer shows the machine where it runs now, in the session that it had."""
        self.first.qmp.wait_event("SPICE_MIGRATE_COMPLETED", 60)
        wait_until(lambda: self.second.qmp("query-status")["running"], "it does not run")
        wait_until(lambda: self.second.channels() == channels,
                   lambda: f"{self.second.channels()}; {viewer.story()}")
        self.second.wait_frame(self.second.wait_frame(1) + 3)
        self.second.qmp("stop")
        assert viewer.shows(self.second)
        self.kept_its_session(viewer)

    def kept_its_session(self, viewer):
        assert viewer.sessions_lost() == 0, viewer.story()
        assert viewer.manner() in (None, "seamless")
        self.first.wait_channels([])
