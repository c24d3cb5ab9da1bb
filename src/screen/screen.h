// SPDX-License-Identifier: LGPL-2.1-or-later
// The screen's part of a migration, on the source: the viewers are told of the destination, are
// linked there before the guest moves, and follow it. No I/O: events in, actions out. The machine
// of the migration (migrate/source.h) starts it with its action move_screen, and waits for `ready`.
//
//   announce    client_migrate_info; the ticket is part of the definition that moves
//   linked      the viewers open their channels at the destination; a bound limits the wait
//   bulk        our library, while RAM flows: what the viewers have is told to the destination
//   difference  the guest stands: what changed since is told
//   go          the viewers switch
//   fall back   whatever fails: the viewers stay, or switch without help; the guest moves on
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.h"

namespace segue::screen {

enum class State : std::uint8_t {
    idle,
    asking,      // is a viewer attached at all?
    announcing,  // client_migrate_info was sent
    linking,     // channels are being linked at the destination
    bulk,        // the guest may move; our library carries pictures over meanwhile
    difference,  // the guest stands: the last difference is carried over
    going,       // the viewers switch
    unwatched,   // nobody watches; one that comes while the guest moves follows, too
    alone,       // the viewers were not linked in time: they follow by themselves, or reconnect
    staying,     // the migration was given up: the viewers stay
    done,
};

enum class Event : std::uint8_t {
    move,          // the migration wants to start
    viewers_none,  // nobody is attached
    viewers_some,  // input.channels: how many channels they have
    announced,     // QEMU took client_migrate_info
    announce_failed,
    channel_linked,  // at the destination: SPICE_INITIALIZED
    clients_linked,  // our library: each viewer has answered; input.channels: those that follow
    library_lost,    // its control socket is gone: only channel_linked tells now
    viewer_left,     // on the source
    bulk_taken,      // the destination's library has the first state
    guest_stopped,   // RAM is nearly over there, or something has paused it
    guest_resumed,   // it was only paused: all is told anew
    state_taken,     // the destination's library has the final state
    switched,        // SPICE_MIGRATE_COMPLETED
    dropped,         // the migration was given up
    timer_expired,
};

enum class Guard : std::uint8_t {
    always,
    all_linked,     // this was the last channel, and only channels are told of
    nobody,         // no viewer is attached
    none_follows,   // no viewer could link
    state_carried,  // both libraries are ours
    no_wait,        // the bound is zero
};

enum class Verb : std::uint8_t {
    none,
    ask_viewers,    // -> viewers_none | viewers_some
    announce,       // QMP client_migrate_info -> announced | announce_failed
    start_bulk,     // control message to our library; it tells the difference by itself
    ready,          // the migration may start; moving in action
    withdraw,       // control message: the announcement is taken back, the viewers stay
    note_unlinked,  // log and timeline: the bound passed with action.channels not linked
    start_timer,    // action.delay -> timer_expired
    stop_timer,
    finished,  // the source QEMU may go
};

struct Row {
    State from;
    Event on;
    Guard when;
    State to;
    std::vector<Verb> verbs;
};

struct Action {
    Verb verb = Verb::none;
    bool moving = false;  // ready: a viewer follows
    int channels = 0;     // note_unlinked
    Duration delay{};     // start_timer
};

struct Input {
    Event event;
    int channels = 0;  // viewers_some, clients_linked
};

struct Options {
    Duration wait = 5s;          // for the links; --screen-wait
    Duration switch_bound = 5s;  // for the switch, once the guest runs there
    bool our_library = false;    // it tells when the viewers have answered
};

class Screen {
  public:
    explicit Screen(Options options) : options_(options) {}

    // An event that its state does not want is passed over: viewers come and go as they like.
    std::vector<Action> handle(const Input& input);
    State state() const { return state_; }
    int linked() const { return linked_; }
    int expected() const { return expected_; }

  private:
    bool holds(Guard guard, const Input& input) const;
    Duration bound_of(State state) const;

    Options options_;
    State state_ = State::idle;
    int expected_ = 0;
    int linked_ = 0;
    bool carried_ = false;
    bool timer_runs_ = false;
};

std::span<const Row> rows();
std::string_view name_of(State state);
std::string_view name_of(Event event);
std::string_view name_of(Guard guard);
std::string_view name_of(Verb verb);
// What the state means, for the documents.
std::string_view meaning_of(State state);
inline constexpr int kStates = 11;
inline constexpr int kEvents = 16;

}  // namespace segue::screen
