// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/video_codecs.h"

#include <algorithm>

namespace segue::spice::server {
namespace {

constexpr const char* kHere = "spice:mjpeg";

}  // namespace

Result<std::string> parse_video_codecs(const std::string& text) {
    if (text == "auto") return std::string(kHere);
    std::string list;
    for (std::size_t from = 0; from < text.size();) {
        const std::size_t end = std::min(text.find(';', from), text.size());
        const std::string entry = text.substr(from, end - from);
        from = end + 1;
        if (entry.empty()) continue;
        const std::size_t colon = entry.find(':');
        if (colon == std::string::npos || colon == 0 || colon + 1 == entry.size()) {
            return fail(ErrorCode::invalid_argument,
                        "video codecs: '{}' is not of the form encoder:codec", entry);
        }
        if (entry != kHere) continue;  // an encoder that is not here
        if (!list.empty()) list += ';';
        list += entry;
    }
    if (list.empty())
        return fail(ErrorCode::invalid_argument, "video codecs: none of '{}' exists here", text);
    return list;
}

}  // namespace segue::spice::server
