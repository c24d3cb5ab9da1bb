// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes images of parts of a picture, in the form that the options and the client allow.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <vector>

#include "base/result.h"
#include "spice/canvas/image.h"
#include "spice/codec/glz.h"
#include "spice/codec/lz.h"
#include "spice/codec/quic.h"
#include "spice/server/display/encode/choice.h"
#include "spice/server/display/encode/indexed.h"
#include "spice/server/display/encode/moving_photos.h"
#include "spice/server/display/encode/palette_cache.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;

struct EncodedImage {
    wire::display::Image image;
    // The client's pixels will only resemble ours.
    bool lossy = false;
    // The client is to be told to forget this palette, before it gets the image.
    std::optional<std::uint64_t> forgot_palette;
};

class ImageEncoder {
  public:
    explicit ImageEncoder(const EncoderOptions& options) : options_(options) {}

    void set_options(const EncoderOptions& options) { options_ = options; }
    const EncoderOptions& options() const { return options_; }
    // The dictionary that the client keeps, shared with its other displays; null: none.
    void use_dictionary(std::shared_ptr<codec::GlzDictionary> dictionary) {
        dictionary_ = std::move(dictionary);
    }
    const codec::GlzDictionary* dictionary() const { return dictionary_.get(); }

    // The rectangle as parts that are better encoded each in its own way, top to bottom.
    std::vector<canvas::Rect> parts(const canvas::Image& picture, const canvas::Rect& rect) const;
    // The rectangle lies within the picture. The pixels are read once: the guest may draw on. The
    // image must then be sent: the client's dictionary counts on it. With compression off a large
    // one may be borrowed from the picture by whoever sends it at once.
    Result<EncodedImage> encode(const canvas::Image& picture, const canvas::Rect& rect,
                                bool lossless, bool may_borrow = false);
    // The client was told to forget all palettes.
    void forget_palettes() { palettes_.clear(); }
    // Whether encode() would make a lossy image of it.
    bool would_lose(const canvas::Image& picture) const;

    std::uint64_t images() const { return images_; }
    std::uint64_t raw_bytes() const { return raw_bytes_; }
    std::uint64_t encoded_bytes() const { return encoded_bytes_; }
    // How many images took each form.
    std::uint64_t images_as(ImageForm form) const {
        return by_form_[static_cast<std::size_t>(form)];
    }

  private:
    struct Snapshot {
        std::shared_ptr<codec::PixelBuffer> pixels;
        codec::PictureView view;
    };
    bool takes_palettes() const;
    ImageForm form_of(const codec::PictureView& view, bool lossless);
    Result<Snapshot> snapshot(const canvas::Image& picture, const canvas::Rect& rect);
    Result<> encode_as(ImageForm& form, const Snapshot& snapshot, Bytes& out,
                       wire::display::Image& image);
    EncodedImage borrowed(const codec::PictureView& view);
    Result<EncodedImage> encode_indexed(const codec::PictureView& view);
    EncodedImage numbered(EncodedImage made, const codec::PictureView& view);

    EncoderOptions options_;
    std::shared_ptr<codec::GlzDictionary> dictionary_;
    codec::LzEncoder lz_;
    Indexer indexer_;
    PaletteCache palettes_;
    MovingPhotos moving_photos_;
    codec::QuicEncoder quic_;
    // The last snapshot's memory, where nobody kept it.
    std::shared_ptr<codec::PixelBuffer> spare_;
    std::uint64_t images_ = 0;
    std::uint64_t raw_bytes_ = 0;
    std::uint64_t encoded_bytes_ = 0;
    std::array<std::uint64_t, 8> by_form_{};
};

}  // namespace segue::spice::server
