// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/guest/guest_display.h"

#include <gtest/gtest.h>
#include <spice/enums.h>

#include "spice/codec/quic.h"
#include "spice/server/display/guest/fake_device.h"

namespace segue::spice::server {
namespace {

class Listener final : public DisplayListener {
  public:
    void surface_created(const Surface& surface) override { created.push_back(surface.id); }
    void surface_destroyed(std::uint32_t surface) override { destroyed.push_back(surface); }
    void drawn(const Drawing& drawing) override {
        if (is_short_of_memory) throw std::bad_alloc();
        drawings.push_back(drawing.kind);
        rects = drawing.region.rects().size();
    }
    void monitors_changed(const MonitorsConfig&) override { ++monitors; }
    void cursor_changed(const CursorCommand&) override { ++cursors; }
    void cursor_reset() override { ++cursor_resets; }
    void image_cache_reset() override {}

    std::vector<std::uint32_t> created, destroyed;
    std::vector<Drawing::Kind> drawings;
    std::size_t rects = 0;  // of the last drawing's region
    int monitors = 0;
    int cursors = 0;
    int cursor_resets = 0;
    bool is_short_of_memory = false;
};

constexpr std::int32_t kWidth = 64;
constexpr std::int32_t kHeight = 32;

class GuestDisplayTest : public testing::Test {
  protected:
    void SetUp() override {
        display_ = std::move(GuestDisplay::make(device_, device_.geometry(), listener_).value());
        ASSERT_TRUE(display_->add_slot(device_.slot()));
        display_->set_running(true);
        PrimarySurface primary;
        primary.width = kWidth;
        primary.height = kHeight;
        primary.stride = kWidth * 4;
        primary.format = SPICE_SURFACE_FMT_32_xRGB;
        primary.group = FakeDevice::kGroup;
        std::vector<std::uint8_t> pixels(kWidth * kHeight * 4, 0xee);
        primary.memory = device_.put(std::uint64_t{}, pixels) + 8;
        ASSERT_TRUE(display_->create_primary(0, primary));
    }

    QXLDrawable drawable(std::uint8_t type, std::int32_t left, std::int32_t top, std::int32_t right,
                         std::int32_t bottom) {
        QXLDrawable made{};
        made.type = type;
        made.bbox = {top, left, bottom, right};
        made.clip.type = SPICE_CLIP_TYPE_NONE;
        return made;
    }
    void queue_fill(std::uint32_t color, std::int32_t left, std::int32_t top, std::int32_t right,
                    std::int32_t bottom) {
        QXLDrawable fill = drawable(QXL_DRAW_FILL, left, top, right, bottom);
        fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        fill.u.fill.brush.u.color = color;
        fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(fill));
    }
    void queue_cursor(std::int16_t x) {
        QXLCursorCmd set{};
        set.type = QXL_CURSOR_SET;
        set.u.set.visible = 1;
        set.u.set.position.x = x;
        device_.queue(QXL_CMD_CURSOR, device_.put(set));
        device_.cursor_commands.push_back(device_.commands.back());
        device_.commands.pop_back();
    }
    // A surface off screen whose memory is not blank.
    void create_surface(std::uint32_t id, std::uint32_t side, std::uint8_t flags = 0) {
        QXLSurfaceCmd command{};
        command.surface_id = id;
        command.type = QXL_SURFACE_CMD_CREATE;
        command.flags = flags;
        command.u.surface_create.format = SPICE_SURFACE_FMT_32_xRGB;
        command.u.surface_create.width = command.u.surface_create.height = side;
        command.u.surface_create.stride = static_cast<std::int32_t>(side * 4);
        command.u.surface_create.data =
            device_.put(std::uint64_t{}, std::vector<std::uint8_t>(side * side * 4, 0xee)) + 8;
        device_.queue(QXL_CMD_SURFACE, device_.put(command));
    }
    // The surface as an image to copy from.
    QXLPHYSICAL put_surface_image(std::uint32_t id) {
        struct {
            QXLImageDescriptor descriptor;
            QXLSurfaceId surface;
        } __attribute__((packed)) image{};
        image.descriptor.type = SPICE_IMAGE_TYPE_SURFACE;
        image.surface.surface_id = id;
        return device_.put(image);
    }
    std::uint32_t pixel(std::int32_t x, std::int32_t y) const {
        const canvas::Image& image = display_->surfaces().find(0)->drawn_image();
        std::uint32_t value;
        std::memcpy(&value, image.line(y) + x * 4, sizeof value);
        return value & 0xffffff;
    }
    // What the embedder has there, whether we have drawn or not.
    std::uint32_t pixel_in_memory(std::int32_t x, std::int32_t y) const {
        std::uint32_t value;
        std::memcpy(&value, display_->surfaces().find(0)->image.line(y) + x * 4, sizeof value);
        return value & 0xffffff;
    }
    // So many commands were given back, and none twice.
    void expect_released(std::size_t commands) {
        EXPECT_EQ(device_.released.size(), commands);
        for (const auto& [info, times] : device_.released)
            EXPECT_EQ(times, 1);
    }

    FakeDevice device_{1 << 20};
    Listener listener_;
    std::unique_ptr<GuestDisplay> display_;
};

TEST_F(GuestDisplayTest, ANewPrimarySurfaceIsBlack) {
    EXPECT_EQ(pixel(0, 0), 0u);
    EXPECT_EQ(listener_.created, std::vector<std::uint32_t>{0});
}

TEST_F(GuestDisplayTest, ASurfaceOffScreenIsBlankUnlessItKeepsItsPixels) {
    create_surface(1, 8);
    create_surface(2, 8, QXL_SURF_FLAG_KEEP_DATA);
    EXPECT_FALSE(display_->take_commands(100));
    const Surface& blank = *display_->surfaces().find(1);
    EXPECT_TRUE(blank.is_blank);
    EXPECT_EQ(*blank.image.line(7), 0);
    EXPECT_FALSE(display_->surfaces().find(2)->is_blank);
    EXPECT_EQ(*display_->surfaces().find(2)->image.line(7), 0xee);

    QXLDrawable copy = drawable(QXL_DRAW_COPY, 0, 0, 8, 8);
    copy.u.copy.src_bitmap = put_surface_image(2);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    copy.surface_id = 2;  // onto itself
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel(0, 0), 0xeeeeeeu);
    EXPECT_EQ(listener_.drawings, (std::vector{Drawing::Kind::surface, Drawing::Kind::pixels}));
}

TEST_F(GuestDisplayTest, FillsMovesAndCopiesAreDrawn) {
    queue_fill(0x112233, 0, 0, 8, 8);
    QXLDrawable move = drawable(QXL_COPY_BITS, 16, 16, 24, 24);
    move.u.copy_bits.src_pos = {0, 0};
    device_.queue(QXL_CMD_DRAW, device_.put(move));

    const std::uint32_t colors[4] = {1, 2, 3, 4};
    QXLImage image{};
    image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    image.descriptor.width = image.descriptor.height = 2;
    image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
    image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
    image.bitmap.x = image.bitmap.y = 2;
    image.bitmap.stride = 8;
    image.bitmap.data =
        device_.put(std::uint64_t{}, {reinterpret_cast<const std::uint8_t*>(colors), 16}) + 8;
    QXLDrawable copy = drawable(QXL_DRAW_COPY, 40, 20, 42, 22);
    copy.u.copy.src_bitmap = device_.put(image);
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

// A mask of the surface's size that lets every second pixel through.
TEST_F(GuestDisplayTest, AMaskLikeACheckerboardIsDrawnAndToldAsOneArea) {
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

TEST_F(GuestDisplayTest, WhatWasDrawnInManyPlacesIsToldAsFewer) {
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

TEST_F(GuestDisplayTest, WhatABrokenDriverNamesIsRefusedAndGivenBack) {
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

TEST_F(GuestDisplayTest, ACommandIsGivenBackWhereMemoryIsShort) {
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
TEST_F(GuestDisplayTest, AQuicPictureOfTheGuestIsDrawn) {
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
TEST_F(GuestDisplayTest, AQuicPictureOfMoreBytesThanAnyIsRefused) {
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

TEST_F(GuestDisplayTest, ACommandOutsideMemoryHasNothingToGiveBack) {
    device_.queue(QXL_CMD_DRAW, 0xffffffffffffff00);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->commands_refused(), 1u);
    expect_released(0);
}

TEST_F(GuestDisplayTest, ChunksThatPointAtThemselvesEnd) {
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

TEST_F(GuestDisplayTest, ASurfaceKeepsItsCommandUntilItGoes) {
    QXLSurfaceCmd create{};
    create.surface_id = 3;
    create.type = QXL_SURFACE_CMD_CREATE;
    create.u.surface_create.format = SPICE_SURFACE_FMT_32_ARGB;
    create.u.surface_create.width = create.u.surface_create.height = 4;
    create.u.surface_create.stride = 16;
    create.u.surface_create.data = device_.put(std::array<std::uint8_t, 64>{});
    device_.queue(QXL_CMD_SURFACE, device_.put(create));
    EXPECT_FALSE(display_->take_commands(100));
    ASSERT_NE(display_->surfaces().find(3), nullptr);
    expect_released(0);
    QXLSurfaceCmd destroy{};
    destroy.surface_id = 3;
    destroy.type = QXL_SURFACE_CMD_DESTROY;
    device_.queue(QXL_CMD_SURFACE, device_.put(destroy));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->surfaces().find(3), nullptr);
    expect_released(2);
    EXPECT_EQ(listener_.destroyed, std::vector<std::uint32_t>{3});
}

TEST_F(GuestDisplayTest, UpdateAreaTellsWhatWasDrawnOnce) {
    queue_fill(1, 0, 0, 8, 8);
    queue_fill(1, 40, 20, 48, 28);
    const QXLRect left_half{0, 0, kHeight, kWidth / 2};
    const auto dirty = display_->update_area(0, left_half, true);
    ASSERT_EQ(dirty.size(), 1u) << "the ring was drawn first";
    EXPECT_EQ(dirty[0].right, 8);
    EXPECT_TRUE(display_->update_area(0, left_half, true).empty());
    EXPECT_EQ(display_->update_area(0, {0, 0, kHeight, kWidth}, true).size(), 1u);
    EXPECT_TRUE(display_->update_area(9, left_half, true).empty());
}

TEST_F(GuestDisplayTest, AFillWaitsUntilSomebodyLooks) {
    const auto draw = [this](std::uint32_t color) {
        device_.released.clear();
        queue_fill(color, 0, 0, 8, 8);
        EXPECT_FALSE(display_->take_commands(100));
        EXPECT_NE(pixel_in_memory(0, 0), color);
        expect_released(0);
    };
    const auto expect_drawn = [this](std::uint32_t color) {
        EXPECT_EQ(pixel_in_memory(0, 0), color);
        expect_released(1);
    };
    draw(1);
    EXPECT_EQ(pixel(0, 0), 1u);
    expect_drawn(1);
    draw(2);
    display_->update_area(0, {0, 0, 1, 1}, false);
    expect_drawn(2);
    draw(3);
    display_->draw_pending();
    expect_drawn(3);
    draw(4);
    display_->remove_slot(FakeDevice::kGroup, 3);
    expect_drawn(4);
    draw(5);
    display_->set_running(false);
    expect_drawn(5);
    display_->set_running(true);
    draw(6);
    // What inverts looks at what is there.
    QXLDrawable invert = drawable(QXL_DRAW_INVERS, 4, 4, 12, 12);
    device_.queue(QXL_CMD_DRAW, device_.put(invert));
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel_in_memory(4, 4), 0xfffff9u);
    EXPECT_EQ(pixel_in_memory(0, 0), 6u);
    expect_released(2);
}

TEST_F(GuestDisplayTest, WhoReadsASurfaceSeesWhatWasPendingThere) {
    create_surface(1, 8);
    QXLDrawable fill = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    fill.surface_id = 1;
    fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    fill.u.fill.brush.u.color = 0x445566;
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    queue_fill(0x112233, 0, 0, 16, 16);
    QXLDrawable copy = drawable(QXL_DRAW_COPY, 4, 4, 12, 12);
    copy.u.copy.src_bitmap = put_surface_image(1);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(copy));
    EXPECT_FALSE(display_->take_commands(100));
    // What the copy reads is drawn at once, and kept as it was then.
    std::uint32_t read;
    std::memcpy(&read, display_->surfaces().find(1)->image.line(0), sizeof read);
    EXPECT_EQ(read, 0x445566u);
    EXPECT_EQ(device_.released.size(), 1u);
    fill.u.fill.brush.u.color = 0x778899;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    EXPECT_FALSE(display_->take_commands(100));
    display_->draw_pending();
    EXPECT_EQ(pixel_in_memory(4, 4), 0x445566u);
    EXPECT_EQ(pixel_in_memory(3, 3), 0x112233u);
    expect_released(4);
}

TEST_F(GuestDisplayTest, ASurfaceThatGoesIsDrawnFirst) {
    create_surface(1, 8);
    QXLDrawable fill = drawable(QXL_DRAW_FILL, 0, 0, 8, 8);
    fill.surface_id = 1;
    fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    fill.u.fill.brush.u.color = 0x445566;
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    device_.queue(QXL_CMD_DRAW, device_.put(fill));
    EXPECT_FALSE(display_->take_commands(100));
    const std::uint8_t* memory = display_->surfaces().find(1)->image.line(0);
    expect_released(0);
    display_->destroy_surface(1);
    EXPECT_EQ(*memory, 0x66);
    expect_released(2);
}

// Off screen each could keep more, all together not.
TEST_F(GuestDisplayTest, TooMuchOnAllSurfacesTogetherIsDrawn) {
    constexpr std::uint32_t kSide = 2000;
    constexpr std::size_t kBytes = std::size_t{kSide} * kSide * 4;
    static_assert(kBytes < PendingDrawings::kMostBytes);
    constexpr std::uint32_t kEnough = PendingTotal::kMostBytes / kBytes;
    auto total = std::make_shared<PendingTotal>();
    FakeDevice device(kBytes + (std::size_t{1} << 20));
    const auto made = [&](DisplayListener& listener) {
        auto display = GuestDisplay::make(device, device.geometry(), listener, total).value();
        EXPECT_TRUE(display->add_slot(device.slot()));
        display->set_running(true);
        return display;
    };
    const auto display = made(listener_);
    QXLImage image{};
    image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
    image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
    image.bitmap.x = image.bitmap.y = kSide;
    image.bitmap.stride = kSide * 4;
    image.bitmap.data = device.put(std::uint64_t{0}, std::vector<std::uint8_t>(kBytes, 0x55)) + 8;
    QXLDrawable copy = drawable(QXL_DRAW_COPY, 0, 0, 8, 8);
    copy.u.copy.src_bitmap = device.put(image);
    copy.u.copy.src_area = {0, 0, 8, 8};
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    const auto paint = [&](GuestDisplay& shown, std::uint32_t surface) {
        PrimarySurface memory;
        memory.width = memory.height = 8;
        memory.stride = 32;
        memory.format = SPICE_SURFACE_FMT_32_xRGB;
        memory.group = FakeDevice::kGroup;
        memory.memory = device.put(std::uint64_t{0}, std::vector<std::uint8_t>(256)) + 8;
        ASSERT_TRUE(shown.create_primary(surface, memory));
        copy.surface_id = surface;
        device.queue(QXL_CMD_DRAW, device.put(copy));
        EXPECT_FALSE(shown.take_commands(100));
    };
    for (std::uint32_t surface = 0; surface < kEnough; ++surface)
        paint(*display, surface);
    EXPECT_TRUE(device.released.empty());
    EXPECT_LT(total->bytes(), PendingTotal::kMostBytes);
    {
        // What the server's other display has counts, too: it has no place for its own.
        Listener other_listener;
        const auto other = made(other_listener);
        paint(*other, 0);
        EXPECT_EQ(device.released.size(), 1u);
    }
    paint(*display, kEnough);
    EXPECT_EQ(device.released.size(), kEnough + 2u);
    EXPECT_EQ(total->bytes(), 0u);
    for (std::uint32_t surface = 0; surface <= kEnough; ++surface)
        EXPECT_EQ(*display->surfaces().find(surface)->image.line(7), 0x55) << surface;
}

TEST_F(GuestDisplayTest, WhatGoesWithItsDisplayIsCountedNoMore) {
    auto total = std::make_shared<PendingTotal>();
    auto display = GuestDisplay::make(device_, device_.geometry(), listener_, total).value();
    ASSERT_TRUE(display->add_slot(device_.slot()));
    PrimarySurface primary;
    primary.width = primary.height = 8;
    primary.stride = 32;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.group = FakeDevice::kGroup;
    primary.memory = device_.put(std::uint64_t{0}, std::vector<std::uint8_t>(256)) + 8;
    ASSERT_TRUE(display->create_primary(0, primary));
    queue_fill(1, 0, 0, 8, 8);
    EXPECT_FALSE(display->take_commands(100));
    EXPECT_GT(total->bytes(), 0u);
    queue_fill(2, 0, 0, 4, 8);
    queue_fill(3, 0, 0, 8, 8);  // over both
    EXPECT_FALSE(display->take_commands(100));
    EXPECT_LE(total->bytes(), sizeof(PendingDrawing) + 512);
    display.reset();
    EXPECT_EQ(total->bytes(), 0u);
}

TEST_F(GuestDisplayTest, AnUpdateShowsAllThatCameBeforeItInItsOrder) {
    queue_fill(1, 0, 0, 8, 8);
    QXLDrawable move = drawable(QXL_COPY_BITS, 16, 0, 24, 8);
    move.u.copy_bits.src_pos = {0, 0};
    device_.queue(QXL_CMD_DRAW, device_.put(move));
    queue_fill(2, 0, 0, 8, 8);
    EXPECT_EQ(display_->update_area(0, {0, 0, kHeight, kWidth}, true).size(), 2u);
    EXPECT_EQ(pixel_in_memory(0, 0), 2u);
    EXPECT_EQ(pixel_in_memory(16, 0), 1u);
    expect_released(3);
    queue_fill(3, 0, 0, 8, 8);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(pixel_in_memory(0, 0), 2u) << "it came behind the update";
    EXPECT_EQ(display_->update_area(0, {0, 0, 1, 1}, true).size(), 1u);
    EXPECT_EQ(pixel_in_memory(0, 0), 3u);
    EXPECT_EQ(pixel_in_memory(7, 7), 3u);
}

// Its pixels went on to another surface, and back; both surfaces had more that was pending.
TEST_F(GuestDisplayTest, WhatWasCopiedFromASurfaceStaysWhenThatGoes) {
    create_surface(1, 8);
    const auto fill = [&](std::uint32_t surface, std::uint32_t color, QXLRect rect) {
        QXLDrawable made = drawable(QXL_DRAW_FILL, rect.left, rect.top, rect.right, rect.bottom);
        made.surface_id = surface;
        made.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
        made.u.fill.brush.u.color = color;
        made.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(made));
    };
    const auto copy = [&](std::uint32_t from, std::uint32_t to, std::int32_t at) {
        QXLDrawable made = drawable(QXL_DRAW_COPY, at, 0, at + 4, 4);
        made.surface_id = to;
        made.u.copy.src_bitmap = put_surface_image(from);
        made.u.copy.src_area = {0, 0, 4, 4};
        made.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
        device_.queue(QXL_CMD_DRAW, device_.put(made));
    };
    fill(1, 1, {0, 0, 8, 8});
    fill(0, 2, {0, 0, 8, 8});
    copy(1, 0, 8);  // 1 on the screen
    fill(1, 3, {0, 0, 8, 8});
    copy(0, 1, 0);  // 2 off the screen
    fill(0, 4, {0, 0, 4, 4});
    copy(1, 0, 16);  // and on it again
    fill(1, 5, {0, 0, 8, 8});
    EXPECT_FALSE(display_->take_commands(100));
    display_->destroy_surface(1);
    EXPECT_EQ(pixel(0, 0), 4u);
    EXPECT_EQ(pixel(4, 0), 2u);
    EXPECT_EQ(pixel(8, 0), 1u);
    EXPECT_EQ(pixel(16, 0), 2u);
    expect_released(9);
}

TEST_F(GuestDisplayTest, AStoppedMachinesRingIsNotTouched) {
    queue_fill(1, 0, 0, 8, 8);
    display_->set_running(false);
    display_->drain();
    EXPECT_EQ(device_.commands.size(), 1u);
    display_->set_running(true);
    display_->drain();
    EXPECT_TRUE(device_.commands.empty());
}

TEST_F(GuestDisplayTest, TheCursorsCommandIsKeptUntilTheNext) {
    for (std::int16_t turn = 0; turn < 3; ++turn)
        queue_cursor(turn);
    EXPECT_FALSE(display_->take_commands(100));
    EXPECT_EQ(display_->cursor().x, 2);
    expect_released(2);
    display_->reset_cursor();
    expect_released(3);
}

// A driver that destroys all surfaces uses all its memory anew.
TEST_F(GuestDisplayTest, TheCursorGoesWithAllSurfaces) {
    queue_cursor(1);
    EXPECT_FALSE(display_->take_commands(100));
    expect_released(0);
    queue_cursor(2);
    display_->destroy_surfaces();
    EXPECT_TRUE(device_.cursor_commands.empty());
    expect_released(2);
    EXPECT_EQ(display_->cursor().x, 0);
    EXPECT_EQ(listener_.cursor_resets, 1);
}

TEST_F(GuestDisplayTest, MonitorsComeFromGuestMemory) {
    QXLMonitorsConfig config{};
    config.count = 1;
    QXLHead head{};
    head.width = 64;
    head.height = 32;
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(&head);
    ASSERT_TRUE(
        display_->set_monitors(FakeDevice::kGroup, device_.put(config, {bytes, sizeof head}), 4));
    EXPECT_EQ(display_->monitors()->heads.size(), 1u);
    EXPECT_EQ(display_->monitors()->most, 4);
    config.count = 0xffff;
    EXPECT_FALSE(display_->set_monitors(FakeDevice::kGroup, device_.put(config), 4));
    config.count = 3;
    config.max_allowed = 2;
    const std::vector<std::uint8_t> heads(3 * sizeof head);
    EXPECT_FALSE(display_->set_monitors(FakeDevice::kGroup, device_.put(config, heads), 4));
    config.max_allowed = 3;
    EXPECT_TRUE(display_->set_monitors(FakeDevice::kGroup, device_.put(config, heads), 2));
    EXPECT_EQ(display_->monitors()->most, 2);
    EXPECT_EQ(display_->monitors()->heads.size(), 2u) << "no more than the embedder allows";
}

TEST_F(GuestDisplayTest, APrimaryOutsideMemoryIsRefused) {
    display_->destroy_primary(0);
    PrimarySurface primary;
    primary.width = 4096;
    primary.height = 4096;
    primary.stride = 4096 * 4;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.group = FakeDevice::kGroup;
    primary.memory = FakeDevice::kBase;
    EXPECT_FALSE(display_->create_primary(0, primary));
    primary.width = 0;
    EXPECT_FALSE(display_->create_primary(0, primary));
    primary.width = codec::kMaxSide + 1;
    primary.height = 1;
    primary.stride = static_cast<std::int32_t>(primary.width) * 4;
    EXPECT_FALSE(display_->create_primary(0, primary)) << "no image of it could be sent";
    --primary.width;
    EXPECT_TRUE(display_->create_primary(0, primary));
}

}  // namespace
}  // namespace segue::spice::server
