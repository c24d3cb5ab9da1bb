// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/shared_caches.h"

namespace segue::spice::client {
namespace {

std::int64_t pixels_of(const canvas::Image& image) {
    return std::int64_t{image.width()} * image.height();
}

}  // namespace

Result<> GlzCount::add(const std::shared_ptr<const codec::GlzPicture>& picture) {
    if (pictures_.size() >= sweep_at_) {
        std::erase_if(pictures_, [](const auto& one) { return one.expired(); });
        if (pictures_.size() >= kMaxPictures) {
            return fail(ErrorCode::limit_exceeded,
                        "GLZ window: the server makes us keep more than {} pictures", kMaxPictures);
        }
        const std::size_t twice = std::min(2 * pictures_.size(), kMaxPictures);
        sweep_at_ = std::max(twice, pictures_.size() + kSweep);
    }
    pictures_.push_back(picture);
    return {};
}

// All pixels are counted as four bytes.
bool ImageCache::count(std::int64_t pixels) {
    return room_.resize(static_cast<std::size_t>(pixels) * 4);
}

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
    if (!count(pixels_ + pixels)) {
        return fail(ErrorCode::limit_exceeded,
                    "image cache: what the server makes us keep has reached the bound of {} bytes",
                    room_.most());
    }
    pixels_ += pixels;
    images_.emplace(id, std::move(image));
    return {};
}

void ImageCache::erase(std::uint64_t id) {
    const auto found = images_.find(id);
    if (found == images_.end()) return;
    pixels_ -= pixels_of(*found->second);
    count(pixels_);
    images_.erase(found);
}

void ImageCache::clear() {
    images_.clear();
    pixels_ = 0;
    count(0);
}

}  // namespace segue::spice::client
