// SPDX-License-Identifier: LGPL-2.1-or-later
// The state that another host's daemon hands over: bytes from outside.
#include "base/check.h"
#include "spice/server/display/client/display_blob.h"
#include "spice/server/migration/carried_state.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue::spice::server;
    using segue::operator""ms;
    using segue::operator""s;
    const auto read = read_carried({data, size});
    if (!read) return 0;
    StateKeeper keeper;
    const bool accepted = keeper.take(*read).has_value();
    ENSURE(accepted != read->last);
    for (const auto& [key, blob] : read->parts) {
        const auto shown = read_display_blob(segue::spice::wire::SharedBytes::borrow(blob));
        if (!shown) continue;
        for (const auto& [id, stream] : shown->knowledge.streams) {
            const StreamRate rate({}, stream.pace);
            ENSURE(rate.pace().level == stream.pace.level);
            ENSURE(rate.interval() >= 16ms && rate.interval() <= 1s && rate.lead() <= 500ms);
        }
    }
    ENSURE(read_carried(write_carried(*read))->parts == read->parts);
    return 0;
}
