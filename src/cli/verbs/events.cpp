// SPDX-License-Identifier: LGPL-2.1-or-later
// events: lifecycle, migration iterations and finished jobs, one line each, as they come.
#include <csignal>

#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "cli/words.h"
#include "rpc/event.schema.h"

namespace segue::cli {
namespace {

using namespace rpc::event;

// virDomainEventID of libvirt-domain.h.
constexpr std::int32_t kLifecycle = 0;
constexpr std::int32_t kMigrationIteration = 20;
constexpr std::int32_t kJobCompleted = 21;

class Follower {
  public:
    Follower(Context& context, std::uint32_t count) : context_(context), left_(count) {
        rpc::Client& client = context.daemon.client();
        client.on_event<DomainEventLifecycle>([this](const LifecycleEvent& event) {
            show(event.domain.name, "lifecycle", event_words(event.event, event.detail), Json());
        });
        client.on_event<DomainEventMigrationIteration>([this](const NumberEvent& event) {
            show(event.domain.name, "migration-iteration", std::to_string(event.value), Json());
        });
        client.on_event<DomainEventJobCompleted>([this](const JobCompletedEvent& event) {
            show(event.domain.name, "job-completed", "", to_json(event.parameters));
        });
    }

    VerbResult run(const std::optional<rpc::DomainRef>& domain) {
        Connection& daemon = context_.daemon;
        for (const std::int32_t id : {kLifecycle, kMigrationIteration, kJobCompleted}) {
            TRY(daemon.call<ConnectDomainEventCallbackRegisterAny>({id, domain}));
        }
        daemon.loop().on_signal(SIGINT, [this] { end(); });
        while (!done_ && daemon.is_open())
            daemon.loop().run();
        if (!done_) return tl::make_unexpected(daemon.loss());
        return ExitCode::ok;
    }

  private:
    void show(const std::string& domain, const char* kind, const std::string& what, Json figures) {
        if (context_.as_json()) {
            Json line = Json::object({{"event", kind}, {"domain", domain}, {"what", what}});
            if (!figures.is_null()) line.set("figures", std::move(figures));
            print_json(line);
        } else {
            print(fmt::format("{}: {} {}{}\n", domain, kind, what,
                              figures.is_null() ? "" : figures.dump()));
        }
        if (left_ != 0 && --left_ == 0) end();
    }
    void end() {
        done_ = true;
        context_.daemon.loop().stop();
    }

    Context& context_;
    std::uint32_t left_;
    bool done_ = false;
};

}  // namespace

VerbResult run_verb(Context& context, const FollowEvents& verb) {
    std::optional<rpc::DomainRef> domain;
    if (!verb.domain.empty()) domain = TRY(context.daemon.find_domain(verb.domain));
    return Follower(context, verb.count).run(domain);
}

}  // namespace segue::cli
