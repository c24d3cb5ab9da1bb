# SPDX-License-Identifier: LGPL-2.1-or-later
"""Hundreds of moves to and fro between two daemons: the guest counts on, and nothing grows."""
import os

import pytest

from hosts import Hosts, wait_until
from machines import Machine

WARM_UP = 20  # moves, until caches and the allocator have what they keep
MOVES = 400


def resident_kib(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS:"))


def held(host):
    """What a daemon holds that must not grow: descriptors, threads, domains' directories."""
    pid = host.process.pid
    return (len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task")),
            len(list((host.state / "domains").iterdir())))


@pytest.mark.soak
def test_four_hundred_moves(tmp_path):
    machine = Machine(tmp_path, name="l", tick_ms=20, dirty_mb_s=4)
    with Hosts(2) as (one, two):
        one.virsh("define", machine.path)
        one.virsh("start", "l")
        machine.ticks.wait(3)

        def there_and_back(count):
            for number in range(count):
                here, there = (one, two) if number % 2 == 0 else (two, one)
                mode = ["--p2p"] if number % 4 < 2 else []
                here.virsh("migrate", "--live", "--unsafe", "--persistent", "--undefinesource",
                           *mode, "l", there.uri)
            for host, guests in ((one, 1), (two, 0)):
                wait_until(lambda h=host, n=guests: len(h.qemus()) == n, 60, "QEMUs have ended")

        there_and_back(WARM_UP)
        before = [(held(host), resident_kib(host.process.pid)) for host in (one, two)]
        there_and_back(MOVES)
        for host, (kept, memory) in zip((one, two), before):
            wait_until(lambda h=host, k=kept: all(now <= was for now, was in zip(held(h), k)), 30,
                       lambda h=host, k=kept: f"{h.name} holds {held(h)}, before {k}")
            assert resident_kib(host.process.pid) < memory + 2048, host.name
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []
