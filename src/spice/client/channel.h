// SPDX-License-Identifier: LGPL-2.1-or-later
// What all channels have in common: acknowledgement windows, pings, notices, the migration of one
// channel, and a queue for what cannot be sent yet. A channel does no I/O: it is fed messages and
// sends through whatever wire the session gives it.
#pragma once

#include <algorithm>
#include <deque>
#include <functional>
#include <memory>

#include "base/log.h"
#include "spice/client/settings.h"
#include "spice/wire/capabilities.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/framing.h"

namespace segue::spice::client {

// What a channel asks of its session.
class ChannelHost {
  public:
    virtual ~ChannelHost() = default;
    // MIGRATE came: the session decides, and calls begin_move() when the channel is to go.
    virtual void on_migrate(ChannelKey key, wire::common::MigrateFlags flags) = 0;
    // The channel's state has come (or none is needed): the session gives it the other wire.
    virtual void on_ready_to_move(ChannelKey key) = 0;
    // A message must wait until that message of another channel was handled.
    virtual bool is_done(const wire::WaitForChannel& wait) = 0;
    // The server said why it ends this channel.
    virtual void on_disconnecting(ChannelKey key, wire::LinkError reason) = 0;
};

// Why a channel starts anew.
enum class ResetReason {
    switching,  // semi-seamless: what the user sees stays until the new server has drawn it
    fresh,      // a new session with the same user
    gone,       // the channel is over for good
};

class Channel {
  public:
    using SendMessage = std::function<void(wire::EncodedMessage)>;

    Channel(ChannelKey key, ChannelHost& host) : key_(key), host_(host) {}
    virtual ~Channel() = default;
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    ChannelKey key() const { return key_; }
    virtual wire::Capabilities capabilities() const { return {}; }

    // The wire is linked: what is queued goes out, after what on_up() says. `anew`: the server
    // knows nothing of this channel yet (false behind a seamless move: on_server() alone).
    void attach(SendMessage send, const wire::Capabilities& server, bool anew);
    void detach() { send_ = nullptr; }
    bool is_attached() const { return send_ != nullptr; }
    // What is sent now leaves at once, as far as the connection takes it.
    bool is_flowing() const { return send_ && !moving_ && queue_.empty(); }

    // A message from the server. An error ends the channel's connection.
    Result<> receive(const wire::IncomingMessage& message);
    // Handles what waited for other channels, as far as they are done now.
    Result<> resume();
    bool is_waiting() const { return !waits_.empty(); }
    // Everything that the server has said up to this message was handled; what waits was not.
    std::uint64_t handled_serial() const;

    // Seamless: sends the flush mark if asked for; nothing follows it on the old wire.
    void begin_move(wire::common::MigrateFlags flags);
    bool is_moving() const { return moving_; }
    // Since begin_move() it has been attached to the other server.
    bool has_moved() const { return before_move_ && !moving_; }
    // The session's move is over: there is no way back.
    void settle() { before_move_.reset(); }
    // The move is taken back: the channel goes on, with attach(), where it was, as that server
    // knows it.
    void stay();
    // The channel's state for the target; empty payload if there is none.
    std::optional<wire::common::MigrateData> take_state() { return std::exchange(state_, {}); }

    // Nothing is to be read while this is true: the server does not wait to be acknowledged.
    virtual bool is_overwhelmed() const { return false; }

    // Forgets what the server was told and what it told us.
    void reset(ResetReason reason);

    void send(wire::EncodedMessage message);
    template <class Message>
    void say(const Message& message) {
        send(wire::encode_from_client(message));
    }

  protected:
    virtual Result<> handle(const wire::IncomingMessage& message) = 0;
    // What the server that is there from now on can do.
    virtual void on_server(const wire::Capabilities& server) { (void)server; }
    virtual void on_up(const wire::Capabilities& server) { (void)server; }
    virtual void on_reset(ResetReason reason) { (void)reason; }
    // The first message that handle() took and that is still being worked on.
    virtual std::optional<std::uint64_t> first_unfinished() const { return {}; }
    // Acknowledgements are held back while this is true: the server then stops by itself.
    virtual bool is_overloaded() const { return false; }
    // The load has gone down: acknowledgements that were held back leave.
    void acknowledge();
    // In on_reset: what waits was meant for the other server only.
    void forget_queue() { queue_.clear(); }

    ChannelHost& host() { return host_; }

  private:
    Result<> handle_common(const wire::IncomingMessage& message);
    void say_now(wire::EncodedMessage message);

    static constexpr std::size_t kMaxQueued = 4096;
    static constexpr std::size_t kMaxBacklogBytes = std::size_t{64} << 20;

    const ChannelKey key_;
    ChannelHost& host_;
    SendMessage send_;
    std::deque<wire::EncodedMessage> queue_;
    bool queue_overflow_logged_ = false;
    // Acknowledgements.
    std::uint32_t window_ = 0;  // 0: none are wanted
    std::uint32_t unacknowledged_ = 0;
    std::uint64_t last_serial_ = 0;
    // Messages behind a WAIT_FOR_CHANNELS.
    std::vector<wire::WaitForChannel> waits_;
    std::deque<wire::IncomingMessage> backlog_;
    std::size_t backlog_bytes_ = 0;
    // Moving.
    bool moving_ = false;
    bool state_expected_ = false;
    std::optional<wire::common::MigrateData> state_;
    // What the server that is left was told.
    struct Acknowledged {
        std::uint32_t window = 0;
        std::uint32_t unacknowledged = 0;
        std::uint64_t last_serial = 0;
    };
    std::optional<Acknowledged> before_move_;
    // The move was taken back while the state was on its way.
    bool passes_over_state_ = false;
};

}  // namespace segue::spice::client
