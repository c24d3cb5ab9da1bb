// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/screen_move.h"

#include "base/log.h"

namespace segue {

using screen::Event;
using screen::State;
using screen::Verb;
namespace control = spice::control;

void ScreenMove::start(Guest& guest, const ScreenTarget& target, Duration bound,
                       const std::string& control, Handlers handlers) {
    handlers_ = std::move(handlers);
    guest_ = &guest;
    target_ = target;
    const std::weak_ptr<bool> alive = alive_;
    if (!target.exists()) {
        loop_.post([this, alive] {
            if (!alive.expired()) finish(false);
        });
        return;
    }
    library_ = std::make_unique<SpiceLine>(
        loop_, resolver_, control,
        SpiceLine::Handlers{.connected = [this, bound] { begin(bound, true); },
                            .event = [this](const control::Event& event,
                                            Bytes bytes) { library_says(event, std::move(bytes)); },
                            .lost =
                                [this, bound] {
                                    if (!screen_) return begin(bound, false);
                                    library_is_lost();
                                }});
}

void ScreenMove::begin(Duration bound, bool our_library) {
    screen::Options options;
    options.wait = bound;
    options.our_library = our_library;
    screen_.emplace(options);
    feed({Event::move});
}

// Each state but the first and the last is a phase that people can read.
void ScreenMove::feed(const screen::Input& input) {
    if (!screen_) return;
    const State before = screen_->state();
    const std::vector<screen::Action> actions = screen_->handle(input);
    const State after = screen_->state();
    if (after != before) {
        const Instant now = loop_.now();
        timeline_.end(fmt::format("screen-{}", name_of(before)), "source", now);
        if (after != State::done && after != State::staying)
            timeline_.begin(fmt::format("screen-{}", name_of(after)), "source", now);
    }
    const std::weak_ptr<bool> alive = alive_;
    for (const screen::Action& action : actions) {
        carry_out(action);
        if (alive.expired()) return;
    }
}

void ScreenMove::carry_out(const screen::Action& action) {
    switch (action.verb) {
        case Verb::none:
        case Verb::finished: return;
        case Verb::ask_viewers: return ask_viewers();
        case Verb::announce: return announce();
        case Verb::start_bulk: return start_bulk();
        case Verb::ready: return finish(action.moving);
        case Verb::withdraw:
            if (library_) library_->tell(control::CommandKind::drop_state);
            return;
        case Verb::note_unlinked:
            timeline_.mark("viewers-not-linked", "source", loop_.now());
            return log_info("daemon", "the screen: {} channels are not linked to the destination",
                            action.channels);
        case Verb::start_timer:
            timer_ = loop_.make_timer([this] { feed({Event::timer_expired}); });
            return timer_->start(action.delay);
        case Verb::stop_timer: return timer_.reset();
    }
}

void ScreenMove::ask_viewers() {
    const std::weak_ptr<bool> alive = alive_;
    guest_->execute("query-spice", {}, [this, alive](Result<Json> reply) {
        if (alive.expired()) return;
        wanted_.clear();
        if (reply) {
            guest_->note_viewers(*reply);
            wanted_ = guest_->viewers();
        }
        if (wanted_.empty()) return feed({Event::viewers_none});
        feed({Event::viewers_some, static_cast<int>(wanted_.size())});
    });
}

void ScreenMove::announce() {
    Json arguments = Json::object({{"protocol", "spice"}, {"hostname", target_.host}});
    if (target_.port > 0) arguments.set("port", target_.port);
    if (target_.tls_port > 0) arguments.set("tls-port", target_.tls_port);
    if (!target_.tls_subject.empty()) arguments.set("cert-subject", target_.tls_subject);
    const std::weak_ptr<bool> alive = alive_;
    guest_->execute("client_migrate_info", std::move(arguments), [this, alive](Result<Json> reply) {
        if (alive.expired()) return;
        if (!reply) log_warning("daemon", "the screen stays behind: {}", reply.error().message);
        feed({reply ? Event::announced : Event::announce_failed});
    });
}

// --- Who is linked ------------------------------------------------------------------------------

// Told twice where a viewer tries again: counted once.
void ScreenMove::linked(migrate::LinkedChannel channel) {
    if (linked_.emplace(channel.type, channel.id).second) feed({Event::channel_linked});
}

void ScreenMove::library_says(const control::Event& event, Bytes bytes) {
    if (event.kind == control::EventKind::clients_linked) {
        timeline_.mark("clients-linked", "source", loop_.now());
        // A viewer answers when all its channels are linked.
        if (event.linked > 0 && event.failed == 0) linked_ = wanted_;
        feed(
            {Event::clients_linked, static_cast<int>(std::min<std::uint64_t>(event.linked, 1000))});
    } else if (event.kind == control::EventKind::state) {
        timeline_.mark(event.final ? "screen-state-last" : "screen-state", "source", loop_.now());
        if (handlers_.state) handlers_.state(event.final, bytes);
    } else if (event.kind == control::EventKind::clients_left) {
        timeline_.mark("clients-left", "source", loop_.now());
    }
}

void ScreenMove::library_is_lost() {
    feed({Event::library_lost});
}

void ScreenMove::viewer_left() {
    feed({Event::viewer_left});
}

// --- What they have -----------------------------------------------------------------------------

void ScreenMove::target_carries() {
    target_carries_ = true;
    if (wants_bulk_) start_bulk();
}

void ScreenMove::start_bulk() {
    wants_bulk_ = true;
    if (!target_carries_ || !library_) return;
    library_->tell(control::CommandKind::carry_state);
}

void ScreenMove::target_took(bool last) {
    timeline_.mark(last ? "screen-state-last-taken" : "screen-state-taken", "destination",
                   loop_.now());
    if (last && library_) library_->tell(control::CommandKind::state_taken);
    feed({last ? Event::state_taken : Event::bulk_taken});
}

void ScreenMove::guest_stopped() {
    feed({Event::guest_stopped});
}

void ScreenMove::guest_resumed() {
    feed({Event::guest_resumed});
}

void ScreenMove::switched() {
    feed({Event::switched});
}

// --- The end ------------------------------------------------------------------------------------

void ScreenMove::drop() {
    handlers_.ready = nullptr;
    feed({Event::dropped});
    timer_.reset();
    if (!screen_) library_.reset();  // it has not even begun
}

void ScreenMove::finish(bool moving) {
    const auto ready = std::exchange(handlers_.ready, nullptr);
    if (!ready) return;
    std::size_t met = 0;
    for (const auto& channel : wanted_)
        met += linked_.count(channel);
    ready({moving, wanted_.size(), met});
}

}  // namespace segue
