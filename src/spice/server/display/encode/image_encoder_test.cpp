// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/encode/image_encoder.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

namespace display = wire::display;

constexpr std::int32_t kSide = 64;

// Stripes of some colours, from `first` on.
canvas::Image stripes(std::uint32_t colors, std::uint32_t first) {
    canvas::Image image = canvas::Image::create(canvas::Format::xrgb32, kSide, kSide).value();
    for (std::int32_t y = 0; y < kSide; ++y) {
        auto* line = reinterpret_cast<std::uint32_t*>(image.line(y));
        for (std::int32_t x = 0; x < kSide; ++x)
            line[x] = first + static_cast<std::uint32_t>(x / 3 + y / 5) % colors * 0x40;
    }
    return image;
}

// Back to pixels, as a client does it.
std::vector<std::uint32_t> decoded(const display::Image& image,
                                   const std::vector<std::uint32_t>& palette) {
    const auto& data = std::get<display::LzPaletteData>(image.data);
    const wire::SharedBytes bytes = data.data.contiguous();
    const codec::LzHeader header = codec::lz_read_header(bytes.view()).value();
    Bytes rows(header.pixel_bytes());
    EXPECT_TRUE(codec::lz_decode(bytes.view(), rows));
    std::vector<std::uint32_t> pixels;
    for (std::uint32_t y = 0; y < header.height; ++y) {
        const std::uint8_t* row = rows.data() + y * header.row_bytes();
        for (std::uint32_t x = 0; x < header.width; ++x) {
            const bool is_bit = header.type == codec::LzType::one_bit_be;
            const unsigned index =
                is_bit ? row[x / 8] >> (7 - x % 8) & 1u : row[x / 2] >> (x % 2 == 0 ? 4 : 0) & 15u;
            pixels.push_back(palette.at(index));
        }
    }
    return pixels;
}

class ImageEncoderTest : public testing::Test {
  protected:
    ImageEncoderTest() : encoder_(options()) {}
    static EncoderOptions options() {
        EncoderOptions made;
        made.compression = ImageCompression::lz;
        made.palettes_allowed = true;
        return made;
    }
    EncodedImage encode(const canvas::Image& image) {
        return encoder_.encode(image, image.bounds(), false).value();
    }
    ImageEncoder encoder_;
};

// Others are made while it waits to leave.
TEST_F(ImageEncoderTest, APictureAsItIsStaysAsItIsUntilItHasLeft) {
    EncoderOptions off = options();
    off.compression = ImageCompression::off;
    encoder_.set_options(off);
    const auto rows = [](const EncodedImage& encoded) {
        const ByteView bytes =
            std::get<display::BitmapData>(encoded.image.data).data.pieces().at(0).view();
        return Bytes(bytes.begin(), bytes.end());
    };
    const EncodedImage first = encode(stripes(200, 0x102030));
    const Bytes as_it_was = rows(first);
    for (std::uint32_t other = 1; other < 4; ++other)
        EXPECT_NE(rows(encode(stripes(200, other))), as_it_was);
    EXPECT_EQ(rows(first), as_it_was);
}

TEST_F(ImageEncoderTest, ALargePictureIsBorrowedWhereItsLinesStandOneBehindTheOther) {
    EncoderOptions off = options();
    off.compression = ImageCompression::off;
    encoder_.set_options(off);
    const auto first_of = [](const EncodedImage& encoded) {
        return std::get<display::BitmapData>(encoded.image.data).data.pieces().at(0);
    };
    const canvas::Image large =
        canvas::Image::create(canvas::Format::xrgb32, 4 * kSide, 2 * kSide).value();
    const auto borrow = [&](const canvas::Rect& rect) {
        return first_of(encoder_.encode(large, rect, false, true).value());
    };
    EXPECT_TRUE(first_of(encode(large)).has_owner()) << "not allowed";
    const wire::SharedBytes whole = borrow(large.bounds());
    EXPECT_FALSE(whole.has_owner());
    EXPECT_EQ(whole.data(), large.line(0));
    EXPECT_EQ(whole.size(), large.line_bytes() * static_cast<std::size_t>(large.height()));
    // A part of each line is not, and neither is what is small.
    canvas::Rect narrow = large.bounds();
    --narrow.right;
    EXPECT_TRUE(borrow(narrow).has_owner());
    canvas::Rect low = large.bounds();
    low.bottom = 10;
    EXPECT_TRUE(borrow(low).has_owner());
}

// LZ has no pictures of that size: they go as they are, and whole.
TEST_F(ImageEncoderTest, APictureThatIsTooWideForItsCodecIsNotLost) {
    constexpr std::int32_t kWidth = static_cast<std::int32_t>(codec::kMaxSide) + 1;
    canvas::Image image = canvas::Image::create(canvas::Format::xrgb32, kWidth, 2).value();
    for (std::int32_t x = 0; x < kWidth; x += 7)
        image.line(1)[x * 4] = 0xff;
    for (const auto compression :
         {ImageCompression::lz, ImageCompression::glz, ImageCompression::auto_glz,
          ImageCompression::lz4, ImageCompression::quic}) {
        EncoderOptions chosen = options();
        chosen.compression = compression;
        encoder_.set_options(chosen);
        const EncodedImage encoded = encode(image);
        ASSERT_EQ(encoded.image.type, display::ImageType::bitmap);
        EXPECT_EQ(encoded.image.width, static_cast<std::uint32_t>(kWidth));
        const auto& data = std::get<display::BitmapData>(encoded.image.data);
        const wire::SharedBytes rows = data.data.contiguous();
        ASSERT_EQ(rows.size(), std::size_t{kWidth} * 8);
        EXPECT_EQ(std::memcmp(rows.data() + std::size_t{kWidth} * 4, image.line(1),
                              std::size_t{kWidth} * 4),
                  0);
    }
}

TEST_F(ImageEncoderTest, FewColoursGoAsAPaletteThatIsSentOnce) {
    std::vector<std::uint32_t> palette;
    for (int turn = 0; turn < 2; ++turn) {
        const canvas::Image image = stripes(2, 0x102030);
        const EncodedImage encoded = encode(image);
        ASSERT_EQ(encoded.image.type, display::ImageType::lz_plt);
        const auto& data = std::get<display::LzPaletteData>(encoded.image.data);
        const bool is_first = turn == 0;
        EXPECT_EQ(wire::has(data.flags, display::BitmapFlags::pal_cache_me), is_first);
        EXPECT_EQ(wire::has(data.flags, display::BitmapFlags::pal_from_cache), !is_first);
        if (is_first) palette = data.palette.value().entries;
        EXPECT_EQ(data.palette.has_value(), is_first);
        const std::vector<std::uint32_t> pixels = decoded(encoded.image, palette);
        for (std::int32_t y = 0; y < kSide; ++y)
            ASSERT_EQ(
                std::memcmp(image.line(y), &pixels[static_cast<std::size_t>(y * kSide)], kSide * 4),
                0);
        // What goes over the wire comes back as it was.
        display::DrawCopy message;
        message.source = encoded.image;
        const auto read = wire::parse<display::DrawCopy>(
            wire::SharedBytes::take(Bytes(wire::encode_from_server(message).body())));
        ASSERT_TRUE(read);
        EXPECT_EQ(decoded(read->source, palette), pixels);
    }
    encoder_.forget_palettes();
    const EncodedImage again = encode(stripes(2, 0x102030));
    EXPECT_TRUE(std::get<display::LzPaletteData>(again.image.data).palette);
}

TEST_F(ImageEncoderTest, APaletteTooManyIsForgotten) {
    for (std::uint32_t at = 0; at < PaletteCache::kMost; ++at)
        EXPECT_FALSE(encode(stripes(16, at << 12)).forgot_palette);
    const EncodedImage more = encode(stripes(16, 0xff0000));
    EXPECT_EQ(more.forgot_palette, 1u);
}

TEST_F(ImageEncoderTest, ClientsWithoutPalettesAndManyColoursGetPixels) {
    EXPECT_EQ(encode(stripes(17, 0)).image.type, display::ImageType::lz_rgb);
    EncoderOptions plain = options();
    plain.palettes_allowed = false;
    encoder_.set_options(plain);
    EXPECT_EQ(encode(stripes(2, 0)).image.type, display::ImageType::lz_rgb);
    plain.palettes_allowed = true;
    plain.compression = ImageCompression::quic;
    encoder_.set_options(plain);
    EXPECT_EQ(encode(stripes(2, 0)).image.type, display::ImageType::quic);
}

// A part of a film of smooth colours with grain.
canvas::Image film(std::int32_t at_x, std::int32_t at_y) {
    constexpr std::int32_t kWidth = 160, kHeight = 120;
    canvas::Image image = canvas::Image::create(canvas::Format::xrgb32, kWidth, kHeight).value();
    for (std::int32_t y = 0; y < kHeight; ++y) {
        auto* line = reinterpret_cast<std::uint32_t*>(image.line(y));
        for (std::int32_t x = 0; x < kWidth; ++x) {
            const auto column = static_cast<std::uint32_t>(x + at_x);
            const auto row = static_cast<std::uint32_t>(y + at_y);
            std::uint32_t grain = column * 0x9e3779b9u ^ row * 0x85ebca6bu;
            grain = (grain ^ grain >> 15) * 0xc2b2ae35u;
            const std::uint32_t base = 60 + column / 4 + row / 6;
            line[x] = (base + (grain >> 8 & 15)) << 16 | (base + (grain >> 16 & 15)) << 8 |
                      (base + (grain >> 24 & 15));
        }
    }
    return image;
}

TEST_F(ImageEncoderTest, PhotosThatMoveGoIntoTheWindow) {
    EncoderOptions chosen = options();
    chosen.compression = ImageCompression::auto_glz;
    encoder_.set_options(chosen);
    encoder_.use_dictionary(std::make_shared<codec::GlzDictionary>(1u << 20));
    codec::GlzWindow window(1u << 20);
    for (std::int32_t turn = 0; turn < 20; ++turn) {
        const canvas::Image image = film(3 * turn, 2 * turn);
        const EncodedImage encoded = encode(image);
        const bool has_moved = turn + 1 >= static_cast<std::int32_t>(MovingPhotos::kFirstTrial);
        ASSERT_EQ(encoded.image.type,
                  has_moved ? display::ImageType::glz_rgb : display::ImageType::quic)
            << turn;
        if (!has_moved) continue;
        const auto data = std::get<display::BinaryData>(encoded.image.data).data.contiguous();
        const auto decoded = window.decode(data.view());
        ASSERT_TRUE(decoded && decoded->picture);
        ASSERT_EQ(std::memcmp(decoded->picture->pixels.data(), image.line(0), 160 * 120 * 4), 0);
    }
}

TEST_F(ImageEncoderTest, PhotosInTheWindowAreDeflatedAsAllElse) {
    EncoderOptions chosen = options();
    chosen.compression = ImageCompression::auto_glz;
    chosen.zlib_glz = WanCompression::always;
    encoder_.set_options(chosen);
    encoder_.use_dictionary(std::make_shared<codec::GlzDictionary>(1u << 20));
    for (std::int32_t turn = 0; turn < 20; ++turn)
        encode(film(3 * turn, 2 * turn));
    EXPECT_GT(encoder_.images_as(ImageForm::zlib_glz), 10u);
}

TEST_F(ImageEncoderTest, PhotosThatAreAlwaysNewAreSeldomTried) {
    EncoderOptions chosen = options();
    chosen.compression = ImageCompression::auto_glz;
    encoder_.set_options(chosen);
    encoder_.use_dictionary(std::make_shared<codec::GlzDictionary>(1u << 20));
    for (std::int32_t turn = 0; turn < 100; ++turn)
        encode(film(turn * 1000, turn * 1000 % 37));
    EXPECT_EQ(encoder_.images_as(ImageForm::quic), 97u);
    EXPECT_EQ(encoder_.images_as(ImageForm::glz), 3u);  // the photos 4, 20 and 84
}

}  // namespace
}  // namespace segue::spice::server
