// SPDX-License-Identifier: LGPL-2.1-or-later
// A UUID as libvirt and QEMU write it: 16 raw bytes on the wire, 36 characters in text.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/random.h"
#include "base/result.h"

namespace segue {

struct Uuid {
    std::array<std::uint8_t, 16> bytes{};

    // RFC 4122 version 4.
    static Uuid random(Random& random);
    // Accepts upper and lower case, with or without hyphens (as libvirt does).
    static Result<Uuid> parse(std::string_view text);

    std::string text() const;
    bool is_nil() const { return bytes == std::array<std::uint8_t, 16>{}; }
    friend auto operator<=>(const Uuid&, const Uuid&) = default;
};

// Lower-case hexadecimal, two characters a byte.
std::string to_hex(const std::uint8_t* bytes, std::size_t size);

}  // namespace segue
