// SPDX-License-Identifier: LGPL-2.1-or-later
#include <openssl/rsa.h>

#include "net/openssl.h"
#include "spice/client/tls.h"

namespace segue::spice::client {
namespace {

// SPICE_MAX_PASSWORD_LENGTH of spice/protocol.h.
constexpr std::size_t kMaxPassword = 60;
constexpr std::size_t kTicketSize = 128;

}  // namespace

Result<Bytes> encrypt_ticket(ByteView public_key, std::string_view password) {
    if (password.size() > kMaxPassword) {
        return fail(ErrorCode::invalid_argument, "a SPICE password has at most {} characters",
                    kMaxPassword);
    }
    const unsigned char* der = public_key.data();
    const net::Owned<EVP_PKEY> key(d2i_PUBKEY(nullptr, &der, static_cast<long>(public_key.size())));
    const net::Owned<EVP_PKEY_CTX> context(key ? EVP_PKEY_CTX_new(key.get(), nullptr) : nullptr);
    if (!context || EVP_PKEY_encrypt_init(context.get()) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) <= 0) {
        return fail(ErrorCode::protocol, "the server's ticket key is not an RSA key");
    }
    const std::string text = std::string(password) + '\0';
    Bytes ticket(kTicketSize);
    std::size_t size = ticket.size();
    if (EVP_PKEY_encrypt(context.get(), ticket.data(), &size,
                         reinterpret_cast<const unsigned char*>(text.data()), text.size()) <= 0 ||
        size != kTicketSize) {
        return fail(ErrorCode::protocol, "the server's ticket key is not an RSA key of 1024 bits");
    }
    return ticket;
}

}  // namespace segue::spice::client
