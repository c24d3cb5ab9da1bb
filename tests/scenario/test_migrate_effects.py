# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the options of a migration do while it runs: a guest that writes faster than a slow one can
send is looked at on the way."""
import json
import signal

import pytest

from groups import one_in_full
from hosts import Hosts, wait_until
from machines import Machine

from spice_lab import Client

MODES = {"managed": [], "p2p": ["--p2p"]}
EACH_MODE = {mode: (mode,) for mode in MODES}
MIB = 1 << 20


class Journey:
    """A migration that would last for minutes."""

    def __init__(self, one, two, folder, *words, speed=1):
        self.one, self.two = one, two
        self.said = None
        self.machine = Machine(folder, name="e", tick_ms=20, dirty_mb_s=8, dirty_end_mb=28)
        one.virsh("define", self.machine.path)
        one.virsh("start", "e")
        self.machine.ticks.wait(3)
        if speed:
            one.virsh("migrate-setspeed", "e", speed)
        self.client = one.virsh_process("migrate", "--live", "--unsafe", *words, "e", two.uri)
        wait_until(lambda: "Memory processed" in one.virsh("domjobinfo", "e"), 60, "it moves")

    def ask(self, question):
        said = self.one.virsh("qemu-monitor-command", "e", json.dumps({"execute": question}))
        return json.loads(said)["return"]

    def capabilities(self):
        return {each["capability"] for each in self.ask("query-migrate-capabilities")
                if each["state"]}

    def end(self):
        """(exit code, words) of virsh."""
        if self.said is None:
            self.said, _ = self.client.communicate(timeout=120)
        return self.client.returncode, self.said

    def cancel(self):
        self.one.virsh("domjobabort", "e")
        code, said = self.end()
        assert code == 1 and "cancel" in said, said
        self.runs_on(self.one)

    def speed_up(self):
        self.one.virsh("migrate-setspeed", "e", "0")

    def runs_on(self, host):
        wait_until(lambda: host.state_of("e") == "running", 60, f"it runs on {host.name}")
        self.machine.ticks.wait(self.machine.ticks.last() + 5)
        assert self.machine.ticks.gaps() == []
        for each in (self.one, self.two):
            wait_until(lambda h=each: len(h.qemus()) == (1 if h is host else 0), 60,
                       f"one QEMU is left, on {host.name}")


@pytest.mark.parametrize("mode", one_in_full(EACH_MODE, "managed"))
def test_what_qemu_is_told(tmp_path, mode):
    with Hosts(2) as (one, two):
        going = Journey(one, two, tmp_path, *MODES[mode], "--bandwidth", "2", "--auto-converge",
                        "--auto-converge-initial", "30", "--auto-converge-increment", "20",
                        "--compressed", "--comp-methods", "xbzrle",
                        "--comp-xbzrle-cache", str(4 * MIB), speed=None)
        assert {"auto-converge", "xbzrle"} <= going.capabilities()
        one.virsh("migrate-setmaxdowntime", "e", "123")
        told = going.ask("query-migrate-parameters")
        wanted = {"downtime-limit": 123, "max-bandwidth": 2 * MIB, "cpu-throttle-initial": 30,
                  "cpu-throttle-increment": 20, "xbzrle-cache-size": 4 * MIB}
        assert {name: told[name] for name in wanted} == wanted
        # And in its own words: the guest writes more than that can carry, so it is slowed down.
        wait_until(lambda: going.ask("query-migrate").get("cpu-throttle-percentage", 0) >= 30, 120,
                   "the guest is slowed down")
        assert going.ask("query-migrate")["xbzrle-cache"]["cache-size"] == 4 * MIB
        going.cancel()


@pytest.mark.parametrize("mode", one_in_full(EACH_MODE, "managed"))
def test_a_change_is_refused_on_the_way(tmp_path, mode):
    with Hosts(2) as (one, two):
        going = Journey(one, two, tmp_path, *MODES[mode], "--change-protection")
        for words in (["undefine", "e"], ["shutdown", "e"], ["resume", "e"], ["reset", "e"],
                      ["qemu-monitor-command", "e", "--hmp", "cont"]):
            said = one.virsh(*words, code=1)
            assert "state change lock" in said and "migration out" in said, said
        going.speed_up()
        code, said = going.end()
        assert code == 0, said
        going.runs_on(two)


@pytest.mark.parametrize("mode", one_in_full(EACH_MODE, "p2p"))
def test_the_clients_own_suspend_ends_it_and_the_guest_goes_on(tmp_path, mode):
    """`virsh migrate --timeout`: the guest is suspended so that the migration comes to its end."""
    with Hosts(2) as (one, two):
        going = Journey(one, two, tmp_path, *MODES[mode], "--timeout", "1", "--timeout-suspend")
        wait_until(lambda: one.state_of("e") == "paused", 60, "virsh suspends it")
        going.speed_up()
        code, said = going.end()
        assert code == 0, said
        going.runs_on(two)


@pytest.mark.full
def test_a_users_suspend_lets_it_arrive_paused(tmp_path):
    with Hosts(2) as (one, two):
        going = Journey(one, two, tmp_path)
        one.virsh("suspend", "e")
        going.speed_up()
        code, said = going.end()
        assert code == 0, said
        assert two.state_of("e") == "paused"
        two.virsh("resume", "e")
        going.runs_on(two)


@pytest.mark.parametrize("who, mode", one_in_full({
    f"{who}-{mode}": (who, mode) for who in ("source", "target") for mode in MODES
}, "target-p2p"))
def test_a_daemon_that_is_asked_to_end(tmp_path, mode, who):
    """SIGTERM: the migration fails with its cause, and the guest goes on where it was."""
    with Hosts(2) as (one, two):
        going = Journey(one, two, tmp_path, *MODES[mode])
        host = one if who == "source" else two
        assert host.stop(signal.SIGTERM) == 0
        if mode == "p2p" and who == "target":
            code, said = going.end()
            assert code == 1 and "Lost connection to destination host" in said, said
        # The client of a managed one looks at the source alone, and QEMU sends on.
        host.start()
        assert going.end()[0] == 1
        going.runs_on(one)


@pytest.mark.full
def test_the_bound_of_the_wait_for_viewers(tmp_path):
    """A viewer that stands still would be waited for until tomorrow, were it not for the option."""
    with Hosts(2, config="[migration]\nscreen_wait_ms = 3600000\n") as (one, two):
        machine = Machine(tmp_path, name="e", spice=True, tick_ms=20)
        one.virsh("create", machine.path)
        machine.ticks.wait(3)
        with Client(one.virsh("domdisplay", "e").strip()) as client:
            client.linked()
            client.process.send_signal(signal.SIGSTOP)
            try:
                one.segue("migrate", "--unsafe", "--screen-wait", "100", "e", two.uri, timeout=300)
            finally:
                client.process.send_signal(signal.SIGCONT)
        assert two.state_of("e") == "running"
        machine.ticks.wait(machine.ticks.last() + 5)
        assert machine.ticks.gaps() == []
