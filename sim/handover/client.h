// SPDX-License-Identifier: LGPL-2.1-or-later
// The client of the simulation: the real follower's table, and around it what a session does with
// its connections.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "sim/handover/server.h"
#include "spice/client/follower.h"

namespace segue::sim::handover {

class Client {
  public:
    using Dial = std::function<LinePointer(int channel, int server)>;

    Client(Timeline& time, Dial dial, int home);

    void start();
    void die();

    bool alive() const { return alive_; }
    bool is_settled() const { return state_ == spice::client::FollowerState::settled; }
    // It was told that the machine may be there.
    bool heard_of(int server) const { return heard_of_.count(server) != 0; }
    bool was_up() const { return was_up_; }
    bool is_looking() const {
        return state_ == spice::client::FollowerState::relinking ||
               state_ == spice::client::FollowerState::reconnecting;
    }
    bool is_over() const { return state_ == spice::client::FollowerState::over; }
    // The server that every channel is connected to; -1: none, or not all.
    int at() const;
    std::string describe() const;
    // Sessions that it had to begin anew, having had one.
    int sessions_lost = 0;
    int moved = 0, switched = 0, relinked = 0, cancelled = 0;

  private:
    using Event = spice::client::FollowerEvent;
    using Action = spice::client::FollowerAction;
    enum class Asked : std::uint8_t { not_asked, asked, accepted, refused };

    // One channel's connection, here or at the target.
    struct Wire {
        LinePointer line;
        bool linked = false;
        bool released = false;  // its messages are read
        std::vector<Message> held;
    };
    using Wires = std::map<int, Wire>;

    void happen(Event event, int channel = 0, std::uint32_t flags = 0);
    void perform(Action action, int channel, std::uint32_t flags);
    // --- At home ---
    void open_fresh();
    void hear(int channel, const Message& message);
    void attach(int channel);
    void hold(Wire& wire);
    void lost();
    void check_up();
    // --- The target ---
    void announce(int server, bool seamless);
    void open_target();
    void close_target();
    void link_at_target(int channel);
    void hear_at_target(int channel, const Message& message);
    void check_target_ready();
    void begin_move(int channel, std::uint32_t flags);
    void move(int channel, bool with_state);
    void check_all_moved();
    void go_on_to_deferred();
    void take_over();
    void send(int channel, Say say, std::uint32_t number = 0);

    Timeline& time_;
    Dial dial_;
    Alarm patience_;
    Alarm retry_;
    Alarm give_up_;
    bool alive_ = true;
    spice::client::FollowerState state_ = spice::client::FollowerState::starting;
    std::vector<std::function<void()>> queue_;
    bool busy_ = false;

    int home_;
    int announced_ = -1;  // not cancelled, and not reached
    std::uint32_t session_ = 0;
    bool has_init_ = false;
    Wires wires_;
    int generation_ = 0;  // of wires_: a callback of an earlier set means nothing

    int target_ = -1;
    bool seamless_ = false;
    Asked asked_ = Asked::not_asked;
    Wires target_wires_;
    int target_generation_ = 0;
    std::set<int> to_move_;
    std::map<int, std::uint32_t> moving_;  // channels that wait for their state
    std::function<void()> deferred_;
    int attempt_ = 0;
    bool was_up_ = false;
    std::set<int> heard_of_;
};

}  // namespace segue::sim::handover
