// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>

#include "net/openssl.h"
#include "spice/client/subject.h"

namespace segue::spice::client {
namespace {

using net::Owned;

std::string utf8_of(const ASN1_STRING* string) {
    unsigned char* bytes = nullptr;
    const int size = ASN1_STRING_to_UTF8(&bytes, string);
    if (size < 0) return {};
    std::string text(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    OPENSSL_free(bytes);
    return text;
}

SubjectFields subject_of(X509* certificate) {
    SubjectFields fields;
    X509_NAME* name = X509_get_subject_name(certificate);
    for (int index = 0; index < X509_NAME_entry_count(name); ++index) {
        X509_NAME_ENTRY* entry = X509_NAME_get_entry(name, index);
        const int kind = OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry));
        fields.emplace_back(OBJ_nid2sn(kind), utf8_of(X509_NAME_ENTRY_get_data(entry)));
    }
    return fields;
}

Bytes public_key_of(X509* certificate) {
    unsigned char* der = nullptr;
    const int size = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);
    if (size <= 0) return {};
    Bytes bytes(der, der + size);
    OPENSSL_free(der);
    return bytes;
}

bool names_host(X509* certificate, const std::string& host) {
    if (X509_check_ip_asc(certificate, host.c_str(), 0) == 1) return true;
    if (X509_check_host(certificate, host.c_str(), host.size(), 0, nullptr) == 1) return true;
    // Certificates made for SPICE often have the address as their common name only.
    for (const auto& [name, value] : subject_of(certificate)) {
        if (name == "CN" && value == host) return true;
    }
    return false;
}

}  // namespace

struct TlsClient::Inside {
    Owned<SSL_CTX> context;
    Owned<SSL_SESSION> session;  // the latest, resumed by the next connection
    std::string host;
    Bytes public_key;
    std::string subject_text;
    SubjectFields subject;

    Result<> check(X509* certificate) const {
        if (certificate == nullptr) {
            return fail(ErrorCode::auth_failed, "TLS: {} has no certificate", host);
        }
        if (!public_key.empty()) {
            if (public_key_of(certificate) == public_key) return {};
            return fail(ErrorCode::auth_failed,
                        "TLS: {} has another public key than the pinned one", host);
        }
        if (!subject.empty()) {
            if (subject_of(certificate) == subject) return {};
            return fail(ErrorCode::auth_failed,
                        "TLS: the certificate subject of {} is not the expected '{}'", host,
                        subject_text);
        }
        if (names_host(certificate, host)) return {};
        return fail(ErrorCode::auth_failed,
                    "TLS: the certificate is not for '{}'; expect its subject instead", host);
    }
};

namespace {

class TlsClientFilter final : public net::ByteFilter {
  public:
    TlsClientFilter(Owned<SSL> ssl, BIO* input, BIO* output,
                    std::shared_ptr<TlsClient::Inside> rules)
        : ssl_(std::move(ssl)), input_(input), output_(output), rules_(std::move(rules)) {}

    Result<> start(Bytes& to_peer) override {
        Bytes nothing;
        return step(nothing, to_peer);
    }
    Result<> receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) override {
        BIO_write(input_, from_peer.data(), static_cast<int>(from_peer.size()));
        return step(plain, to_peer);
    }
    Result<> send(ByteView plain, Bytes& to_peer) override {
        if (!open_) {
            waiting_.insert(waiting_.end(), plain.begin(), plain.end());
            return {};
        }
        TRY(encrypt(plain));
        drain(to_peer);
        return {};
    }
    void close(Bytes& to_peer) override {
        SSL_shutdown(ssl_.get());
        drain(to_peer);
    }
    bool closed_by_peer() const override {
        return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    }
    bool is_open() const override { return open_; }

  private:
    Result<> step(Bytes& plain, Bytes& to_peer) {
        if (!open_) {
            const Result<> result = handshake();
            drain(to_peer);
            if (!result || !open_) return result;
            TRY(encrypt(std::exchange(waiting_, {})));
        }
        const Result<> result = decrypt(plain);
        drain(to_peer);
        return result;
    }
    Result<> handshake() {
        ERR_clear_error();
        const int done = SSL_do_handshake(ssl_.get());
        if (done == 1) {
            const Owned<X509> certificate(SSL_get1_peer_certificate(ssl_.get()));
            TRY(rules_->check(certificate.get()));
            open_ = true;
            return {};
        }
        if (SSL_get_error(ssl_.get(), done) == SSL_ERROR_WANT_READ) return {};
        const long verdict = SSL_get_verify_result(ssl_.get());
        if (verdict != X509_V_OK) {
            return fail(ErrorCode::auth_failed, "TLS: the certificate of {} is not trusted: {}",
                        rules_->host, X509_verify_cert_error_string(verdict));
        }
        return fail(ErrorCode::protocol, "TLS with {}: {}", rules_->host, net::openssl_reason());
    }
    Result<> encrypt(ByteView plain) {
        while (!plain.empty()) {
            constexpr std::size_t kPiece = 1u << 30;
            const int size = static_cast<int>(std::min(plain.size(), kPiece));
            if (SSL_write(ssl_.get(), plain.data(), size) != size) {
                return fail(ErrorCode::protocol, "TLS with {}: {}", rules_->host,
                            net::openssl_reason());
            }
            plain = plain.subspan(static_cast<std::size_t>(size));
        }
        return {};
    }
    Result<> decrypt(Bytes& plain) {
        for (;;) {
            constexpr std::size_t kRecord = 16384;
            const std::size_t before = plain.size();
            plain.resize(before + kRecord);
            ERR_clear_error();
            const int size = SSL_read(ssl_.get(), plain.data() + before, kRecord);
            plain.resize(before + static_cast<std::size_t>(std::max(size, 0)));
            if (size > 0) continue;
            const int error = SSL_get_error(ssl_.get(), size);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return {};
            return fail(ErrorCode::protocol, "TLS with {}: {}", rules_->host,
                        net::openssl_reason());
        }
    }
    void drain(Bytes& to_peer) {
        char* data = nullptr;
        const long size = BIO_get_mem_data(output_, &data);
        if (size > 0) to_peer.insert(to_peer.end(), data, data + size);
        BIO_reset(output_);
    }

    Owned<SSL> ssl_;
    BIO* input_;
    BIO* output_;
    std::shared_ptr<TlsClient::Inside> rules_;
    Bytes waiting_;
    bool open_ = false;
};

Result<> load_authority(SSL_CTX* context, const Trust& trust) {
    if (!trust.authority_file.empty() &&
        SSL_CTX_load_verify_locations(context, trust.authority_file.c_str(), nullptr) != 1) {
        return fail(ErrorCode::invalid_argument, "CA file '{}': {}", trust.authority_file,
                    net::openssl_reason());
    }
    if (!trust.authority_pem.empty()) {
        const Owned<BIO> text(BIO_new_mem_buf(trust.authority_pem.data(),
                                              static_cast<int>(trust.authority_pem.size())));
        int count = 0;
        for (;;) {
            const Owned<X509> certificate(PEM_read_bio_X509(text.get(), nullptr, nullptr, nullptr));
            if (!certificate) break;
            X509_STORE_add_cert(SSL_CTX_get_cert_store(context), certificate.get());
            ++count;
        }
        ERR_clear_error();
        if (count == 0) {
            return fail(ErrorCode::invalid_argument, "the CA text holds no certificate in PEM");
        }
    }
    if (trust.authority_file.empty() && trust.authority_pem.empty())
        SSL_CTX_set_default_verify_paths(context);
    return {};
}

int keep_session(SSL* ssl, SSL_SESSION* session) {
    auto* inside = static_cast<TlsClient::Inside*>(SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl)));
    inside->session.reset(session);
    return 1;  // the reference is ours now
}

}  // namespace

TlsClient::~TlsClient() = default;

Result<std::shared_ptr<TlsClient>> TlsClient::make(const Trust& trust, const std::string& host) {
    auto inside = std::make_shared<Inside>();
    inside->context.reset(SSL_CTX_new(TLS_client_method()));
    SSL_CTX* context = inside->context.get();
    if (context == nullptr) return fail(ErrorCode::no_memory, "TLS: {}", net::openssl_reason());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, nullptr);
    if (!trust.ciphers.empty() && SSL_CTX_set_cipher_list(context, trust.ciphers.c_str()) != 1) {
        return fail(ErrorCode::invalid_argument, "TLS cipher list '{}': {}", trust.ciphers,
                    net::openssl_reason());
    }
    TRY(load_authority(context, trust));
    inside->host = host;
    inside->public_key = trust.public_key;
    inside->subject_text = trust.subject;
    if (!trust.subject.empty()) inside->subject = TRY(parse_subject(trust.subject));
    SSL_CTX_set_app_data(context, inside.get());
    SSL_CTX_set_session_cache_mode(context,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(context, keep_session);
    return std::shared_ptr<TlsClient>(new TlsClient(std::move(inside)));
}

Result<std::unique_ptr<net::ByteFilter>> TlsClient::make_filter() {
    Owned<SSL> ssl(SSL_new(inside_->context.get()));
    BIO* input = BIO_new(BIO_s_mem());
    BIO* output = BIO_new(BIO_s_mem());
    if (!ssl || !input || !output) {
        BIO_free(input);
        BIO_free(output);
        return fail(ErrorCode::no_memory, "TLS: out of memory");
    }
    SSL_set_bio(ssl.get(), input, output);
    SSL_set_connect_state(ssl.get());
    if (inside_->session) SSL_set_session(ssl.get(), inside_->session.get());
    ASN1_OCTET_STRING* numeric = a2i_IPADDRESS(inside_->host.c_str());
    const bool is_address = numeric != nullptr;
    ASN1_OCTET_STRING_free(numeric);
    if (!is_address && !inside_->host.empty())
        SSL_set_tlsext_host_name(ssl.get(), inside_->host.c_str());
    ERR_clear_error();
    return std::make_unique<TlsClientFilter>(std::move(ssl), input, output, inside_);
}

}  // namespace segue::spice::client
