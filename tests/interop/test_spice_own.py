# SPDX-License-Identifier: LGPL-2.1-or-later
"""spice-server's own tests, those that need nothing but its public interface, on our library.

Debian's source package is fetched into build/spice-source (or named by $SEGUE_SPICE_SOURCE). What
stock says in its log is stock's: on our library the tests' expectations of its words are left out,
those of what happens stay.
"""
import os
import re
import shutil
import socket
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from hosts import wait_until
from spice_lab import ROOT, Client, environment

TESTS = ("codecs-parsing", "empty-success", "fail-on-null-core-interface", "leaks", "listen",
         "loop", "options", "sasl", "set-ticket", "vdagent")
# Those that never end: what a client is to see of each, so many times. Without
# display-width-stride: on stock's library, too, its heap is soon corrupt.
SERVERS = {"display-no-ssl": ("draw", 200), "two-servers": ("draw", 200),
           "display-streaming": ("draw", 100), "display-resolution-changes": ("primary", 5),
           "playback": ("sound", 100)}
PLAYBACK_PORT = 5701
HELPERS = ("tests/basic-event-loop.c", "tests/win-alarm.c", "event-loop.c",
           "tests/test-display-base.cpp", "tests/vmc-emu.cpp")
SOURCES = """Types: deb-src
URIs: http://deb.debian.org/debian
Suites: bookworm
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
CONFIG = """#define G_LOG_DOMAIN "Spice"
#define SPICE_SERVER_INTERNAL
#define HAVE_SASL 1
#define HAVE_LZ4 1
#define SPICE_TOP_SRCDIR "{source}"
#include <glib.h>
#ifndef OWN_WORDS
#define HAVE_GSTREAMER_1_0 1
#else
#define g_test_expect_message(domain, level, pattern) \\
    do {{ if ((level) == G_LOG_LEVEL_MESSAGE) \\
        (g_test_expect_message)(domain, level, pattern); }} while (0)
#endif
"""


def run(*words, **more):
    return subprocess.run([str(word) for word in words], capture_output=True, text=True, **more)


def fetch(where):
    """The source tree, or a reason why there is none."""
    if "SEGUE_SPICE_SOURCE" in os.environ:
        return Path(os.environ["SEGUE_SPICE_SOURCE"])
    found = sorted(where.glob("spice-0.*/server"))
    if found:
        return found[0].parent
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (where / folder).mkdir(parents=True, exist_ok=True)
    (where / "parts" / "source.sources").write_text(SOURCES)
    (where / "apt.conf").write_text(
        f'Dir::Etc::sourcelist "/dev/null";\nDir::Etc::sourceparts "{where}/parts";\n'
        f'Dir::State::lists "{where}/lists";\nDir::Cache "{where}/cache";\n')
    env = dict(os.environ, APT_CONFIG=str(where / "apt.conf"))
    for words in (("update",), ("source", "--download-only", "spice")):
        done = run("apt-get", *words, cwd=where, env=env, timeout=300)
        if done.returncode:
            pytest.fail(f"Debian's source of spice cannot be fetched: {done.stderr[-200:]}")
    run("tar", "xf", next(where.glob("spice_*.orig.tar.*[!c]")), cwd=where, check=True)
    return fetch(where)


@pytest.fixture(scope="module")
def programs(tmp_path_factory):
    if not shutil.which("apt-get"):
        pytest.fail("Debian's source of spice cannot be fetched: no apt-get")
    where = ROOT / "build" / "spice-source"
    where.mkdir(parents=True, exist_ok=True)
    source = fetch(where)
    out = tmp_path_factory.mktemp("own")
    (out / "config.h").write_text(CONFIG.format(source=source))
    packages = ["glib-2.0", "gio-unix-2.0", "pixman-1"]
    flags = ["-O1", "-w", f"-I{out}", "-I/usr/include/spice-1"]
    flags += [f"-I{source}/{folder}" for folder in ("server", "server/tests",
                                                    "subprojects/spice-common")]
    flags += run("pkg-config", "--cflags", *packages, check=True).stdout.split()
    libraries = ["-lspice-server", "-lsasl2", "-lssl", "-lcrypto", "-lpthread", "-lm",
                 *run("pkg-config", "--libs", *packages, check=True).stdout.split()]
    objects = []
    for helper in (*(f"{source}/server/{name}" for name in HELPERS),
                   ROOT / "tests" / "peers" / "spice_log.c",
                   ROOT / "tests" / "peers" / "spice_own_sasl.c"):
        path = Path(helper) if Path(helper).exists() else Path(helper).with_suffix(".cpp")
        objects.append(out / (path.stem + ".o"))
        built = run("g++" if path.suffix == ".cpp" else "gcc", *flags, "-c", path, "-o",
                    objects[-1])
        assert built.returncode == 0, built.stderr[-2000:]
    waits = objects.pop()
    for test in (*TESTS, *SERVERS):
        more = [waits, "-Wl,--wrap=pthread_join,--wrap=socketpair"] if test == "sasl" else []
        for library, words in (("stock", ()), ("segue", ("-DOWN_WORDS",))):
            program = out / f"{test}-{library}"
            built = run("gcc", *flags, *words, "-c", f"{source}/server/tests/test-{test}.c", "-o",
                        f"{program}.o")
            assert built.returncode == 0, built.stderr[-2000:]
            run("g++", "-o", program, f"{program}.o", *more, *objects, *libraries, check=True)
    return out, source / "server" / "tests"


@pytest.mark.soak
@pytest.mark.parametrize("library", ["segue", "stock"])
@pytest.mark.parametrize("test", TESTS)
def test_of_spice_server_itself(programs, test, library):
    out, folder = programs
    # They listen on ports of their choice: in a network of their own.
    command = f"ip link set lo up && exec {out}/{test}-{library}"
    done = run("unshare", "-n", "sh", "-c", command, cwd=folder, env=environment(library),
               timeout=120)
    assert done.returncode == 0, done.stdout[-1500:] + done.stderr[-1500:]


def ports_of(log, test):
    """Where it listens, as it says."""
    if test == "playback":
        address = ("127.0.0.1", PLAYBACK_PORT)
        with socket.socket() as probe:
            wait_until(lambda: probe.connect_ex(address) == 0, what="it does not listen")
        return [PLAYBACK_PORT]

    def ports():
        said = log.read_text(errors="replace")
        return [int(port) for port in re.findall(r"listening on port (\d+) ", said)]

    wait_until(lambda: len(ports()) == (2 if test == "two-servers" else 1), what=ports)
    return ports()


@pytest.mark.soak
@pytest.mark.parametrize("library", ["segue", "stock"])
@pytest.mark.parametrize("test", SERVERS)
def test_of_spice_server_that_serves(programs, tmp_path, test, library):
    """A stock client sees what it is to see, and again after it has come back."""
    out, folder = programs
    event, times = SERVERS[test]
    with ExitStack() as stack:
        log = tmp_path / "log"
        process = subprocess.Popen(["stdbuf", "-oL", f"{out}/{test}-{library}"], cwd=folder,
                                   stdout=stack.enter_context(open(log, "wb")),
                                   stderr=subprocess.STDOUT, env=environment(library))
        stack.callback(process.wait, 60)
        stack.callback(process.kill)
        for port in ports_of(log, test) * 2:
            with Client(f"spice://127.0.0.1:{port}", "--devices", str(tmp_path)) as client:
                client.wait("channel-event", kind="MainChannel", what="opened")
                wait_until(lambda: client.count(event) >= times or process.poll() is not None,
                           what=lambda: client.events[-5:])
                assert not client.count("disconnected")
        assert process.poll() is None
