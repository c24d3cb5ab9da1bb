# SPDX-License-Identifier: LGPL-2.1-or-later
"""`segue` as a user types it: completion from the daemon, the check before a migration, its exit
codes, and what Ctrl-C does while a guest moves."""
import json
import os
import re
import shlex
import signal
import socket
import subprocess

import pytest

from hosts import BIN, ROOT, Hosts, read_line, wait_until
from machines import Machine

COMPLETION = ROOT / "packaging" / "bash-completion" / "segue"
ZSH_COMPLETION = ROOT / "packaging" / "zsh-completion"
# A shell on a terminal of its own inside another one, which can ask it: what is written behind the
# words is what TAB makes of them. Its own end-of-line marker and colours would be in the way.
ZSH = """
zmodload zsh/zpty
zpty asked zsh -f -i
zpty -w asked 'PS1=; PS2=; unsetopt prompt_sp prompt_cr zle_bracketed_paste'
zpty -w asked 'fpath=({folder} $fpath); autoload -U compinit; compinit -u -D'
zpty -w asked 'told() {{ print -r -- "<$BUFFER>"; BUFFER=; zle accept-line }}; zle -N told'
zpty -w asked 'bindkey "^T" told; print rea"dy"'
zpty -r asked seen '*ready*'
zpty -w -n asked {line}$'\\t\\024'
zpty -r asked seen '*<segue*>*'
print -r -- "${{${{seen##*<segue}}%%>*}}"
zpty -d asked
"""


@pytest.fixture(scope="module", name="pair")
def two_hosts():
    with Hosts(2) as hosts:
        yield hosts


@pytest.fixture(name="machine")
def running_guest(pair, tmp_path):
    # It writes more than a move at 1 MiB/s can carry: that one ends only when it is told to.
    machine = Machine(tmp_path, name="web", tick_ms=20, dirty_mb_s=8, dirty_end_mb=28)
    pair[0].virsh("create", machine.path)
    machine.ticks.wait(3)
    yield machine
    for host in pair:
        host.virsh("destroy", "web", code=None)
    for host in pair:
        wait_until(lambda h=host: not h.qemus(), 60, f"no QEMU is left on {host.name}")


def complete(host, *words):
    """What bash offers when TAB is hit behind these words."""
    line = " ".join(["segue", "-c", host.local_uri, *words])
    script = (f"source {COMPLETION}; COMP_LINE='{line}'; COMP_POINT={len(line)}; "
              "_segue; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True,
                          timeout=60, env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"})
    assert not done.stderr, done.stderr
    return done.stdout.split("\n")[:-1]


@pytest.mark.quick
@pytest.mark.usefixtures("machine")
def test_completion_asks_the_daemon(pair, tmp_path):
    other = Machine(tmp_path / "other", name="weather station")
    pair[0].virsh("define", other.path)
    assert sorted(complete(pair[0], "destroy", "w")) == ["weather\\ station", "web"]
    assert complete(pair[0], "migrate", "web") == ["web"]
    assert complete(pair[0], "start", "x") in ([], [""])
    assert complete(pair[0], "mig") == ["migrate"]
    assert complete(pair[0], "--output", "j") == ["json"]
    assert "--undefinesource" in complete(pair[0], "migrate", "--un")
    assert complete(pair[0], "resolve", "web", "--runs") == ["--runs-here", "--runs-there"]
    said = subprocess.run([BIN / "segue", "--help"], capture_output=True, text=True, check=True)
    verbs = re.findall(r"^  (\w+) +\S", said.stdout.partition("Subcommands:")[2], re.M)
    assert set(verbs) <= set(complete(pair[0], "")), "every verb is offered"
    pair[0].virsh("undefine", "weather station")


def complete_in_zsh(host, *words):
    """The words as zsh has made them when TAB was hit, without the connection."""
    start = f" -c {host.local_uri} "
    line = shlex.quote("segue" + start.replace("?", "\\?") + " ".join(words))
    done = subprocess.run(["zsh", "-f", "-c", ZSH.format(folder=ZSH_COMPLETION, line=line)],
                          capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}",
                               "TERM": "dumb"})
    return done.stdout.strip().replace("\\?", "?").removeprefix(start.strip()).strip()


@pytest.mark.full
@pytest.mark.usefixtures("machine")
def test_zsh_completes_too(pair):
    assert complete_in_zsh(pair[0], "mig") == "migrate"
    assert complete_in_zsh(pair[0], "destroy", "w") == "destroy web"
    assert complete_in_zsh(pair[0], "migrate", "--undef") == "migrate --undefinesource"
    # The verbs are those of bash, which a test above holds to the program's own.
    offered = [re.search(r"verbs=[\"(]([a-z \n]+)", path.read_text())[1].split()
               for path in (COMPLETION, ZSH_COMPLETION / "_segue")]
    assert offered[0] == offered[1]


# Arguments, and the exit code that segue(1) promises.
CODES = [
    (["list"], 0), (["info", "web"], 0), (["frobnicate"], 2), (["resolve", "web"], 2),
    (["info", "nobody"], 3), (["migrate", "nobody", "URI"], 3),
    (["start", "web"], 4), (["resolve", "web", "--runs-here"], 4),
    (["migrate", "web", "URI"], 4), (["undefine", "web"], 4),
    (["abort", "web"], 4), (["migrate", "web", "qemu+tcp://127.0.0.1:1/system"], 1),
    (["dumpxml", "--inactive", "web"], 0), (["console", "web"], 1),
]


@pytest.mark.quick
@pytest.mark.usefixtures("machine")
def test_exit_codes(pair):
    one, two = pair
    for words, code in CODES:
        words = [two.uri if word == "URI" else word for word in words]
        one.segue(*words, code=code)
    lost = subprocess.run([BIN / "segue", "-c", "qemu+unix:///system?socket=/nowhere", "list"],
                          capture_output=True, text=True, check=False)
    assert lost.returncode == 7 and "segue doctor" in lost.stderr
    said = json.loads(one.segue("--output", "json", "info", "nobody", code=3).strip())
    assert "nobody" in json.dumps(said)


def findings(host, *words, code):
    said = host.segue("--output", "json", "migrate", "--check", *words, code=code)
    return {one["what"]: one for one in json.loads(said)}


@pytest.mark.full
def test_the_check_names_each_thing_and_its_remedy(pair, machine):
    one, two = pair
    found = findings(one, "web", two.uri, code=4)
    bad = {what for what, item in found.items() if not item["passed"]}
    assert bad == {"disks"}
    assert "--unsafe" in found["disks"]["fix"] and not found["QEMU"]["fix"]
    found = findings(one, "--unsafe", "web", two.uri, code=0)
    assert {"domain", "no other job", "disks", "destination", "two hosts", "protocol", "name there",
            "QEMU", "host name there"} <= set(found)
    assert {"definition there", "files there", "migration port there", "the way there",
            "screen's ports there"} <= set(found)
    assert all(item["passed"] for item in found.values())
    for words in (["--p2p"], ["--tunnelled"]):  # what the move itself says, and nothing is held
        assert all(item["passed"] for item in findings(
            one, "--unsafe", *words, "web", two.uri, code=0).values())
        assert "None" in one.virsh("domjobinfo", "web")
    # Each of these is found before anything moves.
    assert not findings(one, "--unsafe", "web", one.uri, code=4)["two hosts"]["passed"]
    gone = findings(one, "--unsafe", "web", "qemu+tcp://127.0.0.1:1/system", code=4)
    assert "--listen" in gone["destination"]["fix"]
    assert not findings(one, "--unsafe", "--offline", "web", two.uri, code=4)["domain"]["passed"]
    two.virsh("define", write_other(machine))
    taken = findings(one, "--unsafe", "web", two.uri, code=4)["name there"]
    assert "--dname" in taken["fix"]
    two.virsh("undefine", "web")
    renamed = machine.path.with_name("renamed.xml")
    renamed.write_text(machine.xml.replace("<name>web<", "<name>web-old<"))
    two.virsh("define", renamed)
    assert "web-old" in findings(one, "--unsafe", "web", two.uri, code=4)["UUID there"]["found"]
    two.virsh("undefine", "web-old")
    secret = findings(one, "--unsafe", "--tls", "web", two.uri, code=4)["may leave"]
    assert "certificate" in secret["found"].lower(), secret
    both = findings(one, "--tls", "web", two.uri, code=4)
    assert not both["disks"]["passed"] and not both["may leave"]["passed"]
    with socket.create_server((two.address, 0)) as busy:
        there = f"tcp://{two.address}:{busy.getsockname()[1]}"
        used = findings(one, "--unsafe", "--migrateuri", there, "web", two.uri, code=4)
    assert "Address already in use" in used["migration port there"]["found"], used
    nobody = findings(one, "--unsafe", "--migrateuri", "tcp://nobody..here", "web", two.uri, code=4)
    assert "nobody..here" in nobody["the way there"]["found"], nobody
    assert nobody["address there"]["found"] == "nobody..here"
    foreign = findings(one, "--unsafe", "--listen-address", "192.0.2.1", "web", two.uri, code=4)
    assert not foreign["migration port there"]["passed"]
    table = one.segue("migrate", "--check", "web", two.uri, code=4)
    assert re.search(r"FAIL +disks +\S", table) and "→" in table
    assert one.state_of("web") == "running" and two.state_of("web") == "absent"


@pytest.mark.full
def test_what_cannot_be_said_is_no_success(pair):
    one, _ = pair
    words = [BIN / "segue", "-c", one.local_uri, "list"]
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1 and "cannot write the answer: No space" in done.stderr
    wrong = one.segue("--output", "json", "events", "--count", "0", code=2)
    assert json.loads(wrong)["code"] == 8, wrong
    assert "no verb 'lst'" in json.loads(one.segue("--output=json", "lst", code=2))["error"]
    assert one.segue("list", "--warp", code=2).startswith("segue: ")


def write_other(machine):
    """Another domain of the same name."""
    other = machine.path.with_name("other.xml")
    other.write_text(machine.xml.replace(machine.uuid, "00000000-0000-4000-8000-0000000000ff"))
    return other


def start_slow_move(one, two):
    one.virsh("migrate-setspeed", "web", 1)
    moving = subprocess.Popen(
        [BIN / "segue", "-c", one.local_uri, "migrate", "--unsafe", "web", two.uri],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_until(lambda: "Unbounded" in one.virsh("domjobinfo", "web"), 60, "the job is seen")
    return moving


@pytest.mark.full
def test_ctrl_c_cancels(pair, machine):
    one, two = pair
    moving = start_slow_move(one, two)
    moving.send_signal(signal.SIGINT)
    said = moving.communicate(timeout=60)[1]
    assert moving.returncode == 6, said
    assert "cancelling" in said and "once more" in said
    assert one.state_of("web") == "running"
    wait_until(lambda: two.state_of("web") == "absent", 60, "the other host forgets it")
    machine.ticks.wait(machine.ticks.last() + 3)
    assert machine.ticks.gaps() == []


@pytest.mark.full
def test_ctrl_c_twice_leaves_it_to_the_daemons(pair, machine):
    """The source's daemon is stopped meanwhile: it can neither cancel nor answer, and the user gets
    the terminal back all the same."""
    one, two = pair
    moving = start_slow_move(one, two)
    one.process.send_signal(signal.SIGSTOP)
    try:
        moving.send_signal(signal.SIGINT)
        assert "cancelling" in read_line(moving.stderr)
        moving.send_signal(signal.SIGINT)
        said = moving.communicate(timeout=60)[1]
    finally:
        one.process.send_signal(signal.SIGCONT)
    assert moving.returncode == 6, said
    assert "the daemons go on" in said and "segue job" in said
    # What was asked for before is still carried out.
    wait_until(lambda: two.state_of("web") == "absent", 60, "it is cancelled")
    assert one.state_of("web") == "running"
    machine.ticks.wait(machine.ticks.last() + 3)


@pytest.mark.full
def test_a_migration_that_is_left_goes_on(pair, machine):
    """The watching program dies: the migration does not depend on it."""
    one, two = pair
    moving = start_slow_move(one, two)
    moving.kill()
    moving.communicate()
    one.virsh("migrate-setspeed", "web", 1000)
    wait_until(lambda: two.state_of("web") == "running", 60, "it arrives")
    wait_until(lambda: one.state_of("web") == "absent", 60, "it is gone here")
    machine.ticks.wait(machine.ticks.last() + 3)
    assert machine.ticks.gaps() == []
