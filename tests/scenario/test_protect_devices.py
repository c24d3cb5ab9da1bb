# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue protect` of a guest with two disks and two network cards: all of them go on from the same
checkpoint."""
import os
import signal

import guest
import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine


def images_on(host, machine):
    return [host.state / "images" / f"{machine.uuid}-{disk}.raw" for disk in ("vda", "vdb")]


@pytest.mark.full
def test_two_disks_and_two_cards_go_on_together(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, second=True) as machine:
        one.virsh("define", machine.path)
        one.virsh("start", machine.name)
        machine.outside.wait(5)
        machine.second.wait(5)
        machine.protect(one, two)
        machine.wait_epochs(one)
        assert machine.status(one)["gate"] == "standby"
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        machine.went_on()
        two.virsh("destroy", machine.name)
        # Written one after the other, round and round: none is missing.
        for image in images_on(two, machine):
            assert guest.records(image) and guest.lost_records(image) == [], image


@pytest.mark.full
def test_frames_of_both_cards_can_be_held_at_the_primary(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path, second=True) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.second.wait(5)
        machine.protect(one, two, "--gate", "primary")
        machine.wait_epochs(one)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        for outside in (machine.outside, machine.second):
            outside.wait(outside.last() + 40)
            assert outside.backward() == []
        # Protected toward the old host, given up, and begun again: nothing is in the way.
        machine.protect(two, one)
        machine.wait_epochs(two)
        two.segue("unprotect", machine.name)
        machine.protect(two, one, "--gate", "primary")
        machine.wait_epochs(two)
        two.virsh("destroy", machine.name)
