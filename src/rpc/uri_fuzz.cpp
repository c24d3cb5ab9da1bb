// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/bytes.h"
#include "base/check.h"
#include "rpc/uri.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    const auto uri = rpc::ConnectionUri::parse(as_text(ByteView(data, size)), "/run/default");
    if (!uri) {
        ENSURE(!uri.error().message.empty());
        return 0;
    }
    // What names a host or a socket has an address that can be read again, unless it holds what
    // addresses cannot.
    if (uri->address.transport == net::Transport::tcp) ENSURE(uri->address.port != 0);
    return 0;
}
