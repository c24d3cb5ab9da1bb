// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/calls/calls.h"

#include <algorithm>

#include "rpc/remote_error.h"

namespace segue {
namespace {

// libvirt_internal.h, virDrvFeature.
constexpr std::int32_t kMigrationV2 = 3, kMigrationP2p = 4, kMigrationV3 = 6, kChangeProtection = 7,
                       kFdPassing = 8, kTypedParamString = 9, kXmlMigratable = 11,
                       kMigrationOffline = 12, kMigrationParams = 13, kNetworkUpdateOrder = 16;

std::string joined(const std::vector<std::string>& parts) {
    std::string all;
    for (const std::string& part : parts)
        all += (all.empty() ? "" : "; ") + part;
    return all;
}

}  // namespace

bool has_feature(const Settings& settings, std::int32_t feature) {
    const auto offers = [&](std::string_view protocol) {
        return std::find(settings.offer.begin(), settings.offer.end(), protocol) !=
               settings.offer.end();
    };
    switch (feature) {
        case kMigrationV2: return offers("v2");
        case kMigrationV3: return offers("v3");
        case kMigrationParams: return offers("v3-params");
        case kMigrationP2p:
        case kChangeProtection:
        case kFdPassing:
        case kTypedParamString:
        case kXmlMigratable:
        case kMigrationOffline:
        case kNetworkUpdateOrder: return true;
        default: return false;
    }
}

void log_unused(const Domain& model) {
    for (const std::string& unused : model.unused)
        log_warning("daemon", "domain '{}': kept, and not used: {}", model.name, unused);
}

Result<> check_understood(const Domain& model) {
    if (model.unused.empty()) return {};
    return fail(rpc::kXmlInvalidSchema,
                "domain '{}' has what means nothing here: {}; take it out, or do not validate",
                model.name, joined(model.unused));
}

Result<std::shared_ptr<CallGuard>> CallGuard::begin(const DomainPointer& domain,
                                                    migrate::CallKind kind, std::string call) {
    const auto begun = domain->jobs.begin_call(kind, std::move(call));
    if (!begun && !domain->unresolved.empty()) {
        // Nothing ends by waiting, and nothing can be cancelled.
        return fail(begun.error().code, "a '{}' call may not run beside job '{}': {}",
                    name_of(kind), name_of(domain->jobs.async().kind), domain->unresolved);
    }
    if (!begun) return tl::unexpected(begun.error());
    return std::make_shared<CallGuard>(domain, kind);
}

CallGuard::CallGuard(DomainPointer domain, migrate::CallKind kind)
    : domain_(std::move(domain)), kind_(kind) {}

CallGuard::~CallGuard() {
    domain_->jobs.end_call(kind_);
}

}  // namespace segue
