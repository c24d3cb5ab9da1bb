# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs `segue-view --headless`, QEMUs with SPICE, and migrations between them."""
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import cells
import guest
from hosts import BIN, ROOT, free_port

VIEWER = BIN / "segue-view"


class Viewer:
    """A headless viewer; a context manager. `events` are the lines it has written so far."""

    def __init__(self, directory, uri, *options, environment=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.events_file = self.directory / "events.jsonl"
        self.screenshot = self.directory / "screen.png"
        self.argv = [str(VIEWER), "--headless", uri, "--events", str(self.events_file),
                     "--screenshot", str(self.screenshot), *map(str, options)]
        self.environment = {**os.environ, "SEGUE_LOG": "debug", **(environment or {})}
        self.process = None

    def __enter__(self):
        with open(self.directory / "viewer.log", "ab") as log:
            takes_commands = "--commands" in self.argv
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.PIPE if takes_commands else subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.environment)
        return self

    def tell(self, command, **fields):
        """A command to a viewer that was started with --commands."""
        line = json.dumps({"cmd": command, **fields}) + "\n"
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """Ends it as a user would; returns its exit code."""
        if self.process.stdin:
            self.process.stdin.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(60)
        return self.process.returncode

    @property
    def events(self):
        if not self.events_file.exists():
            return []
        lines = self.events_file.read_text(encoding="utf-8", errors="replace").split("\n")
        return [json.loads(line) for line in lines[:-1]]

    def named(self, *names):
        return [event for event in self.events if event["event"] in names]

    def names(self):
        """The events that are not frames, in order."""
        return [event["event"] for event in self.events if event["event"] != "frame"]

    def wait(self, name, count=1, timeout=60):
        """The count-th event of that name."""
        end = time.monotonic() + timeout
        while True:
            found = self.named(name)
            if len(found) >= count:
                return found[count - 1]
            if self.process.poll() is not None or time.monotonic() > end:
                raise TimeoutError(f"no event {count} '{name}': {self.names()}\n{self.log()}")
            time.sleep(0.01)

    def shows(self, vm, timeout=60, rests=True):
        """Whether it comes to show what the machine shows; it was started with --commands.

        rests=False: the machine runs on between looks. A stock target of a seamless move compares
        the guest's screen with a black one, not with what the viewer shows: what turned black
        between the source's last look and the target's first is right only when it changes again.
        """
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            vm.qmp("stop")
            for _ in range(10):
                taken = len(self.named("screenshot"))
                self.tell("screenshot", path=str(self.screenshot))
                self.wait("screenshot", taken + 1)
                mine, theirs = cells.Picture.read(self.screenshot), vm.picture()
                if (mine.width, mine.height, bytes(mine.data)) == (theirs.width, theirs.height,
                                                                   bytes(theirs.data)):
                    return True
                time.sleep(0.2)
            if not rests:
                vm.qmp("cont")
                time.sleep(1)
        return False

    def log(self):
        return (self.directory / "viewer.log").read_text(errors="replace")[-4000:]


def spice_qemu(directory, *arguments, spice="", incoming=False, password=None, environment=None):
    """A QEMU with a SPICE server on a free port, which is its `port`."""
    port = free_port()
    auth = "password-secret=pw" if password else "disable-ticketing=on"
    extra = ["-object", f"secret,id=pw,data={password}"] if password else []
    if incoming:
        extra += ["-incoming", "defer"]
    vm = guest.Qemu(directory, *extra, "-spice",
                    f"port={port},addr=127.0.0.1,{auth},seamless-migration=on{spice}", *arguments,
                    environment=environment)
    vm.port = port
    return vm


def announce(source, target, **more):
    """Tells the source's clients where the machine goes (client_migrate_info)."""
    source.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1",
               **{"port": target.port, **more})


def migrate(source, target, timeout=60):
    """Moves the machine; returns when QEMU says that it is done."""
    path = target.directory / "migrate.sock"
    path.unlink(missing_ok=True)
    target.qmp("migrate-incoming", uri=f"unix:{path}")
    source.qmp("migrate", uri=f"unix:{path}")
    wait_migrated(source, timeout)


def begin_and_cancel(source, target):
    """A move that is cancelled on its way: so slow that it arrives nowhere."""
    source.qmp("migrate-set-parameters", max_bandwidth=1 << 14)
    path = target.directory / "migrate.sock"
    target.qmp("migrate-incoming", uri=f"unix:{path}")
    source.qmp("migrate", uri=f"unix:{path}")
    end = time.monotonic() + 60
    while (status := source.qmp("query-migrate").get("status")) != "active":
        if time.monotonic() > end:
            raise TimeoutError(f"migration is {status}")
        time.sleep(0.05)
    source.qmp("migrate_cancel")


def wait_migrated(source, timeout=60):
    end = time.monotonic() + timeout
    while (status := source.qmp("query-migrate").get("status")) not in ("completed", "failed"):
        if time.monotonic() > end:
            raise TimeoutError(f"migration is {status}")
        time.sleep(0.05)
    if status == "failed":
        raise RuntimeError(f"migration failed: {source.stderr()}")


def make_certificates(directory, *names):
    """A CA in DIR/ca-cert.pem and, in DIR/NAME, what QEMU's x509-dir wants for each name, with the
    subject "O=Segue test,CN=NAME"."""
    directory.mkdir()

    def openssl(*arguments):
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True,
                       cwd=directory)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", "ca-key.pem",
            "-out", "ca-cert.pem", "-subj", "/O=Segue test/CN=authority")
    for name in names:
        host = directory / name
        host.mkdir()
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", host / "server-key.pem",
                "-out", host / "request.pem", "-subj", f"/O=Segue test/CN={name}")
        openssl("x509", "-req", "-in", host / "request.pem", "-CA", "ca-cert.pem", "-CAkey",
                "ca-key.pem", "-CAcreateserial", "-days", "2", "-out", host / "server-cert.pem")
        (host / "ca-cert.pem").write_bytes((directory / "ca-cert.pem").read_bytes())
    return directory
