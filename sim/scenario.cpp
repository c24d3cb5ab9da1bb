// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/scenario.h"

namespace segue::sim {
namespace {

constexpr std::uint32_t bit(Fault fault) {
    return 1u << static_cast<int>(fault);
}
constexpr std::uint32_t kAll = (1u << kFaults) - 1;
constexpr std::uint32_t kNoDeaths =
    kAll & ~bit(Fault::source_qemu_dies) & ~bit(Fault::destination_qemu_dies);
constexpr std::uint32_t kDaemons =
    bit(Fault::source_daemon_dies) | bit(Fault::destination_daemon_dies);
constexpr std::uint32_t kLines = bit(Fault::cut) | bit(Fault::partition);

const Scenario kScenarios[] = {
    {"calm", "nothing fails: every migration succeeds, nothing is left behind", 0, -1, Stock::none,
     0, 0, 3},
    {"storm", "everything may fail, several times", 0, -1, Stock::none, kAll, 5, 3},
    {"v3", "protocol v3, managed", 3, 0, Stock::none, kNoDeaths, 3, 2},
    {"v2", "protocol v2, managed", 2, 0, Stock::none, kNoDeaths, 3, 2},
    {"p2p", "protocol v3, peer-to-peer", 3, 1, Stock::none, kNoDeaths, 3, 2},
    {"p2p-v2", "protocol v2, peer-to-peer", 2, 1, Stock::none, kNoDeaths, 3, 2},
    {"restart", "daemons die between any two actions", 0, -1, Stock::none, kDaemons, 4, 2},
    {"lines", "connections are cut, hosts are parted", 0, -1, Stock::none, kLines, 4, 2},
    {"lost-finish", "the destination's daemon or its lines fail: Finish's reply is often lost", 3,
     -1, Stock::none, kLines | bit(Fault::destination_daemon_dies), 3, 1},
    {"cancel", "cancelled, or deserted by its client, at any moment", 0, -1, Stock::none,
     bit(Fault::cancel) | bit(Fault::client_dies), 2, 3},
    {"disk", "stores that are full for a while", 0, -1, Stock::none,
     bit(Fault::disk_full) | kDaemons, 3, 2},
    {"qemu", "QEMUs die", 0, -1, Stock::none,
     bit(Fault::source_qemu_dies) | bit(Fault::destination_qemu_dies) | kDaemons, 3, 1},
    {"to-stock", "the destination knows no right: what is lost ends in paused, never in a guess", 0,
     -1, Stock::destination, kNoDeaths, 3, 1},
    {"from-stock", "the source knows no right", 3, 0, Stock::source, bit(Fault::cancel), 1, 1},
};

constexpr std::string_view kFaultNames[] = {"client-dies",
                                            "cancel",
                                            "source-daemon-dies",
                                            "destination-daemon-dies",
                                            "source-qemu-dies",
                                            "destination-qemu-dies",
                                            "cut",
                                            "partition",
                                            "disk-full",
                                            "suspend"};

}  // namespace

std::string_view name_of(Fault fault) {
    return kFaultNames[static_cast<std::size_t>(fault)];
}

std::span<const Scenario> scenarios() {
    return kScenarios;
}

const Scenario* scenario_named(std::string_view name) {
    for (const Scenario& each : kScenarios) {
        if (each.name == name) return &each;
    }
    return nullptr;
}

}  // namespace segue::sim
