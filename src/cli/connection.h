// SPDX-License-Identifier: LGPL-2.1-or-later
// The daemon at the other end, as a command line needs it: one call after the other, each waited
// for.
#pragma once

#include <memory>
#include <string>

#include "base/json.h"
#include "base/loop.h"
#include "net/resolve.h"
#include "rpc/client.h"

namespace segue::cli {

class Connection {
  public:
    // Errors name the URI and the remedy.
    static Result<std::unique_ptr<Connection>> open(const std::string& uri, bool read_only = false);
    ~Connection();

    // Runs the loop until the answer is there. Events and streams are served meanwhile.
    template <class P>
    rpc::Outcome<P> call(const typename P::Call& body) {
        rpc::Outcome<P> outcome = fail(ErrorCode::connection_lost, "the daemon is gone");
        bool is_answered = false;
        client_->call<P>(body, [&](rpc::Outcome<P> answer) {
            outcome = std::move(answer);
            is_answered = true;
            loop_->stop();
        });
        while (!is_answered)
            loop_->run();
        return outcome;
    }

    // By name, UUID or id, in this order. Error: no_domain.
    Result<rpc::DomainRef> find_domain(const std::string& word);

    // Our own program (rpc/extension.schema). no_support: the daemon is not segued.
    Result<Json> query(const std::string& name, const Json& arguments);
    Result<Json> command(const std::string& name, const Json& arguments);

    rpc::Client& client() { return *client_; }
    RunLoop& loop() { return *loop_; }
    bool is_open() const { return !lost_; }
    const Error& loss() const { return loss_; }

  private:
    Connection();

    std::unique_ptr<RunLoop> loop_;
    std::unique_ptr<net::Resolver> resolver_;
    std::unique_ptr<rpc::Client> client_;
    bool lost_ = false;
    Error loss_;
};

}  // namespace segue::cli
