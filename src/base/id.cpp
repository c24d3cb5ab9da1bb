// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/id.h"

namespace segue {
namespace {

int hex_digit(char character) {
    if (character >= '0' && character <= '9') return character - '0';
    if (character >= 'a' && character <= 'f') return character - 'a' + 10;
    if (character >= 'A' && character <= 'F') return character - 'A' + 10;
    return -1;
}

}  // namespace

std::string to_hex(const std::uint8_t* bytes, std::size_t size) {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string text;
    text.reserve(size * 2);
    for (std::size_t at = 0; at < size; ++at) {
        text.push_back(kDigits[bytes[at] >> 4]);
        text.push_back(kDigits[bytes[at] & 15]);
    }
    return text;
}

Uuid Uuid::random(Random& random) {
    Uuid uuid;
    random.fill(uuid.bytes);
    uuid.bytes[6] = static_cast<std::uint8_t>((uuid.bytes[6] & 0x0f) | 0x40);
    uuid.bytes[8] = static_cast<std::uint8_t>((uuid.bytes[8] & 0x3f) | 0x80);
    return uuid;
}

Result<Uuid> Uuid::parse(std::string_view text) {
    Uuid uuid;
    std::size_t digits = 0;
    for (const char character : text) {
        if (character == '-') continue;
        const int digit = hex_digit(character);
        if (digit < 0 || digits == 32) {
            return fail(ErrorCode::invalid_argument, "malformed UUID '{}'", text.substr(0, 64));
        }
        auto& byte = uuid.bytes[digits / 2];
        byte = static_cast<std::uint8_t>(byte << 4 | digit);
        ++digits;
    }
    if (digits != 32) {
        return fail(ErrorCode::invalid_argument, "malformed UUID '{}'", text.substr(0, 64));
    }
    return uuid;
}

std::string Uuid::text() const {
    std::string hex = to_hex(bytes.data(), bytes.size());
    for (const std::size_t at : {20, 16, 12, 8})
        hex.insert(at, 1, '-');
    return hex;
}

}  // namespace segue
