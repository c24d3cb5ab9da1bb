// SPDX-License-Identifier: LGPL-2.1-or-later
// A SPICE server of the simulation: the real tables of source and target, the real keeping of
// state, and around them what spice/server does with its channels.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "sim/handover/line.h"
#include "spice/server/migration/carried_state.h"
#include "spice/server/migration/source.h"
#include "spice/server/migration/target.h"

namespace segue::sim::handover {

inline constexpr int kMain = 0, kDisplay = 1, kInputs = 2, kCursor = 3, kChannels = 4;
// A display that expects state goes on without it when the machine has run here for so long.
inline constexpr Duration kStatePatience = 2s;

// Rules that a test breaks, to see that the run notices.
enum class Mistake : std::uint8_t {
    none,
    forget_overtaken,  // a socket that main's state overtook is started anew
    older_replaces,    // an attempt that was given up replaces its successor
    crossed_answer,    // the answer to an announcement that was taken back counts for the next
    silent_behind,     // a client that logs in behind the machine is not told where it went
};

class Server {
  public:
    struct Events {
        std::function<void()> clients_linked;
        std::function<void(spice::server::CarriedMessage)> state;
        std::function<void(std::string)> wrong;  // what must never happen
    };
    Server(Timeline& time, Random& random, int number, Events events);

    // --- The embedder ---
    void connect(int destination);
    void start();
    void end(bool moved);
    void vm_start();
    void vm_stop();
    // Its process ends.
    void die();
    // --- segued ---
    void carry_state();
    void take_state(const spice::server::CarriedMessage& message,
                    const std::function<void(bool last)>& taken);
    void state_taken();
    // --- The network ---
    void accept(const LinePointer& line);

    Mistake mistake = Mistake::none;
    // How long the home thread may be busy before it hears of a link.
    Duration busy = 80ms;
    bool alive() const { return alive_; }
    int connects = 0, connect_completions = 0, ends = 0, end_completions = 0;
    int carried_moves = 0, restored_beside = 0, restored_through = 0, started_anew = 0;
    // What is left of clients: for the end of a run.
    std::size_t clients() const { return clients_.size(); }
    std::size_t parked() const;
    // Of the one client: every channel is linked and knows what it is to show.
    bool serves_whole() const;
    std::string describe() const;

  private:
    using Source = spice::server::MigrationSource;
    using Target = spice::server::MigrationTarget;
    using ClientId = spice::server::ClientId;

    struct Channel {
        LinePointer line;
        bool expects = false;   // MIGRATE_DATA from the client
        bool whole = false;     // it started anew, or its state came
        bool flushing = false;  // MIGRATE was said with the flag for it
        bool gone = false;      // nothing may follow any more
    };
    struct Client {
        std::uint32_t session = 0;
        std::map<int, Channel> channels;
        std::optional<Target> target;
        std::vector<LinePointer> parked;
        std::set<int> overtaken;
        // As main/main_channel.h has it: an answer to what was taken back is not taken for the
        // next.
        bool awaits_answer = false;
        int barriers = 0;
    };

    void hear(const LinePointer& line, const Message& message);
    void hear_main(ClientId id, const Message& message);
    void link(const LinePointer& line, std::uint32_t session);
    void arrive(const LinePointer& line, std::uint32_t session, bool fresh);
    void main_arrives(const LinePointer& line, std::uint32_t session, bool fresh);
    void channel_arrives(const LinePointer& line, std::uint32_t session);
    void connect_channel(ClientId id, const LinePointer& line, bool expects);
    void see_login(ClientId id);
    void data_came(ClientId id, Channel& channel);
    void line_lost(const LinePointer& line);
    void end_session(std::uint32_t session);
    void remove(ClientId id);
    void perform(const Source::Actions& actions);
    void perform(ClientId id, const Target::Actions& actions);
    void migrate_channels(ClientId id, bool carried);
    void give_state(ClientId id);
    void patience_over();
    spice::server::CarriedParts collect();
    Client* find(ClientId id);
    ClientId client_of(std::uint32_t session) const;
    std::vector<ClientId> present() const;
    spice::server::CarriedKey key_of(const Client& client, int channel) const;

    Timeline& time_;
    Random& random_;
    const int number_;
    Events events_;
    Alarm timer_;
    Alarm patience_;
    bool alive_ = true;
    bool runs_ = false;
    int destination_ = -1;
    Source source_;
    spice::server::StateSender sender_;
    spice::server::StateKeeper keeper_;
    std::set<ClientId> carried_;
    spice::server::CarriedParts arrived_;
    std::map<ClientId, Client> clients_;
    ClientId last_client_ = 0;
    // Sessions that may link channels, and links that were told and have not arrived.
    // One that is linked twice, by two attempts of one client, must end twice.
    std::multiset<std::uint32_t> sessions_;
    std::set<std::pair<std::uint32_t, int>> told_;
};

}  // namespace segue::sim::handover
