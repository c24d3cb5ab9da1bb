// SPDX-License-Identifier: LGPL-2.1-or-later
// The main channel: session, mouse mode, agent stream, and what servers say about migration.
#pragma once

#include <array>

#include "spice/client/channel.h"
#include "spice/wire/main.schema.h"
#include "spice/wire/standby.schema.h"

namespace segue::spice::client {

// What the main channel reports.
class MainListener {
  public:
    virtual ~MainListener() = default;
    virtual void on_init(const wire::main::Init& init) = 0;
    virtual void on_channels(const std::vector<ChannelKey>& channels) = 0;
    virtual void on_mouse_mode(wire::main::MouseMode current) = 0;
    // The machine's, right behind on_init(). An error ends the session with this server.
    virtual Result<> on_uuid(const std::array<std::uint8_t, 16>& uuid) = 0;
    virtual void on_media_time(std::uint32_t milliseconds) = 0;
    virtual Result<> on_name(const std::string& name) = 0;  // as on_uuid()
    virtual void on_migrate_begin(const wire::main::Destination& to,
                                  std::optional<std::uint32_t> seamless_version) = 0;
    virtual void on_migrate_cancel() = 0;
    virtual void on_migrate_end() = 0;
    virtual void on_switch_host(const wire::main::Destination& to) = 0;
    // Where the VM goes on if its host dies; an empty host: nowhere.
    virtual void on_standby_host(const wire::standby::StandbyHost& standby) = 0;
    // The agent in the guest came or went, or said something.
    virtual void on_agent(bool connected) = 0;
    virtual void on_agent_data(ByteView chunk) = 0;
    // Everything for the agent has left.
    virtual void on_agent_drained() = 0;
};

class MainChannel final : public Channel {
  public:
    MainChannel(ChannelKey key, ChannelHost& host, MainListener& listener, const Settings& settings)
        : Channel(key, host), listener_(listener), settings_(settings) {}

    wire::Capabilities capabilities() const override;

    // Asks for it when the server can and it is not so already.
    void request_mouse_mode(wire::main::MouseMode mode);
    wire::main::MouseMode mouse_mode() const { return mouse_mode_; }

    bool agent_connected() const { return agent_connected_; }
    // Agent bytes, cut into chunks and sent as the agent's tokens allow. Errors: limit_exceeded
    // when more than kMaxAgentQueue bytes wait. Each call is one message of the agent's.
    Result<> send_agent(ByteView bytes);
    static constexpr std::size_t kMaxAgentQueue = std::size_t{128} << 20;

    // The migration words of the client.
    void attach_channels() { say(wire::main::AttachChannels{}); }

  private:
    Result<> handle(const wire::IncomingMessage& message) override;
    void on_reset(ResetReason reason) override;
    void set_agent(bool connected, std::uint32_t tokens);
    void forget_agent_messages(bool all);
    void send_waiting_agent_data();
    Result<> on(const wire::main::Init& message);
    Result<> on(const wire::main::ChannelsList& message);
    Result<> on(const wire::main::MouseModeChanged& message);
    Result<> on(const wire::main::MultiMediaTime& message);
    Result<> on(const wire::main::AgentConnected& message);
    Result<> on(const wire::main::AgentConnectedTokens& message);
    Result<> on(const wire::main::AgentDisconnected& message);
    Result<> on(const wire::main::AgentData& message);
    Result<> on(const wire::main::AgentToken& message);
    Result<> on(const wire::main::Name& message);
    Result<> on(const wire::main::Uuid& message);
    Result<> on(const wire::main::MigrateBegin& message);
    Result<> on(const wire::main::MigrateBeginSeamless& message);
    Result<> on(const wire::main::MigrateCancel& message);
    Result<> on(const wire::main::MigrateEnd& message);
    Result<> on(const wire::main::MigrateSwitchHost& message);
    Result<> on(const wire::standby::StandbyHost& message);
    Result<> on(const wire::main::MigrateDstSeamlessAck& message);
    Result<> on(const wire::main::MigrateDstSeamlessNack& message);

    // What we let the agent send ahead; every chunk that came gives one back.
    static constexpr std::uint32_t kAgentTokens = 10;

    MainListener& listener_;
    const Settings& settings_;
    bool has_init_ = false;
    wire::main::MouseMode supported_modes_{};
    wire::main::MouseMode mouse_mode_{};
    bool agent_connected_ = false;
    std::uint32_t agent_tokens_ = 0;
    struct AgentChunk {
        Bytes bytes;
        bool begins_message = false;
    };
    std::deque<AgentChunk> agent_queue_;
    std::size_t agent_queue_bytes_ = 0;
};

}  // namespace segue::spice::client
