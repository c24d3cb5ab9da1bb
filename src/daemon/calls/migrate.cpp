// SPDX-License-Identifier: LGPL-2.1-or-later
// The migration procedures: v3 with parameters, v3, v2, all read into the same five steps.
#include "daemon/calls/calls.h"
#include "daemon/calls/migrate_options.h"
#include "daemon/conduct/managed.h"
#include "daemon/conduct/peer_to_peer.h"
#include "rpc/migration.schema.h"

namespace segue {

namespace migration = rpc::migration;
namespace remote = rpc::remote;
using rpc::Session;

namespace {

Answer<BeginResult> begin_reply(Answer<migration::BeginReply> reply) {
    return [reply](Result<BeginResult> done) {
        reply(done.map([](const BeginResult& result) {
            return migration::BeginReply{result.cookie, result.xml};
        }));
    };
}
Answer<PrepareResult> prepare_reply(Answer<migration::PrepareReply> reply) {
    return [reply](Result<PrepareResult> done) {
        reply(done.map([](const PrepareResult& result) {
            const bool named = !result.uri.empty();
            return migration::PrepareReply{
                result.cookie, named ? std::optional<std::string>(result.uri) : std::nullopt};
        }));
    };
}
Answer<Bytes> perform_reply(Answer<remote::CookieReply> reply) {
    return [reply](Result<Bytes> done) {
        reply(done.map([](const Bytes& cookie) { return remote::CookieReply{cookie}; }));
    };
}
Answer<FinishReply> finish_reply(Answer<migration::FinishReply> reply) {
    return [reply](Result<FinishReply> done) {
        reply(done.map([](const FinishReply& result) {
            return migration::FinishReply{result.domain, result.cookie};
        }));
    };
}

// Perform means the whole migration when the source's daemon is to drive it.
void perform(const Services& services, Session& session, MigrateCall call,
             const std::optional<std::string>& connection, Answer<Bytes> answer) {
    if (!call.options.has(migrate::kPeerToPeer)) {
        if (call.uri.empty()) call.uri = call.options.migrate_uri;
        return perform_migration(services, &session, call, std::move(answer));
    }
    if (!connection || connection->empty()) {
        return answer(fail(ErrorCode::invalid_argument,
                           "peer-to-peer migration needs the URI of the destination"));
    }
    call.client = session.weak_from_this();
    PeerToPeer::start(services, call, *connection,
                      [answer](Result<> done) { answer(done.map([] { return Bytes{}; })); });
}

void add_parameter_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<migration::DomainMigrateBegin3Params>(
        [&services](Session& session, migration::Begin3ParamsCall given,
                    rpc::Reply<migration::DomainMigrateBegin3Params> reply) {
            with_options(options_of(given.flags, given.parameters, "DomainMigrateBegin3Params"),
                         reply, [&](MigrateCall call) {
                             call.domain = given.domain;
                             begin_migration(services, &session, call, begin_reply(reply));
                         });
        });
    calls.on<migration::DomainMigratePrepare3Params>(
        [&services](Session& session, migration::Prepare3ParamsCall given,
                    rpc::Reply<migration::DomainMigratePrepare3Params> reply) {
            with_options(options_of(given.flags, given.parameters, "DomainMigratePrepare3Params"),
                         reply, [&](MigrateCall call) {
                             call.cookie = std::move(given.cookie);
                             const std::string xml =
                                 std::exchange(call.options.destination_xml, {});
                             prepare_migration(services, &session, call, xml, prepare_reply(reply));
                         });
        });
    calls.on<migration::DomainMigratePerform3Params>(
        [&services](Session& session, migration::Perform3ParamsCall given,
                    rpc::Reply<migration::DomainMigratePerform3Params> reply) {
            with_options(options_of(given.flags, given.parameters, "DomainMigratePerform3Params"),
                         reply, [&](MigrateCall call) {
                             call.domain = given.domain;
                             call.cookie = std::move(given.cookie);
                             perform(services, session, std::move(call), given.connection_uri,
                                     perform_reply(reply));
                         });
        });
    calls.on<migration::DomainMigrateFinish3Params>(
        [&services](Session&, migration::Finish3ParamsCall given,
                    rpc::Reply<migration::DomainMigrateFinish3Params> reply) {
            with_options(options_of(given.flags, given.parameters, "DomainMigrateFinish3Params"),
                         reply, [&](MigrateCall call) {
                             call.cookie = std::move(given.cookie);
                             const std::string name = call.options.destination_name;
                             finish_migration(services, name, call, given.cancelled,
                                              finish_reply(reply));
                         });
        });
    calls.on<migration::DomainMigrateConfirm3Params>(
        [&services](Session&, migration::Confirm3ParamsCall given,
                    rpc::Reply<migration::DomainMigrateConfirm3Params> reply) {
            MigrateCall call;
            call.domain = given.domain;
            call.cookie = std::move(given.cookie);
            confirm_migration(services, call, given.cancelled, reply);
        });
}

void add_version3_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<migration::DomainMigrateBegin3>(
        [&services](Session& session, migration::Begin3Call given,
                    rpc::Reply<migration::DomainMigrateBegin3> reply) {
            with_options(plain_options(given.flags, given.name, given.bandwidth, given.xml, {},
                                       "DomainMigrateBegin3"),
                         reply, [&](MigrateCall call) {
                             call.domain = given.domain;
                             begin_migration(services, &session, call, begin_reply(reply));
                         });
        });
    calls.on<migration::DomainMigratePrepare3>(
        [&services](Session& session, migration::Prepare3Call given,
                    rpc::Reply<migration::DomainMigratePrepare3> reply) {
            with_options(plain_options(given.flags, given.name, given.bandwidth, {}, given.uri,
                                       "DomainMigratePrepare3"),
                         reply, [&](MigrateCall call) {
                             call.cookie = std::move(given.cookie);
                             prepare_migration(services, &session, call, given.xml,
                                               prepare_reply(reply));
                         });
        });
    calls.on<migration::DomainMigratePerform3>(
        [&services](Session& session, migration::Perform3Call given,
                    rpc::Reply<migration::DomainMigratePerform3> reply) {
            with_options(plain_options(given.flags, given.name, given.bandwidth, given.xml,
                                       given.uri, "DomainMigratePerform3"),
                         reply, [&](MigrateCall call) {
                             call.domain = given.domain;
                             call.cookie = std::move(given.cookie);
                             perform(services, session, std::move(call), given.connection_uri,
                                     perform_reply(reply));
                         });
        });
    calls.on<migration::DomainMigrateFinish3>(
        [&services](Session&, migration::Finish3Call given,
                    rpc::Reply<migration::DomainMigrateFinish3> reply) {
            MigrateCall call;
            call.options.flags = given.flags;
            call.cookie = std::move(given.cookie);
            finish_migration(services, given.name, call, given.cancelled, finish_reply(reply));
        });
    calls.on<migration::DomainMigrateConfirm3>(
        [&services](Session&, migration::Confirm3Call given,
                    rpc::Reply<migration::DomainMigrateConfirm3> reply) {
            MigrateCall call;
            call.domain = given.domain;
            call.cookie = std::move(given.cookie);
            confirm_migration(services, call, given.cancelled, reply);
        });
}

void add_version2_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<migration::DomainMigratePrepare2>(
        [&services](Session& session, migration::Prepare2Call given,
                    rpc::Reply<migration::DomainMigratePrepare2> reply) {
            with_options(plain_options(given.flags, given.name, given.bandwidth, {}, given.uri,
                                       "DomainMigratePrepare2"),
                         reply, [&](MigrateCall call) {
                             call.protocol = migrate::Protocol::version2;
                             prepare_migration(services, &session, call, given.xml,
                                               prepare_reply(reply));
                         });
        });
    calls.on<migration::DomainMigratePerform>(
        [&services](Session& session, migration::Perform2Call given,
                    rpc::Reply<migration::DomainMigratePerform> reply) {
            with_options(
                plain_options(given.flags, given.name, given.bandwidth, {}, {},
                              "DomainMigratePerform"),
                reply, [&](MigrateCall call) {
                    call.protocol = migrate::Protocol::version2;
                    call.domain = given.domain;
                    call.cookie = std::move(given.cookie);
                    // Peer-to-peer, the URI is the other daemon's.
                    const bool driven = call.options.has(migrate::kPeerToPeer);
                    if (!driven) call.uri = given.uri;
                    perform(services, session, std::move(call), given.uri,
                            [reply](Result<Bytes> done) { reply(done.map([](const Bytes&) {})); });
                });
        });
    calls.on<migration::DomainMigrateFinish2>(
        [&services](Session&, migration::Finish2Call given,
                    rpc::Reply<migration::DomainMigrateFinish2> reply) {
            MigrateCall call;
            call.protocol = migrate::Protocol::version2;
            call.options.flags = given.flags;
            finish_migration(services, given.name, call, given.result != 0,
                             [reply](Result<FinishReply> done) {
                                 reply(done.map([](const FinishReply& result) {
                                     return remote::DomainReply{result.domain};
                                 }));
                             });
        });
}

}  // namespace

void add_migrate_calls(rpc::Dispatcher& calls, const Services& services) {
    add_parameter_calls(calls, services);
    add_version3_calls(calls, services);
    add_version2_calls(calls, services);
}

}  // namespace segue
