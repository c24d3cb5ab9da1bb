// SPDX-License-Identifier: LGPL-2.1-or-later
// Splits what comes over a control socket into lines and the bytes that some lines announce. Both
// ends read with it; it holds at most one line and its bytes.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "spice/control/messages.h"

namespace segue::spice::control {

class LineReader {
  public:
    struct Incoming {
        std::string line;  // without its end
        Bytes bytes;       // what the line announced
    };
    // How many bytes follow this line. A line that cannot be read announces none: it is answered
    // or logged as it is, unless it is too long.
    using BytesOf = std::function<std::uint64_t(std::string_view line)>;

    explicit LineReader(BytesOf bytes_of) : bytes_of_(std::move(bytes_of)) {}

    // Calls `take` for each line that is complete now. An error ends the connection.
    Result<> feed(ByteView input, const std::function<void(Incoming)>& take);

  private:
    BytesOf bytes_of_;
    Incoming current_;
    std::optional<std::size_t> expected_;  // the line is complete, and so many bytes follow
};

}  // namespace segue::spice::control
