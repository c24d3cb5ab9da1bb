// SPDX-License-Identifier: LGPL-2.1-or-later
// Pictures that tests and benches share, the same on every machine: a text console, a desktop, a
// noisy photo, and noise alone. 32 bits a pixel, fourth byte 0 unless asked for.
#pragma once

#include <string_view>

#include "base/random.h"
#include "spice/codec/picture.h"

namespace segue::spice::codec::test {

struct Picture {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    Bytes bytes;

    Picture(std::uint32_t w, std::uint32_t h)
        : width(w), height(h), bytes(std::size_t{w} * h * 4) {}
    void set(std::uint32_t x, std::uint32_t y, std::uint32_t pixel) {
        store<ByteOrder::little>(bytes.data() + (std::size_t{y} * width + x) * 4, pixel);
    }
    PictureView view(PixelFormat format = PixelFormat::bgrx32) const {
        return {format,
                width,
                height,
                bytes.data(),
                static_cast<std::ptrdiff_t>(row_size(format, width)),
                true};
    }
};

// 96 glyphs of 8 x 16 made of a few strokes, as a font has them.
inline void draw_text(Picture& picture, std::uint32_t x, std::uint32_t y, std::uint32_t columns,
                      std::uint32_t ink, std::uint32_t paper, SeededRandom& random) {
    for (std::uint32_t column = 0; column < columns; ++column) {
        const auto glyph = static_cast<std::uint32_t>(random.below(40) < 8 ? 0 : random.below(96));
        SeededRandom strokes(glyph);
        std::uint8_t rows[16] = {};
        for (int stroke = 0; glyph != 0 && stroke < 4; ++stroke) {
            const auto at = 2 + strokes.below(11);
            if (strokes.below(2) == 0) {
                rows[at] |= static_cast<std::uint8_t>(0x7e >> strokes.below(3));
            } else {
                for (auto row = at; row < 13; ++row) {
                    rows[row] |= static_cast<std::uint8_t>(0x40 >> strokes.below(6));
                }
            }
        }
        for (std::uint32_t row = 0; row < 16 && y + row < picture.height; ++row) {
            for (std::uint32_t bit = 0; bit < 8; ++bit) {
                const std::uint32_t at = x + column * 8 + bit;
                if (at < picture.width)
                    picture.set(at, y + row, rows[row] >> (7 - bit) & 1 ? ink : paper);
            }
        }
    }
}

inline Picture console(std::uint32_t width = 720, std::uint32_t height = 400) {
    Picture picture(width, height);
    SeededRandom random(1);
    for (std::uint32_t y = 0; y < height; y += 16) {
        draw_text(picture, 0, y, static_cast<std::uint32_t>(random.below(width / 8)), 0xaaaaaa, 0,
                  random);
    }
    return picture;
}

inline Picture desktop(std::uint32_t width = 1024, std::uint32_t height = 768) {
    Picture picture(width, height);
    SeededRandom random(2);
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x)
            picture.set(x, y, 0x204060 + (y / 8));
    }
    for (int window = 0; window < 5; ++window) {
        const auto left = static_cast<std::uint32_t>(random.below(width * 3 / 4));
        const auto top = static_cast<std::uint32_t>(random.below(height * 3 / 4));
        for (std::uint32_t y = top; y < height && y < top + 350; ++y) {
            for (std::uint32_t x = left; x < width && x < left + 500; ++x) {
                const bool title = y < top + 20;
                picture.set(x, y, title ? 0x3060c0 + (x - left) / 4 : 0xf4f4f4);
            }
        }
        for (std::uint32_t y = top + 24; y + 16 < height && y < top + 340; y += 18) {
            if (left + 480 < width) draw_text(picture, left + 8, y, 50, 0x101010, 0xf4f4f4, random);
        }
    }
    return picture;
}

// Smooth colour with sensor noise of a few steps.
inline Picture photo(std::uint32_t width = 800, std::uint32_t height = 600) {
    Picture picture(width, height);
    SeededRandom random(3);
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            const std::uint64_t noise = random.next();
            std::uint32_t pixel = 0;
            for (unsigned plane = 0; plane < 3; ++plane) {
                const std::uint64_t base =
                    64 + (x * (plane + 1) + y * (3 - plane)) * 100 / (width + height);
                pixel |= static_cast<std::uint32_t>((base + (noise >> (8 * plane) & 7)) & 255)
                         << (8 * plane);
            }
            picture.set(x, y, pixel);
        }
    }
    return picture;
}

inline Picture noise(std::uint32_t width, std::uint32_t height, std::uint32_t mask = 0xffffff) {
    Picture picture(width, height);
    SeededRandom random(4);
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x) {
            picture.set(x, y, static_cast<std::uint32_t>(random.next()) & mask);
        }
    }
    return picture;
}

inline Picture plain(std::uint32_t width, std::uint32_t height) {
    Picture picture(width, height);
    for (std::uint32_t y = 0; y < height; ++y) {
        for (std::uint32_t x = 0; x < width; ++x)
            picture.set(x, y, 0x336699);
    }
    return picture;
}

}  // namespace segue::spice::codec::test
