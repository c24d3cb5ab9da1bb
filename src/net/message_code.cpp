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

}  // namespace segue::net
