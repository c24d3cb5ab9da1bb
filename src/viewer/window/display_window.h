// SPDX-License-Identifier: LGPL-2.1-or-later
// One window with one head of the guest: its texture, its place in the window, its size.
#pragma once

#include <SDL.h>

#include <memory>
#include <optional>
#include <string>

#include "spice/canvas/image.h"
#include "spice/client/settings.h"
#include "viewer/window/overlay.h"

namespace segue::viewer {

struct FreeSdl {
    void operator()(SDL_Window* window) const { SDL_DestroyWindow(window); }
    void operator()(SDL_Renderer* renderer) const { SDL_DestroyRenderer(renderer); }
    void operator()(SDL_Texture* texture) const { SDL_DestroyTexture(texture); }
    void operator()(SDL_Cursor* cursor) const { SDL_FreeCursor(cursor); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeSdl>;

// A head is a part of a display channel's primary surface.
struct HeadKey {
    std::uint8_t display = 0;
    std::uint32_t head = 0;
    friend auto operator<=>(const HeadKey&, const HeadKey&) = default;
};

class DisplayWindow {
  public:
    // Null, with SDL_GetError(), where there is no screen.
    static std::unique_ptr<DisplayWindow> open(HeadKey key, bool fullscreen);

    HeadKey key() const { return key_; }
    std::uint32_t id() const { return SDL_GetWindowID(window_.get()); }
    SDL_Window* window() { return window_.get(); }
    Overlay& overlay() { return *overlay_; }
    // False: the user has closed it.
    bool is_visible() const { return (SDL_GetWindowFlags(window_.get()) & SDL_WINDOW_SHOWN) != 0; }

    // The part of the surface that is shown here; empty: all of it.
    void set_area(const spice::canvas::Rect& area) { area_ = area; }
    // Takes over what has changed. True when the guest's size is another one now.
    bool upload(const spice::canvas::Image& image, const spice::canvas::Rect& damage);
    // The guest's own pointer, where the desktop's is not in its place; nothing: none. `x` and `y`:
    // of its left upper corner, in the surface. The picture is that of pointer_picture().
    struct Pointer {
        spice::canvas::SharedImage picture;
        std::int32_t x = 0, y = 0;
    };
    void set_pointer(std::optional<Pointer> pointer);
    void draw(const OverlayText& text);

    // Where this point of the window is in the guest's surface.
    struct Point {
        std::uint32_t x, y;
    };
    std::optional<Point> to_guest(int x, int y) const;

    // The window as large as the guest at this zoom.
    void fit(int zoom_percent);
    void set_fullscreen(bool on);
    bool is_fullscreen() const;
    int guest_width() const { return width_; }
    int guest_height() const { return height_; }
    struct Size {
        int width, height;
        friend bool operator==(const Size&, const Size&) = default;
    };
    Size pixels() const;  // of the window
    // The size that fit() asked for last: it is no wish of the user.
    bool was_fitted_to(Size size) const { return fitted_ && *fitted_ == size; }

  private:
    DisplayWindow(HeadKey key, Owned<SDL_Window> window, Owned<SDL_Renderer> renderer);
    SDL_Rect place() const;
    void draw_pointer(const SDL_Rect& place);

    HeadKey key_;
    Owned<SDL_Window> window_;
    Owned<SDL_Renderer> renderer_;
    std::unique_ptr<Overlay> overlay_;
    Owned<SDL_Texture> texture_;
    std::optional<Pointer> pointer_;
    Owned<SDL_Texture> pointer_texture_;
    spice::canvas::Rect area_;
    spice::canvas::Rect shown_;  // of the surface, with the size of the texture
    int width_ = 0;
    int height_ = 0;
    std::optional<Size> fitted_;
};

}  // namespace segue::viewer
