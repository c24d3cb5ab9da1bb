// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/channel_wire.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "base/log.h"
#include "spice/client/ticket.h"
#include "spice/wire/common.schema.h"

namespace segue::spice::client {

std::shared_ptr<ChannelWire> ChannelWire::make(Environment& environment, WirePlan plan,
                                               Handlers handlers) {
    return std::shared_ptr<ChannelWire>(
        new ChannelWire(environment, std::move(plan), std::move(handlers)));
}

ChannelWire::ChannelWire(Environment& environment, WirePlan plan, Handlers handlers)
    : environment_(environment), plan_(std::move(plan)) {
    set_handlers(std::move(handlers));
}

ChannelWire::~ChannelWire() = default;

void ChannelWire::connect() {
    timeout_ = environment_.loop.make_timer([this] {
        end({ErrorCode::timeout, fmt::format("no link within {} ms", to_ms(kLinkTimeout))});
    });
    timeout_->start(kLinkTimeout);
    const Endpoint& endpoint = plan_.endpoint;
    const bool can_plain = endpoint.is_unix() || (plan_.plain_allowed && endpoint.port != 0);
    const bool can_secure = !endpoint.is_unix() && plan_.tls && endpoint.tls_port != 0;
    if (!can_plain && !can_secure) {
        stage_ = Stage::connecting;
        // Never from inside connect(): the owner is not ready for it.
        environment_.loop.post([self = shared_from_this()] {
            self->end({ErrorCode::invalid_argument,
                       self->plan_.plain_allowed ? "the server has no port for this channel"
                                                 : "TLS is demanded and the server has no TLS "
                                                   "port; plain connections are not tried"});
        });
        return;
    }
    open_socket(can_secure && (plan_.secure_first || !can_plain));
}

void ChannelWire::open_socket(bool secure) {
    stage_ = Stage::connecting;
    secure_ = secure;
    connector_.reset();
    connection_.reset();
    const auto on_socket = [weak = weak_from_this()](Result<net::Descriptor> socket) {
        if (const auto self = weak.lock(); self && self->stage_ == Stage::connecting)
            self->on_socket(std::move(socket));
    };
    if (environment_.connector) {
        environment_.connector(plan_.endpoint, plan_.key, secure, on_socket);
        return;
    }
    const Endpoint& endpoint = plan_.endpoint;
    const net::Address address = endpoint.is_unix() ? net::Address::of_unix(endpoint.unix_path)
                                 : plan_.proxy
                                     ? net::Address::of_tcp(plan_.proxy->host, plan_.proxy->port)
                                     : net::Address::of_tcp(endpoint.host, port());
    constexpr Duration kConnectTimeout = 10s;
    connector_ = std::make_unique<net::Connector>(environment_.loop, environment_.resolver, address,
                                                  kConnectTimeout, on_socket);
}

std::uint16_t ChannelWire::port() const {
    return secure_ ? plan_.endpoint.tls_port : plan_.endpoint.port;
}

void ChannelWire::on_socket(Result<net::Descriptor> socket) {
    if (!socket) {
        const bool is_lost =
            connector_ ? !connector_->was_refused() : socket.error().code == ErrorCode::timeout;
        return end(socket.error(), is_lost ? Ending::unreachable : Ending::broken);
    }
    // A host that dies says nothing, and of itself a viewer says little: without this its user
    // would look at a still picture for hours. Devices may rightly be held up by their guest.
    net::notice_dead_host(socket->get(), plan_.key.type == wire::ChannelType::main);
    std::unique_ptr<net::ByteFilter> filter;
    if (secure_) {
        auto made = plan_.tls->make_filter();
        if (!made) return end(made.error());
        filter = std::move(made).value();
    }
    if (plan_.proxy && !plan_.endpoint.is_unix() && !environment_.connector) {
        Endpoint target = plan_.endpoint;
        target.port = port();
        filter = make_connect_filter(target.text(), *plan_.proxy, std::move(filter));
    }
    const bool opens_later = filter != nullptr;
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) {
        const auto self = shared_from_this();
        bytes_received_ += bytes.size();
        on_input(bytes);
    };
    handlers.on_closed = [this](const Error& reason) {
        const auto self = shared_from_this();
        if (stage_ == Stage::linking && sasl_) return end_of_input();
        end(reason);
    };
    handlers.on_end_of_input = [this] {
        const auto self = shared_from_this();
        end_of_input();
    };
    handlers.on_drained = [this] {
        const auto self = shared_from_this();
        const auto keep = handlers_;
        if (keep->on_drained) keep->on_drained();
    };
    handlers.on_filter_open = [this] {
        const auto self = shared_from_this();
        on_open();
    };
    connection_ = std::make_unique<net::Connection>(environment_.loop, std::move(*socket),
                                                    std::move(handlers));
    if (filter) connection_->set_filter(std::move(filter));
    connection_->start();
    if (!opens_later) on_open();
}

void ChannelWire::end_of_input() {
    // Stock servers hang up on a wrong password and do not say why.
    if (stage_ == Stage::linking && sasl_)
        return end({ErrorCode::auth_failed, "the server ends the SASL login"}, Ending::denied);
    end({ErrorCode::connection_lost, "the connection was closed by the server"},
        stage_ == Stage::linked ? Ending::in_order : Ending::broken);
}

void ChannelWire::on_open() {
    stage_ = Stage::waiting;
    if (connection_id_) start_link();
}

void ChannelWire::link(std::uint32_t connection_id) {
    if (connection_id_) return;
    connection_id_ = connection_id;
    if (stage_ == Stage::waiting) start_link();
}

void ChannelWire::start_link() {
    stage_ = Stage::linking;
    wire::ClientLink::Request request;
    request.connection_id = *connection_id_;
    request.channel_type = plan_.key.type;
    request.channel_id = plan_.key.id;
    request.common = plan_.common;
    request.prefers_sasl = true;
    request.channel = plan_.capabilities;
    link_ = std::make_unique<wire::ClientLink>(std::move(request));
    run(link_->start());
}

void ChannelWire::on_input(ByteView bytes) {
    Bytes plain;
    if (sasl_layer_) {
        auto decoded = sasl_->decode(bytes);
        if (!decoded) return end(decoded.error());
        plain = std::move(*decoded);
        bytes = plain;
    }
    if (stage_ == Stage::linking) return run(link_->feed(bytes));
    if (stage_ != Stage::linked) return;
    reader_->feed(bytes);
    deliver_messages();
}

void ChannelWire::run(wire::LinkActions actions) {
    for (wire::LinkAction& action : actions) {
        if (stage_ != Stage::linking) return;
        if (auto* send = std::get_if<wire::SendBytes>(&action)) {
            connection_->send(std::move(send->bytes));
        } else if (const auto* encrypt = std::get_if<wire::EncryptTicket>(&action)) {
            this->encrypt(*encrypt);
        } else if (const auto* offered = std::get_if<wire::SaslMechanismsOffered>(&action)) {
            start_sasl(*offered);
        } else if (const auto* step = std::get_if<wire::SaslClientStep>(&action)) {
            step_sasl(*step);
        } else if (std::holds_alternative<wire::SaslSecured>(action)) {
            begin_sasl_layer();
        } else if (auto* linked = std::get_if<wire::Linked>(&action)) {
            on_linked(*linked);
        } else if (const auto* closed = std::get_if<wire::CloseLink>(&action)) {
            on_link_closed(*closed);
        }
    }
}

void ChannelWire::encrypt(const wire::EncryptTicket& request) {
    const auto ticket = encrypt_ticket(request.public_key, plan_.password);
    if (!ticket) return end(ticket.error());
    wire::Ticket bytes;
    std::copy(ticket->begin(), ticket->end(), bytes.begin());
    run(link_->send_ticket(bytes));
}

void ChannelWire::start_sasl(const wire::SaslMechanismsOffered& offered) {
    auto login = SaslLogin::make({plan_.endpoint.is_unix() ? "localhost" : plan_.endpoint.host,
                                  plan_.user, plan_.password, secure_ || plan_.endpoint.is_unix()});
    if (!login) return end(login.error());
    sasl_ = std::move(*login);
    const auto words = sasl_->start(offered.mechanisms);
    if (!words) return end(words.error(), Ending::denied);
    run(link_->sasl_start(words->mechanism, words->data));
}

void ChannelWire::step_sasl(const wire::SaslClientStep& step) {
    // What a server says last may be the proof that it knows the password, too.
    const bool has_more = step.data && !step.data->empty();
    if (step.complete && sasl_->is_complete() && !has_more) return run(link_->sasl_finished());
    const auto words = sasl_->step(step.data);
    if (!words) return end(words.error(), Ending::denied);
    if (step.complete && sasl_->is_complete()) return run(link_->sasl_finished());
    run(link_->sasl_step(words->data));
}

void ChannelWire::begin_sasl_layer() {
    sasl_layer_ = sasl_ && sasl_->is_layered();
    const Bytes rest = link_->take_rest();
    if (!rest.empty()) on_input(rest);
}

void ChannelWire::on_link_closed(const wire::CloseLink& closed) {
    const bool wants_tls = closed.error == wire::LinkError::need_secured;
    if (wants_tls && !secure_ && plan_.tls && plan_.endpoint.tls_port != 0) {
        log_debug("spice", "{}: the server wants TLS", text_of(plan_.key));
        plan_.secure_first = true;
        // The connection is in the middle of its callback: it goes when that is over.
        environment_.loop.post([weak = weak_from_this()] {
            if (const auto self = weak.lock(); self && self->stage_ == Stage::linking)
                self->open_socket(true);
        });
        return;
    }
    const bool denied = closed.error == wire::LinkError::permission_denied;
    end(closed.reason, denied ? Ending::denied : Ending::broken);
}

void ChannelWire::on_linked(wire::Linked& linked) {
    linked_ = std::move(linked);
    const bool has_pictures = plan_.key.type == wire::ChannelType::display;
    reader_ = std::make_unique<wire::MessageReader>(
        linked_.header, has_pictures ? kMaxPictureBody : kMaxOtherBody, plan_.memory);
    writer_ = std::make_unique<wire::MessageWriter>(linked_.header);
    stage_ = Stage::linked;
    timeout_.reset();
    reader_->feed(link_->take_rest());
    const auto handlers = handlers_;
    handlers->on_linked();
    if (stage_ == Stage::linked) deliver_messages();
}

void ChannelWire::deliver_messages() {
    while (stage_ == Stage::linked) {
        auto message = reader_->next();
        if (!message) return end(message.error());
        if (!message->has_value()) return;
        if (const Result<> handled = deliver(**message); !handled) return end(handled.error());
    }
}

Result<> ChannelWire::deliver(const wire::IncomingMessage& message) {
    if (!held_ && kept_.empty()) {
        const auto handlers = handlers_;
        return handlers->on_message(message);
    }
    if (message.number == wire::common::Ping::kFromServer) {
        const auto ping = TRY(wire::parse<wire::common::Ping>(message.body));
        send(wire::encode_from_client(wire::common::Pong{ping.id, ping.timestamp}));
        return {};
    }
    kept_bytes_ += message.body.size() + sizeof message;
    if (kept_bytes_ > kMaxHeldBytes) {
        return fail(ErrorCode::limit_exceeded, "more than {} bytes before the channel was taken",
                    kMaxHeldBytes);
    }
    kept_.push_back(message);
    return {};
}

void ChannelWire::release() {
    held_ = false;
    // Not from inside the caller: what these messages lead to may need the wire in its place.
    environment_.loop.post([weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->deliver_kept();
    });
}

void ChannelWire::deliver_kept() {
    while (!kept_.empty() && !held_ && stage_ == Stage::linked) {
        const wire::IncomingMessage message = std::move(kept_.front());
        kept_.pop_front();
        kept_bytes_ -= message.body.size() + sizeof message;
        const auto handlers = handlers_;
        if (const Result<> handled = handlers->on_message(message); !handled)
            return end(handled.error());
    }
}

void ChannelWire::send(wire::EncodedMessage message) {
    if (stage_ != Stage::linked) return;
    std::vector<wire::SharedBytes> pieces;
    if (!writer_->frame(std::move(message), pieces)) return;
    send_bytes(wire::flatten(pieces));
}

void ChannelWire::send_bytes(Bytes bytes) {
    if (!sasl_layer_) return connection_->send(std::move(bytes));
    auto coded = sasl_->encode(bytes);
    // Not from inside the caller, who goes on with this wire.
    if (!coded) {
        return environment_.loop.post(
            [self = shared_from_this(), error = coded.error()] { self->end(error); });
    }
    connection_->send(std::move(*coded));
}

std::optional<std::uint32_t> ChannelWire::round_trip_us() const {
    tcp_info info{};
    socklen_t size = sizeof info;
    const bool known =
        stage_ == Stage::linked && !plan_.endpoint.is_unix() &&
        ::getsockopt(connection_->descriptor(), IPPROTO_TCP, TCP_INFO, &info, &size) == 0;
    if (!known) return std::nullopt;
    return info.tcpi_rtt;
}

void ChannelWire::continue_serials_of(const ChannelWire& other) {
    if (!reader_ || !other.reader_) return;
    reader_->set_serial(other.reader_->serial());
    writer_->set_serial(other.writer_->serial());
}

Error ChannelWire::named(const Error& error) const {
    return {error.code,
            fmt::format("{} at {}: {}", text_of(plan_.key), plan_.endpoint.text(), error.message)};
}

void ChannelWire::end(const Error& error, Ending ending) {
    if (stage_ == Stage::closed) return;
    const auto self = shared_from_this();
    stage_ = Stage::closed;
    timeout_.reset();
    connector_.reset();
    if (connection_) connection_->close();
    const auto handlers = handlers_;
    handlers->on_closed(named(error), ending);
}

void ChannelWire::close() {
    if (stage_ == Stage::closed) return;
    stage_ = Stage::closed;
    timeout_.reset();
    connector_.reset();
    // What was said last (a pong, a migrate answer) still leaves.
    if (connection_) connection_->close_after_output();
}

}  // namespace segue::spice::client
