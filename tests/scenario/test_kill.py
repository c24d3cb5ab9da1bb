# SPDX-License-Identifier: LGPL-2.1-or-later
"""The kill matrix: somebody dies in the middle of a migration, and afterwards the guest runs
exactly once, or not at all where its memory is lost, and nothing is left behind."""
import os
import signal

import pytest

from hosts import Hosts, wait_until
from machines import Machine

CLIENT, SOURCE, TARGET = "client", "source daemon", "target daemon"
SOURCE_QEMU, TARGET_QEMU = "source QEMU", "target QEMU"
VICTIMS = [CLIENT, SOURCE, TARGET, SOURCE_QEMU, TARGET_QEMU]
MODES = {"managed": [], "p2p": ["--p2p"]}


def running_on(hosts):
    """The hosts on which the guest's processors run now, as QEMU itself says."""
    found = []
    for host in hosts:
        out = host.virsh("qemu-monitor-command", "--hmp", "k", "info status", code=None)
        if "VM status: running" in out:
            found.append(host)
    return found


def strike(victim, hosts, client):
    one, two = hosts
    if victim == CLIENT:
        client.kill()
    elif victim == SOURCE:
        one.kill()
    elif victim == TARGET:
        two.kill()
    else:
        (pid, _), = (one if victim == SOURCE_QEMU else two).guests()
        os.kill(pid, signal.SIGKILL)


def start_slow_migration(hosts, machine, mode):
    """A migration that would last for minutes; returns when QEMU is sending."""
    one, two = hosts
    one.virsh("define", machine.path)
    one.virsh("start", "k")
    machine.ticks.wait(3)
    one.virsh("migrate-setspeed", "k", "1")
    client = one.virsh_process("migrate", "--live", "--unsafe", *MODES[mode], "k", two.uri)
    wait_until(lambda: "Memory processed" in one.virsh("domjobinfo", "k"), 60, "QEMU is sending")
    return client


@pytest.mark.full
@pytest.mark.parametrize("mode", list(MODES))
@pytest.mark.parametrize("victim", VICTIMS)
def test_killed_while_memory_is_sent(tmp_path, mode, victim):
    with Hosts(2) as hosts:
        machine = Machine(tmp_path, name="k", dirty_mb_s=4, dirty_end_mb=28, tick_ms=20)
        client = start_slow_migration(hosts, machine, mode)
        strike(victim, hosts, client)
        survivor = hosts[1] if mode == "p2p" and victim == CLIENT else hosts[0]
        for host in hosts:
            if host.process is None:
                host.start()
        if survivor is hosts[1]:
            # The source's daemon drives it: nobody needs the client.
            hosts[0].virsh("migrate-setspeed", "k", "0")
        client.communicate(timeout=60)
        if victim == SOURCE_QEMU:
            wait_until(lambda: not hosts[0].qemus() and not hosts[1].qemus(), 60, "all is clean")
            return
        wait_until(lambda: running_on(hosts) == [survivor], 60, "it runs once")
        machine.ticks.wait(machine.ticks.last() + 10)
        assert machine.ticks.gaps() == []
        wait_until(lambda: len(hosts[0].qemus() + hosts[1].qemus()) == 1, 60, "one QEMU is left")
        wait_until(lambda: "None" in survivor.virsh("domjobinfo", "k"), 60, "the job is over")
