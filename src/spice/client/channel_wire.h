// SPDX-License-Identifier: LGPL-2.1-or-later
// One connection of one channel to one server: socket, TLS, link handshake, messages. A channel may
// get another wire when the VM moves; the wire knows nothing of that.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "net/connect.h"
#include "net/connection.h"
#include "spice/client/proxy.h"
#include "spice/client/sasl.h"
#include "spice/client/settings.h"
#include "spice/client/tls.h"
#include "spice/wire/link.h"

namespace segue::spice::client {

// What every wire of a session needs from outside.
struct Environment {
    Loop& loop;
    net::Resolver& resolver;
    // Supplies connections instead of ours when set: it is asked for each channel of every host,
    // source and target alike, and answers on the loop's thread.
    using OnDescriptor = std::function<void(Result<net::Descriptor>)>;
    std::function<void(const Endpoint&, ChannelKey, bool tls, OnDescriptor)> connector;
};

// Where a wire goes and what it offers there.
struct WirePlan {
    ChannelKey key;
    Endpoint endpoint;
    std::shared_ptr<TlsClient> tls;  // null: only plain connections
    bool plain_allowed = true;       // false: never without TLS
    bool secure_first = false;       // the server is known to refuse this channel without TLS
    std::string user;                // SASL only
    std::string password;
    std::optional<Proxy> proxy;                  // not for unix sockets
    wire::Capabilities common;                   // of every link
    wire::Capabilities capabilities;             // of the channel
    std::shared_ptr<wire::MemoryBudget> memory;  // of the session; none: no bound
};

// How a wire came to its end.
enum class Ending : std::uint8_t {
    broken,       // it failed, here or there, or nobody answers
    unreachable,  // there is no way to the server, or no such name: who knows whether it is there
    in_order,     // the server closed a linked channel as one does
    denied,       // the server does not take what we prove ourselves with
};

class ChannelWire : public std::enable_shared_from_this<ChannelWire> {
  public:
    struct Handlers {
        std::function<void()> on_linked;
        // An error ends the wire: on_closed follows.
        std::function<Result<>(const wire::IncomingMessage&)> on_message;
        // The last callback.
        std::function<void(const Error&, Ending)> on_closed;
        // The output queue, which was long, is short again. Optional.
        std::function<void()> on_drained;
    };

    static constexpr Duration kLinkTimeout = 15s;
    // Of a message: pictures, and everything else (the largest is a channel's state on its way to
    // another server).
    static constexpr std::size_t kMaxPictureBody = std::size_t{256} << 20;
    static constexpr std::size_t kMaxOtherBody = std::size_t{32} << 20;
    // What a held wire keeps.
    static constexpr std::size_t kMaxHeldBytes = std::size_t{64} << 20;

    static std::shared_ptr<ChannelWire> make(Environment& environment, WirePlan plan,
                                             Handlers handlers);
    ~ChannelWire();

    // Connects at once; the link message leaves when link() has been called, too.
    void connect();
    // `connection_id`: 0 for a new session, else the session's. Further calls change nothing.
    void link(std::uint32_t connection_id);
    // Only when linked.
    void send(wire::EncodedMessage message);
    // Held: pings are answered, everything else waits for release().
    void hold() { held_ = true; }
    // What was kept comes first, through the loop; what arrives meanwhile comes behind it.
    void release();
    // Back-pressure toward the server. Only when linked.
    void set_reading(bool reading) { connection_->set_reading(reading); }
    bool has_room() const {
        return connection_ && connection_->output_waiting() <= net::Connection::kLowWater;
    }
    // No callback follows.
    void close();
    // May be called from inside one of the old handlers.
    void set_handlers(Handlers handlers) {
        handlers_ = std::make_shared<const Handlers>(std::move(handlers));
    }

    bool is_linked() const { return stage_ == Stage::linked; }
    bool is_closed() const { return stage_ == Stage::closed; }
    bool is_secure() const { return secure_; }
    ChannelKey key() const { return plan_.key; }
    const Endpoint& endpoint() const { return plan_.endpoint; }
    const wire::Capabilities& server_capabilities() const { return linked_.channel; }
    std::uint64_t bytes_received() const { return bytes_received_; }
    // As the kernel measures it; nothing on unix sockets.
    std::optional<std::uint32_t> round_trip_us() const;
    // Seamless migration: numbering goes on where the other wire left off.
    void continue_serials_of(const ChannelWire& other);

  private:
    enum class Stage { idle, connecting, waiting, linking, linked, closed };

    ChannelWire(Environment& environment, WirePlan plan, Handlers handlers);
    void open_socket(bool secure);
    std::uint16_t port() const;
    void on_socket(Result<net::Descriptor> socket);
    void end_of_input();
    void on_open();
    void start_link();
    void on_input(ByteView bytes);
    void run(wire::LinkActions actions);
    void encrypt(const wire::EncryptTicket& request);
    void start_sasl(const wire::SaslMechanismsOffered& offered);
    void step_sasl(const wire::SaslClientStep& step);
    void begin_sasl_layer();
    void send_bytes(Bytes bytes);
    void on_link_closed(const wire::CloseLink& closed);
    void on_linked(wire::Linked& linked);
    void deliver_messages();
    Result<> deliver(const wire::IncomingMessage& message);
    void deliver_kept();
    void end(const Error& error, Ending ending = Ending::broken);
    Error named(const Error& error) const;

    Environment& environment_;
    WirePlan plan_;
    std::shared_ptr<const Handlers> handlers_;
    Stage stage_ = Stage::idle;
    bool secure_ = false;
    bool held_ = false;
    std::optional<std::uint32_t> connection_id_;
    std::unique_ptr<net::Connector> connector_;
    std::unique_ptr<net::Connection> connection_;
    std::unique_ptr<Timer> timeout_;
    std::unique_ptr<wire::ClientLink> link_;
    std::unique_ptr<SaslLogin> sasl_;
    bool sasl_layer_ = false;
    wire::Linked linked_;
    std::unique_ptr<wire::MessageReader> reader_;
    std::unique_ptr<wire::MessageWriter> writer_;
    std::deque<wire::IncomingMessage> kept_;
    std::size_t kept_bytes_ = 0;
    std::uint64_t bytes_received_ = 0;
};

}  // namespace segue::spice::client
