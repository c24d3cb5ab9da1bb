// SPDX-License-Identifier: LGPL-2.1-or-later
// The clients' part of a migration at the source, as a table without I/O. Events go in; what they
// return is to be carried out in order. The machine's own move is QEMU's business: it waits for
// nothing here.
//
//   idle     nothing is begun
//   linking  connect: clients are told where to go, and link there
//   linked   all have answered, or the time is up: the machine may move
//   carrying end(true): their state is on its way beside them; for at most kStateTime
//   trailing those who still link are waited for; for at most kTrailTime
//   leaving  all were told to go; for at most kLeaveTime; then idle
//
// A client that says nothing at all (its process stands still, its line is down) is waited for
// longer, for kSilentTime: it cannot have read what it was told.
//
// end(false) from any of the first three: the clients stay. A machine that runs here again ends the
// last three: its move has failed over there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace segue::spice::server {

using ClientId = std::uint64_t;

struct MigrationDestination {
    std::string host;
    int port = -1;
    int secure_port = -1;
    std::string certificate_subject;
};

class MigrationSource {
  public:
    enum class State : std::uint8_t { idle, linking, linked, carrying, trailing, leaving };
    enum class Event : std::uint8_t {
        connect,
        start,
        answered,
        came,
        logged_in,
        settled,
        state_taken,
        timer,
        end,
        client_left
    };

    // How long the embedder waits for the clients' answers, how long the target may take to say
    // that it has their state, how long a client that is still linking when the machine has moved
    // may take, and how long clients may take to leave; and how long all that is for a silent one,
    // whose session lives on nothing else.
    static constexpr Duration kLinkTime = 10s;
    static constexpr Duration kStateTime = 100ms;
    static constexpr Duration kTrailTime = 10s;
    static constexpr Duration kLeaveTime = 10s;
    static constexpr Duration kSilentTime = 180s;

    // What a client can do, as its main channel said.
    enum class Ability : std::uint8_t { switch_host, semi_seamless, seamless };
    enum class Answer : std::uint8_t { failed, semi_seamless, seamless };

    // --- Actions ---
    struct SendBegin {
        ClientId client;
        bool seamless;
    };
    struct SendCancel {
        ClientId client;
    };
    struct SendEnd {
        ClientId client;
    };
    struct SendSwitchHost {
        ClientId client;
    };
    struct MigrateChannels {
        ClientId client;
        // The target has the client's state: what was carried need not go through the client.
        bool carried;
    };
    struct Disconnect {
        ClientId client;
    };
    struct StartTimer {
        Duration delay;
    };
    struct StopTimer {};
    struct ConnectComplete {};
    struct EndComplete {};
    // All clients that can be are linked to the target.
    struct ClientsLinked {
        std::size_t linked;
        std::size_t failed;
    };
    using Action =
        std::variant<SendBegin, SendCancel, SendEnd, SendSwitchHost, MigrateChannels, Disconnect,
                     StartTimer, StopTimer, ConnectComplete, EndComplete, ClientsLinked>;
    using Actions = std::vector<Action>;

    struct Candidate {
        ClientId id;
        Ability ability;
        // It moves to this server just now, or logs in: it is told when it has arrived.
        bool arriving = false;
    };

    // What became of the state that goes to the target beside the clients.
    enum class Carry : std::uint8_t { none, waiting, taken };

    // Whether the event has a meaning in the state; where it has none it is refused by name.
    static bool allows(State state, Event event);

    // The embedder says where the machine will go. A connect while another one is under way
    // replaces it. connect_complete is among the actions, now or later, exactly once.
    Result<Actions> connect(const MigrationDestination& destination,
                            const std::vector<Candidate>& clients, bool seamless_allowed);
    // The machine begins to move. Fails without a destination, and when it has begun already.
    Result<> start();
    // A client answered MIGRATE_BEGIN.
    Result<Actions> answered(ClientId client, Answer answer);
    // A client has begun to move here from another server, after connect().
    void came(ClientId client);
    // A client has begun a session of its own: the machine may have gone already.
    Actions logged_in(ClientId client);
    // A client that was arriving, from another server or from its user, is here with its channels.
    Actions settled(ClientId client, Ability ability);
    // The target has the final state of the clients.
    Actions state_taken();
    // `silent`: clients that have not answered what they were asked last; `woken`: that have, and
    // took long for it.
    Actions timer(const std::set<ClientId>& silent = {}, const std::set<ClientId>& woken = {});
    // The machine has moved (or not). `present` are the clients connected now.
    Actions end(bool moved, const std::vector<ClientId>& present, Carry carry = Carry::none);
    Actions client_left(ClientId client);

    State state() const { return state_; }
    // Where the machine goes, or has gone.
    const std::optional<MigrationDestination>& destination() const {
        return destination_ ? destination_ : gone_to_;
    }
    // It runs here (again): who was told to go has no server any more, who was not stays.
    Actions machine_runs();
    bool is_started() const { return started_; }
    // The machine has gone; its clients follow.
    bool is_leaving() const {
        return state_ == State::carrying || state_ == State::trailing || state_ == State::leaving;
    }
    // settled() of this client will tell it where to go.
    bool awaits(ClientId client) const;
    bool has_linked(ClientId client) const;
    bool follows_seamlessly(ClientId client) const;

  private:
    enum class Progress : std::uint8_t { arriving, linking, failed, semi_seamless, seamless, told };

    void begin_linking(ClientId client, Ability ability, Actions& actions);
    ClientsLinked count_linked() const;
    void finish_linking(Actions& actions);
    void tell(ClientId client, bool carried, Actions& actions);
    void tell_who_is_ready(Actions& actions);
    void go_on(Actions& actions);
    bool may_take_longer(ClientId client, const std::set<ClientId>& silent) const;
    void end_trail(const std::set<ClientId>& silent, Actions& actions);
    void end_leaving(const std::set<ClientId>& silent, Actions& actions);
    void finish(Actions& actions);
    static bool was_told(Progress progress);
    bool anyone(Progress progress) const;
    bool anyone_links() const;
    void leave_or_finish(Actions& actions);

    State state_ = State::idle;
    std::optional<MigrationDestination> destination_;
    std::optional<MigrationDestination> gone_to_;
    bool seamless_allowed_ = false;
    bool started_ = false;
    Carry carry_ = Carry::none;
    bool owes_connect_complete_ = false;
    std::map<ClientId, Progress> clients_;
    // Since the end, as far as timers have rung; and who was silent then.
    Duration waited_{};
    std::set<ClientId> were_silent_;
};

std::string_view name_of(MigrationSource::State state);
std::string_view name_of(MigrationSource::Event event);

}  // namespace segue::spice::server
