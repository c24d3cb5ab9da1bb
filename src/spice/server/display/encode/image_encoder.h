// SPDX-License-Identifier: LGPL-2.1-or-later
// Makes images of parts of a surface, in the form that the options and the client allow.
#pragma once

#include <optional>

#include "base/result.h"
#include "spice/canvas/image.h"
#include "spice/codec/lz.h"
#include "spice/server/options.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;
namespace wire = segue::spice::wire;

struct EncoderOptions {
    ImageCompression compression = ImageCompression::auto_glz;
    // The client said that it decodes LZ4.
    bool lz4_allowed = false;
};

class ImageEncoder {
  public:
    explicit ImageEncoder(const EncoderOptions& options) : options_(options) {}

    void set_options(const EncoderOptions& options) { options_ = options; }
    const EncoderOptions& options() const { return options_; }

    // The rectangle lies within the picture. The pixels are read once: the guest may draw on.
    Result<wire::display::Image> encode(const canvas::Image& picture, const canvas::Rect& rect);

    std::uint64_t images() const { return images_; }
    std::uint64_t raw_bytes() const { return raw_bytes_; }
    std::uint64_t encoded_bytes() const { return encoded_bytes_; }

  private:
    std::optional<wire::display::Image> encode_lz(const canvas::Image& pixels);

    EncoderOptions options_;
    codec::LzEncoder lz_;
    std::uint64_t images_ = 0;
    std::uint64_t raw_bytes_ = 0;
    std::uint64_t encoded_bytes_ = 0;
};

}  // namespace segue::spice::server
