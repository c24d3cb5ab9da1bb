// SPDX-License-Identifier: LGPL-2.1-or-later
// Prepare for tunnelled migrations: each opens the stream that QEMU's bytes come through. Version
// 2's has no reply that could carry who holds the right to run: it is not served.
#include "daemon/calls/calls.h"
#include "daemon/calls/migrate_options.h"
#include "daemon/tunnel.h"

namespace segue {

namespace migration = rpc::migration;
using rpc::Session;

namespace {

// Answers once the stream is open. A client that is gone by now gets nothing: the end of its
// connection ends the migration.
template <class P>
Answer<PrepareResult> tunnel_reply(rpc::Reply<P> reply) {
    return [reply](Result<PrepareResult> done) {
        if (!done) return reply(tl::unexpected(done.error()));
        if (!done->tunnel) {
            return reply(
                fail(ErrorCode::internal, "{}: QEMU has no tunnel to read from", P::kName));
        }
        const auto stream = reply.open_stream(done->tunnel->handlers());
        if (!stream) return;
        done->tunnel->attach(stream);
        reply(rpc::remote::CookieReply{std::move(done->cookie)});
    };
}

// A caller that forgot the flag would get a QEMU that listens on the network.
Result<migrate::MigrateOptions> tunnelled(Result<migrate::MigrateOptions> options) {
    if (options && !options->has(migrate::kTunnelled)) {
        return fail(ErrorCode::invalid_argument, "PrepareTunnel called but no TUNNELLED flag set");
    }
    return options;
}

}  // namespace

void add_tunnel_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<migration::DomainMigratePrepareTunnel3Params>(
        [&services](Session& session, migration::Prepare3ParamsCall given,
                    rpc::Reply<migration::DomainMigratePrepareTunnel3Params> reply) {
            auto options = tunnelled(
                options_of(given.flags, given.parameters, "DomainMigratePrepareTunnel3Params"));
            with_options(std::move(options), reply, [&](MigrateCall call) {
                call.cookie = std::move(given.cookie);
                const std::string xml = std::exchange(call.options.destination_xml, {});
                prepare_migration(services, &session, call, xml, tunnel_reply(reply));
            });
        });
    calls.on<migration::DomainMigratePrepareTunnel3>(
        [&services](Session& session, migration::PrepareTunnel3Call given,
                    rpc::Reply<migration::DomainMigratePrepareTunnel3> reply) {
            auto options = tunnelled(plain_options(given.flags, given.name, given.bandwidth, {}, {},
                                                   "DomainMigratePrepareTunnel3"));
            with_options(std::move(options), reply, [&](MigrateCall call) {
                call.cookie = std::move(given.cookie);
                prepare_migration(services, &session, call, given.xml, tunnel_reply(reply));
            });
        });
}

}  // namespace segue
