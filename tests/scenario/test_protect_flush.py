# SPDX-License-Identifier: LGPL-2.1-or-later
"""Under protection the local image is not flushed: each checkpoint would contain that."""
import json
import os
import signal

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine


def skips_flushes(host, machine):
    """Of the nodes that write the guest's disks there."""
    said = json.loads(host.virsh("qemu-monitor-command", machine.name,
                                 '{"execute": "query-named-block-nodes"}'))
    nodes = {node["node-name"]: node for node in said["return"]}
    return [nodes[f"libvirt-{number}-storage"]["cache"]["no-flush"] for number in (1, 2)]


@pytest.mark.full
def test_a_protected_guests_images_skip_their_flushes(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, second=True) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        assert skips_flushes(one, machine) == [False, False]
        machine.protect(one, two)
        assert skips_flushes(one, machine) == [True, True]
        one.segue("unprotect", machine.name)
        assert skips_flushes(one, machine) == [False, False]
        # Whoever loses the standby keeps its own image again, also behind a daemon's restart.
        machine.protect(one, two)
        one.stop()
        one.start()
        two.kill()
        os.kill(machine.helper(two, "segue-standby"), signal.SIGKILL)
        wait_until(lambda: skips_flushes(one, machine) == [False, False], sb.PATIENCE,
                   "it flushes again")
        machine.outside.wait(machine.outside.last() + 10)


@pytest.mark.full
def test_who_wants_no_flushes_gets_none_behind_a_protection_either(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, second=True) as machine:
        text = machine.path.read_text()
        machine.path.write_text(text.replace("type='raw'/><source", "type='raw' cache='unsafe'/>"
                                             "<source", 1))
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        # The first disk has the higher number.
        assert skips_flushes(one, machine) == [False, True]
        machine.protect(one, two)
        assert skips_flushes(one, machine) == [True, True]
        one.segue("unprotect", machine.name)
        assert skips_flushes(one, machine) == [False, True]
