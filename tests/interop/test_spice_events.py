# SPDX-License-Identifier: LGPL-2.1-or-later
"""What QEMU tells of SPICE, by query-spice and events, is the same on our library as on stock's."""
import pytest

from spice_lab import CHANNELS, Client, migrate
from test_spice_handover import two_machines
from test_spice_tls import certificates, tls_machine  # noqa: F401

# No two runs have the same.
OWN = ("port", "tls-port", "connection-id")


def without_own(told):
    if isinstance(told, dict):
        return {key: "some" if key in OWN else without_own(value) for key, value in told.items()}
    if isinstance(told, list):  # of channels: in any order
        return sorted((without_own(entry) for entry in told), key=str)
    return told


def events(machine, name):
    """Of each channel, in any order."""
    return without_own([machine.qmp.wait_event(name)["data"] for _ in CHANNELS])


def told_of_a_session(machine, authority):
    """In the order in which it was told; no guest is needed."""
    told = {}

    def query(when):
        told[when] = without_own(machine.qmp("query-spice"))

    with machine:
        query("before a client")
        machine.qmp("set_password", protocol="spice", password="secret")
        uri = f"spice://127.0.0.1?port={machine.port}&tls-port={machine.tls_port}"
        with Client(uri, "--password", "secret", "--ca", authority) as client:
            client.linked()
            for name in ("SPICE_CONNECTED", "SPICE_INITIALIZED"):
                told[name] = events(machine, name)
            machine.wait_channels(CHANNELS)
            query("with a client")
        told["SPICE_DISCONNECTED"] = events(machine, "SPICE_DISCONNECTED")
        machine.wait_channels([])
        query("after it")
    return told


@pytest.mark.full
def test_a_session_is_told_as_stock_tells_it(tmp_path, certificates):  # noqa: F811
    told = {}
    for library in ("stock", "segue"):
        (tmp_path / library).mkdir()
        machine = tls_machine(tmp_path / library, certificates, "tls-channel=main", library=library,
                              authentication="")
        told[library] = told_of_a_session(machine, certificates / "ca-cert.pem")
    assert told["segue"] == told["stock"]
    shown = told["segue"]["with a client"]
    assert shown["auth"] == "spice" and shown["enabled"] and not shown["migrated"]
    assert {channel["channel-type"]: channel["tls"] for channel in shown["channels"]} == {
        1: True, 2: False, 3: False, 4: False}


@pytest.mark.full
def test_a_move_is_told_as_stock_tells_it(tmp_path):
    told = {}
    for library in ("stock", "segue"):
        (tmp_path / library).mkdir()
        first, second = two_machines(tmp_path / library, library, library, True)
        with first, second:
            first.wait_frame(2)
            with Client(first.uri) as client:
                client.linked()
                migrate(first, second, tmp_path / library)
                completed = first.qmp.wait_event("SPICE_MIGRATE_COMPLETED")
                client.wait("migration", state="none")
                first.wait_channels([])
                second.wait_channels(CHANNELS)
                told[library] = {
                    "SPICE_MIGRATE_COMPLETED": sorted(completed.keys() - {"timestamp"}),
                    "source": without_own(first.qmp("query-spice")),
                    "target": without_own(second.qmp("query-spice"))}
    assert told["segue"] == told["stock"]
    assert told["segue"]["source"]["migrated"] and not told["segue"]["target"]["migrated"]
