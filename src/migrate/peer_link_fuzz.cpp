// SPDX-License-Identifier: LGPL-2.1-or-later
// Any bytes at either end of a peer link, in pieces of any size.
#include "migrate/peer_link.h"

using namespace segue;
using namespace segue::migrate;

namespace {

void feed(PeerLink link, ByteView bytes, std::size_t piece) {
    while (!bytes.empty()) {
        const std::size_t size = std::min(piece, bytes.size());
        const auto messages = link.receive(bytes.first(size));
        if (!messages) return;
        for (const PeerMessage& message : *messages) {
            if (!link.ready() && !message.destination_event()) link.accept();
        }
        bytes = bytes.subspan(size);
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t piece = data[0] % 80 + 1;
    feed(PeerLink::dialled({}, {}), {data + 1, size - 1}, piece);
    feed(PeerLink::accepted(), {data + 1, size - 1}, piece);
    return 0;
}
