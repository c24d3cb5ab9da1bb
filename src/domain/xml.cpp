// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/xml.h"

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

#include <pugixml.hpp>

namespace segue {
namespace {

// Copies pugixml's tree. Recursion is bounded by the depth limit, which is checked on the way down.
class Copier {
  public:
    Copier(const XmlLimits& limits, std::string_view what) : limits_(limits), what_(what) {}

    Result<> copy(const pugi::xml_node& from, XmlElement& to, std::size_t depth) {
        if (depth > limits_.depth) {
            return fail(ErrorCode::limit_exceeded, "{} is nested deeper than {} levels", what_,
                        limits_.depth);
        }
        if (++elements_ > limits_.elements) {
            return fail(ErrorCode::limit_exceeded, "{} has more than {} elements", what_,
                        limits_.elements);
        }
        to.name = from.name();
        for (const pugi::xml_attribute& attribute : from.attributes())
            to.attributes.emplace_back(attribute.name(), attribute.value());
        TRY(check_attributes(to));
        for (const pugi::xml_node& node : from.children()) {
            if (node.type() == pugi::node_element) {
                to.children.emplace_back();
                TRY(copy(node, to.children.back(), depth + 1));
            } else if (node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata) {
                to.text += node.value();
            }
        }
        if (!to.children.empty()) to.text.clear();
        return {};
    }

  private:
    // pugixml takes a name twice, and which of the two counts would depend on who reads it.
    Result<> check_attributes(const XmlElement& element) const {
        std::vector<std::string_view> names;
        for (const auto& [name, value] : element.attributes)
            names.push_back(name);
        std::sort(names.begin(), names.end());
        const auto twice = std::adjacent_find(names.begin(), names.end());
        if (twice == names.end()) return {};
        return fail(ErrorCode::xml_invalid, "{}: <{}> has the attribute '{}' twice", what_,
                    element.name, *twice);
    }

    const XmlLimits& limits_;
    std::string_view what_;
    std::size_t elements_ = 0;
};

// The end of the markup that begins at `at` ('<'): behind comments and CDATA as a whole, and behind
// quotes in a tag.
std::size_t end_of_markup(std::string_view text, std::size_t at) {
    const auto behind = [&](std::string_view closing) {
        const std::size_t found = text.find(closing, at);
        return found == std::string_view::npos ? text.size() : found + closing.size();
    };
    if (text.substr(at).starts_with("<!--")) return behind("-->");
    if (text.substr(at).starts_with("<![CDATA[")) return behind("]]>");
    char quote = '\0';
    for (; at < text.size(); ++at) {
        if (quote) {
            if (text[at] == quote) quote = '\0';
        } else if (text[at] == '"' || text[at] == '\'') {
            quote = text[at];
        } else if (text[at] == '>') {
            return at + 1;
        }
    }
    return text.size();
}

// pugixml parses without recursion, but its tree is walked recursively (by its destructor too):
// deep nesting is refused before it is parsed. One pass over the text.
bool deeper_than(std::string_view text, std::size_t limit) {
    std::size_t depth = 0;
    for (std::size_t at = text.find('<'); at != std::string_view::npos; at = text.find('<', at)) {
        const std::size_t end = end_of_markup(text, at);
        const char next = at + 1 < text.size() ? text[at + 1] : '\0';
        if (next == '/') {
            if (depth > 0) --depth;
        } else if (next != '!' && next != '?' && text[end - 1] == '>' && text[end - 2] != '/') {
            if (++depth > limit) return true;
        }
        at = end;
    }
    return false;
}

bool is_known_reference(std::string_view name) {
    constexpr std::string_view kNamed[] = {"amp", "apos", "gt", "lt", "quot"};
    if (!name.starts_with('#')) {
        return std::find(std::begin(kNamed), std::end(kNamed), name) != std::end(kNamed);
    }
    name.remove_prefix(1);
    const bool hexadecimal = name.starts_with('x');
    if (hexadecimal) name.remove_prefix(1);
    const auto is_digit = [&](unsigned char one) {
        return hexadecimal ? std::isxdigit(one) != 0 : std::isdigit(one) != 0;
    };
    return !name.empty() && std::all_of(name.begin(), name.end(), is_digit);
}

// Where a reference stands that XML does not know by itself; pugixml passes it on as text. Nothing
// when all are known. Comments, CDATA and document types hold none.
std::optional<std::size_t> unknown_reference(std::string_view text) {
    constexpr std::size_t kLongest = 12;  // "#x10FFFF" and a few zeros
    for (std::size_t at = 0; (at = text.find_first_of("<&", at)) != std::string_view::npos;) {
        const std::string_view rest = text.substr(at);
        if (rest.starts_with("<!") || rest.starts_with("<?")) {
            at = end_of_markup(text, at);
            continue;
        }
        ++at;
        if (rest.front() == '<') continue;
        const std::size_t end = rest.substr(0, kLongest).find(';');
        if (end == std::string_view::npos || !is_known_reference(rest.substr(1, end - 1))) {
            return at - 1;
        }
    }
    return {};
}

// pugixml takes several elements beside each other, and drops the text around them.
Result<pugi::xml_node> root_of(const pugi::xml_document& document, std::string_view what) {
    pugi::xml_node root;
    for (const pugi::xml_node& node : document.children()) {
        if (node.type() == pugi::node_element) {
            if (root) {
                return fail(ErrorCode::xml_invalid,
                            "{} is not well-formed XML: <{}> stands behind its root element <{}>",
                            what, node.name(), root.name());
            }
            root = node;
        } else if (node.type() == pugi::node_pcdata || node.type() == pugi::node_cdata) {
            return fail(ErrorCode::xml_invalid,
                        "{} is not well-formed XML: text stands outside of its root element", what);
        }
    }
    if (!root) return fail(ErrorCode::xml_invalid, "{} has no root element", what);
    return root;
}

void escape(std::string_view text, bool in_attribute, std::string& out) {
    for (const char character : text) {
        switch (character) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '\'': out += in_attribute ? "&apos;" : "'"; break;
            case '\n': out += in_attribute ? "&#10;" : "\n"; break;
            case '\r': out += "&#13;"; break;
            case '\t': out += in_attribute ? "&#9;" : "\t"; break;
            default:
                // Other control characters cannot be written in XML at all.
                if (static_cast<unsigned char>(character) >= 0x20) out += character;
        }
    }
}

void print(const XmlElement& element, std::size_t indent, std::string& out) {
    out.append(indent, ' ');
    out += '<';
    out += element.name;
    for (const auto& [key, value] : element.attributes) {
        out += ' ';
        out += key;
        out += "='";
        escape(value, true, out);
        out += '\'';
    }
    if (element.children.empty() && element.text.empty()) {
        out += "/>\n";
        return;
    }
    out += '>';
    if (element.children.empty()) {
        escape(element.text, false, out);
    } else {
        out += '\n';
        for (const XmlElement& child : element.children)
            print(child, indent + 2, out);
        out.append(indent, ' ');
    }
    out += "</";
    out += element.name;
    out += ">\n";
}

}  // namespace

const std::string* XmlElement::attribute(std::string_view key) const {
    for (const Attribute& attribute : attributes) {
        if (attribute.first == key) return &attribute.second;
    }
    return nullptr;
}

const XmlElement* XmlElement::child(std::string_view key) const {
    for (const XmlElement& element : children) {
        if (element.name == key) return &element;
    }
    return nullptr;
}

std::string_view XmlElement::child_text(std::string_view key) const {
    const XmlElement* found = child(key);
    return found ? std::string_view(found->text) : std::string_view();
}

XmlElement& XmlElement::set(std::string_view key, std::string_view value) {
    for (Attribute& attribute : attributes) {
        if (attribute.first == key) {
            attribute.second = value;
            return *this;
        }
    }
    attributes.emplace_back(std::string(key), std::string(value));
    return *this;
}

XmlElement& XmlElement::set(std::string_view key, std::uint64_t value) {
    return set(key, std::string_view(std::to_string(value)));
}

XmlElement& XmlElement::set_if(std::string_view key, const std::optional<std::string>& value) {
    return value ? set(key, std::string_view(*value)) : *this;
}

XmlElement& XmlElement::add(std::string_view child_name) {
    children.emplace_back();
    children.back().name = child_name;
    return children.back();
}

XmlElement& XmlElement::add(XmlElement child) {
    children.push_back(std::move(child));
    return children.back();
}

XmlElement& XmlElement::add_text(std::string_view child_name, std::string_view child_text) {
    XmlElement& made = add(child_name);
    made.text = child_text;
    return made;
}

Result<XmlElement> parse_xml(std::string_view text, std::string_view what,
                             const XmlLimits& limits) {
    // A NUL ends what libvirt sends as a C string.
    text = text.substr(0, text.find('\0'));
    if (text.size() > limits.bytes) {
        return fail(ErrorCode::limit_exceeded, "{} of {} bytes (at most {})", what, text.size(),
                    limits.bytes);
    }
    if (deeper_than(text, limits.depth)) {
        return fail(ErrorCode::limit_exceeded, "{} is nested deeper than {} levels", what,
                    limits.depth);
    }
    if (const auto unknown = unknown_reference(text)) {
        return fail(ErrorCode::xml_invalid,
                    "{} is not well-formed XML at byte {}: '&' that begins no reference (write "
                    "&amp; for the character)",
                    what, *unknown);
    }
    pugi::xml_document document;
    const auto parsed = document.load_buffer(
        text.data(), text.size(), pugi::parse_default | pugi::parse_fragment, pugi::encoding_utf8);
    if (!parsed) {
        return fail(ErrorCode::xml_invalid, "{} is not well-formed XML at byte {}: {}", what,
                    parsed.offset, parsed.description());
    }
    XmlElement element;
    TRY(Copier(limits, what).copy(TRY(root_of(document, what)), element, 1));
    return element;
}

std::string print_xml(const XmlElement& root, std::size_t indent) {
    std::string out;
    print(root, indent, out);
    return out;
}

}  // namespace segue
