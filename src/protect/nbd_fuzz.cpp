// SPDX-License-Identifier: LGPL-2.1-or-later
// A hostile NBD client: any bytes, in two pieces. What passes must lie inside the export.
#include "base/check.h"
#include "protect/nbd.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    if (size < 2) return 0;
    constexpr std::uint64_t kBytes = 1U << 20;
    nbd::Server server({kBytes, (data[0] & 1) != 0, (data[0] & 2) != 0});
    const std::size_t cut = std::min<std::size_t>(data[1], size - 2);
    Bytes out;
    const auto check = [](const nbd::Request& request) {
        ENSURE(request.command == nbd::Command::flush ||
               (request.offset <= kBytes && request.length <= kBytes - request.offset));
        ENSURE(request.command != nbd::Command::write || request.data.size() == request.length);
    };
    for (const ByteView part :
         {ByteView(data + 2, cut), ByteView(data + 2 + cut, size - 2 - cut)}) {
        if (!server.feed(part, out, check)) break;
        if (server.wants_tls()) server.secured();
    }
    return 0;
}
