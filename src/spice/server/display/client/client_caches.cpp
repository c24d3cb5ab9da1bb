// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/client_caches.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

// Four screens of 1080 lines: the window costs us the memory of its pixels for each client.
constexpr std::uint32_t kMostWindow = 1u << 23;

}  // namespace

std::shared_ptr<codec::GlzDictionary> ClientCaches::dictionary(std::uint8_t id,
                                                               std::uint32_t window_pixels,
                                                               std::uint64_t first_id) {
    const std::lock_guard lock(mutex_);
    if (window_pixels == 0 || frozen_) return nullptr;
    std::weak_ptr<codec::GlzDictionary>& place = dictionaries_[id];
    std::shared_ptr<codec::GlzDictionary> dictionary = place.lock();
    if (!dictionary) {
        const std::size_t window = std::min(window_pixels, kMostWindow);
        dictionary = std::make_shared<codec::GlzDictionary>(window, first_id);
        place = dictionary;
    } else {
        dictionary->continue_at(first_id);
    }
    return dictionary;
}

void ClientCaches::freeze() {
    set_frozen(true);
}
void ClientCaches::thaw() {
    set_frozen(false);
    const std::lock_guard lock(mutex_);
    for (auto& [id, images] : images_)
        images.thaw();
}

SharedImages& ClientCaches::images(std::uint8_t id) {
    const std::lock_guard lock(mutex_);
    return images_[id];
}

void ClientCaches::channel_left(std::uint8_t channel) {
    --channels_;
    const std::lock_guard lock(mutex_);
    for (auto& [id, images] : images_)
        images.channel_left(channel);
}

void ClientCaches::set_frozen(bool frozen) {
    const std::lock_guard lock(mutex_);
    frozen_ = frozen;
    for (const auto& [id, place] : dictionaries_) {
        if (const std::shared_ptr<codec::GlzDictionary> dictionary = place.lock())
            dictionary->set_frozen(frozen);
    }
}

}  // namespace segue::spice::server
