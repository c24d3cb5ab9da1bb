// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/peer_to_peer.h"

#include "base/log.h"
#include "daemon/certificates.h"
#include "daemon/conduct/source.h"
#include "daemon/domain_list.h"
#include "daemon/fault.h"
#include "rpc/connection_features.h"
#include "rpc/migration.schema.h"

namespace segue {

using migrate::DriverEvent;
using migrate::DriverVerb;
namespace migration = rpc::migration;
namespace remote = rpc::remote;

namespace {

// What the destination is not told: abort-on-error and auto-converge are the source's business
// (libvirt.md 3.1), as is the protection that this daemon itself gives.
constexpr std::uint32_t kSourceOnly =
    migrate::kAbortOnError | migrate::kAutoConverge | migrate::kChangeProtection;

std::optional<std::string> optional(const std::string& text) {
    return text.empty() ? std::nullopt : std::optional<std::string>(text);
}

}  // namespace

void PeerToPeer::start(const Services& services, const MigrateCall& call, const std::string& uri,
                       Answer<> answer) {
    std::make_shared<PeerToPeer>(services, call, std::move(answer))->connect(uri);
}

PeerToPeer::PeerToPeer(const Services& services, MigrateCall call, Answer<> answer)
    : services_(services), call_(std::move(call)), answer_(std::move(answer)) {}

void PeerToPeer::connect(const std::string& text) {
    const auto uri = rpc::ConnectionUri::parse(text, "");
    if (!uri) return fail_with(uri.error());
    rpc::ClientOptions options;
    options.tls = tls_files(services_.settings, net::TlsSide::client);
    client_ = std::make_unique<rpc::Client>(services_.loop, services_.resolver, *uri, options);
    client_->open([this, self = shared_from_this()](Result<> opened) {
        if (!opened) return fail_with(opened.error());
        client_->on_closed([this](const Error& error) { connection_lost(error); });
        choose_protocol();
    });
}

void PeerToPeer::ask_feature(std::int32_t feature, Answer<bool> answer) {
    client_->call<remote::ConnectSupportsFeature>(
        {feature}, [self = shared_from_this(), answer](Result<remote::NumberReply> reply) {
            answer(reply.map([](const remote::NumberReply& said) { return said.value != 0; }));
        });
}

void PeerToPeer::choose_protocol() {
    ask_feature(rpc::kFeatureMigrationP2p, [this](Result<bool> p2p) {
        if (!p2p) return fail_with(p2p.error());
        if (!*p2p) {
            return fail_with({ErrorCode::operation_failed,
                              "Destination libvirt does not support peer-to-peer migration "
                              "protocol"});
        }
        ask_feature(rpc::kFeatureMigrationParams, [this](Result<bool> with_parameters) {
            if (with_parameters && *with_parameters) {
                return begin_driving(migrate::Protocol::version3, true);
            }
            ask_feature(rpc::kFeatureMigrationV3, [this](Result<bool> version3) {
                if (!version3) return fail_with(version3.error());
                if (!*version3 && call_.options.has(migrate::kTunnelled)) {
                    return fail_with({ErrorCode::argument_unsupported,
                                      "a tunnel needs version 3 of the migration protocol, which "
                                      "the destination does not offer"});
                }
                begin_driving(*version3 ? migrate::Protocol::version3 : migrate::Protocol::version2,
                              false);
            });
        });
    });
}

void PeerToPeer::begin_driving(migrate::Protocol protocol, bool with_parameters) {
    call_.protocol = protocol;
    with_parameters_ = with_parameters;
    migrate::DriverOptions options;
    options.protocol = protocol;
    options.offline = call_.options.has(migrate::kOffline);
    driver_.emplace(options);
    step(DriverEvent::start);
}

void PeerToPeer::step(DriverEvent event, std::optional<Error> error) {
    const auto self = shared_from_this();
    make(driver_->handle(event, std::move(error)));
}

void PeerToPeer::make(DriverVerb verb) {
    switch (verb) {
        case DriverVerb::none: return;
        case DriverVerb::call_begin: return call_begin();
        case DriverVerb::call_prepare: return call_prepare();
        case DriverVerb::call_perform: return call_perform();
        case DriverVerb::call_finish: return call_finish(false);
        case DriverVerb::call_finish_cancelled: return call_finish(true);
        case DriverVerb::call_confirm: return call_confirm(false);
        case DriverVerb::call_confirm_cancelled: return call_confirm(true);
        case DriverVerb::close: break;
    }
    if (client_) client_->close();
    const Answer<> answer = std::exchange(answer_, {});
    if (!answer) return;
    const auto& outcome = driver_->outcome();
    fault_point({"source", "reply", "migrate", "before"});
    answer(outcome ? Result<>(tl::unexpected(*outcome)) : Result<>());
    services_.loop.post([] { fault_point({"source", "reply", "migrate", "after"}); });
}

void PeerToPeer::call_begin() {
    begin_migration(services_, nullptr, call_,
                    [this, self = shared_from_this()](Result<BeginResult> begun) {
                        if (!begun) return step(DriverEvent::begin_failed, begun.error());
                        begun_ = std::move(*begun);
                        // A paused guest is to arrive paused.
                        const auto domain = services_.domains.find(call_.domain);
                        if (domain && !(*domain)->status.goes_on()) {
                            call_.options.flags |= migrate::kPaused;
                        }
                        step(DriverEvent::begin_ok);
                    });
}

std::uint32_t PeerToPeer::destination_flags() const {
    return static_cast<std::uint32_t>(call_.options.flags) & ~kSourceOnly;
}

PeerToPeer::Parameters PeerToPeer::parameters_for_destination() const {
    Parameters out;
    const auto& options = call_.options;
    const auto text = [&out](const char* name, const std::string& value) {
        if (!value.empty()) out.push_back({name, value});
    };
    text("destination_xml", begun_.xml);
    text("destination_name", options.destination_name);
    text("migrate_uri", options.migrate_uri);
    text("listen_address", options.listen_address);
    if (options.compress_xbzrle) out.push_back({"compression", std::string("xbzrle")});
    if (options.compress_mt) out.push_back({"compression", std::string("mt")});
    if (options.mt_decompress_threads) {
        out.push_back({"compression.mt.dthreads", *options.mt_decompress_threads});
    }
    if (options.parallel_connections) {
        out.push_back({"parallel.connections", *options.parallel_connections});
    }
    return out;
}

void PeerToPeer::call_prepare() {
    if (call_.options.has(migrate::kTunnelled)) return call_prepare_tunnel();
    const auto self = shared_from_this();
    const auto plain = [this, self](Result<migration::PrepareReply> reply) {
        prepared(reply.map([](migration::PrepareReply& said) {
            return PrepareResult{std::move(said.cookie), said.uri.value_or(""), {}};
        }));
    };
    const auto& options = call_.options;
    if (with_parameters_) {
        client_->call<migration::DomainMigratePrepare3Params>(
            {parameters_for_destination(), begun_.cookie, destination_flags()}, plain);
    } else if (call_.protocol == migrate::Protocol::version3) {
        client_->call<migration::DomainMigratePrepare3>(
            {begun_.cookie, optional(options.migrate_uri), destination_flags(),
             optional(options.destination_name), options.bandwidth_mib.value_or(0), begun_.xml},
            plain);
    } else {
        client_->call<migration::DomainMigratePrepare2>(
            {optional(options.migrate_uri), destination_flags(), optional(options.destination_name),
             options.bandwidth_mib.value_or(0), begun_.xml},
            plain);
    }
}

void PeerToPeer::call_prepare_tunnel() {
    const auto self = shared_from_this();
    const auto with_cookie = [this, self](Result<remote::CookieReply> reply) {
        prepared(reply.map([](remote::CookieReply& said) {
            return PrepareResult{std::move(said.cookie), {}, {}};
        }));
    };
    const auto& options = call_.options;
    const std::uint64_t bandwidth = options.bandwidth_mib.value_or(0);
    if (with_parameters_) {
        tunnel_ = client_->call_with_stream<migration::DomainMigratePrepareTunnel3Params>(
            {parameters_for_destination(), begun_.cookie, destination_flags()}, {}, with_cookie);
    } else {
        tunnel_ = client_->call_with_stream<migration::DomainMigratePrepareTunnel3>(
            {begun_.cookie, destination_flags(), optional(options.destination_name), bandwidth,
             begun_.xml},
            {}, with_cookie);
    }
}

void PeerToPeer::prepared(Result<PrepareResult> result) {
    if (!result) return step(DriverEvent::prepare_failed, result.error());
    cookie_ = std::move(result->cookie);
    uri_ = result->uri.empty() ? call_.options.migrate_uri : result->uri;
    step(DriverEvent::prepare_ok);
}

void PeerToPeer::call_perform() {
    MigrateCall perform = call_;
    perform.cookie = cookie_;
    perform.uri = uri_;
    perform.tunnel = std::exchange(tunnel_, nullptr);
    performing_ = true;
    perform_migration(services_, nullptr, perform,
                      [this, self = shared_from_this()](Result<Bytes> performed) {
                          performing_ = false;
                          if (!performed) {
                              return step(DriverEvent::perform_failed, performed.error());
                          }
                          cookie_ = std::move(*performed);
                          step(DriverEvent::perform_ok);
                      });
}

void PeerToPeer::call_finish(bool cancelled) {
    const auto self = shared_from_this();
    const std::string& renamed = call_.options.destination_name;
    const std::string name = renamed.empty() ? call_.domain.name : renamed;
    const auto plain = [this, self](Result<migration::FinishReply> reply) {
        finished(reply.map([](migration::FinishReply& said) {
            return FinishReply{said.domain, std::move(said.cookie)};
        }));
    };
    const Bytes cookie = cancelled ? Bytes{} : cookie_;
    if (with_parameters_) {
        Parameters parameters{{"destination_name", name}};
        client_->call<migration::DomainMigrateFinish3Params>(
            {std::move(parameters), cookie, destination_flags(), cancelled}, plain);
    } else if (call_.protocol == migrate::Protocol::version3) {
        client_->call<migration::DomainMigrateFinish3>(
            {name, cookie, std::nullopt, uri_, destination_flags(), cancelled}, plain);
    } else {
        client_->call<migration::DomainMigrateFinish2>(
            {name, cookie, uri_, destination_flags(), cancelled ? 1 : 0},
            [this, self](Result<remote::DomainReply> reply) {
                finished(reply.map([](const remote::DomainReply& said) {
                    return FinishReply{said.domain, {}};
                }));
            });
    }
}

void PeerToPeer::finished(Result<FinishReply> result) {
    if (!result) return step(DriverEvent::finish_failed, result.error());
    cookie_ = std::move(result->cookie);
    step(DriverEvent::finish_ok);
}

void PeerToPeer::call_confirm(bool cancelled) {
    MigrateCall call = call_;
    call.cookie = cancelled ? Bytes{} : cookie_;
    if (cancelled) call.cause = driver_->outcome();
    confirm_migration(services_, call, cancelled,
                      [this, self = shared_from_this()](Result<> confirmed) {
                          if (confirmed) return step(DriverEvent::confirm_ok);
                          log_warning("daemon", "domain '{}': Confirm: {}", call_.domain.name,
                                      confirmed.error().message);
                          step(DriverEvent::confirm_failed, confirmed.error());
                      });
}

// Calls that wait for the destination have their error already; only Perform runs on.
void PeerToPeer::connection_lost(const Error& error) {
    log_warning("daemon", "domain '{}': lost connection to the destination: {}", call_.domain.name,
                error.message);
    if (!performing_) return;
    const auto domain = services_.domains.find(call_.domain);
    if (!domain || !(*domain)->source) return;
    (*domain)->source->give_up(
        {ErrorCode::connection_lost,
         fmt::format("Lost connection to destination host: {}", error.message)});
}

void PeerToPeer::fail_with(const Error& error) {
    const Answer<> answer = std::exchange(answer_, {});
    if (answer) answer(tl::unexpected(error));
}

}  // namespace segue
