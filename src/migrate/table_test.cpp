// SPDX-License-Identifier: LGPL-2.1-or-later
// Each (state, event) pair of each machine is a transition or a named answer; names are complete
// and in order; every state can be reached and left.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "migrate/migrate.h"

namespace segue::migrate {
namespace {

template <class Value>
void expect_complete(std::span<const Named<Value>> names) {
    std::set<std::string_view> seen;
    for (std::size_t at = 0; at < names.size(); ++at) {
        EXPECT_EQ(static_cast<std::size_t>(names[at].value), at) << names[at].name;
        EXPECT_TRUE(at == 0 || seen.insert(names[at].name).second) << names[at].name;
    }
}

// An event without a row in a state is answered by its late rule; with only guarded rows too, when
// no guard holds. So the rules must name each event exactly once, with a text.
template <class Event>
void expect_rules(std::span<const Late<Event>> rules, std::size_t events) {
    ASSERT_EQ(rules.size(), events);
    for (std::size_t at = 0; at < rules.size(); ++at) {
        EXPECT_EQ(static_cast<std::size_t>(rules[at].on), at);
        EXPECT_FALSE(rules[at].why.empty());
        EXPECT_TRUE(!rules[at].refused || rules[at].code != ErrorCode::internal);
    }
}

// Rows after an unguarded one of the same pair could never match.
template <class Row>
void expect_no_dead_rows(std::span<const Row> first, std::span<const Row> second) {
    std::vector<Row> rows(first.begin(), first.end());
    rows.insert(rows.end(), second.begin(), second.end());
    std::set<std::pair<int, int>> closed;
    std::set<std::tuple<int, int, int>> seen;
    for (const Row& row : rows) {
        const std::pair<int, int> pair{static_cast<int>(row.from), static_cast<int>(row.on)};
        EXPECT_FALSE(closed.contains(pair)) << "dead row: state " << pair.first << " event "
                                            << pair.second << " guard " << int(row.when);
        EXPECT_TRUE(seen.insert({pair.first, pair.second, int(row.when)}).second);
        if (int(row.when) == 0) closed.insert(pair);
    }
}

template <class Row>
void expect_connected(std::span<const Row> own, std::span<const Row> shared, int ended,
                      const std::set<int>& not_here, std::size_t states) {
    std::set<int> reached{0};
    std::set<int> left;
    for (std::size_t round = 0; round < states; ++round) {
        for (auto part : {own, shared}) {
            for (const Row& row : part) {
                if (!reached.contains(int(row.from))) continue;
                reached.insert(int(row.to));
                if (row.to != row.from) left.insert(int(row.from));
            }
        }
    }
    for (int state = 0; state < static_cast<int>(states); ++state) {
        if (not_here.contains(state)) continue;
        EXPECT_TRUE(reached.contains(state)) << "state " << state << " is never reached";
        EXPECT_TRUE(state == ended || left.contains(state)) << "state " << state << " is a trap";
    }
    EXPECT_FALSE(left.contains(ended));
}

TEST(Tables, NamesAreComplete) {
    expect_complete(source_states());
    expect_complete(source_events());
    expect_complete(source_guards());
    expect_complete(source_verbs());
    expect_complete(destination_states());
    expect_complete(destination_events());
    expect_complete(destination_guards());
    expect_complete(destination_verbs());
    expect_complete(driver_states());
    expect_complete(driver_events());
    expect_complete(driver_verbs());
}

TEST(Tables, EveryEventHasALateRule) {
    expect_rules(source_late_rules(), source_events().size());
    expect_rules(destination_late_rules(), destination_events().size());
}

TEST(Tables, NoRowIsDead) {
    expect_no_dead_rows(source_rows_version3(), source_rows_shared());
    expect_no_dead_rows(source_rows_version2(), source_rows_shared());
    expect_no_dead_rows(destination_rows_version3(), destination_rows_shared());
    expect_no_dead_rows(destination_rows_version2(), destination_rows_shared());
    expect_no_dead_rows(driver_rows(), {});
}

TEST(Tables, StatesAreReachedAndLeft) {
    const int source_end = int(SourceState::ended);
    const std::size_t source_count = source_states().size();
    expect_connected(source_rows_version3(), source_rows_shared(), source_end,
                     {int(SourceState::handing)}, source_count);
    expect_connected(source_rows_version2(), source_rows_shared(), source_end,
                     {int(SourceState::begun), int(SourceState::taken_known),
                      int(SourceState::awaiting_confirm)},
                     source_count);
    const int destination_end = int(DestinationState::ended);
    expect_connected(destination_rows_version3(), destination_rows_shared(), destination_end, {},
                     destination_states().size());
    expect_connected(destination_rows_version2(), destination_rows_shared(), destination_end,
                     {int(DestinationState::defined)}, destination_states().size());
}

// The answer to every pair is an action list or a named error, and a refused event changes nothing.
TEST(Tables, EveryPairIsATransitionOrANamedError) {
    for (Protocol protocol : {Protocol::version2, Protocol::version3}) {
        for (Right right : {Right::none, Right::held, Right::given, Right::taken, Right::refused}) {
            for (const auto& event : source_events()) {
                Record record;
                record.protocol = protocol;
                record.right = right;
                SourceMachine machine = SourceMachine::restored(record, true);
                const SourceState before = machine.state();
                auto answer = machine.handle({event.value}, Instant{});
                if (answer) continue;
                EXPECT_FALSE(answer.error().message.empty());
                EXPECT_NE(answer.error().code, ErrorCode::internal) << event.name;
                EXPECT_EQ(machine.state(), before);
            }
        }
    }
}

// The right is the heart: these follow from the tables alone.
TEST(Tables, NothingRunsWithoutItsRecord) {
    for (auto rows : {source_rows_version2(), source_rows_version3(), source_rows_shared()}) {
        for (const auto& row : rows) {
            for (SourceVerb verb : row.actions()) {
                if (verb == SourceVerb::give_right) {
                    EXPECT_EQ(row.on, SourceEvent::record_stored);
                    EXPECT_EQ(row.from, SourceState::giving);
                }
                if (verb == SourceVerb::resume_guest) {
                    const bool never_given = row.to == SourceState::resuming;
                    const bool promised = row.from == SourceState::returning;
                    EXPECT_TRUE(never_given || promised);
                }
                if (verb == SourceVerb::kill_guest) {
                    EXPECT_TRUE(row.from == SourceState::confirming ||
                                row.from == SourceState::lingering);
                }
            }
            const bool out_of_hands =
                row.from == SourceState::handing || row.from == SourceState::given ||
                row.from == SourceState::asking || row.from == SourceState::unresolved ||
                row.from == SourceState::taken_known;
            EXPECT_FALSE(out_of_hands && row.to == SourceState::resuming);
            if (out_of_hands && row.to == SourceState::returning) {
                EXPECT_TRUE(row.on == SourceEvent::peer_refused ||
                            row.on == SourceEvent::resolve_here);
            }
        }
    }
    for (auto rows :
         {destination_rows_version2(), destination_rows_version3(), destination_rows_shared()}) {
        for (const auto& row : rows) {
            for (DestinationVerb verb : row.actions()) {
                if (verb == DestinationVerb::resume_guest) {
                    EXPECT_EQ(row.to, DestinationState::resuming);
                    EXPECT_TRUE(row.on == DestinationEvent::record_stored ||
                                row.on == DestinationEvent::restarted);
                }
                if (verb == DestinationVerb::tell_refused) {
                    EXPECT_TRUE(row.on == DestinationEvent::record_stored ||
                                row.from == DestinationState::refused ||
                                row.from == DestinationState::withdrawn ||
                                row.from == DestinationState::promised);
                }
            }
        }
    }
}

// A source that hears taken(id) undefines the domain: whoever will say it has settled it before.
TEST(Tables, WhatIsTakenIsSettled) {
    int ways = 0;
    for (const auto& row : destination_rows_shared()) {
        if (row.from != DestinationState::resuming || row.to != DestinationState::running) continue;
        const auto verbs = row.actions();
        EXPECT_NE(std::find(verbs.begin(), verbs.end(), DestinationVerb::settle_definition),
                  verbs.end());
        ++ways;
    }
    EXPECT_EQ(ways, 4);
}

// Whichever way the right came back, the destination hears it in a word that stops it from running.
TEST(Tables, ASourceThatRunsTheGuestAgainCancelsThePeer) {
    for (const auto& row : source_rows_shared()) {
        const auto verbs = row.actions();
        const auto says = [&](SourceVerb verb) {
            return std::find(verbs.begin(), verbs.end(), verb) != verbs.end();
        };
        const bool returns = row.from == SourceState::returning ||
                             row.from == SourceState::resuming_back ||
                             row.on == SourceEvent::resolve_here;
        if (!returns) continue;
        EXPECT_FALSE(says(SourceVerb::release_peer));
        EXPECT_EQ(says(SourceVerb::cancel_peer), says(SourceVerb::forget_record));
    }
    std::set<DestinationState> stopped;
    for (const auto& row : destination_rows_shared()) {
        if (row.on == DestinationEvent::peer_cancels && row.when == DestinationGuard::always) {
            stopped.insert(row.from);
        }
    }
    for (DestinationState state :
         {DestinationState::prepared, DestinationState::finishing, DestinationState::refusing,
          DestinationState::silent, DestinationState::refused, DestinationState::promised}) {
        EXPECT_TRUE(stopped.contains(state)) << DestinationMachine::step_name(state);
    }
}

TEST(Phases, NamesAndNumbersBothWays) {
    const char* libvirt[] = {"none",           "perform2",        "begin3",
                             "perform3",       "perform3_done",   "confirm3_cancelled",
                             "confirm3",       "prepare",         "finish2",
                             "finish3",        "postcopy_failed", "begin_resume",
                             "perform_resume", "confirm_resume",  "prepare_resume",
                             "finish_resume"};
    ASSERT_EQ(phases().size(), std::size(libvirt));
    for (int number = 0; number < static_cast<int>(std::size(libvirt)); ++number) {
        const Phase phase = *phase_numbered(number);
        EXPECT_EQ(static_cast<int>(phase), number);
        EXPECT_EQ(name_of(phase), libvirt[number]);
        EXPECT_EQ(phase_named(libvirt[number]), phase);
    }
    EXPECT_FALSE(phase_named("preform2"));  // as the first patch had it
    EXPECT_FALSE(phase_numbered(-1));
    EXPECT_FALSE(phase_numbered(16));
}

}  // namespace
}  // namespace segue::migrate
