// SPDX-License-Identifier: LGPL-2.1-or-later
// The viewer with windows: a session, a window for each head of the guest, and what goes between.
#pragma once

#include <map>

#include "spice/client/session.h"
#include "viewer/file_sender.h"
#include "viewer/options.h"
#include "viewer/shared_devices.h"
#include "viewer/window/clipboard.h"
#include "viewer/window/display_window.h"
#include "viewer/window/input.h"
#include "viewer/window/sound_device.h"

namespace segue::viewer {

class Application final : public spice::client::SessionListener {
  public:
    Application(RunLoop& loop, const Options& options);
    ~Application() override;

    // False, with a line on stderr, where there is no screen.
    bool open();
    int run();

  private:
    using ChannelKey = spice::client::ChannelKey;
    using DisplayNews = spice::client::DisplayNews;
    using Endpoint = spice::client::Endpoint;
    using MoveManner = spice::client::MoveManner;
    using Selection = spice::wire::agent::Selection;
    using ClipboardType = spice::wire::agent::ClipboardType;
    struct GuestPointer {
        spice::client::CursorState state;
        spice::canvas::SharedImage picture;  // of the state's shape; null: none
    };

    // application_session.cpp: what the session says.
    void on_connected() override;
    void on_migrate_begin(const Endpoint& target, bool seamless) override;
    void on_target_connected(const Endpoint&) override {}
    void on_switch(const Endpoint&, MoveManner manner) override {
        if (manner == MoveManner::seamless) shared_.on_moved();
    }
    void on_migrate_done(const Endpoint& home, MoveManner manner) override;
    void on_migrate_cancelled() override;
    void on_problem(const Error& error) override;
    void on_lost(const Error& error) override;
    void on_over(const std::optional<Error>& error) override;
    void on_name(const std::string& name) override;
    void on_mouse_mode(spice::wire::main::MouseMode mode) override;
    void on_modifiers(spice::wire::inputs::KeyboardModifiers modifiers) override;
    void on_picture(ChannelKey display, const DisplayNews& news, bool from_target) override;
    void on_cursor(ChannelKey cursor, const spice::client::CursorState& state) override;
    void on_agent_ready(bool ready) override;
    void on_guest_offer(Selection selection, const std::vector<ClipboardType>& types) override;
    void on_guest_request(Selection selection, ClipboardType type) override;
    void on_guest_clipboard(Selection selection, ClipboardType type, ByteView data) override;
    void on_file_wanted(std::uint32_t id, std::size_t size) override;
    void on_file_over(std::uint32_t id, spice::wire::agent::FileStatus result) override;
    void on_stream_up(ChannelKey key, bool up) override;
    void on_stream_data(ChannelKey key, ByteView data) override;
    void on_stream_drained(ChannelKey key) override;
    void on_port(ChannelKey key, const std::string& name, bool open) override;
    void on_card_up(bool up) override;
    void on_card_message(VscType type, std::uint32_t reader_id, ByteView data) override;
    void on_sound_start(const spice::client::SoundFormat& format) override;
    void on_sound_stop() override;
    void on_sound(std::span<const std::int16_t> samples, std::uint32_t media_time) override;
    void on_sound_volume(const spice::client::SoundVolume& volume) override;
    void on_sound_latency(std::uint32_t milliseconds) override;
    void on_record_start(const spice::client::SoundFormat& format) override;
    void on_record_stop() override;

    void start_session();
    void remember_home();
    void show_heads(std::uint8_t display, const std::vector<spice::wire::display::Head>& heads);
    void show_picture(std::uint8_t display, const spice::canvas::Rect& damage);
    void show_pointer(std::uint8_t display, const GuestPointer& pointer);
    void show_in_place_of_desktops(const GuestPointer& pointer);
    void show_failure(const Error& error);

    // application.cpp: windows and the user.
    DisplayWindow* window_of(std::uint32_t sdl_id);
    // Of those that are seen: where the user is asked and told things.
    DisplayWindow& first();
    void poll();
    void leave();
    void handle(const SDL_Event& event);
    void on_window_event(const SDL_WindowEvent& event);
    void on_window_closed(DisplayWindow& window);
    void show_displays();
    void perform(Action action, DisplayWindow& window);
    void set_zoom(int percent);
    void take_screenshot(const DisplayWindow& window);
    void send_file(const std::string& path);
    void resize_guest();
    void draw_all();
    void set_notice(std::string notice, bool stays = false);
    void set_titles();
    void count_statistics();

    RunLoop& loop_;
    const Options& options_;
    spice::client::Settings settings_;
    std::map<HeadKey, std::unique_ptr<DisplayWindow>> windows_;
    std::map<std::uint8_t, GuestPointer> pointers_;  // by display
    Owned<SDL_Cursor> cursor_;
    spice::canvas::SharedImage cursor_picture_;
    net::Resolver resolver_;
    spice::client::Environment environment_;
    std::unique_ptr<spice::client::Session> session_;
    Input input_;
    Clipboard clipboard_;
    SoundDevice sound_;
    SharedDevices shared_;
    std::unique_ptr<FileSender> files_;
    std::unique_ptr<Timer> poll_timer_;
    std::unique_ptr<Timer> notice_timer_;
    std::unique_ptr<Timer> resize_timer_;
    std::unique_ptr<Timer> statistics_timer_;
    std::unique_ptr<Timer> restart_timer_;
    OverlayText overlay_;
    bool shows_statistics_ = false;
    std::string guest_name_;
    std::string codec_;
    std::uint64_t frames_ = 0;
    std::uint64_t bytes_before_ = 0;
    Instant last_picture_;
    int zoom_percent_;
    bool was_connected_ = false;
    bool session_is_over_ = false;
    bool leaving_ = false;
    bool was_told_to_end_ = false;  // by a signal
    bool shows_failure_ = false;    // until the user has read it
    int exit_code_ = 1;
};

}  // namespace segue::viewer
