// SPDX-License-Identifier: LGPL-2.1-or-later
// The calls of a migration as libvirt's procedures, on the client's side.
#include "sim/remote.h"

#include "migrate/options.h"
#include "rpc/migration.schema.h"
#include "sim/daemon.h"

namespace segue::sim {

namespace migration = rpc::migration;
namespace remote = rpc::remote;

namespace {

rpc::DomainRef domain_of(const Request& request) {
    return {domain_name(request.domain), domain_uuid(request.domain), 1};
}

// Where the migration is to go: of the other daemon when the called one is to drive it.
std::string connection_of(const Request& request) {
    return request.peer_to_peer ? std::to_string(request.destination) : "";
}

std::uint32_t flags_of(const Request& request) {
    std::uint32_t flags = migrate::kLive;
    if (request.peer_to_peer) flags |= migrate::kPeerToPeer;
    return flags;
}

// What a reply says, as an Outcome: `take` copies what there is.
template <class Reply>
std::function<void(Result<Reply>)> into(std::function<void(Outcome)> done,
                                        void (*take)(Outcome&, const Reply&)) {
    return [done = std::move(done), take](const Result<Reply>& reply) {
        Outcome outcome;
        if (reply)
            take(outcome, *reply);
        else
            outcome.error = reply.error();
        done(std::move(outcome));
    };
}

std::function<void(Result<>)> plain(std::function<void(Outcome)> done) {
    return [done = std::move(done)](const Result<>& reply) {
        Outcome outcome;
        if (!reply) outcome.error = reply.error();
        done(std::move(outcome));
    };
}

void take_prepare(Outcome& outcome, const migration::PrepareReply& reply) {
    outcome.cookie = reply.cookie;
    outcome.address = reply.uri.value_or("");
}

}  // namespace

std::unique_ptr<RemoteDaemon> RemoteDaemon::connect(Cluster& cluster, Loop& loop, int from,
                                                    int host) {
    Daemon* daemon = cluster.hosts[static_cast<std::size_t>(host)]->daemon.get();
    auto connection = daemon != nullptr ? cluster.network.connect(from, host) : nullptr;
    if (!connection) return nullptr;
    auto made = std::make_unique<RemoteDaemon>(loop, connection);
    daemon->accept(connection, false);
    return made;
}

RemoteDaemon::RemoteDaemon(Loop& loop, std::shared_ptr<Connection> connection)
    : connection_(std::move(connection)),
      resolver_(loop),
      client_(loop, resolver_, std::make_unique<SimLink>(loop, connection_, 0), "qemu:///system",
              {}) {}

void RemoteDaemon::call(const Request& request, std::function<void(Outcome)> done) {
    if (request.call == Call::abort) {
        return client_.call<migration::DomainAbortJob>({domain_of(request)}, plain(done));
    }
    if (request.protocol == 2) return call_version2(request, std::move(done));
    call_version3(request, std::move(done));
}

void RemoteDaemon::call_version2(const Request& request, std::function<void(Outcome)> done) {
    const std::string name = domain_name(request.domain);
    switch (request.call) {
        case Call::begin:
            return client_.call<remote::DomainGetXmlDesc>(
                {domain_of(request), 0}, into<remote::TextReply>(done, [](auto&, const auto&) {}));
        case Call::prepare:
            return client_.call<migration::DomainMigratePrepare2>(
                {std::nullopt, flags_of(request), name, 0, ""},
                into<migration::PrepareReply>(done, take_prepare));
        case Call::perform: {
            const std::string to = request.peer_to_peer ? connection_of(request) : request.address;
            return client_.call<migration::DomainMigratePerform>(
                {domain_of(request), request.cookie, to, flags_of(request), std::nullopt, 0},
                plain(done));
        }
        case Call::finish:
            return client_.call<migration::DomainMigrateFinish2>(
                {name, request.cookie, request.address, flags_of(request),
                 request.cancelled ? 1 : 0},
                into<remote::DomainReply>(done, [](auto&, const auto&) {}));
        default: return;
    }
}

void RemoteDaemon::call_version3(const Request& request, std::function<void(Outcome)> done) {
    const std::vector<remote::TypedParameter> named{
        {"destination_name", domain_name(request.domain)}};
    const std::uint32_t flags = flags_of(request);
    switch (request.call) {
        case Call::begin:
            return client_.call<migration::DomainMigrateBegin3Params>(
                {domain_of(request), {}, flags},
                into<migration::BeginReply>(
                    done, [](auto& outcome, const auto& reply) { outcome.cookie = reply.cookie; }));
        case Call::prepare:
            return client_.call<migration::DomainMigratePrepare3Params>(
                {named, request.cookie, flags}, into<migration::PrepareReply>(done, take_prepare));
        case Call::perform: {
            std::vector<remote::TypedParameter> parameters{{"migrate_uri", request.address}};
            return client_.call<migration::DomainMigratePerform3Params>(
                {domain_of(request), connection_of(request), std::move(parameters), request.cookie,
                 flags},
                into<remote::CookieReply>(
                    done, [](auto& outcome, const auto& reply) { outcome.cookie = reply.cookie; }));
        }
        case Call::finish:
            return client_.call<migration::DomainMigrateFinish3Params>(
                {named, request.cookie, flags, request.cancelled},
                into<migration::FinishReply>(
                    done, [](auto& outcome, const auto& reply) { outcome.cookie = reply.cookie; }));
        case Call::confirm:
            return client_.call<migration::DomainMigrateConfirm3Params>(
                {domain_of(request), {}, request.cookie, flags, request.cancelled}, plain(done));
        default: return;
    }
}

}  // namespace segue::sim
