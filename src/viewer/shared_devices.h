// SPDX-License-Identifier: LGPL-2.1-or-later
// What of the user's the guest may use: a folder, discs and USB devices, smartcards. Joins channels
// of the session with the programs that are these devices.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "spice/client/session.h"
#include "viewer/card/card_frame.h"
#include "viewer/device_choice.h"
#include "viewer/device_helper.h"

namespace segue::viewer {

class SharedDevices {
  public:
    using ChannelKey = spice::client::ChannelKey;
    using GetSession = std::function<spice::client::Session*()>;
    // A device is there for the guest, or no longer.
    using OnDevice = std::function<void(const std::string& name, bool there)>;
    using OnProblem = std::function<void(const Error&)>;

    SharedDevices(Loop& loop, DeviceChoice choice, GetSession session, OnDevice on_device,
                  OnProblem on_problem);

    // To be called from the SessionListener.
    void on_stream_up(ChannelKey key, bool up);
    void on_stream_data(ChannelKey key, ByteView data);
    void on_stream_drained(ChannelKey key);
    void on_port(ChannelKey key, bool open);
    void on_card_up(bool up);
    void on_card_message(VscType type, std::uint32_t reader_id, ByteView data);

    // The user's hand: cards made of certificates go into their readers or out; redirected USB
    // devices are plugged out and in again.
    void move_cards(bool in);
    void replug_usb();

    // A seamless move: what the new server says of its ports first is not the guest's doing.
    void on_moved();

    // A window of ours has the keyboard.
    void set_focused(bool focused) { focused_ = focused; }

  private:
    struct Stream {
        std::unique_ptr<DeviceHelper> helper;
        std::string device;  // empty: none
    };
    struct Watcher {
        std::unique_ptr<DeviceHelper> helper;
        std::string line;
        bool has_listed = false;
    };

    void start_stream(ChannelKey key, const std::string& device, const std::string& program,
                      std::vector<std::string> arguments);
    void stop_stream(ChannelKey key);
    void assign_usb();
    void start_watching();
    void watch(Watcher& watcher, const std::string& filter, bool at_start);
    void on_watched(Watcher& watcher, ByteView bytes, bool at_start);
    void on_plugged(const std::string& place, bool there);
    void on_card_bytes(ByteView bytes);
    void send_card(const CardFrame& frame);
    bool takes_bytes(ChannelKey key);
    // Not from inside the helper's own callback.
    void drop(std::unique_ptr<DeviceHelper> helper);

    Loop& loop_;
    const DeviceChoice choice_;
    const GetSession session_;
    const OnDevice on_device_;
    const OnProblem on_problem_;
    bool focused_ = true;
    std::map<ChannelKey, Stream> streams_;
    // Channels for USB devices, with what the guest's end said before there was a device.
    std::map<ChannelKey, Bytes> usb_channels_;
    // Those that had one: the guest's end greets once, and a second device needs a greeting, too.
    std::set<ChannelKey> usb_used_;
    std::optional<Instant> moved_at_;
    std::unique_ptr<Timer> closing_timer_;
    std::optional<ChannelKey> closing_;
    std::vector<std::string> usb_wanted_;  // "disc FILE" or "device BUS:ADDRESS", in use or not
    bool watching_ = false;
    Watcher present_;
    Watcher plugged_;
    std::unique_ptr<DeviceHelper> card_;
    CardFrameReader card_frames_;
};

}  // namespace segue::viewer
