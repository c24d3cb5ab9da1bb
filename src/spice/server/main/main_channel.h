// SPDX-License-Identifier: LGPL-2.1-or-later
// The main channel of one client: the session, the mouse mode, the agent, the hand-over.
#pragma once

#include <optional>
#include <string>

#include "base/time.h"
#include "spice/server/channel.h"
#include "spice/server/migration/extension.schema.h"
#include "spice/wire/main.schema.h"
#include "spice/wire/migration.schema.h"

namespace segue::spice::server {

// What goes along with the client: stock's blob, and ours behind it.
struct MainState {
    wire::migration::Main blob;
    wire::extension::AgentState agent;
    // Of the source, about now.
    std::optional<std::uint32_t> media_time;
    // It came without a seal.
    bool only_client_says = false;
};
Bytes write_main_state(const MainState& state);
Result<MainState> read_main_state(const wire::SharedBytes& bytes);

// What the client says; the session answers. An error closes the connection.
class MainEvents {
  public:
    virtual ~MainEvents() = default;
    virtual Result<> attach_channels() = 0;
    virtual Result<> want_mouse_mode(wire::main::MouseMode mode) = 0;
    virtual Result<> agent_start(std::uint32_t tokens) = 0;
    virtual Result<> agent_data(const wire::SharedBytes& data) = 0;
    virtual Result<> agent_tokens(std::uint32_t tokens) = 0;
    enum class Linked { no, semi_seamless, seamless };
    // The client's answer to MIGRATE_BEGIN.
    virtual Result<> migrate_linked(Linked linked) = 0;
    // The client has moved here from another server.
    virtual Result<> migrate_end() = 0;
    virtual Result<> migrate_do_seamless(std::uint32_t source_version) = 0;
    virtual Result<> restore_main(const MainState& state) = 0;
    virtual MainState main_state() = 0;
    virtual void round_trip(Duration time) = 0;
    // Room has come for more than what must be said.
    virtual void main_room() {}
    // MIGRATE is about to go out.
    virtual void main_migrates() {}
};

class MainChannel final : public Channel {
  public:
    // The clock is for the time of pings.
    MainChannel(const ChannelSetup& setup, ChannelOutput& output, MainEvents& events,
                const Clock& clock)
        : Channel(setup, output), events_(events), clock_(clock) {}

    template <class Message>
    void say(const Message& message) {
        send(message);
    }
    // MIGRATE_BEGIN, in one of its forms.
    template <class Message>
    void begin_migration(const Message& message) {
        awaits_answer_ = true;
        send(message);
    }
    // MIGRATE_CANCEL. An answer that is on its way already is not taken for that to the next BEGIN.
    void cancel_migration();
    // Measures the way there and back; nothing while one is under way.
    void ping();
    bool is_ping_answered() const { return ping_answered_; }
    bool has_room() const { return can_send(); }
    // Its MIGRATE_DATA has left this process: nothing more will be said to this client.
    bool has_said_all() const { return told_state_ && waiting() == 0; }
    void on_room() override { events_.main_room(); }

  private:
    struct Handler;
    Result<> answered(MainEvents::Linked linked);
    Result<> handle(std::uint16_t number, const wire::SharedBytes& body) override;
    std::uint32_t migrate_flags() const override;
    Bytes migrate_data() override;
    Result<> restore(const wire::SharedBytes& blob) override;
    void ponged(std::uint32_t id, std::uint64_t timestamp) override;
    void before_migrate() override { events_.main_migrates(); }
    bool shows_guest(std::uint16_t number) const override;

    MainEvents& events_;
    const Clock& clock_;
    std::uint32_t ping_id_ = 0;
    bool ping_answered_ = true;
    bool awaits_answer_ = false;  // to MIGRATE_BEGIN
    bool told_state_ = false;
    // The ping behind a BEGIN that was taken back unanswered; what comes before its pong is old.
    std::optional<std::uint32_t> barrier_;
    std::uint32_t barriers_ = 0;
};

}  // namespace segue::spice::server
