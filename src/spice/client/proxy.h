// SPDX-License-Identifier: LGPL-2.1-or-later
// A way to the server through an HTTP proxy (CONNECT, RFC 9110 section 9.3.6), as a byte filter in
// front of TLS or of nothing.
#pragma once

#include <memory>
#include <string>

#include "net/filter.h"

namespace segue::spice::client {

struct Proxy {
    std::string host;
    std::uint16_t port = 3128;
    std::string credentials;  // "user:password", or empty
};

// "http://[user:password@]host[:port]", or "host:port". Errors: invalid_argument; "https://" is
// no_support.
Result<Proxy> parse_proxy(const std::string& text);

// `target` is "host:port"; `inner` may be null. Errors of receive(): refused with the proxy's own
// words.
std::unique_ptr<net::ByteFilter> make_connect_filter(const std::string& target, const Proxy& proxy,
                                                     std::unique_ptr<net::ByteFilter> inner);

}  // namespace segue::spice::client
