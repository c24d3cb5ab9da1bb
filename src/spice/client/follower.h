// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's half of a SPICE migration, as one table. It is told what servers said and what
// became of connections, and answers with what the session has to do. It knows no message, no
// socket and no clock.
//
// Sources of the order of things: the messages MIGRATE_BEGIN (101) to MIGRATE_DST_SEAMLESS_NACK
// (118) of spice-protocol, and the wire traces of spice-gtk 0.42 against spice-server 0.15.1.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace segue::spice::client {

enum class FollowerState : std::uint8_t {
    starting,          // the first connection is being made
    settled,           // at home with one server
    linking_semi,      // the target is announced: connections to it are being made
    linking_seamless,  // the same, and the target is asked to take the channels' state
    linking_late,      // the source does not wait any more; connections are still worth having
    linked_semi,       // all are made and the source knows
    linked_seamless,   // the same, and the target will take the channels' state
    linked_late,       // all are made, the source thinks they are not
    moving,            // seamless: channels go over one by one with their state
    switching,         // semi-seamless: all went over at once and the target starts them anew
    relinking,         // a fresh session to the announced target is being made
    reconnecting,      // the connection was lost: a fresh session, first where it was
    over,
};

enum class FollowerEvent : std::uint8_t {
    session_up,      // every channel of a fresh or switched session has what it needs
    session_failed,  // an attempt at a fresh session failed
    begin,           // MIGRATE_BEGIN
    begin_seamless,  // MIGRATE_BEGIN_SEAMLESS
    target_ready,    // every connection to the target is linked (and the seamless answer is known)
    seamless_refused,  // MIGRATE_DST_SEAMLESS_NACK, or a target without the capability
    target_failed,     // a connection to the target failed or was lost
    retry_due,         // the back-off is over
    patience_over,     // the source is about to stop waiting for our answer
    channel_migrate,   // MIGRATE on one channel
    all_moved,         // every channel has gone over
    migrate_end,       // MIGRATE_END
    switch_host,       // MIGRATE_SWITCH_HOST, and nothing usable is connected there
    switch_host_here,  // MIGRATE_SWITCH_HOST to where a main connection waits that may start anew
    cancel,            // MIGRATE_CANCEL
    source_lost,       // the current main connection is gone
    give_up,           // the bound on reconnecting is reached
    sent_away,         // the server does not want us: another viewer took our place, or the ticket
    close,             // the owner ends the session
};

enum class FollowerAction : std::uint8_t {
    open_target,          // connect every channel to the announced target
    close_target,         // drop the connections to it
    start_patience,       // send patience_over when the source's clock is nearly over
    stop_patience,        //
    start_retry,          // send retry_due after the back-off
    stop_retry,           //
    say_connected,        // MIGRATE_CONNECTED to the source
    say_seamless,         // MIGRATE_CONNECTED_SEAMLESS to the source
    say_error,            // MIGRATE_CONNECT_ERROR to the source
    move_channel,         // hand this channel over, with its state if the flags say so
    stay,                 // channels that have moved go back to the source
    take_over,            // semi-seamless: all channels to the target, MIGRATE_END to it
    adopt_target,         // the target's address and security become the session's
    open_fresh,           // a new session, from where it is expected
    report_connected,     // tell the user
    report_begin,         //
    report_target_ready,  //
    report_switch,        //
    report_done,          //
    report_cancelled,     //
    report_lost,          //
    report_over,          //
};

// Why an event changes nothing.
enum class Misstep : std::uint8_t {
    none,
    no_migration,  // the server speaks of a migration that it did not announce
    not_linked,    // the server goes on as if the target were linked
    wrong_manner,  // a step of seamless in a semi-seamless migration, or the other way round
    too_late,      // the answer to a question that is not asked any more
    still_moving,  // the next announcement waits until the last move is over
    no_session,    // an announcement from a server that we have no session with
    session_over,
};

inline constexpr std::size_t kFollowerStates = 13;
inline constexpr std::size_t kFollowerEvents = 19;

struct FollowerStep {
    FollowerState next = FollowerState::over;
    Misstep misstep = Misstep::none;
    std::vector<FollowerAction> actions;  // in this order
};

// What happens in this state on this event. With a misstep nothing changes and nothing is to do.
FollowerStep follow(FollowerState state, FollowerEvent event);

std::string_view name_of(FollowerState state);
std::string_view name_of(FollowerEvent event);
std::string_view name_of(Misstep misstep);

}  // namespace segue::spice::client
