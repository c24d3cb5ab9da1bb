// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/websocket.h"

#include <openssl/evp.h>
#include <strings.h>

#include <algorithm>

#include "net/base64.h"

namespace segue::spice::server {
namespace {

// A browser's request with its cookies.
constexpr std::size_t kMostRequest = 8192;
// RFC 6455, 1.3.
constexpr std::string_view kAcceptSuffix = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

constexpr std::uint8_t kBinary = 2;
constexpr std::uint8_t kClose = 8;
constexpr std::uint8_t kPing = 9;
constexpr std::uint8_t kPong = 10;
constexpr std::uint8_t kFinal = 0x80;
constexpr std::uint8_t kMasked = 0x80;

std::string_view trim(std::string_view text) {
    const auto is_space = [](char letter) { return letter == ' ' || letter == '\t'; };
    while (!text.empty() && is_space(text.front()))
        text.remove_prefix(1);
    while (!text.empty() && is_space(text.back()))
        text.remove_suffix(1);
    return text;
}

bool same(std::string_view one, std::string_view other) {
    return one.size() == other.size() && ::strncasecmp(one.data(), other.data(), one.size()) == 0;
}

// The value of a header's field; empty if there is none.
std::string_view field(std::string_view request, std::string_view name) {
    while (!request.empty()) {
        const std::size_t end = request.find("\r\n");
        const std::string_view line = request.substr(0, end);
        const std::size_t colon = line.find(':');
        if (colon != std::string_view::npos && same(line.substr(0, colon), name))
            return trim(line.substr(colon + 1));
        if (end == std::string_view::npos) break;
        request.remove_prefix(end + 2);
    }
    return {};
}

// Whether a field's comma-separated list has this word.
bool lists(std::string_view list, std::string_view word) {
    while (!list.empty()) {
        const std::size_t comma = list.find(',');
        if (same(trim(list.substr(0, comma)), word)) return true;
        if (comma == std::string_view::npos) break;
        list.remove_prefix(comma + 1);
    }
    return false;
}

Result<std::string> accept_key(std::string_view key) {
    const std::string text = std::string(key) + std::string(kAcceptSuffix);
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    if (::EVP_Digest(text.data(), text.size(), digest.data(), &size, ::EVP_sha1(), nullptr) != 1)
        return fail(ErrorCode::internal, "WebSocket: SHA-1 failed");
    return net::base64(ByteView(digest.data(), size));
}

void write_header(std::uint8_t opcode, std::size_t size, Bytes& out) {
    BigWriter writer;
    writer.u8(kFinal | opcode);
    if (size < 126) {
        writer.u8(static_cast<std::uint8_t>(size));
    } else if (size <= 0xffff) {
        writer.u8(126);
        writer.u16(static_cast<std::uint16_t>(size));
    } else {
        writer.u8(127);
        writer.u64(size);
    }
    const Bytes header = writer.take();
    out.insert(out.end(), header.begin(), header.end());
}

}  // namespace

Result<std::optional<WebSocketUpgrade>> upgrade_to_websocket(ByteView bytes) {
    const std::string_view text = as_text(bytes);
    const std::size_t end = text.find("\r\n\r\n");
    if (end == std::string_view::npos) {
        if (text.size() > kMostRequest) {
            return fail(ErrorCode::limit_exceeded, "WebSocket: a request of more than {} bytes",
                        kMostRequest);
        }
        return std::nullopt;
    }
    const std::string_view request = text.substr(0, end);
    const std::string_view key = field(request, "Sec-WebSocket-Key");
    if (!same(field(request, "Upgrade"), "websocket") || key.empty() || key.size() > 64 ||
        field(request, "Sec-WebSocket-Version") != "13") {
        return fail(ErrorCode::protocol,
                    "a web request that is no WebSocket of version 13: SPICE is spoken here");
    }
    WebSocketUpgrade upgrade;
    upgrade.used = end + 4;
    upgrade.reply =
        "HTTP/1.1 101 Switching Protocols\r\n"
        "Upgrade: websocket\r\n"
        "Connection: Upgrade\r\n"
        "Sec-WebSocket-Accept: " +
        TRY(accept_key(key)) + "\r\n";
    if (lists(field(request, "Sec-WebSocket-Protocol"), "binary"))
        upgrade.reply += "Sec-WebSocket-Protocol: binary\r\n";
    upgrade.reply += "\r\n";
    return upgrade;
}

// --- Frames -------------------------------------------------------------------------------------

Result<bool> WebSocketFilter::read_header() {
    if (header_.size() < 2) return false;
    const std::uint8_t first = header_[0];
    const std::uint8_t small = header_[1] & 0x7f;
    if ((header_[1] & kMasked) == 0 || (first & 0x70) != 0)
        return fail(ErrorCode::protocol, "WebSocket: a client's frame is masked and plain");
    const std::size_t size_bytes = small == 126 ? 2 : small == 127 ? 8 : 0;
    const std::size_t whole = 2 + size_bytes + mask_.size();
    if (header_.size() < whole) return false;
    BigReader reader(ByteView(header_).subspan(2));
    left_ = size_bytes == 2 ? reader.u16() : size_bytes == 8 ? reader.u64() : small;
    std::copy_n(header_.begin() + static_cast<std::ptrdiff_t>(whole - mask_.size()), mask_.size(),
                mask_.begin());
    opcode_ = first & 0xf;
    mask_at_ = 0;
    const bool control = opcode_ >= kClose;
    if ((control && ((first & kFinal) == 0 || left_ > kMostControl)) || opcode_ > kPong ||
        (opcode_ > kBinary && !control)) {
        return fail(ErrorCode::protocol, "WebSocket: frame {} of {} bytes", opcode_, left_);
    }
    header_.clear();
    control_.clear();
    in_frame_ = true;
    return true;
}

Result<> WebSocketFilter::receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) {
    while (!from_peer.empty() || (in_frame_ && left_ == 0)) {
        if (closed_) return fail(ErrorCode::protocol, "WebSocket: bytes behind its end");
        if (!in_frame_) {
            header_.push_back(from_peer.front());
            from_peer = from_peer.subspan(1);
            TRY(read_header());
            continue;
        }
        const auto size =
            static_cast<std::size_t>(std::min<std::uint64_t>(left_, from_peer.size()));
        Bytes& into = opcode_ >= kClose ? control_ : plain;
        for (const std::uint8_t byte : from_peer.first(size))
            into.push_back(byte ^ mask_[mask_at_++ % mask_.size()]);
        from_peer = from_peer.subspan(size);
        left_ -= size;
        if (left_ == 0) TRY(end_frame(to_peer));
    }
    return {};
}

Result<> WebSocketFilter::end_frame(Bytes& to_peer) {
    in_frame_ = false;
    if (opcode_ == kPing) {
        write_header(kPong, control_.size(), to_peer);
        to_peer.insert(to_peer.end(), control_.begin(), control_.end());
    } else if (opcode_ == kClose) {
        close(to_peer);
        closed_ = true;
        return fail(ErrorCode::connection_lost, "the peer closed its WebSocket");
    }
    return {};
}

Result<> WebSocketFilter::send(ByteView plain, Bytes& to_peer) {
    if (plain.empty()) return {};
    write_header(kBinary, plain.size(), to_peer);
    to_peer.insert(to_peer.end(), plain.begin(), plain.end());
    return {};
}

void WebSocketFilter::close(Bytes& to_peer) {
    write_header(kClose, 0, to_peer);
}

}  // namespace segue::spice::server
