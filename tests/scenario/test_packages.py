# SPDX-License-Identifier: LGPL-2.1-or-later
"""What users install runs: `cmake --install` into a prefix, and the Debian packages, built from a
clean clone and installed by dpkg into a copy of this system that nobody else sees."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from hosts import ROOT, Hosts
from machines import Machine

BUILD = ROOT / "build" / "release"
PROGRAMS = ["segued", "segue", "segue-view", "segue-standby", "segue-agent", "segue-sim"]
LIBRARY = "libspice-server.so.1"


@pytest.mark.full
def test_an_installed_prefix_runs(tmp_path):
    prefix = tmp_path / "prefix"
    subprocess.run(["cmake", "--install", BUILD, "--prefix", prefix, "--strip"], check=True,
                   capture_output=True, timeout=300)
    for program in PROGRAMS:
        done = subprocess.run([prefix / "bin" / program, "--help"], capture_output=True, text=True,
                              check=True, timeout=60)
        assert "--" in done.stdout, program
    # Not in the folder where every program would find it.
    assert (prefix / "lib" / "segue" / LIBRARY).exists()
    assert not (prefix / "lib" / LIBRARY).exists()
    # The unit names the program where it was configured to be.
    unit = (prefix / "lib" / "systemd" / "system" / "segued.service").read_text()
    # What it is started with must leave the configuration its say.
    start = re.search(r"^ExecStart=/\S+/bin/segued(.*)$", unit, re.M).group(1)
    assert re.fullmatch(r"( --config /\S+/etc/segue/segue.toml)?", start), start
    for path in ("etc/segue/segue.toml", "share/man/man1/segue.1", "share/man/man8/segued.8",
                 "share/man/man5/segue.toml.5", "share/bash-completion/completions/segue",
                 "share/zsh/site-functions/_segue",
                 "lib/sysusers.d/segue.conf", "share/applications/segue-view.desktop"):
        assert (prefix / path).exists(), path
    done = subprocess.run([prefix / "bin" / "segued", "--check-config", "--config",
                           prefix / "etc" / "segue" / "segue.toml"], capture_output=True, text=True,
                          check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    hosts = Hosts(1)
    hosts.hosts[0].arguments[0] = str(prefix / "bin" / "segued")
    with hosts as (host,):
        machine = Machine(tmp_path, spice=True, tick_ms=20)
        host.virsh("create", machine.path)
        machine.ticks.wait(3)
        (pid, _), = host.guests()
        assert f"{prefix}/lib/segue/{LIBRARY}" in Path(f"/proc/{pid}/maps").read_text()


# Inside: an overlay of the whole system, where dpkg may do as it likes.
INSTALL = """set -e
mount --make-rprivate /
mount -t tmpfs none {scratch}
mkdir {scratch}/upper {scratch}/work {scratch}/root
mount -t overlay overlay -o lowerdir=/,upperdir={scratch}/upper,workdir={scratch}/work \
    {scratch}/root
mkdir {scratch}/root/packages
cp -p {packages}/*.deb {packages}/guest.xml {packages}/g.img {scratch}/root/packages
mount --rbind /dev {scratch}/root/dev
mount -t proc none {scratch}/root/proc
mount -t tmpfs none {scratch}/root/run
exec chroot {scratch}/root bash -exc '{inside}'
"""
# What an administrator does.
INSIDE = """
dpkg -i /packages/*.deb
id segue-qemu
getent group segue
segued --check-config
mkdir /run/segue
mkdir -p /etc/segue/conf.d
printf "[daemon]\\nhostname = \\042packaged\\042\\n" > /etc/segue/conf.d/host.toml
$(sed -n s/^ExecStart=//p /lib/systemd/system/segued.service) &
daemon=$!
for again in $(seq 200); do test -S /run/segue/segue.sock && break; sleep 0.1; done
segue doctor || true
segue define /packages/guest.xml
segue start g
segue info g
for again in $(seq 600); do grep -q "tick 3" /packages/g.serial && break; sleep 0.1; done
grep "tick 3" /packages/g.serial
qemu=$(cut -d" " -f1 /var/lib/segue/domains/*.pid)
stat -c "owner %U" /proc/$qemu
grep -m1 segue/libspice-server /proc/$qemu/maps
segue destroy g
kill $daemon
wait $daemon
dpkg -r $(for each in /packages/*.deb; do dpkg-deb -f $each Package; done)
"""


@pytest.mark.soak
def test_the_debian_packages_install_and_run(tmp_path):
    clone = tmp_path / "segue"
    subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, clone], check=True)
    with open(tmp_path / "build.log", "wb") as out:
        subprocess.run(["dpkg-buildpackage", "-b", "-us", "-uc"], cwd=clone, check=True,
                       stdout=out, stderr=out, timeout=7200,
                       env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck parallel=2"})
    check_packages(tmp_path)


def check_packages(folder):
    """The packages that lie in this folder."""
    names = {path.name.split("_")[0] for path in folder.glob("*.deb")}
    assert {"segue-daemon", "segue-cli", "segue-viewer", "libspice-server1-segue"} <= names
    machine = Machine(folder / "guest", tick_ms=20, spice=True)
    shutil.copy(machine.disk, folder / "g.img")
    os.chmod(folder / "g.img", 0o666)
    xml = machine.xml.replace(str(machine.disk), "/packages/g.img")
    (folder / "guest.xml").write_text(xml.replace(str(machine.serial), "/packages/g.serial"))
    scratch = folder / "scratch"
    scratch.mkdir()
    script = INSTALL.format(scratch=scratch, packages=folder, inside=INSIDE)
    # Everything in it ends with its first process.
    done = subprocess.run(["unshare", "--mount", "--pid", "--fork", "--kill-child", "bash", "-c",
                           script], capture_output=True, text=True, timeout=300, check=False,
                          stdin=subprocess.DEVNULL)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert re.search(r"uid=\d+\(segue-qemu\)", said), said
    assert re.search(r"^segue:x:\d+", said, re.M), said
    assert re.search(r"our SPICE library +/usr/lib/\S+/segue/", said), said
    assert "tick 3" in done.stdout
    assert "owner segue-qemu" in said and "/segue/libspice-server.so.1" in done.stdout, said
