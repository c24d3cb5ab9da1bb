// SPDX-License-Identifier: LGPL-2.1-or-later
// The guest's agent: its port, and the clients that talk with it. Messages of several clients are
// never mixed: one that has begun is finished before another client's begins. Home thread, or the
// embedder's lock held.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>

#include "spice/server/agent/agent_filter.h"
#include "spice/server/agent/agent_reader.h"
#include "spice/server/chardev/device_port.h"
#include "spice/server/chardev/token_account.h"
#include "spice/server/migration/extension.schema.h"
#include "spice/server/migration/source.h"

namespace segue::spice::server {

struct AgentMouse {
    std::uint32_t x = 0;
    std::uint32_t y = 0;
    std::uint32_t buttons = 0;  // VD_AGENT_*BUTTON_MASK
    std::uint8_t display = 0;
};

class Agent final : private DevicePort::Owner {
  public:
    // A client, as the agent sees it.
    class User {
      public:
        virtual ~User() = default;
        virtual void agent_connected(std::uint32_t tokens) = 0;
        virtual void agent_disconnected() = 0;
        virtual void agent_says(wire::SharedBytes piece) = 0;
        virtual void agent_grants(std::uint32_t tokens) = 0;
        virtual bool agent_has_room() const = 0;
    };
    struct Hooks {
        // The agent came or went.
        std::function<void()> on_change;
        // The data of a whole VDAgentMonitorsConfig message, for the display devices.
        std::function<void(Bytes)> on_monitors;
        // The data of the VDAgentGraphicsDeviceInfo message; empty: nothing is known.
        std::function<Bytes()> graphics_devices;
    };
    // An agent that a client brought from another server opens its port soon after the machine
    // runs; if not, the client is told that it has gone.
    static constexpr Duration kAttachPatience = 5s;

    Agent(Loop& loop, Hooks hooks);
    ~Agent() override;

    // --- The device ------------------------------------------------------------------------------
    Result<> attach(std::unique_ptr<CharDevice> device);
    void detach();
    bool is_attached() const { return port_ != nullptr; }
    void set_rules(const AgentRules& rules) { rules_ = rules; }
    void set_running(bool running);
    void wakeup();

    // --- Clients ---------------------------------------------------------------------------------
    // A session begins; its INIT tells whether there is an agent, and TokenAccount::kWindow.
    void join(ClientId id, User& user);
    void leave(ClientId id);
    Result<> start(ClientId id, std::uint32_t tokens);
    Result<> data(ClientId id, const wire::SharedBytes& piece);
    Result<> tokens(ClientId id, std::uint32_t tokens);
    // The client takes more again.
    void room(ClientId id);
    // Positions that the agent has not taken are replaced by newer ones, buttons never.
    void mouse(const AgentMouse& mouse);
    void graphics_devices_changed();

    // --- Hand-over -------------------------------------------------------------------------------
    // The last words to the client, before its MIGRATE.
    void before_migrate(ClientId id);
    // What the client takes along, once: of several clients each brings a part of what waits for
    // the agent. `more` is of use where there are several.
    struct Carried {
        wire::migration::Main state;
        wire::extension::AgentState more;
        // Without a seal of the server that it comes from: not to be believed where it could pass
        // by what is forbidden here.
        bool only_client_says = false;
    };
    Carried capture(ClientId id);
    // The client will bring the state of its former server: until restore(), join() or leave() the
    // device is held, so that nothing is read for nobody, and nothing of ours gets into the middle
    // of what that server had begun to write. Where another client is here already, for at most
    // kOthersPatience while the machine runs: what comes later is of no use.
    static constexpr Duration kOthersPatience = 2s;
    void expect(ClientId id);
    void expect_no_more(ClientId id);
    // In place of join(), for a client with the state of its former server.
    void restore(ClientId id, User& user, const Carried& carried);
    // What stands in the port, of whichever client, while the machine stands still: for a server
    // to which no client brings it. Nothing: there is no agent.
    std::optional<wire::migration::Main> port_state() const;
    // It comes beside the clients. Until it is here the device is held as for one of them.
    void expect_port_state();
    // Where the client that would have brought it comes, that one knows better. Only when expected.
    void take_port_state(const wire::migration::Main& state);

  private:
    struct Session {
        User* user = nullptr;
        TokenAccount account;
        AgentFilter filter;
        bool leaves = false;                      // MIGRATE is on its way: it hears no more
        bool knows = false;                       // that there is an agent
        bool started = false;                     // wants its messages
        bool receives = false;                    // the message under way
        std::deque<wire::SharedBytes> to_agent;   // until another client's message is done
        std::deque<wire::SharedBytes> to_client;  // beyond its tokens; only among several clients
        Bytes monitors;
    };
    // Pieces kept for a client that is slower than others, before it is sent on without the agent.
    static constexpr std::size_t kMostToClient = 256;
    // Changes of buttons that wait for the agent.
    static constexpr std::size_t kMostMice = 64;
    // Among those who are expected: what comes beside the clients.
    static constexpr ClientId kNobody = 0;

    void device_readable() override;
    void device_took(Payer payer, std::uint32_t tokens) override;
    void device_has_room() override {}
    void forget_agent();
    void close_broken();

    Session* find(ClientId id);
    void reset(Session& session);
    bool somebody_takes() const;
    Result<> deliver(AgentReader::Piece piece);
    void give(ClientId id, Session& session, const wire::SharedBytes& piece);
    void flush(Session& session);
    void look_at_announcement(Bytes& piece);
    Result<> pass_on(ClientId id, Session& session, const wire::SharedBytes& piece);
    Result<> pass_on_held();
    Result<> collect_monitors(Session& session, ByteView piece);
    void pay_back(Session& session, std::uint32_t tokens);
    bool anyone_started() const;
    void end_unfinished(ClientId id);
    void bound_the_wait();
    void wait_no_longer();
    bool may_be_written(ByteView bytes) const;
    std::size_t least_to_cut() const;
    static void capture(const AgentReader& reader, const AgentFilter& filter,
                        wire::migration::Main& state);
    void take_arrived();
    void apply(ClientId id, const Carried& carried);
    // In the order of their bytes, the last one's first.
    using AllArrived = std::vector<std::pair<ClientId, Carried>>;
    static bool lacks_end(AllArrived::const_iterator next, AllArrived::const_iterator at,
                          AllArrived::const_iterator end);
    void make_up_for_absent(const wire::migration::Main& brought, bool somebody_came,
                            bool is_ended);
    void give_up_arrived();
    static Bytes own_message(std::uint32_t type, ByteView data);
    void write_own(std::uint32_t type, ByteView data);
    void send_mouse();
    void send_graphics_devices();
    void broken(const std::string& why);

    Loop& loop_;
    Hooks hooks_;
    AgentRules rules_;
    bool running_ = false;
    std::unique_ptr<DevicePort> port_;
    // Of an agent that broke its protocol: to be closed.
    std::unique_ptr<DevicePort> broken_port_;
    AgentReader reader_;
    AgentFilter from_agent_;
    std::map<ClientId, Session> sessions_;
    // Whose message to the agent is under way; 0: nobody's.
    ClientId speaker_ = 0;
    bool reading_ = false;
    bool wants_graphics_devices_ = false;
    bool mouse_under_way_ = false;
    std::deque<AgentMouse> mice_;
    std::set<ClientId> expected_;
    std::set<ClientId> late_;  // expected no more, and not here
    std::unique_ptr<Timer> wait_bound_;
    bool is_wait_bound_ = false;  // the timer runs
    // What clients brought, until the others are here, too, and the port opens.
    std::map<ClientId, Carried> arrived_;
    std::optional<wire::migration::Main> brought_;  // what came beside them
    bool made_up_ = false;                          // and was used: who comes now is late
    std::unique_ptr<Timer> patience_;
    std::uint32_t captures_ = 0;  // of the move under way
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue::spice::server
