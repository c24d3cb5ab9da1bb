// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/document.h"

#include <algorithm>
#include <set>

#include "migrate/migrate.h"

namespace segue::migrate {
namespace {

// --- The sequences: the driver's way when everything succeeds
// --------------------------------------

struct SequenceStep {
    DriverVerb verb;
    std::string_view version2;
    std::string_view version3;
};
const SequenceStep kSteps[] = {
    {DriverVerb::call_begin, "DumpXML: the definition to pass on",
     "Begin: the definition and a cookie to pass on; the source's job starts"},
    {DriverVerb::call_prepare,
     "Prepare: the incoming QEMU waits; a cookie and the address to pass back",
     "Prepare: the incoming QEMU waits; a cookie and the address to pass back; the destination's "
     "job starts"},
    {DriverVerb::call_perform,
     "Perform: the guest is sent and paused; the right to run crosses the peer link",
     "Perform: the guest is sent and paused; the right to run lies in the cookie"},
    {DriverVerb::call_finish,
     "Finish: the right is taken and the guest resumed, or refused for ever",
     "Finish: the right is taken and the guest resumed, or refused for ever; the destination's job "
     "ends"},
    {DriverVerb::call_confirm, "",
     "Confirm: the source QEMU ends, or resumes after the refusal; the source's job ends"},
};

bool on_source(DriverVerb verb) {
    return verb != DriverVerb::call_prepare && verb != DriverVerb::call_finish;
}

// The verbs of a migration that succeeds.
std::vector<DriverVerb> success(Protocol protocol) {
    Driver driver({protocol, false, true});
    std::vector<DriverVerb> verbs{driver.handle(DriverEvent::start)};
    while (verbs.back() != DriverVerb::close && verbs.back() != DriverVerb::none) {
        DriverEvent next = DriverEvent::confirm_ok;
        if (verbs.back() == DriverVerb::call_begin) next = DriverEvent::begin_ok;
        if (verbs.back() == DriverVerb::call_prepare) next = DriverEvent::prepare_ok;
        if (verbs.back() == DriverVerb::call_perform) next = DriverEvent::perform_ok;
        if (verbs.back() == DriverVerb::call_finish) next = DriverEvent::finish_ok;
        verbs.push_back(driver.handle(next));
    }
    verbs.pop_back();
    return verbs;
}

std::string sequence(Protocol protocol) {
    const bool old = protocol == Protocol::version2;
    std::string text = fmt::format("### Protocol v{}\n\n", old ? 2 : 3);
    std::string diagram =
        "```mermaid\nsequenceDiagram\n    participant C as client\n    participant S as source\n"
        "    participant D as destination\n";
    int number = 0;
    for (const DriverVerb verb : success(protocol)) {
        for (const SequenceStep& step : kSteps) {
            if (step.verb != verb) continue;
            const std::string_view words = old ? step.version2 : step.version3;
            text += fmt::format("{}. {}: {}\n", ++number,
                                on_source(verb) ? "Source" : "Destination", words);
            diagram += fmt::format("    C->>{}: {}\n", on_source(verb) ? "S" : "D",
                                   words.substr(0, words.find(':')));
            if (verb == DriverVerb::call_perform) {
                diagram += old ? "    S->>D: guest, then the right over the peer link\n"
                               : "    S->>D: guest\n    S-->>C: cookie with the right\n";
            }
            if (verb == DriverVerb::call_finish) diagram += "    D-->>S: taken (peer link)\n";
        }
    }
    return text + "\n" + diagram + "```\n\n";
}

// --- Tables
// ---------------------------------------------------------------------------------------

std::string phases_table() {
    std::string text = "| Number | Phase | Meaning |\n|---|---|---|\n";
    for (const PhaseInfo& info : phases()) {
        text += fmt::format("| {} | `{}` | {} |\n", static_cast<int>(info.phase), info.name,
                            info.meaning);
    }
    return text + "\n";
}

std::string locking_table() {
    std::string text = "| Call | Examples |";
    std::string line = "\n|---|---|";
    for (const AsyncKindInfo& job : async_kinds()) {
        if (job.kind == AsyncKind::none) continue;
        text += fmt::format(" beside {} |", job.name);
        line += "---|";
    }
    text += line + "\n";
    for (const CallKindInfo& call : call_kinds()) {
        text += fmt::format("| {} | {} |", call.name, call.examples);
        for (const AsyncKindInfo& job : async_kinds()) {
            if (job.kind == AsyncKind::none) continue;
            text += job.beside[static_cast<std::size_t>(call.kind)] ? " yes |" : " refused |";
        }
        text += "\n";
    }
    return text + "\n";
}

template <class Value>
std::string_view name_in(std::span<const Named<Value>> names, Value value) {
    return names[static_cast<std::size_t>(value)].name;
}

template <class TableRow, class StateNames, class EventNames, class GuardNames, class VerbNames>
std::string rows_table(std::span<const TableRow> rows, StateNames states, EventNames events,
                       GuardNames guards, VerbNames verbs) {
    std::string text = "| State | Event | When | Then | Actions |\n|---|---|---|---|---|\n";
    for (const TableRow& row : rows) {
        std::string actions;
        for (const auto verb : row.actions()) {
            actions += (actions.empty() ? "" : ", ") + std::string(name_in(verbs, verb));
        }
        const bool stays = row.to == row.from;
        text += fmt::format("| {} | {} | {} | {} | {} |\n", name_in(states, row.from),
                            name_in(events, row.on), name_in(guards, row.when),
                            stays ? "" : name_in(states, row.to), actions);
    }
    return text + "\n";
}

template <class State, class PhaseOf>
std::string states_table(std::span<const Named<State>> states, PhaseOf phase_of) {
    std::string text = "| State | Phase, v2 | Phase, v3 | Meaning |\n|---|---|---|---|\n";
    for (const auto& state : states) {
        text += fmt::format("| {} | `{}` | `{}` | {} |\n", state.name,
                            name_of(phase_of(state.value, Protocol::version2)),
                            name_of(phase_of(state.value, Protocol::version3)), state.meaning);
    }
    return text + "\n";
}

template <class Event>
std::string late_table(std::span<const Late<Event>> rules, std::span<const Named<Event>> events) {
    std::string text = "| Event | Meaning | Where no row wants it |\n|---|---|---|\n";
    for (const auto& rule : rules) {
        const auto& event = events[static_cast<std::size_t>(rule.on)];
        const std::string end = rule.refused ? fmt::format("**refused**, error {}: {}",
                                                           static_cast<int>(rule.code), rule.why)
                                             : fmt::format("passed over: {}", rule.why);
        text += fmt::format("| {} | {} | {} |\n", event.name, event.meaning, end);
    }
    return text + "\n";
}

// One arrow for each pair of states, with the events that lead along it.
template <class TableRow, class StateNames, class EventNames>
std::string diagram(std::span<const TableRow> own, std::span<const TableRow> shared,
                    StateNames states, EventNames events) {
    std::string text = "```mermaid\nstateDiagram-v2\n    [*] --> idle\n";
    std::set<std::pair<int, int>> drawn;
    for (const auto part : {own, shared}) {
        for (const TableRow& row : part) {
            const std::pair<int, int> arrow{static_cast<int>(row.from), static_cast<int>(row.to)};
            if (row.from == row.to || !drawn.insert(arrow).second) continue;
            std::string labels;
            std::set<std::string_view> named;
            for (const auto again : {own, shared}) {
                for (const TableRow& same : again) {
                    if (same.from != row.from || same.to != row.to) continue;
                    const std::string_view event = name_in(events, same.on);
                    if (!named.insert(event).second) continue;
                    labels += (labels.empty() ? "" : ", ") + std::string(event);
                }
            }
            text += fmt::format("    {} --> {}: {}\n", name_in(states, row.from),
                                name_in(states, row.to), labels);
        }
    }
    return text + "    ended --> [*]\n```\n\n";
}

std::string source_chapter() {
    const auto table = [](std::span<const SourceTypes::TableRow> rows) {
        return rows_table(rows, source_states(), source_events(), source_guards(), source_verbs());
    };
    std::string text = "## The source's machine\n\n";
    text += states_table(source_states(), source_phase);
    text += "### Protocol v3\n\n";
    text += diagram(source_rows_version3(), source_rows_shared(), source_states(), source_events());
    text += table(source_rows_version3());
    text += "### Protocol v2\n\n";
    text += diagram(source_rows_version2(), source_rows_shared(), source_states(), source_events());
    text += table(source_rows_version2());
    text += "### Both protocols\n\n" + table(source_rows_shared());
    text += "### Events\n\n" + late_table(source_late_rules(), source_events());
    text += "### Bounds\n\n| State | Seconds |\n|---|---|\n";
    SourceOptions options;
    options.protocol = Protocol::version2;
    const SourceMachine old(options);
    Record ours;
    ours.peer_has_right = true;
    const SourceMachine machine = SourceMachine::restored(ours, true);
    for (const auto& state : source_states()) {
        const Duration bound = std::max(old.bound_of(state.value), machine.bound_of(state.value));
        if (bound == Duration{}) continue;
        const std::string_view only = machine.bound_of(state.value) == Duration{} ? " (v2)" : "";
        text += fmt::format("| {}{} | {} |\n", state.name, only, to_ms(bound) / 1000);
    }
    return text + "\n";
}

std::string destination_chapter() {
    const auto table = [](std::span<const DestinationTypes::TableRow> rows) {
        return rows_table(rows, destination_states(), destination_events(), destination_guards(),
                          destination_verbs());
    };
    std::string text = "## The destination's machine\n\n";
    text += states_table(destination_states(), destination_phase);
    text += diagram(destination_rows_version3(), destination_rows_shared(), destination_states(),
                    destination_events());
    text += "### Protocol v3\n\n" + table(destination_rows_version3());
    text += "### Protocol v2\n\n" + table(destination_rows_version2());
    text += "### Both protocols\n\n" + table(destination_rows_shared());
    text += "### Events\n\n" + late_table(destination_late_rules(), destination_events());
    return text;
}

std::string driver_chapter() {
    std::string text =
        "## The client's rules\n\nIn a managed migration libvirt's client library follows them, in "
        "peer-to-peer the source's daemon. Offline, Perform is left out.\n\n"
        "| After | comes | when | Next call |\n|---|---|---|---|\n";
    const std::string_view guards[] = {"", "v2", "offline", "a job is held"};
    for (const DriverRow& row : driver_rows()) {
        text += fmt::format("| {} | {} | {} | {} |\n", name_in(driver_states(), row.from),
                            name_in(driver_events(), row.on),
                            guards[static_cast<std::size_t>(row.when)],
                            name_in(driver_verbs(), row.verbs[0]));
    }
    return text + "\n";
}

constexpr std::string_view kHead =
    R"(<!-- SPDX-License-Identifier: LGPL-2.1-or-later -->
<!-- Written by segue-migration-document from the tables of src/migrate: do not edit. -->
# Migration: protocols, phases, locking, and the right to run

)";

constexpr std::string_view kRight =
    R"(## The right to run

A guest runs only on the host that holds its right; the right has one holder.

* The incoming QEMU starts stopped (`-S`).
* The source stores `given(id)` before the right leaves it: in Perform's cookie (v3), over the peer
  link (v2). Until then it may resume the guest at once, alone.
* The destination resumes the guest only with the right, and only after it has stored `taken(id)`.
* The destination promises never to resume it by storing `refused(id)`. A Finish that comes later
  fails, after a restart too.
* Once given, the source resumes only on that promise, and ends its QEMU only on `taken(id)`.
* No answer: the guest stays paused here, and state, status and log name the way on:
  `segue resolve DOMAIN --runs-there` or `--runs-here`. The source asks on every few seconds.
* **`--runs-here` is a person's word that the other copy is dead and stays dead.** Nothing can check
  it: that host cannot be asked. If it had stored `taken(id)` and comes back with the guest running,
  there are two copies on the same disks. Cut its power, or end the copy on it, before it gets back
  to network and storage.
* A stock peer knows neither right nor promise: what is lost ends there, never in a guess.

)";

constexpr std::string_view kLocking =
    R"(The source holds its job `migration out` from Begin to Confirm (v2: in Perform, and until the
destination has answered), the destination its job `migration in` from Prepare to Finish. Between
calls the job stays and nobody owns it. Nothing waits for a lock: what may not run beside a job is
refused at once (error 68), with the job and its phase named; a second migration with error 55. A
phase never goes backwards (error 1).

)";

}  // namespace

std::string migration_document() {
    std::string text(kHead);
    text += "## Sequences\n\n" + sequence(Protocol::version2) + sequence(Protocol::version3);
    text += "## Phases\n\n" + phases_table();
    text += "## Locking rules\n\n" + std::string(kLocking) + locking_table();
    text += kRight;
    text += source_chapter() + destination_chapter() + driver_chapter();
    text.pop_back();
    return text;
}

}  // namespace segue::migrate
