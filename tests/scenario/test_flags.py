# SPDX-License-Identifier: LGPL-2.1-or-later
"""Flags of calls: what a procedure does not know is refused with libvirt's words, and what it knows
is done or refused with a reason. Nothing is silently left out."""
import contextlib
import os
import re
import signal
import struct
import subprocess

import pytest

from hostile import QEMU, REMOTE, Client, Refused
from hosts import ROOT, Hosts, wait_until
from machines import Machine
from terminal import Terminal

INVALID_ARGUMENT, NO_SUPPORT = 8, 3
SCHEMAS = ("remote_types", "remote", "migration", "neighbours", "qemu")
# What libvirt gives a meaning of its own to: they know bit 31.
FREE_BIT = {"ConnectListAllNodeDevices": 29, "ConnectGetAllDomainStats": 30}
DOMAIN = struct.pack(">I", 1) + b"g\0\0\0" + bytes(16) + struct.pack(">i", -1)


def read_schemas():
    """The structs, each a list of (field, type), and the procedures: name to (program, number,
    struct of the call)."""
    structs, procedures = {}, {}
    for schema in SCHEMAS:
        text = re.sub(r"#.*", "", (ROOT / "src" / "rpc" / f"{schema}.schema").read_text())
        for name, body in re.findall(r"^struct (\w+) \{(.*?)^\}", text, re.M | re.S):
            structs[name] = re.findall(r"^ +(\w+): (\w+)", body, re.M)
        program = QEMU if schema == "qemu" else REMOTE
        found = re.findall(r"^procedure (\w+) = (\d+) \w+ call (\w+)", text, re.M)
        for name, number, call in found:
            procedures[name] = program, int(number), call
    return structs, procedures


def call_of(struct_name, structs, flags):
    """The smallest call: nothing in it but a domain's name, where there must be one, and flags."""
    body = b""
    for field, kind in structs[struct_name]:
        if kind == "DomainRef":
            body += DOMAIN
        elif kind in ("u64", "i64"):
            body += struct.pack(">Q", flags if field == "flags" else 0)
        else:  # a number, or the length of what is not there
            body += struct.pack(">I", flags if field == "flags" else 0)
    return body


@pytest.fixture(name="host")
def one_host():
    with Hosts(1) as (host,):
        yield host


@pytest.mark.quick
def test_each_procedure_refuses_a_flag_that_it_does_not_know(host):
    structs, procedures = read_schemas()
    refused = absent = 0
    with Client(host.socket) as client:
        for name, (program, number, call) in procedures.items():
            if "flags" not in dict(structs[call]) or name == "ConnectOpen":
                continue
            flags = 1 << FREE_BIT.get(name, 31)
            with pytest.raises(Refused) as caught:
                client.call(number, call_of(call, structs, flags), program)
            said = f"{name}: {caught.value}"
            if caught.value.code == NO_SUPPORT:
                absent += 1
                continue
            assert caught.value.code == INVALID_ARGUMENT, said
            assert re.search(rf"unsupported flags \(0x{flags:x}\) in function \w+$", said), said
            refused += 1
        assert refused >= 55 and absent <= 12, (refused, absent)
    with pytest.raises(Refused) as caught:
        with Client(host.socket, is_open=False) as client:
            client.call(66)
            client.call(1, struct.pack(">III", 0, 1 << 31, 0)[:8])
    assert caught.value.code == INVALID_ARGUMENT, caught.value


@pytest.mark.quick
def test_flags_that_are_known_are_done_or_refused_with_a_reason(host, tmp_path):
    machine = Machine(tmp_path, name="g", tick_ms=20)

    def no(*words):
        return host.virsh(*words, code=1)
    assert "defined from" in host.virsh("define", "--validate", machine.path)
    odd = tmp_path / "odd.xml"
    odd.write_text(machine.xml.replace("</domain>", "<warp factor='9'/></domain>"))
    assert re.search(r"failed to validate against schema: .*warp", no("define", "--validate", odd))
    assert re.search(r"failed to validate against schema: .*warp", no("create", "--validate", odd))
    assert "defined from" in host.virsh("define", odd)
    host.virsh("define", machine.path)

    assert host.virsh("migrate-getspeed", "g").strip() == "8796093022207"
    assert "unsupported flags (0x1)" in no("migrate-setspeed", "g", "9", "--postcopy")
    assert "unsupported flags (0x1)" in no("migrate-getspeed", "g", "--postcopy")
    assert host.virsh("domstats", "--list-active").strip() == ""
    assert "not supported by this daemon" in no("domstats", "--enforce", "--perf")
    assert "domain is not running" in no("vcpucount", "g", "--live")
    assert host.virsh("vcpucount", "g", "--config", "--current").strip() == "1"

    host.virsh("start", "g")
    machine.ticks.wait(2)
    for verb in ("shutdown", "reboot"):
        assert "guest agent is not configured" in no(verb, "g", "--mode", "agent")
        assert "unsupported flags (0x4)" in no(verb, "g", "--mode", "initctl")
        host.virsh(verb, "g", "--mode", "agent,acpi")
    assert "Domain: 'g'" in host.virsh("domstats", "--list-active")
    assert host.virsh("domstats", "--list-inactive").strip() == ""
    assert "not outgoing migration in post-copy" in no("domjobabort", "g", "--postcopy")
    # A guest that does not know the button is ended all the same: this asks QEMU, not the guest.
    host.virsh("destroy", "g", "--graceful")
    assert host.virsh("domstate", "g", "--reason").strip() == "shut off (destroyed)"


@contextlib.contextmanager
def qemu_that_stands_still(host):
    """The pid of the host's only QEMU, which answers nothing meanwhile."""
    (qemu, _), = host.guests()
    os.kill(qemu, signal.SIGSTOP)
    try:
        yield qemu
    finally:
        with contextlib.suppress(ProcessLookupError):  # a test may have ended it
            os.kill(qemu, signal.SIGCONT)


@pytest.mark.full
def test_a_qemu_that_does_not_end_gracefully_is_not_killed(host, tmp_path):
    machine = Machine(tmp_path, name="g", tick_ms=20)
    host.virsh("define", machine.path)
    host.virsh("start", "g")
    machine.ticks.wait(2)
    with qemu_that_stands_still(host) as qemu:
        said = host.virsh("destroy", "g", "--graceful", code=1)
        assert f"Failed to terminate process {qemu}" in said, said
        assert host.virsh("domstate", "g").strip() == "running"
        assert [pid for pid, _ in host.guests()] == [qemu]
        host.virsh("dominfo", "g")  # the domain is not held
    # What it was asked for is still asked.
    wait_until(lambda: host.virsh("domstate", "g").strip() == "shut off", 60, "it has ended")
    assert host.virsh("domstate", "g", "--reason").strip() == "shut off (destroyed)"


def unread_by_qemu(host):
    """Bytes that wait in the monitors of a host's QEMUs."""
    said = subprocess.run(["ss", "-xnH"], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return sum(int(row[2]) for row in rows
               if row[4].startswith(str(host.state)) and row[4].endswith("/monitor.sock"))


@pytest.mark.full
def test_who_forces_an_end_is_not_held_up_by_who_asks_for_one(host, tmp_path):
    machine = Machine(tmp_path, name="g", tick_ms=20)
    host.virsh("define", machine.path)
    host.virsh("start", "g")
    machine.ticks.wait(2)
    with qemu_that_stands_still(host):
        asking = host.virsh_process("destroy", "g", "--graceful")
        wait_until(lambda: unread_by_qemu(host) > 0, 60, "it is asked")
        host.virsh("destroy", "g")
        assert not host.guests()
    asking.communicate(timeout=60)
    assert host.virsh("domstate", "g", "--reason").strip() == "shut off (destroyed)"


@pytest.mark.quick
def test_a_figure_for_migrations_is_kept_while_qemu_thinks(host, tmp_path):
    """Other calls come between the one that sets it and QEMU's answer."""
    machine = Machine(tmp_path, name="g", tick_ms=20)
    host.virsh("create", machine.path)
    machine.ticks.wait(2)
    with qemu_that_stands_still(host):
        setting = [host.virsh_process(*words) for words in (
            ("migrate-setspeed", "g", "77"), ("migrate-setmaxdowntime", "g", "555"))]
        wait_until(lambda: unread_by_qemu(host) > 150, 60, "both wait for QEMU")
        for _ in range(5):
            host.virsh("list", "--all")
            host.virsh("dumpxml", "g")
    for process in setting:
        assert process.wait(60) == 0
    assert host.virsh("migrate-getspeed", "g").strip() == "77"
    assert host.virsh("migrate-getmaxdowntime", "g").strip() == "555"


@pytest.mark.quick
def test_a_console_is_taken_over_by_force_only(host, tmp_path):
    machine = Machine(tmp_path, name="g", tick_ms=20)
    machine.path.write_text(re.sub(r"<serial type='file'>.*?</serial>",
                                   "<serial type='pty'><target port='0'/></serial>", machine.xml))
    host.virsh("create", machine.path)
    words = ["virsh", "-c", host.local_uri, "console", "g"]

    def shows(console):
        wait_until(lambda: "tick" in console.read(), 60, "a tick on the console")

    def has_left(console):
        wait_until(lambda: (console.read(), console.process.poll())[1] is not None, 60, "it left")
    with Terminal(*words) as first:
        shows(first)
        with Terminal(*words) as other:
            has_left(other)
            assert "Active console session exists" in other.read()
        with Terminal(*words, "--force") as second:
            shows(second)
            has_left(first)
            second.write("\x1d")  # ^]
            has_left(second)
    with Terminal(*words) as again:
        shows(again)
