// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/keepalive.h"

#include <fmt/format.h>

namespace segue::rpc {

KeepAlive::KeepAlive(Loop& loop, KeepAliveRule rule, std::function<void()> send_ping,
                     std::function<void(const std::string&)> on_lost)
    : loop_(loop),
      rule_(rule),
      send_ping_(std::move(send_ping)),
      on_lost_(std::move(on_lost)),
      last_heard_(loop.now()) {}

void KeepAlive::start() {
    if (rule_.interval <= Duration(0) || timer_) return;
    timer_ = loop_.make_timer([this] { on_timer(); });
    timer_->start(rule_.interval);
}

void KeepAlive::set_listening(bool listening) {
    if (listening && !listening_) heard();
    listening_ = listening;
}

void KeepAlive::on_timer() {
    const Duration silent = loop_.now() - last_heard_;
    // Traffic only moves a mark: the timer finds out when it comes round.
    if (!listening_ || silent < rule_.interval) {
        timer_->start(listening_ ? rule_.interval - silent : rule_.interval);
        return;
    }
    if (unanswered_ >= rule_.count) {
        // A copy: the callback may destroy this object.
        const auto on_lost = on_lost_;
        return on_lost(
            fmt::format("no answer to {} keepalive questions in {} ms: the peer or the "
                        "network is down",
                        unanswered_, to_ms(silent)));
    }
    ++unanswered_;
    send_ping_();
    timer_->start(rule_.interval);
}

}  // namespace segue::rpc
