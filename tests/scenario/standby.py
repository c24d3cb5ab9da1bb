# SPDX-License-Identifier: LGPL-2.1-or-later
"""Drives segue-standby and a stock QEMU primary for it."""
import json
import os
import signal
import socket
import struct
import subprocess
import threading
import time
from pathlib import Path

import guest
from hosts import end_process, remove_shared_memory

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ROOT / "build" / "release" / "bin" / "segue-standby"
READY, REQUEST, REPLY, SEND, SIZE, RECEIVED, LOADED = range(7)
# Seconds: a test must not fail because the machine is busy.
PATIENCE = 120


def shim():
    """The preload that a tcg primary of QEMU 7.2 needs (colo_shim.c says why)."""
    source = Path(__file__).with_name("colo_shim.c")
    return guest.cached("colo_shim.so", [source], lambda target: subprocess.run(
        ["gcc", "-O2", "-shared", "-fPIC", "-o", target, source], check=True))


class Primary(guest.Qemu):
    """A stock QEMU that can be protected."""

    def __init__(self, directory, *arguments, **options):
        environment = dict(os.environ, LD_PRELOAD=str(shim()))
        super().__init__(directory, *arguments, environment=environment, **options)

    def protect(self, uri, delay_ms=200, capabilities=()):
        self.qmp("migrate-set-capabilities", capabilities=[
            {"capability": name, "state": True} for name in ("x-colo", *capabilities)])
        self.qmp("migrate-set-parameters", **{"x-checkpoint-delay": delay_ms,
                                              "max-bandwidth": 1 << 32})
        self.qmp("stop")   # tcg: the first pass too must meet empty TLBs
        self.qmp("migrate", uri=uri)

    def command_line(self, serial=None):
        """As an operator would give it to the standby, after `--`."""
        words = [word if serial is None else word.replace(str(self.ticks.path), str(serial))
                 for word in self.argv]
        return words

    def kill(self):
        self.stop(signal.SIGKILL)


def small_guest(directory, **numbers):
    """QEMU arguments of the boot sector guest, which starts at once: for what needs no network."""
    directory.mkdir(parents=True, exist_ok=True)
    return guest.boot_disk(directory / "boot.img", **{"tick_ms": 20, **numbers})


class Standby:
    """A segue-standby process; a context manager. Promoted VMs are ended with it."""

    def __init__(self, directory, *options, vm=(), listen=None, **named):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.state = self.directory / "state"
        self.listen = listen or f"unix:{self.directory}/colo.sock"
        self.argv = [str(PROGRAM), "--listen", self.listen, "--state", str(self.state)]
        for name, value in named.items():
            self.argv += [f"--{name.replace('_', '-')}", str(value)]
        self.argv += [*options, *(["--", *map(str, vm)] if vm else [])]
        self.events, self.changed = [], threading.Condition()
        self.process = self.reader = None

    def __enter__(self):
        return self.start()

    def start(self):
        with open(self.directory / "stderr", "ab") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL, stderr=log,
                                            stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read, args=(self.process.stdout,), daemon=True)
        self.reader.start()
        self.wait("listening")
        return self

    def read(self, output):
        for line in output:
            with self.changed:
                self.events.append(dict(json.loads(line), at=time.monotonic()))
                self.changed.notify_all()

    def wait(self, name, timeout=PATIENCE, **wanted):
        """The first event of that name (with these values) that was not waited for yet."""
        end = time.monotonic() + timeout
        with self.changed:
            while True:
                for event in self.events:
                    if event["event"] == name and all(event.get(key) == value
                                                      for key, value in wanted.items()):
                        self.events.remove(event)
                        return event
                left = end - time.monotonic()
                if left <= 0 or self.process.poll() is not None:
                    raise TimeoutError(f"no '{name}' {wanted}: {self.events[-5:]} "
                                       f"{self.stderr()[-800:]}")
                self.changed.wait(min(left, 0.5))

    def wait_epoch(self, epoch, timeout=PATIENCE):
        return self.wait("checkpoint", timeout, epoch=epoch)

    def control(self, **request):
        with socket.socket(socket.AF_UNIX) as peer:
            peer.settimeout(PATIENCE)
            peer.connect(str(self.state / "control.sock"))
            peer.sendall(json.dumps(request).encode() + b"\n")
            return json.loads(peer.makefile().readline())

    def kill(self):
        self.process.kill()
        self.process.wait(60)
        self.reader.join(5)

    def stop(self):
        """SIGTERM; returns the exit code."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()
        self.reader.join(5)
        return self.process.returncode

    def stderr(self):
        return (self.directory / "stderr").read_text(errors="replace")

    def vm_process(self):
        """The process of the QEMU that the standby started, or None."""
        try:
            return int((self.state / "qemu.pid").read_text())
        except (OSError, ValueError):
            return None

    def __exit__(self, *_):
        self.stop()
        process = self.vm_process()
        try:
            if process and str(self.state).encode() in Path(
                    f"/proc/{process}/cmdline").read_bytes():
                end_process(process)
        except OSError:
            pass  # it has ended by itself
        remove_shared_memory(self.state)


class Relay:
    """Between primary and standby: hands each of the standby's words to `on_word(word, count)`
    before it passes it on, so that a test can look while the primary stands still."""

    def __init__(self, path, target, on_word):
        self.path, self.target, self.on_word = Path(path), str(target), on_word
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(1)
        self.failure = None
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        primary, _ = self.listener.accept()
        standby = socket.socket(socket.AF_UNIX)
        standby.connect(self.target)
        threading.Thread(target=self.pump, args=(primary, standby), daemon=True).start()
        counts, waiting = {}, b""
        try:
            while data := standby.recv(4096):
                waiting += data
                while len(waiting) >= 4:
                    word, = struct.unpack(">I", waiting[:4])
                    counts[word] = counts.get(word, 0) + 1
                    self.on_word(word, counts[word])
                    primary.sendall(waiting[:4])
                    waiting = waiting[4:]
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error
        primary.close()

    @staticmethod
    def pump(source, target):
        try:
            while data := source.recv(1 << 20):
                target.sendall(data)
        except OSError:
            pass
        try:
            target.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
