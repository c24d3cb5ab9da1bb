// SPDX-License-Identifier: LGPL-2.1-or-later
// What a user and what another daemon say about protection (docs/rpc.md).
#include "daemon/calls/protection.h"

#include "base/log.h"
#include "daemon/domain_list.h"
#include "daemon/protection/helper.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/standby.h"
#include "daemon/protection/witness.h"

namespace segue {
namespace {

void begin(const Services& services, const DomainPointer& domain, const Json& arguments,
           Answer<Json> answer) {
    auto wish = ProtectionWish::parse(arguments);
    if (!wish) return answer(tl::unexpected(wish.error()));
    PrimaryProtection::begin(services, domain, std::move(*wish), std::move(answer));
}

void unprotect(const Services& services, const DomainPointer& domain, Answer<Json> answer) {
    if (domain->primary) {
        return domain->primary->end([answer](Result<> done) {
            answer(done.map([] { return Json::object({{"outcome", "no longer protected"}}); }));
        });
    }
    if (domain->standby) {
        return answer(domain->standby->end().map([] {
            return Json::object({{"outcome", "the standby is given up"}});
        }));
    }
    if (!domain->unresolved.empty()) {
        forget_taken_over(services, *domain);
        return answer(Json::object({{"outcome", "it may start here again"}}));
    }
    answer(fail(ErrorCode::operation_invalid, "domain '{}' is not protected", domain->name));
}

void fail_over(const DomainPointer& domain, const Json& arguments, Answer<Json> answer) {
    if (domain->primary) {
        if (!arguments.flag("planned")) {
            return answer(fail(ErrorCode::operation_invalid,
                               "domain '{}' runs here: --planned moves it to its standby without "
                               "loss",
                               domain->name));
        }
        return domain->primary->move(std::move(answer));
    }
    if (!domain->standby) {
        return answer(
            fail(ErrorCode::operation_invalid, "domain '{}' has no standby here", domain->name));
    }
    if (arguments.flag("planned")) {
        return answer(fail(ErrorCode::operation_invalid,
                           "a planned failover is the primary's to begin: ask its daemon"));
    }
    domain->standby->promote(arguments.flag("force"), std::move(answer));
}

// The domain whose standby has this key.
Result<DomainPointer> with_key(const Services& services, const Json& arguments) {
    const std::string_view key = arguments.text("key");
    for (const auto& entry : services.domains.all()) {
        const auto& standby = entry.second->standby;
        if (standby && standby->key() == key) return entry.second;
    }
    return fail(ErrorCode::no_domain, "no standby has this key");
}

}  // namespace

Json protection_json(const DomainObject& domain) {
    if (domain.primary) return domain.primary->status();
    if (domain.standby) return domain.standby->status();
    return Json::object({{"role", "none"}, {"state", "none"}});
}

bool protection_command(const Services& services, const std::string& name, const Json& arguments,
                        const Answer<Json>& answer) {
    if (name == "witness-open" || name == "witness-claim" || name == "witness-end") {
        Witness& witness = services.witness;
        answer(name == "witness-open"    ? witness.open(arguments)
               : name == "witness-claim" ? witness.claim(arguments)
                                         : witness.end(arguments));
        return true;
    }
    if (name == "standby-prepare") {
        StandbyProtection::prepare(services, arguments, answer);
        return true;
    }
    if (name == "standby-end" || name == "standby-promote" || name == "standby-status") {
        const auto domain = with_key(services, arguments);
        if (!domain) {
            answer(tl::unexpected(domain.error()));
        } else if (name == "standby-promote") {
            (*domain)->standby->promote_frozen(answer);
        } else if (name == "standby-status") {
            (*domain)->standby->tell_promotion(answer);
        } else {
            answer((*domain)->standby->end().map([] { return Json::object(); }));
        }
        return true;
    }
    if (name != "protect" && name != "unprotect" && name != "failover") return false;
    const auto domain = services.domains.find(std::string(arguments.text("domain")));
    if (!domain) {
        answer(tl::unexpected(domain.error()));
    } else if (name == "protect") {
        begin(services, *domain, arguments, answer);
    } else if (name == "unprotect") {
        unprotect(services, *domain, answer);
    } else {
        fail_over(*domain, arguments, answer);
    }
    return true;
}

Result<> may_start(const DomainObject& domain) {
    if (domain.standby && !domain.is_active()) {
        return fail(ErrorCode::operation_invalid,
                    "this host keeps a standby of domain '{}': `segue failover {}` lets it take "
                    "over",
                    domain.name, domain.name);
    }
    return {};
}

void restore_protections(const Services& services) {
    sweep_memory_of_standbys(services);
    const auto records = services.store.protections();
    if (!records) return log_error("daemon", "{}", records.error().message);
    for (const storage::ProtectionRecord& record : *records) {
        if (record.role == "witness") {
            services.witness.restore(record);
            continue;
        }
        if (services.domains.is_blocked(record.domain)) continue;  // and nothing of it is touched
        const auto domain = services.domains.find(record.domain);
        if (!domain) {
            (void)services.store.commit({storage::EraseProtection{record.domain}});
        } else if (record.role == "primary" && (*domain)->is_active()) {
            PrimaryProtection::restore(services, *domain, record);
        } else if (record.role == "standby") {
            StandbyProtection::restore(services, *domain, record);
        } else if (record.role == "primary" && !PrimaryProtection::may_run_elsewhere(record)) {
            (void)services.store.commit({storage::EraseProtection{record.domain}});
        } else if (record.role == "primary" || record.role == "former") {
            // Its QEMU ended while nobody looked, and its agent said so.
            mark_taken_over(services, **domain, record.peer);
        }
    }
}

}  // namespace segue
