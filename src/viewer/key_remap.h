// SPDX-License-Identifier: LGPL-2.1-or-later
// Keys that reach the guest as others, or not at all, in remote-viewer's notation.
#pragma once

#include <cstdint>
#include <map>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace segue::viewer {

class KeyRemap {
  public:
    // "Super_L=,1=Shift_L+F1": the keys' names are those of gdkkeysyms.h without GDK_KEY_, and
    // case matters. Errors: invalid_argument names what is no key or no pair.
    static Result<KeyRemap> parse(std::string_view list);

    // SDL's key codes that stand for this one, in order; none: it is blocked. Null: it goes as it
    // is.
    const std::vector<std::int32_t>* find(std::int32_t key) const;

  private:
    std::map<std::int32_t, std::vector<std::int32_t>> keys_;
};

}  // namespace segue::viewer
