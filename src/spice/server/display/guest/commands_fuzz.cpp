// SPDX-License-Identifier: LGPL-2.1-or-later
// A guest whose memory is the input: commands at addresses that the input names, too.
#include <spice/enums.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "spice/server/display/guest/fake_device.h"
#include "spice/server/display/guest/guest_display.h"

namespace {

using namespace segue::spice::server;

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

constexpr std::size_t kPixels = 64 * 64 * 4;
constexpr std::size_t kGuestData = 4096;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size < 4) return 0;
    segue::set_log_level(segue::LogLevel::error);
    FakeDevice device(kPixels + kGuestData);
    NoListener listener;
    const auto guest = std::move(GuestDisplay::make(device, device.geometry(), listener).value());
    PrimarySurface primary;
    primary.width = primary.height = 64;
    primary.stride = 256;
    primary.format = SPICE_SURFACE_FMT_32_xRGB;
    primary.group = FakeDevice::kGroup;
    primary.memory = FakeDevice::kBase;
    if (!guest->add_slot(device.slot()) || !guest->create_primary(0, primary)) return 0;
    guest->set_running(true);
    const std::size_t commands = std::min<std::size_t>(1 + data[0] % 4, size / 4);
    const std::size_t body = std::min(size - 1, kGuestData);
    std::copy(data + 1, data + 1 + body, device.memory.begin() + kPixels);
    for (std::size_t at = 0; at < commands; ++at) {
        const QXLPHYSICAL address = FakeDevice::kBase + kPixels + at * 256;
        const std::uint32_t types[] = {QXL_CMD_DRAW, QXL_CMD_DRAW, QXL_CMD_SURFACE, QXL_CMD_CURSOR};
        const std::uint32_t type = types[(data[0] >> 4) % 4];
        if (type == QXL_CMD_CURSOR) {
            device.queue(type, address);
            device.cursor_commands.push_back(device.commands.back());
            device.commands.pop_back();
        } else {
            device.queue(type, address);
        }
    }
    guest->take_commands(16);
    guest->draw_pending();
    [[maybe_unused]] const auto done =
        guest->set_monitors(FakeDevice::kGroup, FakeDevice::kBase + kPixels, 4);
    for (const auto& [info, times] : device.released) {
        if (times != 1) std::abort();
    }
    return 0;
}
