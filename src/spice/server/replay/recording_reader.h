// SPDX-License-Identifier: LGPL-2.1-or-later
// The words, numbers and raw bytes of a recording (SPICE_WORKER_RECORD_FILENAME of the stock
// library). Words are apart by any white space; raw bytes stand behind "binary ZLIB NAME SIZE:",
// deflated ones behind a second "SIZE:". After an error everything reads as nothing.
#pragma once

#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::spice::server {

class RecordingReader {
  public:
    // More in one piece is no picture of any device.
    static constexpr std::uint64_t kMostBytes = 256u << 20;

    // The file stays the caller's.
    explicit RecordingReader(std::FILE* file) : file_(file) {}

    // The next word must be this one.
    void expect(std::string_view word);
    std::int64_t number();
    // `name NUMBER`, as most fields are written.
    std::int64_t field(std::string_view name);
    // The same, for a member of whatever size it is (of a packed struct, too).
    struct Value {
        std::int64_t number;
        template <class T>
        operator T() const {
            return static_cast<T>(number);
        }
    };
    Value value(std::string_view name) { return {field(name)}; }
    // Behind `head` bytes of zero.
    Bytes binary(std::string_view name, std::size_t head = 0);

    bool failed() const { return error_.has_value(); }
    // At the end of the file the error says so.
    const std::optional<Error>& error() const { return error_; }
    bool at_end();
    void fail_with(std::string message);

  private:
    std::string word(char end = ' ');
    std::uint64_t size();

    std::FILE* file_;
    std::optional<Error> error_;
};

}  // namespace segue::spice::server
