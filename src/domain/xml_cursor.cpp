// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/xml_cursor.h"

#include <charconv>

namespace segue {
namespace {

bool is_nothing(const XmlElement& element) {
    return element.attributes.empty() && element.children.empty() && element.text.empty();
}

void describe(const XmlElement& unknown, const std::string& path, std::string& out) {
    for (const auto& [key, value] : unknown.attributes)
        out += (out.empty() ? "" : ", ") + path + "@" + key;
    for (const XmlElement& child : unknown.children) {
        const std::string below = path + "/" + child.name;
        if (is_nothing(child) || !child.text.empty()) {
            out += (out.empty() ? "" : ", ") + below;
        } else {
            describe(child, below, out);
        }
    }
}

}  // namespace

std::optional<std::string> XmlCursor::attribute(std::string_view key) {
    for (std::size_t index = 0; index < element_.attributes.size(); ++index) {
        if (element_.attributes[index].first == key) {
            used_attributes_[index] = true;
            return element_.attributes[index].second;
        }
    }
    return std::nullopt;
}

std::string XmlCursor::attribute_or(std::string_view key, std::string_view otherwise) {
    return attribute(key).value_or(std::string(otherwise));
}

Result<std::optional<std::uint64_t>> XmlCursor::number(std::string_view key, std::uint64_t most) {
    const auto text = attribute(key);
    if (!text) return std::nullopt;
    const bool hexadecimal = text->starts_with("0x") || text->starts_with("0X");
    const char* begin = text->data() + (hexadecimal ? 2 : 0);
    const char* end = text->data() + text->size();
    std::uint64_t value = 0;
    const auto parsed = std::from_chars(begin, end, value, hexadecimal ? 16 : 10);
    if (parsed.ec != std::errc() || parsed.ptr != end || value > most) {
        return fail(ErrorCode::xml_invalid,
                    "Invalid value for attribute '{}' in element '{}': '{}'. Expected integer "
                    "value of at most {}",
                    key, name(), *text, most);
    }
    return value;
}

Result<std::optional<bool>> XmlCursor::flag(std::string_view key, std::string_view yes,
                                            std::string_view no) {
    const auto text = attribute(key);
    if (!text) return std::nullopt;
    if (*text == yes) return true;
    if (*text == no) return false;
    return fail(ErrorCode::xml_invalid,
                "Invalid value for attribute '{}' in element '{}': '{}'. Expected '{}' or '{}'",
                key, name(), *text, yes, no);
}

XmlCursor* XmlCursor::child(std::string_view key) {
    for (std::size_t index = 0; index < element_.children.size(); ++index) {
        if (used_children_[index] || element_.children[index].name != key) continue;
        used_children_[index] = true;
        children_.push_back({index, XmlCursor(element_.children[index])});
        return &children_.back().cursor;
    }
    return nullptr;
}

std::optional<std::string> XmlCursor::child_text(std::string_view key) {
    const XmlCursor* found = child(key);
    return found ? std::optional(found->text()) : std::nullopt;
}

void XmlCursor::ignore(std::string_view key) {
    while (XmlCursor* found = child(key))
        found->take_all();
}

void XmlCursor::take_all() {
    used_attributes_.assign(used_attributes_.size(), true);
    used_children_.assign(used_children_.size(), true);
    children_.clear();
}

bool XmlCursor::was_read(std::string_view key) const {
    for (const Child& child : children_)
        if (child.cursor.name() == key) return true;
    return false;
}

XmlElement XmlCursor::unknown() const {
    XmlElement rest;
    rest.name = name();
    for (std::size_t index = 0; index < element_.attributes.size(); ++index) {
        if (!used_attributes_[index]) rest.attributes.push_back(element_.attributes[index]);
    }
    for (std::size_t index = 0; index < element_.children.size(); ++index) {
        if (!used_children_[index]) {
            rest.children.push_back(element_.children[index]);
            rest.children.back().is_surplus = was_read(element_.children[index].name);
            continue;
        }
        for (const Child& child : children_) {
            if (child.index != index) continue;
            XmlElement below = child.cursor.unknown();
            if (!is_nothing(below)) rest.children.push_back(std::move(below));
        }
    }
    return rest;
}

void merge_unknown(XmlElement& into, const XmlElement& unknown) {
    for (const auto& [key, value] : unknown.attributes) {
        if (!into.attribute(key)) into.set(key, value);
    }
    for (const XmlElement& child : unknown.children) {
        XmlElement* written = nullptr;
        // A surplus one stays one: merged, what nobody used would be used by the next reader.
        for (XmlElement& candidate : into.children) {
            if (candidate.name == child.name && !child.is_surplus) written = &candidate;
        }
        if (written) {
            merge_unknown(*written, child);
        } else {
            into.children.push_back(child);
        }
    }
}

std::string describe_unknown(const XmlElement& unknown) {
    std::string out;
    describe(unknown, unknown.name, out);
    return out;
}

}  // namespace segue
