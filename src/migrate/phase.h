// SPDX-License-Identifier: LGPL-2.1-or-later
// The phases of a migration job, with libvirt's numbers and names (qemu_migration.h,
// qemuMigrationJobPhase). Users see the names in logs, records and documents.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace segue::migrate {

enum class Role : std::uint8_t { source, destination };
enum class Protocol : std::uint8_t { version2 = 2, version3 = 3 };

// The numbers only grow during one job: see Job::set_phase. The post-copy phases of libvirt
// (postcopy_failed, begin_resume, …) exist here for their names alone: no machine enters them.
enum class Phase : std::uint8_t {
    none,
    perform2,
    begin3,
    perform3,
    perform3_done,
    confirm3_cancelled,
    confirm3,
    prepare,
    finish2,
    finish3,
    postcopy_failed,
    begin_resume,
    perform_resume,
    confirm_resume,
    prepare_resume,
    finish_resume,
};

struct PhaseInfo {
    Phase phase;
    std::string_view name;
    // One sentence for docs/migration.md.
    std::string_view meaning;
};

// All phases in the order of their numbers.
std::span<const PhaseInfo> phases();
std::string_view name_of(Phase phase);
std::optional<Phase> phase_named(std::string_view name);
std::optional<Phase> phase_numbered(int number);

std::string_view name_of(Role role);
std::optional<Role> role_named(std::string_view name);

}  // namespace segue::migrate
