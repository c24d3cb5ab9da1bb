# SPDX-License-Identifier: LGPL-2.1-or-later
"""/metrics over its own socket, and the same figures in `segue report`."""
import json
import re
import socket
import stat

import pytest

from hosts import Hosts, wait_until
from machines import Machine


def scrape(place):
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(str(place))
        link.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: link.recv(65536), b"")).decode()
    head, _, body = answer.partition("\r\n\r\n")
    assert head.startswith("HTTP/1.1 200") and "text/plain" in head, head
    return body


def figure(text, name):
    return float(re.search(rf"^{name} (\S+)$", text, re.M)[1])


@pytest.mark.full
def test_metrics_of_a_daemon(tmp_path):
    machine = Machine(tmp_path, name="m", tick_ms=20)
    place = tmp_path / "metrics.sock"
    with Hosts(2) as (one, two):
        assert one.stop() == 0
        with open(one.folder / "segue.toml", "a", encoding="utf-8") as config:
            config.write(f'\n[metrics]\nsocket = "{place}"\n')
        one.start()
        assert not stat.S_IMODE(place.stat().st_mode) & 0o007
        one.virsh("create", machine.path)
        machine.ticks.wait(2)
        said = scrape(place)
        assert figure(said, "segue_domains") == figure(said, "segue_domains_active") == 1
        assert 1 << 20 < figure(said, "segue_resident_bytes") < 100 << 20
        one.virsh("migrate", "--live", "--p2p", "--unsafe", "m", two.uri)
        completed = 'segue_migrations_total{side="source",outcome="completed"} 1'
        wait_until(lambda: completed in (said := scrape(place))
                   and figure(said, "segue_domains_active") == 0, 60, lambda: scrape(place))
        # A report has them as they are, also where nobody has scraped.
        report = json.loads(two.segue("report"))["daemon"]["metrics"]
        assert figure(report, "segue_domains_active") == 1
        assert figure(report, "segue_uptime_seconds") > 0
