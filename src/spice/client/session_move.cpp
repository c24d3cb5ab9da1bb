// SPDX-License-Identifier: LGPL-2.1-or-later
// Seamless: channels go over one by one, each with its state; and back, where that is taken back.
#include "spice/client/session.h"

namespace segue::spice::client {

using wire::ChannelType;

void Session::move_channel(ChannelKey key, wire::common::MigrateFlags flags) {
    if (to_move_.empty()) {
        for (const auto& [each, channel] : channels_)
            to_move_.insert(each);
        to_link_anew_.clear();
        ++generation_;
    }
    if (channels_.contains(key)) channels_.at(key)->begin_move(flags);
}

void Session::on_ready_to_move(ChannelKey key) {
    std::shared_ptr<ChannelWire> wire;
    if (target_ && target_->wires.contains(key)) wire = target_->wires.at(key);
    if (!wire || !wire->is_linked()) {
        listener_.on_problem({ErrorCode::connection_lost,
                              fmt::format("{} has no connection at the target", text_of(key))});
        if (key == kMain) return happen({FollowerEvent::target_failed});
        return leave_for_later(key);
    }
    const std::shared_ptr<ChannelWire> old = wires_.at(key);
    Channel& channel = *channels_.at(key);
    wire->continue_serials_of(*old);
    // A source that takes the move back may say something here before its main channel says so.
    old->set_handlers({[] {},
                       [](const wire::IncomingMessage&) { return Result<>{}; },
                       [](const Error&, Ending) {},
                       {}});
    old->hold();
    left_behind_[key] = old;
    wires_[key] = wire;
    wire->set_handlers(handlers_of(key));
    if (key.type == ChannelType::display)
        static_cast<DisplayChannel&>(channel).set_generation(generation_);
    if (key == kMain) forget_standby();
    // The state goes ahead of everything that waits in the queue.
    if (const auto state = channel.take_state()) wire->send(wire::encode_from_client(*state));
    attach(key, false);
    wire->release();
    to_move_.erase(key);
    check_all_moved();
}

// Its connection to the source is over before its turn had come.
void Session::lose_before_move(ChannelKey key) {
    if (key.type == ChannelType::display || key.type == ChannelType::inputs)
        return happen({FollowerEvent::source_lost});
    leave_for_later(key);
}

// The others move without it.
void Session::leave_for_later(ChannelKey key) {
    if (target_ && is_of_device(key.type) && !target_->unplugged.contains(key))
        to_link_anew_.insert(key);
    drop_channel(key);
    check_all_moved();
}

void Session::check_all_moved() {
    if (!to_move_.empty() || state_ != FollowerState::moving) return;
    happen({FollowerEvent::all_moved});
    go_on_to_deferred();
}

// Devices whose connection broke on the way: without what they had under way.
void Session::link_left_behind() {
    for (const ChannelKey key : std::exchange(to_link_anew_, {}))
        connect_channel(key);
}

// --- A move that is taken back -------------------------------------------------------------------

// The source has its machine still, and the connections of channels that have moved are open until
// the last one has: each goes back to its own. What cannot is linked to the source anew.
void Session::stay_at_source() {
    awaits_target_picture_ = false;
    to_move_.clear();
    // Where the target had unplugged a device, or its connection broke there, the source has it.
    if (target_) to_link_anew_.insert(target_->unplugged.begin(), target_->unplugged.end());
    close_target();
    for (const auto& [key, old] : std::exchange(left_behind_, {})) {
        if (!channels_.contains(key)) {
            old->close();
        } else if (old->is_linked()) {
            wires_[key] = old;
            old->set_handlers(handlers_of(key));
        } else {
            to_link_anew_.insert(key);
        }
    }
    for (const auto& [key, channel] : channels_) {
        if (!channel->is_moving() && !channel->has_moved()) continue;
        if (to_link_anew_.contains(key)) {
            channel->reset(ResetReason::fresh);
            forget_caches_of(key);
            continue;
        }
        channel->stay();
        attach(key, false);
        wires_.at(key)->release();
    }
    link_left_behind();
}

}  // namespace segue::spice::client
