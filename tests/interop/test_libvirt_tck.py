# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt's own Technology Compatibility Kit between two of our daemons. SEGUE_TCK_DIR names a
checkout of https://gitlab.com/libvirt/libvirt-tck; its scripts run as they are, but that the disk
of their guest is on no shared file system here, and migrations must be told so."""
import os
import re
import subprocess
from pathlib import Path

import pytest

from hosts import Hosts

import guest

CHECKOUT = os.environ.get("SEGUE_TCK_DIR")
pytestmark = pytest.mark.skipif(not CHECKOUT, reason="SEGUE_TCK_DIR names no libvirt-tck checkout")

CONFIG = """uri: "{uri}"
otheruri: "{other}"
scratch_dir: {scratch}
kernels:
  - arch: x86_64
    ostype:
      - hvm
    kernel: {kernel}
    initrd: {initrd}
host_usb_devices:
host_pci_devices:
host_block_devices:
host_network_devices:
"""

# How many checks each script has, so that one which stops early does not pass.
LIFECYCLE = {
    "050-transient-lifecycle": 2, "051-transient-autostart": 4, "060-persistent-lifecycle": 9,
    "061-persistent-autostart": 16, "065-persistent-redefine": 9, "070-transient-to-persistent": 4,
    "080-unique-id-define": 12, "081-unique-id-create": 12, "082-unique-id-caching": 8,
    "090-invalid-ops-when-inactive": 11, "301-migration-max-speed": 5,
}
UNSAFE = 512  # VIR_MIGRATE_UNSAFE


@pytest.fixture(scope="module", name="kit")
def configured_kit(tmp_path_factory):
    """(environment, folder): two hosts, and a configuration that names them."""
    folder = tmp_path_factory.mktemp("tck")
    initrd = guest.initramfs()
    with Hosts(2) as (one, two):
        config = folder / "tck.yml"
        config.write_text(CONFIG.format(uri=one.uri, other=two.uri, scratch=folder / "scratch",
                                        kernel=guest.kernel(), initrd=initrd))
        yield {**os.environ, "LIBVIRT_TCK_CONFIG": str(config)}, folder


def run(kit, script, timeout):
    """How many checks of one script passed; an AssertionError when one did not, or was skipped."""
    environment, folder = kit
    log = folder / f"{script.stem}.log"
    with open(log, "w", encoding="utf-8") as output:
        done = subprocess.run(["perl", f"-I{CHECKOUT}/lib", script], env=environment, cwd=folder,
                              stdout=output, stderr=subprocess.STDOUT, timeout=timeout,
                              stdin=subprocess.DEVNULL, check=False)
    said = log.read_text(encoding="utf-8")
    passed = len(re.findall(r"^ok \d+", said, re.M))
    failed = re.findall(r"^not ok .*", said, re.M)
    skipped = re.findall(r"^ok \d+ # skip.*", said, re.M)
    assert done.returncode == 0 and not failed and not skipped, (
        f"{failed[:10]} {skipped[:3]}\n" + said[-6000:])
    return passed


@pytest.mark.soak
def test_the_scripts_of_a_life(kit):
    for name, checks in LIFECYCLE.items():
        script = Path(CHECKOUT) / "scripts" / "domain" / f"{name}.t"
        assert run(kit, script, 300) == checks, name


@pytest.mark.soak
def test_all_ways_to_migrate(kit):
    """300-migration.t: 96 migrations, normal, peer to peer and tunnelled."""
    _, folder = kit
    original = Path(CHECKOUT) / "scripts" / "domain" / "300-migration.t"
    text, changes = re.subn(r"(migrate(?:_to_uri)?\(\$otherconn(?:->get_uri)?, )\$migflags\)",
                            rf"\g<1>$migflags | {UNSAFE})", original.read_text(encoding="utf-8"))
    assert changes == 2
    script = folder / "300-migration.t"
    script.write_text(text, encoding="utf-8")
    assert run(kit, script, 3000) == 960
