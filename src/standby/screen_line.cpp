// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/screen_line.h"

#include "base/log.h"
#include "spice/control/messages.h"

namespace segue::standby {
namespace {

using spice::control::ScreenWord;

// Answered by a thread of the server's that waits for nobody.
constexpr Duration kAnswerBound = 5s;

std::uint64_t announced_bytes(std::string_view line) {
    const auto said = spice::control::parse_line(line);
    const auto* event = said ? std::get_if<spice::control::Event>(&*said) : nullptr;
    return event != nullptr ? event->bytes : 0;
}

}  // namespace

ScreenLine::ScreenLine(Loop& loop, net::Resolver& resolver, const std::string& path,
                       Handlers handlers)
    : loop_(loop), handlers_(std::move(handlers)), reader_(announced_bytes) {
    bound_ = loop_.make_timer([this] { fail_with("it does not answer"); });
    connector_ =
        std::make_unique<net::Connector>(loop_, resolver, net::Address::of_unix(path), kAnswerBound,
                                         [this](Result<net::Descriptor> socket) {
                                             if (!socket) return fail_with(socket.error().message);
                                             open(std::move(*socket));
                                         });
}

void ScreenLine::open(net::Descriptor socket) {
    net::Connection::Handlers handlers;
    handlers.on_input = [this](ByteView bytes) {
        const auto fed = reader_.feed(
            bytes, [this](const spice::control::LineReader::Incoming& in) { take(in.line); });
        if (!fed) fail_with(fed.error().message);
    };
    handlers.on_closed = [this](const Error& reason) { fail_with(reason.message); };
    connection_ = std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    connection_->start();
    if (wants_hold_) tell({ScreenWord::Kind::hold, {}, picture_passes_});
}

void ScreenLine::hold(bool picture_passes) {
    wants_hold_ = true;
    picture_passes_ = picture_passes;
    bound_->start(kAnswerBound);
    tell({ScreenWord::Kind::hold, {}, picture_passes});
}

void ScreenLine::release(Instant until) {
    tell({ScreenWord::Kind::release, until, false});
}

void ScreenLine::pass() {
    wants_hold_ = is_holding_ = false;
    bound_->cancel();
    tell({ScreenWord::Kind::pass, {}, false});
}

void ScreenLine::tell(const ScreenWord& word) {
    if (!connection_ || connection_->is_closed()) return;
    connection_->send_copy(as_bytes(to_line(word) + "\n"));
}

void ScreenLine::take(const std::string& line) {
    const auto said = spice::control::parse_screen_answer(line);
    if (!said) return fail_with(said.error().message);
    if (!*said) return;
    waiting_ = (*said)->waiting;
    if (!wants_hold_ || is_holding_ || !(*said)->holds) return;
    is_holding_ = true;
    bound_->cancel();
    if (handlers_.held) handlers_.held();
}

void ScreenLine::fail_with(const std::string& reason) {
    bound_->cancel();
    if (connection_) connection_->close();
    is_holding_ = false;
    const auto failed = std::exchange(handlers_, Handlers{}).failed;
    if (failed) failed(reason);
}

}  // namespace segue::standby
