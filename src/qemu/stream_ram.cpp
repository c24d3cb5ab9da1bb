// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/stream_ram.h"

#include "qemu/stream_xbzrle.h"

namespace segue {
namespace {

constexpr std::size_t kWord = 8;
constexpr std::size_t kDeltaHead = 3;  // u8 encoding, be16 size

tl::unexpected<Error> refuse_flags(std::uint64_t flags) {
    if ((flags & kRamCompressed) != 0) {
        return fail(ErrorCode::protocol,
                    "migration stream: compressed page: turn the primary's capability 'compress' "
                    "off");
    }
    if ((flags & kRamHook) != 0) {
        return fail(ErrorCode::protocol,
                    "migration stream: RDMA record: migrate over a unix or TCP socket");
    }
    return fail(ErrorCode::protocol, "migration stream: RAM record with unknown flags {:#x}",
                flags);
}

Result<std::uint32_t> find_block(const std::vector<RamBlock>& blocks, ByteView name) {
    for (std::size_t index = 0; index < blocks.size(); ++index) {
        if (blocks[index].name == as_text(name)) return static_cast<std::uint32_t>(index);
    }
    return fail(ErrorCode::protocol,
                "migration stream: page of RAM block '{}', which the list of blocks does not have",
                as_text(name));
}

// Hands a record's payload to the sink. Returns its bytes, or 0 when it is not whole yet.
Result<std::size_t> take_payload(std::uint64_t kind, std::uint32_t block, std::uint64_t offset,
                                 ByteView rest, RamSink& sink) {
    if (kind == kRamPage) {
        if (rest.size() < kPageSize) return 0;
        sink.on_page(block, offset, rest.data());
        return kPageSize;
    }
    if (kind == kRamFill) {
        if (rest.empty()) return 0;
        sink.on_fill(block, offset, rest[0]);
        return 1;
    }
    if (rest.size() < kDeltaHead) return 0;
    const std::size_t length = load<ByteOrder::big, std::uint16_t>(rest.data() + 1);
    if (rest[0] != kDeltaHeader || length > kPageSize) {
        return fail(ErrorCode::protocol,
                    "migration stream: XBZRLE record of kind {} and {} bytes (kind {}, at most {} "
                    "bytes)",
                    rest[0], length, kDeltaHeader, kPageSize);
    }
    if (rest.size() < kDeltaHead + length) return 0;
    const ByteView encoded = rest.subspan(kDeltaHead, length);
    if (!is_sound_delta(encoded)) {
        return fail(ErrorCode::protocol,
                    "migration stream: XBZRLE runs of the page at {:#x} leave their page", offset);
    }
    sink.on_delta(block, offset, encoded);
    return kDeltaHead + length;
}

}  // namespace

Result<RamReader::Progress> RamReader::read(ByteView input, const std::vector<RamBlock>& blocks,
                                            RamSink& sink) {
    Progress progress;
    for (;;) {
        const ByteView rest = input.subspan(progress.used);
        if (rest.size() < kWord) return progress;
        const auto word = load<ByteOrder::big, std::uint64_t>(rest.data());
        const std::uint64_t flags = word & kRamFlagMask;
        const std::uint64_t offset = word & ~std::uint64_t{kRamFlagMask};
        if (flags == kRamEnd) {
            progress.used += kWord;
            progress.at_end = true;
            return progress;
        }
        const std::uint64_t kind = flags & ~std::uint64_t{kRamContinue};
        if (kind != kRamPage && kind != kRamFill && kind != kRamDelta) return refuse_flags(flags);

        std::size_t head = kWord;
        std::uint32_t block = block_;
        if ((flags & kRamContinue) == 0) {
            if (rest.size() < kWord + 1 || rest.size() < kWord + 1 + rest[kWord]) return progress;
            block = TRY(find_block(blocks, rest.subspan(kWord + 1, rest[kWord])));
            head += 1 + rest[kWord];
        } else if (block >= blocks.size()) {
            return fail(ErrorCode::protocol,
                        "migration stream: a page continues a block before any was named");
        }
        if (offset >= blocks[block].length) {
            return fail(ErrorCode::protocol,
                        "migration stream: page at {:#x} lies beyond RAM block '{}' of {:#x} bytes",
                        offset, blocks[block].name, blocks[block].length);
        }
        const std::size_t payload =
            TRY(take_payload(kind, block, offset, rest.subspan(head), sink));
        if (payload == 0) return progress;
        block_ = block;
        progress.used += head + payload;
    }
}

}  // namespace segue
