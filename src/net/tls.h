// SPDX-License-Identifier: LGPL-2.1-or-later
// TLS 1.2 and 1.3 as a byte filter over OpenSSL's memory BIOs: no sockets here.
#pragma once

#include <memory>
#include <string>

#include "net/filter.h"

namespace segue::net {

enum class TlsSide { server, client };

struct TlsFiles {
    std::string authority;        // CA certificates, PEM; empty: the system's
    std::string certificate;      // our chain, PEM; a client may have none
    std::string key;              // PEM
    std::string key_password{};   // empty: the key is not encrypted
    std::string ciphers{};        // OpenSSL's cipher list for TLS 1.2; empty: its default
    std::string dh_parameters{};  // PEM; empty: OpenSSL chooses
};

// Certificates and rules; many filters share one. Immutable after it is made.
class TlsContext {
  public:
    // With `verify_peer` a server demands a client certificate that the authority signed, and a
    // client checks the server's chain and name. Errors name the file.
    static Result<std::shared_ptr<TlsContext>> make(TlsSide side, const TlsFiles& files,
                                                    bool verify_peer);
    ~TlsContext();

    // `peer_name`: for a client, the host name or numeric address that the server's certificate
    // must carry. A server ignores it.
    Result<std::unique_ptr<ByteFilter>> make_filter(const std::string& peer_name) const;

  private:
    struct Inside;
    explicit TlsContext(std::unique_ptr<Inside> inside);
    std::unique_ptr<Inside> inside_;
};

// The subject of the peer's verified certificate ("CN=host,O=Example"), or empty; only for filters
// that a TlsContext made.
std::string tls_peer_subject(const ByteFilter& filter);

}  // namespace segue::net
