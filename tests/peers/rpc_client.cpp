// SPDX-License-Identifier: LGPL-2.1-or-later
// rpc-client: our RPC client against any libvirt daemon, ours or stock.
//
//   rpc-client URI      prints one JSON object with host name, version and domains; exit code 1 and
//                       the error on stderr when anything fails
//
// It keeps many calls in flight at once, and asks for a procedure that no daemon has a domain for,
// to see an error as such.
#include <fmt/core.h>

#include <cstdio>

#include "rpc/client.h"
#include "rpc/event.schema.h"

namespace segue::rpc {
namespace {

constexpr int kCallsAtOnce = 200;
constexpr Duration kPatience = 20s;

class Visit {
  public:
    Visit(RunLoop& loop, net::Resolver& resolver, const ConnectionUri& uri)
        : loop_(loop), client_(loop, resolver, uri, ClientOptions{}) {
        timer_ = loop_.make_timer([this] { fail_with({ErrorCode::timeout, "no answer in time"}); });
        timer_->start(kPatience);
        client_.on_closed([this](const Error& reason) { fail_with(reason); });
        client_.open([this](Result<> opened) {
            if (!opened) return fail_with(opened.error());
            ask_version();
        });
    }
    const std::optional<Error>& error() const { return error_; }

  private:
    void ask_version() {
        client_.call<remote::ConnectGetLibVersion>({}, [this](Result<remote::LongReply> reply) {
            if (!reply) return fail_with(reply.error());
            version_ = reply->value;
            ask_names();
        });
    }
    void ask_names() {
        for (int count = 0; count < kCallsAtOnce; ++count) {
            client_.call<remote::ConnectGetHostname>({}, [this](Result<remote::TextReply> reply) {
                if (!reply) return fail_with(reply.error());
                hostname_ = reply->text;
                if (++answers_ == kCallsAtOnce) ask_nobody();
            });
        }
    }
    void ask_nobody() {
        client_.call<remote::DomainLookupByName>(
            {"nobody has this name"}, [this](Result<remote::DomainReply> reply) {
                if (reply || reply.error().code != ErrorCode::no_domain) {
                    return fail_with({ErrorCode::internal, "a domain that cannot be was found"});
                }
                register_event();
            });
    }
    void register_event() {
        client_.call<event::ConnectDomainEventCallbackRegisterAny>(
            {0, std::nullopt}, [this](Result<remote::NumberReply> reply) {
                if (!reply) return fail_with(reply.error());
                list();
            });
    }
    void list() {
        client_.call<remote::ConnectListAllDomains>(
            {true, 0}, [this](Result<remote::ListAllDomainsReply> reply) {
                if (!reply) return fail_with(reply.error());
                std::string domains;
                for (const DomainRef& domain : reply->domains) {
                    domains += fmt::format("{}{{\"name\":\"{}\",\"uuid\":\"{}\",\"id\":{}}}",
                                           domains.empty() ? "" : ",", domain.name,
                                           domain.uuid.text(), domain.id);
                }
                fmt::print("{{\"hostname\":\"{}\",\"version\":{},\"domains\":[{}]}}\n", hostname_,
                           version_, domains);
                loop_.stop();
            });
    }
    void fail_with(const Error& error) {
        error_ = error;
        loop_.stop();
    }

    RunLoop& loop_;
    Client client_;
    std::unique_ptr<Timer> timer_;
    std::string hostname_;
    std::uint64_t version_ = 0;
    int answers_ = 0;
    std::optional<Error> error_;
};

Result<> run(const char* text) {
    const auto loop = make_asio_loop();
    net::Resolver resolver(*loop);
    const auto uri = TRY(ConnectionUri::parse(text, "/run/libvirt/libvirt-sock"));
    Visit visit(*loop, resolver, uri);
    loop->run();
    if (visit.error()) return tl::make_unexpected(*visit.error());
    return {};
}

}  // namespace
}  // namespace segue::rpc

int main(int argc, char** argv) {
    if (argc != 2) {
        fmt::print(stderr, "usage: rpc-client URI\n");
        return 2;
    }
    const auto done = segue::rpc::run(argv[1]);
    if (!done) fmt::print(stderr, "rpc-client: {}\n", done.error().message);
    return done ? 0 : 1;
}
