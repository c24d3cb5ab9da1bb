// SPDX-License-Identifier: LGPL-2.1-or-later
#include "migrate/record.h"

namespace segue::migrate {
namespace {

constexpr std::string_view kRights[] = {"none", "held", "given", "taken", "refused"};

// No address holds a space.
constexpr std::string_view kTlsMark = " tls=";

int digit_of(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    return -1;
}

}  // namespace

std::string_view name_of(Right right) {
    return kRights[static_cast<std::size_t>(right)];
}

std::optional<Right> right_named(std::string_view name) {
    for (std::size_t at = 0; at < std::size(kRights); ++at) {
        if (kRights[at] == name) return static_cast<Right>(at);
    }
    return std::nullopt;
}

std::string peer_place(const PeerAddress& peer) {
    if (peer.tls_name.empty()) return peer.address;
    return fmt::format("{}{}{}", peer.address, kTlsMark, peer.tls_name);
}

void set_peer_place(PeerAddress& peer, std::string_view place) {
    const std::size_t mark = place.find(kTlsMark);
    peer.address = place.substr(0, mark);
    peer.tls_name = mark == std::string_view::npos ? "" : place.substr(mark + kTlsMark.size());
}

Result<PeerKey> parse_key(std::string_view hex) {
    PeerKey key{};
    const auto bad = fail(ErrorCode::invalid_argument,
                          "a peer link key has {} lower-case hexadecimal digits", 2 * key.size());
    if (hex.size() != 2 * key.size()) return bad;
    for (std::size_t at = 0; at < key.size(); ++at) {
        const int high = digit_of(hex[2 * at]);
        const int low = digit_of(hex[2 * at + 1]);
        if (high < 0 || low < 0) return bad;
        key[at] = static_cast<std::uint8_t>(high * 16 + low);
    }
    return key;
}

void settle_arrivals(std::vector<Record>& records) {
    for (Record& arrival : records) {
        if (arrival.role != Role::destination || arrival.right != Right::taken) continue;
        for (const Record& other : records) {
            if (other.role == Role::source && other.incarnation == arrival.incarnation) {
                arrival.settled = true;
            }
        }
    }
}

std::string key_text(const PeerKey& key) {
    return to_hex(key.data(), key.size());
}

}  // namespace segue::migrate
