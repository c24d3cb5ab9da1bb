// SPDX-License-Identifier: LGPL-2.1-or-later
// What may happen in a run: which protocols and peers, and which faults.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace segue::sim {

enum class Fault : std::uint8_t {
    client_dies,
    cancel,
    source_daemon_dies,       // and is started again
    destination_daemon_dies,  // and is started again
    source_qemu_dies,
    destination_qemu_dies,
    cut,        // any one connection
    partition,  // between any two parties, for a while
    disk_full,  // of one host, for a while
    suspend,    // a user suspends the guest on the way
};
inline constexpr int kFaults = 10;
std::string_view name_of(Fault fault);

enum class Stock : std::uint8_t { none, source, destination };

struct Scenario {
    std::string_view name;
    std::string_view meaning;
    int protocol;      // 0: either
    int peer_to_peer;  // -1: either
    Stock stock;
    std::uint32_t faults;  // bits by Fault
    int most_faults;
    int most_moves;  // migrations of each domain, one after the other
};

std::span<const Scenario> scenarios();
const Scenario* scenario_named(std::string_view name);

}  // namespace segue::sim
