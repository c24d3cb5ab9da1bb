// SPDX-License-Identifier: LGPL-2.1-or-later
// A hostile primary: any bytes, in pieces of a size that the first byte chooses.
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "qemu/stream_test_support.h"

namespace segue {
namespace {

// Checks what the reader promises and stores nothing of what it is told.
class Watcher final : public StreamEvents {
  public:
    Result<> on_head(const StreamHead& head) override {
        head_ = &head;
        return {};
    }
    Result<> on_first_state(ByteView state) override {
        ENSURE(is_plausible_device_state(state));
        return {};
    }
    Result<> on_message(ColoMessage message) override {
        ENSURE(static_cast<std::uint32_t>(message) < kColoMessages);
        return {};
    }
    Result<> on_checkpoint_state(ByteView state) override {
        ENSURE(is_plausible_device_state(state));
        return {};
    }
    void on_page(std::uint32_t block, std::uint64_t offset, const std::uint8_t* page) override {
        inside(block, offset);
        last_ = page[0] ^ page[kPageSize - 1];
    }
    void on_fill(std::uint32_t block, std::uint64_t offset, std::uint8_t value) override {
        inside(block, offset);
        last_ = value;
    }
    void on_delta(std::uint32_t block, std::uint64_t offset, ByteView encoded) override {
        inside(block, offset);
        apply_delta(encoded, page_);
    }

  private:
    void inside(std::uint32_t block, std::uint64_t offset) {
        ENSURE(head_ != nullptr && block < head_->blocks.size());
        ENSURE(offset % kPageSize == 0 && offset + kPageSize <= head_->blocks[block].length);
    }
    const StreamHead* head_ = nullptr;
    volatile std::uint8_t last_ = 0;
    std::array<std::uint8_t, kPageSize> page_{};
};

}  // namespace
}  // namespace segue

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t step = data[0] == 0 ? size : std::size_t{data[0]} * 16;
    segue::StreamReader reader;
    segue::Watcher events;
    (void)segue::feed(reader, events, segue::ByteView(data + 1, size - 1), step);
    return 0;
}
