// SPDX-License-Identifier: LGPL-2.1-or-later
// The calls of a migration as libvirt's procedures, on the daemon's side: read by the real server.
#include "migrate/options.h"
#include "rpc/migration.schema.h"
#include "rpc/remote.schema.h"
#include "sim/daemon.h"
#include "sim/sim_link.h"

namespace segue::sim {

namespace migration = rpc::migration;
namespace remote = rpc::remote;
using rpc::Session;

namespace {

int domain_numbered(const rpc::DomainRef& ref) {
    return ref.uuid.bytes[15];
}
// The names are domain_name()'s.
int domain_named(std::string_view name) {
    return name.empty() ? 0 : name.back() - '0';
}

Request request_of(Call call, int protocol, std::uint64_t flags) {
    Request request;
    request.call = call;
    request.protocol = protocol;
    request.peer_to_peer = (flags & migrate::kPeerToPeer) != 0;
    return request;
}

const std::string* text_of(const std::vector<remote::TypedParameter>& parameters,
                           std::string_view name) {
    for (const auto& parameter : parameters) {
        if (parameter.name == name) return std::get_if<std::string>(&parameter.value);
    }
    return nullptr;
}

// An outcome as the reply of procedure P: its error, or what `make` takes out of it.
template <class P>
std::function<void(Outcome)> into(rpc::Reply<P> reply, typename P::Reply (*make)(const Outcome&)) {
    return [reply, make](const Outcome& outcome) {
        if (outcome.error) return reply(tl::unexpected(*outcome.error));
        reply(make(outcome));
    };
}
template <class P>
std::function<void(Outcome)> plain(rpc::Reply<P> reply) {
    return [reply](const Outcome& outcome) {
        if (outcome.error) return reply(tl::unexpected(*outcome.error));
        reply({});
    };
}

rpc::DomainRef some_domain(const Outcome&) {
    return {domain_name(0), domain_uuid(0), 1};
}
migration::PrepareReply prepare_reply(const Outcome& outcome) {
    return {outcome.cookie, outcome.address};
}

}  // namespace

void Daemon::serve_version3() {
    calls_.on<migration::DomainMigrateBegin3Params>(
        [this](Session& session, auto call, auto reply) {
            Request request = request_of(Call::begin, 3, call.flags);
            request.domain = domain_numbered(call.domain);
            on_call(session, std::move(request),
                    into<migration::DomainMigrateBegin3Params>(reply, [](const Outcome& outcome) {
                        return migration::BeginReply{outcome.cookie, ""};
                    }));
        });
    calls_.on<migration::DomainMigratePrepare3Params>(
        [this](Session& session, auto call, auto reply) {
            Request request = request_of(Call::prepare, 3, call.flags);
            const std::string* name = text_of(call.parameters, "destination_name");
            request.domain = domain_named(name != nullptr ? *name : "");
            request.cookie = std::move(call.cookie);
            on_call(session, std::move(request),
                    into<migration::DomainMigratePrepare3Params>(reply, prepare_reply));
        });
    calls_.on<migration::DomainMigratePerform3Params>(
        [this](Session& session, auto call, auto reply) {
            Request request = request_of(Call::perform, 3, call.flags);
            request.domain = domain_numbered(call.domain);
            const std::string* address = text_of(call.parameters, "migrate_uri");
            request.address = address != nullptr ? *address : "";
            if (request.peer_to_peer) request.destination = std::stoi(call.connection_uri.value());
            request.cookie = std::move(call.cookie);
            on_call(session, std::move(request),
                    into<migration::DomainMigratePerform3Params>(reply, [](const Outcome& outcome) {
                        return remote::CookieReply{outcome.cookie};
                    }));
        });
    calls_.on<migration::DomainMigrateFinish3Params>(
        [this](Session& session, auto call, auto reply) {
            Request request = request_of(Call::finish, 3, call.flags);
            const std::string* name = text_of(call.parameters, "destination_name");
            request.domain = domain_named(name != nullptr ? *name : "");
            request.cookie = std::move(call.cookie);
            request.cancelled = call.cancelled;
            on_call(session, std::move(request),
                    into<migration::DomainMigrateFinish3Params>(reply, [](const Outcome& outcome) {
                        return migration::FinishReply{some_domain(outcome), outcome.cookie};
                    }));
        });
    calls_.on<migration::DomainMigrateConfirm3Params>([this](Session& session, auto call,
                                                             auto reply) {
        Request request = request_of(Call::confirm, 3, call.flags);
        request.domain = domain_numbered(call.domain);
        request.cookie = std::move(call.cookie);
        request.cancelled = call.cancelled;
        on_call(session, std::move(request), plain<migration::DomainMigrateConfirm3Params>(reply));
    });
}

void Daemon::serve_version2() {
    // v2 has no Begin: the definition is fetched, and nothing is held.
    calls_.on<remote::DomainGetXmlDesc>([this](Session& session, auto call, auto reply) {
        Request request = request_of(Call::begin, 2, 0);
        request.domain = domain_numbered(call.domain);
        on_call(session, std::move(request),
                into<remote::DomainGetXmlDesc>(
                    reply, [](const Outcome&) { return remote::TextReply{"<domain/>"}; }));
    });
    calls_.on<migration::DomainMigratePrepare2>([this](Session& session, auto call, auto reply) {
        Request request = request_of(Call::prepare, 2, call.flags);
        request.domain = domain_named(call.name.value_or(""));
        on_call(session, std::move(request),
                into<migration::DomainMigratePrepare2>(reply, prepare_reply));
    });
    calls_.on<migration::DomainMigratePerform>([this](Session& session, auto call, auto reply) {
        Request request = request_of(Call::perform, 2, call.flags);
        request.domain = domain_numbered(call.domain);
        if (request.peer_to_peer) request.destination = std::stoi(call.uri);
        request.address = call.uri;
        request.cookie = std::move(call.cookie);
        on_call(session, std::move(request), plain<migration::DomainMigratePerform>(reply));
    });
    calls_.on<migration::DomainMigrateFinish2>([this](Session& session, auto call, auto reply) {
        Request request = request_of(Call::finish, 2, call.flags);
        request.domain = domain_named(call.name);
        request.cookie = std::move(call.cookie);
        request.cancelled = call.result != 0;
        on_call(session, std::move(request),
                into<migration::DomainMigrateFinish2>(reply, [](const Outcome& outcome) {
                    return remote::DomainReply{some_domain(outcome)};
                }));
    });
    calls_.on<migration::DomainAbortJob>([this](Session& session, auto call, auto reply) {
        Request request = request_of(Call::abort, 3, 0);
        request.domain = domain_numbered(call.domain);
        on_call(session, std::move(request), plain<migration::DomainAbortJob>(reply));
    });
}

void Daemon::accept(const std::shared_ptr<Connection>& connection, bool peer_link) {
    if (peer_link) return accept_peer(connection);
    const auto session = server_->adopt(std::make_unique<SimLink>(loop_, connection, 1));
    session->on_close([this, weak = std::weak_ptr(lifeline_), closed = std::weak_ptr(session)] {
        if (weak.lock() && !dead_) on_closed(*closed.lock());
    });
}

void Daemon::on_call(Session& session, Request request, std::function<void(Outcome)> reply) {
    if (dead_) return;
    const Caller caller{session.weak_from_this(), std::move(request), std::move(reply)};
    switch (caller.request.call) {
        case Call::begin: return begin(caller);
        case Call::prepare: return prepare(caller);
        case Call::perform: return perform(caller);
        case Call::finish: return finish(caller);
        case Call::confirm: return confirm(caller);
        case Call::abort: return abort(caller);
        case Call::none: return;
    }
}

void Daemon::answer(const Caller& caller, std::optional<Error> error, Bytes cookie,
                    std::string address) {
    caller.reply({std::move(error), std::move(cookie), std::move(address)});
}

}  // namespace segue::sim
