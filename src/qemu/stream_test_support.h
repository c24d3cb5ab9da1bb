// SPDX-License-Identifier: LGPL-2.1-or-later
// A memory image as the sink of a stream, and the captured streams: for tests.
#pragma once

#include <cstring>
#include <fstream>
#include <iterator>
#include <string>

#include "qemu/stream_reader.h"
#include "qemu/stream_xbzrle.h"

namespace segue {

// Applies what it is told at once and notes the messages.
class ImageEvents : public StreamEvents {
  public:
    Result<> on_head(const StreamHead& head) override {
        for (const RamBlock& block : head.blocks)
            images.emplace_back(block.length);
        return {};
    }
    Result<> on_first_state(ByteView state) override {
        device_state.assign(state.begin(), state.end());
        first_states += 1;
        return {};
    }
    Result<> on_message(ColoMessage message) override {
        messages.push_back(message);
        return {};
    }
    Result<> on_checkpoint_state(ByteView state) override {
        device_state.assign(state.begin(), state.end());
        return {};
    }
    void on_page(std::uint32_t block, std::uint64_t offset, const std::uint8_t* page) override {
        std::memcpy(images[block].data() + offset, page, kPageSize);
        pages += 1;
    }
    void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) override {
        std::memset(images[block].data() + offset, value, kPageSize);
        fills += 1;
    }
    void on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) override {
        apply_delta(encoded,
                    std::span<std::uint8_t, kPageSize>(images[block].data() + offset, kPageSize));
        deltas += 1;
    }

    std::vector<Bytes> images;
    Bytes device_state;
    std::vector<ColoMessage> messages;
    int first_states = 0;
    int pages = 0, fills = 0, deltas = 0;
};

#ifdef SEGUE_STREAM_CORPUS
inline Bytes captured(const std::string& name) {
    std::ifstream file(std::string(SEGUE_STREAM_CORPUS "/") + name, std::ios::binary);
    return Bytes(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}
#endif

// Presents `bytes` as they would arrive: `step` more with each call. Returns the first error.
inline Result<> feed(StreamReader& reader, StreamEvents& events, ByteView bytes, std::size_t step) {
    std::size_t used = 0;
    std::size_t end = 0;
    while (end < bytes.size()) {
        end = std::min(end + step, bytes.size());
        for (std::size_t now = 1; now != 0; used += now)
            now = TRY(reader.read(bytes.subspan(used, end - used), events));
    }
    if (used != bytes.size()) {
        return fail(ErrorCode::protocol, "{} of {} bytes used", used, bytes.size());
    }
    return {};
}

}  // namespace segue
