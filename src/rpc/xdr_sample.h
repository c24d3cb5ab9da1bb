// SPDX-License-Identifier: LGPL-2.1-or-later
// Random values for the generated fill() functions: what tests and fuzzers feed to the codecs.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "base/bytes.h"
#include "base/random.h"

namespace segue::rpc {

class XdrSample {
  public:
    explicit XdrSample(Random& random) : random_(random) {}

    // Small, so that a test that looks at every length of a message ends.
    static constexpr std::uint64_t kLongest = 5;

    std::uint64_t below(std::uint64_t bound) { return random_.below(bound); }
    bool coin() { return below(2) == 1; }

    template <class T>
    void scalar(T& value) {
        if constexpr (std::is_same_v<T, double>) {
            value = static_cast<double>(random_.next() >> 12) / 16;
        } else if constexpr (std::is_same_v<T, bool>) {
            value = coin();
        } else {
            value = static_cast<T>(random_.next());
        }
    }
    template <class T>
    T choose(std::initializer_list<T> values) {
        return *(values.begin() + below(values.size()));
    }
    template <class Array>
    void fixed(Array& bytes) {
        random_.fill(bytes);
    }
    void string(std::string& value, std::uint64_t limit) {
        value.resize(count(limit));
        for (char& character : value)
            character = static_cast<char>('a' + below(26));
    }
    void bytes(Bytes& value, std::uint64_t limit) {
        value.resize(count(limit));
        random_.fill(value);
    }
    std::size_t count(std::uint64_t limit) { return below(std::min(limit, kLongest) + 1); }

  private:
    Random& random_;
};

}  // namespace segue::rpc
