# SPDX-License-Identifier: LGPL-2.1-or-later
"""Two hosts that share nothing but a cable: each daemon in a network of its own, with the packaged
configuration, which names no migration address."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from hosts import Host, end_process, qemus_below, read_line, wait_until
from machines import Machine


class Place:
    """A network namespace with a name for each of both hosts, joined to another by a cable."""

    def __init__(self, folder, names):
        table = folder / "hosts"
        table.write_text("127.0.0.1 localhost\n" +
                         "".join(f"{address} {name}\n" for name, address in names.items()))
        self.holder = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-c",
             f"mount --bind {table} /etc/hosts && echo made && exec sleep infinity"],
            stdout=subprocess.PIPE, text=True)
        assert read_line(self.holder.stdout) == "made\n"
        self.enter = ["nsenter", "--target", str(self.holder.pid), "--net", "--mount"]

    def run(self, *words):
        subprocess.run([*self.enter, *words], check=True)

    def close(self):
        self.holder.kill()
        self.holder.wait()
        self.holder.stdout.close()


class FarHost(Host):
    def __init__(self, name, folder, place, version):
        super().__init__(name, folder, 1, config=f'[migration]\noffer = ["{version}"]\n')
        words = self.arguments
        for option in ("--migrate-address", "--listen"):
            at = len(words) - 1 - words[::-1].index(option)  # the last --listen is TCP's
            del words[at:at + 2]
        self.arguments = [*place.enter, *words]


def end_all(hosts, folder):
    for host in hosts:
        host.kill()
    for pid, _ in qemus_below(folder):
        end_process(pid)


@pytest.fixture(params=["v3-params", "v2"])
def far_hosts(request):
    names = {"hosta": "10.99.0.1", "hostb": "10.99.0.2"}
    folder = Path(tempfile.mkdtemp(prefix="segue-far-"))
    folder.chmod(0o755)
    hosts = []
    places = [Place(folder, names), Place(folder, names)]
    try:
        one, two = places
        one.run("ip", "link", "add", "cable", "type", "veth", "peer", "name", "cable",
                "netns", str(two.holder.pid))
        for place, address in zip(places, names.values()):
            place.run("ip", "address", "add", f"{address}/24", "dev", "cable")
            for device in ("lo", "cable"):
                place.run("ip", "link", "set", device, "up")
        for name, place in zip(names, places):
            hosts.append(FarHost(name, folder, place, request.param))
            hosts[-1].start()
        yield hosts
    finally:
        end_all(hosts, folder)
        for place in places:
            place.close()
        shutil.rmtree(folder, ignore_errors=True)


# v2 has no other way than the peer link to say that the guest was taken.
@pytest.mark.full
def test_the_peer_link_finds_its_way(tmp_path, far_hosts):
    one, two = far_hosts
    one.virsh("create", Machine(tmp_path, name="far").path)
    for source, target in ((one, two), (two, one)):
        source.virsh("migrate", "--live", "--unsafe", "far", target.local_uri)
        assert target.state_of("far") == "running"
        assert "a peer link in the clear" in target.log()
        wait_until(lambda host=source: host.state_of("far") == "absent", 60,
                   "the source has forgotten it")
