// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/kept_definition.h"

#include "daemon/life.h"

namespace segue {
namespace {

Result<> check_same(std::string_view what, const std::string& source, const std::string& target) {
    if (source == target) return {};
    return fail(ErrorCode::config_unsupported, "Target domain {} {} does not match source {}", what,
                target, source);
}

Result<std::string> definition_of(const Services& services, const DomainObject& domain,
                                  Domain kept) {
    TRY(check_same("uuid", domain.uuid.text(), kept.uuid.text()));
    kept.name = domain.name;
    TRY(check_allowed(services, kept));
    kept = TRY(completed(services, std::move(kept)));
    return print_domain(kept, {.secure = true});
}

}  // namespace

Result<> check_persistent_xml(const DomainObject& domain, const migrate::MigrateOptions& options) {
    if (options.persistent_xml.empty()) {
        // Of an earlier release it may have what nobody keeps any more.
        const bool travels = options.has(migrate::kPersistDestination) && domain.persistent;
        return travels ? check_relied_upon(*domain.persistent) : Result<>();
    }
    const Domain wanted = TRY(parse_domain(options.persistent_xml));
    TRY(check_relied_upon(wanted));
    TRY(check_same("name", domain.name, wanted.name));
    return check_same("uuid", domain.uuid.text(), wanted.uuid.text());
}

void decide_definition(const Services& services, const DomainPointer& domain, std::string text,
                       const std::optional<Domain>& offline, Answer<std::string> answer) {
    // What runs was completed and allowed when it was prepared.
    if (text.empty()) {
        const Domain runs = offline               ? *offline
                            : domain->incarnation ? without_own_sockets(*domain->incarnation)
                                                  : domain->model();
        return answer(print_domain(runs, {.secure = true}));
    }
    auto wanted = parse_domain(text);
    if (!wanted) return answer(tl::unexpected(wanted.error()));
    with_emulator(services, *wanted, [&services, domain, wanted = *wanted, answer](Result<> asked) {
        if (!asked) return answer(tl::unexpected(asked.error()));
        answer(definition_of(services, *domain, wanted));
    });
}

}  // namespace segue
