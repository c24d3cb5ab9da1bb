// SPDX-License-Identifier: LGPL-2.1-or-later
// What must survive a crash of the daemon or of its host. Phases, roles and states are text here:
// their meaning belongs to the rooms above.
#pragma once

#include <cstdint>
#include <string>

#include "base/id.h"

namespace segue::storage {

struct DomainRecord {
    Uuid uuid;
    std::string name;
    std::string definition;   // libvirt's XML for the next start; empty: transient
    std::string live;         // XML of the running domain; empty: not running
    std::string incarnation;  // the key of its QEMU process and directory; empty: not running
    bool autostart = false;

    friend bool operator==(const DomainRecord&, const DomainRecord&) = default;
};

// One per migration and role (migrate/record.h): a host may be both ends in turn.
struct MigrationRecord {
    Uuid id;
    std::string role;
    std::int64_t protocol = 0;
    Uuid domain;
    std::string domain_name;
    std::string incarnation;
    std::string phase;
    std::string right;
    bool peer_to_peer = false;
    bool peer_has_right = false;
    bool run_guest = false;
    bool settled = false;
    std::string peer_address;
    std::int64_t peer_port = 0;
    std::string peer_key;  // hexadecimal
    std::string peer_host;
    std::int64_t changed_ms = 0;  // wall clock, ms since the epoch: for pruning old promises
    std::int64_t flags = 0;       // of the call
    std::string definition;       // libvirt's XML that is to become the domain's; empty: none

    friend bool operator==(const MigrationRecord&, const MigrationRecord&) = default;
};

// What a domain did last, and why: of its QEMU with this key, or since none runs.
struct StatusRecord {
    Uuid domain;
    std::string incarnation;  // empty: not running
    std::string status;

    friend bool operator==(const StatusRecord&, const StatusRecord&) = default;
};

struct ProtectionRecord {
    Uuid domain;
    std::string role;
    std::string state;
    std::int64_t epoch = 0;
    std::string peer;      // URI of the other host's daemon
    std::string settings;  // JSON, of the room protect

    friend bool operator==(const ProtectionRecord&, const ProtectionRecord&) = default;
};

// Each record's columns, named once: the keys first.
template <class Record, class Visitor>
void each_column(Record& record, Visitor&& visit);

inline constexpr const char* table_of(const DomainRecord*) {
    return "domains";
}
inline constexpr const char* table_of(const MigrationRecord*) {
    return "migrations";
}
inline constexpr const char* table_of(const StatusRecord*) {
    return "statuses";
}
inline constexpr const char* table_of(const ProtectionRecord*) {
    return "protections";
}

// How many of the first columns are the key.
inline constexpr int keys_of(const DomainRecord*) {
    return 1;
}
inline constexpr int keys_of(const MigrationRecord*) {
    return 2;
}
inline constexpr int keys_of(const StatusRecord*) {
    return 1;
}
inline constexpr int keys_of(const ProtectionRecord*) {
    return 1;
}

template <class Record, class Visitor>
void each_column(Record& record, Visitor&& visit) {
    using Plain = std::remove_const_t<Record>;
    if constexpr (std::is_same_v<Plain, DomainRecord>) {
        visit("uuid", record.uuid);
        visit("name", record.name);
        visit("definition", record.definition);
        visit("live", record.live);
        visit("incarnation", record.incarnation);
        visit("autostart", record.autostart);
    } else if constexpr (std::is_same_v<Plain, MigrationRecord>) {
        visit("id", record.id);
        visit("role", record.role);
        visit("protocol", record.protocol);
        visit("domain", record.domain);
        visit("domain_name", record.domain_name);
        visit("incarnation", record.incarnation);
        visit("phase", record.phase);
        visit("run_right", record.right);
        visit("peer_to_peer", record.peer_to_peer);
        visit("peer_has_right", record.peer_has_right);
        visit("run_guest", record.run_guest);
        visit("settled", record.settled);
        visit("peer_address", record.peer_address);
        visit("peer_port", record.peer_port);
        visit("peer_key", record.peer_key);
        visit("peer_host", record.peer_host);
        visit("changed_ms", record.changed_ms);
        visit("flags", record.flags);
        visit("definition", record.definition);
    } else if constexpr (std::is_same_v<Plain, StatusRecord>) {
        visit("domain", record.domain);
        visit("incarnation", record.incarnation);
        visit("status", record.status);
    } else {
        visit("domain", record.domain);
        visit("role", record.role);
        visit("state", record.state);
        visit("epoch", record.epoch);
        visit("peer", record.peer);
        visit("settings", record.settings);
    }
}

}  // namespace segue::storage
