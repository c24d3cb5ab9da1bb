// SPDX-License-Identifier: LGPL-2.1-or-later
// A hostile proxy, and any text in the place of its address. First byte: where its answer is cut.
#include "spice/client/proxy.h"

using namespace segue;
using namespace segue::spice::client;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const ByteView bytes(data + 1, size - 1);
    const auto proxy =
        parse_proxy(std::string(as_text(bytes.first(std::min(bytes.size(), std::size_t{200})))));
    const auto filter = make_connect_filter("host:5900", proxy.value_or(Proxy{}), nullptr);
    Bytes plain, to_peer;
    (void)filter->start(to_peer);
    (void)filter->send(as_bytes("said early"), to_peer);
    const std::size_t cut = std::min<std::size_t>(data[0], bytes.size());
    if (filter->receive(bytes.first(cut), plain, to_peer))
        (void)filter->receive(bytes.subspan(cut), plain, to_peer);
    (void)filter->send(as_bytes("said late"), to_peer);
    if (filter->is_open()) filter->close(to_peer);
    return 0;
}
