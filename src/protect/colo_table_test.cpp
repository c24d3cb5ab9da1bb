// SPDX-License-Identifier: LGPL-2.1-or-later
// Every (state, event) of both machines, in both modes, is one transition or one named refusal; the
// sessions of the seed run through; docs/colo.md shows the tables as they are.
#include "protect/colo_table.h"

#include <gmock/gmock.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <set>

#include "protect/colo_doc.h"
#include "protect/colo_machine.h"

namespace segue::colo {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

template <class State>
struct Side;
template <>
struct Side<Secondary> {
    static constexpr std::size_t kStates = kSecondaryStates;
    static auto table() { return secondary_table(); }
};
template <>
struct Side<Primary> {
    static constexpr std::size_t kStates = kPrimaryStates;
    static auto table() { return primary_table(); }
};

template <class State>
class Table : public ::testing::Test {};
using Sides = ::testing::Types<Secondary, Primary>;
TYPED_TEST_SUITE(Table, Sides);

TYPED_TEST(Table, EachPairIsOneTransitionOrOneNamedRefusal) {
    for (const Mode mode : {Mode::periodic, Mode::hybrid}) {
        for (std::size_t s = 0; s < Side<TypeParam>::kStates; ++s) {
            for (std::size_t e = 0; e < kEvents; ++e) {
                const auto state = static_cast<TypeParam>(s);
                const auto event = static_cast<Event>(e);
                int rows = 0;
                for (const auto& row : Side<TypeParam>::table()) {
                    const bool applies = (static_cast<int>(row.mode) & static_cast<int>(mode)) != 0;
                    if (row.from == state && row.event == event && applies) rows += 1;
                }
                ASSERT_LE(rows, 1) << name_of(state) << " + " << name_of(event);
                const auto found = answer(state, event, mode);
                EXPECT_EQ(found.row != nullptr, rows == 1);
                EXPECT_EQ(found.row == nullptr, found.refusal != Refusal::none);
                EXPECT_NE(name_of(event), "?");
                EXPECT_NE(name_of(state), "?");
                if (event == Event::message_unknown) {
                    EXPECT_EQ(rows, 0);
                }
            }
        }
    }
}

TYPED_TEST(Table, EachStateIsReachedAndEachWaitForAPeerEnds) {
    std::set<TypeParam> reached = {TypeParam{}};
    for (const auto& row : Side<TypeParam>::table())
        reached.insert(row.to);
    EXPECT_EQ(reached.size(), Side<TypeParam>::kStates);
    for (std::size_t s = 0; s < Side<TypeParam>::kStates; ++s) {
        const auto state = static_cast<TypeParam>(s);
        if (!limit_of(state, Limits{})) continue;
        const bool ends = answer(state, Event::time_up, Mode::periodic).row != nullptr ||
                          answer(state, Event::time_up, Mode::hybrid).row != nullptr;
        EXPECT_TRUE(ends) << name_of(state) << " has a limit and no row for it";
    }
}

template <class State>
std::vector<Action> run(Machine<State>& machine, const std::vector<Event>& events) {
    std::vector<Action> all;
    for (const Event event : events) {
        const auto actions = machine.tell(event);
        EXPECT_TRUE(actions.has_value()) << actions.error().message;
        if (actions) all.insert(all.end(), actions->begin(), actions->end());
    }
    return all;
}

const std::vector<Event> kProtect = {Event::connected, Event::head_read, Event::first_state_whole,
                                     Event::committed};

TEST(ColoSecondary, RunsTheSeedsPeriodicSession) {
    Machine<Secondary> machine(Secondary::idle, Mode::periodic);
    EXPECT_THAT(run(machine, kProtect),
                ElementsAre(Action::pass_output, Action::commit, Action::hold_output,
                            Action::send_ready, Action::tell_protected));
    EXPECT_THAT(
        run(machine, {Event::message_request, Event::message_send, Event::message_size,
                      Event::state_whole, Event::committed}),
        ElementsAre(Action::send_reply, Action::seal_output, Action::commit, Action::send_received,
                    Action::send_loaded, Action::release_output, Action::tell_checkpoint));
    EXPECT_EQ(machine.state(), Secondary::awaiting_request);
}

TEST(ColoSecondary, SuspendsLoadsResumesAndComparesInHybridModeOnly) {
    Machine<Secondary> machine(Secondary::idle, Mode::hybrid);
    run(machine, kProtect);
    EXPECT_EQ(machine.state(), Secondary::resuming);
    EXPECT_THAT(run(machine, {Event::resumed, Event::message_request, Event::suspended,
                              Event::message_send, Event::message_size, Event::state_whole,
                              Event::committed, Event::loaded, Event::resumed}),
                ElementsAre(Action::start_comparing, Action::suspend_vm, Action::send_reply,
                            Action::seal_output, Action::commit, Action::send_received,
                            Action::release_output, Action::tell_checkpoint, Action::load_vm,
                            Action::send_loaded, Action::resume_vm, Action::start_comparing));
}

TEST(ColoSecondary, NeverReleasesBeforeTheCommit) {
    for (const auto& row : secondary_table()) {
        const bool releases =
            std::count(row.actions.begin(), row.actions.end(), Action::release_output) +
                std::count(row.actions.begin(), row.actions.end(), Action::send_received) >
            0;
        if (releases) {
            EXPECT_EQ(row.event, Event::committed) << name_of(row.from);
        }
        // Whoever promotes while a link may be open drops it first.
        if (row.event == Event::promote && row.from != Secondary::lost) {
            EXPECT_EQ(row.actions.front(), Action::drop_link) << name_of(row.from);
        }
    }
}

TEST(ColoSecondary, NamesWrongEarlyLateAndUnknownMessages) {
    const auto refusal = [](Secondary state, Event event) {
        return answer(state, event, Mode::periodic).refusal;
    };
    EXPECT_EQ(refusal(Secondary::awaiting_request, Event::message_send), Refusal::early_message);
    EXPECT_EQ(refusal(Secondary::awaiting_send, Event::message_request), Refusal::late_message);
    EXPECT_EQ(refusal(Secondary::committing, Event::message_size), Refusal::late_message);
    EXPECT_EQ(refusal(Secondary::receiving_pages, Event::message_ready), Refusal::wrong_direction);
    EXPECT_EQ(refusal(Secondary::awaiting_send, Event::message_unknown), Refusal::unknown_message);
    EXPECT_EQ(refusal(Secondary::promoted, Event::message_request), Refusal::fenced);
    EXPECT_EQ(refusal(Secondary::committing, Event::promote), Refusal::not_now);
    EXPECT_EQ(refusal(Secondary::committing, Event::loaded), Refusal::not_now);
    Machine<Secondary> machine(Secondary::awaiting_request, Mode::periodic);
    EXPECT_EQ(machine.tell(Event::message_size).error().message,
              "checkpoint protocol: early message: vmstate-size while awaiting-request");
    EXPECT_EQ(machine.state(), Secondary::awaiting_request);
}

TEST(ColoSecondary, AStrangerWhoConnectsDoesNotCostTheHeldImage) {
    Machine<Secondary> machine(Secondary::lost, Mode::periodic);
    EXPECT_THAT(run(machine, {Event::connected, Event::link_lost}),
                Not(Contains(Action::discard_stage)));
    EXPECT_EQ(machine.state(), Secondary::lost);
    run(machine, {Event::connected, Event::head_read});
    EXPECT_EQ(machine.state(), Secondary::synchronising);
}

TEST(ColoPrimary, RunsTheSeedsSession) {
    Machine<Primary> machine(Primary::unprotected, Mode::periodic);
    EXPECT_THAT(run(machine, {Event::connected, Event::first_state_whole, Event::message_ready,
                              Event::resumed, Event::checkpoint_due, Event::message_reply,
                              Event::suspended, Event::state_whole, Event::message_received,
                              Event::message_loaded, Event::resumed}),
                ElementsAre(Action::send_first_state, Action::hold_output, Action::resume_vm,
                            Action::send_request, Action::suspend_vm, Action::seal_output,
                            Action::send_state, Action::release_output, Action::resume_vm));
    EXPECT_EQ(machine.state(), Primary::running);
    EXPECT_EQ(answer(Primary::running, Event::difference, Mode::periodic).refusal,
              Refusal::other_mode);
    EXPECT_EQ(answer(Primary::awaiting_reply, Event::message_loaded, Mode::periodic).refusal,
              Refusal::early_message);
    EXPECT_EQ(answer(Primary::running, Event::message_send, Mode::periodic).refusal,
              Refusal::wrong_direction);
}

TEST(ColoPrimary, MeetsTheSecondaryMessageForMessage) {
    // What one side sends, the other side takes in the state that it is in.
    Machine<Primary> primary(Primary::running, Mode::periodic);
    Machine<Secondary> secondary(Secondary::awaiting_request, Mode::periodic);
    for (int round = 0; round < 3; ++round) {
        run(primary, {Event::checkpoint_due});
        run(secondary, {Event::message_request});
        run(primary, {Event::message_reply, Event::suspended});
        run(secondary, {Event::message_send, Event::message_size, Event::state_whole});
        run(primary, {Event::state_whole});
        run(secondary, {Event::committed});
        run(primary, {Event::message_received, Event::message_loaded, Event::resumed});
    }
    EXPECT_EQ(primary.state(), Primary::running);
    EXPECT_EQ(secondary.state(), Secondary::awaiting_request);
}

// SEGUE_UPDATE_DOCS=1 writes the tables into the page.
TEST(ColoDoc, ShowsTheTables) {
    const std::string path = SEGUE_SOURCE_DIR "/docs/colo.md";
    std::ifstream file(path);
    const std::string page{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    const std::string wanted = with_tables(page);
    if (std::getenv("SEGUE_UPDATE_DOCS") != nullptr) std::ofstream(path) << wanted;
    EXPECT_THAT(page, HasSubstr(kTablesBegin));
    EXPECT_EQ(page, wanted) << "docs/colo.md is older than the tables: run this test once with "
                               "SEGUE_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace segue::colo
