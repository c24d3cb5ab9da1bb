// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/target.h"

namespace segue::spice::server {
namespace {

using State = MigrationTarget::State;
using Event = MigrationTarget::Event;

// Rows: states; columns: channel_linked, do_seamless, migrate_end, state_came, late.
constexpr bool kTable[3][5] = {
    /* parked    */ {true, true, true, false, false},
    /* restoring */ {true, false, false, true, true},
    /* settled   */ {true, false, false, true, false},
};

Result<> check(State state, Event event) {
    if (MigrationTarget::allows(state, event)) return {};
    return fail(ErrorCode::protocol, "migration target: '{}' while {}", name_of(event),
                name_of(state));
}

}  // namespace

std::string_view name_of(State state) {
    switch (state) {
        case State::parked: return "parked";
        case State::restoring: return "restoring";
        case State::settled: return "settled";
    }
    return "unknown";
}

std::string_view name_of(Event event) {
    switch (event) {
        case Event::channel_linked: return "channel linked";
        case Event::do_seamless: return "do seamless";
        case Event::migrate_end: return "migrate end";
        case Event::state_came: return "state came";
        case Event::late: return "state is late";
    }
    return "unknown";
}

bool MigrationTarget::allows(State state, Event event) {
    return kTable[static_cast<int>(state)][static_cast<int>(event)];
}

Result<MigrationTarget::Actions> MigrationTarget::channel_linked(std::size_t parked,
                                                                 bool overtaken) {
    TRY(check(state_, Event::channel_linked));
    if (state_ == State::settled) return Actions{Connect{overtaken}};
    if (state_ == State::restoring) return Actions{Connect{true}};
    if (parked >= kMostParked) {
        return fail(ErrorCode::limit_exceeded,
                    "migration target: a client links more than {} channels", kMostParked);
    }
    return Actions{Park{}};
}

Result<MigrationTarget::Actions> MigrationTarget::do_seamless(std::uint32_t source_version) {
    TRY(check(state_, Event::do_seamless));
    // The client then tells its source that the move is semi-seamless, and ends with MIGRATE_END.
    if (source_version > kProtocolVersion) return Actions{SendNack{}};
    state_ = State::restoring;
    return Actions{ConnectParked{true}, SendAck{}};
}

Result<MigrationTarget::Actions> MigrationTarget::migrate_end() {
    TRY(check(state_, Event::migrate_end));
    state_ = State::settled;
    return Actions{SendInit{}, ConnectParked{false}, Settled{}};
}

Result<MigrationTarget::Actions> MigrationTarget::state_came() {
    TRY(check(state_, Event::state_came));
    // Behind its bound: the client is settled already.
    if (state_ == State::settled) return Actions{};
    state_ = State::settled;
    return Actions{Settled{}};
}

Result<MigrationTarget::Actions> MigrationTarget::late() {
    TRY(check(state_, Event::late));
    state_ = State::settled;
    return Actions{Settled{}};
}

}  // namespace segue::spice::server
