# SPDX-License-Identifier: LGPL-2.1-or-later
"""The stock virt-viewer, asked for a domain by its name, over our daemon and our SPICE server."""
import json
import subprocess

import pytest

from hosts import Hosts, wait_until
from machines import Machine
from xvfb import Screen


def channels(host, name):
    out = host.virsh("qemu-monitor-command", name, '{"execute": "query-spice"}', code=None)
    return json.loads(out)["return"].get("channels", []) if out.startswith("{") else []


def expect_a_live_picture(screen, folder):
    """The guest paints all the time: two pictures of the window soon differ."""
    window = screen.window("followed")
    before = screen.picture(window, folder / "before.ppm")
    wait_until(lambda: screen.picture(window, folder / "after.ppm").data != before.data, 60,
               "the picture in virt-viewer's window changes", every=0.3)


@pytest.mark.full
def test_it_finds_the_domain_and_follows_it(tmp_path):
    with Hosts(2) as (one, two), Screen() as screen:
        one.virsh("create", Machine(tmp_path, name="followed", spice=True).path)
        log = open(tmp_path / "viewer.log", "wb")
        process = subprocess.Popen(["virt-viewer", "--connect", one.local_uri, "followed"],
                                   env=screen.environment, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=log)
        try:
            wait_until(lambda: len(channels(one, "followed")) >= 4, 60, "virt-viewer is linked")
            expect_a_live_picture(screen, tmp_path)
            for source, target in ((one, two), (two, one)):
                source.virsh("migrate", "--live", "--unsafe", "followed", target.uri)
                wait_until(lambda host=target: len(channels(host, "followed")) >= 4, 60,
                           "virt-viewer has followed")
                expect_a_live_picture(screen, tmp_path)
            assert process.poll() is None, (tmp_path / "viewer.log").read_text()
        finally:
            process.kill()
            process.wait()
            log.close()
