// SPDX-License-Identifier: LGPL-2.1-or-later
// The ticket of a link: the password for one server's eyes.
#pragma once

#include <string_view>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::spice::client {

// The 128 bytes of a link ticket: the password and its NUL, RSA-OAEP encrypted with the server's
// key (SubjectPublicKeyInfo in DER, 162 bytes). Errors: invalid_argument for a password of more
// than 60 characters, protocol for a key that is none.
Result<Bytes> encrypt_ticket(ByteView public_key, std::string_view password);

// The first ticket of a process takes milliseconds, in which OpenSSL finds its algorithms. On a
// thread of its own that is over when the server's key comes.
void prepare_tickets();

}  // namespace segue::spice::client
