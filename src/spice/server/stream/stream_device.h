// SPDX-License-Identifier: LGPL-2.1-or-later
// The port "org.spice-space.stream.0": an agent in the guest that sends its screen as a video, and
// its pointer. It becomes a display channel and a cursor channel of its own, for every client. The
// agent waits for the fastest of them; one that cannot follow misses frames. Home thread, or the
// embedder's lock held.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "spice/server/chardev/device_handle.h"
#include "spice/server/chardev/device_port.h"
#include "spice/server/cursor/cursor_channel.h"
#include "spice/server/stream/stream_reader.h"

namespace segue::spice::server {

class StreamChannel;

class StreamDevice final : public DeviceHandle, private DevicePort::Owner {
  public:
    static constexpr const char* kPortName = "org.spice-space.stream.0";

    struct Hooks {
        // A number for its channels; nothing: there is none left.
        std::function<std::optional<std::uint8_t>()> find_id;
        // The agent is there for the first time: clients may link its channels from now on.
        std::function<void(std::uint8_t id)> on_first_open;
        std::function<void()> on_origin;
        std::function<std::uint32_t()> media_time;
    };
    StreamDevice(std::unique_ptr<CharDevice> device, Loop& loop, Hooks hooks);
    ~StreamDevice() override;

    std::optional<std::uint8_t> id() const { return id_; }
    const std::optional<StreamOrigin>& origin() const { return origin_; }
    void set_running(bool running) { port_.set_running(running); }
    std::unique_ptr<Channel> make_channel(const ChannelSetup& setup, ChannelOutput& output);

    void wakeup() override { port_.wakeup(); }
    void port_event(std::uint8_t event) override;

    // --- For its channels ------------------------------------------------------------------------
    void join(StreamChannel& channel);
    void leave(StreamChannel& channel);
    // A channel can send again.
    void room();

  private:
    void device_readable() override;
    void device_took(Payer, std::uint32_t) override {}
    void device_has_room() override {}
    bool somebody_takes() const;
    void take(ByteView bytes);
    void perform(StreamFormat format);
    void perform(StreamFrame frame);
    void perform(StreamOrigin origin);
    void perform(const StreamCapabilities&) {}  // none of theirs changes what we do
    void perform(const CursorCommand& command);
    void ask_to_start();
    void ask_to_begin_anew();
    void bring_back();
    void say(Bytes message);
    void broken(const std::string& why);

    Loop& loop_;
    const Hooks hooks_;
    std::optional<std::uint8_t> id_;
    bool opened_ = false;
    bool broken_ = false;  // what comes is dropped until the port is opened anew
    bool reading_ = false;
    StreamReader reader_;
    Bytes buffer_;
    std::uint32_t frame_time_ = 0;
    std::optional<StreamFormat> format_;
    std::optional<StreamOrigin> origin_;
    // Its channels may outlive us for as long as they are on the stack.
    std::shared_ptr<CursorState> cursor_ = std::make_shared<CursorState>();
    std::vector<StreamChannel*> channels_;
    // Runs behind each request to begin anew.
    std::unique_ptr<Timer> pause_;
    bool pauses_ = false;
    bool wants_to_begin_anew_ = false;
    std::vector<CursorChannel*> cursors_;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
    DevicePort port_;
};

}  // namespace segue::spice::server
