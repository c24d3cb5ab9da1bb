// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/display_window.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "viewer/window/pointer.h"

namespace segue::viewer {

using spice::canvas::Format;
using spice::canvas::Image;
using spice::canvas::Rect;

namespace {

// OpenGL that is software itself: Mesa's names for it.
bool is_emulated() {
    using GetString = const unsigned char* (*)(unsigned);
    constexpr unsigned kGlRenderer = 0x1f01;
    if (SDL_GL_GetCurrentContext() == nullptr) return false;
    const auto get_string = reinterpret_cast<GetString>(SDL_GL_GetProcAddress("glGetString"));
    const unsigned char* found = get_string ? get_string(kGlRenderer) : nullptr;
    const std::string_view name = found ? reinterpret_cast<const char*>(found) : "";
    return name.starts_with("llvmpipe") || name.starts_with("softpipe") ||
           name.find("Software Rasterizer") != std::string_view::npos;
}

// SDL's own software draws the same with less, and a window whose size changes does not lose its
// picture there, as it does with llvmpipe.
Owned<SDL_Renderer> make_renderer(SDL_Window* window) {
    Owned<SDL_Renderer> renderer(SDL_CreateRenderer(window, -1, 0));
    if (!renderer || !is_emulated()) return renderer;
    renderer.reset();
    return Owned<SDL_Renderer>(SDL_CreateRenderer(window, -1, SDL_RENDERER_SOFTWARE));
}

}  // namespace

DisplayWindow::DisplayWindow(HeadKey key, Owned<SDL_Window> window, Owned<SDL_Renderer> renderer)
    : key_(key),
      window_(std::move(window)),
      renderer_(std::move(renderer)),
      overlay_(std::make_unique<Overlay>(window_.get(), renderer_.get())) {}

std::unique_ptr<DisplayWindow> DisplayWindow::open(HeadKey key, bool fullscreen) {
    const Uint32 flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI |
                         static_cast<Uint32>(fullscreen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
    Owned<SDL_Window> window(SDL_CreateWindow("segue-view", SDL_WINDOWPOS_UNDEFINED,
                                              SDL_WINDOWPOS_UNDEFINED, 640, 480, flags));
    if (!window) return nullptr;
    Owned<SDL_Renderer> renderer = make_renderer(window.get());
    if (!renderer) return nullptr;
    return std::unique_ptr<DisplayWindow>(
        new DisplayWindow(key, std::move(window), std::move(renderer)));
}

bool DisplayWindow::upload(const Image& image, const Rect& damage) {
    const int depth = spice::canvas::bits_per_pixel(image.format());
    const auto format = depth == 32                        ? SDL_PIXELFORMAT_RGB888
                        : image.format() == Format::rgb565 ? SDL_PIXELFORMAT_RGB565
                                                           : SDL_PIXELFORMAT_RGB555;
    Rect head = intersection(area_, image.bounds());
    if (head.empty()) head = image.bounds();
    Rect part = intersection(damage, head);
    const auto width = static_cast<int>(head.width()), height = static_cast<int>(head.height());
    const bool resized = width != width_ || height != height_;
    if (!texture_ || resized || head.left != shown_.left || head.top != shown_.top) {
        width_ = width;
        height_ = height;
        shown_ = head;
        texture_.reset(SDL_CreateTexture(renderer_.get(), format, SDL_TEXTUREACCESS_STREAMING,
                                         width_, height_));
        // Pixels stay pixels, however large they are shown.
        if (texture_) SDL_SetTextureScaleMode(texture_.get(), SDL_ScaleModeNearest);
        part = head;
    }
    if (!texture_ || part.empty() || depth < 15) return resized;
    const SDL_Rect to{part.left - head.left, part.top - head.top, static_cast<int>(part.width()),
                      static_cast<int>(part.height())};
    SDL_UpdateTexture(texture_.get(), &to, image.line(part.top) + part.left * (depth / 8),
                      image.stride());
    return resized;
}

// As large as fits, in the guest's own proportions, in the middle.
SDL_Rect DisplayWindow::place() const {
    const Size size = pixels();
    if (width_ == 0 || height_ == 0) return {0, 0, size.width, size.height};
    const double scale = std::min(1.0 * size.width / width_, 1.0 * size.height / height_);
    const int shown_width = static_cast<int>(width_ * scale);
    const int shown_height = static_cast<int>(height_ * scale);
    return {(size.width - shown_width) / 2, (size.height - shown_height) / 2, shown_width,
            shown_height};
}

void DisplayWindow::set_pointer(std::optional<Pointer> pointer) {
    const bool is_other = pointer && (!pointer_ || pointer_->picture != pointer->picture);
    pointer_ = std::move(pointer);
    if (!is_other) return;
    const Image& picture = *pointer_->picture;
    const auto width = static_cast<std::size_t>(picture.width());
    std::vector<std::uint32_t> pixels;
    for (std::int32_t y = 0; y < picture.height(); ++y) {
        const auto* line = reinterpret_cast<const std::uint32_t*>(picture.line(y));
        for (std::size_t x = 0; x < width; ++x)
            pixels.push_back(unmultiplied(line[x]));
    }
    pointer_texture_.reset(SDL_CreateTexture(renderer_.get(), SDL_PIXELFORMAT_ARGB8888,
                                             SDL_TEXTUREACCESS_STATIC, picture.width(),
                                             picture.height()));
    if (!pointer_texture_) return;
    SDL_SetTextureBlendMode(pointer_texture_.get(), SDL_BLENDMODE_BLEND);
    SDL_UpdateTexture(pointer_texture_.get(), nullptr, pixels.data(), static_cast<int>(width * 4));
}

void DisplayWindow::draw_pointer(const SDL_Rect& place) {
    if (!pointer_ || !pointer_texture_ || width_ == 0 || height_ == 0) return;
    const Image& picture = *pointer_->picture;
    const auto scaled = [](std::int64_t value, int to, int from) {
        return static_cast<int>(value * to / from);
    };
    const SDL_Rect to{place.x + scaled(pointer_->x - shown_.left, place.w, width_),
                      place.y + scaled(pointer_->y - shown_.top, place.h, height_),
                      scaled(picture.width(), place.w, width_),
                      scaled(picture.height(), place.h, height_)};
    SDL_RenderSetClipRect(renderer_.get(), &place);
    SDL_RenderCopy(renderer_.get(), pointer_texture_.get(), nullptr, &to);
    SDL_RenderSetClipRect(renderer_.get(), nullptr);
}

void DisplayWindow::draw(const OverlayText& text) {
    SDL_SetRenderDrawColor(renderer_.get(), 0, 0, 0, 255);
    SDL_RenderClear(renderer_.get());
    const SDL_Rect to = place();
    if (texture_) {
        // Fewer pixels than the guest has: those between two are mixed, or letters lose strokes.
        SDL_SetTextureScaleMode(texture_.get(),
                                to.w < width_ ? SDL_ScaleModeLinear : SDL_ScaleModeNearest);
        SDL_RenderCopy(renderer_.get(), texture_.get(), nullptr, &to);
        draw_pointer(to);
    }
    overlay_->draw(text);
    SDL_RenderPresent(renderer_.get());
}

std::optional<DisplayWindow::Point> DisplayWindow::to_guest(int x, int y) const {
    // Events count in points, the picture in pixels.
    int points_wide = 0, points_high = 0;
    SDL_GetWindowSize(window_.get(), &points_wide, &points_high);
    const SDL_Rect to = place();
    if (to.w == 0 || to.h == 0 || width_ == 0 || points_wide == 0 || points_high == 0)
        return std::nullopt;
    const Size size = pixels();
    const int pixel_x = x * size.width / points_wide, pixel_y = y * size.height / points_high;
    const int guest_x = (pixel_x - to.x) * width_ / to.w;
    const int guest_y = (pixel_y - to.y) * height_ / to.h;
    return Point{static_cast<std::uint32_t>(shown_.left + std::clamp(guest_x, 0, width_ - 1)),
                 static_cast<std::uint32_t>(shown_.top + std::clamp(guest_y, 0, height_ - 1))};
}

void DisplayWindow::fit(int zoom_percent) {
    if (width_ == 0 || is_fullscreen()) return;
    const Size size{width_ * zoom_percent / 100, height_ * zoom_percent / 100};
    fitted_ = size;
    SDL_SetWindowSize(window_.get(), size.width, size.height);
}

void DisplayWindow::set_fullscreen(bool on) {
    SDL_SetWindowFullscreen(window_.get(), on ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
}

bool DisplayWindow::is_fullscreen() const {
    return (SDL_GetWindowFlags(window_.get()) & SDL_WINDOW_FULLSCREEN_DESKTOP) != 0;
}

DisplayWindow::Size DisplayWindow::pixels() const {
    Size size{};
    SDL_GetRendererOutputSize(renderer_.get(), &size.width, &size.height);
    return size;
}

}  // namespace segue::viewer
