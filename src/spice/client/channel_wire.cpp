// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/channel_wire.h"

#include "base/log.h"
#include "spice/wire/common.schema.h"

namespace segue::spice::client {

using wire::CommonCapability;

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
    const net::Address address =
        endpoint.is_unix()
            ? net::Address::of_unix(endpoint.unix_path)
            : net::Address::of_tcp(endpoint.host, secure ? endpoint.tls_port : endpoint.port);
    constexpr Duration kConnectTimeout = 10s;
    connector_ = std::make_unique<net::Connector>(environment_.loop, environment_.resolver, address,
                                                  kConnectTimeout, on_socket);
}

void ChannelWire::on_socket(Result<net::Descriptor> socket) {
    if (!socket) return end(socket.error());
    std::unique_ptr<net::ByteFilter> filter;
    if (secure_) {
        auto made = plan_.tls->make_filter();
        if (!made) return end(made.error());
        filter = std::move(made).value();
    }
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) {
        const auto self = shared_from_this();
        on_input(bytes);
    };
    handlers.on_closed = [this](const Error& reason) {
        const auto self = shared_from_this();
        end(reason);
    };
    handlers.on_filter_open = [this] {
        const auto self = shared_from_this();
        on_open();
    };
    connection_ = std::make_unique<net::Connection>(environment_.loop, std::move(*socket),
                                                    std::move(handlers));
    if (filter) connection_->set_filter(std::move(filter));
    connection_->start();
    if (!secure_) on_open();
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
    request.common =
        wire::Capabilities::of({CommonCapability::auth_selection, CommonCapability::auth_spice,
                                CommonCapability::mini_header});
    request.channel = plan_.capabilities;
    link_ = std::make_unique<wire::ClientLink>(std::move(request));
    run(link_->start());
}

void ChannelWire::on_input(ByteView bytes) {
    bytes_received_ += bytes.size();
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
            const auto ticket = encrypt_ticket(encrypt->public_key, plan_.password);
            if (!ticket) return end(ticket.error());
            wire::Ticket bytes;
            std::copy(ticket->begin(), ticket->end(), bytes.begin());
            run(link_->send_ticket(bytes));
        } else if (auto* linked = std::get_if<wire::Linked>(&action)) {
            on_linked(*linked);
        } else if (const auto* closed = std::get_if<wire::CloseLink>(&action)) {
            on_link_closed(*closed);
        }
    }
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
    end(closed.reason, closed.error == wire::LinkError::permission_denied);
}

void ChannelWire::on_linked(wire::Linked& linked) {
    linked_ = std::move(linked);
    reader_ = std::make_unique<wire::MessageReader>(linked_.header, kMaxBody);
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
    if (!held_) {
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
        const auto self = weak.lock();
        if (!self) return;
        while (!self->kept_.empty() && !self->held_ && self->stage_ == Stage::linked) {
            const wire::IncomingMessage message = std::move(self->kept_.front());
            self->kept_.pop_front();
            const auto handlers = self->handlers_;
            if (const Result<> handled = handlers->on_message(message); !handled)
                return self->end(handled.error());
        }
    });
}

void ChannelWire::send(wire::EncodedMessage message) {
    if (stage_ != Stage::linked) return;
    std::vector<wire::SharedBytes> pieces;
    if (!writer_->frame(std::move(message), pieces)) return;
    connection_->send(wire::flatten(pieces));
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

void ChannelWire::end(const Error& error, bool denied) {
    if (stage_ == Stage::closed) return;
    const auto self = shared_from_this();
    stage_ = Stage::closed;
    timeout_.reset();
    connector_.reset();
    if (connection_) connection_->close();
    const auto handlers = handlers_;
    handlers->on_closed(named(error), denied);
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
