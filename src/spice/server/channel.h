// SPDX-License-Identifier: LGPL-2.1-or-later
// One channel of one client: the messages that every channel has (acknowledgements, pings, the
// hand-over), around those of its own type. It does no I/O: bytes come in through receive(), bytes
// go out through a ChannelOutput, and a returned error means that this connection must be closed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "spice/server/ack_window.h"
#include "spice/server/output_gate.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/link.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;
using wire::operator|;  // of flag sets, whose own namespaces are deeper
using wire::operator&;

struct ChannelKey {
    wire::ChannelType type{};
    std::uint8_t id = 0;
    friend auto operator<=>(const ChannelKey&, const ChannelKey&) = default;
};
std::string name_of(ChannelKey key);

// What the two servers of a move share, and its clients do not know (migration/seal.h).
using StateKey = std::array<std::uint8_t, 16>;
using StateDigest = std::array<std::uint8_t, 32>;
// Of a state that came through a client: what tells, with the key, whether it is the source's.
struct SealedState {
    StateDigest digest{};
    std::optional<StateDigest> seal;
};

class EarlyStates;

// What the link handshake agreed on.
struct ChannelSetup {
    ChannelKey key;
    wire::HeaderKind header = wire::HeaderKind::mini;
    wire::Capabilities client_caps;  // of this channel type
    // A seamless migration: the channel goes on where another server stopped, once its MIGRATE_DATA
    // has come.
    bool expects_data = false;
    // The state that it brings must be sealed with it.
    std::optional<StateKey> state_key = std::nullopt;
    // Takes what it brought before there was a key, when it ends before that.
    std::shared_ptr<EarlyStates> early_states = nullptr;
    // Where what the guest lets its client see and hear waits; null: nowhere.
    std::shared_ptr<OutputGate> gate = nullptr;
};

class ChannelOutput {
  public:
    virtual ~ChannelOutput() = default;
    // What of the pieces is borrowed is good during the call.
    virtual void write(std::vector<wire::SharedBytes> pieces) = 0;
    // Bytes written that have not left this host's process.
    virtual std::size_t waiting() const = 0;
    // Nothing more is read from the client until what it sent has found its place.
    virtual void hold_input(bool /*held*/) {}
};

class Channel {
  public:
    // A message of a client above this is refused, but for migration data.
    static constexpr std::uint32_t kMostMessage = 256u << 10;
    static constexpr std::uint32_t kMostMigrateData = 16u << 20;
    // can_send() is false while more than this waits: what is newer then waits where it is made.
    static constexpr std::size_t kMostWaiting = 192u << 10;
    // The same of what waits at the gate.
    static constexpr std::size_t kMostAtGate = 2u << 20;

    Channel(const ChannelSetup& setup, ChannelOutput& output,
            std::uint32_t most_message = kMostMessage);
    virtual ~Channel();
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    // The channel is linked and may talk: the first messages of its type. A channel that expects
    // data sends only what does not depend on it.
    virtual void start() {}
    // Room has come in the output or in the acknowledgement window.
    virtual void on_room() {}
    // The gate has let something through.
    void leave_gate();

    Result<> receive(ByteView bytes);
    // Called once, when the client has said something here: one that moves has come over.
    std::function<void()> on_first_message;

    // The hand-over at the source: MIGRATE goes out; what the channel sends later is dropped. With
    // the flag need_flush the state is written when the client's flush mark comes.
    void migrate();
    bool is_migrating() const { return stage_ != Stage::open; }
    // Its flush mark is awaited.
    bool is_flushing() const { return stage_ == Stage::flushing; }
    // The hand-over at the target is still to come.
    bool expects_data() const { return expects_data_; }
    // Held until the state of the source has come or stop_waiting() was called.
    bool is_held() const { return expects_data_ && waits_for_data_; }
    // Goes on without the state; the data, if it comes later, only adds knowledge.
    void stop_waiting();
    // The state came beside the client; what the client brings later is passed over. Nothing
    // happens to a channel that waits for none.
    Result<> take_state(const wire::SharedBytes& blob);
    // What travels beside the client; nothing: only through it. `freeze`: nothing is sent any more,
    // so that this stays true, until thaw() or migrate().
    virtual std::optional<Bytes> carried_state(bool /*freeze*/) { return std::nullopt; }
    virtual void thaw() {}
    // What the client shows now, and where that came from another server (display channels).
    virtual Bytes shown() const { return {}; }
    virtual Result<> take_shown(const wire::SharedBytes& /*shown*/) { return {}; }
    // At the source: the state that goes through the client is sealed with this key.
    void seal_state(const StateKey& key) { state_key_ = key; }
    // At the target: it must be. An error where the client was quicker than the key, and what it
    // brought is not the source's.
    Result<> expect_seal(const StateKey& key);
    // The target has what was carried: MIGRATE needs no more of the client than to switch.
    void set_carried() { is_carried_ = true; }

    const ChannelSetup& setup() const { return setup_; }
    ChannelKey key() const { return setup_.key; }
    std::uint64_t messages_sent() const { return writer_.serial(); }

  protected:
    template <class Message>
    void send(const Message& message) {
        send_encoded(wire::encode_from_server(message));
    }
    void send_encoded(wire::EncodedMessage message);
    // Room for another bulky message.
    bool can_send() const;
    // Room for a message of a few bytes: more of them may be under way.
    bool can_send_small() const;
    // Room for what others are sent too, who need not wait for this client: much more.
    bool can_send_shared() const;
    void hold_input(bool held) { output_.hold_input(held); }
    // Bytes on their way that have not left this process.
    std::size_t waiting() const { return output_.waiting(); }
    // The same of what waits at the gate.
    std::size_t at_gate() const { return bytes_at_gate_; }
    // Bulky messages are only sent as fast as the client acknowledges them.
    void use_ack_window();
    // What crosses the line: for those who measure it. `ends_window`: window_acked() will follow.
    virtual void message_sent(std::size_t /*bytes*/, bool /*ends_window*/) {}
    virtual void ack_synced() {}
    virtual void window_acked() {}
    // The last that is sent before MIGRATE.
    virtual void before_migrate() {}
    // Whether a message shows what the guest does, and may have to wait for its checkpoint.
    virtual bool shows_guest(std::uint16_t number) const;
    bool is_carried() const { return is_carried_; }

    virtual Result<> handle(std::uint16_t number, const wire::SharedBytes& body) = 0;
    // SPICE_MIGRATE_NEED_* of this type; what travels with it; and the way back.
    virtual std::uint32_t migrate_flags() const { return 0; }
    virtual Bytes migrate_data() { return {}; }
    virtual Result<> restore(const wire::SharedBytes& blob);
    // During restore(): nobody but the client has a word for it that the state is another server's.
    bool only_client_says() const { return only_client_says_; }
    // The state did not come in time.
    virtual void go_without_data() {}
    virtual void ponged(std::uint32_t /*id*/, std::uint64_t /*timestamp*/) {}
    void set_serial(std::uint64_t serial) { writer_.set_serial(serial); }

  private:
    enum class Stage { open, flushing, gone };

    Result<> handle_common(std::uint16_t number, const wire::SharedBytes& body);
    Result<> flush_mark();
    Result<> data_came(const wire::SharedBytes& blob);
    void write_message(wire::EncodedMessage message);
    bool is_picture() const;
    bool must_wait(std::uint16_t number, Instant made) const;
    void write_pieces(std::vector<wire::SharedBytes> pieces, std::size_t bytes);
    void send_migrate_data();

    ChannelSetup setup_;
    ChannelOutput& output_;
    wire::MessageReader reader_;
    wire::MessageWriter writer_;
    AckWindow acks_;
    struct AtGate {
        Instant made{};
        std::size_t bytes = 0;
        std::vector<wire::SharedBytes> pieces;
    };
    std::deque<AtGate> at_gate_;
    std::size_t bytes_at_gate_ = 0;
    Stage stage_ = Stage::open;
    bool expects_data_;
    bool waits_for_data_;
    bool has_state_ = false;  // it came beside the client
    std::optional<StateKey> state_key_;
    std::optional<SealedState> came_before_key_;
    bool is_carried_ = false;
    bool only_client_says_ = false;
};

}  // namespace segue::spice::server
