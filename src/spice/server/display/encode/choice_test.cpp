// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/choice.h"

#include <gtest/gtest.h>

#include <vector>

#include "spice/server/display/encode/photo.h"

namespace segue::spice::server {
namespace {

using codec::PictureView;
using codec::PixelFormat;

struct Picture {
    Picture(std::uint32_t width, std::uint32_t height) : pixels(std::size_t{width} * height) {
        view.width = width;
        view.height = height;
        view.stride = static_cast<std::ptrdiff_t>(width * 4);
        view.rows = reinterpret_cast<const std::uint8_t*>(pixels.data());
    }
    std::vector<std::uint32_t> pixels;
    PictureView view;
};

// Every pixel a little off its neighbours.
Picture photo(std::uint32_t side = 64) {
    Picture made(side, side);
    unsigned seed = 3;
    for (std::uint32_t at = 0; at < made.pixels.size(); ++at) {
        seed = seed * 1103515245u + 12345u;
        const std::uint32_t gray = 90 + at % side / 2 + (seed >> 16) % 5;
        made.pixels[at] = gray << 16 | gray << 8 | gray;
    }
    return made;
}

// Letters: strokes of black on white.
Picture text() {
    Picture made(64, 64);
    for (std::uint32_t at = 0; at < made.pixels.size(); ++at)
        made.pixels[at] = at * 2654435761u >> 29 == 0 ? 0 : 0xffffff;
    return made;
}

EncoderOptions with(ImageCompression compression) {
    EncoderOptions options;
    options.compression = compression;
    return options;
}

TEST(Photo, IsToldFromTextAndFlatAreas) {
    EXPECT_TRUE(is_photo(photo().view));
    EXPECT_FALSE(is_photo(text().view));
    EXPECT_FALSE(is_photo(Picture(64, 64).view));
    EXPECT_FALSE(is_photo(photo(7).view)) << "too small to tell";
    EXPECT_GT(gradual_share(photo(2).view), -1) << "the smallest that has neighbours";
    EXPECT_EQ(gradual_share(photo(1).view), 0);
}

TEST(Photo, APageIsCutWherePhotoAndTextMeet) {
    Picture page(256, 300);
    const Picture letters = text();
    const Picture film = photo(256);
    for (std::uint32_t at = 0; at < page.pixels.size(); ++at) {
        const std::uint32_t row = at / 256;
        page.pixels[at] = row >= 96 && row < 224 ? film.pixels[(row - 96) * 256 + at % 256]
                                                 : letters.pixels[at % 4096];
    }
    EXPECT_EQ(ends_of_parts(page.view), (std::vector<std::uint32_t>{96, 224, 300}));
    EXPECT_EQ(ends_of_parts(film.view), std::vector<std::uint32_t>{256});
    EXPECT_EQ(ends_of_parts(letters.view), std::vector<std::uint32_t>{64});
    EXPECT_EQ(choose_form(with(ImageCompression::auto_lz), {}, page.view), ImageForm::quic);
    EncoderOptions lossy = with(ImageCompression::auto_lz);
    lossy.jpeg = WanCompression::always;
    EXPECT_EQ(choose_form(lossy, {}, film.view), ImageForm::jpeg);
}

TEST(Choice, FollowsTheOptionWhereItCan) {
    const Picture drawn = text();
    const ImageNeeds windowed{false, true};
    const auto form = [&](ImageCompression compression) {
        return choose_form(with(compression), windowed, drawn.view);
    };
    EXPECT_EQ(form(ImageCompression::off), ImageForm::raw);
    EXPECT_EQ(form(ImageCompression::lz), ImageForm::lz);
    EXPECT_EQ(form(ImageCompression::glz), ImageForm::glz);
    EXPECT_EQ(form(ImageCompression::quic), ImageForm::quic);
    EXPECT_EQ(form(ImageCompression::auto_lz), ImageForm::lz);
    EXPECT_EQ(form(ImageCompression::auto_glz), ImageForm::glz);
    EXPECT_EQ(form(ImageCompression::lz4), ImageForm::lz) << "this client cannot decode it";
    EncoderOptions lz4 = with(ImageCompression::lz4);
    lz4.lz4_allowed = true;
    EXPECT_EQ(choose_form(lz4, windowed, drawn.view), ImageForm::lz4);
    EXPECT_EQ(choose_form(with(ImageCompression::glz), {}, drawn.view), ImageForm::lz)
        << "without a dictionary";
}

TEST(Choice, PhotosGoAsQuicInAutoOnly) {
    const Picture picture = photo();
    const ImageNeeds windowed{false, true};
    EXPECT_EQ(choose_form(with(ImageCompression::auto_glz), windowed, picture.view),
              ImageForm::quic);
    EXPECT_EQ(choose_form(with(ImageCompression::glz), windowed, picture.view), ImageForm::glz);
}

TEST(Choice, SmallPicturesAreNotWorthIt) {
    EXPECT_EQ(choose_form(with(ImageCompression::glz), {false, true}, Picture(13, 1).view),
              ImageForm::raw);
    EXPECT_EQ(choose_form(with(ImageCompression::quic), {}, Picture(40, 2).view), ImageForm::lz);
}

TEST(Choice, LossesOnlyWhereTheLineIsSlowAndNobodyNeedsItExact) {
    const Picture picture = photo();
    EncoderOptions options = with(ImageCompression::auto_glz);
    options.jpeg = WanCompression::automatic;
    EXPECT_EQ(choose_form(options, {}, picture.view), ImageForm::quic);
    options.low_bandwidth = true;
    EXPECT_EQ(choose_form(options, {}, picture.view), ImageForm::jpeg);
    EXPECT_EQ(choose_form(options, {true, false}, picture.view), ImageForm::quic);
    EXPECT_EQ(choose_form(options, {}, text().view), ImageForm::lz);
    options.jpeg = WanCompression::always;
    options.low_bandwidth = false;
    EXPECT_EQ(choose_form(options, {}, picture.view), ImageForm::jpeg);
    PictureView alpha = picture.view;
    alpha.format = PixelFormat::bgra32;
    EXPECT_EQ(choose_form(options, {}, alpha), ImageForm::jpeg_alpha);
    options.compression = ImageCompression::quic;
    EXPECT_EQ(choose_form(options, {}, picture.view), ImageForm::jpeg);
    options.jpeg = WanCompression::never;
    options.low_bandwidth = true;
    EXPECT_EQ(choose_form(options, {}, picture.view), ImageForm::quic);
}

TEST(Choice, ZlibAroundGlzOnSlowLines) {
    EncoderOptions options = with(ImageCompression::glz);
    options.zlib_glz = WanCompression::automatic;
    const Picture drawn = text();
    EXPECT_EQ(choose_form(options, {false, true}, drawn.view), ImageForm::glz);
    options.low_bandwidth = true;
    EXPECT_EQ(choose_form(options, {false, true}, drawn.view), ImageForm::zlib_glz);
}

}  // namespace
}  // namespace segue::spice::server
