# SPDX-License-Identifier: LGPL-2.1-or-later
"""A stock libvirtd as another host on a loopback address. It gets its own mount, UTS and process
namespaces, so that it finds its directories empty, never meets another libvirtd of this machine,
and has a first process that reaps its QEMUs; nothing outside is touched.

    with StockHost("127.0.0.77") as stock:
        one.virsh("migrate", "--live", "--unsafe", "g", stock.uri)
"""
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "scenario"))
from hosts import Failed, free_port, wait_until  # noqa: E402

DAEMON_CONFIG = """listen_tls = 0
listen_tcp = 1
listen_addr = "{address}"
tcp_port = "{port}"
auth_tcp = "none"
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid = "{uuid}"
log_filters = "{filters}"
log_outputs = "{level}:file:{folder}/libvirtd.log"
"""
# No systemd, no security driver, no change of owners: what a host in a container can have.
QEMU_CONFIG = """user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
namespaces = []
cgroup_controllers = []
stdio_handler = "file"
migration_host = "{address}"
migration_address = "{address}"
migration_port_min = {low}
migration_port_max = {high}
spice_listen = "{address}"
"""
# With certificates in one folder, under libvirt's names and under QEMU's.
DAEMON_TLS = """listen_tls = 1
tls_port = "{tls_port}"
ca_file = "{pki}/ca-cert.pem"
cert_file = "{pki}/server-cert.pem"
key_file = "{pki}/server-key.pem"
"""
QEMU_TLS = """default_tls_x509_cert_dir = "{pki}"
default_tls_x509_verify = 1
"""
# The first process of the host: prepares the mounts, and then reaps. A libvirtd makes its own
# folders when it first runs; where none ever ran there is nothing yet to mount over.
FIRST = """set -e
hostname {name}
mount --make-rprivate /
mkdir -p /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
mount --bind {folder}/etc /etc/libvirt
mount --bind {folder}/lib /var/lib/libvirt
mount --bind {folder}/cache /var/cache/libvirt
mount --bind {folder}/log /var/log/libvirt
mount --bind {folder}/run /run
mount --bind {folder}/hosts /etc/hosts
mount --bind {folder}/passwd /etc/passwd
mount --bind {folder}/group /etc/group
mount -t tmpfs none /sys/fs/cgroup
mkdir -p /run/libvirt /run/lock /var/lib/libvirt/qemu /var/cache/libvirt/qemu
/usr/sbin/libvirtd -l &
while :; do wait -n || sleep 1; done
"""


class StockHost:
    def __init__(self, address, name="stock", monitor_in_log=False, pki=None):
        """`pki`: a folder of certificates; then it serves TLS, too."""
        self.address, self.name, self.pki = address, name, pki
        # What QEMU says, for measurements.
        self.level, self.filters = (2, "2:qemu.qemu_monitor 4:*") if monitor_in_log else (3, "")
        self.port, self.tls_port = free_port(address), free_port(address)
        self.folder = Path(tempfile.mkdtemp(prefix="segue-stock-"))
        self.process = None

    @property
    def socket(self):
        return self.folder / "run" / "libvirt" / "libvirt-sock"

    @property
    def uri(self):
        return f"qemu+tcp://{self.address}:{self.port}/system"

    @property
    def tls_uri(self):
        return f"qemu+tls://{self.address}:{self.tls_port}/system?pkipath={self.pki}"

    def __enter__(self):
        os.chmod(self.folder, 0o755)
        for part in ("etc", "lib", "cache", "log", "run"):
            (self.folder / part).mkdir()
        low = free_port(self.address)
        words = {"address": self.address, "port": self.port, "folder": self.folder,
                 "uuid": uuid.uuid4(), "low": low, "high": low + 20, "name": self.name,
                 "level": self.level, "filters": self.filters, "pki": self.pki,
                 "tls_port": self.tls_port}
        daemon, qemu = DAEMON_CONFIG, QEMU_CONFIG
        if self.pki:
            daemon = daemon.replace("listen_tls = 0\n", DAEMON_TLS)
            qemu += QEMU_TLS
        (self.folder / "etc" / "libvirtd.conf").write_text(daemon.format(**words))
        (self.folder / "etc" / "qemu.conf").write_text(qemu.format(**words))
        # It looks up its own name for every caller; a resolver that does not answer holds them all.
        (self.folder / "hosts").write_text(f"127.0.0.1 localhost\n{self.address} {self.name}\n")
        self.write_accounts()
        with open(self.folder / "stdout", "wb") as log:
            self.process = subprocess.Popen(
                ["unshare", "--mount", "--uts", "--pid", "--fork", "--mount-proc", "--kill-child",
                 "bash", "-c", FIRST.format(**words)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_until(self.answers, 60, "libvirtd listens")
        except BaseException:
            print(self.log())
            self.__exit__()
            raise
        return self

    def write_accounts(self):
        """Debian's libvirtd looks up its user before it reads that another one is configured; the
        package that makes the account brings a running daemon along."""
        for name, line in (("passwd", "libvirt-qemu:x:64055:64055::/nonexistent:/bin/false"),
                           ("group", "libvirt-qemu:x:64055:")):
            known = Path("/etc", name).read_text(encoding="utf-8")
            missing = "" if "\nlibvirt-qemu:" in known else line + "\n"
            (self.folder / name).write_text(known + missing, encoding="utf-8")

    def answers(self):
        if self.process.poll() is not None:
            raise Failed(f"{self.name} ended before it listened\n{self.log()}")
        with socket.socket() as probe:
            return probe.connect_ex((self.address, self.port)) == 0

    def __exit__(self, *_):
        # The first process of the namespace takes everything in it along.
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self):
        paths = [self.folder / "stdout", self.folder / "libvirtd.log"]
        return "".join(path.read_text(errors="replace") for path in paths if path.exists())

    def virsh(self, *words, code=0, timeout=120, uri=None):
        command = ["virsh", "-c", uri or self.uri, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout,
                              check=False, stdin=subprocess.DEVNULL)
        if code is not None and done.returncode != code:
            raise Failed(f"{' '.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}"
                         f"\n--- log of {self.name}\n{self.log()[-4000:]}")
        return done.stdout if code == 0 else done.stdout + done.stderr

    def state_of(self, domain):
        out = self.virsh("domstate", domain, code=None).strip()
        return "absent" if "failed to get domain" in out else out.split("\n")[0]
