// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace segue::spice::server {
namespace {

constexpr std::string_view kMark = "SGSL";
constexpr std::size_t kDigest = 32;
constexpr std::size_t kSeal = 4 + kDigest;

std::array<std::uint8_t, kDigest> digest_of(ByteView state, const StateKey& key,
                                            ChannelKey channel) {
    Bytes sealed{static_cast<std::uint8_t>(channel.type), channel.id};
    sealed.insert(sealed.end(), state.begin(), state.end());
    std::array<std::uint8_t, kDigest> digest{};
    ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), sealed.data(), sealed.size(),
           digest.data(), nullptr);
    return digest;
}

}  // namespace

void seal(Bytes& state, const StateKey& key, ChannelKey channel) {
    const auto digest = digest_of(state, key, channel);
    const ByteView mark = as_bytes(kMark);
    state.insert(state.end(), mark.begin(), mark.end());
    state.insert(state.end(), digest.begin(), digest.end());
}

Result<ByteView> unseal(ByteView sealed, const StateKey& key, ChannelKey channel) {
    if (sealed.size() >= kSeal) {
        const ByteView state = sealed.first(sealed.size() - kSeal);
        const ByteView mark = sealed.subspan(state.size(), kMark.size());
        const ByteView digest = sealed.last(kDigest);
        const auto expected = digest_of(state, key, channel);
        if (as_text(mark) == kMark && CRYPTO_memcmp(digest.data(), expected.data(), kDigest) == 0) {
            return state;
        }
    }
    return fail(ErrorCode::protocol,
                "{}: a state without the seal of the server that it is said to come from",
                name_of(channel));
}

ByteView without_seal(ByteView maybe_sealed) {
    if (maybe_sealed.size() < kSeal) return maybe_sealed;
    const std::size_t size = maybe_sealed.size() - kSeal;
    const bool is_sealed = as_text(maybe_sealed.subspan(size, kMark.size())) == kMark;
    return is_sealed ? maybe_sealed.first(size) : maybe_sealed;
}

}  // namespace segue::spice::server
