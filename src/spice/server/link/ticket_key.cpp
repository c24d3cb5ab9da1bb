// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/ticket_key.h"

#include <openssl/crypto.h>
#include <openssl/rsa.h>

#include <algorithm>

#include "net/openssl.h"

namespace segue::spice::server {
namespace {

constexpr unsigned kKeyBits = 1024;  // the protocol's: a ticket has 128 bytes

EVP_PKEY* pkey(void* key) {
    return static_cast<EVP_PKEY*>(key);
}

}  // namespace

Result<std::shared_ptr<const TicketKey>> TicketKey::make() {
    EVP_PKEY* made = EVP_RSA_gen(kKeyBits);
    if (made == nullptr) return fail(ErrorCode::system, "cannot make an RSA key for tickets");
    std::shared_ptr<TicketKey> key(new TicketKey(made));
    std::uint8_t* der = nullptr;
    const int size = i2d_PUBKEY(made, &der);
    if (size == static_cast<int>(key->public_key_.size()))
        std::copy(der, der + size, key->public_key_.begin());
    OPENSSL_free(der);
    if (size != static_cast<int>(key->public_key_.size())) {
        return fail(ErrorCode::system, "an RSA public key of {} bytes: the link has {}", size,
                    key->public_key_.size());
    }
    return std::shared_ptr<const TicketKey>(std::move(key));
}

TicketKey::~TicketKey() {
    EVP_PKEY_free(pkey(key_));
}

std::optional<std::string> TicketKey::decrypt(const wire::Ticket& ticket) const {
    const net::Owned<EVP_PKEY_CTX> context(EVP_PKEY_CTX_new(pkey(key_), nullptr));
    // OAEP's default digest is SHA-1, as the protocol wants it.
    if (!context || EVP_PKEY_decrypt_init(context.get()) <= 0 ||
        EVP_PKEY_CTX_set_rsa_padding(context.get(), RSA_PKCS1_OAEP_PADDING) <= 0) {
        return std::nullopt;
    }
    std::array<std::uint8_t, wire::link::kTicket> plain;
    std::size_t size = plain.size();
    if (EVP_PKEY_decrypt(context.get(), plain.data(), &size, ticket.data(), ticket.size()) <= 0)
        return std::nullopt;
    // The password ends with a NUL.
    const auto end = std::find(plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(size), 0);
    return std::string(plain.begin(), end);
}

// QEMU exits without a word while the I/O thread may be making a key: OpenSSL must not take its
// locks away under it. The process ends anyway, and the kernel takes everything back.
TicketKeys::TicketKeys() {
    OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, nullptr);
}

Result<std::shared_ptr<const TicketKey>> TicketKeys::take() {
    if (!ahead_.empty()) {
        last_ = std::move(ahead_.front());
        ahead_.pop_front();
    }
    if (!last_) last_ = TRY(TicketKey::make());
    return last_;
}

bool TicketKeys::make_one_ahead() {
    if (ahead_.size() >= kMadeAhead) return false;
    if (auto key = TicketKey::make()) ahead_.push_back(std::move(*key));
    return ahead_.size() < kMadeAhead;
}

}  // namespace segue::spice::server
