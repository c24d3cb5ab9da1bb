// SPDX-License-Identifier: LGPL-2.1-or-later
// What a linked client may say, to each kind of channel. The first byte chooses the channel and
// whether it expects the state of another server.
#include <spice/enums.h>

#include <cstdlib>

#include "base/log.h"
#include "spice/server/cursor/cursor_channel.h"
#include "spice/server/display/client/display_channel.h"
#include "spice/server/display/guest/fake_device.h"
#include "spice/server/inputs/inputs_channel.h"
#include "spice/server/main/main_channel.h"

namespace segue::spice::server {
namespace {

class NoOutput final : public ChannelOutput {
  public:
    void write(std::vector<wire::SharedBytes>) override {}
    std::size_t waiting() const override { return 0; }
};

class NoListener final : public DisplayListener {
  public:
    void surface_created(const Surface&) override {}
    void surface_destroyed(std::uint32_t) override {}
    void drawn(const Drawing&) override {}
    void monitors_changed(const MonitorsConfig&) override {}
    void cursor_changed(const CursorCommand&) override {}
    void cursor_reset() override {}
    void image_cache_reset() override {}
};

class NoInput final : public InputSink {
  public:
    void scancode(std::uint8_t) override {}
    std::uint8_t leds() override { return 0; }
    void mouse_motion(int, int, int, std::uint32_t) override {}
    void mouse_buttons(std::uint32_t) override {}
    void tablet_position(int, int, std::uint32_t, std::uint8_t) override {}
    void tablet_wheel(int, std::uint32_t) override {}
    void tablet_buttons(std::uint32_t) override {}
    bool absolute_pointer() const override { return true; }
    MachineState machine() const override { return MachineState::runs; }
    Instant now() const override { return {}; }
};

class NoSession final : public MainEvents {
  public:
    Result<> attach_channels() override { return {}; }
    Result<> want_mouse_mode(wire::main::MouseMode) override { return {}; }
    Result<> agent_start(std::uint32_t) override { return {}; }
    Result<> agent_data(const wire::SharedBytes&) override { return {}; }
    Result<> agent_tokens(std::uint32_t) override { return {}; }
    Result<> migrate_linked(Linked) override { return {}; }
    Result<> migrate_end() override { return {}; }
    Result<> migrate_do_seamless(std::uint32_t) override { return {}; }
    Result<> restore_main(const MainState&) override { return {}; }
    MainState main_state() override { return {}; }
    void round_trip(Duration) override {}
};

std::unique_ptr<GuestDisplay> make_guest(FakeDevice& device, DisplayListener& listener) {
    auto guest = std::move(GuestDisplay::make(device, device.geometry(), listener).value());
    PrimarySurface primary;
    primary.width = 16;
    primary.height = 16;
    primary.stride = 64;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.group = FakeDevice::kGroup;
    primary.memory = FakeDevice::kBase;
    if (!guest->add_slot(device.slot()) || !guest->create_primary(0, primary)) std::abort();
    return guest;
}

}  // namespace
}  // namespace segue::spice::server

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue::spice::server;
    if (size == 0) return 0;
    segue::set_log_level(segue::LogLevel::error);
    ChannelSetup setup;
    setup.expects_data = (data[0] & 4) != 0;
    setup.header = (data[0] & 8) != 0 ? wire::HeaderKind::full : wire::HeaderKind::mini;
    NoOutput output;
    NoListener listener;
    NoInput input;
    NoSession session;
    const segue::SystemClock clock;
    FakeDevice device(4096);
    const auto guest = make_guest(device, listener);
    std::unique_ptr<Channel> channel;
    switch (data[0] & 3) {
        case 0: channel = std::make_unique<MainChannel>(setup, output, session, clock); break;
        case 1: channel = std::make_unique<InputsChannel>(setup, output, input); break;
        case 2:
            channel =
                std::make_unique<CursorChannel>(setup, output, std::make_shared<CursorState>());
            break;
        default:
            channel = std::make_unique<DisplayChannel>(setup, output, *guest, EncoderOptions{},
                                                       std::make_shared<ClientCaches>(), clock);
    }
    channel->start();
    if ((data[0] & 16) != 0) channel->migrate();
    // In two parts, as bytes come.
    const segue::ByteView bytes(data + 1, size - 1);
    const std::size_t half = bytes.size() / 2;
    if (channel->receive(bytes.first(half))) [[maybe_unused]]
        const auto done = channel->receive(bytes.subspan(half));
    return 0;
}
