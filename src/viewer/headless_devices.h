// SPDX-License-Identifier: LGPL-2.1-or-later
// Clipboard, files, ports, sound and keys of a headless session: told as event lines, and driven by
// commands.
#pragma once

#include "base/json.h"
#include "spice/client/session.h"
#include "viewer/events.h"
#include "viewer/file_sender.h"
#include "viewer/shared_devices.h"

namespace segue::viewer {

class HeadlessDevices : public spice::client::SessionListener {
  public:
    HeadlessDevices(Loop& loop, EventLog& events, const DeviceChoice& devices);

    // Errors name the command and what is wrong with it.
    Result<> run_command(const Json& command);

  protected:
    void write(std::string_view event, const std::string& fields = {}) {
        events_.write(loop_.now(), event, fields);
    }
    virtual spice::client::Session& session() = 0;
    void on_device_move(spice::client::MoveManner manner) {
        if (manner == spice::client::MoveManner::seamless) shared_.on_moved();
    }

    using ChannelKey = spice::client::ChannelKey;

  private:
    using Selection = spice::wire::agent::Selection;
    using ClipboardType = spice::wire::agent::ClipboardType;

    Result<> offer_clipboard(const Json& command);
    Result<> paste(const Json& command);
    Result<> send_to_port(const Json& command);
    Result<> send_file(const Json& command);
    Result<> set_monitors(const Json& command);

    void on_agent_ready(bool ready) override;
    void on_guest_offer(Selection selection, const std::vector<ClipboardType>& types) override;
    void on_guest_request(Selection selection, ClipboardType type) override;
    void on_guest_clipboard(Selection selection, ClipboardType type, ByteView data) override;
    void on_file_wanted(std::uint32_t id, std::size_t size) override;
    void on_file_over(std::uint32_t id, spice::wire::agent::FileStatus result) override;
    void on_port(ChannelKey key, const std::string& name, bool open) override;
    void write_port_data(ChannelKey key, std::string_view text);
    void write_port_rests();
    void on_stream_up(ChannelKey key, bool up) override { shared_.on_stream_up(key, up); }
    void on_stream_data(ChannelKey key, ByteView data) override;
    void on_stream_drained(ChannelKey key) override { shared_.on_stream_drained(key); }
    void on_card_up(bool up) override { shared_.on_card_up(up); }
    void on_card_message(VscType type, std::uint32_t reader_id, ByteView data) override {
        shared_.on_card_message(type, reader_id, data);
    }
    void on_sound_start(const spice::client::SoundFormat& format) override;
    void on_sound_stop() override;
    void on_sound(std::span<const std::int16_t> samples, std::uint32_t media_time) override;

    Loop& loop_;
    EventLog& events_;
    SharedDevices shared_;
    std::unique_ptr<FileSender> files_;
    // What the user's clipboard holds, and the file for what is pasted next.
    Bytes clipboard_;
    ClipboardType clipboard_type_{};
    std::string paste_path_;
    std::map<std::string, ChannelKey, std::less<>> ports_;
    // Of a character that has come half, until its other half comes or nothing does for a while.
    std::map<ChannelKey, std::string> port_rests_;
    std::unique_ptr<Timer> port_rest_timer_;
    // Of the sound since it began.
    std::uint64_t sound_samples_ = 0;
    int sound_peak_ = 0;
    bool sound_told_ = false;
};

}  // namespace segue::viewer
