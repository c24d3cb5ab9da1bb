# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hosts for scenario tests: segued processes on loopback addresses, driven by the real virsh.

    with Hosts(2) as (one, two):
        one.virsh("define", path)
        one.virsh("migrate", "--live", "--unsafe", "g", two.uri)

Everything lives in one fresh directory; leaving the block ends each daemon and each QEMU of theirs
by its process id.
"""
import os
import queue
import random
import select
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import virsh

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(os.environ.get("SEGUE_BIN", ROOT / "build" / "release" / "bin"))
# What no test does to a daemon, and no daemon may do to itself.
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


def shared_memory(state):
    """Where a segue-standby with this state directory keeps its guest's memory. The name carries
    FNV-1a of the path."""
    value = 0xcbf29ce484222325
    for byte in os.path.realpath(state).encode():
        value = ((value ^ byte) * 0x100000001b3) & (1 << 64) - 1
    return Path(f"/dev/shm/segue-standby-{os.geteuid()}-{value:016x}")


def remove_shared_memory(folder):
    """What every segue-standby that was killed with its state in or below a folder has left."""
    for place, _, _ in os.walk(folder):
        shutil.rmtree(shared_memory(place), ignore_errors=True)


class Failed(AssertionError):
    """A command ended with another code than the test expects."""


def wait_until(condition, timeout=60.0, what="condition", every=0.02):
    """The first true value of condition(); an AssertionError that names `what` (words, or a
    function that finds them) after the bound."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            words = what() if callable(what) else what
            raise AssertionError(f"{words}: not within {timeout} s")
        time.sleep(every)


def read_line(stream, timeout=120):
    """The next line of a process's output; a TimeoutError where it says nothing."""
    lines = queue.Queue()
    threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
    try:
        return lines.get(timeout=timeout)
    except queue.Empty:
        raise TimeoutError(f"no line within {timeout} s") from None


GIVEN = set()
SLICE = 250
OWN = {}  # the first port of each slice that this process has, and what holds it


def take_slice():
    """Ports that nobody else is given who tests beside us. The kernel lets go of the name when this
    process ends."""
    for first in random.sample(range(10000, 20000, SLICE), 10000 // SLICE):
        holder = socket.socket(socket.AF_UNIX)
        try:
            holder.bind(f"\0segue-tests-ports-{first}")
        except OSError:
            holder.close()
            continue
        OWN[first] = holder
        return
    # None is left: those that were given first are free again by now.
    GIVEN.clear()
    OWN.setdefault(random.randrange(10000, 20000, SLICE))


def free_port(address="127.0.0.1", kind=socket.SOCK_STREAM):
    """A port that nobody listens on, and that nobody here was given before. Below the kernel's
    ephemeral range: no connection of another process takes it before its listener comes."""
    while True:
        if 2 * len(GIVEN) >= SLICE * len(OWN):
            take_slice()
        port = random.choice(list(OWN)) + random.randrange(SLICE)
        with socket.socket(socket.AF_INET, kind) as probe:
            try:
                probe.bind((address, port))
            except OSError:
                continue
        if port not in GIVEN:
            GIVEN.add(port)
            return port


def qemus_below(folder):
    """[(pid, command line)] of the live processes that work in a directory below `folder`: each
    QEMU stands in the directory of its domain, also when that was removed."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            where = os.readlink(entry / "cwd")
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if where.startswith(f"{folder}/") and line:
            found.append((int(entry.name), line))
    return found


def end_process(pid):
    """SIGKILL, and its effect: on a busy machine a QEMU goes on dying for a while, and who looks
    meanwhile sees it alive. A process that has ended by itself is ended."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        os.kill(pid, signal.SIGKILL)
        if not select.select([handle], [], [], 60)[0]:
            raise TimeoutError(f"process {pid} does not die")
    except ProcessLookupError:
        pass
    finally:
        os.close(handle)


class Host:
    """One segued with its own address, state directory and ports."""

    def __init__(self, name, folder, number, config="", options=(), binary=None):
        self.name = name
        self.address = f"127.0.0.{number}"
        self.folder = Path(folder) / name
        self.state = self.folder / "state"
        self.socket = self.folder / "segue.sock"
        self.log_path = self.folder / "segued.log"
        self.state.mkdir(parents=True)
        os.chmod(self.folder, 0o755)
        self.port = free_port(self.address)
        self.options = list(options)
        self.binary = binary or BIN / "segued"
        self.process = None
        self.crashes = []  # signals that ended a daemon of this host by itself
        # Below the kernel's ephemeral range, and another slice for each host of each test.
        low = 20000 + random.randrange(0, 110) * 100
        config_path = self.folder / "segue.toml"
        config_path.write_text(
            f'[spice]\nports = "{low}-{low + 49}"\nlisten = "{self.address}"\n{config}')
        self.arguments = [
            str(self.binary), "--config", str(config_path),
            "--listen", f"unix:{self.socket}", "--listen", f"tcp:{self.address}:{self.port}",
            "--state", str(self.state), "--hostname", name, "--migrate-address", self.address,
            "--migrate-ports", f"{low + 50}-{low + 99}", *self.options]

    @property
    def uri(self):
        return f"qemu+tcp://{self.address}:{self.port}/system"

    @property
    def local_uri(self):
        return f"qemu+unix:///system?socket={self.socket}"

    def start(self, environment=None):
        log = open(self.log_path, "ab")
        offset = self.log_path.stat().st_size
        self.process = subprocess.Popen(
            self.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            env={**os.environ, "SEGUE_LOG": "debug", **(environment or {})},
            start_new_session=True)
        log.close()

        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f"segued of {self.name} ended:\n{self.log()[-3000:]}")
            return any(line == "ready" for line in self.log()[offset:].splitlines())
        wait_until(ready, 60, f"segued of {self.name} says ready")
        return self

    def stop(self, how=signal.SIGTERM, timeout=60):
        """Ends the daemon; its VMs run on. Returns the exit code."""
        if self.process is None:
            return None
        if self.process.poll() is None:
            self.process.send_signal(how)
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"segued of {self.name} did not end within {timeout} s") from None
        finally:
            self.process = None
        self.crashes += [each.name for each in CRASHES if code == -each]
        return code

    def kill(self):
        return self.stop(signal.SIGKILL)

    def log(self):
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def qemus(self):
        """[(pid, command line)] of the QEMUs in this host's state directory."""
        return qemus_below(self.state)

    def guests(self):
        """Those of them that are a domain's. The others a daemon has asked what they can do, and
        on a busy machine they are still ending when the domain that it asked for runs."""
        return [(pid, line) for pid, line in self.qemus() if " -machine none," not in line]

    def virsh(self, *words, code=0, timeout=60, uri=None):
        """Standard output of the real virsh; Failed when it ends with another code."""
        command = ["virsh", "-c", uri or self.local_uri, *map(str, words)]
        done = virsh.run(command, timeout)
        if code is not None and done.returncode != code:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
                         f"\n--- log of {self.name}\n{self.log()[-4000:]}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    def virsh_process(self, *words):
        """virsh in the background, for calls that a test watches or kills."""
        return subprocess.Popen(["virsh", "-c", self.local_uri, *map(str, words)],
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True)

    def segue(self, *words, code=0, timeout=60):
        command = [str(BIN / "segue"), "-c", self.local_uri, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                              check=False, stdin=subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
                         f"\n--- log of {self.name}\n{self.log()[-4000:]}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    def state_of(self, domain):
        """virsh domstate, or "absent"."""
        out = self.virsh("domstate", domain, code=None).strip()
        if "failed to get domain" in out or "not found" in out:
            return "absent"
        return out.split("\n")[0]


class Hosts:
    """Several hosts in one directory."""

    def __init__(self, count=2, config="", options=(), keep=False):
        self.folder = Path(tempfile.mkdtemp(prefix="segue-hosts-"))
        os.chmod(self.folder, 0o755)
        self.keep = keep
        names = ["hosta", "hostb", "hostc", "hostd"]
        first = 2 + random.randrange(0, 60) * 4
        self.hosts = [Host(names[index], self.folder, first + index, config, options)
                      for index in range(count)]

    def __enter__(self):
        try:
            for host in self.hosts:
                host.start()
        except BaseException:
            self.clean()
            raise
        return self.hosts

    def __exit__(self, kind, value, trace):
        logs = [f"--- log of {host.name}\n{host.log()[-6000:]}" for host in self.hosts]
        self.clean()
        crashed = [f"segued of {host.name} ended by {each}"
                   for host in self.hosts for each in host.crashes]
        if kind is not None or crashed:
            print(*logs, *crashed, sep="\n")
        if kind is None:
            assert not crashed, crashed

    def clean(self):
        for host in self.hosts:
            if host.process is not None:
                host.stop(signal.SIGKILL if host.process.poll() is None else signal.SIGTERM)
        # A test may have moved a host's state elsewhere.
        left = {pid for place in (self.folder, *(host.state for host in self.hosts))
                for pid, _ in qemus_below(place)}
        for pid in left:
            end_process(pid)
        for host in self.hosts:
            remove_shared_memory(host.state)
        if not self.keep:
            shutil.rmtree(self.folder, ignore_errors=True)
