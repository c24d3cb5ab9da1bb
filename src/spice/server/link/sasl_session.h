// SPDX-License-Identifier: LGPL-2.1-or-later
// SASL for one connection (Cyrus SASL; its configuration is the embedder's, by application name).
// Without TLS a security layer of at least 56 bits is demanded, and every byte behind the handshake
// goes through it.
#pragma once

#include <memory>
#include <string>

#include "net/filter.h"
#include "spice/wire/link.h"

struct sasl_conn;

namespace segue::spice::server {

// Makes the library ready; once a process, with the name of its first server.
Result<> start_sasl(const std::string& application);

class SaslSession {
  public:
    struct Step {
        wire::SaslData reply;
        bool complete = false;
        // Complete, but neither TLS nor a layer that is strong enough encrypts what follows.
        bool is_open_to_all = false;
    };

    // Addresses as "IP;PORT", empty where there is none. `tls_bits`: of the cipher; 0 without TLS.
    static Result<std::unique_ptr<SaslSession>> make(const std::string& local,
                                                     const std::string& remote, unsigned tls_bits);
    ~SaslSession();
    SaslSession(const SaslSession&) = delete;
    SaslSession& operator=(const SaslSession&) = delete;

    // "A,B"
    Result<std::string> mechanisms();
    // The first step names the mechanism; others have it empty.
    Result<Step> step(const std::string& mechanism, const wire::SaslData& data);
    // Who the client proved to be; only when complete.
    std::string user() const;
    bool has_layer() const { return layer_; }
    // Takes the session over: the layer needs it as long as it lives.
    static std::unique_ptr<net::ByteFilter> make_layer(std::unique_ptr<SaslSession> session);

  private:
    class Layer;
    explicit SaslSession(sasl_conn* connection) : connection_(connection) {}
    bool has_safe_layer();
    Error error(const char* what, int code) const;

    sasl_conn* connection_;
    bool wants_layer_ = false;
    bool layer_ = false;
};

}  // namespace segue::spice::server
