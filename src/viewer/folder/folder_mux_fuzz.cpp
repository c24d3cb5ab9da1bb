// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/check.h"
#include "viewer/folder/folder_mux.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue::viewer;
    FolderMuxReader reader;
    segue::Bytes again;
    // Fed in parts of changing length; what comes out is what went in.
    for (std::size_t at = 0, step = 1; at < size; step = step * 2 % 251 + 1) {
        const std::size_t part = std::min(step, size - at);
        reader.feed({data + at, part});
        at += part;
        while (const auto piece = reader.next()) {
            const segue::Bytes bytes = make_folder_piece(*piece);
            again.insert(again.end(), bytes.begin(), bytes.end());
        }
    }
    ENSURE(again.size() <= size && std::equal(again.begin(), again.end(), data));
    return 0;
}
