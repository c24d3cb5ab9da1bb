# SPDX-License-Identifier: LGPL-2.1-or-later
"""At most one copy runs, whatever happens to Finish: held by a proxy while the source asks, and
released afterwards; and its reply lost after it was carried out."""
import socket
import struct
import threading

import pytest

from hosts import Hosts, free_port, wait_until
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
