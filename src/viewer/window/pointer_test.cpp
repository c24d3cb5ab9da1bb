// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/pointer.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "viewer/window/display_window.h"

namespace segue::viewer {
namespace {

using spice::canvas::Format;
using spice::canvas::Image;
using spice::client::CursorShape;
using spice::wire::cursor::CursorHeader;
using spice::wire::cursor::CursorType;

std::uint32_t pixel(const Image& image, int x, int y) {
    return reinterpret_cast<const std::uint32_t*>(image.line(y))[x];
}

// Windows' I-beam is such a one: a column that inverts, and nothing else.
CursorShape beam() {
    CursorHeader header;
    header.type = CursorType::mono;
    header.width = header.height = 8;
    header.hot_spot_x = 4;
    // AND: all set; XOR: the fourth column.
    Bytes planes(8, 0xff);
    planes.insert(planes.end(), 8, 0x10);
    auto shape = spice::client::decode_cursor(header, planes);
    EXPECT_TRUE(shape);
    return std::move(*shape);
}

TEST(Pointer, WhatInvertsIsSeenOnEveryColour) {
    const auto picture = pointer_picture(beam());
    ASSERT_TRUE(picture);
    for (int y = 0; y < 8; ++y) {
        EXPECT_EQ(pixel(*picture, 1, y), 0u);
        EXPECT_EQ(pixel(*picture, 2, y), 0xffffffffu);
        EXPECT_EQ(pixel(*picture, 3, y), 0xff000000u);
        EXPECT_EQ(pixel(*picture, 4, y), 0xffffffffu);
        EXPECT_EQ(pixel(*picture, 5, y), 0u);
    }
}

TEST(Pointer, OthersAreAsTheyAre) {
    auto image = Image::create(Format::argb32, 2, 1);
    ASSERT_TRUE(image);
    reinterpret_cast<std::uint32_t*>(image->line(0))[1] = 0x80400020;
    CursorShape shape;
    shape.image = std::make_shared<const Image>(std::move(*image));
    const auto picture = pointer_picture(shape);
    ASSERT_TRUE(picture);
    EXPECT_EQ(pixel(*picture, 0, 0), 0u);
    EXPECT_EQ(pixel(*picture, 1, 0), 0x80400020u);
    EXPECT_EQ(unmultiplied(0x80400020), 0x807f003fu);
    EXPECT_EQ(unmultiplied(0xff123456), 0xff123456u);
    EXPECT_EQ(unmultiplied(0x01ff0000), 0x01ff0000u) << "no channel runs over";
}

// On SDL's screen that is none, which draws like its software on any other.
class PointerInWindow : public testing::Test {
  protected:
    PointerInWindow() {
        ::setenv("SDL_VIDEODRIVER", "dummy", 1);
        ready_ = SDL_Init(SDL_INIT_VIDEO) == 0;
    }
    ~PointerInWindow() override {
        window_.reset();
        if (ready_) SDL_Quit();
        ::unsetenv("SDL_VIDEODRIVER");
    }
    // A grey screen of 64 by 48 in a window of that size.
    void open() {
        ASSERT_TRUE(ready_) << SDL_GetError();
        window_ = DisplayWindow::open({}, false);
        ASSERT_TRUE(window_) << SDL_GetError();
        SDL_SetWindowSize(window_->window(), 64, 48);
        SDL_PumpEvents();
        auto screen = Image::create(Format::xrgb32, 64, 48);
        ASSERT_TRUE(screen);
        for (int y = 0; y < 48; ++y) {
            for (int x = 0; x < 64; ++x)
                reinterpret_cast<std::uint32_t*>(screen->line(y))[x] = 0x808080;
        }
        window_->upload(*screen, screen->bounds());
    }
    std::uint32_t shown(int x, int y) {
        SDL_Renderer* renderer = SDL_GetRenderer(window_->window());
        const SDL_Rect one{x, y, 1, 1};
        std::uint32_t pixel = 0;
        EXPECT_EQ(
            SDL_RenderReadPixels(renderer, &one, SDL_PIXELFORMAT_ARGB8888, &pixel, sizeof pixel), 0)
            << SDL_GetError();
        return pixel & 0xffffff;
    }

    bool ready_ = false;
    std::unique_ptr<DisplayWindow> window_;
};

TEST_F(PointerInWindow, TheGuestsOwnIsDrawnWhereTheGuestHasIt) {
    ASSERT_NO_FATAL_FAILURE(open());
    auto picture = pointer_picture(beam());
    ASSERT_TRUE(picture);
    const auto shared = std::make_shared<const Image>(std::move(*picture));
    window_->draw({});
    EXPECT_EQ(shown(13, 20), 0x808080u);
    window_->set_pointer(DisplayWindow::Pointer{shared, 10, 20});
    window_->draw({});
    EXPECT_EQ(shown(12, 20), 0xffffffu);
    EXPECT_EQ(shown(13, 20), 0x000000u);
    EXPECT_EQ(shown(13, 27), 0x000000u);
    EXPECT_EQ(shown(13, 28), 0x808080u);
    EXPECT_EQ(shown(15, 20), 0x808080u);
    // It moves, half of it over the edge.
    window_->set_pointer(DisplayWindow::Pointer{shared, -2, 44});
    window_->draw({});
    EXPECT_EQ(shown(13, 20), 0x808080u);
    EXPECT_EQ(shown(1, 44), 0x000000u);
    window_->set_pointer(std::nullopt);
    window_->draw({});
    EXPECT_EQ(shown(1, 44), 0x808080u);
}

}  // namespace
}  // namespace segue::viewer
