// SPDX-License-Identifier: LGPL-2.1-or-later
// A hostile QEMU: any bytes on the monitor, with commands waiting. Whatever comes, each command
// gets exactly one reply, and `closed` comes at most once, as the last action.
#include <cstdint>
#include <set>

#include "base/check.h"
#include "qemu/qmp.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    QmpProtocol protocol({.line_bytes = 4096, .depth = 16, .pending = 64});
    std::set<std::uint64_t> waiting;
    const auto drain = [&] {
        bool closed = false;
        for (const QmpAction& action : protocol.take_actions()) {
            ENSURE(!closed);
            if (const auto* reply = std::get_if<QmpReply>(&action)) {
                ENSURE(waiting.erase(reply->id) == 1);
            }
            closed = std::holds_alternative<QmpClosed>(action);
        }
    };
    for (int count = 0; count < 12; ++count) {
        waiting.insert(protocol.execute({.name = "query-status", .out_of_band = count % 3 == 0}));
    }
    // The first byte cuts the input in two, so that lines come in pieces.
    const std::size_t cut = size ? data[0] % size : 0;
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    protocol.feed(text.substr(0, cut));
    drain();
    protocol.feed(text.substr(cut));
    drain();
    protocol.close({ErrorCode::connection_lost, "end of the run"});
    drain();
    ENSURE(waiting.empty() && protocol.pending() == 0);
    return 0;
}
