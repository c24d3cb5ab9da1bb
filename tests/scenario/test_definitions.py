# SPDX-License-Identifier: LGPL-2.1-or-later
"""--persistent --undefinesource: the definition is on one host or on the other, whoever dies, and a
migration that could not keep it fails before the guest is taken."""
import os

import pytest

from groups import one_in_full
from hosts import Hosts, end_process, wait_until
from machines import EMULATOR, Machine

KEEP = ["--persistent", "--undefinesource"]
MODES = {"managed": [], "p2p": ["--p2p"]}
ENVELOPE = " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
PASSTHROUGH = "<qemu:commandline><qemu:arg value='-S'/></qemu:commandline>"
# Of a definition: what is written over, with what, and why it cannot be kept.
SPOILED = {
    "uuid": ("<uuid>UUID<", "<uuid>00000000-0000-4000-8000-00000000000f<", "Target domain uuid"),
    "name": ("<name>d<", "<name>other<", "Target domain name other does not match source d"),
    "passthrough": ("</devices>", f"</devices>{PASSTHROUGH}", "does not allow"),
}


def is_defined(host):
    return "d" in host.virsh("list", "--all", "--persistent", "--name").split()


def start(host, folder, **numbers):
    machine = Machine(folder, name="d", tick_ms=20, **numbers)
    host.virsh("define", machine.path)
    host.virsh("start", "d")
    machine.ticks.wait(3)
    return machine


def own_xml(machine, folder, old="</name>", new="</name><title>mine</title>"):
    path = folder / "kept.xml"
    path.write_text(machine.xml.replace(old, new, 1))
    return path


def migrate(one, two, *words):
    """Until its client ends, whatever becomes of the hosts meanwhile."""
    client = one.virsh_process("migrate", "--live", "--unsafe", *KEEP, *words, "d", two.uri)
    try:
        return client.communicate(timeout=120)[0]
    finally:
        client.kill()
        client.wait(60)


@pytest.mark.parametrize("mode, guest_too", one_in_full({
    f"{mode}-{victims}": (mode, guest_too) for mode in MODES
    for victims, guest_too in (("segued", False), ("segued and QEMU", True))
}, "managed-segued and QEMU"))
def test_it_outlives_a_target_that_dies_behind_its_record(tmp_path, mode, guest_too):
    """The source hears that the guest was taken, and undefines it: what the user wanted to be kept
    must be there."""
    with Hosts(2) as (one, two):
        machine = start(one, tmp_path)
        two.stop()
        two.start({"SEGUE_FAULT": "destination.record.taken.after:kill"})
        migrate(one, two, *MODES[mode], "--persistent-xml", own_xml(machine, tmp_path))
        assert two.process.wait(60) != 0
        two.process = None
        if guest_too:
            for pid, _ in two.qemus():
                end_process(pid)
        two.start()
        wait_until(lambda: not is_defined(one), 60, "the source undefines it")
        assert is_defined(two)
        assert "<title>mine</title>" in two.virsh("dumpxml", "--inactive", "d")
        if not guest_too:
            wait_until(lambda: two.state_of("d") == "running", 60, "it runs")
            machine.ticks.wait(machine.ticks.last() + 3)
            assert machine.ticks.gaps() == []
            two.virsh("destroy", "d")
        # And it is in the store, not only in memory.
        two.kill()
        two.start()
        assert is_defined(two)


@pytest.mark.parametrize("mode, old, new, why", one_in_full({
    f"{mode}-{name}": (mode, *words) for mode in MODES for name, words in SPOILED.items()
}, "p2p-name"))
def test_what_cannot_be_kept_stops_the_migration(tmp_path, mode, old, new, why):
    with Hosts(2) as (one, two):
        machine = start(one, tmp_path)
        machine.xml = machine.xml.replace("<domain type='qemu'", f"<domain type='qemu'{ENVELOPE}")
        spoiled = own_xml(machine, tmp_path, old.replace("UUID", machine.uuid), new)
        said = migrate(one, two, *MODES[mode], "--persistent-xml", spoiled)
        assert why in said, said
        wait_until(lambda: two.state_of("d") == "absent", 60, "the target forgets it")
        assert one.state_of("d") == "running" and is_defined(one)
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []
        migrate(one, two, *MODES[mode])
        assert is_defined(two) and not is_defined(one)


# Takes its time over the first question of what it can do.
SLOW = """#!/bin/sh
for word; do case $word in none|none,*)
    if [ ! -e {told} ]; then sleep 2; touch {told}; fi ;;
esac; done
exec {emulator} "$@"
"""


@pytest.mark.full
@pytest.mark.parametrize("mode", [[], ["--p2p"]], ids=["managed", "p2p"])
def test_the_emulator_of_what_is_kept_is_asked_while_the_guest_runs(tmp_path, mode):
    """In Finish the guest stands still, and would wait for it."""
    told = tmp_path / "told"
    slow = tmp_path / "emulator"
    slow.write_text(SLOW.format(told=told, emulator=EMULATOR))
    slow.chmod(0o755)
    os.chmod(tmp_path, 0o755)
    with Hosts(2) as (one, two):
        machine = start(one, tmp_path, dirty_mb_s=8)
        kept = own_xml(machine, tmp_path, f"<emulator>{EMULATOR}", f"<emulator>{slow}")
        one.virsh("migrate-setspeed", "d", "1")
        client = one.virsh_process("migrate", "--live", "--unsafe", *KEEP, *mode,
                                   "--persistent-xml", kept, "d", two.uri)
        try:
            wait_until(lambda: "Data processed" in one.virsh("domjobinfo", "d", code=None), 60,
                       "the guest's memory is on its way")
            assert told.exists() and one.state_of("d") == "running"
            one.virsh("migrate-setspeed", "d", "1000")
            said = client.communicate(timeout=120)[0]
        finally:
            client.kill()
            client.wait(60)
        assert client.returncode == 0, said
        assert f"<emulator>{slow}" in two.virsh("dumpxml", "--inactive", "d")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []
