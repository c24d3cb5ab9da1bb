// SPDX-License-Identifier: LGPL-2.1-or-later
// libvirt keeps devices of a kind together in the order of their numbers, where the first of them
// stands (virDomainDiskInsert, virDomainControllerInsert). What is visible of it: which disk boots
// first, and the order of devices that travel.
#pragma once

#include <utility>
#include <vector>

namespace segue {

// `same_kind` and `before` compare two devices.
template <class T, class SameKind, class Before>
std::vector<T> in_order(std::vector<T> devices, SameKind same_kind, Before before) {
    std::vector<T> ordered;
    for (T& device : devices) {
        auto place = ordered.end();
        for (auto at = ordered.begin(); at != ordered.end(); ++at) {
            if (!same_kind(*at, device)) continue;
            const bool behind = !before(device, *at);
            place = behind ? at + 1 : at;
            if (!behind) break;
        }
        ordered.insert(place, std::move(device));
    }
    return ordered;
}

}  // namespace segue
