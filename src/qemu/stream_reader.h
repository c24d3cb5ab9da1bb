// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads what a QEMU 7.2 primary sends: the first whole state, then (after ENABLE_COLO) checkpoint
// messages with their RAM sections and device state. I/O-free and incremental: the owner keeps the
// bytes, so that a checkpoint can be received straight into its log and read there.
//
// Whether a message may come now is not judged here but in protect's table; the reader only knows
// what must follow each message on the wire.
#pragma once

#include <optional>

#include "qemu/stream_ram.h"

namespace segue {

// What the reader finds. An error from a callback stops the reader with that error.
class StreamEvents : public RamSink {
  public:
    // The list of RAM blocks is known; pages follow.
    virtual Result<> on_head(const StreamHead& head) = 0;
    // The end of the first whole state: every device's section and the end-of-file byte. The view
    // points into the input.
    virtual Result<> on_first_state(ByteView device_state) = 0;
    // COLO only. After vmstate_send its pages follow; vmstate_size is told before its state.
    virtual Result<> on_message(ColoMessage message) = 0;
    // The device state of a checkpoint, whole.
    virtual Result<> on_checkpoint_state(ByteView device_state) = 0;
};

class StreamReader {
  public:
    explicit StreamReader(StreamLimits limits = {}) : limits_(limits) {}

    // A reader that stands behind vmstate-send: reads the RAM sections of a recorded checkpoint.
    static StreamReader at_checkpoint(const StreamHead& head, std::uint32_t current_block);

    // Uses what it can from the front of `input` and returns how many bytes that was. The owner
    // presents the rest again with more behind it; a page, and each version of the device state,
    // must at last be presented in one piece. Returns early right behind the list of RAM blocks, so
    // that the owner can make room for them: go on until it returns 0. After an error the reader is
    // of no use any more.
    Result<std::size_t> read(ByteView input, StreamEvents& events);

    // How many bytes must be presented, from the first unused one, before the reader can go on: a
    // lower bound, for the owner's buffer. At least 1.
    std::size_t wanted() const { return wanted_; }
    // Between two messages: nothing of the next one has been used.
    bool is_between_messages() const { return step_ == Step::message; }
    // A stream without ENABLE_COLO ends with its first state.
    bool is_done() const { return step_ == Step::done; }

    // Bytes used in all; in a callback: up to the item that it is about.
    std::uint64_t position() const { return position_; }

    const StreamHead& head() const { return head_; }
    RamReader& ram() { return ram_; }

  private:
    enum class Step {
        magic,
        section,      // of the first state
        ram_list,     // the block list of section "ram"
        ram_records,  // of PART and END; before a footer
        footer,
        device_state,  // of the first state: no lengths, the description at the end closes it
        message,
        checkpoint_section,
        state_size,
        state,
        done,
    };

    // Each returns the bytes it used; 0 for "more input needed".
    Result<std::size_t> step(ByteView input, StreamEvents& events);
    Result<std::size_t> read_magic(ByteView input);
    Result<std::size_t> read_section(ByteView input);
    Result<std::size_t> read_configuration(ByteView input);
    Result<std::size_t> read_subsection(ByteView input);
    Result<std::size_t> read_command(ByteView input);
    Result<std::size_t> read_start(ByteView input);
    Result<std::size_t> read_ram_list(ByteView input, StreamEvents& events);
    Result<std::size_t> begin_records(ByteView input);
    Result<std::size_t> read_records(ByteView input, StreamEvents& events);
    Result<std::size_t> read_footer(ByteView input);
    Result<std::size_t> read_device_state(ByteView input, StreamEvents& events);
    Result<std::size_t> read_message(ByteView input, StreamEvents& events);
    Result<std::size_t> read_checkpoint_section(ByteView input);
    Result<std::size_t> read_state_size(ByteView input);
    Result<std::size_t> read_state(ByteView input, StreamEvents& events);
    // 0, with `size` remembered in wanted().
    std::size_t need(std::size_t size);

    StreamLimits limits_;
    StreamHead head_;
    RamReader ram_;
    Step step_ = Step::magic;
    Step after_footer_ = Step::section;
    bool configured_ = false;
    bool listed_ = false;
    std::size_t wanted_ = 1;
    // How far the search for the description has come, from the first unused byte.
    std::size_t searched_ = 0;
    std::uint64_t state_size_ = 0;
    std::uint64_t position_ = 0;
};

// The primary's side of a test, and of our own agent: true while `state` is a plausible device
// state (ends with the end-of-file byte, begins with a device's section).
bool is_plausible_device_state(ByteView state);

}  // namespace segue
