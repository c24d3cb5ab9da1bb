// SPDX-License-Identifier: LGPL-2.1-or-later
// Reads an element and remembers what was not asked for. So nothing of a definition is silently
// dropped: what a device does not know is kept beside it, reported, and written out again.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "domain/xml.h"

namespace segue {

class XmlCursor {
  public:
    // The element must outlive the cursor.
    explicit XmlCursor(const XmlElement& element)
        : element_(element),
          used_attributes_(element.attributes.size()),
          used_children_(element.children.size()) {}

    const std::string& name() const { return element_.name; }
    const std::string& text() const { return element_.text; }
    const XmlElement& element() const { return element_; }

    std::optional<std::string> attribute(std::string_view key);
    std::string attribute_or(std::string_view key, std::string_view otherwise);
    // An error names element, attribute and the values that are allowed.
    Result<std::optional<std::uint64_t>> number(std::string_view key, std::uint64_t most);
    Result<std::optional<bool>> yes_no(std::string_view key) { return flag(key, "yes", "no"); }
    Result<std::optional<bool>> on_off(std::string_view key) { return flag(key, "on", "off"); }

    // The next child of that name that was not asked for yet; null at the end. Lives as long as
    // this cursor.
    XmlCursor* child(std::string_view key);
    // The child's text; nothing when there is no such child.
    std::optional<std::string> child_text(std::string_view key);
    bool has_child(std::string_view key) { return child(key) != nullptr; }
    // Children that only ever describe a running domain: alias, address of a process, labels.
    void ignore(std::string_view key);
    void ignore_attribute(std::string_view key) { attribute(key); }
    // The whole element is kept by its reader.
    void take_all();

    // What was not asked for, in the shape of the element. No attributes and no children: nothing.
    XmlElement unknown() const;

  private:
    bool was_read(std::string_view key) const;
    Result<std::optional<bool>> flag(std::string_view key, std::string_view yes,
                                     std::string_view no);

    const XmlElement& element_;
    std::vector<bool> used_attributes_;
    std::vector<bool> used_children_;
    struct Child;
    std::deque<Child> children_;
};

struct XmlCursor::Child {
    std::size_t index;
    XmlCursor cursor;
};

// Puts what was unknown back into a formatted element: attributes that it lacks, and children,
// merged by name where the formatter wrote one.
void merge_unknown(XmlElement& into, const XmlElement& unknown);

// "disk/mirror, disk/driver@queues": for the report.
std::string describe_unknown(const XmlElement& unknown);

}  // namespace segue
