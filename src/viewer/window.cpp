// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window.h"

#include <SDL.h>

#include <cstdio>

#include "base/log.h"
#include "spice/client/session.h"
#include "viewer/keymap.h"

namespace segue::viewer {
namespace {

using spice::client::ChannelKey;
using spice::client::DisplayNews;
using spice::client::Endpoint;
using spice::client::MoveManner;
namespace inputs = spice::wire::inputs;

constexpr Duration kPollInterval = 8ms;
constexpr Duration kNoticeTime = 4s;
constexpr const char* kReleaseKeys = "Ctrl+Alt releases the pointer";

struct FreeSdl {
    void operator()(SDL_Window* window) const { SDL_DestroyWindow(window); }
    void operator()(SDL_Renderer* renderer) const { SDL_DestroyRenderer(renderer); }
    void operator()(SDL_Texture* texture) const { SDL_DestroyTexture(texture); }
    void operator()(SDL_Cursor* cursor) const { SDL_FreeCursor(cursor); }
};
template <class T>
using Owned = std::unique_ptr<T, FreeSdl>;

class Window final : public spice::client::SessionListener {
  public:
    Window(RunLoop& loop, const Options& options)
        : loop_(loop),
          options_(options),
          resolver_(loop),
          environment_{loop, resolver_, {}},
          session_(environment_, options.settings, *this),
          poll_timer_(loop.make_timer([this] { poll(); })),
          notice_timer_(loop.make_timer([this] { set_notice({}); })) {}

    // False, with a line on stderr, where there is no screen.
    bool open() {
        SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
        if (SDL_Init(SDL_INIT_VIDEO) != 0) return failed();
        const Uint32 flags = SDL_WINDOW_RESIZABLE | SDL_WINDOW_ALLOW_HIGHDPI |
                             (options_.fullscreen ? SDL_WINDOW_FULLSCREEN_DESKTOP : 0);
        window_.reset(SDL_CreateWindow("segue-view", SDL_WINDOWPOS_UNDEFINED,
                                       SDL_WINDOWPOS_UNDEFINED, 640, 480, flags));
        if (!window_) return failed();
        renderer_.reset(SDL_CreateRenderer(window_.get(), -1, 0));
        if (!renderer_) return failed();
        set_notice("connecting to " + options_.settings.endpoint.text());
        return true;
    }

    int run() {
        poll_timer_->start(kPollInterval);
        session_.start();
        loop_.run();
        return exit_code_;
    }

  private:
    static bool failed() {
        std::fprintf(stderr, "segue-view: no window: %s; --headless needs no screen\n",
                     SDL_GetError());
        return false;
    }

    // --- What the session says -------------------------------------------------------------------

    void on_connected() override {
        was_connected_ = true;
        set_notice({});
    }
    void on_migrate_begin(const Endpoint& target, bool) override {
        set_notice("moving to " + target.text());
    }
    void on_target_connected(const Endpoint&) override {}
    void on_switch(const Endpoint&, MoveManner) override {}
    void on_migrate_done(const Endpoint& home, MoveManner) override {
        set_notice("moved to " + home.text());
        notice_timer_->start(kNoticeTime);
    }
    void on_migrate_cancelled() override { set_notice({}); }
    void on_problem(const Error& error) override { log_warning("viewer", "{}", error.message); }
    void on_lost(const Error& error) override {
        log_warning("viewer", "{}", error.message);
        set_notice("connection lost, trying again");
    }
    void on_over(const std::optional<Error>& error) override {
        if (error) log_error("viewer", "{}", error->message);
        exit_code_ = error || !was_connected_ ? 1 : 0;
        loop_.stop();
    }
    void on_name(const std::string& name) override {
        guest_name_ = name;
        set_title();
    }
    void on_mouse_mode(spice::wire::main::MouseMode mode) override {
        absolute_ = mode == spice::wire::main::MouseMode::client;
        if (absolute_) grab(false);
    }
    void on_picture(ChannelKey display, const DisplayNews& news, bool from_target) override {
        if (display.id != 0 || news.damage.empty()) return;
        // How long the picture stood still while the machine moved.
        if (from_target) {
            set_notice(fmt::format("moved to {}, the picture stood still for {} ms",
                                   session_.settings().endpoint.text(),
                                   to_ms(loop_.now() - last_picture_)));
            notice_timer_->start(kNoticeTime);
        }
        last_picture_ = loop_.now();
        session_.display(0)->painter().look([&](const spice::canvas::Image* image) {
            if (image != nullptr) upload(*image, news.damage.extents());
        });
        draw();
    }
    void on_cursor(ChannelKey, const spice::client::CursorState& state) override {
        if (!state.shape || !state.shape->image) {
            SDL_ShowCursor(state.visible || absolute_ ? SDL_ENABLE : SDL_DISABLE);
            return;
        }
        SDL_ShowCursor(state.visible ? SDL_ENABLE : SDL_DISABLE);
        if (state.shape == shape_) return;
        shape_ = state.shape;
        const auto& image = *shape_->image;
        SDL_Surface* surface = SDL_CreateRGBSurfaceWithFormatFrom(
            const_cast<std::uint8_t*>(image.line(0)), image.width(), image.height(), 32,
            image.stride(), SDL_PIXELFORMAT_ARGB8888);
        Owned<SDL_Cursor> cursor(SDL_CreateColorCursor(surface, shape_->hot_x, shape_->hot_y));
        SDL_FreeSurface(surface);
        if (cursor) SDL_SetCursor(cursor.get());
        cursor_ = std::move(cursor);
    }

    // --- Picture ---------------------------------------------------------------------------------

    void upload(const spice::canvas::Image& image, const spice::canvas::Rect& damage) {
        const auto format =
            spice::canvas::bits_per_pixel(image.format()) == 32 ? SDL_PIXELFORMAT_RGB888
            : image.format() == spice::canvas::Format::rgb565   ? SDL_PIXELFORMAT_RGB565
                                                                : SDL_PIXELFORMAT_RGB555;
        spice::canvas::Rect area = intersection(damage, image.bounds());
        if (!texture_ || width_ != image.width() || height_ != image.height()) {
            width_ = image.width();
            height_ = image.height();
            texture_.reset(SDL_CreateTexture(renderer_.get(), format, SDL_TEXTUREACCESS_STREAMING,
                                             width_, height_));
            area = image.bounds();
            SDL_SetWindowSize(window_.get(), width_ * options_.zoom_percent / 100,
                              height_ * options_.zoom_percent / 100);
        }
        if (!texture_ || area.empty()) return;
        const SDL_Rect part{area.left, area.top, static_cast<int>(area.width()),
                            static_cast<int>(area.height())};
        const int bytes = spice::canvas::bits_per_pixel(image.format()) / 8;
        SDL_UpdateTexture(texture_.get(), &part, image.line(area.top) + area.left * bytes,
                          image.stride());
    }
    // The picture's place in the window: as large as fits, in its own proportions.
    SDL_Rect place() const {
        int width = 0, height = 0;
        SDL_GetRendererOutputSize(renderer_.get(), &width, &height);
        if (width_ == 0 || height_ == 0) return {0, 0, width, height};
        const double scale = std::min(1.0 * width / width_, 1.0 * height / height_);
        const int shown_width = static_cast<int>(width_ * scale);
        const int shown_height = static_cast<int>(height_ * scale);
        return {(width - shown_width) / 2, (height - shown_height) / 2, shown_width, shown_height};
    }
    void draw() {
        SDL_SetRenderDrawColor(renderer_.get(), 0, 0, 0, 255);
        SDL_RenderClear(renderer_.get());
        const SDL_Rect to = place();
        if (texture_) SDL_RenderCopy(renderer_.get(), texture_.get(), nullptr, &to);
        SDL_RenderPresent(renderer_.get());
    }
    void set_notice(std::string notice) {
        notice_ = std::move(notice);
        set_title();
    }
    void set_title() {
        std::string title = !options_.title.empty() ? options_.title
                            : !guest_name_.empty()  ? guest_name_
                                                    : options_.settings.endpoint.text();
        if (grabbed_) title += fmt::format(" ({})", kReleaseKeys);
        if (!notice_.empty()) title += " - " + notice_;
        SDL_SetWindowTitle(window_.get(), title.c_str());
    }

    // --- Keyboard and mouse ----------------------------------------------------------------------

    void poll() {
        SDL_Event event;
        while (SDL_PollEvent(&event)) {
            if (event.type == SDL_QUIT) return session_.close();
            handle(event);
        }
        poll_timer_->start(kPollInterval);
    }
    void handle(const SDL_Event& event) {
        switch (event.type) {
            case SDL_WINDOWEVENT:
                if (event.window.event == SDL_WINDOWEVENT_FOCUS_LOST) release_keys();
                return draw();
            case SDL_KEYDOWN:
            case SDL_KEYUP: return on_key(event.key);
            case SDL_MOUSEMOTION: return on_motion(event.motion);
            case SDL_MOUSEBUTTONDOWN:
            case SDL_MOUSEBUTTONUP: return on_button(event.button);
            case SDL_MOUSEWHEEL: return on_wheel(event.wheel.y);
            default: return;
        }
    }
    void on_key(const SDL_KeyboardEvent& event) {
        const bool pressed = event.type == SDL_KEYDOWN;
        if (pressed && event.keysym.sym == SDLK_F11 && (event.keysym.mod & KMOD_SHIFT)) {
            const bool full = SDL_GetWindowFlags(window_.get()) & SDL_WINDOW_FULLSCREEN_DESKTOP;
            SDL_SetWindowFullscreen(window_.get(), full ? 0 : SDL_WINDOW_FULLSCREEN_DESKTOP);
            return;
        }
        if (pressed && grabbed_ && (event.keysym.mod & KMOD_CTRL) && (event.keysym.mod & KMOD_ALT))
            grab(false);
        auto* input = session_.inputs();
        const std::uint32_t code = xt_scan_code(event.keysym.scancode);
        if (input == nullptr || code == 0) return;
        input->key(code, pressed);
        pressed ? void(pressed_.insert(code)) : void(pressed_.erase(code));
    }
    // A key that is let go in another window must not stay down in the guest.
    void release_keys() {
        if (auto* input = session_.inputs()) {
            for (const std::uint32_t code : pressed_)
                input->key(code, false);
        }
        pressed_.clear();
    }
    void grab(bool on) {
        grabbed_ = on;
        if (!window_) return;
        SDL_SetRelativeMouseMode(on ? SDL_TRUE : SDL_FALSE);
        set_title();
    }
    void on_motion(const SDL_MouseMotionEvent& event) {
        auto* input = session_.inputs();
        if (input == nullptr || width_ == 0) return;
        if (!absolute_) {
            if (grabbed_) input->motion(event.xrel, event.yrel);
            return;
        }
        const SDL_Rect to = place();
        if (to.w == 0 || to.h == 0) return;
        const int x = (event.x - to.x) * width_ / to.w, y = (event.y - to.y) * height_ / to.h;
        input->position(static_cast<std::uint32_t>(std::clamp(x, 0, width_ - 1)),
                        static_cast<std::uint32_t>(std::clamp(y, 0, height_ - 1)), 0);
    }
    void on_button(const SDL_MouseButtonEvent& event) {
        const bool pressed = event.type == SDL_MOUSEBUTTONDOWN;
        if (!absolute_ && !grabbed_) {
            if (pressed && !options_.settings.read_only) grab(true);
            return;
        }
        const auto button = event.button == SDL_BUTTON_LEFT     ? inputs::MouseButton::left
                            : event.button == SDL_BUTTON_MIDDLE ? inputs::MouseButton::middle
                            : event.button == SDL_BUTTON_RIGHT  ? inputs::MouseButton::right
                                                                : inputs::MouseButton::invalid;
        if (auto* input = session_.inputs()) input->button(button, pressed);
    }
    void on_wheel(int steps) {
        auto* input = session_.inputs();
        const auto button = steps > 0 ? inputs::MouseButton::up : inputs::MouseButton::down;
        for (int count = std::abs(steps); input != nullptr && count > 0; --count) {
            input->button(button, true);
            input->button(button, false);
        }
    }

    RunLoop& loop_;
    const Options& options_;
    Owned<SDL_Window> window_;
    Owned<SDL_Renderer> renderer_;
    Owned<SDL_Texture> texture_;
    Owned<SDL_Cursor> cursor_;
    net::Resolver resolver_;
    spice::client::Environment environment_;
    spice::client::Session session_;
    std::unique_ptr<Timer> poll_timer_;
    std::unique_ptr<Timer> notice_timer_;
    std::shared_ptr<const spice::client::CursorShape> shape_;
    std::set<std::uint32_t> pressed_;
    std::string guest_name_;
    std::string notice_;
    Instant last_picture_;
    int width_ = 0;
    int height_ = 0;
    bool absolute_ = false;
    bool grabbed_ = false;
    bool was_connected_ = false;
    int exit_code_ = 1;
};

}  // namespace

int run_window(RunLoop& loop, const Options& options) {
    int code = 1;
    {
        Window window(loop, options);
        if (window.open()) code = window.run();
    }
    SDL_Quit();
    return code;
}

}  // namespace segue::viewer
