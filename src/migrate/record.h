// SPDX-License-Identifier: LGPL-2.1-or-later
// What a machine must find again after a crash: one record per migration and role.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "base/id.h"
#include "base/result.h"
#include "migrate/phase.h"

namespace segue::migrate {

// Where the right to run the guest stands, as this host knows it.
//   source:       held -> given -> taken | refused
//   destination:  none -> taken | refused          (taken -> refused only if the guest never ran)
enum class Right : std::uint8_t { none, held, given, taken, refused };

std::string_view name_of(Right right);
std::optional<Right> right_named(std::string_view name);

// 128 bits, made by the destination in Prepare. It opens the peer link, and stands beside the
// migration id wherever the right is handed over, so that no other migration's right is taken for
// this one.
using PeerKey = std::array<std::uint8_t, 16>;

// How the source reaches the destination's daemon. A stock peer has none: `address` is empty.
struct PeerAddress {
    std::string address;  // of the migration network; numeric or a name
    std::uint16_t port = 0;
    PeerKey key{};
    // The name that the destination's certificate must carry; empty: a link without TLS.
    std::string tls_name{};

    bool present() const { return !address.empty(); }
    friend bool operator==(const PeerAddress&, const PeerAddress&) = default;
};

struct Record {
    Uuid id;  // of this migration: made by the destination, or by the source toward a stock peer
    Role role = Role::source;
    Protocol protocol = Protocol::version3;
    Uuid domain;
    std::string domain_name;
    std::string incarnation;  // the daemon's own key of the QEMU process this is about
    Phase phase = Phase::none;
    Right right = Right::none;
    bool peer_to_peer = false;
    // The peer knows the right to run (it is one of ours).
    bool peer_has_right = false;
    // The guest is to run where the right ends up (false: it was paused, or --suspend).
    bool run_guest = true;
    // Destination: the guest runs and Finish was carried out; only the promise is still kept.
    bool settled = false;
    PeerAddress peer;
    std::string peer_host;  // for people: the other host's name
    // virDomainMigrateFlags of the call: a daemon that starts again still knows whose definition is
    // to be kept and whose to go.
    std::uint64_t flags = 0;
    // Destination, from taken(id) until the domain's own record has it: what --persistent keeps
    // for the next start. The source undefines the domain as soon as it hears of taken(id).
    std::string definition;

    friend bool operator==(const Record&, const Record&) = default;
};

// What a daemon that starts again must see in its records before it takes them up: a source record
// proves that the guest of its incarnation had arrived here, so a destination record of the same
// incarnation has nothing left to resume. (It may not be written as settled: the disk was full.)
void settle_arrivals(std::vector<Record>& records);

// This room never sees the store: Row is storage::MigrationRecord, whose columns are plain text and
// numbers of the same names.
template <class Row>
Row to_row(const Record& record);
template <class Row>
Result<Record> from_row(const Row& row);

// "10.0.0.2", or "10.0.0.2 tls=hostb": the address and the name, as the store keeps them.
std::string peer_place(const PeerAddress& peer);
void set_peer_place(PeerAddress& peer, std::string_view place);

Result<PeerKey> parse_key(std::string_view hex);
std::string key_text(const PeerKey& key);

template <class Row>
Row to_row(const Record& record) {
    Row row;
    row.id = record.id;
    row.role = name_of(record.role);
    row.protocol = static_cast<int>(record.protocol);
    row.domain = record.domain;
    row.domain_name = record.domain_name;
    row.incarnation = record.incarnation;
    row.phase = name_of(record.phase);
    row.right = name_of(record.right);
    row.peer_to_peer = record.peer_to_peer;
    row.peer_has_right = record.peer_has_right;
    row.run_guest = record.run_guest;
    row.settled = record.settled;
    row.peer_address = peer_place(record.peer);
    row.peer_port = record.peer.port;
    row.peer_key = key_text(record.peer.key);
    row.peer_host = record.peer_host;
    row.flags = static_cast<std::int64_t>(record.flags);
    row.definition = record.definition;
    return row;
}

template <class Row>
Result<Record> from_row(const Row& row) {
    Record record;
    const auto role = role_named(row.role);
    const auto phase = phase_named(row.phase);
    const auto right = right_named(row.right);
    if (!role || !phase || !right || (row.protocol != 2 && row.protocol != 3) ||
        row.peer_port < 0 || row.peer_port > 65535) {
        return fail(ErrorCode::internal,
                    "migration record {} is damaged (role '{}', phase '{}', right '{}', protocol "
                    "{}): restore the state directory from a backup, or delete this record",
                    row.id.text(), row.role, row.phase, row.right, row.protocol);
    }
    record.id = row.id;
    record.role = *role;
    record.protocol = static_cast<Protocol>(row.protocol);
    record.domain = row.domain;
    record.domain_name = row.domain_name;
    record.incarnation = row.incarnation;
    record.phase = *phase;
    record.right = *right;
    record.peer_to_peer = row.peer_to_peer;
    record.peer_has_right = row.peer_has_right;
    record.run_guest = row.run_guest;
    record.settled = row.settled;
    set_peer_place(record.peer, row.peer_address);
    record.peer.port = static_cast<std::uint16_t>(row.peer_port);
    record.peer.key = TRY(parse_key(row.peer_key));
    record.peer_host = row.peer_host;
    record.flags = static_cast<std::uint64_t>(row.flags);
    record.definition = row.definition;
    return record;
}

}  // namespace segue::migrate
