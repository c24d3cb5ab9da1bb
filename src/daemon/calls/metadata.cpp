// SPDX-License-Identifier: LGPL-2.1-or-later
// What users note about a domain: title, description, and elements of other programs.
#include <algorithm>

#include "daemon/calls/calls.h"
#include "daemon/domain_events.h"
#include "daemon/life.h"
#include "rpc/remote.schema.h"
#include "rpc/remote_error.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

// virDomainMetadataType.
constexpr std::int32_t kDescription = 0, kTitle = 1, kElement = 2;
// virDomainModificationImpact; neither: the running one, else the stored one.
constexpr std::uint32_t kLive = 1, kConfig = 2;
constexpr std::size_t kMaxTextBytes = 1U << 20;

tl::unexpected<Error> absent() {
    return fail(rpc::kNoDomainMetadata, "Requested metadata element is not present");
}

tl::unexpected<Error> not_running() {
    return fail(ErrorCode::operation_invalid, "domain is not running");
}

tl::unexpected<Error> transient() {
    return fail(ErrorCode::operation_invalid,
                "transient domains do not have any persistent config");
}

// The definition that the flags mean.
Result<const Domain*> asked_for(const DomainObject& domain, std::uint32_t flags) {
    if ((flags & kLive) != 0 && (flags & kConfig) != 0) {
        return fail(ErrorCode::invalid_argument,
                    "the running domain and its definition cannot both be asked for");
    }
    if ((flags & kConfig) != 0) {
        if (!domain.persistent) return transient();
        return &*domain.persistent;
    }
    if ((flags & kLive) != 0 && !domain.is_active()) return not_running();
    return &domain.model();
}

// Without the prefix that the element has in the definition, as libvirt gives it out.
XmlElement without_prefix(XmlElement element, const std::string& prefix) {
    const std::string lead = prefix + ":";
    if (element.name.starts_with(lead)) element.name = element.name.substr(lead.size());
    std::erase_if(element.attributes,
                  [&](const auto& attribute) { return attribute.first == "xmlns:" + prefix; });
    for (XmlElement& child : element.children)
        child = without_prefix(std::move(child), prefix);
    return element;
}

Result<std::string> element_of(const Domain& model, const std::string& uri) {
    if (!model.metadata || uri.empty()) return absent();
    for (const XmlElement& child : model.metadata->children) {
        const std::size_t colon = child.name.find(':');
        const bool prefixed = colon != std::string::npos;
        const std::string prefix = prefixed ? child.name.substr(0, colon) : "";
        const std::string* bound = child.attribute(prefixed ? "xmlns:" + prefix : "xmlns");
        if (bound && *bound == uri) return print_xml(without_prefix(child, prefix));
    }
    return absent();
}

Result<remote::TextReply> read(const Services& services, const remote::MetadataCall& call) {
    const DomainPointer domain = TRY(services.domains.find(call.domain));
    const Domain* model = TRY(asked_for(*domain, call.flags));
    if (call.type == kElement) {
        return remote::TextReply{TRY(element_of(*model, call.uri.value_or("")))};
    }
    if (call.type != kDescription && call.type != kTitle) {
        return fail(ErrorCode::invalid_argument, "unknown metadata type '{}'", call.type);
    }
    const auto& text = call.type == kDescription ? model->description : model->title;
    if (!text) return absent();
    return remote::TextReply{*text};
}

Result<> check_text(const remote::SetMetadataCall& call) {
    if (call.type != kDescription && call.type != kTitle) {
        return fail(ErrorCode::argument_unsupported,
                    "only title and description can be changed; other metadata is part of the XML");
    }
    const std::string text = call.metadata.value_or("");
    if (text.size() > kMaxTextBytes) {
        return fail(ErrorCode::limit_exceeded, "a note of {} bytes: at most {}", text.size(),
                    kMaxTextBytes);
    }
    if (call.type == kTitle && text.find('\n') != std::string::npos) {
        return fail(ErrorCode::xml_invalid, "Domain title can't contain newlines");
    }
    return {};
}

void change(Domain& model, const remote::SetMetadataCall& call) {
    auto& text = call.type == kDescription ? model.description : model.title;
    text = call.metadata;
    // An empty note is none.
    if (text && text->empty()) text.reset();
}

Result<> write(const Services& services, const remote::SetMetadataCall& call) {
    TRY(check_text(call));
    const DomainPointer domain = TRY(services.domains.find(call.domain));
    std::uint32_t flags = call.flags & (kLive | kConfig);
    if (flags == 0) flags = domain->is_active() ? kLive : kConfig;
    if ((flags & kLive) != 0 && !domain->is_active()) return not_running();
    if ((flags & kConfig) != 0 && !domain->persistent) return transient();
    const auto guard = TRY(CallGuard::begin(domain, migrate::CallKind::modify, "set-metadata"));
    std::vector<std::pair<Domain*, Domain>> changed;
    if ((flags & kLive) != 0) changed.emplace_back(&domain->incarnation->live, Domain());
    if ((flags & kConfig) != 0) changed.emplace_back(&*domain->persistent, Domain());
    for (auto& [model, next] : changed) {
        next = *model;
        change(next, call);
        TRY(check_size(next));
    }
    for (auto& [model, next] : changed)
        std::swap(*model, next);
    if (auto saved = services.domains.save(*domain); !saved) {
        for (auto& [model, before] : changed)
            std::swap(*model, before);
        return saved;
    }
    publish_metadata_change(services, *domain, call.type, call.uri);
    return {};
}

}  // namespace

void add_metadata_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.answer<remote::DomainGetMetadata>(
        [&services](Session&, const remote::MetadataCall& call) { return read(services, call); });
    calls.answer<remote::DomainSetMetadata>(
        [&services](Session&, const remote::SetMetadataCall& call) {
            return write(services, call);
        });
}

}  // namespace segue
