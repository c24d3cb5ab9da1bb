# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs one cell of the kill matrix on two hosts with real QEMUs: a daemon is stopped at its fault
point, somebody dies, everything that can come back comes back; then the guest must run exactly
once, or be paused with a way on that is recorded, and nothing may be left behind."""
import json
import shutil
import signal
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

from hosts import Hosts, end_process, wait_until
from kill_cells import (CLIENT, CLIENT_LINK, LOST, MIGRATION_LINK, ON_SOURCE, ON_TARGET, P2P,
                        PEER_LINK, SENDING, SOURCE, SOURCE_QEMU, TARGET, TARGET_QEMU, TURN_BACK, V2)
from links import cut_tcp, cut_unix, listening_ports
from machines import Machine

NAME = "k"
NOBODY = "nobody"


class Pair:
    """Two hosts of one protocol, kept over many cells; each cell gets fresh daemons."""

    def __init__(self, mode):
        offer = "v2" if mode == V2 else "v3-params"
        self.hosts = Hosts(2, config=f'[migration]\noffer = ["{offer}"]\n')
        self.one, self.two = self.hosts.hosts

    def restart(self, faults):
        """faults: {host: points at which it stops}"""
        for host in (self.one, self.two):
            host.stop()
            points = faults.get(host)
            host.start({"SEGUE_FAULT": ",".join(points)} if points else None)

    def close(self):
        self.hosts.clean()


def process_state(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return None


def ports_of(host):
    """The ports that the host's QEMUs may use."""
    words = host.arguments
    low, high = words[words.index("--migrate-ports") + 1].split("-")
    return range(int(low) - 50, int(high) + 1)


def status_of(host):
    """{name: status} of the domains that the host knows."""
    said = json.loads(host.segue("status", "--output", "json"))
    return {domain["domain"]: domain for domain in said["domains"]}


def records_of(host):
    """(role, right, settled) of each record in the host's store. The daemon holds the store's lock,
    so a copy is read; and made anew where the daemon wrote meanwhile."""
    for attempt in range(5):
        try:
            return read_copy_of_store(host)
        except (OSError, sqlite3.DatabaseError):
            if attempt == 4:
                raise
            time.sleep(0.2)


def read_copy_of_store(host):
    with tempfile.TemporaryDirectory() as folder:
        for path in host.state.glob("segue.db*"):
            shutil.copy(path, folder)
        with closing(sqlite3.connect(Path(folder, "segue.db"))) as store:
            return store.execute("SELECT role, run_right, settled FROM migrations").fetchall()


def kept_records(host):
    """The records that are no promise of a destination."""
    return [(role, right) for role, right, settled in records_of(host)
            if not (role == "destination" and (right == "refused" or settled))]


class Run:
    """One cell."""

    def __init__(self, pair, cell, folder):
        self.pair, self.cell = pair, cell
        self.one, self.two = pair.one, pair.two
        self.machine = Machine(folder, name=NAME, memory=16, tick_ms=20,
                               **({"dirty_mb_s": 4, "dirty_end_mb": 14} if cell.point == SENDING
                                  else {}))
        self.client = None
        self.struck = True
        self.mark = 0  # where this cell begins in the target's log

    def go(self):
        """What became of the guest: ON_SOURCE, ON_TARGET or LOST, and how."""
        try:
            return self.run()
        finally:
            self.clean()

    def run(self):
        self.mark = len(self.two.log())
        self.pair.restart(self.plan())
        if self.cell.defined:
            self.one.virsh("define", self.machine.path)
            self.one.virsh("start", NAME)
        else:
            self.one.virsh("create", self.machine.path)
        self.machine.ticks.wait(2)
        self.start_client()
        if self.cell.turned_back:
            self.reach(self.one, TURN_BACK)
            self.strike(TARGET_QEMU)
            # A Finish that overtook the news of its death would find that the guest may have run.
            wait_until(self.target_mourns, 60, "the target knows that its QEMU is dead")
            # Not the target: it may stand at its point already.
            self.go_on([self.one])
        if self.cell.point == SENDING:
            self.reach_sending()
        else:
            self.reach(self.one if self.cell.on_source else self.two, self.cell.point)
        self.struck = self.strike(self.cell.victim)
        self.go_on()
        self.bring_back()
        self.client.communicate(timeout=60)
        return self.judge()

    # --- Up to the point ---

    def plan(self):
        plan = {self.one: [], self.two: []}
        if self.cell.turned_back:
            plan[self.one].append(TURN_BACK)
        if self.cell.point != SENDING:
            plan[self.one if self.cell.on_source else self.two].append(self.cell.point)
        return plan

    def start_client(self):
        words = ["--p2p"] if self.cell.mode == P2P else []
        words += ["--persistent", "--undefinesource"] if self.cell.defined else []
        if self.cell.point == SENDING:
            self.one.virsh("migrate-setspeed", NAME, "1")
        self.client = self.one.virsh_process("migrate", "--live", "--unsafe", *words, NAME,
                                             self.two.uri)

    def reach(self, host, point):
        def stopped():
            if process_state(host.process.pid) == "T":
                return True
            # What the client's end leads to may still lie ahead: only a standstill is a failure.
            return None
        wait_until(stopped, 60, f"{host.name} stops at {point}")
        assert f"fault point {point}: stopped" in host.log()[-2000:], f"{host.name}: not {point}"

    def target_mourns(self):
        stands = process_state(self.two.process.pid) == "T"
        return stands or f"QEMU of domain '{NAME}' ended" in self.two.log()[self.mark:]

    def reach_sending(self):
        wait_until(lambda: "Memory processed" in self.one.virsh("domjobinfo", NAME), 60,
                   "memory is sent")

    # --- The blow ---

    def strike(self, victim):
        """False when there is nobody to strike at this point."""
        if victim == CLIENT:
            self.client.kill()
        elif victim in (SOURCE, TARGET):
            (self.one if victim == SOURCE else self.two).kill()
        elif victim in (SOURCE_QEMU, TARGET_QEMU):
            qemus = (self.one if victim == SOURCE_QEMU else self.two).guests()
            for pid, _ in qemus:
                end_process(pid)
            return bool(qemus)
        else:
            return self.cut(victim) > 0
        return True

    def cut(self, link):
        daemon = self.one.process.pid
        address = self.two.address
        if link == PEER_LINK:
            port = int((self.two.state / "peer-port").read_text(encoding="ascii"))
            return cut_tcp(daemon, address, {port})
        if link == MIGRATION_LINK:
            return sum(cut_tcp(pid, address, ports_of(self.two)) for pid, _ in self.one.qemus())
        # Peer to peer, the source's daemon is the client of the destination's.
        count = cut_unix(self.client.pid) + cut_tcp(self.client.pid, address, {self.two.port})
        if self.cell.mode == P2P:
            count += cut_tcp(daemon, address, {self.two.port})
        return count

    def go_on(self, hosts=None):
        for host in hosts or (self.one, self.two):
            if host.process is not None and process_state(host.process.pid) == "T":
                host.process.send_signal(signal.SIGCONT)

    def bring_back(self):
        for host in (self.one, self.two):
            if host.process is None:
                host.start()
        if self.cell.point == SENDING:
            # Where the migration goes on, let it come to its end.
            self.one.virsh("migrate-setspeed", NAME, "0", code=None)

    # --- The judgement ---

    def judge(self):
        way = ""
        wait_until(self.is_decided, 60, "every job is over, or a way on is recorded")
        if self.unresolved():
            way = " (resolved by hand)"
            self.resolve()
            wait_until(lambda: not self.jobs(), 60, "the resolved job is over")
        wait_until(lambda: not self.surplus(), 60,
                   lambda: f"no QEMU and no directory is left over: {self.surplus()}")
        end = self.whereabouts()
        if end in (ON_SOURCE, ON_TARGET):
            self.machine.ticks.wait(self.machine.ticks.last() + 5)
            assert self.whereabouts() == end
        assert self.machine.ticks.gaps() == [], "the guest lost or repeated a tick"
        allowed = self.cell.may_end() if self.struck else {self.cell.undisturbed_end()}
        assert end in allowed, f"it ended as '{end}', not {sorted(allowed)}"
        self.check_nothing_is_left()
        if self.cell.defined:
            self.check_definition(end)
        return end + way + ("" if self.struck else f", {NOBODY} to strike")

    def jobs(self):
        """The domains of either host that have a migration."""
        return [status[NAME] for status in (status_of(self.one), status_of(self.two))
                if NAME in status and status[NAME].get("migration")]

    def unresolved(self):
        return [job for job in self.jobs() if job.get("unresolved")]

    def is_decided(self):
        jobs = self.jobs()
        if not jobs:
            return True
        if not self.unresolved():
            self.since = None
            return False
        # The source asks on every few seconds: only a silence that lasts needs a person.
        self.since = getattr(self, "since", None) or time.monotonic()
        return time.monotonic() - self.since > 12

    def resolve(self):
        """As an administrator would, with the words of the message."""
        said, = self.unresolved()
        assert said["state"] == "paused" and said["reason"] == "migrating", said
        there = self.runs_on(self.two)
        way = "--runs-there" if there else "--runs-here"
        assert f"segue resolve {NAME} {way}" in said["unresolved"], said["unresolved"]
        assert "paused (migrating)" in self.one.virsh("domstate", NAME, "--reason")
        self.one.segue("resolve", NAME, way)

    def runs_on(self, host):
        out = host.virsh("qemu-monitor-command", "--hmp", NAME, "info status", code=None)
        return "VM status: running" in out

    def whereabouts(self):
        runs = [end for host, end in ((self.one, ON_SOURCE), (self.two, ON_TARGET))
                if self.runs_on(host)]
        assert len(runs) < 2, "two copies run"
        if runs:
            return runs[0]
        assert not self.one.guests() + self.two.guests(), "a QEMU stands still without a reason"
        return LOST

    def surplus(self):
        """What is there without running the guest."""
        left = []
        for host in (self.one, self.two):
            expected = 1 if self.runs_on(host) else 0
            folders = [path.name for path in (host.state / "domains").iterdir()
                       if path.is_dir()]
            if len(host.qemus()) > expected or len(folders) > expected:
                left.append((host.name, host.qemus(), folders))
        return left

    def check_nothing_is_left(self):
        for host in (self.one, self.two):
            wait_until(lambda h=host: not listening_ports(h.address, ports_of(h)), 60,
                       lambda h=host: f"{h.name} closes its ports: "
                                      f"{listening_ports(h.address, ports_of(h))}")
            wait_until(lambda h=host: not kept_records(h), 60,
                       lambda h=host: f"{h.name} forgets its records: {kept_records(h)}")
            assert "None" in host.virsh("domjobinfo", NAME) if NAME in status_of(host) else True

    def check_definition(self, end):
        kept = [host for host in (self.one, self.two)
                if NAME in host.virsh("list", "--all", "--persistent", "--name").split()]
        where = {ON_SOURCE: [self.one], ON_TARGET: [self.two]}
        assert kept and kept == where.get(end, kept), \
            f"it ended as '{end}', and is defined on {[host.name for host in kept]}"

    def clean(self):
        self.go_on()
        if self.client is not None and self.client.poll() is None:
            self.client.kill()
            self.client.communicate()
        for host in (self.one, self.two):
            if host.process is None:
                host.start()
            host.virsh("destroy", NAME, code=None)
            host.virsh("undefine", NAME, code=None)
        for host in (self.one, self.two):
            for pid, _ in host.qemus():
                end_process(pid)
            wait_until(lambda h=host: not h.qemus(), 60, f"no QEMU is left on {host.name}")
