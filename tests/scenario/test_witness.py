# SPDX-License-Identifier: LGPL-2.1-or-later
"""A third segued decides who goes on when primary and standby lose each other."""
import os
import signal

import pytest
import standby as sb
from hosts import Failed, Hosts, wait_until
from protected import ProtectedMachine


def begin(machine, one, two, three, *words):
    one.virsh("create", machine.path)
    machine.outside.wait(5)
    machine.protect(one, two, "--witness", three.uri, *words)
    said = machine.wait_epochs(one, 3)
    assert said["on_loss"] == "witness" and said["witness"] == three.uri
    assert machine.wait(one, lambda now: now["witness_lease"]["may_release"])


def udp_sockets(host):
    """The inodes of the UDP sockets that the host's daemon has."""
    with open("/proc/net/udp", encoding="ascii") as table:
        known = {line.split()[9] for line in table.readlines()[1:]}
    folder = f"/proc/{host.process.pid}/fd"
    links = []
    for entry in os.listdir(folder):
        try:
            links.append(os.readlink(f"{folder}/{entry}"))
        except FileNotFoundError:
            pass  # closed meanwhile
    return {link[len("socket:["):-1] for link in links if link.startswith("socket:[")} & known


@pytest.mark.full
def test_a_lost_standby_and_a_primary_that_may_go_on(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        with pytest.raises(Failed, match="third host"):
            machine.protect(one, two, "--witness", two.uri)
        one.virsh("destroy", machine.name)
        begin(machine, one, two, three)
        # A witness that was started again has forgotten nothing.
        three.kill()
        three.start()
        machine.wait(one, lambda now: now["witness_lease"]["may_release"])
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        said = machine.wait(one, lambda now: now["state"] == "unprotected" and now.get("reason"))
        assert "standby" in said["reason"]
        machine.outside.wait(machine.outside.last() + 30)
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it runs alone")
        # The cause is gone: it is protected again, under the same witness.
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []
        assert "goes on unprotected" in one.log() and "the primary goes on alone" in three.log()
        # Where nothing is watched any more, nothing listens.
        assert len(udp_sockets(three)) == 1
        one.segue("unprotect", machine.name)
        wait_until(lambda: not udp_sockets(three), 60, "the witness has closed its socket")


@pytest.mark.full
def test_a_host_that_stops_and_comes_back_is_not_heard(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, three)
        machine.comes_back_unheard(one, two)
        # The other host can be asked: nobody's word counts but its own.
        with pytest.raises(Failed, match="runs at its standby"):
            one.segue("unprotect", machine.name)
        assert one.state_of(machine.name) == "paused"


@pytest.mark.full
def test_a_linked_standby_vouches_for_a_witness_that_is_gone(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, three, "--gate", "primary")
        three.kill()
        machine.wait(one, lambda now: not now["witness_lease"]["heard"] and
                     not now["witness_lease"]["may_release"])
        # Nobody can take over: nothing has to be held back.
        machine.outside.wait(machine.outside.last() + 50)
        assert machine.outside.irregular() == []
        assert machine.status(one)["state"] == "protected"


@pytest.mark.soak
def test_a_dead_host_is_taken_over_without_an_operator(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, three)
        for pid in machine.parties(one):
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()


@pytest.mark.soak
def test_without_witness_and_standby_nobody_goes_on_alone(tmp_path):
    with Hosts(3) as (one, two, three), ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, three)
        three.kill()
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        machine.wait(one, lambda now: now["detail"] == "asks the witness")
        seen = machine.outside.last()
        # The witness is back, and its word with it.
        three.start()
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.outside.wait(seen + 30)
        assert machine.outside.backward() == []
