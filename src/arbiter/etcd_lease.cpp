// SPDX-License-Identifier: LGPL-2.1-or-later
#include "arbiter/etcd_lease.h"

#include "base/bytes.h"
#include "base/id.h"
#include "net/base64.h"

namespace segue::arbiter {
namespace {

using Holder = LeaseTable::Holder;
using Verdict = LeaseTable::Verdict;

constexpr std::string_view kFolder = "/segue/protections/";

// Keys and values are bytes, which the gateway wants as base64.
std::string encoded(Holder holder) {
    return net::base64(name_of(holder));
}

Json compare(const std::string& key, const char* target, const char* field, std::string value) {
    return Json::object(
        {{"key", key}, {"target", target}, {"result", "EQUAL"}, {field, std::move(value)}});
}

Json is_shared(const std::string& holder) {
    return compare(holder, "VALUE", "value", encoded(Holder::shared));
}

Json put(const std::string& key, std::string value) {
    return Json::object(
        {{"request_put", Json::object({{"key", key}, {"value", std::move(value)}})}});
}

Json range(const std::string& key) {
    return Json::object({{"request_range", Json::object({{"key", key}})}});
}

Json erase(const std::string& key) {
    return Json::object({{"request_delete_range", Json::object({{"key", key}})}});
}

Json transaction(Json compare, Json success, Json failure) {
    return Json::object({{"compare", std::move(compare)},
                         {"success", std::move(success)},
                         {"failure", std::move(failure)}});
}

}  // namespace

EtcdLease::EtcdLease(const LeaseId& id, LeaseTerms terms) : terms_(terms) {
    const std::string folder = std::string(kFolder) + Uuid{id}.text();
    holder_ = net::base64(folder + "/holder");
    beat_ = net::base64(folder + "/beat");
}

LeaseTerms EtcdLease::terms() {
    LeaseTerms terms;
    terms.term = 3s;
    terms.renew_every = 300ms;
    return terms;
}

Json EtcdLease::open() const {
    return transaction(Json::array({compare(holder_, "VERSION", "version", "0")}),
                       Json::array({put(holder_, encoded(Holder::shared)), put(beat_, "")}),
                       Json::array({range(holder_)}));
}

Result<> EtcdLease::opened(const Json& said) const {
    if (said.find("header") == nullptr) {
        return fail(ErrorCode::protocol, "this is no answer of etcd's");
    }
    // A question whose answer was lost has opened it, and is asked again.
    const auto holder = find(said, holder_);
    const bool is_open = holder && holder->value == encoded(Holder::shared);
    if (said.flag("succeeded") || is_open) return {};
    return fail(ErrorCode::exists, "etcd has a lease of that protection already");
}

Json EtcdLease::end() const {
    return transaction(Json::array(), Json::array({erase(holder_), erase(beat_)}), Json::array());
}

Json EtcdLease::look() const {
    return transaction(Json::array(), Json::array({range(holder_), range(beat_)}), Json::array());
}

Json EtcdLease::take() const {
    return transaction(
        Json::array({is_shared(holder_), compare(beat_, "MOD", "mod_revision", seen_)}),
        Json::array({put(holder_, encoded(Holder::standby)), range(holder_)}),
        Json::array({range(holder_), range(beat_)}));
}

Json EtcdLease::ask(Side side, Wish wish, Instant now) {
    side_ = side;
    if (side == Side::standby) {
        const bool ran_out = seen_at_ && now - *seen_at_ >= terms_.term;
        return ran_out ? take() : look();
    }
    Json wanted = wish == Wish::claim ? put(holder_, encoded(Holder::primary)) : put(beat_, "");
    return transaction(Json::array({is_shared(holder_)}),
                       Json::array({std::move(wanted), range(holder_)}),
                       Json::array({range(holder_)}));
}

std::optional<EtcdLease::Found> EtcdLease::find(const Json& said, std::string_view key) const {
    for (const Json& response : said["responses"].items()) {
        for (const Json& pair : response["response_range"]["kvs"].items()) {
            if (pair.text("key") != key) continue;
            return Found{pair.text("value"), pair.text("mod_revision")};
        }
    }
    return std::nullopt;
}

Result<Verdict> EtcdLease::answered(const Json& said, Instant now) {
    if (said.find("header") == nullptr) {
        return fail(ErrorCode::protocol, "this is no answer of etcd's");
    }
    const auto holder = find(said, holder_);
    if (!holder) return fail(ErrorCode::no_domain, "etcd has no lease of that protection");
    if (side_ == Side::standby) return standby_answered(holder->value, said, now);
    if (holder->value == encoded(Holder::standby)) return Verdict::refused;
    const bool own = holder->value == encoded(Holder::primary);
    if (own || (holder->value == encoded(Holder::shared) && said.flag("succeeded"))) {
        return Verdict::granted;
    }
    return fail(ErrorCode::protocol, "etcd has a lease that no primary of ours has written");
}

Result<Verdict> EtcdLease::standby_answered(std::string_view holder, const Json& said,
                                            Instant now) {
    if (holder == encoded(Holder::standby)) return Verdict::granted;
    if (holder == encoded(Holder::primary)) return Verdict::refused;
    const auto beat = find(said, beat_);
    if (holder != encoded(Holder::shared) || !beat || beat->revision.empty()) {
        return fail(ErrorCode::protocol, "etcd has a lease that no primary of ours has written");
    }
    if (!seen_at_ || beat->revision != seen_) {
        seen_ = beat->revision;
        seen_at_ = now;
    }
    return Verdict::later;
}

}  // namespace segue::arbiter
