# SPDX-License-Identifier: LGPL-2.1-or-later
"""segued as the host's service: reload, sockets of the service manager, domains that start with
the host."""
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import libvirt
import pytest

from certificates import make_certificates
from hosts import BIN, Hosts, free_port, wait_until
from machines import Machine


def reload(host, config, says):
    """Changes the configuration, sends SIGHUP, and waits for the line that says what came of it."""
    (host.folder / "segue.toml").write_text(config)
    before = len(host.log())
    host.process.send_signal(signal.SIGHUP)
    wait_until(lambda: says in host.log()[before:], 60, f"the log says '{says}'")
    return host.log()[before:]


@pytest.mark.quick
def test_a_reload_changes_what_may_change(tmp_path):
    with Hosts(1) as (host,):
        config = (host.folder / "segue.toml").read_text()
        machine = Machine(tmp_path, name="p", namespace=" xmlns:qemu='http://libvirt.org/schemas/"
                          "domain/qemu/1.0'", extra="<qemu:commandline><qemu:arg value='-name'/>"
                          "<qemu:arg value='p'/></qemu:commandline>")
        assert "allow_passthrough" in host.virsh("define", machine.path, code=1)

        reload(host, config + "\n[security]\nallow_passthrough = true\n", "was read again")
        host.virsh("define", machine.path)

        # A mistake changes nothing, and ends nothing.
        said = reload(host, config + "\n[nonsense]\nkey = 1\n", "not reloaded")
        assert "unknown section 'nonsense'" in said
        host.virsh("define", machine.path)

        said = reload(host, config + '\n[metrics]\nsocket = "/run/x"\n', "was read again")
        assert "metrics.socket has changed: restart segued" in said
        assert "allow_passthrough" in host.virsh("define", machine.path, code=1)


@pytest.mark.quick
def test_a_reload_renews_the_certificates(tmp_path):
    first = make_certificates(tmp_path / "first", "127.0.0.1")
    second = make_certificates(tmp_path / "second", "127.0.0.1")
    used = tmp_path / "used"
    used.symlink_to(first)
    port = free_port()
    with Hosts(1, config=f'[tls]\ndirectory = "{used}"\n',
               options=["--listen", f"tls:127.0.0.1:{port}"]) as (host,):
        def uri(place):
            return f"qemu+tls://127.0.0.1:{port}/system?pkipath={place}"

        def refused(place):
            # TLS 1.3 tells a client last; a virsh that writes meanwhile ends by SIGPIPE.
            return "hosta" not in host.virsh("hostname", uri=uri(place), code=None)
        assert host.virsh("hostname", uri=uri(first)).strip() == "hosta"
        assert refused(second)
        used.unlink()
        used.symlink_to(second)
        reload(host, (host.folder / "segue.toml").read_text(), "was read again")
        assert host.virsh("hostname", uri=uri(second)).strip() == "hosta"
        assert refused(first)


@pytest.mark.quick
def test_a_refused_client_is_told_why(tmp_path):
    """Over TLS with a wrong certificate, and with none: virsh names the step, and no reset."""
    right = make_certificates(tmp_path / "right", "127.0.0.1")
    wrong = make_certificates(tmp_path / "wrong", "127.0.0.1")
    foreign, bare = tmp_path / "foreign", tmp_path / "bare"
    for place in (foreign, bare):
        place.mkdir()
        # virsh looks at its own certificate first: it trusts either authority.
        (place / "cacert.pem").write_text((right / "ca-cert.pem").read_text()
                                          + (wrong / "ca-cert.pem").read_text())
    for name in ("clientcert.pem", "clientkey.pem"):
        (foreign / name).symlink_to(wrong / name)
    port = free_port()
    with Hosts(1, config=f'[tls]\ndirectory = "{right}"\n',
               options=["--listen", f"tls:127.0.0.1:{port}"]) as (host,):
        base = f"127.0.0.1:{port}/system?pkipath="
        for place, why in ((foreign, "certificate"), (bare, "peer did not return a certificate")):
            for _ in range(3):
                said = host.virsh("hostname", uri=f"qemu+tls://{base}{place}", code=1)
                assert "Unable to read TLS confirmation" in said, said
                assert "reset" not in said, said
            assert re.search(f"TLS handshake: .*{why}", host.log()), host.log()
            # Our own client hears the server's alert.
            done = subprocess.run([BIN / "segue", "-c", f"qemu+tls://{base}{place}", "list"],
                                  capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode != 0
            assert re.search("refused our TLS certificate .*alert", done.stderr), done.stderr
        assert host.virsh("hostname", uri=f"qemu+tls://{base}{right}").strip() == host.name


ACTIVATE = """
import os, socket, sys
path, port_file, *command = sys.argv[1:]
local = socket.socket(socket.AF_UNIX); local.bind(path); local.listen()
remote = socket.socket(); remote.bind(("127.0.0.1", 0)); remote.listen()
open(port_file, "w").write(str(remote.getsockname()[1]))
for number, one in ((3, local), (4, remote)):
    spare = os.dup(one.fileno())
    while spare < 5:
        spare = os.dup(spare)
    one.detach(); os.dup2(spare, number, inheritable=True)
os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS="2", LISTEN_FDNAMES="local:remote")
os.execv(command[0], command)
"""


@pytest.mark.quick
def test_sockets_of_the_service_manager_are_served():
    with tempfile.TemporaryDirectory(prefix="segue-") as folder:  # paths of sockets are short
        serve_given_sockets(Path(folder))


def serve_given_sockets(tmp_path):
    path, port_file = tmp_path / "given.sock", tmp_path / "port"
    with open(tmp_path / "log", "wb") as log:
        # --listen names the same socket, as the installed unit does: it is not made again.
        daemon = subprocess.Popen(
            [sys.executable, "-c", ACTIVATE, path, port_file, BIN / "segued", "--listen",
             f"unix:{path}", "--state", tmp_path / "state", "--hostname", "given"],
            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        wait_until(path.exists, 60, "the socket is there")
        def written():
            return port_file.exists() and port_file.read_text()
        # Clients may come before the daemon serves: they wait in the kernel's queue.
        for uri in (f"qemu+unix:///system?socket={path}",
                    f"qemu+tcp://127.0.0.1:{wait_until(written, 60)}/system"):
            said = subprocess.run(["virsh", "-c", uri, "hostname"], capture_output=True, text=True,
                                  timeout=60, check=False)
            assert said.stdout.strip() == "given", said.stderr + (tmp_path / "log").read_text()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(60) == 0
        assert path.exists(), "the socket is the service manager's"
    finally:
        if daemon.poll() is None:
            daemon.kill()
            daemon.wait()


@pytest.mark.quick
def test_marked_domains_start_once_for_each_boot(tmp_path):
    with Hosts(1) as (host,):
        marked, other = (Machine(tmp_path, name=name) for name in ("marked", "other"))
        for machine in (marked, other):
            host.virsh("define", machine.path)
        host.virsh("autostart", "marked")
        assert "enable" in host.virsh("dominfo", "marked")
        # The same boot: what a user has ended stays ended.
        host.stop()
        host.start()
        assert host.state_of("marked") == "shut off"
        # Another boot: the kernel's boot id is not the one that was noted.
        host.stop()
        (host.state / "autostarted-boot").write_text("another boot\n")
        host.start()
        wait_until(lambda: host.state_of("marked") == "running", 60, "the marked one starts")
        marked.ticks.wait(2)
        assert host.state_of("other") == "shut off"
        boot_id = open("/proc/sys/kernel/random/boot_id", encoding="ascii").read()
        wait_until(lambda: (host.state / "autostarted-boot").read_text() == boot_id, 60,
                   "the boot is noted")
        host.virsh("destroy", "marked")
        host.stop()
        host.start()
        assert host.state_of("marked") == "shut off"


@pytest.mark.quick
def test_guests_of_an_earlier_release_are_adopted(tmp_path):
    """Its store knew less of a migration (schema version 1), and its guest runs on."""
    machine = Machine(tmp_path, tick_ms=20)
    with Hosts(1) as (host,):
        host.virsh("define", machine.path)
        host.virsh("start", "g")
        number = host.virsh("domid", "g")
        assert host.stop() == 0
        with sqlite3.connect(host.state / "segue.db") as store:
            store.executescript("ALTER TABLE migrations DROP COLUMN flags;"
                                "ALTER TABLE migrations DROP COLUMN definition;"
                                "DROP TABLE statuses; CREATE TABLE jobs (domain TEXT) STRICT;"
                                "PRAGMA user_version = 1")
        store.close()
        host.start()
        assert host.virsh("domid", "g") == number and host.state_of("g") == "running"
        machine.ticks.wait(machine.ticks.last() + 3)
        assert machine.ticks.gaps() == []


@pytest.mark.quick
def test_a_client_hears_that_the_daemon_stops():
    """libvirt's own library: a close callback, and the reason that the daemon gave."""
    libvirt.virEventRegisterDefaultImpl()
    stopped, heard = threading.Event(), []
    # A timer keeps the event loop of libvirt turning until the test says stop.
    timer = libvirt.virEventAddTimeout(20, lambda *_: None, None)

    def turn():
        while not stopped.is_set():
            libvirt.virEventRunDefaultImpl()
    turner = threading.Thread(target=turn)
    turner.start()
    try:
        with Hosts(1) as (host,):
            connection = libvirt.open(host.local_uri)
            connection.registerCloseCallback(lambda _, reason, __: heard.append(reason), None)
            assert host.stop() == 0
            wait_until(lambda: heard, 60, "the close callback is called")
            assert heard == [libvirt.VIR_CONNECT_CLOSE_REASON_EOF]
            connection.close()
    finally:
        stopped.set()
        turner.join(timeout=30)
        libvirt.virEventRemoveTimeout(timer)


@pytest.mark.quick
def test_without_our_library_guests_have_stocks(tmp_path):
    """A daemon that was copied alone: one line says so, and a screen is there all the same."""
    alone = tmp_path / "alone" / "segued"
    alone.parent.mkdir()
    shutil.copy(BIN / "segued", alone)
    with Hosts(1) as (host,):
        assert host.stop() == 0
        host.arguments[0] = str(alone)
        host.start()
        for name in ("a", "b"):
            machine = Machine(tmp_path, name=name, spice=True)
            host.virsh("create", machine.path)
            assert host.virsh("domdisplay", name).startswith("spice://")
        assert host.log().count("not beside the daemon: QEMU uses the stock one") == 1
        pid = next(pid for pid, _ in host.guests())
        maps = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")
        assert re.search(r"/usr/lib\S*/libspice-server\.so", maps)
        assert str(BIN.parent) not in maps
