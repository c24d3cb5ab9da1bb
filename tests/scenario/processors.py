# SPDX-License-Identifier: LGPL-2.1-or-later
"""Guests with a <cpu> of their own, and what QEMU shows them of it."""
import json

from machines import Machine


def machine_with(folder, cpu, **more):
    machine = Machine(folder, tick_ms=20, **more)
    machine.path.write_text(machine.xml.replace("<on_poweroff>", f"{cpu}<on_poweroff>", 1))
    return machine


def feature_words(host, name):
    """{(leaf, subleaf, register): bits} that the first processor of this QEMU shows its guest."""
    def ask(command, **arguments):
        said = host.virsh("qemu-monitor-command", name,
                          json.dumps({"execute": command, "arguments": arguments}))
        return json.loads(said)["return"]
    path = ask("query-cpus-fast")[0]["qom-path"]
    return {(word["cpuid-input-eax"], word.get("cpuid-input-ecx"), word["cpuid-register"]):
            word["features"] for word in ask("qom-get", path=path, property="feature-words")}
