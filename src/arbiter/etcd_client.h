// SPDX-License-Identifier: LGPL-2.1-or-later
// A protection's lease at an etcd cluster: one question at a time, to whichever member answers.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "arbiter/etcd_lease.h"
#include "arbiter/http_post.h"

namespace segue::arbiter {

struct EtcdCluster {
    std::vector<std::string> members;  // "https://HOST:PORT"
    std::string tls_directory;         // empty for http
};

bool is_etcd(std::string_view uri);
// "etcd://HOST[:PORT][,HOST[:PORT]…]" speaks TLS, as libvirt's URIs do without a transport, and
// "etcd+tcp://…" does not: whoever can write there decides who goes on, so that it is for loopback.
// Errors (invalid_argument, denied) name the URI.
Result<EtcdCluster> parse_etcd(std::string_view uri, const std::string& tls_directory);

class EtcdClient {
  public:
    // How long one member may take: its cluster may be about to elect a leader.
    static constexpr Duration kMemberBound = 1s;

    EtcdClient(Loop& loop, EtcdCluster cluster, const LeaseId& id,
               Duration member_bound = kMemberBound)
        : cluster_(std::move(cluster)),
          lease_(id, EtcdLease::terms()),
          member_bound_(member_bound),
          loop_(loop),
          post_(loop) {}

    void open(std::function<void(Result<>)> answer);
    void end(std::function<void(Result<>)> answer);
    // Never answers from inside this call. Not to be called while is_asking().
    void ask(LeaseTable::Side side, LeaseTable::Wish wish,
             std::function<void(Result<LeaseTable::Verdict>)> answer);
    bool is_asking() const { return static_cast<bool>(answer_); }

  private:
    void post(const Json& body, std::function<void(Result<Json>)> answer);
    void try_member(std::size_t left);

    EtcdCluster cluster_;
    EtcdLease lease_;
    Duration member_bound_;
    Loop& loop_;
    HttpPost post_;
    std::size_t member_ = 0;  // the one that answered last
    std::string body_;
    std::function<void(Result<Json>)> answer_;
};

}  // namespace segue::arbiter
