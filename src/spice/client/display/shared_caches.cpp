// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/shared_caches.h"

namespace segue::spice::client {
namespace {

std::int64_t pixels_of(const canvas::Image& image) {
    return std::int64_t{image.width()} * image.height();
}

}  // namespace

Result<> ImageCache::put(std::uint64_t id, canvas::SharedImage image) {
    erase(id);
    const std::int64_t pixels = pixels_of(*image);
    if (pixels_ + pixels > max_pixels_ + kSlack) {
        return fail(ErrorCode::limit_exceeded,
                    "the server caches more than the {} pixels that it was told of", max_pixels_);
    }
    if (images_.size() >= kMaxImages) {
        return fail(ErrorCode::limit_exceeded, "the server caches more than {} pictures",
                    kMaxImages);
    }
    pixels_ += pixels;
    images_.emplace(id, std::move(image));
    return {};
}

void ImageCache::erase(std::uint64_t id) {
    const auto found = images_.find(id);
    if (found == images_.end()) return;
    pixels_ -= pixels_of(*found->second);
    images_.erase(found);
}

void ImageCache::clear() {
    images_.clear();
    pixels_ = 0;
}

}  // namespace segue::spice::client
