# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every option of `virsh migrate` that this daemon has, and the refusal of every one it has not.
What an option does on the way is in test_migrate_effects.py.
One guest goes to and fro between two hosts under one option after the other, and counts on."""
import os

import pytest

from certificates import make_certificates
from hosts import Hosts, free_port, wait_until
from machines import Machine


@pytest.fixture(scope="module", name="pki")
def authority(tmp_path_factory):
    # Every loopback address that Hosts may choose is one of these two through the names.
    return make_certificates(tmp_path_factory.mktemp("pki") / "pki", "hosta", "hostb")


@pytest.fixture(scope="module", name="pair")
def two_hosts(pki):
    with Hosts(2, config=f'[tls]\ndirectory = "{pki}"\n') as hosts:
        yield hosts


class Traveller:
    """The guest, and on which of the two hosts it is."""

    def __init__(self, pair, folder):
        self.here, self.there = pair
        # More than 1 MiB/s can carry: a move that a test slows down does not end before it.
        self.machine = Machine(folder, name="t", tick_ms=20, spice=True, dirty_mb_s=8)
        self.here.virsh("create", self.machine.path)
        self.machine.ticks.wait(3)

    def move(self, *words, name="t", state="running"):
        self.here.virsh("migrate", "--live", "--unsafe", *words, "t", self.there.uri)
        assert self.there.state_of(name) == state
        self.here, self.there = self.there, self.here

    def counts_on(self):
        self.machine.ticks.wait(self.machine.ticks.last() + 3)
        assert self.machine.ticks.gaps() == []

    def refused(self, *words):
        said = self.here.virsh("migrate", *words, "t", self.there.uri, code=1)
        assert self.here.state_of("t") == "running" and self.there.state_of("t") == "absent"
        return said


@pytest.fixture(name="guest")
def travelling_guest(pair, tmp_path):
    yield (traveller := Traveller(pair, tmp_path))
    for host in pair:
        for name in ("t", "renamed"):
            host.virsh("destroy", name, code=None)
            host.virsh("undefine", name, code=None)
    for host in pair:
        wait_until(lambda h=host: not h.qemus(), 60, f"no QEMU is left on {host.name}")


MODES = [[], ["--p2p"]]
OPTIONS = [
    "--abort-on-error", "--change-protection", "--bandwidth 200", "--auto-converge",
    "--auto-converge --auto-converge-initial 30 --auto-converge-increment 20",
    "--compressed", "--compressed --comp-methods xbzrle --comp-xbzrle-cache 4194304",
    "--compressed --comp-methods mt --comp-mt-level 3 --comp-mt-threads 2 --comp-mt-dthreads 2",
    "--parallel", "--parallel --parallel-connections 3", "--persistent --undefinesource",
]


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES, ids=["managed", "p2p"])
def test_options_that_change_how_it_travels(guest, mode):
    for option in OPTIONS:
        guest.move(*mode, *option.split())
    guest.counts_on()


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES, ids=["managed", "p2p"])
def test_options_that_say_where_to(guest, mode):
    address = guest.there.address
    guest.move(*mode, "--migrateuri", f"tcp://{address}", "--listen-address", address,
               "--graphicsuri", f"spice://{address}:5900")
    port = free_port(guest.there.address)
    guest.move(*mode, "--migrateuri", f"tcp://{guest.there.address}:{port}")
    guest.counts_on()


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES, ids=["managed", "p2p"])
def test_a_new_name(guest, mode):
    guest.move(*mode, "--dname", "renamed", name="renamed")
    assert guest.there.state_of("t") == "absent"
    guest.counts_on()


@pytest.mark.full
@pytest.mark.parametrize("mode", MODES, ids=["managed", "p2p"])
def test_a_definition_of_the_users_own(guest, tmp_path, mode):
    xml = guest.here.virsh("dumpxml", "--migratable", "t")
    changed = tmp_path / "changed.xml"
    changed.write_text(xml.replace("</name>", "</name>\n  <title>a new title</title>", 1))
    guest.move(*mode, "--xml", changed)
    assert "a new title" in guest.here.virsh("dumpxml", "t")
    kept = tmp_path / "kept.xml"
    kept.write_text(xml.replace("</name>", "</name>\n  <title>for the next start</title>", 1))
    guest.move(*mode, "--persistent", "--persistent-xml", kept)
    assert "for the next start" in guest.here.virsh("dumpxml", "--inactive", "t")
    assert "for the next start" not in guest.here.virsh("dumpxml", "t")
    guest.counts_on()


@pytest.mark.full
@pytest.mark.parametrize("old, new, why", [
    ("<memory unit='KiB'>32768</memory>", "<memory unit='KiB'>65536</memory>", "memory"),
    ("<model type='qxl'", "<model type='vga'", "video"),
    ("bus='0x00' slot='0x02'", "bus='0x00' slot='0x1d'", "PCI address"),
], ids=["memory", "video", "address"])
def test_a_definition_that_the_guest_would_notice_is_refused(guest, tmp_path, old, new, why):
    xml = guest.here.virsh("dumpxml", "--migratable", "t")
    assert old in xml
    spoiled = tmp_path / "spoiled.xml"
    spoiled.write_text(xml.replace(old, new))
    said = guest.refused("--live", "--unsafe", "--xml", spoiled)
    assert "Target" in said and "does not match source" in said and why in said
    guest.counts_on()


@pytest.mark.full
def test_suspend_lets_it_arrive_paused(guest):
    guest.move("--suspend", state="paused")
    guest.here.virsh("resume", "t")
    guest.counts_on()


@pytest.mark.quick
def test_a_tunnel_there_and_back(guest):
    for _ in range(2):
        source = guest.here
        guest.move("--p2p", "--tunnelled")
        assert "travels in the connection of the daemons" in source.log()
    guest.counts_on()


@pytest.mark.full
def test_a_tunnel_of_plain_version_3(tmp_path):
    with Hosts(2, config='[migration]\noffer = ["v3"]\n') as pair:
        guest = Traveller(pair, tmp_path)
        guest.move("--p2p", "--tunnelled")
        guest.move("--p2p", "--tunnelled")
        guest.counts_on()


@pytest.mark.full
def test_a_tunnel_is_refused_under_version_2(tmp_path):
    with Hosts(2, config='[migration]\noffer = ["v2"]\n') as pair:
        guest = Traveller(pair, tmp_path)
        assert "needs version 3" in guest.refused("--live", "--unsafe", "--p2p", "--tunnelled")
        guest.counts_on()


@pytest.mark.full
def test_a_tunnelled_migration_is_cancelled(guest):
    guest.here.virsh("migrate-setspeed", "t", "1")
    moving = guest.here.virsh_process("migrate", "--live", "--unsafe", "--p2p", "--tunnelled", "t",
                                      guest.there.uri)
    wait_until(lambda: "Unbounded" in guest.here.virsh("domjobinfo", "t"), 60, "the job is seen")
    guest.here.virsh("domjobabort", "t")
    said, _ = moving.communicate(timeout=60)
    assert moving.returncode == 1 and "cancel" in said
    wait_until(lambda: guest.there.state_of("t") == "absent", 60, "the destination forgets it")
    guest.here.virsh("migrate-setspeed", "t", "0")
    guest.counts_on()
    guest.move("--p2p", "--tunnelled")
    guest.counts_on()


def parameters(host):
    return host.virsh("qemu-monitor-command", "t",
                      '{"execute":"query-migrate-parameters"}').replace(" ", "")


@pytest.mark.quick
@pytest.mark.parametrize("mode", MODES, ids=["managed", "p2p"])
def test_tls_for_everything_between_the_hosts(guest, mode):
    for _ in range(2):
        target = guest.there
        before = len(target.log())
        guest.move(*mode, "--tls", "--tls-destination", target.name)
        # What the arrived QEMU was told, and the daemons' own link.
        assert '"tls-creds":"segue-migration-tls"' in parameters(target)
        assert "a peer link over TLS" in target.log()[before:]
    guest.move(*mode)  # nothing of it stays
    assert '"tls-creds":""' in parameters(guest.here)
    guest.counts_on()


@pytest.mark.full
@pytest.mark.parametrize("mode", [["--tunnelled"], ["--tls"]], ids=["tunnelled", "tls"])
def test_peer_to_peer_over_a_tls_connection(tmp_path, mode):
    """The daemons prove themselves to each other by certificates, by address."""
    hosts = Hosts(2, config=f'[tls]\ndirectory = "{tmp_path / "pki"}"\n')
    make_certificates(tmp_path / "pki", *(host.address for host in hosts.hosts))
    os.chmod(tmp_path, 0o755)
    for host in hosts.hosts:
        host.tls_port = free_port(host.address)
        host.arguments += ["--listen", f"tls:{host.address}:{host.tls_port}"]
    with hosts as pair:
        guest = Traveller(pair, tmp_path)
        for _ in range(2):
            target = guest.there
            guest.here.virsh("migrate", "--live", "--unsafe", "--p2p", *mode, "t",
                             f"qemu+tls://{target.address}:{target.tls_port}/system")
            assert target.state_of("t") == "running"
            guest.here, guest.there = guest.there, guest.here
        guest.counts_on()


@pytest.mark.full
def test_tls_with_a_certificate_of_another_host_is_refused(guest):
    said = guest.refused("--live", "--unsafe", "--tls", "--tls-destination", "elsewhere")
    assert "ertificate" in said
    guest.counts_on()
    guest.move("--tls", "--tls-destination", guest.there.name)
    guest.counts_on()


@pytest.mark.full
def test_tls_without_certificates_names_the_file(tmp_path):
    with Hosts(2, config='[tls]\ndirectory = "/nonexistent"\n') as pair:
        guest = Traveller(pair, tmp_path)
        assert "/nonexistent/ca-cert.pem" in guest.refused("--live", "--unsafe", "--tls")
        guest.counts_on()


@pytest.mark.quick
@pytest.mark.parametrize("words, why", [
    ("--live", "Unsafe migration"),
    ("--live --unsafe --postcopy", "post-copy migration is not supported"),
    ("--live --unsafe --copy-storage-all", "non-shared storage is not supported"),
    ("--live --unsafe --copy-storage-inc", "non-shared storage is not supported"),
    ("--live --unsafe --rdma-pin-all", "RDMA migration is not supported"),
    ("--live --unsafe --parallel --zerocopy", "zero-copy migration is not supported"),
    ("--live --unsafe --p2p --tunnelled --parallel", "mutually exclusive"),
    ("--live --unsafe --p2p --tunnelled --tls", "mutually exclusive"),
    ("--live --unsafe --compressed --comp-methods gzip", "Unsupported compression method"),
    ("--live --unsafe --migrateuri http://x", "unsupported scheme"),
    ("--live --unsafe --dname a/b", "without '/'"),
])
def test_what_is_refused_says_why(guest, words, why):
    assert why in guest.refused(*words.split())
