// SPDX-License-Identifier: LGPL-2.1-or-later
// Two hostile guests, and a colo-compare that says anything: whatever is let out was sent by the
// primary, once.
#include "base/check.h"
#include "protect/twin_gate.h"

namespace {

segue::TwinGate::Frames one(segue::ByteView frame) {
    segue::Bytes whole = segue::framed(frame);
    const std::size_t count = whole.empty() ? 0 : 1;
    return {std::move(whole), count};
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    segue::TwinGate gate;
    segue::Instant now{};
    std::size_t in = 0, out = 0;
    while (size > 2) {
        const std::size_t length = std::min<std::size_t>(data[1], size - 2);
        const segue::ByteView frame(data + 2, length);
        switch (data[0] % 8) {
            case 0: gate.begin(now); break;
            case 1: gate.end(); break;
            case 2: gate.passed(frame); break;
            case 3: gate.differs(now); break;
            case 4: out += gate.end_epoch().count; break;
            case 5:
                gate.primary_sent(one(frame), now);
                gate.shadow_sent(one(frame));
                in += one(frame).count;
                break;
            case 6: gate.shadow_sent(one(frame)); break;
            default:
                gate.primary_sent(one(frame), now);
                in += one(frame).count;
                break;
        }
        if (data[0] < 128) out += gate.take().leaves.count;
        (void)gate.wants_checkpoint(now);
        now = now + segue::Duration{1000000};
        data += 2 + length;
        size -= 2 + length;
    }
    out += gate.end_epoch().count;
    ENSURE(in == out && gate.held_frames() == 0);
    return 0;
}
