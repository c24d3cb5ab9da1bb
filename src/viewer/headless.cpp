// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/headless.h"

#include <unistd.h>

#include <csignal>
#include <cstdio>

#include "base/log.h"
#include "viewer/commands.h"
#include "viewer/headless_devices.h"
#include "viewer/png.h"

namespace segue::viewer {
namespace {

using spice::client::ChannelKey;
using spice::client::DisplayNews;
using spice::client::Endpoint;
using spice::client::MoveManner;

// Parts of one picture that come closer together than this are one frame.
constexpr Duration kFrameGap = 4ms;

class Headless final : public HeadlessDevices {
  public:
    Headless(RunLoop& loop, const Options& options, EventLog& events)
        : HeadlessDevices(loop, events, options.devices),
          loop_(loop),
          options_(options),
          resolver_(loop),
          environment_{loop, resolver_, {}},
          session_(environment_, options.settings, *this),
          frame_timer_(loop.make_timer([this] { write_frame(); })),
          end_timer_(loop.make_timer([this] { finish(); })) {}

    int run() {
        for (const int signal : {SIGINT, SIGTERM})
            loop_.on_signal(signal, [this] { finish(); });
        if (options_.seconds) {
            const std::chrono::duration<double> time(*options_.seconds);
            end_timer_->start(std::chrono::duration_cast<Duration>(time));
        }
        if (options_.takes_commands) {
            commands_ = std::make_unique<CommandReader>(
                loop_, STDIN_FILENO, [this](Result<Json> command) { on_command(command); });
        }
        session_.start();
        loop_.run();
        return exit_code_;
    }

  private:
    spice::client::Session& session() override { return session_; }
    void on_command(const Result<Json>& command) {
        if (command && command->text("cmd") == "screenshot") {
            save(std::string(command->text("path")));
            return write("screenshot");
        }
        const Result<> done =
            command ? run_command(*command) : Result<>(tl::unexpected(command.error()));
        if (!done) on_problem(done.error());
    }
    static std::string host_field(const Endpoint& endpoint) {
        return fmt::format("\"host\":{}", json_string(endpoint.text()));
    }

    void on_connected() override {
        was_connected_ = true;
        write("connected", fmt::format("{},\"secure\":{}", host_field(session_.settings().endpoint),
                                       session_.is_secure()));
    }
    void on_migrate_begin(const Endpoint& target, bool seamless) override {
        write("migrate-begin", fmt::format("{},\"seamless\":{}", host_field(target), seamless));
    }
    void on_target_connected(const Endpoint& target) override {
        write("target-connected", host_field(target));
    }
    void on_switch(const Endpoint& target, MoveManner manner) override {
        on_device_move(manner);
        write("switch", fmt::format("{},\"manner\":\"{}\"", host_field(target), name_of(manner)));
    }
    void on_migrate_done(const Endpoint& home, MoveManner manner) override {
        write("migrate-done", fmt::format("{},\"manner\":\"{}\",\"secure\":{}", host_field(home),
                                          name_of(manner), session_.is_secure()));
    }
    void on_migrate_cancelled() override {
        write("migrate-done",
              fmt::format("{},\"manner\":\"cancelled\",\"secure\":{}",
                          host_field(session_.settings().endpoint), session_.is_secure()));
    }
    void on_problem(const Error& error) override {
        log_warning("viewer", "{}", error.message);
        write("error", fmt::format("\"fatal\":false,\"code\":\"{}\",\"message\":{}",
                                   name_of(error.code), json_string(error.message)));
    }
    void on_lost(const Error& error) override {
        log_warning("viewer", "{}", error.message);
        write("disconnected",
              fmt::format("\"retrying\":true,\"message\":{}", json_string(error.message)));
    }
    void on_standby(const Endpoint& standby) override {
        write("standby", standby.host.empty() ? "\"host\":null" : host_field(standby));
    }
    void on_over(const std::optional<Error>& error) override {
        if (error) {
            log_error("viewer", "{}", error->message);
            write("error", fmt::format("\"fatal\":true,\"code\":\"{}\",\"message\":{}",
                                       name_of(error->code), json_string(error->message)));
        }
        if (was_connected_) write("disconnected", "\"retrying\":false");
        if (!options_.screenshot_file.empty()) save(options_.screenshot_file);
        exit_code_ = error || !was_connected_ ? 1 : 0;
        loop_.stop();
    }
    void on_picture(ChannelKey display, const DisplayNews& news, bool from_target) override {
        if (news.damage.empty()) return;
        if (from_target) {
            const auto gap = last_damage_ ? to_us(loop_.now() - *last_damage_) : 0;
            write("first-target-frame", fmt::format("\"blackout_us\":{}", gap));
        }
        last_damage_ = loop_.now();
        parts_ += news.messages;
        display_ = display.id;
        width_ = news.width;
        height_ = news.height;
        codec_ = news.codec;
        damage_.unite(news.damage);
        if (frame_pending_) return;
        frame_pending_ = true;
        // The first part of a frame is reported at once when the last frame is long enough ago.
        if (!last_frame_ || *last_damage_ - *last_frame_ >= kFrameGap) return write_frame();
        frame_timer_->start(kFrameGap - (*last_damage_ - *last_frame_));
    }
    void write_frame() {
        frame_pending_ = false;
        last_frame_ = loop_.now();
        const auto area = damage_.extents();
        write("frame",
              fmt::format("\"frame\":{},\"display\":{},\"width\":{},\"height\":{},"
                          "\"rect\":[{},{},{},{}],\"messages\":{},\"bytes\":{},"
                          "\"codec\":{}",
                          frames_, display_, width_, height_, area.left, area.top, area.right,
                          area.bottom, parts_, session_.bytes_received(), json_string(codec_)));
        if (!options_.frames_folder.empty())
            save(fmt::format("{}/frame-{:06}.png", options_.frames_folder, frames_));
        ++frames_;
        parts_ = 0;
        damage_ = {};
    }
    void save(const std::string& file) {
        auto* display = session_.display(display_);
        if (display == nullptr) return;
        display->painter().look([&](const spice::canvas::Image* image) {
            if (image == nullptr) return;
            if (const Result<> written = write_png(*image, file); !written)
                log_error("viewer", "{}", written.error().message);
        });
    }
    void finish() { session_.close(); }

    RunLoop& loop_;
    const Options& options_;
    std::unique_ptr<CommandReader> commands_;
    net::Resolver resolver_;
    spice::client::Environment environment_;
    spice::client::Session session_;
    std::unique_ptr<Timer> frame_timer_;
    std::unique_ptr<Timer> end_timer_;
    bool was_connected_ = false;
    bool frame_pending_ = false;
    std::optional<Instant> last_frame_;
    std::optional<Instant> last_damage_;
    spice::canvas::Region damage_;
    std::size_t parts_ = 0;
    std::uint64_t frames_ = 0;
    std::uint8_t display_ = 0;
    std::int32_t width_ = 0;
    std::int32_t height_ = 0;
    std::string codec_;
    int exit_code_ = 1;
};

}  // namespace

int run_headless(RunLoop& loop, const Options& options) {
    auto events = EventLog::open(options.events_file);
    if (!events) {
        std::fprintf(stderr, "segue-view: %s\n", events.error().message.c_str());
        return 2;
    }
    Headless headless(loop, options, *events);
    return headless.run();
}

}  // namespace segue::viewer
