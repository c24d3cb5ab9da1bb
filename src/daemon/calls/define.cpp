// SPDX-License-Identifier: LGPL-2.1-or-later
// Definitions: define, undefine, XML, autostart.
#include "base/log.h"
#include "daemon/calls/calls.h"
#include "daemon/domain_events.h"
#include "daemon/life.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

// virDomainXMLFlags.
constexpr std::uint32_t kSecure = 1, kInactive = 2, kMigratable = 8;
// virDomainDefineFlags.
constexpr std::uint32_t kValidate = 1;
// virDomainUndefineFlagsValues: of the variables of a guest's firmware.
constexpr std::uint32_t kNvram = 4, kKeepNvram = 8, kTpm = 32, kKeepTpm = 64;

Result<Domain> readable(const Services& services, const std::string& xml) {
    Domain model = TRY(parse_domain(xml));
    TRY(check_allowed(services, model));
    return model;
}

Result<remote::DomainReply> keep(const Services& services, Domain model) {
    log_unused(model);
    const DomainPointer domain = TRY(services.domains.obtain(model.uuid, model.name));
    const bool new_one = !domain->persistent;
    auto before = std::exchange(domain->persistent, std::move(model));
    if (const auto saved = services.domains.save(*domain); !saved) {
        domain->persistent = std::move(before);
        services.domains.forget_if_nothing_is_left(*domain);
        return tl::unexpected(saved.error());
    }
    publish(services, *domain, new_one ? lifecycle::kDefined : lifecycle::kUpdated);
    return remote::DomainReply{domain->ref()};
}

void define(const Services& services, const std::string& xml, std::uint32_t flags,
            Answer<remote::DomainReply> answer) {
    const auto model = readable(services, xml).and_then([flags](Domain read) -> Result<Domain> {
        if ((flags & kValidate) != 0) TRY(check_understood(read));
        return read;
    });
    if (!model) return answer(tl::unexpected(model.error()));
    with_emulator(services, *model, [&services, model = *model, answer](Result<> asked) {
        if (!asked) return answer(tl::unexpected(asked.error()));
        answer(completed(services, model).and_then([&](Domain whole) {
            return keep(services, std::move(whole));
        }));
    });
}

Result<> undefine(const Services& services, const rpc::DomainRef& ref, std::uint32_t flags) {
    if ((flags & kNvram) != 0 && (flags & kKeepNvram) != 0) {
        return fail(ErrorCode::operation_invalid, "cannot both keep and delete nvram");
    }
    if ((flags & kTpm) != 0 && (flags & kKeepTpm) != 0) {
        return fail(ErrorCode::operation_invalid, "cannot both keep and delete TPM");
    }
    const DomainPointer domain = TRY(services.domains.find(ref));
    const auto guard = TRY(CallGuard::begin(domain, migrate::CallKind::modify, "undefine"));
    if (!domain->persistent) {
        return fail(ErrorCode::operation_invalid, "cannot undefine transient domain '{}'",
                    domain->name);
    }
    auto before = std::exchange(domain->persistent, std::nullopt);
    if (auto saved = services.domains.save(*domain); !saved) {
        domain->persistent = std::move(before);
        return saved;
    }
    publish(services, *domain, lifecycle::kUndefined);
    services.domains.forget_if_nothing_is_left(*domain);
    return {};
}

Result<remote::TextReply> xml_of(const Services& services, const Session& session,
                                 const remote::DomainFlagsCall& call) {
    const DomainPointer domain = TRY(services.domains.find(call.domain));
    FormatOptions options;
    options.secure = (call.flags & kSecure) != 0;
    options.migratable = (call.flags & kMigratable) != 0;
    options.inactive = (call.flags & kInactive) != 0 || !domain->is_active();
    if ((options.secure || options.migratable) && session.is_read_only()) {
        return fail(ErrorCode::denied, "XML with passwords is not for read-only connections");
    }
    // The migratable form describes what runs, without what belongs to this process.
    const bool stored = options.inactive && !options.migratable && domain->persistent;
    options.running_cpu = !options.inactive && !options.migratable;
    if (options.migratable) options.inactive = options.secure = true;
    if (stored) return remote::TextReply{print_domain(*domain->persistent, options)};
    const bool travels = options.inactive && domain->incarnation;
    return remote::TextReply{print_domain(
        travels ? without_own_sockets(*domain->incarnation) : domain->model(), options)};
}

}  // namespace

void add_define_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<remote::DomainDefineXml>(
        [&services](Session&, remote::XmlCall call, rpc::Reply<remote::DomainDefineXml> reply) {
            define(services, call.xml, 0, reply);
        });
    calls.on<remote::DomainDefineXmlFlags>(
        [&services](Session&, remote::XmlFlagsCall call,
                    rpc::Reply<remote::DomainDefineXmlFlags> reply) {
            define(services, call.xml, call.flags, reply);
        });
    calls.answer<remote::DomainUndefine>([&services](Session&, const remote::DomainCall& call) {
        return undefine(services, call.domain, 0);
    });
    calls.answer<remote::DomainUndefineFlags>(
        [&services](Session&, const remote::DomainFlagsCall& call) {
            return undefine(services, call.domain, call.flags);
        });
    calls.answer<remote::DomainGetXmlDesc>(
        [&services](Session& session, const remote::DomainFlagsCall& call) {
            return xml_of(services, session, call);
        });
    calls.answer<remote::DomainGetAutostart>(
        [&services](Session&, const remote::DomainCall& call) -> Result<remote::BoolReply> {
            return remote::BoolReply{TRY(services.domains.find(call.domain))->autostart};
        });
    calls.answer<remote::DomainSetAutostart>(
        [&services](Session&, const remote::DomainBoolCall& call) -> Result<> {
            const DomainPointer domain = TRY(services.domains.find(call.domain));
            if (!domain->persistent) {
                return fail(ErrorCode::operation_invalid,
                            "cannot set autostart for transient domain '{}'", domain->name);
            }
            const bool before = std::exchange(domain->autostart, call.value);
            auto saved = services.domains.save(*domain);
            if (!saved) domain->autostart = before;
            return saved;
        });
}

}  // namespace segue
