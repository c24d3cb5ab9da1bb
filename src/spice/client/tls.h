// SPDX-License-Identifier: LGPL-2.1-or-later
// TLS towards a SPICE server as a byte filter, with SPICE's ways of knowing the server: by the name
// of the host, by the subject of its certificate, or by its public key. Always also by its
// authority.
#pragma once

#include <memory>

#include "net/filter.h"
#include "spice/client/settings.h"

namespace segue::spice::client {

// Certificates and rules of one session and one target; its sessions are resumed among channels.
// Immutable after it is made, but for that.
class TlsClient {
  public:
    // Errors name the file or the subject that cannot be read.
    static Result<std::shared_ptr<TlsClient>> make(const Trust& trust, const std::string& host);
    ~TlsClient();

    // Fails the handshake (error auth_failed) when the server is not who it must be.
    Result<std::unique_ptr<net::ByteFilter>> make_filter();

    struct Inside;

  private:
    explicit TlsClient(std::shared_ptr<Inside> inside) : inside_(std::move(inside)) {}
    std::shared_ptr<Inside> inside_;
};

}  // namespace segue::spice::client
