// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/agent/agent_stream.h"

#include "base/log.h"

namespace segue::spice::client {

namespace agent = wire::agent;

namespace {

// Selection, type and size fields stand beside the data.
constexpr std::size_t kFixedPart = 64;
// Of messages that are a list of numbers.
constexpr std::size_t kSmallMessage = 8192;

}  // namespace

std::size_t AgentStream::limit_of(std::uint32_t type) {
    switch (type) {
        case agent::Clipboard::kFromServer: return agent::kClipboardData + kFixedPart;
        default: return kSmallMessage;
    }
}

Result<> AgentStream::feed(ByteView chunk, const OnMessage& on_message) {
    while (!chunk.empty() || (in_body_ && missing_ == 0)) {
        if (!in_body_) {
            const std::size_t size = std::min(chunk.size(), kHeaderSize - head_.size());
            head_.insert(head_.end(), chunk.begin(),
                         chunk.begin() + static_cast<std::ptrdiff_t>(size));
            chunk = chunk.subspan(size);
            if (head_.size() < kHeaderSize) return {};
            const auto header = TRY(wire::parse<agent::Header>(wire::SharedBytes::borrow(head_)));
            head_.clear();
            in_body_ = true;
            type_ = header.type;
            missing_ = header.size;
            skipping_ = missing_ > limit_of(type_);
            if (skipping_) {
                log_warning("spice",
                            "a message of {} bytes from the guest's agent is above the "
                            "limit of {} for type {}: skipped",
                            missing_, limit_of(type_), type_);
            }
            continue;
        }
        const std::size_t size = std::min(chunk.size(), missing_);
        if (!skipping_) {
            body_.insert(body_.end(), chunk.begin(),
                         chunk.begin() + static_cast<std::ptrdiff_t>(size));
        }
        chunk = chunk.subspan(size);
        missing_ -= size;
        if (missing_ > 0) return {};
        in_body_ = false;
        Bytes body = std::exchange(body_, {});
        if (!skipping_) on_message({type_, wire::SharedBytes::take(std::move(body))});
    }
    return {};
}

Bytes AgentStream::frame(std::uint32_t type, ByteView body) {
    agent::Header header;
    header.type = type;
    header.size = static_cast<std::uint32_t>(body.size());
    Bytes bytes = wire::encode(0, header).body();
    bytes.insert(bytes.end(), body.begin(), body.end());
    return bytes;
}

}  // namespace segue::spice::client
