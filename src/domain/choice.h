// SPDX-License-Identifier: LGPL-2.1-or-later
// Words of the dialect and what they mean to us: one table per attribute.
#pragma once

#include <span>

#include "domain/xml_cursor.h"

namespace segue {

template <class T>
struct Choice {
    std::string_view word;
    T value;
};

template <class T, std::size_t kCount>
std::string_view name_in(const Choice<T> (&choices)[kCount], T value) {
    for (const Choice<T>& choice : choices) {
        if (choice.value == value) return choice.word;
    }
    return {};
}

// The error for a word that is not in a table, as libvirt words it.
[[nodiscard]] tl::unexpected<Error> bad_choice(const XmlCursor& from, std::string_view key,
                                               std::string_view word);

// The attribute, if it is there and one of the words.
template <class T, std::size_t kCount>
Result<std::optional<T>> choice(XmlCursor& from, std::string_view key,
                                const Choice<T> (&choices)[kCount]) {
    const auto word = from.attribute(key);
    if (!word) return std::nullopt;
    for (const Choice<T>& one : choices) {
        if (one.word == *word) return one.value;
    }
    return bad_choice(from, key, *word);
}

Result<std::optional<std::string>> choice(XmlCursor& from, std::string_view key,
                                          std::span<const std::string_view> words);

}  // namespace segue
