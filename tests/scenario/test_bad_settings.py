# SPDX-License-Identifier: LGPL-2.1-or-later
"""Command lines, configurations and state directories that cannot be: the daemon says in one line
what is wrong, and leaves everything as it was."""
import re
import subprocess
import tempfile
from pathlib import Path

import pytest

from hosts import BIN, Hosts

pytestmark = pytest.mark.full


@pytest.fixture(scope="module", name="host")
def one_host():
    with Hosts(1) as (host,):
        yield host


@pytest.fixture(name="scratch")
def short_folder():
    """A folder whose path is short enough for a state directory."""
    with tempfile.TemporaryDirectory(prefix="segue-") as folder:
        yield Path(folder)


def daemon(*words, timeout=60):
    return subprocess.run([str(BIN / "segued"), *map(str, words)], capture_output=True, text=True,
                          timeout=timeout, check=False, stdin=subprocess.DEVNULL)


def test_tcp_without_authentication_stays_on_loopback(scratch):
    for address in ("0.0.0.0", "192.0.2.1", "[::]"):
        done = daemon("--listen", f"tcp:{address}:0", "--state", scratch / "state")
        assert done.returncode == 1
        assert done.stderr.strip().endswith(
            f"TCP without authentication is for loopback only; use tls:{address.strip('[]')}:0")
        assert len(done.stderr.splitlines()) == 1
    assert not (scratch / "state").exists()


def test_tcp_on_loopback_says_what_it_is(host):
    assert re.search(r"warning rpc: tcp:127\S+ asks nobody who they are", host.log())


def test_check_config(scratch):
    config = scratch / "segue.toml"
    config.write_text("[log]\nlevel = 'debug'\n")
    done = daemon("--config", config, "--check-config")
    assert (done.returncode, done.stdout) == (0, f"{config}: good\n")
    config.write_text("[log]\nlevle = 'debug'\n[spcie]\n[security]\nsandbox = 'yes'\n")
    done = daemon("--config", config, "--check-config")
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert len(lines) == 3
    assert any(line.endswith(f"{config}:2: unknown key 'log.levle' (known: level)")
               for line in lines)
    assert any("unknown section 'spcie'" in line for line in lines)
    assert any("security.sandbox must be true or false" in line for line in lines)
    # The daemon itself does not start with it either.
    done = daemon("--config", config, "--listen", f"unix:{scratch}/s", "--state", scratch / "d")
    assert done.returncode == 1 and "unknown key" in done.stderr


def test_settings_that_contradict_the_host(scratch):
    config = scratch / "segue.toml"
    config.write_text("[migration]\nports = '6000-6100'\n[security]\nqemu_user = 'nobody-at-all'\n")
    done = daemon("--config", config, "--check-config")
    assert done.returncode == 1
    assert "migration.ports 6000-6100 and spice.ports 5950-6149 overlap" in done.stderr
    assert "user 'nobody-at-all' for QEMU does not exist" in done.stderr


def test_a_state_directory_that_is_not_ours(scratch):
    open_one = scratch / "open"
    open_one.mkdir()
    open_one.chmod(0o1777)
    done = daemon("--listen", f"unix:{scratch}/s", "--state", open_one)
    assert done.returncode == 1
    assert "others may write to the state directory" in done.stderr
    assert open_one.stat().st_mode & 0o7777 == 0o1777 and not list(open_one.iterdir())


def test_limits_of_the_host_are_said_at_the_start(scratch):
    done = daemon("--listen", f"unix:{scratch}/s", "--state", f"/tmp/{'x' * 60}")
    assert done.returncode == 1
    assert "has 65 characters: at most 49" in done.stderr
    few = subprocess.run(["prlimit", "--nofile=512:512", BIN / "segued", "--listen",
                          f"unix:{scratch}/s", "--state", scratch], capture_output=True,
                         text=True, check=False, timeout=60)
    assert few.returncode == 1
    assert "may open 512 files: at least 1024 are needed" in few.stderr


def test_a_second_daemon_on_the_same_state(host, scratch):
    done = daemon("--listen", f"unix:{scratch}/s", "--state", host.state)
    assert done.returncode == 1
    assert "another daemon uses this state directory" in done.stderr
    done = daemon("--listen", f"unix:{host.socket}", "--state", scratch / "state")
    assert done.returncode == 1
    assert "another process serves it" in done.stderr
    assert host.virsh("hostname").strip() == host.name
