// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/colo_doc.h"

#include <fmt/format.h>

#include <iterator>

#include "protect/colo_table.h"

namespace segue::colo {
namespace {

// A line of the protocol as it was proposed to QEMU in 2016, and where the tables have it.
struct SeedLine {
    std::string_view line;
    std::string_view direction;
    std::string_view on_the_wire;
    Primary primary;
    Event primary_event;
    Secondary secondary;
    Event secondary_event;
    std::string_view remark;
};

using P = Primary;
using S = Secondary;
using E = Event;

const SeedLine kSeedLines[] = {
    {"'checkpoint-ready'", "S to P", "0", P::awaiting_ready, E::message_ready, S::committing_first,
     E::committed, "sent when the first whole state is committed: epoch 1"},
    {"'checkpoint-request'", "P to S", "1", P::running, E::checkpoint_due, S::awaiting_request,
     E::message_request, "the interval has passed, or somebody asked"},
    {"Suspend (Only in hybrid mode)", "at S", "", P::awaiting_reply, E::message_reply,
     S::suspending, E::suspended, "periodic: the SVM does not run, the reply leaves at once"},
    {"'checkpoint-reply'", "S to P", "2", P::awaiting_reply, E::message_reply, S::awaiting_request,
     E::message_request, ""},
    {"Suspend&Save state", "at P", "", P::suspending, E::suspended, S::awaiting_send,
     E::message_send, "the disk epoch is sealed here: the block layer is drained"},
    {"'vmstate-send'", "P to S", "3", P::suspending, E::suspended, S::awaiting_send,
     E::message_send, "the pages follow"},
    {"Send state / Receive state", "P to S", "4 (vmstate-size)", P::sending, E::state_whole,
     S::receiving_state, E::state_whole,
     "`vmstate-size` came after the proposal; the device state follows it"},
    {"'vmstate-received'", "S to P", "5", P::awaiting_received, E::message_received, S::committing,
     E::committed, "QEMU's compare queue is released by it: sent only when durable"},
    {"Release packets", "at P", "", P::awaiting_received, E::message_received, S::committing,
     E::committed, "ours are released at the commit, at the gate"},
    {"Load state", "at S", "", P::awaiting_loaded, E::message_loaded, S::loading, E::loaded,
     "periodic: the image is the state; nothing is loaded before a promotion"},
    {"'vmstate-load'", "S to P", "6 (vmstate-loaded)", P::awaiting_loaded, E::message_loaded,
     S::loading, E::loaded, "periodic: sent together with vmstate-received"},
    {"Resume / Resume (Only in hybrid mode)", "both", "", P::resuming, E::resumed, S::resuming,
     E::resumed, ""},
    {"Start Comparing (Only in hybrid mode)", "both", "", P::resuming, E::resumed, S::resuming,
     E::resumed, "a difference asks for a checkpoint"},
};

template <class State>
std::string cell(State state, Event event, Mode mode) {
    const auto found = answer(state, event, mode);
    if (found.row == nullptr) return "";
    std::string actions;
    for (const Action action : found.row->actions)
        fmt::format_to(std::back_inserter(actions), "{}{}", actions.empty() ? "" : ", ",
                       name_of(action));
    return fmt::format("{} + {}: {}", name_of(state), name_of(event),
                       actions.empty() ? "go on" : actions);
}

std::string mapping() {
    std::string out =
        "| Line of the proposal | Direction | Wire | Primary's table | Secondary's table | Remark "
        "|\n"
        "|---|---|---|---|---|---|\n";
    for (const SeedLine& line : kSeedLines) {
        const bool hybrid_only = line.secondary == S::suspending || line.secondary == S::loading ||
                                 line.secondary == S::resuming;
        const Mode mode = hybrid_only ? Mode::hybrid : Mode::periodic;
        fmt::format_to(std::back_inserter(out), "| {} | {} | {} | {} | {} | {} |\n", line.line,
                       line.direction, line.on_the_wire,
                       cell(line.primary, line.primary_event, mode),
                       cell(line.secondary, line.secondary_event, mode), line.remark);
    }
    return out;
}

std::string_view text_of(Mode mode) {
    return mode == Mode::both ? "both" : mode == Mode::periodic ? "periodic" : "hybrid";
}

template <class State>
std::string rows_of(std::span<const Row<State>> table, std::size_t states) {
    std::string out =
        "| State | Limit | Event | Mode | Next | Actions |\n|---|---|---|---|---|---|\n";
    const Limits limits;
    for (std::size_t index = 0; index < states; ++index) {
        const auto state = static_cast<State>(index);
        const auto limit = limit_of(state, limits);
        for (const Row<State>& row : table) {
            if (row.from != state) continue;
            std::string actions;
            for (const Action action : row.actions)
                fmt::format_to(std::back_inserter(actions), "{}{}", actions.empty() ? "" : ", ",
                               name_of(action));
            fmt::format_to(std::back_inserter(out), "| {} | {} | {} | {} | {} | {} |\n",
                           name_of(state), limit ? fmt::format("{} s", to_ms(*limit) / 1000) : "",
                           name_of(row.event), text_of(row.mode), name_of(row.to), actions);
        }
    }
    return out;
}

}  // namespace

std::string with_tables(std::string_view page) {
    const std::size_t begin = page.find(kTablesBegin);
    const std::size_t end = page.find(kTablesEnd);
    if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
        return std::string(page);
    }
    return fmt::format(
        "{}{}\n## The proposal, line by line\n\n{}\n## The secondary\n\n{}\n## The "
        "primary\n\n{}\n{}",
        page.substr(0, begin), kTablesBegin, mapping(),
        rows_of(secondary_table(), kSecondaryStates), rows_of(primary_table(), kPrimaryStates),
        page.substr(end));
}

}  // namespace segue::colo
