// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/agent/agent_reader.h"

#include <algorithm>

namespace segue::spice::server {

std::span<std::uint8_t> AgentReader::room() {
    if (header_have_ < header_.size()) return std::span(header_).subspan(header_have_);
    if (piece_.empty()) begin_piece();
    return std::span(piece_).subspan(piece_have_);
}

void AgentReader::begin_piece() {
    const std::uint32_t size = std::min<std::uint32_t>(chunk_left_, VD_AGENT_MAX_DATA_SIZE);
    piece_.resize(size);
    piece_have_ = 0;
    chunk_left_ -= size;
}

AgentReader::Piece AgentReader::take_piece() {
    Piece piece{port_, std::move(piece_)};
    piece_ = {};
    piece_have_ = 0;
    if (chunk_left_ == 0) header_have_ = 0;
    return piece;
}

Result<std::optional<AgentReader::Piece>> AgentReader::filled(std::size_t size) {
    if (header_have_ < header_.size()) {
        header_have_ += size;
        if (header_have_ < header_.size()) return std::nullopt;
        LittleReader reader(header_);
        port_ = reader.u32();
        chunk_left_ = reader.u32();
        if (port_ != VDP_CLIENT_PORT && port_ != VDP_SERVER_PORT)
            return fail(ErrorCode::protocol, "the agent wrote to port {}, 1 and 2 exist", port_);
        if (chunk_left_ == 0) header_have_ = 0;
        return std::nullopt;
    }
    piece_have_ += size;
    if (piece_have_ < piece_.size()) return std::nullopt;
    return take_piece();
}

std::optional<AgentReader::Piece> AgentReader::cut(std::size_t least) {
    if (piece_have_ == 0 || piece_have_ <= least) return std::nullopt;
    chunk_left_ += static_cast<std::uint32_t>(piece_.size() - piece_have_);
    piece_.resize(piece_have_);
    return take_piece();
}

void AgentReader::capture(wire::migration::Main& state) const {
    state.agent_chunk_header_size = static_cast<std::uint32_t>(header_have_);
    LittleReader reader(header_);
    state.agent_chunk_port = reader.u32();
    state.agent_chunk_size = reader.u32();
    if (header_have_ < header_.size()) return;
    // What is left of the chunk, behind the bytes that travel as a broken-off header.
    state.agent_chunk_size = chunk_left_ + static_cast<std::uint32_t>(piece_.size() - piece_have_);
    state.agent_header.assign(piece_.begin(),
                              piece_.begin() + static_cast<std::ptrdiff_t>(piece_have_));
}

void AgentReader::restore(const wire::migration::Main& state) {
    *this = {};
    header_have_ = std::min<std::size_t>(state.agent_chunk_header_size, header_.size());
    store<ByteOrder::little>(header_.data(), state.agent_chunk_port);
    store<ByteOrder::little>(header_.data() + 4, state.agent_chunk_size);
    if (header_have_ < header_.size()) return;
    port_ = state.agent_chunk_port;
    chunk_left_ = state.agent_chunk_size;
    if (state.agent_header_done || state.agent_header.empty()) {
        if (chunk_left_ == 0) header_have_ = 0;
        return;
    }
    const std::size_t have = state.agent_header.size();
    const std::size_t more = std::min<std::size_t>(chunk_left_, VD_AGENT_MAX_DATA_SIZE - have);
    if (more == 0) {
        header_have_ = 0;  // nothing to join the bytes to: no server of sense writes this
        return;
    }
    piece_ = state.agent_header;
    piece_.resize(have + more);
    piece_have_ = have;
    chunk_left_ -= static_cast<std::uint32_t>(more);
}

}  // namespace segue::spice::server
