# SPDX-License-Identifier: LGPL-2.1-or-later
"""The cells of the kill matrix: at which point of which kind of migration who dies, and what may
become of the guest then. Points are those of src/daemon/fault.h, in the order of a migration."""
from dataclasses import dataclass, field

CLIENT, SOURCE, TARGET = "client", "source segued", "target segued"
SOURCE_QEMU, TARGET_QEMU = "source QEMU", "target QEMU"
CLIENT_LINK, PEER_LINK, MIGRATION_LINK = "client link", "peer link", "migration link"
VICTIMS = [CLIENT, SOURCE, TARGET, SOURCE_QEMU, TARGET_QEMU, CLIENT_LINK, PEER_LINK,
           MIGRATION_LINK]

MANAGED, P2P, V2 = "managed", "p2p", "v2"
MODES = [MANAGED, P2P, V2]

# While QEMU sends memory there is no record and no reply: the migration is made to last.
SENDING = "memory is sent"

# In the order in which they are reached when nobody dies.
STEPS = {
    MANAGED: [
        "source.reply.begin", "destination.record.none", "destination.reply.prepare",
        "source.record.held", SENDING, "source.record.given", "source.reply.perform",
        "destination.record.taken", "destination.record.settled", "destination.reply.finish",
        "source.record.taken", "source.reply.confirm", "source.record.forgotten",
        "destination.record.forgotten"],
    P2P: [
        "source.reply.begin", "destination.record.none", "destination.reply.prepare",
        "source.record.held", SENDING, "source.record.given", "source.reply.perform",
        "destination.record.taken", "destination.record.settled", "destination.reply.finish",
        "source.record.taken", "source.reply.confirm", "source.record.forgotten",
        "destination.record.forgotten", "source.reply.migrate"],
    V2: [
        "destination.record.none", "destination.reply.prepare", "source.record.held", SENDING,
        "source.record.given", "source.reply.perform", "destination.record.taken",
        "destination.record.settled", "destination.reply.finish", "source.record.taken",
        "source.record.forgotten", "destination.record.forgotten"],
}
# The way back: the incoming QEMU has died before the right was given, so the destination refuses
# for ever, and the source goes on.
REFUSED_STEPS = ["destination.record.refused", "source.record.refused"]
TURN_BACK = "source.record.given.before"

# What can become of the guest.
ON_SOURCE, ON_TARGET, LOST = "source", "target", "lost"


@dataclass(frozen=True)
class Cell:
    mode: str
    point: str
    victim: str
    turned_back: bool = field(default=False)
    # --persistent --undefinesource: the definition goes along, and must be somewhere afterwards.
    defined: bool = field(default=False)

    @property
    def name(self):
        words = f"{self.mode}-{self.point}-{self.victim}".replace(" ", "_")
        return words + ("-defined" if self.defined else "")

    @property
    def on_source(self):
        return self.point.startswith("source.")

    def undisturbed_end(self):
        return ON_SOURCE if self.turned_back else ON_TARGET

    def may_end(self):
        """The ends that keep the promises: a guest is lost only with the QEMU that alone has it."""
        if self.turned_back:
            return {LOST} if self.victim == SOURCE_QEMU else {ON_SOURCE}
        # An answer that has left lets the other side run on, while this one is stopped.
        if self.victim == SOURCE_QEMU and self.point == "destination.reply.prepare.after":
            return {LOST, ON_TARGET}
        if self.victim == TARGET_QEMU and self.point == "source.reply.perform.after":
            return {LOST, ON_SOURCE}
        if self.victim == SOURCE_QEMU and self.is_before("source.record.given"):
            return {LOST}
        if self.victim == SOURCE_QEMU:
            return {ON_TARGET}
        if self.victim == TARGET_QEMU and self.is_before("destination.record.taken"):
            return {ON_SOURCE}
        # From here on the incoming QEMU may have run: whoever resumed the source's copy would
        # take back what the guest has done.
        if self.victim == TARGET_QEMU:
            return {LOST, ON_SOURCE} if "record.taken" in self.point else {LOST}
        return {ON_SOURCE, ON_TARGET}

    def is_before(self, step):
        """Whether this point is reached before that step's record is written."""
        steps = STEPS[self.mode]
        own = self.point.removesuffix(".before").removesuffix(".after")
        if own == step:
            return self.point.endswith(".before") and step != "source.record.given"
        return steps.index(own) < steps.index(step)


# What this matrix found, each mended: QEMU's transfer began behind its own cancel, and left the
# guest paused without a word.
FOUND = [Cell(P2P, "source.record.held.before", TARGET)]
# And what it did not see before definitions went along: lost from both hosts.
FOUND += [Cell(MANAGED, "destination.record.taken.after", TARGET, defined=True),
          Cell(P2P, "destination.record.settled.before", TARGET, defined=True),
          Cell(V2, "destination.record.taken.after", TARGET_QEMU, defined=True)]


def points_of(step):
    return [step] if step == SENDING else [f"{step}.before", f"{step}.after"]


def all_cells():
    cells = []
    for mode in MODES:
        for step in STEPS[mode]:
            cells += [Cell(mode, point, victim) for point in points_of(step) for victim in VICTIMS]
        for step in REFUSED_STEPS:
            cells += [Cell(mode, point, victim, True) for point in points_of(step)
                      for victim in VICTIMS if victim not in (TARGET_QEMU, MIGRATION_LINK)]
        # From Finish on either host may think that the other one has the definition.
        late = STEPS[mode][STEPS[mode].index("destination.record.taken"):]
        cells += [Cell(mode, point, victim, defined=True) for step in late
                  for point in points_of(step)
                  for victim in (CLIENT, SOURCE, TARGET, TARGET_QEMU)]
    return cells


def quick_cells():
    """One for each row of the table, the moment, and with it each victim of each kind of migration;
    whoever is struck changes from row to row."""
    chosen = []
    strikes = [SOURCE, TARGET, SOURCE_QEMU, TARGET_QEMU, CLIENT, CLIENT_LINK]
    for number, mode in enumerate(MODES):
        points = [point for step in STEPS[mode] for point in points_of(step)]
        for index, point in enumerate(points):
            victim = strikes[(index + 2 * number) % len(strikes)]
            if point == SENDING:
                victim = MIGRATION_LINK
            if point == "source.record.given.after":
                victim = PEER_LINK
            chosen.append(Cell(mode, point, victim))
        chosen += [Cell(mode, point, victim, True) for point, victim in zip(
            [point for step in REFUSED_STEPS for point in points_of(step)],
            [SOURCE, TARGET, CLIENT, PEER_LINK])]
    return chosen + FOUND
