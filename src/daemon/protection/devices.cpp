// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/devices.h"

#include <algorithm>

#include "protect/agent_link.schema.h"

namespace segue {

std::vector<std::size_t> writable_disks(const Domain& model) {
    std::vector<std::size_t> found;
    for (std::size_t index = 0; index < model.disks.size(); ++index) {
        const Disk& disk = model.disks[index];
        const bool is_written = !disk.read_only && disk.kind != DiskKind::cdrom;
        if (is_written && !disk.source.empty()) found.push_back(index);
    }
    return found;
}

bool can_gate_at_standby(const Domain& model) {
    return !model.interfaces.empty() &&
           std::all_of(model.interfaces.begin(), model.interfaces.end(),
                       [](const Interface& card) { return card.type == InterfaceType::udp; });
}

bool speaks_to_clients(const Domain& model) {
    const auto speaks = [](const auto& devices) {
        return std::any_of(devices.begin(), devices.end(), [](const auto& device) {
            return device.chardev.type == ChardevType::spicevmc ||
                   device.chardev.type == ChardevType::spiceport;
        });
    };
    return speaks(model.serials) || speaks(model.consoles) || speaks(model.channels) ||
           speaks(model.redirected) || speaks(model.smartcards);
}

namespace {

// Two guests would meet there: both listen at one address, or both are connected.
bool is_shared(const Chardev& chardev) {
    return chardev.type == ChardevType::unix_socket || chardev.type == ChardevType::tcp;
}

template <class Lines>
bool has_shared(const Lines& lines) {
    return std::any_of(lines.begin(), lines.end(),
                       [](const auto& line) { return is_shared(line.chardev); });
}

}  // namespace

Result<> check_hybrid_devices(const Domain& model, bool gate_at_primary) {
    if (gate_at_primary || !can_gate_at_standby(model)) {
        return fail(ErrorCode::config_unsupported,
                    "domain '{}': hybrid mode compares frames at the standby: every card must be "
                    "<interface type='udp'>, with --gate standby",
                    model.name);
    }
    if (!model.graphics.empty()) {
        return fail(ErrorCode::config_unsupported,
                    "domain '{}' has a screen: in hybrid mode a second guest would serve it, too",
                    model.name);
    }
    if (has_shared(model.serials) || has_shared(model.consoles) || has_shared(model.channels)) {
        return fail(ErrorCode::config_unsupported,
                    "domain '{}' has a serial port, console or channel on a socket: in hybrid mode "
                    "a second guest would use it, too",
                    model.name);
    }
    return {};
}

Result<> check_protected_devices(const Domain& model) {
    const std::size_t disks = writable_disks(model).size();
    if (disks > protect::agent::kDisksMax) {
        return fail(ErrorCode::limit_exceeded,
                    "domain '{}' writes to {} disks: at most {} can be protected", model.name,
                    disks, std::size_t{protect::agent::kDisksMax});
    }
    if (model.interfaces.size() > protect::agent::kCardsMax) {
        return fail(ErrorCode::limit_exceeded,
                    "domain '{}' has {} network cards: at most {} can be protected", model.name,
                    model.interfaces.size(), std::size_t{protect::agent::kCardsMax});
    }
    return {};
}

std::string numbered_socket(std::string_view name, std::size_t number) {
    return number == 0 ? fmt::format("{}.sock", name) : fmt::format("{}{}.sock", name, number);
}

Error other_version(std::string_view host, std::uint64_t theirs) {
    const std::string spoken =
        theirs == 0 ? std::string("an older version") : fmt::format("version {}", theirs);
    return {ErrorCode::config_unsupported,
            fmt::format("'{}' speaks {} of the link between segue-agent and segue-standby, this "
                        "host {}: install the same release on both",
                        host, spoken, std::uint64_t{protect::agent::kVersion})};
}

}  // namespace segue
