// SPDX-License-Identifier: LGPL-2.1-or-later
// A hostile guest or outside peer: any bytes as frames, through every mode of the gate.
#include "base/check.h"
#include "protect/frame_gate.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    segue::FrameSplitter splitter;
    segue::FrameGate gate;
    std::uint64_t epoch = 1;
    std::size_t in = 0, out = 0;
    while (size > 2) {
        const std::size_t now = std::min<std::size_t>(data[1], size - 2);
        if (!splitter.feed({data + 2, now})) break;
        auto frames = splitter.take();
        in += frames.count;
        out += gate.sent(std::move(frames)).count;
        switch (data[0] % 4) {
            case 0: gate.hold(); break;
            case 1: gate.seal(++epoch); break;
            case 2: out += gate.release(epoch).count; break;
            default: break;
        }
        data += 2 + now;
        size -= 2 + now;
    }
    ENSURE(in == out + gate.held_frames());
    ENSURE(gate.pass().count == in - out);
    return 0;
}
