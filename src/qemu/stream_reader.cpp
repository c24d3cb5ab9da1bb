// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/stream_reader.h"

#include <algorithm>

namespace segue {
namespace {

constexpr std::string_view kRamSectionName = "ram";
constexpr std::string_view kCapabilities = "configuration/capabilities";
constexpr std::string_view kPageBitsName = "configuration/target-page-bits";
constexpr std::string_view kUuid = "configuration/uuid";
constexpr std::size_t kFooterSize = 5;  // u8 0x7e, be32 section id
// How the JSON of a description begins, after u8 0x06 and be32 size (savevm.c writes these fields
// first, in this order).
constexpr std::string_view kDescriptionStart = "{\"page_size\"";
constexpr std::size_t kDescriptionHead = 5;

std::uint8_t byte_of(StreamSection section) {
    return static_cast<std::uint8_t>(section);
}

tl::unexpected<Error> unexpected_section(std::uint8_t type, std::string_view where) {
    return fail(ErrorCode::protocol, "migration stream: section type {:#04x} {}", type, where);
}

}  // namespace

std::size_t StreamReader::need(std::size_t size) {
    wanted_ = size;
    return 0;
}

StreamReader StreamReader::at_checkpoint(const StreamHead& head, std::uint32_t current_block) {
    StreamReader reader;
    reader.head_ = head;
    reader.configured_ = true;
    reader.listed_ = true;
    reader.ram_.set_current_block(current_block);
    reader.step_ = Step::checkpoint_section;
    return reader;
}

Result<std::size_t> StreamReader::read(ByteView input, StreamEvents& events) {
    std::size_t used = 0;
    while (step_ != Step::done) {
        wanted_ = 1;
        const Step before = step_;
        const std::size_t now = TRY(step(input.subspan(used), events));
        used += now;
        position_ += now;
        if (now == 0 && step_ == before) return used;
        if (before == Step::ram_list) return used;
    }
    if (used < input.size()) {
        return fail(ErrorCode::protocol, "migration stream: bytes after its end");
    }
    return used;
}

Result<std::size_t> StreamReader::step(ByteView input, StreamEvents& events) {
    switch (step_) {
        case Step::magic: return read_magic(input);
        case Step::section: return read_section(input);
        case Step::ram_list: return read_ram_list(input, events);
        case Step::ram_records: return read_records(input, events);
        case Step::footer: return read_footer(input);
        case Step::device_state: return read_device_state(input, events);
        case Step::message: return read_message(input, events);
        case Step::checkpoint_section: return read_checkpoint_section(input);
        case Step::state_size: return read_state_size(input);
        case Step::state: return read_state(input, events);
        case Step::done: break;
    }
    return 0;
}

Result<std::size_t> StreamReader::read_magic(ByteView input) {
    if (input.size() < 8) return need(8);
    BigReader reader(input);
    const std::uint32_t magic = reader.u32();
    const std::uint32_t version = reader.u32();
    if (magic != kStreamMagic || version != kStreamVersion) {
        return fail(ErrorCode::protocol,
                    "migration stream: begins with {:#010x} version {} (a QEMU stream has {:#010x} "
                    "version {})",
                    magic, version, kStreamMagic, kStreamVersion);
    }
    step_ = Step::section;
    return 8;
}

Result<std::size_t> StreamReader::read_section(ByteView input) {
    if (input.empty()) return need(1);
    switch (static_cast<StreamSection>(input[0])) {
        case StreamSection::configuration: return read_configuration(input);
        case StreamSection::subsection: return read_subsection(input);
        case StreamSection::command: return read_command(input);
        case StreamSection::start: return read_start(input);
        case StreamSection::part:
        case StreamSection::end: {
            if (!listed_) return unexpected_section(input[0], "before the list of RAM blocks");
            const bool last = input[0] == byte_of(StreamSection::end);
            after_footer_ = last ? Step::device_state : Step::section;
            return begin_records(input);
        }
        default: return unexpected_section(input[0], "before the end of RAM");
    }
}

Result<std::size_t> StreamReader::read_configuration(ByteView input) {
    if (configured_) return unexpected_section(input[0], "(the configuration) twice");
    if (input.size() < 5) return need(5);
    const std::size_t size = load<ByteOrder::big, std::uint32_t>(input.data() + 1);
    if (size == 0 || size > limits_.machine_name_bytes) {
        return fail(ErrorCode::limit_exceeded,
                    "migration stream: machine type of {} bytes (1 to {} allowed)", size,
                    limits_.machine_name_bytes);
    }
    if (input.size() < 5 + size) return need(5 + size);
    head_.machine = as_text(input.subspan(5, size));
    configured_ = true;
    return 5 + size;
}

// A subsection of the configuration: u8 5, u8 length and name, be32 version, then fields whose form
// the name decides.
Result<std::size_t> StreamReader::read_subsection(ByteView input) {
    if (!configured_ || listed_) return unexpected_section(input[0], "outside the configuration");
    if (input.size() < 2) return need(2);
    const std::size_t body = 2 + input[1] + 4;
    if (input.size() < body) return need(body);
    const std::string_view name = as_text(input.subspan(2, input[1]));
    if (name == kUuid) {
        if (input.size() < body + 16) return need(body + 16);
        head_.subsections.insert(head_.subsections.end(), input.begin(), input.begin() + body + 16);
        if (head_.subsections.size() > 4096) return unexpected_section(input[0], "repeats itself");
        return body + 16;
    }
    if (input.size() < body + 4) return need(body + 4);
    const auto number = load<ByteOrder::big, std::uint32_t>(input.data() + body);
    if (name == kPageBitsName) {
        if (number != kPageBits) {
            return fail(ErrorCode::no_support,
                        "migration stream: target pages of 2^{} bytes (COLO works with 2^{})",
                        number, kPageBits);
        }
        return body + 4;
    }
    if (name != kCapabilities) {
        return fail(ErrorCode::protocol, "migration stream: unknown configuration field '{}'",
                    name.substr(0, 64));
    }
    if (number > limits_.capabilities) {
        return fail(ErrorCode::limit_exceeded,
                    "migration stream: {} capabilities (at most {} allowed)", number,
                    limits_.capabilities);
    }
    BigReader reader(input.subspan(body + 4));
    std::vector<std::string> capabilities;
    for (std::uint32_t index = 0; index < number; ++index) {
        capabilities.emplace_back(as_text(reader.bytes(reader.u8())));
    }
    if (!reader.ok()) return need(input.size() + 1);
    head_.capabilities = std::move(capabilities);
    return body + 4 + reader.position();
}

Result<std::size_t> StreamReader::read_command(ByteView input) {
    if (input.size() < 5) return need(5);
    const auto command = load<ByteOrder::big, std::uint16_t>(input.data() + 1);
    const auto size = load<ByteOrder::big, std::uint16_t>(input.data() + 3);
    if (command == kCommandOpenReturnPath && size == 0) return 5;
    if (command == kCommandPing && size == 4) return input.size() < 9 ? need(9) : 9;
    if (command != kCommandEnableColo || size != 0) {
        return fail(ErrorCode::protocol,
                    "migration stream: command {} of {} bytes: only ENABLE_COLO ({}) is taken; "
                    "turn postcopy-ram off on the primary",
                    command, size, kCommandEnableColo);
    }
    head_.enable_colo = true;
    return 5;
}

Result<std::size_t> StreamReader::read_start(ByteView input) {
    if (input.size() < 6) return need(6);
    const std::size_t size = 6 + input[5] + 8;
    if (input.size() < size) return need(size);
    BigReader reader(input.subspan(1, size - 1));
    const std::uint32_t id = reader.u32();
    const std::string_view name = as_text(reader.bytes(reader.u8()));
    const std::uint32_t instance = reader.u32();
    const std::uint32_t version = reader.u32();
    if (!configured_ || listed_ || name != kRamSectionName) {
        return fail(ErrorCode::no_support,
                    "migration stream: iterable section '{}' (only one 'ram' is taken: detach the "
                    "device, or turn its migration capability off)",
                    name);
    }
    if (instance != 0 || version != kRamVersion) {
        return fail(ErrorCode::no_support,
                    "migration stream: section 'ram' instance {} version {} (0 and {} are known)",
                    instance, version, kRamVersion);
    }
    head_.ram_section = id;
    step_ = Step::ram_list;
    return size;
}

// be64 total | 4, then blocks until the total is used up: u8 length and name, be64 bytes, and with
// x-ignore-shared be64 address; then be64 end.
Result<std::size_t> StreamReader::read_ram_list(ByteView input, StreamEvents& events) {
    const bool with_address = head_.has_capability("x-ignore-shared");
    BigReader reader(input);
    const std::uint64_t word = reader.u64();
    std::uint64_t left = word & ~std::uint64_t{kRamFlagMask};
    if (!reader.ok()) return need(8);
    if ((word & kRamFlagMask) != kRamBlockList || left > limits_.ram_bytes) {
        return fail(ErrorCode::limit_exceeded,
                    "migration stream: {:#x} is no list of at most {:#x} bytes of RAM", word,
                    limits_.ram_bytes);
    }
    std::vector<RamBlock> blocks;
    while (left > 0) {
        if (blocks.size() == limits_.blocks) {
            return fail(ErrorCode::limit_exceeded,
                        "migration stream: more than {} RAM blocks: detach devices",
                        limits_.blocks);
        }
        RamBlock block;
        block.name = as_text(reader.bytes(reader.u8()));
        block.length = reader.u64();
        if (with_address) block.address = reader.u64();
        if (!reader.ok()) return need(input.size() + 1);
        const bool repeats = std::any_of(blocks.begin(), blocks.end(), [&](const RamBlock& other) {
            return other.name == block.name;
        });
        if (block.name.empty() || repeats || block.length > left || block.length % kPageSize != 0) {
            return fail(ErrorCode::protocol,
                        "migration stream: RAM block '{}' of {:#x} bytes: unnamed, repeated, no "
                        "whole pages, or more than the announced total",
                        block.name, block.length);
        }
        left -= block.length;
        blocks.push_back(std::move(block));
    }
    const std::uint64_t end = reader.u64();
    if (!reader.ok()) return need(input.size() + 1);
    if (end != kRamEnd) {
        return fail(ErrorCode::protocol,
                    "migration stream: {:#x} after the list of RAM blocks (its end is {:#x})", end,
                    std::uint64_t{kRamEnd});
    }
    head_.blocks = std::move(blocks);
    listed_ = true;
    after_footer_ = Step::section;
    step_ = Step::footer;
    TRY(events.on_head(head_));
    return reader.position();
}

// u8 type, be32 id: the head of a part of section "ram".
Result<std::size_t> StreamReader::begin_records(ByteView input) {
    if (input.size() < 5) return need(5);
    const auto id = load<ByteOrder::big, std::uint32_t>(input.data() + 1);
    if (id != head_.ram_section) {
        return fail(ErrorCode::protocol,
                    "migration stream: part of section {} (section 'ram' is {})", id,
                    head_.ram_section);
    }
    step_ = Step::ram_records;
    return 5;
}

Result<std::size_t> StreamReader::read_records(ByteView input, StreamEvents& events) {
    const auto progress = TRY(ram_.read(input, head_.blocks, events));
    if (progress.at_end) step_ = Step::footer;
    if (progress.used == 0) return need(input.size() + 1);
    return progress.used;
}

Result<std::size_t> StreamReader::read_footer(ByteView input) {
    if (input.size() < kFooterSize) return need(kFooterSize);
    const auto id = load<ByteOrder::big, std::uint32_t>(input.data() + 1);
    if (input[0] != byte_of(StreamSection::footer) || id != head_.ram_section) {
        return fail(ErrorCode::protocol,
                    "migration stream: no footer of section {} (machine types before 2.4 send none "
                    "and cannot be protected)",
                    head_.ram_section);
    }
    step_ = after_footer_;
    searched_ = 0;
    return kFooterSize;
}

// The sections of the devices carry no length. The description behind them does, and the primary
// sends nothing more before it is answered: so the state ends where a description begins that
// ends exactly with the input.
Result<std::size_t> StreamReader::read_device_state(ByteView input, StreamEvents& events) {
    const std::size_t limit = limits_.device_state_bytes + limits_.description_bytes;
    if (input.size() > limit) {
        return fail(ErrorCode::limit_exceeded,
                    "migration stream: device state and description of more than {} bytes, or no "
                    "description (machine property suppress-vmdesc must be off)",
                    limit);
    }
    const std::string_view text = as_text(input);
    for (;;) {
        const std::size_t json = text.find(kDescriptionStart, searched_);
        if (json == std::string_view::npos) break;
        searched_ = json;
        // 0x00 (end of file), 0x06, be32 size
        if (json >= kDescriptionHead + 1 && input[json - 6] == 0 &&
            input[json - 5] == byte_of(StreamSection::description)) {
            const std::size_t size = load<ByteOrder::big, std::uint32_t>(&input[json - 4]);
            if (size <= limits_.description_bytes) {
                if (json + size > input.size()) return need(json + size);
                if (json + size == input.size()) {
                    const ByteView state = input.first(json - kDescriptionHead);
                    if (!is_plausible_device_state(state)) break;
                    step_ = head_.enable_colo ? Step::message : Step::done;
                    TRY(events.on_first_state(state));
                    return input.size();
                }
            }
        }
        ++searched_;
    }
    const std::size_t tail = std::min(input.size(), kDescriptionStart.size() - 1);
    searched_ = std::max(searched_, input.size() - tail);
    return need(input.size() + 1);
}

Result<std::size_t> StreamReader::read_message(ByteView input, StreamEvents& events) {
    if (input.size() < 4) return need(4);
    const auto number = load<ByteOrder::big, std::uint32_t>(input.data());
    if (number >= kColoMessages) {
        return fail(ErrorCode::protocol,
                    "checkpoint protocol: unknown message {:#x} (0 to {} are known)", number,
                    kColoMessages - 1);
    }
    const auto message = static_cast<ColoMessage>(number);
    if (message == ColoMessage::vmstate_send) step_ = Step::checkpoint_section;
    if (message == ColoMessage::vmstate_size) step_ = Step::state_size;
    TRY(events.on_message(message));
    return 4;
}

Result<std::size_t> StreamReader::read_checkpoint_section(ByteView input) {
    if (input.empty()) return need(1);
    switch (static_cast<StreamSection>(input[0])) {
        case StreamSection::end_of_file: step_ = Step::message; return 1;
        case StreamSection::part:
        case StreamSection::end:
            after_footer_ = Step::checkpoint_section;
            return begin_records(input);
        default: return unexpected_section(input[0], "in a checkpoint");
    }
}

Result<std::size_t> StreamReader::read_state_size(ByteView input) {
    if (input.size() < 8) return need(8);
    state_size_ = load<ByteOrder::big, std::uint64_t>(input.data());
    if (state_size_ == 0 || state_size_ > limits_.device_state_bytes) {
        return fail(ErrorCode::limit_exceeded,
                    "checkpoint protocol: device state of {} bytes (1 to {} allowed)", state_size_,
                    limits_.device_state_bytes);
    }
    step_ = Step::state;
    return 8;
}

Result<std::size_t> StreamReader::read_state(ByteView input, StreamEvents& events) {
    if (input.size() < state_size_) return need(state_size_);
    const ByteView state = input.first(state_size_);
    if (!is_plausible_device_state(state)) {
        return fail(ErrorCode::protocol,
                    "checkpoint protocol: the device state does not run from a device's section to "
                    "an end of file");
    }
    step_ = Step::message;
    TRY(events.on_checkpoint_state(state));
    return state_size_;
}

bool is_plausible_device_state(ByteView state) {
    return state.size() >= 2 && state.front() == byte_of(StreamSection::full) && state.back() == 0;
}

}  // namespace segue
