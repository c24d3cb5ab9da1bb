// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/streams.h"

namespace segue::spice::client {

Result<> StreamTable::create(std::uint32_t id, Stream stream) {
    if (!streams_.emplace(id, std::move(stream)).second) {
        return fail(ErrorCode::protocol, "stream {} is created twice", id);
    }
    return {};
}

Result<Stream*> StreamTable::find(std::uint32_t id) {
    const auto found = streams_.find(id);
    if (found == streams_.end()) return fail(ErrorCode::protocol, "stream {} does not exist", id);
    return &found->second;
}

Result<> StreamTable::destroy(std::uint32_t id) {
    TRY(find(id));
    streams_.erase(id);
    return {};
}

}  // namespace segue::spice::client
