// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/managed.h"

#include "base/log.h"
#include "daemon/certificates.h"
#include "daemon/conduct/cookies.h"
#include "daemon/conduct/destination.h"
#include "daemon/conduct/kept_definition.h"
#include "daemon/conduct/source.h"
#include "daemon/domain_list.h"
#include "daemon/file_facts.h"
#include "daemon/life.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/standby.h"
#include "daemon/shared_storage.h"
#include "daemon/storage_access.h"
#include "domain/abi.h"

namespace segue {

using migrate::AsyncKind;
using migrate::CookieStep;

namespace {

// A missing certificate is said now, with the file's name, and not by QEMU when everything is under
// way.
Result<> check_certificates(const Services& services, const migrate::MigrateOptions& options,
                            net::TlsSide side) {
    if (!options.has(migrate::kTls)) return {};
    TRY(tls_context(services.settings, side));
    return {};
}

// The client's end ends a managed migration, as far as the tables allow.
template <class Conduct>
void bind_to(rpc::Session* session, const std::shared_ptr<Conduct>& conduct) {
    if (session == nullptr) return;
    conduct->bind(ClientTie(*session, [weak = std::weak_ptr<Conduct>(conduct)] {
        if (const auto still = weak.lock()) still->client_closed();
    }));
}

Result<std::shared_ptr<SourceConduct>> make_source(const Services& services, rpc::Session* session,
                                                   const DomainPointer& domain,
                                                   const MigrateCall& call, const char* api) {
    TRY(domain->jobs.start(AsyncKind::migration_out, api, services.loop.now()));
    migrate::SourceOptions options;
    options.protocol = call.protocol;
    options.fallback_id = Uuid::random(services.random);
    options.domain = domain->uuid;
    options.domain_name = domain->name;
    options.incarnation = domain->incarnation ? domain->incarnation->key : "";
    // Whoever drives it, and not what a client says: its end must end what it holds.
    options.peer_to_peer = session == nullptr;
    options.offline = call.options.has(migrate::kOffline);
    options.run_guest = domain->status.goes_on();
    options.flags = call.options.flags;
    domain->source = std::make_shared<SourceConduct>(
        services, domain, migrate::SourceMachine(std::move(options)), call.options);
    domain->source->driven_by(session != nullptr ? session->weak_from_this() : call.client);
    bind_to(session, domain->source);
    return domain->source;
}

Result<std::string> migration_xml(const Services& services, const DomainObject& domain,
                                  const migrate::MigrateOptions& options) {
    const bool is_stored = options.has(migrate::kOffline) && domain.persistent;
    const Domain model = is_stored            ? *domain.persistent
                         : domain.incarnation ? without_own_sockets(*domain.incarnation)
                                              : domain.model();
    constexpr FormatOptions kForm{.secure = true, .inactive = true, .migratable = true};
    if (options.destination_xml.empty()) return print_domain(model, kForm);
    // Theirs to change is what the guest does not see.
    Domain wanted = TRY(parse_domain(options.destination_xml));
    wanted = TRY(completed(services, std::move(wanted)));
    TRY(check_abi(model, wanted));
    return print_domain(wanted, kForm);
}

}  // namespace

Result<> check_movable(const DomainObject& domain, const migrate::MigrateOptions& options) {
    const bool offline = options.has(migrate::kOffline);
    if (!domain.unresolved.empty()) {
        return fail(ErrorCode::operation_invalid, "{}", domain.unresolved);
    }
    if (domain.primary) TRY(domain.primary->may_move());
    if (domain.standby && domain.is_active()) TRY(domain.standby->may_move());
    if (!domain.is_active() && !offline) {
        return fail(ErrorCode::operation_invalid, "domain '{}' is not running", domain.name);
    }
    if (offline && domain.is_active()) {
        return fail(ErrorCode::operation_invalid,
                    "domain '{}' is running: leave --offline away to move it", domain.name);
    }
    if (offline && !domain.persistent) {
        return fail(ErrorCode::operation_invalid,
                    "cannot perform offline migration on transient domain '{}'", domain.name);
    }
    // What it does is not known: it would arrive paused.
    if (const std::string unknown = recovering(domain); !unknown.empty()) {
        return fail(ErrorCode::operation_invalid, "domain '{}' is {}", domain.name, unknown);
    }
    const bool io_error = domain.status == DomainStatus(PausedReason::io_error);
    if (options.has(migrate::kAbortOnError) && io_error) {
        return fail(ErrorCode::operation_invalid, "cannot migrate domain with I/O error");
    }
    return {};
}

namespace {

// Whether the guest may leave; its disks are looked at last, and meanwhile other things happen.
void check_source(const Services& services, const DomainPointer& domain,
                  const migrate::MigrateOptions& options, Answer<> answer) {
    const auto checked =
        migrate::check_options(options)
            .and_then([&] { return check_movable(*domain, options); })
            .and_then([&] { return check_persistent_xml(*domain, options); })
            .and_then([&] { return check_certificates(services, options, net::TlsSide::client); });
    if (!checked || options.has(migrate::kOffline) || options.has(migrate::kUnsafe)) {
        return answer(checked);
    }
    services.files.ask(disk_files_of(domain->model()),
                       [domain, options, answer](const FactsOfFiles& facts) {
                           answer(check_movable(*domain, options).and_then([&] {
                               return check_shared_storage(domain->model(), facts);
                           }));
                       });
}

void begin_checked(const Services& services, rpc::Session* session, const MigrateCall& call,
                   const DomainPointer& domain, Answer<BeginResult> answer) {
    const auto xml = migration_xml(services, *domain, call.options);
    if (!xml) return answer(tl::unexpected(xml.error()));
    BeginResult result{migrate::write_cookie(begin_cookie(services, *domain, call.options)), *xml};
    // Without protection, and in v2 (which only fetches the XML), nothing is held between the
    // calls: Perform starts the job. What this daemon drives itself is always held.
    const bool driven_here = session == nullptr;
    const bool held = call.protocol == migrate::Protocol::version3 &&
                      (call.options.has(migrate::kChangeProtection) || driven_here);
    if (!held) return answer(std::move(result));
    const auto conduct = make_source(services, session, domain, call, "migrate-begin");
    if (!conduct) return answer(tl::unexpected(conduct.error()));
    (*conduct)->begin([answer, result = std::move(result)](Result<> begun) {
        if (!begun) return answer(tl::unexpected(begun.error()));
        answer(result);
    });
}

}  // namespace

void begin_migration(const Services& services, rpc::Session* session, const MigrateCall& call,
                     Answer<BeginResult> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const bool driven_here = session == nullptr;
    const std::weak_ptr<rpc::Session> client =
        driven_here ? std::weak_ptr<rpc::Session>() : session->weak_from_this();
    const auto begin = [&services, driven_here, client, call, domain = *domain,
                        answer](Result<> asked) {
        const auto still = client.lock();
        if (!driven_here && !still) return;
        if (!asked) return answer(tl::unexpected(asked.error()));
        begin_checked(services, still.get(), call, domain, answer);
    };
    check_source(services, *domain, call.options,
                 [&services, call, domain = *domain, begin](Result<> checked) {
                     if (!checked || call.options.destination_xml.empty())
                         return begin(std::move(checked));
                     // What the user's XML leaves out is filled in with its emulator's help.
                     const auto wanted = parse_domain(call.options.destination_xml);
                     if (!wanted) return begin(tl::unexpected(wanted.error()));
                     with_emulator(services, *wanted, begin);
                 });
}

namespace {

// The domain as it is to be on this host, and its place in the list.
Result<std::pair<DomainPointer, Domain>> arriving_domain(const Services& services,
                                                         const MigrateCall& call, Domain model) {
    if (!call.options.destination_name.empty()) model.name = call.options.destination_name;
    model.id.reset();
    model = TRY(completed(services, std::move(model)));
    TRY(check_allowed(services, model));
    const DomainPointer domain = TRY(services.domains.obtain(model.uuid, model.name));
    if (domain->is_active() || domain->source || domain->destination) {
        return fail(ErrorCode::operation_invalid, "domain '{}' is already active on this host",
                    domain->name);
    }
    if (domain->standby) {
        return fail(ErrorCode::operation_invalid,
                    "this host keeps a standby of domain '{}': `segue failover --planned {}` where "
                    "it runs moves it here without loss",
                    domain->name, domain->name);
    }
    return std::make_pair(domain, std::move(model));
}

void receive(const Services& services, rpc::Session& session, const MigrateCall& call,
             PrepareRequest request, Domain model, Answer<PrepareResult> answer) {
    auto arriving = arriving_domain(services, call, std::move(model));
    if (!arriving) return answer(tl::unexpected(arriving.error()));
    const DomainPointer domain = arriving->first;
    const auto job =
        domain->jobs.start(AsyncKind::migration_in, "migrate-prepare", services.loop.now());
    if (!job) return answer(tl::unexpected(job.error()));
    migrate::DestinationOptions options;
    options.protocol = call.protocol;
    options.id = Uuid::random(services.random);
    options.domain = domain->uuid;
    options.domain_name = domain->name;
    options.incarnation = options.id.text();
    options.source_host = request.cookie ? request.cookie->hostname : "";
    options.peer_to_peer = call.options.has(migrate::kPeerToPeer);
    options.offline = call.options.has(migrate::kOffline);
    options.run_guest = !call.options.has(migrate::kPaused);
    options.flags = call.options.flags;
    options.source_has_right = request.cookie && request.cookie->source_has_right;
    domain->destination = std::make_shared<DestinationConduct>(
        services, domain, migrate::DestinationMachine(std::move(options)));
    bind_to(&session, domain->destination);
    domain->destination->prepare(std::move(request), std::move(arriving->second),
                                 std::move(answer));
}

}  // namespace

namespace {

// That of what is to run here, and that of the definition which Finish brings: there the guest
// stands still, and would wait for it.
void with_emulators(const Services& services, const Domain& model, const PrepareRequest& request,
                    Answer<> answer) {
    Domain kept = model;
    if (request.cookie && !request.cookie->kept_emulator.empty())
        kept.emulator = request.cookie->kept_emulator;
    with_emulator(services, model, [&services, kept, answer](Result<> asked) {
        if (!asked) return answer(std::move(asked));
        with_emulator(services, kept, answer);
    });
}

}  // namespace

void prepare_migration(const Services& services, rpc::Session* session, const MigrateCall& call,
                       const std::string& xml, Answer<PrepareResult> answer) {
    PrepareRequest request;
    request.options = call.options;
    request.protocol = call.protocol;
    // How hard the source slows its guest down is the source's alone; clients send the numbers
    // here, too, without the flag that they belong to.
    request.options.throttle_initial.reset();
    request.options.throttle_increment.reset();
    const auto checked = migrate::check_options(request.options).and_then([&] {
        return check_certificates(services, request.options, net::TlsSide::server);
    });
    if (!checked) return answer(tl::unexpected(checked.error()));
    auto model = parse_domain(xml);
    if (!model) return answer(tl::unexpected(model.error()));
    if (!call.cookie.empty()) {
        auto cookie = migrate::parse_cookie(call.cookie, {CookieStep::begin_to_prepare, model->name,
                                                          model->uuid, services.identity.uuid});
        if (!cookie) return answer(tl::unexpected(cookie.error()));
        request.cookie = std::move(*cookie);
    }
    const std::weak_ptr<rpc::Session> client =
        session == nullptr ? std::weak_ptr<rpc::Session>() : session->weak_from_this();
    with_emulators(services, *model, request,
                   [&services, client, call, request, model = *model, answer](Result<> asked) {
                       if (!asked) return answer(tl::unexpected(asked.error()));
                       const auto still = client.lock();
                       if (!still) return;
                       receive(services, *still, call, request, model, answer);
                   });
}

namespace {

// What Perform's cookie and URI say, once they are checked.
Result<PerformRequest> perform_request(const Services& services, const DomainObject& domain,
                                       const MigrateCall& call) {
    PerformRequest request;
    if (!call.cookie.empty()) {
        request.cookie =
            TRY(migrate::parse_cookie(call.cookie, {CookieStep::prepare_to_perform, domain.name,
                                                    domain.uuid, services.identity.uuid}));
    }
    request.tunnel = call.tunnel;
    if (!call.tunnel) {
        const migrate::MigrateUri uri = TRY(migrate::parse_migrate_uri(call.uri));
        request.uri = fmt::format("tcp:{}", migrate::migrate_uri_text(uri).substr(4));
    }
    if (domain.primary) TRY(domain.primary->may_move_to(request.cookie));
    return request;
}

}  // namespace

void perform_migration(const Services& services, rpc::Session* session, const MigrateCall& call,
                       Answer<Bytes> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto conduct = (*domain)->source;
    auto request = perform_request(services, **domain, call);
    if (!request) {
        if (!conduct) return answer(tl::unexpected(request.error()));
        return conduct->reject_perform(request.error(), std::move(answer));
    }
    if (conduct) return conduct->perform(std::move(*request), std::move(answer));
    const bool driven_here = session == nullptr;
    const std::weak_ptr<rpc::Session> client =
        driven_here ? std::weak_ptr<rpc::Session>() : session->weak_from_this();
    check_source(services, *domain, call.options,
                 [&services, driven_here, client, call, domain = *domain,
                  request = std::move(*request), answer](Result<> checked) {
                     if (!checked) return answer(tl::unexpected(checked.error()));
                     const auto still = client.lock();
                     if (!driven_here && !still) return;
                     const auto made =
                         make_source(services, still.get(), domain, call, "migrate-perform");
                     if (!made) return answer(tl::unexpected(made.error()));
                     bind_to(still.get(), *made);
                     (*made)->perform(request, answer);
                 });
}

void finish_migration(const Services& services, const std::string& name, const MigrateCall& call,
                      bool cancelled, Answer<FinishReply> answer) {
    const auto domain = services.domains.find(name);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if (!(*domain)->destination) {
        return answer(fail(ErrorCode::operation_invalid,
                           "domain '{}' is not processing incoming migration", name));
    }
    FinishRequest request{call.options, call.cookie, cancelled};
    const DomainPointer object = *domain;
    object->destination->finish(std::move(request), [answer, object](Result<FinishResult> done) {
        if (!done) return answer(tl::unexpected(done.error()));
        answer(FinishReply{object->ref(), std::move(done->cookie)});
    });
}

void confirm_migration(const Services& services, const MigrateCall& call, bool cancelled,
                       Answer<> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if (!(*domain)->source) {
        return answer(fail(ErrorCode::operation_invalid, "domain '{}' is not being migrated",
                           (*domain)->name));
    }
    (*domain)->source->confirm(cancelled, call.cookie, call.cause, std::move(answer));
}

}  // namespace segue
