// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/ticket.h"

#include <openssl/rsa.h>

#include <array>

#include "net/openssl.h"

namespace segue::spice::client {
namespace {

// SPICE_MAX_PASSWORD_LENGTH of spice/protocol.h.
constexpr std::size_t kMaxPassword = 60;
constexpr std::size_t kTicketSize = 128;

// What stands before and behind the modulus of an RSA key of 1024 bits with the exponent 65537.
constexpr std::array<std::uint8_t, 29> kKeyHead = {
    0x30, 0x81, 0x9f, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
    0x01, 0x05, 0x00, 0x03, 0x81, 0x8d, 0x00, 0x30, 0x81, 0x89, 0x02, 0x81, 0x81, 0x00};
constexpr std::array<std::uint8_t, 5> kKeyTail = {0x02, 0x03, 0x01, 0x00, 0x01};

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

void prepare_tickets() {
    // A key of nobody: what it encrypts is thrown away.
    Bytes key(kKeyHead.begin(), kKeyHead.end());
    key.resize(key.size() + kTicketSize, 0xff);
    key.insert(key.end(), kKeyTail.begin(), kKeyTail.end());
    static_cast<void>(encrypt_ticket(key, ""));
}

}  // namespace segue::spice::client
