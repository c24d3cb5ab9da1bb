// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/control/line_reader.h"

#include <algorithm>
#include <utility>

namespace segue::spice::control {

Result<> LineReader::feed(ByteView input, const std::function<void(Incoming)>& take) {
    while (!input.empty() || expected_ == 0u) {
        if (!expected_) {
            const auto end = std::find(input.begin(), input.end(), '\n');
            const auto size = static_cast<std::size_t>(end - input.begin());
            if (current_.line.size() + size > kMostLine) {
                return fail(ErrorCode::limit_exceeded,
                            "control: a line of more than {} bytes: its peer is disconnected",
                            kMostLine);
            }
            current_.line += as_text(input.first(size));
            if (end == input.end()) return {};
            input = input.subspan(size + 1);
            const std::uint64_t bytes = bytes_of_(current_.line);
            if (bytes > kMostBytes) {
                return fail(ErrorCode::limit_exceeded,
                            "control: {} bytes behind a line, at most {}: its peer is disconnected",
                            bytes, kMostBytes);
            }
            expected_ = static_cast<std::size_t>(bytes);
        }
        const std::size_t taken = std::min(*expected_, input.size());
        current_.bytes.insert(current_.bytes.end(), input.begin(), input.begin() + taken);
        input = input.subspan(taken);
        *expected_ -= taken;
        if (*expected_ > 0) return {};
        expected_.reset();
        take(std::exchange(current_, {}));
    }
    return {};
}

}  // namespace segue::spice::control
