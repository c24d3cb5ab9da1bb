// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/sasl.h"

#include <sasl/sasl.h>

#include <mutex>

namespace segue::spice::client {

namespace {

// Weaker than this is no protection; see spice-server's own bound.
constexpr sasl_ssf_t kLeastStrength = 56;
constexpr sasl_ssf_t kMostStrength = 100000;
constexpr unsigned kMaxBuffer = 100000;

using Callback = int (*)();

// Cyrus keeps all its callbacks as one type.
template <class Function>
Callback as_callback(Function* function) {
    return reinterpret_cast<Callback>(reinterpret_cast<void (*)()>(function));
}

bool start_library() {
    static std::once_flag once;
    static bool works = false;
    std::call_once(once, [] { works = sasl_client_init(nullptr) == SASL_OK; });
    return works;
}

}  // namespace

struct SaslLogin::Inside {
    explicit Inside(Account given) : account(std::move(given)) {
        secret.resize(sizeof(sasl_secret_t) + account.password.size() + 1);
        auto* as_secret = reinterpret_cast<sasl_secret_t*>(secret.data());
        as_secret->len = account.password.size();
        std::copy(account.password.begin(), account.password.end(), as_secret->data);
    }
    ~Inside() { sasl_dispose(&connection); }

    static int simple(void* context, int id, const char** result, unsigned* size) {
        auto& self = *static_cast<Inside*>(context);
        if (id != SASL_CB_USER && id != SASL_CB_AUTHNAME) return SASL_BADPARAM;
        *result = self.account.user.c_str();
        if (size) *size = static_cast<unsigned>(self.account.user.size());
        return SASL_OK;
    }
    static int password(sasl_conn_t*, void* context, int id, sasl_secret_t** result) {
        if (id != SASL_CB_PASS) return SASL_BADPARAM;
        *result = reinterpret_cast<sasl_secret_t*>(static_cast<Inside*>(context)->secret.data());
        return SASL_OK;
    }

    Error error(std::string_view doing) const {
        const char* detail = connection ? sasl_errdetail(connection) : "no connection";
        return {ErrorCode::auth_failed, fmt::format("SASL: {}: {}", doing, detail)};
    }

    Account account;
    Bytes secret;
    std::array<sasl_callback_t, 4> callbacks{};
    sasl_conn_t* connection = nullptr;
    bool complete = false;
    sasl_ssf_t strength = 0;
};

SaslLogin::SaslLogin(std::unique_ptr<Inside> inside) : inside_(std::move(inside)) {}
SaslLogin::~SaslLogin() = default;

Result<std::unique_ptr<SaslLogin>> SaslLogin::make(Account account) {
    if (!start_library()) return fail(ErrorCode::internal, "SASL: the library does not start");
    auto inside = std::make_unique<Inside>(std::move(account));
    const auto simple = as_callback(&Inside::simple);
    inside->callbacks = {{{SASL_CB_USER, simple, inside.get()},
                          {SASL_CB_AUTHNAME, simple, inside.get()},
                          {SASL_CB_PASS, as_callback(&Inside::password), inside.get()},
                          {SASL_CB_LIST_END, nullptr, nullptr}}};
    if (sasl_client_new("spice", inside->account.host.c_str(), nullptr, nullptr,
                        inside->callbacks.data(), SASL_SUCCESS_DATA,
                        &inside->connection) != SASL_OK) {
        return tl::unexpected(inside->error("beginning"));
    }
    const bool safe = inside->account.protected_already;
    sasl_security_properties_t wanted{};
    wanted.min_ssf = safe ? 0 : kLeastStrength;
    wanted.max_ssf = safe ? 0 : kMostStrength;
    wanted.maxbufsize = kMaxBuffer;
    wanted.security_flags = safe ? 0 : SASL_SEC_NOANONYMOUS | SASL_SEC_NOPLAINTEXT;
    if (sasl_setprop(inside->connection, SASL_SEC_PROPS, &wanted) != SASL_OK)
        return tl::unexpected(inside->error("security"));
    return std::unique_ptr<SaslLogin>(new SaslLogin(std::move(inside)));
}

Result<SaslLogin::Words> SaslLogin::start(const std::string& offered) {
    std::string list = offered;
    std::replace(list.begin(), list.end(), ',', ' ');
    const char* data = nullptr;
    const char* mechanism = nullptr;
    unsigned size = 0;
    const int result =
        sasl_client_start(inside_->connection, list.c_str(), nullptr, &data, &size, &mechanism);
    if (result != SASL_OK && result != SASL_CONTINUE) {
        return tl::unexpected(
            inside_->error(fmt::format("none of '{}' can be used", offered.substr(0, 200))));
    }
    inside_->complete = result == SASL_OK;
    Words words;
    words.mechanism = mechanism;
    if (data) words.data = Bytes(data, data + size);
    return words;
}

Result<SaslLogin::Words> SaslLogin::step(const wire::SaslData& challenge) {
    const char* data = nullptr;
    unsigned size = 0;
    const auto* given = challenge ? reinterpret_cast<const char*>(challenge->data()) : nullptr;
    const int result = sasl_client_step(inside_->connection, given,
                                        challenge ? static_cast<unsigned>(challenge->size()) : 0,
                                        nullptr, &data, &size);
    if (result != SASL_OK && result != SASL_CONTINUE)
        return tl::unexpected(inside_->error("a step failed"));
    inside_->complete = result == SASL_OK;
    Words words;
    if (data) words.data = Bytes(data, data + size);
    return words;
}

bool SaslLogin::is_complete() const {
    return inside_->complete;
}

bool SaslLogin::is_layered() const {
    const void* value = nullptr;
    if (sasl_getprop(inside_->connection, SASL_SSF, &value) != SASL_OK || !value) return false;
    return *static_cast<const sasl_ssf_t*>(value) > 0;
}

Result<Bytes> SaslLogin::encode(ByteView plain) {
    const void* value = nullptr;
    std::size_t most = 4096;
    if (sasl_getprop(inside_->connection, SASL_MAXOUTBUF, &value) == SASL_OK && value)
        most = std::max<std::size_t>(*static_cast<const unsigned*>(value), 1);
    Bytes coded;
    while (!plain.empty()) {
        const ByteView piece = plain.first(std::min(plain.size(), most));
        plain = plain.subspan(piece.size());
        const char* out = nullptr;
        unsigned size = 0;
        if (sasl_encode(inside_->connection, reinterpret_cast<const char*>(piece.data()),
                        static_cast<unsigned>(piece.size()), &out, &size) != SASL_OK) {
            return tl::unexpected(inside_->error("the security layer"));
        }
        coded.insert(coded.end(), out, out + size);
    }
    return coded;
}

Result<Bytes> SaslLogin::decode(ByteView coded) {
    const char* out = nullptr;
    unsigned size = 0;
    if (sasl_decode(inside_->connection, reinterpret_cast<const char*>(coded.data()),
                    static_cast<unsigned>(coded.size()), &out, &size) != SASL_OK) {
        return tl::unexpected(inside_->error("the security layer"));
    }
    return Bytes(out, out + size);
}

}  // namespace segue::spice::client
