# SPDX-License-Identifier: LGPL-2.1-or-later
"""A segue-agent that hangs where only `segued` can decide who goes on: one copy runs, and the other
host knows."""
import os
import signal
import subprocess

import pytest
import standby as sb
from agent import control
from hosts import BIN, Hosts, wait_until
from protected import ProtectedMachine

BIASES = {"hold": ["--on-loss", "hold"], "promote": ["--on-loss", "promote"], "witness": None}


def words_of(bias, witness):
    return BIASES[bias] or ["--witness", witness.uri]


def states(machine, one, two):
    return one.state_of(machine.name), two.state_of(machine.name)


def agents(host):
    return [pid for pid, line in host.qemus() if line.split()[0].endswith("segue-agent")]


def one_copy_runs(machine, one, two, hung):
    """Which host's: found when somebody has decided, and heard from then on. Before that the other
    may run for a while, and is not heard."""
    def at_rest():
        said = machine.status(one)
        again = said["state"] == "protected" and agents(one) not in ([], [hung])
        decided = said["state"] == "none" or said["detail"] in ("unprotected", "isolated")
        found = states(machine, one, two)
        if not (decided or again) or found.count("running") != 1:
            return None
        return one if found[0] == "running" else two
    winner = wait_until(at_rest, sb.PATIENCE, lambda: f"one runs: {states(machine, one, two)}",
                        every=0.2)
    machine.outside.wait(machine.outside.last() + 30)
    here, there = states(machine, one, two)
    assert (here == "running") == (winner is one) and (there == "running") == (winner is two)
    assert machine.outside.backward() == []
    return winner


def begin_to_protect(machine, one, two, words):
    """`segued` has not heard yet that the first state is committed."""
    process = subprocess.Popen(
        [str(BIN / "segue"), "-c", one.local_uri, "protect", machine.name, "--standby", two.uri,
         "--allow-tcg", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    folder = one.state / "protection"

    def state():
        try:
            agent, = folder.glob("*/control.sock")
            return control(agent, cmd="status")["state"]
        except (OSError, ValueError):
            return ""  # it begins
    # QEMU has been told to send it; the answer of the agent's is what is not heard.
    wait_until(lambda: state() in ("syncing", "protected"), 60, "the first state is on its way",
               every=0.001)
    os.kill(one.process.pid, signal.SIGSTOP)
    wait_until(lambda: state() == "protected", 60, "it is there")
    return process


@pytest.mark.full
@pytest.mark.parametrize("bias", [*BIASES])
def test_between_the_first_commit_and_protected(tmp_path, bias):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        with begin_to_protect(machine, one, two, words_of(bias, three)) as protect:
            hung = machine.helper(one, "segue-agent")
            os.kill(hung, signal.SIGSTOP)
            os.kill(one.process.pid, signal.SIGCONT)
            protect.communicate(timeout=sb.PATIENCE)
        winner = one_copy_runs(machine, one, two, hung)
        assert bias != "hold" or winner is one


@pytest.mark.full
def test_of_a_protected_guest_with_a_witness(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, *words_of("witness", three))
        machine.wait_epochs(one, 3)
        hung = machine.helper(one, "segue-agent")
        os.kill(hung, signal.SIGSTOP)
        one_copy_runs(machine, one, two, hung)
        assert "segue-agent hangs" in one.log()
