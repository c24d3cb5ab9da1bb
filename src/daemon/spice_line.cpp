// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/spice_line.h"

#include "base/log.h"

namespace segue {
namespace {

namespace control = spice::control;

// The library listens before QEMU's monitor does: whoever is not there at once never will be.
constexpr Duration kConnectTime = 1s;

// Status answers and errors announce nothing.
std::uint64_t announced_bytes(std::string_view line) {
    const auto said = control::parse_line(line);
    const auto* event = said ? std::get_if<control::Event>(&*said) : nullptr;
    return event != nullptr ? event->bytes : 0;
}

}  // namespace

SpiceLine::SpiceLine(Loop& loop, net::Resolver& resolver, const std::string& path,
                     Handlers handlers)
    : loop_(loop), handlers_(std::move(handlers)), reader_(announced_bytes) {
    connector_ =
        std::make_unique<net::Connector>(loop, resolver, net::Address::of_unix(path), kConnectTime,
                                         [this](Result<net::Descriptor> socket) {
                                             if (!socket) return lose();
                                             open(std::move(*socket));
                                         });
}

SpiceLine::~SpiceLine() = default;

void SpiceLine::open(net::Descriptor socket) {
    connection_ = std::make_unique<net::Connection>(
        loop_, std::move(socket),
        net::Connection::Handlers{.on_input = [this](ByteView bytes) { input(bytes); },
                                  .on_closed = [this](const Error&) { lose(); },
                                  .on_drained = {},
                                  .on_filter_open = {},
                                  .on_end_of_input = {}});
    connection_->start();
    if (handlers_.connected) handlers_.connected();
}

void SpiceLine::tell(control::CommandKind kind) {
    if (!connection_ || connection_->is_closed()) return;
    connection_->send_copy(as_bytes(control::to_line(control::Command{kind, false, 0}) + "\n"));
}

void SpiceLine::give_state(bool last, ByteView state) {
    if (!connection_ || connection_->is_closed()) return;
    const control::Command command{control::CommandKind::take_state, last, state.size()};
    connection_->send_copy(as_bytes(control::to_line(command) + "\n"));
    connection_->send_copy(state);
}

void SpiceLine::input(ByteView bytes) {
    const std::weak_ptr<bool> alive = alive_;
    const auto fed = reader_.feed(bytes, [&](control::LineReader::Incoming incoming) {
        if (!alive.expired()) take(std::move(incoming));
    });
    if (alive.expired() || fed) return;
    log_warning("daemon", "the SPICE library of a QEMU: {}", fed.error().message);
    connection_->close();
    lose();
}

void SpiceLine::take(control::LineReader::Incoming incoming) {
    const auto said = control::parse_line(incoming.line);
    if (!said) return log_warning("daemon", "the SPICE library says: {}", said.error().message);
    const auto* event = std::get_if<control::Event>(&*said);
    if (event != nullptr && handlers_.event) handlers_.event(*event, std::move(incoming.bytes));
}

void SpiceLine::lose() {
    const auto handler = std::exchange(handlers_, Handlers{}).lost;
    if (handler) handler();
}

}  // namespace segue
