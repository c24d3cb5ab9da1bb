// SPDX-License-Identifier: LGPL-2.1-or-later
// Drawing commands, those of broken and hostile drivers too.
#include "spice/codec/quic.h"
#include "spice/server/display/guest/guest_display_fixture.h"

namespace segue::spice::server {
namespace {

using GuestCommands = GuestDisplayTest;

TEST_F(GuestCommands, FillsMovesAndCopiesAreDrawn) {
    queue_fill(0x112233, 0, 0, 8, 8);
    QXLDrawable move = drawable(QXL_COPY_BITS, 16, 16, 24, 24);
    move.u.copy_bits.src_pos = {0, 0};
    device_.queue(QXL_CMD_DRAW, device_.put(move));

    QXLDrawable copy = drawable(QXL_DRAW_COPY, 40, 20, 42, 22);
    copy.u.copy.src_bitmap = put_picture(SPICE_BITMAP_FMT_32BIT, {1, 2, 3, 4});
    copy.u.copy.src_area = {0, 0, 2, 2};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(copy));

    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel(7, 7), 0x112233u);
    EXPECT_EQ(pixel(8, 8), 0u);
    EXPECT_EQ(pixel(23, 23), 0x112233u);
    EXPECT_EQ(pixel(40, 20), 1u);
    EXPECT_EQ(pixel(41, 21), 4u);
    EXPECT_EQ(listener_.drawings,
              (std::vector{Drawing::Kind::fill, Drawing::Kind::move, Drawing::Kind::pixels}));
    expect_released(3);
}

// What a picture's pixels mean is told by its format; flags are for those of surfaces.
TEST_F(GuestCommands, FlagsOfAlphaAreOfSurfacesOnly) {
    queue_fill(0x102030, 0, 0, kWidth, kHeight);
    const auto queue_blend = [&](std::int32_t left, QXLPHYSICAL source) {
        QXLDrawable blend = drawable(QXL_DRAW_ALPHA_BLEND, left, 0, left + 2, 2);
        blend.u.alpha_blend.alpha_flags = SPICE_ALPHA_FLAGS_SRC_SURFACE_HAS_ALPHA;
        blend.u.alpha_blend.alpha = 0xff;
        blend.u.alpha_blend.src_bitmap = source;
        blend.u.alpha_blend.src_area = {0, 0, 2, 2};
        device_.queue(QXL_CMD_DRAW, device_.put(blend));
    };
    const auto queue_composite = [&](std::int32_t left, QXLPHYSICAL source) {
        constexpr std::uint32_t kOver = 3;
        QXLDrawable composite = drawable(QXL_DRAW_COMPOSITE, left, 0, left + 2, 2);
        composite.u.composite.flags = kOver | SPICE_COMPOSITE_SOURCE_OPAQUE;
        composite.u.composite.src = source;
        device_.queue(QXL_CMD_DRAW, device_.put(composite));
    };
    // No pixel has a bit in the byte that may be alpha.
    queue_blend(0, put_picture(SPICE_BITMAP_FMT_32BIT, {0xff, 0xff, 0xff, 0xff}));
    queue_composite(4, put_picture(SPICE_BITMAP_FMT_RGBA, {}));
    create_surface(1, 8);
    QXLDrawable clear = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    clear.surface_id = 1;
    clear.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    clear.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(clear));
    queue_blend(8, put_surface_image(1));
    queue_composite(12, put_surface_image(1));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel(0, 0), 0x0000ffu) << "a picture without alpha";
    EXPECT_EQ(pixel(4, 0), 0x102030u) << "a picture with alpha, and all of it transparent";
    EXPECT_EQ(pixel(8, 0), 0x102030u) << "a surface with alpha, and all of it transparent";
    EXPECT_EQ(pixel(12, 0), 0u) << "a surface without alpha";
}

// "Self bitmap" stands for a picture that is not there, and for no other.
TEST_F(GuestCommands, WhatTheSurfaceShowsIsDrawnWhereNoPictureIs) {
    queue_fill(0x102030, 0, 0, 8, 8);
    const auto queue_copy = [&](std::int32_t left, QXLPHYSICAL picture) {
        QXLDrawable copy = drawable(QXL_DRAW_TRANSPARENT, left, 8, left + 2, 10);
        copy.self_bitmap = 1;
        copy.self_bitmap_area = {0, 0, 2, 2};
        copy.u.transparent.src_bitmap = picture;
        copy.u.transparent.src_area = {0, 0, 2, 2};
        copy.u.transparent.true_color = 0xffffff;
        device_.queue(QXL_CMD_DRAW, device_.put(copy));
    };
    queue_copy(16, 0);
    queue_copy(24, put_picture(SPICE_BITMAP_FMT_32BIT, {1, 2, 3, 4}));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel(17, 9), 0x102030u);
    EXPECT_EQ(pixel(25, 9), 4u);
}

TEST_F(GuestCommands, APatternKeepsItsByteOfAlpha) {
    create_surface(1, 8, 0, SPICE_SURFACE_FMT_32_ARGB);
    QXLDrawable fill = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    fill.surface_id = 1;
    fill.u.fill.brush.type = SPICE_BRUSH_TYPE_PATTERN;
    fill.u.fill.brush.u.pattern.pat =
        put_picture(SPICE_BITMAP_FMT_32BIT, {0x40000001, 0x40000001, 0x40000001, 0x40000001});
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    EXPECT_FALSE(display_->take_commands(100));
    const canvas::Image& image = display_->surfaces().find(1)->drawn_image();
    std::uint32_t value;
    std::memcpy(&value, image.line(7), sizeof value);
    EXPECT_EQ(value, 0x40000001u);
}

// A mask of the surface's size that lets every second pixel through.
TEST_F(GuestCommands, AMaskLikeACheckerboardIsDrawnAndToldAsOneArea) {
    constexpr std::uint32_t kSide = 256;
    create_surface(1, kSide);
    struct {
        QXLImageDescriptor descriptor;
        QXLBitmap bitmap;
    } __attribute__((packed)) mask{};
    mask.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    mask.bitmap.format = SPICE_BITMAP_FMT_1BIT_LE;
    mask.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
    mask.bitmap.x = mask.bitmap.y = kSide;
    mask.bitmap.stride = kSide / 8;
    std::vector<std::uint8_t> bits(kSide * kSide / 8);
    for (std::size_t at = 0; at < bits.size(); ++at)
        bits[at] = at / (kSide / 8) % 2 == 0 ? 0x55 : 0xaa;
    mask.bitmap.data = device_.put(std::uint64_t{}, bits) + 8;
    const auto queue = [&](std::uint32_t color, QXLPHYSICAL masked) {
        QXLDrawable fill = drawable(QXL_DRAW_FILL, 0, 0, kSide, kSide);
        fill.surface_id = 1;
        fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        fill.u.fill.brush.u.color = color;
        fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        fill.u.fill.mask.bitmap = masked;
        device_.queue(QXL_CMD_DRAW, device_.put(fill));
    };
    // The first waits until somebody looks: the second is drawn over it.
    queue(5, 0);
    queue(7, device_.put(mask));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(listener_.drawings.back(), Drawing::Kind::pixels);
    EXPECT_EQ(listener_.rects, 1u);
    const canvas::Image& image = display_->surfaces().find(1)->drawn_image();
    for (std::int32_t y = 0; y < image.height(); ++y) {
        for (std::int32_t x = 0; x < image.width(); ++x) {
            std::uint32_t value;
            std::memcpy(&value, image.line(y) + x * 4, sizeof value);
            ASSERT_EQ(value & 0xffffff, (x + y) % 2 == 0 ? 7u : 5u) << x << "," << y;
        }
    }
    expect_released(2);
}

TEST_F(GuestCommands, WhatWasDrawnInManyPlacesIsToldAsFewer) {
    create_surface(1, 256);
    EXPECT_FALSE(display_->take_commands(100));
    QXLDrawable dot = drawable(QXL_DRAW_INVERS, 0, 0, 0, 0);
    dot.surface_id = 1;
    for (std::int32_t y = 0; y < 256; ++y) {
        for (std::int32_t x = y % 2; x < 256; x += 2) {
            dot.bbox = {y, x, y + 1, x + 1};
            const std::size_t used = device_.used;
            device_.queue(QXL_CMD_DRAW, device_.put(dot));
            EXPECT_FALSE(display_->take_commands(1000));
            device_.used = used;
        }
    }
    EXPECT_LE(display_->surfaces().find(1)->drawn.rects().size(), 4096u);
    EXPECT_EQ(display_->surfaces().find(1)->drawn.extents(), (canvas::Rect{0, 0, 256, 256}));
}

TEST_F(GuestCommands, WhatABrokenDriverNamesIsRefusedAndGivenBack) {
    QXLDrawable elsewhere = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    elsewhere.surface_id = 5;
    device_.queue(QXL_CMD_DRAW, device_.put(elsewhere));
    QXLDrawable nowhere = drawable(QXL_DRAW_COPY, 0, 0, 8, 8);
    nowhere.u.copy.src_bitmap = 0xdeadbeef;
    device_.queue(QXL_CMD_DRAW, device_.put(nowhere));
    QXLDrawable unknown = drawable(99, 0, 0, 8, 8);
    device_.queue(QXL_CMD_DRAW, device_.put(unknown));
    device_.queue(77, device_.put(unknown));
    QXLDrawable clipped = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    clipped.clip.type = SPICE_CLIP_TYPE_RECTS;
    QXLClipRects rects{};
    rects.num_rects = 1u << 30;
    clipped.clip.data = device_.put(rects);
    device_.queue(QXL_CMD_DRAW, device_.put(clipped));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->commands_refused(), 5u);
    EXPECT_TRUE(listener_.drawings.empty());
    expect_released(5);
}

TEST_F(GuestCommands, ACommandIsGivenBackWhereMemoryIsShort) {
    listener_.is_short_of_memory = true;
    queue_fill(1, 0, 0, 8, 8);
    EXPECT_FALSE(display_->take_commands(100));
    expect_released(1);
    EXPECT_EQ(display_->commands_refused(), 1u);
    listener_.is_short_of_memory = false;
    queue_fill(2, 0, 0, 8, 8);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel(0, 0), 2u);
    expect_released(2);
}

// Old drivers compress pictures themselves.
TEST_F(GuestCommands, AQuicPictureOfTheGuestIsDrawn) {
    std::vector<std::uint32_t> pixels(8 * 8);
    for (std::uint32_t at = 0; at < 64; ++at)
        pixels[at] = at * 0x030201;
    codec::PictureView view;
    view.width = view.height = 8;
    view.rows = reinterpret_cast<const std::uint8_t*>(pixels.data());
    view.stride = 32;
    Bytes encoded;
    ASSERT_TRUE(codec::QuicEncoder().encode(view, encoded));
    struct {
        QXLImageDescriptor descriptor;
        QXLQUICData quic;
        QXLDataChunk chunk;
    } __attribute__((packed)) image{};
    image.descriptor.type = SPICE_IMAGE_TYPE_QUIC;
    image.descriptor.width = image.descriptor.height = 8;
    image.quic.data_size = image.chunk.data_size = static_cast<std::uint32_t>(encoded.size());
    QXLDrawable copy = drawable(QXL_DRAW_COPY, 4, 4, 12, 12);
    copy.u.copy.src_bitmap = device_.put(image, encoded);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    EXPECT_FALSE(display_->take_commands(100));
    for (std::int32_t at = 0; at < 64; ++at)
        ASSERT_EQ(pixel(4 + at % 8, 4 + at / 8), pixels[static_cast<std::size_t>(at)]);
    // One that ends too early is given back, and nothing is drawn.
    image.quic.data_size = image.chunk.data_size /= 2;
    copy.bbox = {0, 40, 8, 48};
    copy.u.copy.src_bitmap = device_.put(image, encoded);
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->commands_refused(), 1u);
    expect_released(2);
}

// How much is read is not for the guest to say: a chunk may be its own successor.
TEST_F(GuestCommands, AQuicPictureOfMoreBytesThanAnyIsRefused) {
    const std::uint32_t pixels[64] = {};
    codec::PictureView view;
    view.width = view.height = 8;
    view.rows = reinterpret_cast<const std::uint8_t*>(pixels);
    view.stride = 32;
    Bytes encoded;
    ASSERT_TRUE(codec::QuicEncoder().encode(view, encoded));
    struct {
        QXLImageDescriptor descriptor;
        QXLQUICData quic;
        QXLDataChunk chunk;
    } __attribute__((packed)) image{};
    image.descriptor.type = SPICE_IMAGE_TYPE_QUIC;
    image.chunk.data_size = static_cast<std::uint32_t>(encoded.size());
    std::uint64_t refused = 0;
    for (const std::uint32_t claimed : {std::uint32_t{GuestMemory::kMostChunkedBytes},
                                        std::uint32_t{GuestMemory::kMostChunkedBytes} + 1}) {
        image.quic.data_size = claimed;
        QXLDrawable copy = drawable(QXL_DRAW_COPY, 4, 4, 12, 12);
        copy.u.copy.src_bitmap = device_.put(image, encoded);
        copy.u.copy.src_area = {0, 0, 8, 8};
        copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(copy));
        EXPECT_FALSE(display_->take_commands(100));
        EXPECT_EQ(display_->commands_refused(), refused) << claimed;
        ++refused;
    }
}

TEST_F(GuestCommands, ACommandOutsideMemoryHasNothingToGiveBack) {
    device_.queue(QXL_CMD_DRAW, 0xffffffffffffff00);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->commands_refused(), 1u);
    expect_released(0);
}

TEST_F(GuestCommands, ChunksThatPointAtThemselvesEnd) {
    QXLDrawable clipped = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    clipped.clip.type = SPICE_CLIP_TYPE_RECTS;
    QXLClipRects rects{};
    rects.num_rects = 1;
    clipped.clip.data = device_.put(rects);
    const QXLPHYSICAL chunk = clipped.clip.data + offsetof(QXLClipRects, chunk);
    std::memcpy(
        device_.memory.data() + (chunk - FakeDevice::kBase) + offsetof(QXLDataChunk, next_chunk),
        &chunk, sizeof chunk);
    device_.queue(QXL_CMD_DRAW, device_.put(clipped));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->commands_refused(), 1u);
    expect_released(1);
}

}  // namespace
}  // namespace segue::spice::server
