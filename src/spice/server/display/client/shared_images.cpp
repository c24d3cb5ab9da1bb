// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/shared_images.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

wire::WaitForChannel wait_for(std::size_t channel, std::uint64_t serial) {
    wire::WaitForChannel made;
    made.channel_type = wire::ChannelType::display;
    made.channel_id = static_cast<std::uint8_t>(channel);
    made.message_serial = serial;
    return made;
}

}  // namespace

bool SharedImages::is_freezer(std::uint8_t channel) {
    const std::lock_guard lock(mutex_);
    if (!freezer_) freezer_ = channel;
    return *freezer_ == channel;
}

void SharedImages::thaw() {
    const std::lock_guard lock(mutex_);
    freezer_.reset();
}

void SharedImages::channel_left(std::uint8_t channel) {
    const std::lock_guard lock(mutex_);
    if (freezer_ == channel) freezer_.reset();
    // The client counts this channel's messages no more: nothing may wait for them.
    if (channel < kSharers) last_uses_[channel] = 0;
}

SharedImages::LastUses SharedImages::last_uses() const {
    const std::lock_guard lock(mutex_);
    return last_uses_;
}

void SharedImages::came(const LastUses& uses) {
    const std::lock_guard lock(mutex_);
    for (std::size_t channel = 0; channel < kSharers; ++channel)
        last_uses_[channel] = std::max(last_uses_[channel], uses[channel]);
}

void SharedImages::close() {
    const std::lock_guard lock(mutex_);
    // The freezer's state may have come first.
    if (generation_ == 0) is_open_ = false;
}

std::vector<wire::WaitForChannel> SharedImages::empty(std::uint8_t channel, std::uint64_t serial) {
    const std::lock_guard lock(mutex_);
    std::vector<wire::WaitForChannel> others;
    for (std::size_t other = 0; other < kSharers; ++other) {
        if (other != channel && last_uses_[other] != 0)
            others.push_back(wait_for(other, last_uses_[other]));
    }
    is_open_ = true;
    ++generation_;
    emptied_by_ = wait_for(channel, serial);
    return others;
}

std::optional<wire::WaitForChannel> SharedImages::emptied_since(std::uint64_t& generation) const {
    const std::lock_guard lock(mutex_);
    if (generation == generation_) return std::nullopt;
    generation = generation_;
    return emptied_by_;
}

bool SharedImages::may_use(std::uint8_t channel, std::uint64_t generation) const {
    const std::lock_guard lock(mutex_);
    return is_open_to(channel, generation);
}

bool SharedImages::use(std::uint8_t channel, std::uint64_t generation, std::uint64_t serial) {
    const std::lock_guard lock(mutex_);
    if (!is_open_to(channel, generation)) return false;
    last_uses_[channel] = serial;
    return true;
}

bool SharedImages::is_open_to(std::uint8_t channel, std::uint64_t generation) const {
    return is_open_ && generation == generation_ && channel < kSharers;
}

}  // namespace segue::spice::server
