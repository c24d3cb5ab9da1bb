// SPDX-License-Identifier: LGPL-2.1-or-later
// What the display channels of one client share, whatever thread they are on: the GLZ dictionary,
// in which pictures of one channel refer to those of another, and the image cache, of whose size
// each channel has an equal share. The cached images themselves are each channel's own (ids tell
// them apart), so that no channel ever waits for another; who may use the cache behind a hand-over
// is settled in shared_images.h.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <mutex>

#include "spice/codec/glz.h"
#include "spice/server/display/client/shared_images.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;

class ClientCaches {
  public:
    // The dictionary that the client keeps under this id, or null where it keeps none. It lives as
    // long as one of the channels holds it; `first_id` is where another server stopped.
    std::shared_ptr<codec::GlzDictionary> dictionary(std::uint8_t id, std::uint32_t window_pixels,
                                                     std::uint64_t first_id);
    // The image cache that the client keeps under this id; it lives as long as this object.
    SharedImages& images(std::uint8_t id);
    // The hand-over begins: the dictionaries take no more pictures.
    void freeze();
    // It does not take place.
    void thaw();

    // What the client's media time is ahead of this host's clock, in ms; it came from another host.
    void set_media_offset(std::uint32_t offset) { media_offset_ = offset; }
    std::uint32_t media_offset() const { return media_offset_; }

    void channel_came() { ++channels_; }
    void channel_left(std::uint8_t channel);
    int channels() const { return channels_; }

  private:
    void set_frozen(bool frozen);

    std::mutex mutex_;
    std::map<std::uint8_t, std::weak_ptr<codec::GlzDictionary>> dictionaries_;
    std::map<std::uint8_t, SharedImages> images_;
    bool frozen_ = false;
    std::atomic<int> channels_{0};
    std::atomic<std::uint32_t> media_offset_{0};
};

}  // namespace segue::spice::server
