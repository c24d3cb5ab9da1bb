// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/stream_format.h"

#include <algorithm>

namespace segue {

std::string_view name_of(ColoMessage message) {
    switch (message) {
        case ColoMessage::checkpoint_ready: return "checkpoint-ready";
        case ColoMessage::checkpoint_request: return "checkpoint-request";
        case ColoMessage::checkpoint_reply: return "checkpoint-reply";
        case ColoMessage::vmstate_send: return "vmstate-send";
        case ColoMessage::vmstate_size: return "vmstate-size";
        case ColoMessage::vmstate_received: return "vmstate-received";
        case ColoMessage::vmstate_loaded: return "vmstate-loaded";
    }
    return "unknown";
}

bool StreamHead::has_capability(std::string_view name) const {
    return std::find(capabilities.begin(), capabilities.end(), name) != capabilities.end();
}

std::uint64_t StreamHead::ram_bytes() const {
    std::uint64_t total = 0;
    for (const RamBlock& block : blocks)
        total += block.length;
    return total;
}

}  // namespace segue
