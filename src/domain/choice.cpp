// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/choice.h"

#include <algorithm>

namespace segue {

tl::unexpected<Error> bad_choice(const XmlCursor& from, std::string_view key,
                                 std::string_view word) {
    return fail(ErrorCode::config_unsupported,
                "Invalid value for attribute '{}' in element '{}': '{}'", key, from.name(), word);
}

Result<std::optional<std::string>> choice(XmlCursor& from, std::string_view key,
                                          std::span<const std::string_view> words) {
    const auto word = from.attribute(key);
    if (!word) return std::nullopt;
    if (std::find(words.begin(), words.end(), *word) == words.end()) {
        return bad_choice(from, key, *word);
    }
    return word;
}

}  // namespace segue
