// SPDX-License-Identifier: LGPL-2.1-or-later
// Windows and the user; what the session says stands in application_session.cpp.
#include "viewer/window/application.h"

#include <SDL.h>

#include <csignal>
#include <cstdio>
#include <filesystem>

#include "base/log.h"
#include "viewer/png.h"

namespace segue::viewer {
namespace {

constexpr Duration kPollInterval = 8ms;
constexpr Duration kNoticeTime = 4s;
constexpr Duration kStatisticsInterval = 1s;
// The user has stopped pulling at the window.
constexpr Duration kResizePatience = 500ms;

bool failed() {
    std::fprintf(stderr, "segue-view: no window: %s; --headless needs no screen\n", SDL_GetError());
    return false;
}

std::string amount_a_second(std::uint64_t bytes) {
    if (bytes < 10240) return fmt::format("{} B/s", bytes);
    if (bytes < (10 << 20)) return fmt::format("{} KiB/s", bytes >> 10);
    return fmt::format("{} MiB/s", bytes >> 20);
}

}  // namespace

Application::Application(RunLoop& loop, const Options& options)
    : loop_(loop),
      options_(options),
      settings_(options.settings),
      resolver_(loop),
      environment_{loop, resolver_, {}},
      input_([this] { return session_ && !session_is_over_ ? session_->inputs() : nullptr; },
             options),
      sound_(loop,
             [this](std::span<const std::int16_t> samples) {
                 if (auto* record = session_->record())
                     record->give(samples, session_->media_time());
             }),
      shared_(
          loop, options.devices, [this] { return session_is_over_ ? nullptr : session_.get(); },
          [this](const std::string& name, bool there) {
              set_notice(name + (there ? " is shared with the guest" : " is no longer shared"));
          },
          [this](const Error& error) { on_problem(error); }),
      poll_timer_(loop.make_timer([this] { poll(); })),
      notice_timer_(loop.make_timer([this] { set_notice({}); })),
      resize_timer_(loop.make_timer([this] { resize_guest(); })),
      statistics_timer_(loop.make_timer([this] { count_statistics(); })),
      restart_timer_(loop.make_timer([this] { start_session(); })),
      zoom_percent_(options.zoom_percent) {}

Application::~Application() = default;

bool Application::open() {
    SDL_SetHint(SDL_HINT_VIDEO_ALLOW_SCREENSAVER, "1");
    // What desktops match with segue-view.desktop; otherwise it is this program's name.
    SDL_setenv("SDL_VIDEO_X11_WMCLASS", "segue-view", 0);
    SDL_setenv("SDL_VIDEO_WAYLAND_WMCLASS", "segue-view", 0);
    // Signals are ours, since a kiosk takes no SDL_QUIT.
    SDL_SetHint(SDL_HINT_NO_SIGNAL_HANDLERS, "1");
    // Closing the window and the release key must work, whatever is grabbed.
    SDL_SetHint(SDL_HINT_GRAB_KEYBOARD, "0");
    if (SDL_Init(SDL_INIT_VIDEO) != 0) return failed();
    auto window = DisplayWindow::open({}, options_.fullscreen);
    if (!window) return failed();
    windows_.emplace(HeadKey{}, std::move(window));
    return true;
}

int Application::run() {
    for (const int signal : {SIGINT, SIGTERM})
        loop_.on_signal(signal, [this] {
            was_told_to_end_ = true;
            leave();
        });
    poll_timer_->start(kPollInterval);
    statistics_timer_->start(kStatisticsInterval);
    start_session();
    loop_.run();
    // Whoever ends it so is not told of a session that was not there just then.
    return was_told_to_end_ && !shows_failure_ ? 0 : exit_code_;
}

DisplayWindow& Application::first() {
    const auto seen = std::find_if(windows_.begin(), windows_.end(),
                                   [](const auto& each) { return each.second->is_visible(); });
    return *(seen == windows_.end() ? windows_.begin() : seen)->second;
}

DisplayWindow* Application::window_of(std::uint32_t sdl_id) {
    for (const auto& [key, window] : windows_) {
        if (window->id() == sdl_id) return window.get();
    }
    return nullptr;
}

// --- Events --------------------------------------------------------------------------------------

void Application::poll() {
    SDL_Event event;
    while (SDL_PollEvent(&event)) {
        if (event.type == SDL_QUIT && !options_.kiosk) return leave();
        handle(event);
        // A frame for each event: a key that is pressed and let go between two would be missed.
        if (first().overlay().is_asking()) first().draw(overlay_);
    }
    input_.tick();
    // A question has a blinking cursor.
    if (first().overlay().is_asking()) first().draw(overlay_);
    poll_timer_->start(kPollInterval);
}

void Application::leave() {
    leaving_ = true;
    if (!session_is_over_) return session_->close();
    loop_.stop();
}

void Application::handle(const SDL_Event& event) {
    if (first().overlay().handle(event)) return;
    switch (event.type) {
        case SDL_WINDOWEVENT: return on_window_event(event.window);
        case SDL_KEYDOWN:
        case SDL_KEYUP: {
            // Pressed for it, and not held since the guest had it.
            if (shows_failure_ && event.type == SDL_KEYDOWN && event.key.repeat == 0 &&
                event.key.keysym.sym == SDLK_ESCAPE) {
                return leave();
            }
            DisplayWindow* window = window_of(event.key.windowID);
            const auto action = input_.on_key(event.key);
            if (action && window != nullptr) perform(*action, *window);
            return;
        }
        case SDL_MOUSEMOTION:
            if (auto* window = window_of(event.motion.windowID))
                input_.on_motion(event.motion, *window);
            return;
        case SDL_MOUSEBUTTONDOWN:
        case SDL_MOUSEBUTTONUP:
            if (auto* window = window_of(event.button.windowID))
                input_.on_button(event.button, *window);
            return set_titles();
        case SDL_MOUSEWHEEL: return input_.on_wheel(event.wheel.y);
        case SDL_CLIPBOARDUPDATE:
            if (session_->agent().is_ready()) clipboard_.offer(session_->agent());
            return;
        case SDL_DROPFILE: {
            const std::string path = event.drop.file;
            SDL_free(event.drop.file);
            return send_file(path);
        }
        default: return;
    }
}

void Application::on_window_event(const SDL_WindowEvent& event) {
    DisplayWindow* window = window_of(event.windowID);
    if (window == nullptr) return;
    switch (event.event) {
        case SDL_WINDOWEVENT_FOCUS_GAINED:
            input_.on_focus(*window);
            shared_.set_focused(true);
            if (session_->agent().is_ready()) clipboard_.offer(session_->agent());
            break;
        case SDL_WINDOWEVENT_FOCUS_LOST:
            input_.on_focus_lost();
            shared_.set_focused(false);
            break;
        case SDL_WINDOWEVENT_SIZE_CHANGED:
            if (options_.resizes_guest) resize_timer_->start(kResizePatience);
            break;
        case SDL_WINDOWEVENT_CLOSE: return on_window_closed(*window);
        default: break;
    }
    set_titles();
    window->draw(window == &first() ? overlay_ : OverlayText{});
}

// --- What the user does with the viewer itself ---------------------------------------------------

void Application::perform(Action action, DisplayWindow& window) {
    switch (action) {
        case Action::toggle_fullscreen:
            if (!options_.kiosk) window.set_fullscreen(!window.is_fullscreen());
            return;
        case Action::release_cursor: input_.release(); return set_titles();
        case Action::zoom_in: return set_zoom(zoom_percent_ + 10);
        case Action::zoom_out: return set_zoom(zoom_percent_ - 10);
        case Action::zoom_reset: return set_zoom(100);
        case Action::secure_attention: return input_.send_secure_attention();
        case Action::smartcard_insert: return shared_.move_cards(true);
        case Action::smartcard_remove: return shared_.move_cards(false);
        case Action::usb_device_reset: return shared_.replug_usb();
        case Action::toggle_overlay:
            shows_statistics_ = !shows_statistics_;
            return count_statistics();
        case Action::screenshot: return take_screenshot(window);
        case Action::show_displays: return show_displays();
    }
}

// One of several is hidden, and can come back; the last one that is seen is the viewer's end. (SDL
// itself says that only of one that is the only one.)
void Application::on_window_closed(DisplayWindow& window) {
    if (options_.kiosk || windows_.size() < 2) return;
    if (window.overlay().is_asking()) return leave();
    SDL_HideWindow(window.window());
    const bool is_one_left = std::any_of(windows_.begin(), windows_.end(), [](const auto& each) {
        return each.second->is_visible();
    });
    if (!is_one_left) return leave();
    const std::string keys = options_.hotkeys.text_of(Action::show_displays);
    set_notice(keys.empty() ? "a window is closed" : keys + " brings closed windows back");
}

void Application::show_displays() {
    for (const auto& [key, each] : windows_) {
        if (!each->is_visible()) SDL_ShowWindow(each->window());
    }
    draw_all();
}

void Application::set_zoom(int percent) {
    zoom_percent_ = std::clamp(percent, 10, 400);
    for (const auto& [key, window] : windows_)
        window->fit(zoom_percent_);
    set_notice(fmt::format("zoom {} %", zoom_percent_));
}

void Application::take_screenshot(const DisplayWindow& window) {
    auto* display = session_->display(window.key().display);
    if (display == nullptr) return;
    std::string file = options_.screenshot_file;
    for (int number = 1; file.empty() || std::filesystem::exists(file); ++number)
        file = fmt::format("segue-view-{}.png", number);
    display->painter().look([&](const spice::canvas::Image* image) {
        if (image == nullptr) return;
        const Result<> written = write_png(*image, file);
        set_notice(written ? "screenshot in " + file : written.error().message);
    });
}

void Application::send_file(const std::string& path) {
    if (options_.settings.read_only) return set_notice("a watcher sends no files");
    if (!session_->agent().is_ready())
        return set_notice("files need the SPICE agent in the guest, and it is not there");
    const auto id = files_->send(path);
    set_notice(id ? "sending " + path : id.error().message);
}

// The guest's screens as large as their windows.
void Application::resize_guest() {
    std::vector<spice::wire::agent::Monitor> monitors;
    std::int32_t left = 0;
    bool wished = false;
    for (const auto& [key, window] : windows_) {
        const auto size = window->pixels();
        wished = wished || !window->was_fitted_to(size);
        monitors.push_back({static_cast<std::uint32_t>(size.height),
                            static_cast<std::uint32_t>(size.width), 32, left, 0});
        left += size.width;
    }
    // Zoomed windows show the guest as it is.
    if (wished && zoom_percent_ == 100) session_->agent().set_monitors(std::move(monitors));
}

// --- What the user sees --------------------------------------------------------------------------

void Application::draw_all() {
    for (const auto& [key, window] : windows_)
        window->draw(window.get() == &first() ? overlay_ : OverlayText{});
}

void Application::set_notice(std::string notice, bool stays) {
    overlay_.notice = std::move(notice);
    notice_timer_->cancel();
    if (!overlay_.notice.empty() && !stays) notice_timer_->start(kNoticeTime);
    set_titles();
    draw_all();
}

void Application::set_titles() {
    std::string title = !options_.title.empty() ? options_.title
                        : !guest_name_.empty()  ? guest_name_
                                                : settings_.endpoint.text();
    const std::string keys = options_.hotkeys.text_of(Action::release_cursor);
    if (input_.is_grabbed() && !keys.empty()) title += fmt::format(" ({} releases)", keys);
    if (!overlay_.notice.empty()) title += " - " + overlay_.notice;
    for (const auto& [key, window] : windows_) {
        const std::string number =
            windows_.size() > 1 ? fmt::format(" [{}:{}]", key.display, key.head) : "";
        SDL_SetWindowTitle(window->window(), (title + number).c_str());
    }
}

void Application::count_statistics() {
    statistics_timer_->start(kStatisticsInterval);
    const std::uint64_t frames = std::exchange(frames_, 0);
    const std::uint64_t total = session_ ? session_->bytes_received() : 0;
    const std::uint64_t bytes = total - std::min(total, std::exchange(bytes_before_, total));
    const bool had_some = !overlay_.statistics.empty();
    overlay_.statistics.clear();
    if (shows_statistics_ && session_) {
        const auto round_trip = session_->round_trip_us();
        const auto& settings = session_->settings();
        overlay_.statistics = {
            {"host", settings.endpoint.text()},
            {"security", session_->is_secure() ? "TLS" : "none"},
            {"round trip", round_trip ? fmt::format("{:.1f} ms", *round_trip / 1000.0) : "local"},
            {"frames", fmt::format("{}/s", frames)},
            {"received", amount_a_second(bytes)},
            {"codec", codec_},
            {"screen", fmt::format("{} x {}", first().guest_width(), first().guest_height())}};
    }
    if (had_some || !overlay_.statistics.empty()) first().draw(overlay_);
}

}  // namespace segue::viewer
