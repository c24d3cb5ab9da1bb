// SPDX-License-Identifier: LGPL-2.1-or-later
// SASL towards a SPICE server: the words of the login, and the security layer behind it if the
// mechanism has one. The mechanisms are Cyrus SASL's.
#pragma once

#include <memory>
#include <string>

#include "spice/wire/link.h"

namespace segue::spice::client {

class SaslLogin {
  public:
    struct Account {
        std::string host;  // of the server, for Kerberos
        std::string user;
        std::string password;
        // TLS or a unix socket: mechanisms need not protect anything themselves.
        bool protected_already = false;
    };
    // Errors: internal when the library does not work.
    static Result<std::unique_ptr<SaslLogin>> make(Account account);
    ~SaslLogin();

    struct Words {
        std::string mechanism;  // of the first words only
        wire::SaslData data;
    };
    // Of the mechanisms that the server offers ("A,B"). Errors: auth_failed names the reason.
    Result<Words> start(const std::string& offered);
    Result<Words> step(const wire::SaslData& challenge);
    // The library has all it needs.
    bool is_complete() const;

    // What the security layer makes of bytes, when there is one (is_layered). Errors: auth_failed.
    bool is_layered() const;
    Result<Bytes> encode(ByteView plain);
    Result<Bytes> decode(ByteView coded);

    struct Inside;

  private:
    explicit SaslLogin(std::unique_ptr<Inside> inside);
    std::unique_ptr<Inside> inside_;
};

}  // namespace segue::spice::client
