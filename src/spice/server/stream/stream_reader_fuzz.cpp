// SPDX-License-Identifier: LGPL-2.1-or-later
// What a streaming agent in a guest may say, in pieces of the size that the first byte names.
#include <algorithm>

#include "spice/server/stream/stream_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using segue::spice::server::StreamReader;
    if (size == 0) return 0;
    const std::size_t piece = std::size_t{data[0]} + 1;
    StreamReader reader;
    segue::ByteView rest(data + 1, size - 1);
    while (!rest.empty()) {
        segue::ByteView now = rest.first(std::min(piece, rest.size()));
        rest = rest.subspan(now.size());
        while (true) {
            const auto message = reader.feed(now);
            if (!message) return 0;
            if (!*message) break;
        }
    }
    return 0;
}
