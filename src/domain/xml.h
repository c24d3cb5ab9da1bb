// SPDX-License-Identifier: LGPL-2.1-or-later
// XML as a tree of values: domain definitions and migration cookies are read into it and written
// from it. pugixml stays behind this header.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace segue {

struct XmlLimits {
    std::size_t bytes = 4U << 20;
    std::size_t depth = 64;
    std::size_t elements = 65536;
};
// For what we printed ourselves: escapes, addresses and aliases make it larger than what came in.
inline constexpr XmlLimits kPrintedXml{.bytes = 64U << 20, .depth = 66, .elements = 1U << 20};

// An element has children or text, as libvirt's dialect has it; text beside children is not kept.
struct XmlElement {
    using Attribute = std::pair<std::string, std::string>;

    std::string name;
    std::vector<Attribute> attributes;
    std::vector<XmlElement> children;
    std::string text;
    // Of what a reader kept: one more of a name of which it takes only the first.
    bool is_surplus = false;

    // The attribute's value; null when it is absent.
    const std::string* attribute(std::string_view key) const;
    // The first child of that name; null when there is none.
    const XmlElement* child(std::string_view key) const;
    // Text of that child; empty when there is none.
    std::string_view child_text(std::string_view key) const;

    // Building: each returns what lets calls be chained.
    XmlElement& set(std::string_view key, std::string_view value);
    XmlElement& set(std::string_view key, std::uint64_t value);
    // Only where there is a value.
    XmlElement& set_if(std::string_view key, const std::optional<std::string>& value);
    // Returns the new child (valid until the next one is added).
    XmlElement& add(std::string_view child_name);
    XmlElement& add(XmlElement child);
    XmlElement& add_text(std::string_view child_name, std::string_view child_text);

    friend bool operator==(const XmlElement&, const XmlElement&) = default;
};

// Parses one document. Document types and processing instructions are ignored, entities beyond the
// five of XML are not expanded. Errors name the byte, never the text (it may hold secrets).
// `what` names the document in errors: "domain definition".
Result<XmlElement> parse_xml(std::string_view text, std::string_view what,
                             const XmlLimits& limits = {});

// As libvirt writes it: two spaces an indent, single quotes, a newline after each element.
std::string print_xml(const XmlElement& root, std::size_t indent = 0);

}  // namespace segue
