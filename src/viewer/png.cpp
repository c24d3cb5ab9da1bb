// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/png.h"

#include <png.h>

#include <cerrno>
#include <cstdio>
#include <memory>

#include "base/bytes.h"

namespace segue::viewer {

Result<> write_png(const spice::canvas::Image& image, const std::string& file) {
    spice::canvas::Image rgb;
    const spice::canvas::Image* from = &image;
    const auto format = image.format();
    if (format != spice::canvas::Format::xrgb32 && format != spice::canvas::Format::argb32) {
        rgb = TRY(image.converted(spice::canvas::Format::xrgb32));
        from = &rgb;
    }
    png_image png{};
    png.version = PNG_IMAGE_VERSION;
    png.width = static_cast<png_uint_32>(from->width());
    png.height = static_cast<png_uint_32>(from->height());
    png.format = PNG_FORMAT_RGB;
    png.flags = PNG_IMAGE_FLAG_FAST;
    Bytes pixels(static_cast<std::size_t>(from->width()) * from->height() * 3);
    std::uint8_t* to = pixels.data();
    for (std::int32_t y = 0; y < from->height(); ++y) {
        const std::uint8_t* line = from->line(y);
        for (std::int32_t x = 0; x < from->width(); ++x, to += 3) {
            to[0] = line[x * 4 + 2];
            to[1] = line[x * 4 + 1];
            to[2] = line[x * 4];
        }
    }
    const std::string unfinished = file + ".part";
    if (!png_image_write_to_file(&png, unfinished.c_str(), 0, pixels.data(), 0, nullptr)) {
        return fail(ErrorCode::system, "write '{}': {}", unfinished, png.message);
    }
    if (std::rename(unfinished.c_str(), file.c_str()) != 0)
        return fail_errno("rename to", file, errno);
    return {};
}

}  // namespace segue::viewer
