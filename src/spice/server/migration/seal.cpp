// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include <algorithm>
#include <tuple>

namespace segue::spice::server {
namespace {

constexpr std::string_view kMark = "SGSL";
constexpr std::size_t kDigest = std::tuple_size_v<StateDigest>;
constexpr std::size_t kSeal = 4 + kDigest;

StateDigest digest_of(ByteView state) {
    StateDigest digest{};
    ::SHA256(state.data(), state.size(), digest.data());
    return digest;
}

StateDigest seal_of(const StateDigest& state, const StateKey& key, ChannelKey channel) {
    Bytes sealed{static_cast<std::uint8_t>(channel.type), channel.id};
    sealed.insert(sealed.end(), state.begin(), state.end());
    StateDigest made{};
    ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), sealed.data(), sealed.size(),
           made.data(), nullptr);
    return made;
}

}  // namespace

void seal(Bytes& state, const StateKey& key, ChannelKey channel) {
    const StateDigest made = seal_of(digest_of(state), key, channel);
    const ByteView mark = as_bytes(kMark);
    state.insert(state.end(), mark.begin(), mark.end());
    state.insert(state.end(), made.begin(), made.end());
}

SealedState sealed_state(ByteView maybe_sealed) {
    const ByteView state = without_seal(maybe_sealed);
    SealedState made{digest_of(state), std::nullopt};
    if (state.size() == maybe_sealed.size()) return made;
    const ByteView seal = maybe_sealed.last(kDigest);
    std::copy(seal.begin(), seal.end(), made.seal.emplace().begin());
    return made;
}

Result<> check_seal(const SealedState& state, const StateKey& key, ChannelKey channel) {
    if (state.seal) {
        const StateDigest expected = seal_of(state.digest, key, channel);
        if (CRYPTO_memcmp(state.seal->data(), expected.data(), kDigest) == 0) return {};
    }
    return fail(ErrorCode::protocol,
                "{}: a state without the seal of the server that it is said to come from",
                name_of(channel));
}

void EarlyStates::keep(ChannelKey channel, const SealedState& state) {
    const std::lock_guard lock(mutex_);
    overflowed_ = overflowed_ || states_.size() == kMost;
    if (!overflowed_) states_.emplace_back(channel, state);
}

Result<> EarlyStates::check(const StateKey& key) const {
    const std::lock_guard lock(mutex_);
    for (const auto& [channel, state] : states_)
        TRY(check_seal(state, key, channel));
    if (!overflowed_) return {};
    return fail(ErrorCode::limit_exceeded, "more than {} states before the key", kMost);
}

ByteView without_seal(ByteView maybe_sealed) {
    if (maybe_sealed.size() < kSeal) return maybe_sealed;
    const std::size_t size = maybe_sealed.size() - kSeal;
    const bool is_sealed = as_text(maybe_sealed.subspan(size, kMark.size())) == kMark;
    return is_sealed ? maybe_sealed.first(size) : maybe_sealed;
}

}  // namespace segue::spice::server
