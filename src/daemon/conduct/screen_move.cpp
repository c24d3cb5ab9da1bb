// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/screen_move.h"

#include <algorithm>

#include "base/log.h"

namespace segue {

void ScreenMove::start(Guest& guest, const ScreenTarget& target, Duration bound, Ready ready) {
    ready_ = std::move(ready);
    announced_ = false;
    const std::weak_ptr<bool> alive = alive_;
    if (!target.exists()) {
        loop_.post([this, alive] {
            if (!alive.expired()) finish(false);
        });
        return;
    }
    guest.execute("query-spice", {}, [this, &guest, target, bound, alive](Result<Json> reply) {
        if (alive.expired() || !ready_) return;
        if (!reply) return finish(false);
        guest.note_viewers(*reply);
        wanted_ = guest.viewers();
        announce(guest, target, bound);
    });
}

// Also without a viewer: one that comes during the transfer is then switched at its end.
void ScreenMove::announce(Guest& guest, const ScreenTarget& target, Duration bound) {
    Json arguments = Json::object({{"protocol", "spice"}, {"hostname", target.host}});
    if (target.port > 0) arguments.set("port", target.port);
    if (target.tls_port > 0) arguments.set("tls-port", target.tls_port);
    if (!target.tls_subject.empty()) arguments.set("cert-subject", target.tls_subject);
    const std::weak_ptr<bool> alive = alive_;
    guest.execute(
        "client_migrate_info", std::move(arguments), [this, bound, alive](Result<Json> reply) {
            if (alive.expired() || !ready_) return;
            if (!reply) {
                log_warning("daemon", "the screen stays behind: {}", reply.error().message);
                return finish(false);
            }
            announced_ = true;
            if (wanted_.empty() || bound <= Duration{}) return finish(!wanted_.empty());
            timer_ = loop_.make_timer([this] { finish(true); });
            timer_->start(bound);
            check();
        });
}

void ScreenMove::linked(migrate::LinkedChannel channel) {
    linked_.emplace(channel.type, channel.id);
    check();
}

void ScreenMove::check() {
    if (!ready_ || !announced_ || wanted_.empty()) return;
    if (std::includes(linked_.begin(), linked_.end(), wanted_.begin(), wanted_.end())) {
        finish(true);
    }
}

void ScreenMove::drop() {
    ready_ = nullptr;
    timer_.reset();
}

void ScreenMove::finish(bool moving) {
    const Ready ready = std::exchange(ready_, nullptr);
    timer_.reset();
    if (!ready) return;
    std::size_t met = 0;
    for (const auto& channel : wanted_)
        met += linked_.count(channel);
    ready({moving, wanted_.size(), met});
}

}  // namespace segue
