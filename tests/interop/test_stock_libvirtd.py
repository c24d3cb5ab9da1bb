# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running guest moves between stock libvirtd and ours, both ways, and counts on."""
import os
import subprocess

import pytest

from hosts import Hosts, wait_until
from machines import Machine
from stock_libvirtd import StockHost


@pytest.fixture(scope="module", name="pair")
def both_daemons():
    with StockHost(f"127.0.0.{200 + os.getpid() % 50}") as stock, Hosts(1) as (ours,):
        yield stock, ours


@pytest.fixture(name="machine", params=[False, True], ids=["plain", "spice"])
def counting_guest(pair, tmp_path, request):
    os.chmod(tmp_path, 0o755)
    machine = Machine(tmp_path, name="x", spice=request.param, tick_ms=20)
    yield machine
    for host in pair:
        host.virsh("destroy", "x", code=None)
        host.virsh("undefine", "x", code=None)


def move(machine, here, there, *words, state="running"):
    here.virsh("migrate", "--live", "--unsafe", *words, "x", there.uri)
    assert there.state_of("x") == state


def counts_on(machine):
    machine.ticks.wait(machine.ticks.last() + 5)
    assert machine.ticks.gaps() == []


@pytest.mark.full
@pytest.mark.parametrize("mode", [[], ["--p2p"], ["--p2p", "--tunnelled"]],
                         ids=["managed", "p2p", "tunnelled"])
def test_to_and_fro(pair, machine, mode):
    stock, ours = pair
    stock.virsh("create", machine.path)
    machine.ticks.wait(3)
    move(machine, stock, ours, *mode)
    assert stock.state_of("x") == "absent"
    counts_on(machine)
    move(machine, ours, stock, *mode)
    assert ours.state_of("x") == "absent"
    wait_until(lambda: not ours.qemus(), 20, "our QEMU is gone")
    counts_on(machine)


@pytest.mark.full
@pytest.mark.parametrize("first", ["stock", "ours"])
def test_the_definition_goes_along(pair, machine, first):
    here, there = pair if first == "stock" else pair[::-1]
    here.virsh("define", machine.path)
    here.virsh("start", "x")
    machine.ticks.wait(3)
    move(machine, here, there, "--persistent", "--undefinesource")
    assert here.state_of("x") == "absent"
    assert "Persistent:     yes" in there.virsh("dominfo", "x")
    counts_on(machine)
    there.virsh("destroy", "x")
    there.virsh("start", "x")
    machine.ticks.wait(3)


@pytest.mark.full
@pytest.mark.parametrize("first", ["stock", "ours"])
def test_a_paused_guest_arrives_paused(pair, machine, first):
    here, there = pair if first == "stock" else pair[::-1]
    here.virsh("create", machine.path)
    machine.ticks.wait(3)
    here.virsh("suspend", "x")
    move(machine, here, there, state="paused")
    there.virsh("resume", "x")
    counts_on(machine)


@pytest.mark.full
@pytest.mark.parametrize("first", ["stock", "ours"])
def test_a_cancelled_migration_leaves_the_guest_where_it_was(pair, machine, first):
    here, there = pair if first == "stock" else pair[::-1]
    here.virsh("create", machine.path)
    machine.ticks.wait(3)
    here.virsh("migrate-setspeed", "x", "1")
    words = ["virsh", "-c", here.uri, "migrate", "--live", "--unsafe", "x", there.uri]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as moving:
        wait_until(lambda: "Unbounded" in here.virsh("domjobinfo", "x"), 30, "the job is seen")
        here.virsh("domjobabort", "x")
        said, _ = moving.communicate(timeout=60)
    assert moving.returncode == 1 and "cancel" in said
    wait_until(lambda: there.state_of("x") == "absent", 30, "the destination forgets it")
    counts_on(machine)
