// SPDX-License-Identifier: LGPL-2.1-or-later
// The screen's part of a migration, on the source: the viewers are told of the destination, are
// linked there before the guest moves, and follow it. No I/O: events in, actions out. The machine
// of the migration (migrate/source.h) starts it with its action move_screen, and waits for `ready`.
//
//   announce         ticket and rest of its validity are set on the destination;
//   client_migrate_info linked           the viewers open their channels at the destination; a
//   bound limits the wait bulk             our library, while RAM flows: pictures the viewers
//   already have are carried over last difference  the guest stands: what changed since go the
//   viewers switch fall back        whatever fails: the viewers stay (or switch without help), the
//   guest moves on
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
    ticketing,   // the destination is given the ticket that is in force now
    announcing,  // client_migrate_info was sent
    linking,     // channels are being linked at the destination
    bulk,        // the guest may move; our library carries pictures over meanwhile
    difference,  // the guest stands: the last difference is carried over
    going,       // the viewers switch
    alone,       // the viewers were not linked in time: they follow by themselves, or reconnect
    staying,     // the migration was given up: the viewers stay
    done,
};

enum class Event : std::uint8_t {
    move,          // the migration wants to start
    viewers_none,  // nobody is attached
    viewers_some,  // input.channels: how many channels they have
    ticket_set,    // on the destination
    ticket_failed,
    announced,  // QEMU took client_migrate_info
    announce_failed,
    channel_linked,  // at the destination: SPICE_INITIALIZED, or our library's own event
    viewer_left,     // on the source
    guest_stopped,   // RAM is nearly over there
    difference_sent,
    switched,  // SPICE_MIGRATE_COMPLETED
    dropped,   // the migration was given up
    timer_expired,
};

enum class Guard : std::uint8_t {
    always,
    all_linked,   // this was the last channel
    our_library,  // the source's QEMU runs on our SPICE library: it has a bulk phase
    no_wait,      // the bound is zero
};

enum class Verb : std::uint8_t {
    none,
    ask_viewers,      // -> viewers_none | viewers_some
    set_ticket,       // over the peer link, then on the destination's QEMU -> ticket_set | failed
    announce,         // QMP client_migrate_info -> announced | announce_failed
    start_bulk,       // control message to our library
    send_difference,  // control message -> difference_sent
    ready,            // the migration may start; moving in action
    withdraw,         // the announcement is taken back: the viewers stay
    note_unlinked,    // log and timeline: the bound passed with action.channels not linked
    start_timer,      // action.delay -> timer_expired
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
    int channels = 0;  // viewers_some
};

struct Options {
    Duration wait = 5s;          // for the links; --screen-wait
    Duration switch_bound = 5s;  // for the switch, once the guest runs there
    bool our_library = false;
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
inline constexpr int kEvents = 14;

}  // namespace segue::screen
