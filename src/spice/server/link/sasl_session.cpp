// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/sasl_session.h"

#include <sasl/sasl.h>

#include <algorithm>
#include <mutex>

namespace segue::spice::server {
namespace {

// 56 bits: what Kerberos has.
constexpr unsigned kLeastLayer = 56;
constexpr unsigned kMostLayer = 100000;
constexpr unsigned kLayerBuffer = 8192;

const char* or_null(const std::string& text) {
    return text.empty() ? nullptr : text.c_str();
}

}  // namespace

Result<> start_sasl(const std::string& application) {
    static std::mutex mutex;
    static bool started = false;
    // SASL keeps no copy of its own, and asks for it at each login.
    static std::string& name = *new std::string;
    const std::lock_guard lock(mutex);
    if (started) return {};
    name = application;
    const int code = ::sasl_server_init(nullptr, name.c_str());
    if (code != SASL_OK) {
        return fail(ErrorCode::system, "SASL for application '{}': {}", application,
                    ::sasl_errstring(code, nullptr, nullptr));
    }
    started = true;
    return {};
}

Error SaslSession::error(const char* what, int code) const {
    const char* detail = connection_ != nullptr ? ::sasl_errdetail(connection_)
                                                : ::sasl_errstring(code, nullptr, nullptr);
    return {ErrorCode::auth_failed, fmt::format("SASL: {}: {}", what, detail)};
}

Result<std::unique_ptr<SaslSession>> SaslSession::make(const std::string& local,
                                                       const std::string& remote,
                                                       unsigned tls_bits) {
    std::unique_ptr<SaslSession> session(new SaslSession(nullptr));
    int code = ::sasl_server_new("spice", nullptr, nullptr, or_null(local), or_null(remote),
                                 nullptr, SASL_SUCCESS_DATA, &session->connection_);
    if (code != SASL_OK) return tl::make_unexpected(session->error("no session", code));
    sasl_security_properties_t properties{};
    properties.maxbufsize = kLayerBuffer;
    if (tls_bits > 0) {
        const sasl_ssf_t external = tls_bits;
        code = ::sasl_setprop(session->connection_, SASL_SSF_EXTERNAL, &external);
        if (code != SASL_OK) return tl::make_unexpected(session->error("TLS", code));
    } else {
        properties.min_ssf = kLeastLayer;
        properties.max_ssf = kMostLayer;
        properties.security_flags = SASL_SEC_NOANONYMOUS | SASL_SEC_NOPLAINTEXT;
        session->wants_layer_ = true;
    }
    code = ::sasl_setprop(session->connection_, SASL_SEC_PROPS, &properties);
    if (code != SASL_OK) return tl::make_unexpected(session->error("security", code));
    return session;
}

SaslSession::~SaslSession() {
    if (connection_ != nullptr) ::sasl_dispose(&connection_);
}

Result<std::string> SaslSession::mechanisms() {
    const char* list = nullptr;
    const int code = ::sasl_listmech(connection_, nullptr, "", ",", "", &list, nullptr, nullptr);
    if (code != SASL_OK || list == nullptr || *list == '\0')
        return tl::make_unexpected(error("no mechanism is configured that is safe here", code));
    return std::string(list);
}

Result<SaslSession::Step> SaslSession::step(const std::string& mechanism,
                                            const wire::SaslData& data) {
    // No data and empty data are two things to SASL.
    const char* in = data ? reinterpret_cast<const char*>(data->data()) : nullptr;
    if (data && data->empty()) in = "";
    const auto in_size = static_cast<unsigned>(data ? data->size() : 0);
    const char* out = nullptr;
    unsigned out_size = 0;
    const int code =
        mechanism.empty()
            ? ::sasl_server_step(connection_, in, in_size, &out, &out_size)
            : ::sasl_server_start(connection_, mechanism.c_str(), in, in_size, &out, &out_size);
    if (code != SASL_OK && code != SASL_CONTINUE)
        return tl::make_unexpected(error("the client is refused", code));
    if (out_size > wire::link::kSaslData) {
        return fail(ErrorCode::limit_exceeded, "SASL: an answer of {} bytes, at most {}", out_size,
                    wire::link::kSaslData);
    }
    Step step;
    if (out != nullptr && out_size > 0) step.reply = Bytes(out, out + out_size);
    step.complete = code == SASL_OK;
    step.is_open_to_all = step.complete && !has_safe_layer();
    return step;
}

bool SaslSession::has_safe_layer() {
    if (!wants_layer_) return true;
    const void* value = nullptr;
    const int code = ::sasl_getprop(connection_, SASL_SSF, &value);
    const int bits = code == SASL_OK && value != nullptr ? *static_cast<const int*>(value) : 0;
    layer_ = bits >= static_cast<int>(kLeastLayer);
    return layer_;
}

std::string SaslSession::user() const {
    const void* value = nullptr;
    const int code = ::sasl_getprop(connection_, SASL_USERNAME, &value);
    return code == SASL_OK && value != nullptr ? static_cast<const char*>(value) : "";
}

// --- The security layer -------------------------------------------------------------------------

class SaslSession::Layer final : public net::ByteFilter {
  public:
    explicit Layer(std::unique_ptr<SaslSession> session) : session_(std::move(session)) {
        const void* value = nullptr;
        if (::sasl_getprop(session_->connection_, SASL_MAXOUTBUF, &value) == SASL_OK &&
            value != nullptr && *static_cast<const unsigned*>(value) > 0)
            most_ = std::min(most_, *static_cast<const unsigned*>(value));
    }
    Result<> start(Bytes&) override { return {}; }
    Result<> receive(ByteView from_peer, Bytes& plain, Bytes&) override {
        if (from_peer.empty()) return {};
        const char* out = nullptr;
        unsigned size = 0;
        const int code =
            ::sasl_decode(session_->connection_, reinterpret_cast<const char*>(from_peer.data()),
                          static_cast<unsigned>(from_peer.size()), &out, &size);
        if (code != SASL_OK) return tl::make_unexpected(session_->error("security layer", code));
        plain.insert(plain.end(), out, out + size);
        return {};
    }
    Result<> send(ByteView plain, Bytes& to_peer) override {
        while (!plain.empty()) {
            const ByteView part = plain.first(std::min<std::size_t>(plain.size(), most_));
            plain = plain.subspan(part.size());
            const char* out = nullptr;
            unsigned size = 0;
            const int code =
                ::sasl_encode(session_->connection_, reinterpret_cast<const char*>(part.data()),
                              static_cast<unsigned>(part.size()), &out, &size);
            if (code != SASL_OK)
                return tl::make_unexpected(session_->error("security layer", code));
            to_peer.insert(to_peer.end(), out, out + size);
        }
        return {};
    }
    void close(Bytes&) override {}
    bool closed_by_peer() const override { return false; }
    bool is_open() const override { return true; }

  private:
    std::unique_ptr<SaslSession> session_;
    unsigned most_ = kLayerBuffer;
};

std::unique_ptr<net::ByteFilter> SaslSession::make_layer(std::unique_ptr<SaslSession> session) {
    return std::make_unique<Layer>(std::move(session));
}

}  // namespace segue::spice::server
