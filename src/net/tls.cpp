// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/tls.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstring>

#include "net/openssl.h"

namespace segue::net {
namespace {

constexpr std::size_t kPlainChunk = 16u << 10;  // one TLS record holds at most this
// Plaintext that a user may queue before the handshake is over.
constexpr std::size_t kMaxEarlyOutput = 1u << 20;

class TlsFilter final : public ByteFilter {
  public:
    // The BIOs belong to the SSL.
    TlsFilter(Owned<SSL> ssl, BIO* input, BIO* output)
        : ssl_(std::move(ssl)), input_(input), output_(output) {}

    Result<> start(Bytes& to_peer) override {
        auto done = shake();
        collect(to_peer);
        return done;
    }

    Result<> receive(ByteView from_peer, Bytes& plain, Bytes& to_peer) override {
        // A memory BIO takes everything.
        BIO_write(input_, from_peer.data(), static_cast<int>(from_peer.size()));
        auto done = open_ ? read_plain(plain) : shake_then_read(plain);
        collect(to_peer);
        return done;
    }

    Result<> send(ByteView plain, Bytes& to_peer) override {
        if (!open_) {
            if (early_.size() + plain.size() > kMaxEarlyOutput) {
                return fail(ErrorCode::limit_exceeded,
                            "TLS: more than {} bytes sent before the handshake ended",
                            kMaxEarlyOutput);
            }
            early_.insert(early_.end(), plain.begin(), plain.end());
            return {};
        }
        auto done = write_plain(plain);
        collect(to_peer);
        return done;
    }

    void close(Bytes& to_peer) override {
        ERR_clear_error();
        if (open_) SSL_shutdown(ssl_.get());
        collect(to_peer);
    }

    bool closed_by_peer() const override {
        return (SSL_get_shutdown(ssl_.get()) & SSL_RECEIVED_SHUTDOWN) != 0;
    }
    bool is_open() const override { return open_; }

    std::string peer_subject() const {
        const Owned<X509> certificate(SSL_get1_peer_certificate(ssl_.get()));
        if (!certificate || SSL_get_verify_result(ssl_.get()) != X509_V_OK) return {};
        const Owned<BIO> memory(BIO_new(BIO_s_mem()));
        X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate.get()), 0,
                           XN_FLAG_RFC2253);
        char* text = nullptr;
        const long size = BIO_get_mem_data(memory.get(), &text);
        return std::string(text, static_cast<std::size_t>(size));
    }

  private:
    Result<> shake() {
        ERR_clear_error();
        const int done = SSL_do_handshake(ssl_.get());
        if (done == 1) {
            open_ = true;
            const Bytes early = std::exchange(early_, {});
            return write_plain(early);
        }
        const int error = SSL_get_error(ssl_.get(), done);
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE) return {};
        return explain("handshake");
    }

    Result<> shake_then_read(Bytes& plain) {
        TRY(shake());
        return open_ ? read_plain(plain) : Result<>();
    }

    Result<> read_plain(Bytes& plain) {
        for (;;) {
            std::array<std::uint8_t, kPlainChunk> chunk;
            ERR_clear_error();
            const int size = SSL_read(ssl_.get(), chunk.data(), chunk.size());
            if (size > 0) {
                plain.insert(plain.end(), chunk.data(), chunk.data() + size);
                continue;
            }
            const int error = SSL_get_error(ssl_.get(), size);
            if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_ZERO_RETURN) return {};
            return explain("reading");
        }
    }

    Result<> write_plain(ByteView plain) {
        while (!plain.empty()) {
            ERR_clear_error();
            const int part = static_cast<int>(std::min(plain.size(), kPlainChunk));
            const int size = SSL_write(ssl_.get(), plain.data(), part);
            if (size <= 0) return explain("writing");
            plain = plain.subspan(static_cast<std::size_t>(size));
        }
        return {};
    }

    Result<> explain(std::string_view doing) {
        const long verified = SSL_get_verify_result(ssl_.get());
        if (verified != X509_V_OK) {
            return fail(ErrorCode::auth_failed, "TLS {}: the peer's certificate is refused: {}",
                        doing, X509_verify_cert_error_string(verified));
        }
        return fail(ErrorCode::protocol, "TLS {}: {}", doing, openssl_reason());
    }

    void collect(Bytes& to_peer) {
        const std::size_t size = BIO_ctrl_pending(output_);
        if (size == 0) return;
        const std::size_t at = to_peer.size();
        to_peer.resize(at + size);
        BIO_read(output_, to_peer.data() + at, static_cast<int>(size));
    }

    Owned<SSL> ssl_;
    BIO* input_;
    BIO* output_;
    Bytes early_;
    bool open_ = false;
};

// OpenSSL asks for it while it reads the key.
int tell_password(char* into, int size, int, void* files) {
    if (files == nullptr) return -1;
    const std::string& password = static_cast<const TlsFiles*>(files)->key_password;
    if (password.empty() || static_cast<int>(password.size()) > size) return -1;
    std::memcpy(into, password.data(), password.size());
    return static_cast<int>(password.size());
}

Result<> load_dh_parameters(SSL_CTX* context, const std::string& path) {
    SSL_CTX_set_dh_auto(context, 1);
    if (path.empty()) return {};
    Owned<BIO> file(BIO_new_file(path.c_str(), "r"));
    Owned<EVP_PKEY> parameters(file ? PEM_read_bio_Parameters(file.get(), nullptr) : nullptr);
    if (!parameters || SSL_CTX_set0_tmp_dh_pkey(context, parameters.get()) != 1) {
        return fail(ErrorCode::system, "TLS: cannot load DH parameters from '{}': {}", path,
                    openssl_reason());
    }
    [[maybe_unused]] EVP_PKEY* const taken = parameters.release();
    return {};
}

Result<> load_files(SSL_CTX* context, const TlsFiles& files) {
    if (!files.ciphers.empty() && SSL_CTX_set_cipher_list(context, files.ciphers.c_str()) != 1) {
        return fail(ErrorCode::invalid_argument, "TLS: no cipher in the list '{}': {}",
                    files.ciphers, openssl_reason());
    }
    TRY(load_dh_parameters(context, files.dh_parameters));
    if (files.authority.empty()) {
        SSL_CTX_set_default_verify_paths(context);
    } else if (SSL_CTX_load_verify_locations(context, files.authority.c_str(), nullptr) != 1) {
        return fail(ErrorCode::system, "TLS: cannot load CA certificates from '{}': {}",
                    files.authority, openssl_reason());
    }
    if (files.certificate.empty()) return {};
    if (SSL_CTX_use_certificate_chain_file(context, files.certificate.c_str()) != 1) {
        return fail(ErrorCode::system, "TLS: cannot load the certificate '{}': {}",
                    files.certificate, openssl_reason());
    }
    // The library keeps the pointer, and asks only below.
    SSL_CTX_set_default_passwd_cb(context, tell_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, const_cast<TlsFiles*>(&files));
    if (SSL_CTX_use_PrivateKey_file(context, files.key.c_str(), SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(context) != 1) {
        return fail(ErrorCode::system,
                    "TLS: the key '{}' cannot be used with '{}' (it must fit, and have no "
                    "passphrase): {}",
                    files.key, files.certificate, openssl_reason());
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, nullptr);
    return {};
}

}  // namespace

struct TlsContext::Inside {
    TlsSide side;
    bool verify_peer;
    Owned<SSL_CTX> context;
};

TlsContext::TlsContext(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
TlsContext::~TlsContext() = default;

Result<std::shared_ptr<TlsContext>> TlsContext::make(TlsSide side, const TlsFiles& files,
                                                     bool verify_peer) {
    Owned<SSL_CTX> context(SSL_CTX_new(TLS_method()));
    if (!context) return fail(ErrorCode::no_memory, "TLS: {}", openssl_reason());
    SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
    SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context.get(), SSL_MODE_RELEASE_BUFFERS);
    // A session that is resumed would need a context id and saves nothing worth having here.
    SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
    SSL_CTX_set_num_tickets(context.get(), 0);
    // OpenSSL would ask a terminal for the passphrase, and a daemon would wait there for ever.
    SSL_CTX_set_default_passwd_cb(context.get(), [](char*, int, int, void*) { return -1; });
    TRY(load_files(context.get(), files));
    if (verify_peer) {
        SSL_CTX_set_verify(context.get(), SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                           nullptr);
    }
    auto inside = std::make_unique<Inside>(Inside{side, verify_peer, std::move(context)});
    return std::shared_ptr<TlsContext>(new TlsContext(std::move(inside)));
}

Result<std::unique_ptr<ByteFilter>> TlsContext::make_filter(const std::string& peer_name) const {
    Owned<SSL> ssl(SSL_new(inside_->context.get()));
    Owned<BIO> input(BIO_new(BIO_s_mem()));
    Owned<BIO> output(BIO_new(BIO_s_mem()));
    if (!ssl || !input || !output) return fail(ErrorCode::no_memory, "TLS: out of memory");
    BIO* const input_bio = input.get();
    BIO* const output_bio = output.get();
    SSL_set_bio(ssl.get(), input.release(), output.release());
    if (inside_->side == TlsSide::server) {
        SSL_set_accept_state(ssl.get());
    } else {
        SSL_set_connect_state(ssl.get());
        X509_VERIFY_PARAM* rules = SSL_get0_param(ssl.get());
        const bool numeric = X509_VERIFY_PARAM_set1_ip_asc(rules, peer_name.c_str()) == 1;
        ERR_clear_error();  // a name is not an address: expected
        if (!numeric) {
            if (SSL_set1_host(ssl.get(), peer_name.c_str()) != 1 ||
                SSL_set_tlsext_host_name(ssl.get(), peer_name.c_str()) != 1) {
                return fail(ErrorCode::invalid_argument, "TLS: '{}' cannot be a host name",
                            peer_name);
            }
        }
    }
    return std::make_unique<TlsFilter>(std::move(ssl), input_bio, output_bio);
}

std::string tls_peer_subject(const ByteFilter& filter) {
    const auto* tls = dynamic_cast<const TlsFilter*>(&filter);
    return tls == nullptr ? std::string() : tls->peer_subject();
}

}  // namespace segue::net
