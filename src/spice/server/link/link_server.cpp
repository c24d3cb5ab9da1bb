// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/link_server.h"

#include <netdb.h>
#include <openssl/crypto.h>

#include <array>

#include "base/log.h"
#include "net/socket.h"
#include "spice/server/link/sasl_session.h"
#include "spice/server/link/websocket.h"

namespace segue::spice::server {
namespace {

using wire::LinkError;

template <class... Parts>
struct Overloaded : Parts... {
    using Parts::operator()...;
};
template <class... Parts>
Overloaded(Parts...) -> Overloaded<Parts...>;

// Every cipher that OpenSSL 3 takes by default has at least so many.
constexpr unsigned kTlsBits = 112;
// What may wait for a peer before its link. The largest that it is sent on the way, a TLS
// handshake's certificates or a mechanism's data, have a few KiB.
constexpr std::size_t kMostWaitingUnlinked = std::size_t{64} << 10;
constexpr Duration kSaslPause = 100ms;
// Keys are made when no link has begun for so long: a client's links come close together, and each
// would wait for the making of a key or two where they are on their way.
constexpr Duration kKeyPause = 200ms;

// "IP;PORT", as SASL wants it; empty for a unix socket.
std::string sasl_address(const sockaddr_storage& address, socklen_t size) {
    std::array<char, NI_MAXHOST> host{};
    std::array<char, NI_MAXSERV> service{};
    if (address.ss_family == AF_UNIX ||
        ::getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host.data(), host.size(),
                      service.data(), service.size(), NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return {};
    return std::string(host.data()) + ";" + service.data();
}

// QEMU takes a device whose client is not linked when its machine arrives for one that is gone: who
// hears that such a channel is linked may rely on it.
bool has_moving_device(wire::ChannelType type) {
    using Type = wire::ChannelType;
    return type == Type::usbredir || type == Type::smartcard || type == Type::port ||
           type == Type::webdav;
}

LinkEnd end_of(LinkError refusal) {
    switch (refusal) {
        case LinkError::permission_denied: return LinkEnd::ticket;
        case LinkError::need_secured:
        case LinkError::need_unsecured:
        case LinkError::bad_connection_id:
        case LinkError::channel_not_available: return LinkEnd::channel;
        default: return LinkEnd::protocol;
    }
}

bool same_password(const std::string& one, const std::string& other) {
    return one.size() == other.size() && CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

}  // namespace

// One connection on its way through the handshake.
class LinkServer::Session {
  public:
    Session(LinkServer& server, LinkId id, std::unique_ptr<Transport> transport, bool tls,
            bool skip_auth)
        : server_(server), id_(id), transport_(std::move(transport)), skip_auth_(skip_auth) {
        peer_ = std::make_shared<PeerInfo>();
        peer_->tls = tls;
        const auto local = net::SocketAddress::local_of(transport_->descriptor());
        const auto remote = net::SocketAddress::peer_of(transport_->descriptor());
        peer_->local = local.storage;
        peer_->local_size = local.size;
        peer_->remote = remote.storage;
        peer_->remote_size = remote.size;
        name_ = remote.text();
    }
    ~Session() {
        if (transport_) transport_->detach();
        if (told_connected_) tell(PeerEvent::disconnected);
        if (is_told_) server_.admission_->link_arrived(asked_.connection_id, id_);
    }

    void start() {
        told_connected_ = true;
        tell(PeerEvent::connected);
        timer_ = server_.io_.loop().make_timer([this] {
            log_info("spice", "{}: not linked within {} ms: closed", name_, to_ms(kLinkTime));
            server_.admission_->ended(LinkEnd::timed_out);
            server_.drop(id_);
        });
        timer_->start(kLinkTime);
        Transport::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) { return on_input(bytes); };
        handlers.on_lost = [this](const std::string& reason) { lose(reason); };
        transport_->set_most_waiting(kMostWaitingUnlinked);
        transport_->attach(server_.io_.loop(), std::move(handlers));
    }

  private:
    // Who only goes is not counted.
    void lose(const std::string& reason) {
        const ErrorCode why = transport_->loss();
        if (!leaving_ && why != ErrorCode::connection_lost) {
            log_info("spice", "{}: closed before its link: {}", name_, reason);
            server_.admission_->ended(why == ErrorCode::limit_exceeded ? LinkEnd::overflow
                                                                       : LinkEnd::protocol);
        }
        server_.drop(id_);
    }

    std::size_t on_input(ByteView bytes) {
        // Once it is decided, what comes belongs to the channel.
        if (leaving_) return 0;
        if (!sniffed_) {
            if (bytes.size() < kWebSocketBegin.size()) return 0;
            if (as_text(bytes).starts_with(kWebSocketBegin)) return on_web_request(bytes);
            sniffed_ = true;
        }
        run(link_.feed(bytes));
        return bytes.size();
    }

    // A client in a browser: SPICE begins behind the request, in frames.
    std::size_t on_web_request(ByteView bytes) {
        const auto upgrade = upgrade_to_websocket(bytes);
        if (!upgrade) {
            end({LinkError::error, upgrade.error()});
            return bytes.size();
        }
        if (!*upgrade) return 0;
        sniffed_ = true;
        transport_->send(Bytes((*upgrade)->reply.begin(), (*upgrade)->reply.end()));
        auto filter = std::make_unique<WebSocketFilter>();
        Bytes plain;
        Bytes to_peer;
        Result<> done = filter->receive(bytes.subspan((*upgrade)->used), plain, to_peer);
        if (!to_peer.empty()) transport_->send(std::move(to_peer));
        if (done) done = transport_->add_filter(std::move(filter));
        if (!done) {
            end({LinkError::error, done.error()});
        } else if (!plain.empty()) {
            run(link_.feed(plain));
        }
        return bytes.size();
    }

    void run(const wire::LinkActions& actions) {
        for (const wire::LinkAction& action : actions) {
            std::visit(Overloaded{
                           [&](const wire::SendBytes& send) { transport_->send(send.bytes); },
                           [&](const wire::LinkRequested& asked) { decide(asked); },
                           [&](const wire::CheckTicket& check) { judge(check.ticket); },
                           [&](const wire::SaslListNeeded&) { begin_sasl(); },
                           [&](const wire::SaslServerStep& step) { continue_sasl(step); },
                           [&](const wire::SaslSecured&) { open_sasl_layer(); },
                           [&](const wire::Linked& linked) { hand_over(linked); },
                           [&](const wire::CloseLink& close) { end(close); },
                           [](const auto&) {},
                       },
                       action);
        }
    }

    void decide(const wire::LinkRequested& asked) {
        rules_ = server_.admission_->rules();
        asked_ = asked;
        if (server_.admission_->has_session(asked.connection_id)) server_.places_.know(id_);
        const ChannelKey key{asked.channel_type, asked.channel_id};
        const auto rule = rules_->channels.find(key);
        if (rule != rules_->channels.end()) {
            const int security = rule->second.security;
            if (!peer_->tls && (security & ChannelSecurity::kNone) == 0)
                return run(link_.reject(LinkError::need_secured, "the channel is for TLS only"));
            if (peer_->tls && (security & ChannelSecurity::kTls) == 0)
                return run(link_.reject(LinkError::need_unsecured, "the channel is without TLS"));
        }
        Result<std::shared_ptr<const TicketKey>> ticket_key = server_.keys_.take();
        server_.key_timer_->start(kKeyPause);
        if (!ticket_key) return run(link_.reject(LinkError::error, ticket_key.error().message));
        ticket_key_ = std::move(*ticket_key);
        wire::ServerLink::Offer offer;
        offer.public_key = ticket_key_->public_key();
        offer.common = wire::Capabilities::of({wire::CommonCapability::auth_selection,
                                               wire::CommonCapability::auth_spice,
                                               wire::CommonCapability::mini_header});
        offer.sasl = rules_->sasl && !skip_auth_;
        if (offer.sasl) offer.common.add(wire::CommonCapability::auth_sasl);
        if (rule != rules_->channels.end()) offer.channel = rule->second.caps;
        // Nothing depends on its ticket: it need not wait for a word about it.
        offer.any_ticket = !asks_for_password() && !offer.sasl && !has_moving_device(key.type) &&
                           may_link() == LinkError::ok;
        if (offer.any_ticket) tell_link();
        run(link_.accept(offer));
    }

    void judge(const wire::Ticket& ticket) {
        const LinkError said = verdict(ticket);
        if (said == LinkError::ok) tell_link();
        run(link_.ticket_verdict(said));
    }

    bool asks_for_password() const { return rules_->authenticate && !skip_auth_; }

    // Before the client can know that its channel is linked.
    void tell_link() {
        if (asked_.channel_type == wire::ChannelType::main || is_told_) return;
        server_.admission_->link_told(asked_.connection_id, id_);
        is_told_ = true;
    }

    // --- SASL, in place of the ticket ---

    void begin_sasl() {
        const auto made = [&]() -> Result<std::string> {
            TRY(start_sasl(rules_->sasl_application));
            sasl_ = TRY(SaslSession::make(sasl_address(peer_->local, peer_->local_size),
                                          sasl_address(peer_->remote, peer_->remote_size),
                                          peer_->tls ? kTlsBits : 0));
            return sasl_->mechanisms();
        };
        const Result<std::string> mechanisms = made();
        if (!mechanisms) return run(link_.reject(LinkError::error, mechanisms.error().message));
        run(link_.sasl_mechanisms(*mechanisms));
    }

    void continue_sasl(const wire::SaslServerStep& asked) {
        auto step = sasl_->step(asked.mechanism, asked.data);
        if (!step) {
            log_warning("spice", "{}: refused: {}", name_, step.error().message);
            return run(link_.sasl_reply({}, false, LinkError::permission_denied));
        }
        // Told, as stock does it: the exchange is over, and has a place for its result.
        if (step->is_open_to_all) {
            log_warning("spice", "{}: refused: no TLS, and its SASL mechanism does not encrypt",
                        name_);
            return run(link_.sasl_reply(step->reply, true, LinkError::permission_denied));
        }
        if (step->complete) log_info("spice", "{}: SASL knows it as '{}'", name_, sasl_->user());
        const LinkError said = step->complete ? may_link() : LinkError::ok;
        if (step->complete && said == LinkError::ok) tell_link();
        run(link_.sasl_reply(step->reply, step->complete, said));
    }

    LinkError verdict(const wire::Ticket& ticket) {
        if (asks_for_password()) {
            const std::optional<std::string> password = ticket_key_->decrypt(ticket);
            const Ticket& expected = rules_->ticket;
            if (expected.password.empty()) {
                log_warning("spice", "{}: refused: no ticket is set; set_ticket lets clients in",
                            name_);
                return LinkError::permission_denied;
            }
            if (expected.expiry && server_.io_.loop().now() >= *expected.expiry) {
                log_warning("spice", "{}: refused: the ticket has expired", name_);
                return LinkError::permission_denied;
            }
            if (!password || !same_password(*password, expected.password)) {
                log_warning("spice", "{}: refused: wrong password", name_);
                return LinkError::permission_denied;
            }
        }
        return may_link();
    }

    LinkError may_link() const {
        const ChannelKey key{asked_.channel_type, asked_.channel_id};
        if (key.type != wire::ChannelType::main &&
            !server_.admission_->has_session(asked_.connection_id))
            return LinkError::bad_connection_id;
        if (rules_->channels.count(key) == 0) return LinkError::channel_not_available;
        return LinkError::ok;
    }

    void hand_over(const wire::Linked& linked) {
        leaving_ = true;
        // Nobody uses what comes until the channel is there: it stays in the socket.
        transport_->set_reading(false);
        timer_.reset();
        LinkedSocket socket;
        socket.id = id_;
        socket.setup.key = {asked_.channel_type, asked_.channel_id};
        socket.setup.header = linked.header;
        socket.setup.client_caps = asked_.channel;
        socket.connection_id = asked_.connection_id;
        if (asked_.channel_type == wire::ChannelType::main) {
            socket.is_migration_target = asked_.connection_id != 0;
            if (socket.is_migration_target) {
                server_.admission_->adopt_session(asked_.connection_id);
            } else {
                socket.connection_id = server_.admission_->open_session(server_.random_);
            }
        }
        peer_->connection_id = socket.connection_id;
        peer_->type = static_cast<std::uint8_t>(asked_.channel_type);
        peer_->id = asked_.channel_id;
        linked_ = std::make_shared<LinkedSocket>(std::move(socket));
        // Not from inside the transport's own callback.
        server_.io_.post([this, alive = std::weak_ptr<LinkedSocket>(linked_)] {
            if (alive.expired()) return;
            if (has_layer_) return leave_layer();
            leave();
        });
    }

    void leave() {
        transport_->detach();
        transport_->set_reading(true);
        transport_->set_most_waiting(Transport::kMostWaiting);
        transport_->unread(link_.take_rest());
        linked_->transport = std::move(transport_);
        linked_->peer = peer_;
        told_connected_ = false;  // its end is told by the channel
        is_told_ = false;         // on_linked ends it
        server_.home_.post([handlers = server_.handlers_, socket = linked_] {
            if (handlers->on_linked) handlers->on_linked(std::move(*socket));
        });
        server_.drop(id_);
    }

    // SASL's own result went in clear; everything behind it goes through the layer.
    void open_sasl_layer() {
        has_layer_ = sasl_->has_layer();
        if (!has_layer_) return;
        const Result<> done = transport_->add_filter(SaslSession::make_layer(std::move(sasl_)));
        if (!done) log_warning("spice", "{}: {}", name_, done.error().message);
    }

    // spice-gtk looks at what comes behind the link's result only when something else comes, if it
    // read both at once: the channel begins a moment later.
    void leave_layer() {
        if (!link_.take_rest().empty()) {
            log_warning("spice", "{}: closed: bytes in clear behind SASL", name_);
            return server_.drop(id_);
        }
        timer_ = server_.io_.loop().make_timer([this] { leave(); });
        timer_->start(kSaslPause);
    }

    void end(const wire::CloseLink& close) {
        log_info("spice", "{}: link refused: {}", name_, close.reason.message);
        if (close.reason.code != ErrorCode::connection_lost)
            server_.admission_->ended(end_of(close.error));
        leaving_ = true;
        // The refusal goes out first; a peer that does not read it is cut by the timer.
        // By number: its timer, or the peer's end, may have dropped this session before.
        server_.io_.post([&server = server_, id = id_] { server.drop(id); });
    }

    void tell(PeerEvent event) {
        server_.home_.post([handlers = server_.handlers_, event, peer = peer_] {
            if (handlers->on_peer) handlers->on_peer(event, peer);
        });
    }

    LinkServer& server_;
    const LinkId id_;
    std::unique_ptr<Transport> transport_;
    const bool skip_auth_;
    bool told_connected_ = false;
    bool is_told_ = false;  // that its channel is linked, and on its way to the home thread
    bool leaving_ = false;
    bool sniffed_ = false;  // it is known whether it is a WebSocket
    std::string name_;
    std::shared_ptr<PeerInfo> peer_;
    std::unique_ptr<Timer> timer_;
    wire::ServerLink link_;
    wire::LinkRequested asked_;
    std::shared_ptr<const LinkRules> rules_;
    std::shared_ptr<const TicketKey> ticket_key_;
    std::shared_ptr<LinkedSocket> linked_;
    std::unique_ptr<SaslSession> sasl_;
    bool has_layer_ = false;
};

LinkServer::LinkServer(std::shared_ptr<Admission> admission, Loop& home, Handlers handlers,
                       const LoopMaker& make_loop)
    : admission_(std::move(admission)),
      home_(home),
      handlers_(std::make_shared<Handlers>(std::move(handlers))),
      io_(make_loop) {}

LinkServer::~LinkServer() {
    *handlers_ = {};
    io_.call([this] {
        sessions_.clear();
        listeners_.clear();
        control_.reset();
        key_timer_.reset();
    });
    io_.stop();
}

Result<> LinkServer::start() {
    key_timer_ = io_.loop().make_timer([this] { make_keys(); });
    key_timer_->start(Duration{});
    return io_.start("SPICE I/O");
}

void LinkServer::set_tls(std::shared_ptr<net::TlsContext> tls) {
    io_.post([this, tls = std::move(tls)] { tls_ = tls; });
}

void LinkServer::listen(net::Descriptor socket, bool tls) {
    auto shared = std::make_shared<net::Descriptor>(std::move(socket));
    io_.post([this, shared, tls] {
        auto listener =
            net::Listener::adopt(io_.loop(), std::move(*shared),
                                 [this, tls](net::Descriptor accepted, const net::SocketAddress&) {
                                     accept(std::move(accepted), tls, false);
                                 });
        if (listener) {
            (*listener)->set_accepting(is_door_open_);
            listeners_.push_back(std::move(*listener));
        } else {
            log_error("spice", "cannot listen: {}", listener.error().message);
        }
    });
}

void LinkServer::close_door() {
    io_.post([this] {
        is_door_open_ = false;
        for (const auto& listener : listeners_)
            listener->set_accepting(false);
    });
}

void LinkServer::open_door() {
    io_.post([this] {
        if (std::exchange(is_door_open_, true)) return;
        for (const auto& listener : listeners_)
            listener->set_accepting(true);
    });
}

void LinkServer::add(net::Descriptor socket, bool tls, bool skip_auth) {
    auto shared = std::make_shared<net::Descriptor>(std::move(socket));
    io_.post([this, shared, tls, skip_auth] { accept(std::move(*shared), tls, skip_auth); });
}

void LinkServer::accept(net::Descriptor socket, bool tls, bool skip_auth) {
    net::set_tcp_options(socket.get());
    auto transport = std::make_unique<Transport>(std::move(socket));
    if (tls) {
        if (!tls_) {
            log_error("spice", "a TLS connection without certificates: closed");
            return;
        }
        auto filter = tls_->make_filter("");
        if (!filter) {
            log_error("spice", "a TLS connection: {}", filter.error().message);
            return;
        }
        transport->set_filter(std::move(*filter));
    }
    const LinkId id = ++last_link_;
    make_room(id, net::SocketAddress::peer_of(transport->descriptor()));
    auto& session = sessions_[id];
    session = std::make_unique<Session>(*this, id, std::move(transport), tls, skip_auth);
    session->start();
}

void LinkServer::open_control(const std::string& path, std::shared_ptr<OutputGate> gate) {
    io_.post([this, path, gate = std::move(gate)] {
        auto opened = ControlServer::make(io_.loop(), path, control_handlers(gate));
        if (opened) {
            control_ = std::move(*opened);
        } else {
            log_error("spice", "no control socket: {}", opened.error().message);
        }
    });
}

ControlServer::Handlers LinkServer::control_handlers(std::shared_ptr<OutputGate> gate) {
    ControlServer::Handlers made;
    made.ask_status = [this](const StatusReply& reply) {
        home_.post([this, handlers = handlers_, reply] {
            if (!handlers->status) return;
            handlers->status([this, handlers, reply](const control::Status& status) {
                if (handlers->status) io_.post([reply, status] { reply(status); });
            });
        });
    };
    made.command = [this](control::CommandKind kind) {
        home_.post([handlers = handlers_, kind] {
            using Kind = control::CommandKind;
            const auto& handler = kind == Kind::carry_state       ? handlers->carry_state
                                  : kind == Kind::drop_state      ? handlers->drop_state
                                  : kind == Kind::machine_arrived ? handlers->machine_arrived
                                                                  : handlers->state_taken;
            if (handler) handler();
        });
    };
    made.state_arrived = [this](CarriedParts parts, const StateKey& key) {
        auto shared = std::make_shared<CarriedParts>(std::move(parts));
        home_.post([handlers = handlers_, shared, key, came_at = io_.loop().now()] {
            if (handlers->state_arrived) handlers->state_arrived(std::move(*shared), key, came_at);
        });
    };
    // The home thread may be busy for long, and nothing must leave meanwhile.
    made.screen = [this, gate = std::move(gate)](const control::ScreenWord& word) {
        const control::ScreenAnswer answer = gate->obey(word);
        home_.post([handlers = handlers_] {
            if (handlers->gate_moved) handlers->gate_moved();
        });
        return answer;
    };
    made.standby = [this](const control::StandbyPlace& place) {
        home_.post([handlers = handlers_, place] {
            if (handlers->standby) handlers->standby(place);
        });
    };
    return made;
}

void LinkServer::tell_state(CarriedMessage message) {
    auto shared = std::make_shared<CarriedMessage>(std::move(message));
    io_.post([this, shared] {
        if (control_) control_->tell_state(*shared);
    });
}

void LinkServer::tell(const control::Event& event) {
    io_.post([this, event] {
        if (control_) control_->tell(event);
    });
}

void LinkServer::make_room(LinkId link, const net::SocketAddress& peer) {
    const std::optional<LinkId> leaving = places_.add(link, LinkingPlaces::origin_of(peer));
    if (!leaving) return;
    sessions_.erase(*leaving);
    admission_->ended(LinkEnd::flooded);
    // A flood must not fill the log.
    const std::uint64_t closed = places_.closed();
    if ((closed & (closed - 1)) != 0) return;
    log_warning("spice",
                "{} connections closed before their link, the last for one from {}: of one address "
                "at most {} are linked at a time, {} of all",
                closed, peer.text(), LinkingPlaces::kMostOfOne, LinkingPlaces::kMost);
}

void LinkServer::drop(LinkId link) {
    places_.remove(link);
    sessions_.erase(link);
}

// One at a time, so that a link that comes meanwhile waits for one key at most.
void LinkServer::make_keys() {
    if (keys_.make_one_ahead()) key_timer_->start(Duration{1ms});
}

}  // namespace segue::spice::server
