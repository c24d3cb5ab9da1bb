// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/stream_writer.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace segue {
namespace {

constexpr std::string_view kIgnoreShared = "x-ignore-shared";
// What the target wants behind the device state; its content serves humans only.
constexpr std::string_view kEmptyDescription = "{}";

void put_name(BigWriter& out, std::string_view name) {
    out.u8(static_cast<std::uint8_t>(name.size()));
    out.bytes(as_bytes(name));
}

void put_section(BigWriter& out, StreamSection section) {
    out.u8(static_cast<std::uint8_t>(section));
}

bool is_zero_page(const std::uint8_t* page) {
    return page[0] == 0 && std::memcmp(page, page + 1, kPageSize - 1) == 0;
}

bool is_known_zero(const FailoverStream::Block& block, std::uint64_t offset) {
    return block.written != nullptr && !(*block.written)[offset / kPageSize];
}

}  // namespace

FailoverStream::FailoverStream(const StreamHead& head, std::vector<Block> blocks,
                               ByteView device_state)
    : head_(head), blocks_(std::move(blocks)), device_state_(device_state) {
    ENSURE(blocks_.size() == head_.blocks.size());
    for (std::size_t index = 0; index < blocks_.size(); ++index) {
        ENSURE(blocks_[index].image.size() == head_.blocks[index].length);
        ENSURE(blocks_[index].written == nullptr ||
               blocks_[index].written->size() == blocks_[index].image.size() / kPageSize);
        ignore_shared_ = ignore_shared_ || blocks_[index].shared;
    }
}

std::vector<ByteView> FailoverStream::next() {
    std::vector<ByteView> pieces;
    BigWriter out;
    switch (step_) {
        case Step::head:
            write_head(out);
            put_section(out, StreamSection::end);
            out.u32(head_.ram_section);
            heads_ = out.take();
            pieces.push_back(heads_);
            step_ = Step::pages;
            break;
        case Step::pages:
            next_pages(pieces);
            if (!pieces.empty()) break;
            step_ = Step::tail;
            [[fallthrough]];
        case Step::tail: {
            out.u64(kRamEnd);
            footer(out);
            const std::size_t before_state = out.size();
            put_section(out, StreamSection::description);
            out.u32(kEmptyDescription.size());
            out.bytes(as_bytes(kEmptyDescription));
            heads_ = out.take();
            const ByteView view = heads_;
            pieces = {view.first(before_state), device_state_, view.subspan(before_state)};
            step_ = Step::done;
            break;
        }
        case Step::done: break;
    }
    for (const ByteView& piece : pieces)
        size_ += piece.size();
    return pieces;
}

void FailoverStream::write_configuration(BigWriter& out) const {
    put_section(out, StreamSection::configuration);
    out.u32(static_cast<std::uint32_t>(head_.machine.size()));
    out.bytes(as_bytes(head_.machine));
    if (ignore_shared_) {
        put_section(out, StreamSection::subsection);
        put_name(out, "configuration/capabilities");
        out.u32(1);  // version
        out.u32(1);  // capabilities
        put_name(out, kIgnoreShared);
    }
    out.bytes(head_.subsections);
}

void FailoverStream::write_head(BigWriter& out) const {
    out.u32(kStreamMagic);
    out.u32(kStreamVersion);
    write_configuration(out);
    put_section(out, StreamSection::start);
    out.u32(head_.ram_section);
    put_name(out, "ram");
    out.u32(0);  // instance
    out.u32(kRamVersion);
    out.u64(head_.ram_bytes() | kRamBlockList);
    for (const RamBlock& block : head_.blocks) {
        put_name(out, block.name);
        out.u64(block.length);
        if (ignore_shared_) out.u64(block.address);
    }
    out.u64(kRamEnd);
    footer(out);
}

void FailoverStream::footer(BigWriter& out) const {
    put_section(out, StreamSection::footer);
    out.u32(head_.ram_section);
}

// Each page is a head (in heads_) and, unless it is all zeros, a view of the image.
void FailoverStream::next_pages(std::vector<ByteView>& pieces) {
    BigWriter out;
    struct Piece {
        std::size_t head_end;
        const std::uint8_t* page;
    };
    std::vector<Piece> made;
    while (block_ < blocks_.size() && made.size() < kMaxPieces / 2) {
        const Block& block = blocks_[block_];
        if (block.shared || offset_ == block.image.size()) {
            ++block_;
            offset_ = 0;
            continue;
        }
        const std::uint8_t* page = block.image.data() + offset_;
        const bool zero = is_known_zero(block, offset_) || is_zero_page(page);
        const bool first = offset_ == 0;
        const std::uint64_t kind = zero ? kRamFill : kRamPage;
        out.u64(offset_ | (first ? kind : kind | kRamContinue));
        if (first) put_name(out, head_.blocks[block_].name);
        if (zero) out.u8(0);
        made.push_back({out.size(), zero ? nullptr : page});
        offset_ += kPageSize;
    }
    heads_ = out.take();
    std::size_t at = 0;
    for (const Piece& piece : made) {
        // Heads of zero pages join the head that follows them.
        if (piece.page == nullptr && &piece != &made.back()) continue;
        pieces.push_back(ByteView(heads_).subspan(at, piece.head_end - at));
        if (piece.page != nullptr) pieces.emplace_back(piece.page, kPageSize);
        at = piece.head_end;
    }
}

}  // namespace segue
