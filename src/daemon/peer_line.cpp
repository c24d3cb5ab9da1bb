// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/peer_line.h"

#include "base/log.h"

namespace segue {

PeerLine::PeerLine(Loop& loop, net::Descriptor socket, migrate::PeerLink link,
                   std::unique_ptr<net::ByteFilter> tls, Handlers handlers)
    : loop_(loop), link_(std::move(link)), handlers_(std::move(handlers)) {
    connection_ = std::make_unique<net::Connection>(
        loop, std::move(socket),
        net::Connection::Handlers{.on_input = [this](ByteView bytes) { on_input(bytes); },
                                  .on_closed = [this](const Error& error) { fail_with(error); },
                                  .on_drained = {},
                                  .on_filter_open = {},
                                  .on_end_of_input = {}});
    if (tls) connection_->set_filter(std::move(tls));
    connection_->start();
    flush();
}

void PeerLine::accept() {
    link_.accept();
    flush();
}

void PeerLine::send(migrate::peer::Kind kind) {
    link_.send(kind);
    flush();
}

void PeerLine::give(const migrate::GivenRight& right) {
    link_.give(right);
    flush();
}

void PeerLine::tell_linked(migrate::LinkedChannel channel) {
    link_.tell_linked(channel);
    flush();
}

void PeerLine::send_screen(bool last, ByteView state) {
    link_.send_screen(last, state);
    flush();
}

void PeerLine::tell_taken(bool last) {
    link_.tell_taken(last);
    flush();
}

void PeerLine::close() {
    handlers_ = {};
    connection_->close_after_output(1s);
}

void PeerLine::flush() {
    Bytes bytes = link_.output();
    if (!bytes.empty() && !connection_->is_closed()) connection_->send(std::move(bytes));
}

void PeerLine::on_input(ByteView bytes) {
    auto messages = link_.receive(bytes);
    if (!messages) {
        log_warning("daemon", "peer link of {}: {}", connection_->peer().text(),
                    messages.error().message);
        connection_->close();
        return fail_with(messages.error());
    }
    flush();
    const std::weak_ptr<bool> alive = alive_;
    for (const migrate::PeerMessage& message : *messages) {
        const auto handler = handlers_.message;
        if (handler) handler(message);
        if (alive.expired()) return;
    }
}

void PeerLine::fail_with(const Error& error) {
    const auto handler = std::exchange(handlers_, Handlers{}).lost;
    if (handler) handler(error);
}

}  // namespace segue
