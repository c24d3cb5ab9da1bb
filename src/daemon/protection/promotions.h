// SPDX-License-Identifier: LGPL-2.1-or-later
// What promotions on this host took, one figure a domain: the newest. Kept in a file beside the
// state, so that the next protection of the same domain can be told.
#pragma once

#include <optional>

#include "daemon/services.h"

namespace segue {

struct PromotionFigure {
    std::int64_t took_us = 0;  // decided, until the guest runs
    bool was_prestarted = false;
};

// Nothing: none was measured in this mode.
std::optional<PromotionFigure> last_promotion(const Services& services, const Uuid& domain,
                                              bool prestarted);
void note_promotion(const Services& services, const Uuid& domain, const PromotionFigure& figure);

}  // namespace segue
