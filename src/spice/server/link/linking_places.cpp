// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/linking_places.h"

#include <netinet/in.h>

#include <algorithm>
#include <cstring>

namespace segue::spice::server {

std::string LinkingPlaces::origin_of(const net::SocketAddress& peer) {
    if (peer.family() == AF_INET) {
        sockaddr_in address;
        std::memcpy(&address, &peer.storage, sizeof address);
        return {reinterpret_cast<const char*>(&address.sin_addr), sizeof address.sin_addr};
    }
    if (peer.family() == AF_INET6) {
        sockaddr_in6 address;
        std::memcpy(&address, &peer.storage, sizeof address);
        const auto* bytes = reinterpret_cast<const char*>(&address.sin6_addr);
        // An IPv4 address in its longer form: the same as in its shorter one.
        if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) return {bytes + 12, 4};
        return {bytes, 8};
    }
    return {};
}

std::optional<LinkId> LinkingPlaces::add(LinkId link, const std::string& origin) {
    const auto of_one = std::count_if(links_.begin(), links_.end(), [&](const auto& entry) {
        return entry.second.origin == origin;
    });
    std::optional<LinkId> leaving;
    if (static_cast<std::size_t>(of_one) >= kMostOfOne) {
        leaving = oldest_of(origin, false);
        if (!leaving) leaving = oldest_of(origin, true);
    } else if (links_.size() >= kMost) {
        leaving = oldest_of(fullest(false), false);
        if (!leaving) leaving = oldest_of(fullest(true), true);
    }
    if (leaving) {
        ++closed_;
        links_.erase(*leaving);
    }
    links_[link] = {origin, false};
    return leaving;
}

void LinkingPlaces::know(LinkId link) {
    const auto found = links_.find(link);
    if (found != links_.end()) found->second.is_known = true;
}

void LinkingPlaces::remove(LinkId link) {
    links_.erase(link);
}

std::optional<LinkId> LinkingPlaces::oldest_of(const std::string& origin, bool known) const {
    for (const auto& [link, place] : links_) {
        if (place.is_known == known && place.origin == origin) return link;
    }
    return std::nullopt;
}

// Of those with the same number, any.
std::string LinkingPlaces::fullest(bool known) const {
    std::map<std::string, std::size_t> counts;
    for (const auto& [link, place] : links_) {
        if (place.is_known == known) ++counts[place.origin];
    }
    const auto most = std::max_element(
        counts.begin(), counts.end(),
        [](const auto& one, const auto& other) { return one.second < other.second; });
    return most == counts.end() ? std::string() : most->first;
}

}  // namespace segue::spice::server
