# SPDX-License-Identifier: LGPL-2.1-or-later
"""At most one copy runs, whatever happens to Finish: held by a proxy while the source asks, and
released afterwards; and its reply lost after it was carried out."""
import json
import signal
import socket
import struct
import threading

import pytest

from hosts import Hosts, end_process, free_port, wait_until
from machines import Machine
from test_kill import running_on

FINISH3_PARAMS = 306


class FinishProxy:
    """Stands before a daemon. `hold`: keeps Finish, and closes toward the client as a broken
    network does; release() delivers it. `lose_reply`: delivers it at once, and closes toward the
    client before the reply can reach it."""

    def __init__(self, host, mode):
        self.target, self.mode = (host.address, host.port), mode
        self.port = free_port(host.address)
        self.uri = f"qemu+tcp://{host.address}:{self.port}/system"
        self.held = threading.Event()
        self.released = threading.Event()
        self.listener = socket.create_server((host.address, self.port))
        self.threads = [threading.Thread(target=self.accept, daemon=True)]
        self.threads[0].start()

    def accept(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            server = socket.create_connection(self.target)
            for source, sink, watch in ((client, server, True), (server, client, False)):
                thread = threading.Thread(target=self.pump, args=(source, sink, watch, client),
                                          daemon=True)
                thread.start()
                self.threads.append(thread)

    def pump(self, source, sink, watch, client):
        data = b""
        try:
            while part := source.recv(65536):
                data += part
                while len(data) >= 4 and len(data) >= (size := struct.unpack(">I", data[:4])[0]):
                    packet, data = data[:size], data[size:]
                    if watch and struct.unpack(">i", packet[12:16])[0] == FINISH3_PARAMS:
                        return self.finish(packet, sink, client)
                    sink.sendall(packet)
        except OSError:
            pass

    def finish(self, packet, server, client):
        if self.mode == "lose_reply":
            server.sendall(packet)
        client.shutdown(socket.SHUT_RDWR)
        self.held.set()
        self.released.wait(60)
        if self.mode == "hold":
            server.sendall(packet)
        self.released.wait(60)

    def release(self):
        self.released.set()

    def close(self):
        self.released.set()
        self.listener.close()


@pytest.mark.full
@pytest.mark.parametrize("mode", ["hold", "lose_reply"])
def test_finish_and_the_sources_question(tmp_path, mode):
    with Hosts(2) as hosts:
        one, two = hosts
        machine = Machine(tmp_path, name="k", tick_ms=20)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        proxy = FinishProxy(two, mode)
        try:
            client = one.virsh_process("migrate", "--live", "--unsafe", "k", proxy.uri)
            assert proxy.held.wait(60), "Finish was never sent"
            client.communicate(timeout=60)
            expected = one if mode == "hold" else two
            wait_until(lambda: running_on(hosts) == [expected], 60, f"{expected.name} runs it")
            proxy.release()
            machine.ticks.wait(machine.ticks.last() + 20)
            assert running_on(hosts) == [expected]
            assert machine.ticks.gaps() == []
            wait_until(lambda: len(one.qemus() + two.qemus()) == 1, 60, "one QEMU is left")
        finally:
            proxy.close()


SECOND_MONITOR = ("<qemu:commandline><qemu:arg value='-qmp'/>"
                  "<qemu:arg value='unix:second.sock,server=on,wait=off'/></qemu:commandline>")


class SecondMonitor:
    """Of a QEMU, behind segued's back."""

    def __init__(self, host):
        place, = host.state.glob("domains/*/second.sock")
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(str(place))
        self.stream = self.socket.makefile("rwb")
        self.stream.readline()
        self("qmp_capabilities")

    def __call__(self, command):
        self.stream.write(json.dumps({"execute": command}).encode() + b"\n")
        self.stream.flush()
        while True:
            said = json.loads(self.stream.readline())
            if "return" in said or "error" in said:
                return said

    def runs(self):
        return self("query-status")["return"]["running"]

    def close(self):
        self.stream.close()
        self.socket.close()


@pytest.mark.full
def test_nothing_runs_the_source_while_the_outcome_is_open(tmp_path):
    """The target has taken the guest and cannot say so. Its disk is read-only: QEMU's lock of the
    image, which two hosts with one file system share here, would hide a second copy."""
    with Hosts(2, config="[security]\nallow_passthrough = true\n") as (one, two):
        machine = Machine(tmp_path, name="k", tick_ms=20, extra=SECOND_MONITOR,
                          namespace=" xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'")
        machine.path.write_text(machine.xml.replace(
            "<target dev='hda' bus='ide'/>", "<target dev='vda' bus='virtio'/><readonly/>"))
        two.stop()
        two.start({"SEGUE_FAULT": "destination.reply.finish.before:stop"})
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        client = one.virsh_process("migrate", "--live", "k", two.uri)
        wait_until(lambda: "destination.reply.finish.before: stopped" in two.log(), 60,
                   "the target has it")
        client.kill()
        client.wait(60)
        wait_until(lambda: "segue resolve" in one.log(), 60, "the outcome is open")
        for words in (['{"execute":"cont"}'], ["--hmp", "cont"], ['{"execute":"system_reset"}'],
                      ["--hmp", "migrate_cancel"], ['{"execute":"human-monitor-command",'
                                                    '"arguments":{"command-line":"cont"}}']):
            assert "migration out" in one.virsh("qemu-monitor-command", "k", *words, code=1)
        for verb in ("resume", "reset", "suspend"):
            said = one.virsh(verb, "k", code=1)
            assert "migration out" in said or "segue resolve" in said, said
        assert "paused (postmigrate)" in one.virsh("qemu-monitor-command", "--hmp", "k",
                                                   "info status")
        # Somebody with another monitor is stronger than the daemon, and is told of at once.
        monitor = SecondMonitor(one)
        assert "return" in monitor("cont")
        wait_until(lambda: "something resumed its QEMU here" in one.log(), 60, "it is told")
        wait_until(lambda: not monitor.runs(), 60, "it is stopped")
        assert "paused (migrating)" in one.virsh("domstate", "--reason", "k")
        # A daemon that was away looks for itself.
        told = one.log().count("something resumed its QEMU here")
        one.kill()
        assert "return" in monitor("cont")
        one.start()
        wait_until(lambda: one.log().count("something resumed its QEMU here") > told, 60,
                   "it is told again")
        wait_until(lambda: not monitor.runs(), 60, "it is stopped again")
        monitor.close()
        two.process.send_signal(signal.SIGCONT)
        wait_until(lambda: not one.qemus() and running_on([two]) == [two], 60, "the target has it")


@pytest.mark.full
def test_a_suspend_is_never_undone(tmp_path):
    """While the outcome is open it is refused; before, it is kept, though the daemon dies."""
    with Hosts(2) as (one, two):
        machine = Machine(tmp_path, name="k", tick_ms=20, dirty_mb_s=4, dirty_end_mb=28)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        one.virsh("migrate-setspeed", "k", "1")
        client = one.virsh_process("migrate", "--live", "--unsafe", "k", two.uri)
        wait_until(lambda: "Memory processed" in one.virsh("domjobinfo", "k"), 60, "it moves")
        one.virsh("suspend", "k")
        one.kill()
        client.wait(60)
        one.start()
        wait_until(lambda: "None" in one.virsh("domjobinfo", "k"), 60, "it is cancelled")
        wait_until(lambda: not two.qemus(), 60, "the target gives up")
        assert one.state_of("k") == "paused"
        one.virsh("resume", "k")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []

        two.stop()
        two.start({"SEGUE_FAULT": "destination.record.taken.before:stop"})
        one.virsh("migrate-setspeed", "k", "0")
        client = one.virsh_process("migrate", "--live", "--unsafe", "k", two.uri)
        wait_until(lambda: "destination.record.taken.before: stopped" in two.log(), 60,
                   "the target is about to take it")
        client.kill()
        client.wait(60)
        wait_until(lambda: "segue resolve" in one.log(), 60, "the outcome is open")
        assert "segue resolve" in one.virsh("suspend", "k", code=1)
        for pid, _ in two.qemus():
            end_process(pid)
        two.kill()
        two.start()
        wait_until(lambda: running_on([one]) == [one], 60, "the refusal lets it go on")
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []
