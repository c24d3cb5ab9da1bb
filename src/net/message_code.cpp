// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/message_code.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>

#include <algorithm>

namespace segue::net {

MessageCode message_code(ByteView key, ByteView message) {
    std::array<std::uint8_t, EVP_MAX_MD_SIZE> whole{};
    unsigned size = 0;
    ::HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), message.data(), message.size(),
           whole.data(), &size);
    MessageCode code{};
    std::copy_n(whole.begin(), code.size(), code.begin());
    return code;
}

bool same_code(const MessageCode& one, ByteView other) {
    return other.size() == one.size() && ::CRYPTO_memcmp(one.data(), other.data(), one.size()) == 0;
}

Bytes sealed(ByteView key, Bytes message) {
    const MessageCode code = message_code(key, message);
    message.insert(message.end(), code.begin(), code.end());
    return message;
}

std::optional<ByteView> unsealed(ByteView key, ByteView bytes) {
    if (bytes.size() < sizeof(MessageCode)) return std::nullopt;
    const ByteView message = bytes.first(bytes.size() - sizeof(MessageCode));
    if (!same_code(message_code(key, message), bytes.subspan(message.size()))) return std::nullopt;
    return message;
}

}  // namespace segue::net
