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
constexpr std::size_t kMaxPrefixBytes = 64;
// Within what a whole definition may have.
constexpr XmlLimits kElementLimits{.bytes = kMaxTextBytes, .depth = 60, .elements = 32768};

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

// The other way: every element that is in no namespace comes into the new one.
XmlElement with_prefix(XmlElement element, const std::string& prefix) {
    // It has a namespace of its own, and so has what is in it.
    if (element.attribute("xmlns") != nullptr) return element;
    if (element.name.find(':') == std::string::npos) element.name = prefix + ":" + element.name;
    for (XmlElement& child : element.children)
        child = with_prefix(std::move(child), prefix);
    return element;
}

// As XML has them, in ASCII.
bool is_prefix(const std::string& text) {
    const auto is_letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    const auto may_follow = [&](char c) {
        return is_letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '.';
    };
    return !text.empty() && text.size() <= kMaxPrefixBytes && is_letter(text[0]) &&
           std::all_of(text.begin(), text.end(), may_follow);
}

// The prefix of an element's name; empty: none.
std::string prefix_of(const XmlElement& element) {
    const std::size_t colon = element.name.find(':');
    return colon == std::string::npos ? "" : element.name.substr(0, colon);
}

bool is_of(const XmlElement& element, const std::string& uri) {
    const std::string prefix = prefix_of(element);
    const std::string* bound = element.attribute(prefix.empty() ? "xmlns" : "xmlns:" + prefix);
    return bound != nullptr && *bound == uri;
}

Result<std::string> element_of(const Domain& model, const std::string& uri) {
    if (!model.metadata || uri.empty()) return absent();
    for (const XmlElement& child : model.metadata->children) {
        if (is_of(child, uri)) return print_xml(without_prefix(child, prefix_of(child)));
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

Result<> check_call(const remote::SetMetadataCall& call) {
    const std::string text = call.metadata.value_or("");
    if (call.type == kElement) {
        if (call.uri.value_or("").empty()) {
            return fail(ErrorCode::invalid_argument, "metadata needs the URI of its namespace");
        }
        if (!text.empty() && !is_prefix(call.key.value_or(""))) {
            return fail(ErrorCode::invalid_argument,
                        "failed to validate prefix for a new XML namespace: '{}'",
                        call.key.value_or("").substr(0, 64));
        }
    } else if (call.type != kDescription && call.type != kTitle) {
        return fail(ErrorCode::invalid_argument, "unknown metadata type '{}'", call.type);
    }
    if (text.size() > kMaxTextBytes) {
        return fail(ErrorCode::limit_exceeded, "a note of {} bytes: at most {}", text.size(),
                    kMaxTextBytes);
    }
    if (call.type == kTitle && text.find('\n') != std::string::npos) {
        return fail(ErrorCode::xml_invalid, "Domain title can't contain newlines");
    }
    return {};
}

// Another program's element takes the place of the one that it had; none: there is none any more.
Result<> change_element(Domain& model, const remote::SetMetadataCall& call) {
    XmlElement all;
    all.name = "metadata";
    if (model.metadata) all = *model.metadata;
    std::erase_if(all.children, [&](const XmlElement& child) { return is_of(child, *call.uri); });
    if (call.metadata && !call.metadata->empty()) {
        const XmlElement element = TRY(parse_xml(*call.metadata, "metadata", kElementLimits));
        XmlElement& kept = all.add(with_prefix(element, *call.key));
        kept.set("xmlns:" + *call.key, *call.uri);
    }
    model.metadata.reset();
    if (!all.children.empty()) model.metadata = std::move(all);
    return {};
}

Result<> change(Domain& model, const remote::SetMetadataCall& call) {
    if (call.type == kElement) return change_element(model, call);
    auto& text = call.type == kDescription ? model.description : model.title;
    text = call.metadata;
    // An empty note is none.
    if (text && text->empty()) text.reset();
    return {};
}

Result<> write(const Services& services, const remote::SetMetadataCall& call) {
    TRY(check_call(call));
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
        TRY(change(next, call));
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

void add_metadata_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.answer<remote::DomainGetMetadata>(
        [&services](Session&, const remote::MetadataCall& call) { return read(services, call); });
    calls.answer<remote::DomainSetMetadata>(
        [&services](Session&, const remote::SetMetadataCall& call) {
            return write(services, call);
        });
}

}  // namespace segue
