// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/output_gate.h"

#include <algorithm>

namespace segue::spice::server {

control::ScreenAnswer OutputGate::obey(const control::ScreenWord& word) {
    using Kind = control::ScreenWord::Kind;
    switch (word.kind) {
        case Kind::hold:
            // Of an earlier protection nothing counts.
            released_until_ns_ = 0;
            holds_ = true;
            holds_picture_ = !word.picture_passes;
            break;
        case Kind::release: {
            const std::int64_t until = word.until.since_start.count();
            if (until > released_until_ns_) released_until_ns_ = until;
            break;
        }
        case Kind::pass: holds_ = holds_picture_ = false; break;
    }
    const auto waiting = std::max<std::int64_t>(waiting_, 0);
    return {holds_, static_cast<std::uint64_t>(waiting)};
}

}  // namespace segue::spice::server
