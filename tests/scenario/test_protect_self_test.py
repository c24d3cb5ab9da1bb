# SPDX-License-Identifier: LGPL-2.1-or-later
"""Before a guest is protected, its emulator's checkpoints are tried on a machine that shows whether
each written page is in them. Emulation in QEMU 7.2 loses pages, and with the tests' shim it
does not."""
import os

import pytest
import standby as sb
from hosts import Hosts, wait_until
from machines import EMULATOR
from protected import ProtectedMachine, emulator


def protect(machine, host, standby, *words, code=0):
    return host.segue("protect", machine.name, "--standby", standby.uri, *words, code=code,
                      timeout=sb.PATIENCE)


def left_of_a_trial(host):
    return [name for name in os.listdir(host.state) if "checkpoints" in name]


@pytest.mark.full
def test_an_emulator_that_loses_pages_protects_nobody(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        machine.path.write_text(machine.path.read_text().replace(str(emulator(tmp_path)),
                                                                 str(EMULATOR)))
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        refused = protect(machine, one, two, code=None)
        assert "fail their self-test" in refused and "TCG" in refused, refused
        assert "--allow-tcg" in refused and refused.strip().count("\n") == 0
        assert machine.status(one)["role"] == "none"
        # It may have been the host's fault, for once: it is tried again.
        assert "fail their self-test" in protect(machine, one, two, code=None)
        assert one.log().count("are tried") == 2
        wait_until(lambda: left_of_a_trial(one) == [], sb.PATIENCE, "nothing is left of it")
        machine.outside.wait(machine.outside.last() + 5)


# Some checkpoints have to come within 30 s, whatever else the machine does.
@pytest.mark.soak
def test_an_emulator_whose_checkpoints_are_right_is_tried_once(tmp_path):
    with Hosts(2) as (one, two), ProtectedMachine(tmp_path) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        protect(machine, one, two)
        one.segue("unprotect", machine.name)
        protect(machine, one, two)
        machine.went_on()
        assert one.log().count("are tried") == 1
        wait_until(lambda: left_of_a_trial(one) == [], sb.PATIENCE, "nothing is left of it")
