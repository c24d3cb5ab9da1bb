# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMUs with SPICE on our library or on stock's, and stock clients beside them."""
import json
import os
import queue
import subprocess
import sys
import threading
import time
from pathlib import Path

import cells
import guest
from hosts import free_port

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = Path(os.environ.get("SEGUE_SPICE_LIBRARY", ROOT / "build" / "release" / "lib"))
CLIENT = Path(__file__).resolve().parent / "stock_client.py"
LITTLE_QUARANTINE = "quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
CHANNELS = [(1, 0), (2, 0), (3, 0), (4, 0)]  # main, display, inputs, cursor, once each


def environment(library):
    """QEMU's environment on "segue" or "stock".

    A library built with sanitizers (SEGUE_SPICE_LIBRARY=build/asan/lib) needs their runtime first
    in the process: SEGUE_SPICE_PRELOAD names it. QEMU then ends at the library's first fault; the
    leaks of QEMU itself are not ours to count. What was freed is given back soon: growth is growth.
    """
    env = dict(os.environ)
    env.pop("LD_LIBRARY_PATH", None)
    if library == "segue":
        env["LD_LIBRARY_PATH"] = str(LIBRARY)
        if "SEGUE_SPICE_PRELOAD" in env:
            env["LD_PRELOAD"] = env["SEGUE_SPICE_PRELOAD"]
            env.setdefault("ASAN_OPTIONS", f"detect_leaks=0:{LITTLE_QUARANTINE}")
    return env


class Machine(guest.Qemu):
    """A QEMU whose screen is served by SPICE on a unix socket, or on a TCP port the kernel gave."""

    def __init__(self, directory, *arguments, library="segue", options="", tcp=False, vga="VGA",
                 authentication="disable-ticketing=on", **more):
        self.spice_path = Path(directory) / "spice.sock"
        self.library = library
        self.port = free_port() if tcp else None
        where = (f"addr=127.0.0.1,port={self.port}" if tcp
                 else f"unix=on,addr={self.spice_path}")
        display = ["-spice", ",".join(filter(None, [where, authentication, options]))]
        super().__init__(directory, "-device", vga, *arguments, display=display,
                         environment=environment(library), **more)

    @property
    def uri(self):
        return (f"spice://127.0.0.1:{self.port}" if self.port
                else f"spice+unix://{self.spice_path}")

    def channels(self):
        """(type, id) of each channel that query-spice shows, sorted."""
        shown = self.qmp("query-spice").get("channels", [])
        return sorted((channel["channel-type"], channel["channel-id"]) for channel in shown)

    def wait_channels(self, wanted, timeout=60):
        """Until query-spice shows these channels and no other."""
        end = time.monotonic() + timeout
        while (shown := self.channels()) != sorted(wanted):
            if time.monotonic() > end:
                raise TimeoutError(f"channels {shown} after {timeout} s, not {wanted}")
            time.sleep(0.05)

    def uses_our_library(self):
        maps = Path(f"/proc/{self.process.pid}/maps").read_text()
        return str(LIBRARY.resolve()) in maps


class Client:
    """stock_client.py as a process; its events are kept in `events`."""

    def __init__(self, uri, *arguments, environment=None):
        self.process = subprocess.Popen(
            ["/usr/bin/python3", CLIENT, uri, *arguments], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, **(environment or {})})
        self.events = []
        self.queue = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        threading.Thread(target=lambda: self.process.stderr.read(), daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(60)

    def read(self):
        for line in self.process.stdout:
            self.queue.put(json.loads(line))
        self.queue.put({"event": "eof", "t_us": int(time.monotonic() * 1e6)})

    def wait(self, event, timeout=60, **fields):
        """The first event of this name with these fields that was not waited for yet."""
        def wanted(got):
            return (got["event"] == event and fields.items() <= got.items()
                    and not got.get("waited"))

        end = time.monotonic() + timeout
        found = next((got for got in self.events if wanted(got)), None)
        while found is None:
            try:
                got = self.queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                last = [e["event"] for e in self.events[-12:]]
                raise TimeoutError(f"no '{event}' {fields} in {timeout} s; last: {last}") from None
            self.events.append(got)
            found = got if wanted(got) else None
        found["waited"] = True
        return found

    def linked(self):
        """Waits until it has a picture and every channel that it opens without devices: only then
        does it follow a machine as one session."""
        self.wait("mark")
        for kind in ("CursorChannel", "InputsChannel"):
            self.wait("channel-event", kind=kind, what="opened")

    def drain(self):
        while not self.queue.empty():
            self.events.append(self.queue.get())
        return self.events

    def count(self, event, **fields):
        self.drain()
        return sum(e["event"] == event and fields.items() <= e.items() for e in self.events)

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.wait("done")

    def picture(self, path, display=0):
        """What the client shows, as a cells.Picture."""
        done = self.tell(f"shot {path} {display}")
        assert "error" not in done, done
        return cells.Picture.read(path)


def same_picture(machine, client, directory, timeout=60):
    """Whether client and machine show the same pixels, once both stand still. The machine must be
    paused or idle."""
    end = time.monotonic() + timeout
    while True:
        mine = machine.picture()
        theirs = client.picture(Path(directory) / "client.ppm")
        if (mine.width, mine.height, mine.data) == (theirs.width, theirs.height, theirs.data):
            return True
        if time.monotonic() > end:
            return False
        time.sleep(0.1)


def announce(source, target, wait=True):
    """Tells the clients where the machine goes. `wait`: until each of their channels is linked
    there, and their answer has had its time to come back: stock's server does not say when it has
    heard them, and sends those anew that it has not."""
    source.qmp("client_migrate_info", protocol="spice", hostname="127.0.0.1", port=target.port)
    end = time.monotonic() + 60
    while wait and len(target.channels()) < len(source.channels()):
        if time.monotonic() > end:
            raise TimeoutError(f"linked at the target: {target.channels()}")
        time.sleep(0.05)
    if wait:
        time.sleep(2 if source.library == "stock" else 0.5)


def migrate(source, target, directory, wait=True):
    """Moves the machine, as libvirt does it: tells the clients (`wait`: see announce), then the
    machine."""
    announce(source, target, wait)
    move(source, directory)


def move(source, directory):
    """Moves the machine alone."""
    source.qmp("migrate", uri=f"unix:{directory}/migrate.sock")
    end = time.monotonic() + 60
    while True:
        state = source.qmp("query-migrate").get("status")
        if state == "completed":
            return
        if state in ("failed", "cancelled") or time.monotonic() > end:
            raise RuntimeError(f"the migration is {state}")
        time.sleep(0.02)


if __name__ == "__main__":
    print(LIBRARY, sys.version)
