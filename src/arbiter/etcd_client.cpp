// SPDX-License-Identifier: LGPL-2.1-or-later
#include "arbiter/etcd_client.h"

#include "net/address.h"

namespace segue::arbiter {
namespace {

constexpr std::string_view kTls = "etcd://";
constexpr std::string_view kPlain = "etcd+tcp://";
constexpr std::string_view kPort = ":2379";
constexpr std::size_t kMostMembers = 16;

Result<net::Address> parse_member(std::string_view uri, std::string_view member) {
    const std::size_t bracket = member.rfind(']');
    const std::size_t colon = member.find(':', bracket == std::string_view::npos ? 0 : bracket);
    std::string text = "tcp:" + std::string(member);
    if (colon == std::string_view::npos) text += kPort;
    auto address = net::Address::parse(text);
    // A path, a query or a user is not ours to send.
    const bool is_host = member.find_first_of("/?#@ \\") == std::string_view::npos;
    if (address && is_host && !address->host.empty() && address->port != 0) return address;
    return fail(ErrorCode::invalid_argument,
                "'{}': give etcd://HOST[:PORT][,HOST[:PORT]...] as the witness", uri);
}

}  // namespace

bool is_etcd(std::string_view uri) {
    return uri.starts_with(kTls) || uri.starts_with(kPlain);
}

Result<EtcdCluster> parse_etcd(std::string_view uri, const std::string& tls_directory) {
    const bool tls = uri.starts_with(kTls);
    EtcdCluster cluster;
    if (tls) cluster.tls_directory = tls_directory;
    std::string_view rest = is_etcd(uri) ? uri.substr((tls ? kTls : kPlain).size()) : "";
    for (bool more = true; more;) {
        const std::size_t comma = rest.find(',');
        more = comma != std::string_view::npos;
        const net::Address member = TRY(parse_member(uri, rest.substr(0, comma)));
        const auto numeric = net::SocketAddress::of_numeric(member.host, member.port);
        if (!tls && !(numeric && numeric->is_loopback())) {
            return fail(ErrorCode::denied,
                        "'{}': beyond loopback give etcd://, which speaks TLS (whoever can write "
                        "there decides who goes on)",
                        uri);
        }
        cluster.members.push_back((tls ? "https://" : "http://") + member.text().substr(4));
        if (cluster.members.size() > kMostMembers) {
            return fail(ErrorCode::limit_exceeded, "'{}': at most {} members", uri, kMostMembers);
        }
        rest = more ? rest.substr(comma + 1) : "";
    }
    return cluster;
}

void EtcdClient::open(std::function<void(Result<>)> answer) {
    post(lease_.open(), [this, answer = std::move(answer)](Result<Json> said) {
        answer(said ? lease_.opened(*said) : tl::unexpected(said.error()));
    });
}

void EtcdClient::end(std::function<void(Result<>)> answer) {
    post(lease_.end(), [answer = std::move(answer)](Result<Json> said) {
        answer(said ? Result<>() : tl::unexpected(said.error()));
    });
}

void EtcdClient::ask(LeaseTable::Side side, LeaseTable::Wish wish,
                     std::function<void(Result<LeaseTable::Verdict>)> answer) {
    post(lease_.ask(side, wish, loop_.now()),
         [this, answer = std::move(answer)](Result<Json> said) {
             auto verdict = said ? lease_.answered(*said, loop_.now())
                                 : Result<LeaseTable::Verdict>(tl::unexpected(said.error()));
             answer(std::move(verdict));
         });
}

void EtcdClient::post(const Json& body, std::function<void(Result<Json>)> answer) {
    body_ = body.dump();
    answer_ = std::move(answer);
    try_member(cluster_.members.size());
}

// A member that does not answer, or has no leader, may not be the only one.
void EtcdClient::try_member(std::size_t left) {
    HttpPost::Request request;
    request.url = cluster_.members[member_] + "/v3/kv/txn";
    request.body = body_;
    request.tls_directory = cluster_.tls_directory;
    request.bound = member_bound_;
    post_.start(request, [this, left](Result<std::string> said) {
        auto json = said ? Json::parse(*said) : Result<Json>(tl::unexpected(said.error()));
        if (!json) {
            json = fail(json.error().code, "etcd at {}: {}", cluster_.members[member_],
                        json.error().message);
            member_ = (member_ + 1) % cluster_.members.size();
            if (left > 1) return try_member(left - 1);
        }
        // It may destroy this object.
        const auto answer = std::exchange(answer_, nullptr);
        answer(std::move(json));
    });
}

}  // namespace segue::arbiter
