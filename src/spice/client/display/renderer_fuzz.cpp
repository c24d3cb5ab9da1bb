// SPDX-License-Identifier: LGPL-2.1-or-later
// Any sequence of messages of a hostile display server: u16 number, u16 size, body, and so on.
#include "spice/client/display/renderer.h"

using namespace segue;
using namespace segue::spice;

namespace {

void create_surface(client::Renderer& renderer, std::uint32_t id, bool primary) {
    const wire::EncodedMessage message = wire::encode_from_server(wire::display::SurfaceCreate{
        id, 64, 48,
        primary ? wire::display::SurfaceFormat::xrgb32 : wire::display::SurfaceFormat::argb32,
        primary ? wire::display::SurfaceFlags::primary : wire::display::SurfaceFlags{}});
    (void)renderer.handle(message.number, wire::SharedBytes::take(message.body()));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    client::SharedCaches shared(1 << 20, 1 << 18);
    client::Renderer renderer(shared);
    create_surface(renderer, 0, true);
    create_surface(renderer, 1, false);
    LittleReader in({data, size});
    while (in.remaining() >= 4) {
        const std::uint16_t number = in.u16();
        const std::size_t body = std::min<std::size_t>(in.u16(), in.remaining());
        (void)renderer.handle(number, wire::SharedBytes::copy(in.bytes(body)));
        if (number == 0) renderer.reset(body % 2 == 0);
        (void)renderer.surfaces().take_damage();
        if (const canvas::Image* shown = renderer.surfaces().shown()) (void)shown->line(0)[0];
    }
    return 0;
}
