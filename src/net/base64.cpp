// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/base64.h"

#include <openssl/evp.h>

namespace segue::net {

std::string base64(ByteView bytes) {
    // Ends in a zero that is not counted.
    std::string text((bytes.size() + 2) / 3 * 4 + 1, '\0');
    const int size = ::EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                                       static_cast<int>(bytes.size()));
    text.resize(static_cast<std::size_t>(size));
    return text;
}

std::string base64(std::string_view text) {
    return base64(as_bytes(text));
}

}  // namespace segue::net
