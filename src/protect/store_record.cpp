// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/store_record.h"

#include <atomic>
#include <cstring>

namespace segue {
namespace {

constexpr std::uint64_t kMagic = 0x31524f5453474553;  // "SEGSTOR1"

// FNV-1a: against a torn write, not against an enemy (the directory is ours alone).
std::uint64_t checksum_of(ByteView bytes) {
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const std::uint8_t byte : bytes)
        hash = (hash ^ byte) * 0x100000001b3;
    return hash;
}

Bytes encode(const StoreRecord& record, std::uint64_t sequence) {
    LittleWriter out;
    out.u64(kMagic);
    out.u64(sequence);
    out.u32(static_cast<std::uint32_t>(record.content));
    out.u32(record.pending ? 1 : 0);
    out.u64(record.epoch);
    out.i64(record.committed_at_ms);
    out.u64(record.state_bytes);
    out.u64(record.sections_at);
    out.u64(record.sections_bytes);
    out.u64(record.state_at);
    out.u32(record.current_block);
    out.u32(0);
    out.u64(checksum_of(out.view()));
    return out.take();
}

struct Slot {
    std::uint64_t sequence;
    StoreRecord record;
};

std::optional<Slot> decode(ByteView bytes) {
    LittleReader in(bytes);
    Slot slot{};
    const std::uint64_t magic = in.u64();
    slot.sequence = in.u64();
    slot.record.content = static_cast<StoreRecord::Content>(in.u32());
    slot.record.pending = in.u32() != 0;
    slot.record.epoch = in.u64();
    slot.record.committed_at_ms = in.i64();
    slot.record.state_bytes = in.u64();
    slot.record.sections_at = in.u64();
    slot.record.sections_bytes = in.u64();
    slot.record.state_at = in.u64();
    slot.record.current_block = in.u32();
    in.skip(4);
    const std::size_t covered = in.position();
    const std::uint64_t checksum = in.u64();
    if (!in.ok() || magic != kMagic || checksum != checksum_of(bytes.first(covered))) {
        return std::nullopt;
    }
    if (slot.record.content > StoreRecord::Content::committed) return std::nullopt;
    return slot;
}

}  // namespace

Result<RecordFile> RecordFile::open(const std::string& path) {
    RecordFile result;
    result.file_ = TRY(MemoryFile::make(path, 2 * kSlotBytes, true));
    for (const std::size_t at : {std::size_t{0}, kSlotBytes}) {
        const auto slot = decode(result.file_.view().subspan(at, kSlotBytes));
        if (!slot || slot->sequence < result.sequence_) continue;
        result.sequence_ = slot->sequence;
        result.current_ = slot->record;
    }
    return result;
}

void RecordFile::put(const StoreRecord& record) {
    ++sequence_;
    const Bytes bytes = encode(record, sequence_);
    std::uint8_t* slot = file_.bytes().data() + (sequence_ % 2) * kSlotBytes;
    // A kill between two stores leaves memory as the program order has it; the compiler must not
    // reorder them.
    std::atomic_signal_fence(std::memory_order_seq_cst);
    std::memcpy(slot, bytes.data(), bytes.size());
    std::atomic_signal_fence(std::memory_order_seq_cst);
    current_ = record;
}

}  // namespace segue
