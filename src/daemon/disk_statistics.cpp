// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/disk_statistics.h"

namespace segue {
namespace {

bool names(std::string_view path, std::string_view alias) {
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        if (path.substr(0, slash) == alias) return true;
        if (slash == std::string_view::npos) return false;
        path.remove_prefix(slash + 1);
    }
    return false;
}

}  // namespace

const Json* disk_statistics(const Json& reply, std::string_view alias) {
    for (const Json& device : reply.items()) {
        if (!alias.empty() && names(device.text("qdev"), alias)) return device.find("stats");
    }
    return nullptr;
}

}  // namespace segue
