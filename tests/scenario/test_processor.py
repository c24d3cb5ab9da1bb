# SPDX-License-Identifier: LGPL-2.1-or-later
"""The guest's processor: the live definition shows the one that QEMU runs, a definition that wants
more than there is may be refused, and a guest goes on elsewhere on the same processor only."""
import os
import re

import pytest

from hosts import Hosts, wait_until
from machines import EMULATOR, Machine
from processors import feature_words, machine_with

# CPUID leaf 1, ECX (Intel's manual, volume 2A).
PCID, X2APIC, AES, HYPERVISOR = 1 << 17, 1 << 21, 1 << 25, 1 << 31
# What an AMD processor repeats of leaf 1 (AMD's manual, volume 3, appendix E).
REPEATED_LEAF, REPEATED_BITS = (0x80000001, None, "EDX"), 0x0183F3FF
# Another QEMU on the second host, as far as the guest could see.
WRAPPER = f"""#!/bin/sh
case $PWD in
*/hostb/*) exec {EMULATOR} "$@" -global qemu64-x86_64-cpu.svm=off ;;
*) exec {EMULATOR} "$@" ;;
esac
"""


@pytest.fixture(scope="module", name="hosts")
def two_hosts():
    with Hosts(2) as hosts:
        yield hosts


@pytest.fixture(name="pair")
def two_empty_hosts(hosts):
    yield hosts
    for host in hosts:
        for name in ("g", "m", "x"):
            host.virsh("destroy", name, code=None)
            host.virsh("undefine", name, code=None)
    for host in hosts:
        wait_until(lambda h=host: not h.qemus(), 60, f"no QEMU is left on {host.name}")


def cpu_of(host, name, *options):
    return re.search(r"<cpu mode[^>]*/>\n|<cpu mode.*?</cpu>\n",
                     host.virsh("dumpxml", *options, name), re.S)[0]


@pytest.mark.quick
def test_the_live_definition_shows_what_runs(pair, tmp_path):
    host = pair[0]
    machine = machine_with(tmp_path, "<cpu><model>Skylake-Client</model>"
                                     "<feature policy='require' name='x2apic'/></cpu>")
    host.virsh("define", machine.path)
    host.virsh("start", "--paused", "g")
    bits = feature_words(host, "g")[(1, None, "ECX")]
    assert bits & AES and bits & HYPERVISOR and not bits & PCID and not bits & X2APIC
    live = cpu_of(host, "g")
    assert "<cpu mode='custom' match='exact' check='full'>" in live
    for feature, policy in (("pcid", "disable"), ("x2apic", "disable"), ("hypervisor", "require")):
        assert f"<feature policy='{policy}' name='{feature}'/>" in live
    assert "name='aes'" not in live, "what is as the model has it need not be said"
    asked = cpu_of(host, "g", "--inactive")
    assert "check='none'" in asked and "<feature policy='require' name='x2apic'/>" in asked
    assert "pcid" not in asked and cpu_of(host, "g", "--migratable") == asked
    host.stop()
    host.start()
    assert cpu_of(host, "g", "--inactive") == asked


@pytest.mark.quick
def test_a_host_model_is_all_that_there_is(pair, tmp_path):
    """The same bits as the maximum, under a model's name; there and back, and nothing changes."""
    one, two = pair
    modelled = machine_with(tmp_path, "<cpu mode='host-model'/>", name="m")
    maximal = machine_with(tmp_path, "<cpu mode='maximum'/>", name="x")
    one.virsh("define", modelled.path)
    assert cpu_of(one, "m") == "<cpu mode='host-model' check='partial'/>\n"
    one.virsh("start", "m")
    one.virsh("create", "--paused", maximal.path)
    named, most = feature_words(one, "m"), feature_words(one, "x")
    most[REPEATED_LEAF] &= ~REPEATED_BITS
    named[REPEATED_LEAF] &= ~REPEATED_BITS
    assert named == most
    assert cpu_of(one, "x") == "<cpu mode='maximum' check='none'/>\n"
    one.virsh("destroy", "x")
    live, words = cpu_of(one, "m"), feature_words(one, "m")
    assert "<cpu mode='custom' match='exact' check='full'>" in live
    modelled.ticks.wait(3)
    for here, there in ((one, two), (two, one)):
        here.virsh("migrate", "--live", "--unsafe", "m", there.uri)
        assert (cpu_of(there, "m"), feature_words(there, "m")) == (live, words)
    modelled.ticks.wait(modelled.ticks.last() + 3)
    assert modelled.ticks.gaps() == []


@pytest.mark.quick
@pytest.mark.parametrize("cpu, why", [
    ("<cpu check='partial'><model>Skylake-Client</model></cpu>",
     "the CPU is incompatible with host CPU: Host CPU does not provide required features: "
     "3dnowprefetch, hle"),
    ("<cpu check='full'><model>Skylake-Client</model></cpu>",
     "guest CPU doesn't match specification: missing features: 3dnowprefetch, hle"),
    ("<cpu match='minimum'><model>EPYC</model></cpu>", "does not offer all of CPU model 'EPYC'"),
    ("<cpu><model>Nehalem</model><feature policy='forbid' name='aes'/></cpu>",
     "Host CPU provides forbidden features: aes"),
    ("<cpu><model>NobodysCpu</model></cpu>", "NobodysCpu"),
    ("<cpu mode='host-passthrough'/>", "not supported by hypervisor"),
], ids=["partial", "full", "minimum", "forbid", "unknown", "passthrough"])
def test_what_cannot_be_had_is_refused(pair, tmp_path, cpu, why):
    machine = machine_with(tmp_path, cpu)
    assert why in pair[0].virsh("create", machine.path, code=1)
    assert pair[0].state_of("g") == "absent" and not pair[0].guests()


@pytest.mark.quick
def test_what_is_optional_is_had_where_it_can_be(pair, tmp_path):
    host = pair[0]
    machine = machine_with(tmp_path, "<cpu><model>Nehalem</model>"
                                     "<feature policy='optional' name='aes'/>"
                                     "<feature policy='optional' name='pcid'/></cpu>")
    host.virsh("create", "--paused", machine.path)
    bits = feature_words(host, "g")[(1, None, "ECX")]
    assert bits & AES and not bits & PCID


@pytest.mark.quick
def test_a_host_that_cannot_offer_it_refuses_the_guest(pair, tmp_path):
    """Before anything moves: the guest never stopped, and nothing is left on the other host."""
    one, two = pair
    os.chmod(tmp_path, 0o755)
    wrapper = tmp_path / "emulator"
    wrapper.write_text(WRAPPER)
    wrapper.chmod(0o755)
    machine = Machine(tmp_path, tick_ms=20, emulator=wrapper)
    one.virsh("create", machine.path)
    machine.ticks.wait(3)
    for mode in ([], ["--p2p"]):
        said = one.virsh("migrate", "--live", "--unsafe", *mode, "g", two.uri, code=1)
        assert "guest CPU doesn't match specification: missing features: svm" in said
        assert one.state_of("g") == "running"
        wait_until(lambda: two.state_of("g") == "absent", 60, "the destination forgets it")
        # One that was asked what it can do, or was to receive the guest, goes by itself.
        wait_until(lambda: not two.qemus(), 60, "no QEMU is left there")
    machine.ticks.wait(machine.ticks.last() + 3)
    assert machine.ticks.gaps() == []
