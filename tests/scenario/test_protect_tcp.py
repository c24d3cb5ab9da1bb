# SPDX-License-Identifier: LGPL-2.1-or-later
"""A file that a protected guest serves arrives whole, whoever ends on the way."""
import hashlib
import os
import signal

import pytest
import standby as sb
from hosts import Hosts, wait_until
from protected import ProtectedMachine
from tcp_download import Download

LINES = 400000
FILE = "".join(f"{number}\n" for number in range(1, LINES + 1)).encode()


@pytest.mark.full
@pytest.mark.parametrize("gate", ["standby", "primary"])
def test_a_download_goes_on_through_a_failover(tmp_path, gate):
    with Hosts(2) as (one, two), \
            ProtectedMachine(tmp_path, words=[f"web={LINES}"]) as machine:
        one.virsh("create", machine.path)
        machine.outside.wait(5)
        machine.protect(one, two, "--on-loss", "promote", "--gate", gate)
        machine.wait_epochs(one, 3)
        download = Download(machine.outside, b"GET /numbers HTTP/1.0\r\n\r\n")
        wait_until(lambda: len(download.content) > len(FILE) // 4, sb.PATIENCE, "a quarter")
        before = len(download.content)
        os.kill(machine.qemu(one), signal.SIGKILL)
        wait_until(lambda: two.state_of(machine.name) == "running", sb.PATIENCE, "it runs there")
        wait_until(lambda: download.done or download.reset, sb.PATIENCE, "the end",
                   every=0.1)
        assert not download.reset and before < len(FILE)
        head, _, body = bytes(download.content).partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.0 200") or head.startswith(b"HTTP/1.1 200"), head
        assert hashlib.sha256(body).hexdigest() == hashlib.sha256(FILE).hexdigest()
        assert machine.outside.backward() == []
