# SPDX-License-Identifier: LGPL-2.1-or-later
"""A running guest moves between stock libvirtd and ours, both ways, and counts on."""
import os
import subprocess

import pytest

from certificates import make_certificates
from hosts import Hosts, free_port, wait_until
from machines import Machine
from processors import feature_words, machine_with
from protected import ProtectedMachine
from stock_libvirtd import StockHost
from test_protect_pause import begin


@pytest.fixture(scope="module", name="pair")
def both_daemons():
    with StockHost(f"127.0.0.{200 + os.getpid() % 50}") as stock, Hosts(1) as (ours,):
        yield stock, ours


@pytest.fixture(name="machine", params=[False, True], ids=["plain", "spice"])
def counting_guest(pair, tmp_path, request):
    os.chmod(tmp_path, 0o755)
    # More than 1 MiB/s can carry: a move that a test slows down does not end before it.
    machine = Machine(tmp_path, name="x", spice=request.param, tick_ms=20, dirty_mb_s=8)
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
    wait_until(lambda: not ours.qemus(), 60, "our QEMU is gone")
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
@pytest.mark.parametrize("cpu", ["<cpu mode='host-model'/>", "<cpu mode='maximum'/>",
                                 "<cpu><model>Skylake-Client</model></cpu>"],
                         ids=["host-model", "maximum", "custom"])
def test_the_processor_stays_the_same(pair, tmp_path, first, cpu):
    """Each daemon has its own words for a host's model; the guest sees the same bits."""
    here, there = pair if first == "stock" else pair[::-1]
    machine = machine_with(tmp_path, cpu, name="x")
    here.virsh("create", machine.path)
    machine.ticks.wait(3)
    words = feature_words(here, "x")
    move(machine, here, there)
    assert feature_words(there, "x") == words
    move(machine, there, here)
    assert feature_words(here, "x") == words
    counts_on(machine)
    here.virsh("destroy", "x")


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
        wait_until(lambda: "Unbounded" in here.virsh("domjobinfo", "x"), 60, "the job is seen")
        here.virsh("domjobabort", "x")
        said, _ = moving.communicate(timeout=60)
    # QEMU 7.2 shuts its return path (the same socket) before it notes that it was cancelled: a
    # write between the two fails, and libvirtd passes that on. Ours knows that it was asked.
    causes = ("cancel",) if first == "ours" else ("cancel", "Unable to write to socket")
    assert moving.returncode == 1 and any(cause in said for cause in causes), said
    wait_until(lambda: there.state_of("x") == "absent", 60, "the destination forgets it")
    counts_on(machine)


@pytest.fixture(scope="module", name="secure")
def both_daemons_with_certificates(tmp_path_factory):
    """Both serve TLS, with certificates of one authority for their addresses."""
    pki = tmp_path_factory.mktemp("secure") / "pki"
    hosts = Hosts(1, config=f'[tls]\ndirectory = "{pki}"\n')
    ours = hosts.hosts[0]
    address = f"127.0.0.{150 + os.getpid() % 50}"
    make_certificates(pki, ours.address, address)
    ours.tls_port = free_port(ours.address)
    ours.tls_uri = f"qemu+tls://{ours.address}:{ours.tls_port}/system?pkipath={pki}"
    ours.arguments += ["--listen", f"tls:{ours.address}:{ours.tls_port}"]
    with StockHost(address, pki=pki) as stock, hosts:
        yield stock, ours


@pytest.mark.full
@pytest.mark.parametrize("mode", [[], ["--tls"], ["--p2p", "--tls"], ["--p2p", "--tunnelled"]],
                         ids=["managed", "managed-tls", "p2p-tls", "tunnelled"])
def test_over_tls_connections(secure, tmp_path, mode):
    """The client, or the source's daemon, comes by TLS; with --tls QEMU's stream is encrypted too,
    and both ends prove who they are."""
    os.chmod(tmp_path, 0o755)
    stock, ours = secure
    machine = Machine(tmp_path, name="x", tick_ms=20)
    stock.virsh("create", machine.path, uri=stock.tls_uri)
    machine.ticks.wait(3)
    try:
        for here, there in ((stock, ours), (ours, stock)):
            here.virsh("migrate", "--live", "--unsafe", *mode, "x", there.tls_uri,
                       uri=here.tls_uri)
            assert there.state_of("x") == "running" and here.state_of("x") == "absent"
            counts_on(machine)
        said = stock.virsh("migrate", "--live", "--unsafe", "--tls", "--tls-destination",
                           "elsewhere", "x", ours.tls_uri, uri=stock.tls_uri, code=1)
        assert stock.state_of("x") == "running", said
        wait_until(lambda: ours.state_of("x") == "absent", 60, "nothing is left of it")
        counts_on(machine)
    finally:
        for host in secure:
            host.virsh("destroy", "x", code=None)


@pytest.mark.full
@pytest.mark.parametrize("mode", [[], ["--p2p"]], ids=["managed", "p2p"])
def test_a_protected_guest_stays_where_it_can_be_protected(tmp_path, mode):
    """Stock's daemon cannot go on with a protection, and is asked first: nothing has moved then."""
    with StockHost(f"127.0.0.{200 + os.getpid() % 50}") as stock, Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path) as machine:
        begin(machine, one, two)
        agent = machine.helper(one, "segue-agent")
        refused = one.virsh("migrate", "--live", "--unsafe", *mode, machine.name, stock.uri, code=1)
        assert f"`segue unprotect {machine.name}` first" in refused
        assert refused.count("error: ") == 1, refused
        assert stock.state_of(machine.name) == "absent"
        assert machine.status(one)["state"] == "protected"
        assert machine.helper(one, "segue-agent") == agent
        machine.went_on()
