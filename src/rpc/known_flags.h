// SPDX-License-Identifier: LGPL-2.1-or-later
// Which flags each procedure knows. Any other one is refused before a handler sees the call, so
// that nobody believes to have been given what was left out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace segue::rpc {

struct KnownFlags {
    std::string_view procedure;
    std::uint64_t flags;
};

// The union of virDomainMigrateFlags that Segue acts on or refuses with a reason of its own
// (migrate/options.h says which).
inline constexpr std::uint64_t kMigrateFlags = 0x1fffff;

// Each procedure whose call has a flags word, with what the QEMU driver of libvirt 9.0 lets through
// (its virCheckFlags), less the speed of post-copy, which Segue does not do.
inline constexpr KnownFlags kKnownFlags[] = {
    {"connect_open", 0x3},  // read only, no aliases
    {"connect_get_sysinfo", 0},
    {"connect_get_domain_capabilities", 0},
    {"connect_set_identity", 0},
    {"node_get_memory_stats", 0},
    {"node_get_cpu_map", 0},

    {"connect_list_all_domains", 0xffff},
    {"connect_list_all_storage_pools", 0xfffff},
    {"connect_list_all_networks", 0x3f},
    {"connect_list_all_interfaces", 0x3},
    {"connect_list_all_node_devices", 0xc03fffff},
    {"connect_list_all_filters", 0},
    {"connect_list_all_secrets", 0xf},
    {"connect_list_all_filter_bindings", 0},

    {"domain_create_xml", 0x33},         // paused, autodestroy, validate, reset nvram
    {"domain_create_with_flags", 0x2f},  // the same without validate; bypass cache, force boot
    {"domain_define_xml_flags", 0x1},    // validate
    {"domain_undefine_flags", 0x7f},     // what else is to go along: there is nothing of that kind
    {"domain_update_device_flags", 0x7},
    {"domain_send_key", 0},
    {"domain_reboot", 0x3},          // ACPI, agent
    {"domain_shutdown_flags", 0x3},  // ACPI, agent
    {"domain_reset", 0},
    {"domain_destroy_flags", 0x3},  // graceful, remove logs

    {"domain_get_xml_desc", 0xf},
    {"domain_get_state", 0},
    {"domain_get_control_info", 0},
    {"domain_get_messages", 0x3},
    {"domain_get_metadata", 0x3},
    {"domain_set_metadata", 0x3},
    {"domain_get_vcpus_flags", 0xf},
    {"domain_get_vcpu_pin_info", 0x3},  // live, config
    {"domain_has_managed_save_image", 0},
    {"domain_snapshot_num", 0x3ff},
    {"domain_memory_stats", 0},
    {"domain_get_block_info", 0},
    {"domain_block_stats_flags", 0x4},
    {"domain_get_cpu_stats", 0x4},
    {"connect_get_all_domain_stats", 0xa00000ff},  // filters, no wait, enforce; no backing chains

    {"domain_open_console", 0x1},  // force; without lock files there is nothing safe about it
    {"domain_screenshot", 0},
    {"domain_open_graphics", 0x1},  // skip authentication
    {"domain_open_graphics_fd", 0x1},
    {"domain_monitor_command", 0x1},                 // human
    {"connect_domain_monitor_event_register", 0x3},  // regular expression, in any case

    {"domain_migrate_prepare2", kMigrateFlags},
    {"domain_migrate_prepare_tunnel", kMigrateFlags},
    {"domain_migrate_perform", kMigrateFlags},
    {"domain_migrate_finish2", kMigrateFlags},
    {"domain_migrate_begin3", kMigrateFlags},
    {"domain_migrate_prepare3", kMigrateFlags},
    {"domain_migrate_prepare_tunnel3", kMigrateFlags},
    {"domain_migrate_perform3", kMigrateFlags},
    {"domain_migrate_finish3", kMigrateFlags},
    {"domain_migrate_confirm3", kMigrateFlags},
    {"domain_migrate_begin3_params", kMigrateFlags},
    {"domain_migrate_prepare3_params", kMigrateFlags},
    {"domain_migrate_prepare_tunnel3_params", kMigrateFlags},
    {"domain_migrate_perform3_params", kMigrateFlags},
    {"domain_migrate_finish3_params", kMigrateFlags},
    {"domain_migrate_confirm3_params", kMigrateFlags},

    {"domain_get_job_stats", 0x3},
    {"domain_abort_job_flags", 0x1},  // post-copy
    {"domain_migrate_set_max_downtime", 0},
    {"domain_migrate_get_max_downtime", 0},
    {"domain_migrate_set_max_speed", 0},
    {"domain_migrate_get_max_speed", 0},
    {"domain_migrate_set_compression_cache", 0},
    {"domain_migrate_get_compression_cache", 0},
    {"domain_migrate_start_post_copy", 0},
};

// Null: a procedure without flags.
constexpr const KnownFlags* known_flags(std::string_view procedure) {
    const auto* found =
        std::find_if(std::begin(kKnownFlags), std::end(kKnownFlags),
                     [procedure](const KnownFlags& known) { return known.procedure == procedure; });
    return found == std::end(kKnownFlags) ? nullptr : found;
}

}  // namespace segue::rpc
