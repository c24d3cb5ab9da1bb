// SPDX-License-Identifier: LGPL-2.1-or-later
// What the session says to the windows.
#include <SDL.h>

#include "base/log.h"
#include "viewer/window/application.h"
#include "viewer/window/pointer.h"

namespace segue::viewer {
namespace {

constexpr Duration kKioskPause = 2s;

}  // namespace

void Application::start_session() {
    session_is_over_ = false;
    session_ = std::make_unique<spice::client::Session>(environment_, settings_, *this);
    files_ = std::make_unique<FileSender>(session_->agent());
    if (options_.display_config) session_->agent().set_display(*options_.display_config);
    set_notice("connecting to " + settings_.endpoint.text(), true);
    session_->start();
}

// --- Life ----------------------------------------------------------------------------------------

void Application::on_connected() {
    was_connected_ = true;
    remember_home();
    set_notice({});
}

void Application::on_migrate_begin(const Endpoint& target, bool) {
    set_notice("moving to " + target.text(), true);
}

// Where the next session begins, if there is one: its certificate is another one, too.
void Application::remember_home() {
    settings_.endpoint = session_->settings().endpoint;
    settings_.trust = session_->settings().trust;
    settings_.all_secure = session_->settings().all_secure;
}

void Application::on_migrate_done(const Endpoint& home, MoveManner) {
    remember_home();
    // The picture itself says it better, when it has come.
    if (overlay_.notice.starts_with("moving")) set_notice("moved to " + home.text());
}

void Application::on_migrate_cancelled() {
    set_notice("the move was cancelled");
}

void Application::on_problem(const Error& error) {
    log_warning("viewer", "{}", error.message);
}

void Application::on_lost(const Error& error) {
    log_warning("viewer", "{}", error.message);
    set_notice("connection lost, trying again", true);
}

void Application::on_over(const std::optional<Error>& error) {
    session_is_over_ = true;
    sound_.stop();
    sound_.stop_recording();
    if (error) log_error("viewer", "{}", error->message);
    if (session_->was_denied() && !leaving_) {
        set_notice(settings_.password.empty() ? "" : "that password is not the right one", true);
        return first().overlay().ask_password(settings_.endpoint.text(),
                                              [this](const std::string& password) {
                                                  settings_.password = password;
                                                  restart_timer_->start(1ms);
                                              });
    }
    if (options_.kiosk && !options_.kiosk_quits && !leaving_) {
        set_notice("disconnected, trying again", true);
        return restart_timer_->start(kKioskPause);
    }
    exit_code_ = error || !was_connected_ ? 1 : 0;
    if (error && !leaving_ && !options_.kiosk) return show_failure(*error);
    loop_.stop();
}

// Whoever did not start the viewer from a terminal reads it here, and nowhere else.
void Application::show_failure(const Error& error) {
    shows_failure_ = true;
    input_.release();
    set_notice(error.message + " (Escape closes)", true);
}

void Application::on_name(const std::string& name) {
    guest_name_ = name;
    set_titles();
}

// --- Picture -------------------------------------------------------------------------------------

void Application::on_picture(ChannelKey display, const DisplayNews& news, bool from_target) {
    if (news.heads) {
        show_heads(display.id, *news.heads);
        // Nothing was drawn, but it is to be seen elsewhere now.
        if (news.damage.empty()) show_picture(display.id, {0, 0, news.width, news.height});
    }
    if (news.damage.empty()) return;
    ++frames_;
    codec_ = news.codec;
    // How long the picture stood still while the machine moved.
    if (from_target) {
        set_notice(fmt::format("moved to {}, the picture stood still for {} ms",
                               session_->settings().endpoint.text(),
                               to_ms(loop_.now() - last_picture_)));
    }
    last_picture_ = loop_.now();
    show_picture(display.id, news.damage.extents());
}

void Application::show_picture(std::uint8_t display, const spice::canvas::Rect& damage) {
    if (display != 0 && !windows_.contains({display, 0})) show_heads(display, {});
    session_->display(display)->painter().look([&](const spice::canvas::Image* image) {
        if (image == nullptr) return;
        for (const auto& [key, window] : windows_) {
            if (key.display != display) continue;
            if (window->upload(*image, damage)) window->fit(zoom_percent_);
        }
    });
    for (const auto& [key, window] : windows_) {
        if (key.display == display)
            window->draw(window.get() == &first() ? overlay_ : OverlayText{});
    }
}

// A window for each head; the first one of all stays whatever the guest says.
void Application::show_heads(std::uint8_t display,
                             const std::vector<spice::wire::display::Head>& heads) {
    constexpr std::size_t kMaxWindows = 16;
    std::map<HeadKey, spice::canvas::Rect> wanted;
    for (const auto& head : heads) {
        const bool impossible =
            head.x > spice::wire::kPictureSide || head.y > spice::wire::kPictureSide;
        if (head.width == 0 || head.height == 0 || impossible) continue;
        const auto left = static_cast<std::int32_t>(head.x),
                   top = static_cast<std::int32_t>(head.y);
        wanted[{display, head.monitor_id}] = {left, top,
                                              left + static_cast<std::int32_t>(head.width),
                                              top + static_cast<std::int32_t>(head.height)};
    }
    if (wanted.empty()) wanted[{display, 0}] = {};
    for (auto each = windows_.begin(); each != windows_.end();) {
        const bool goes = each->first.display == display && each->first != HeadKey{} &&
                          !wanted.contains(each->first);
        each = goes ? windows_.erase(each) : std::next(each);
    }
    for (const auto& [key, area] : wanted) {
        if (!windows_.contains(key) && windows_.size() < kMaxWindows) {
            if (auto window = DisplayWindow::open(key, options_.fullscreen))
                windows_.emplace(key, std::move(window));
        }
        if (windows_.contains(key)) windows_.at(key)->set_area(area);
    }
    // The guest has taken the last one away that was seen.
    if (!first().is_visible()) SDL_ShowWindow(first().window());
    set_titles();
}

void Application::on_cursor(ChannelKey key, const spice::client::CursorState& state) {
    GuestPointer& pointer = pointers_[key.id];
    if (state.shape != pointer.state.shape) {
        pointer.picture.reset();
        if (state.shape && state.shape->image) {
            if (auto picture = pointer_picture(*state.shape))
                pointer.picture = std::make_shared<const spice::canvas::Image>(std::move(*picture));
        }
    }
    pointer.state = state;
    show_pointer(key.id, pointer);
}

// Where the guest says itself where its pointer is, it is drawn there; else the desktop's has the
// guest's shape.
void Application::show_pointer(std::uint8_t display, const GuestPointer& pointer) {
    const bool is_drawn = !input_.is_absolute() && pointer.state.visible && pointer.picture;
    std::optional<DisplayWindow::Pointer> drawn;
    if (is_drawn) {
        drawn = {pointer.picture, pointer.state.x - pointer.state.shape->hot_x,
                 pointer.state.y - pointer.state.shape->hot_y};
    }
    for (const auto& [key, window] : windows_) {
        if (key.display != display) continue;
        window->set_pointer(drawn);
        window->draw(window.get() == &first() ? overlay_ : OverlayText{});
    }
    if (input_.is_absolute()) show_in_place_of_desktops(pointer);
}

void Application::show_in_place_of_desktops(const GuestPointer& pointer) {
    if (!pointer.picture) {
        SDL_ShowCursor(SDL_ENABLE);
        return;
    }
    const bool shows =
        pointer.state.visible || options_.local_cursor || options_.shows_hidden_cursor;
    SDL_ShowCursor(shows ? SDL_ENABLE : SDL_DISABLE);
    if (pointer.picture == cursor_picture_ || options_.local_cursor) return;
    cursor_picture_ = pointer.picture;
    const auto& image = *cursor_picture_;
    const auto& shape = *pointer.state.shape;
    SDL_Surface* surface = SDL_CreateRGBSurfaceWithFormatFrom(
        const_cast<std::uint8_t*>(image.line(0)), image.width(), image.height(), 32, image.stride(),
        SDL_PIXELFORMAT_ARGB8888);
    Owned<SDL_Cursor> cursor(SDL_CreateColorCursor(surface, shape.hot_x, shape.hot_y));
    SDL_FreeSurface(surface);
    if (cursor) SDL_SetCursor(cursor.get());
    cursor_ = std::move(cursor);
}

// --- Input ---------------------------------------------------------------------------------------

void Application::on_mouse_mode(spice::wire::main::MouseMode mode) {
    input_.set_absolute(mode == spice::wire::main::MouseMode::client);
    if (!input_.is_absolute()) {
        // The desktop's own, until it is grabbed.
        SDL_SetCursor(SDL_GetDefaultCursor());
        SDL_ShowCursor(SDL_ENABLE);
        cursor_picture_.reset();
    }
    for (const auto& [display, pointer] : pointers_)
        show_pointer(display, pointer);
    set_titles();
}

void Application::on_modifiers(spice::wire::inputs::KeyboardModifiers modifiers) {
    input_.set_guest_modifiers(modifiers);
}

// --- Agent ---------------------------------------------------------------------------------------

void Application::on_agent_ready(bool ready) {
    if (ready) clipboard_.offer(session_->agent(), true);
}

void Application::on_guest_offer(Selection selection, const std::vector<ClipboardType>& types) {
    clipboard_.on_guest_offer(session_->agent(), selection, types);
}

void Application::on_guest_request(Selection selection, ClipboardType type) {
    clipboard_.on_guest_request(session_->agent(), selection, type);
}

void Application::on_guest_clipboard(Selection selection, ClipboardType type, ByteView data) {
    clipboard_.on_guest_clipboard(selection, type, data);
}

void Application::on_file_wanted(std::uint32_t id, std::size_t size) {
    files_->on_wanted(id, size);
}

void Application::on_file_over(std::uint32_t id, spice::wire::agent::FileStatus result) {
    const std::string path = files_->on_over(id);
    const bool good = result == spice::wire::agent::FileStatus::success;
    set_notice(good ? fmt::format("{} is in the guest", path)
                    : fmt::format("{} was not sent: {}", path, name_of(result)));
}

// --- What is shared ------------------------------------------------------------------------------

void Application::on_stream_up(ChannelKey key, bool up) {
    shared_.on_stream_up(key, up);
}

void Application::on_stream_data(ChannelKey key, ByteView data) {
    shared_.on_stream_data(key, data);
}

void Application::on_stream_drained(ChannelKey key) {
    shared_.on_stream_drained(key);
}

void Application::on_port(ChannelKey key, const std::string&, bool open) {
    shared_.on_port(key, open);
}

void Application::on_card_up(bool up) {
    shared_.on_card_up(up);
}

void Application::on_card_message(VscType type, std::uint32_t reader_id, ByteView data) {
    shared_.on_card_message(type, reader_id, data);
}

// --- Sound ---------------------------------------------------------------------------------------

void Application::on_sound_start(const spice::client::SoundFormat& format) {
    sound_.start(format);
}

void Application::on_sound_stop() {
    sound_.stop();
}

void Application::on_sound(std::span<const std::int16_t> samples, std::uint32_t media_time) {
    if (const auto delay = sound_.delay_ms()) session_->hear(media_time, *delay);
    sound_.play(samples);
}

void Application::on_sound_volume(const spice::client::SoundVolume& volume) {
    sound_.set_volume(volume);
}

void Application::on_sound_latency(std::uint32_t milliseconds) {
    sound_.set_latency(milliseconds);
}

void Application::on_record_start(const spice::client::SoundFormat& format) {
    sound_.start_recording(format);
}

void Application::on_record_stop() {
    sound_.stop_recording();
}

}  // namespace segue::viewer
