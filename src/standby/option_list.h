// SPDX-License-Identifier: LGPL-2.1-or-later
// QEMU's "key=value,key=value" lists: commas inside values are doubled, the first part may lack its
// key, and a key alone means on.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace segue::standby {

class OptionList {
  public:
    static OptionList parse(std::string_view text);
    std::string text() const;

    // The part without a key that the list began with; empty when it has none.
    const std::string& first() const { return first_; }
    void set_first(std::string value) { first_ = std::move(value); }
    bool has(std::string_view key) const;
    std::string get(std::string_view key) const;
    void set(std::string_view key, std::string_view value);
    void erase(std::string_view key);
    std::vector<std::string> keys() const;

  private:
    struct Part {
        std::string key;
        std::string value;
    };
    std::string first_;
    std::vector<Part> parts_;
};

}  // namespace segue::standby
