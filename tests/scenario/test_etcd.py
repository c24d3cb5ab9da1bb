# SPDX-License-Identifier: LGPL-2.1-or-later
"""An etcd cluster decides who goes on when primary and standby lose each other."""
import os
import signal

import pytest
import standby as sb
from certificates import make_certificates
from etcd import Etcd
from hosts import Failed, Hosts, wait_until
from protected import ProtectedMachine


def begin(machine, one, two, etcd, *words):
    one.virsh("create", machine.path)
    machine.outside.wait(5)
    machine.protect(one, two, "--witness", etcd.uri, *words)
    said = machine.wait_epochs(one, 3)
    assert said["on_loss"] == "witness" and said["witness"] == etcd.uri
    assert machine.wait(one, lambda now: now["witness_lease"]["may_release"])
    assert etcd.holders() == ["shared"]


@pytest.mark.full
@pytest.mark.parametrize("speaks", ["tcp", "tls"])
def test_a_lost_standby_and_a_primary_that_may_go_on(tmp_path, speaks):
    pki = make_certificates(tmp_path / "pki", "127.0.0.1") if speaks == "tls" else None
    config = f'[tls]\ndirectory = "{pki}"\n' if pki else ""
    with Etcd(tmp_path / "etcd", pki) as etcd, Hosts(2, config) as (one, two), \
            ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, etcd)
        # A cluster that was started again has forgotten nothing.
        etcd.kill()
        machine.wait(one, lambda now: not now["witness_lease"]["heard"])
        etcd.start()
        machine.wait(one, lambda now: now["witness_lease"]["may_release"])
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        said = machine.wait(one, lambda now: now["state"] == "unprotected" and now.get("reason"))
        assert "standby" in said["reason"]
        machine.outside.wait(machine.outside.last() + 30)
        wait_until(lambda: one.state_of(machine.name) == "running", 60, "it runs alone")
        # The cause is gone: it is protected again, under the same cluster.
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.wait_epochs(one, 3)
        assert machine.outside.backward() == []
        wait_until(lambda: etcd.holders() == ["shared"], 60, "the former lease is forgotten")
        one.segue("unprotect", machine.name)
        wait_until(lambda: etcd.keys() == {}, 60, "nothing is left")


@pytest.mark.full
def test_a_host_that_stops_and_comes_back_is_not_heard(tmp_path):
    with Etcd(tmp_path / "etcd") as etcd, Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, etcd)
        holders = []
        machine.comes_back_unheard(one, two, lambda: holders.extend(etcd.holders()))
        assert holders == ["standby"]


@pytest.mark.full
def test_a_standby_that_was_started_again_takes_over(tmp_path):
    """Its daemon asks in its place: whether what it holds is the newest."""
    with Etcd(tmp_path / "etcd") as etcd, Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two, etcd)
        for pid in machine.parties(one):
            os.kill(pid, signal.SIGSTOP)
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs")
        assert etcd.holders() == ["standby"]
        machine.went_on()


@pytest.mark.full
def test_nobody_goes_on_alone_while_the_cluster_does_not_answer(tmp_path):
    with Etcd(tmp_path / "etcd") as etcd, Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        for uri, words in (("etcd+tcp://192.0.2.1", "TLS"), ("etcd://", "HOST")):
            with pytest.raises(Failed, match=words):
                machine.protect(one, two, "--witness", uri)
        one.virsh("destroy", machine.name)
        begin(machine, one, two, etcd)
        etcd.stop()
        try:
            os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
            machine.wait(one, lambda now: now["detail"] == "asks the witness")
            seen = machine.outside.last()
        finally:
            etcd.go_on()
        machine.wait(one, lambda now: now["state"] == "protected")
        machine.outside.wait(seen + 30)
        assert machine.outside.backward() == []
