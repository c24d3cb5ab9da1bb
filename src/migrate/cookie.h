// SPDX-License-Identifier: LGPL-2.1-or-later
// Migration cookies: libvirt's <qemu-migration> XML (qemu_migration_cookie.c), with one element of
// ours, <segue>, which stock parsers pass over. On the wire a cookie ends in a NUL byte that its
// length counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "migrate/destination.h"
#include "migrate/source.h"

namespace segue::migrate {

// REMOTE_MIGRATE_COOKIE_MAX of remote_protocol.x.
inline constexpr std::size_t kMostCookieBytes = 4 * 1024 * 1024;
inline constexpr std::size_t kMostCookieItems = 256;  // features, capabilities, disks, interfaces
inline constexpr std::size_t kMostCookieText = 4096;  // bytes of one name, host, address, subject

// Which of the four cookies it is: each accepts other parts and other mandatory features.
enum class CookieStep : std::uint8_t {
    begin_to_prepare,
    prepare_to_perform,
    perform_to_finish,
    finish_to_confirm,
};
std::string_view name_of(CookieStep step);

struct CookieGraphics {
    std::string type;  // "spice" or "vnc"
    std::int32_t port = 0;
    std::int32_t tls_port = -1;  // spice only; -1: off
    std::string listen;
    std::string tls_subject;

    friend bool operator==(const CookieGraphics&, const CookieGraphics&) = default;
};

struct CookieLockState {
    std::string driver;
    std::string leases;

    friend bool operator==(const CookieLockState&, const CookieLockState&) = default;
};

struct CookieDisk {
    std::string target;
    std::uint64_t capacity = 0;  // bytes

    friend bool operator==(const CookieDisk&, const CookieDisk&) = default;
};

struct CookieNbd {
    std::int32_t port = 0;
    std::vector<CookieDisk> disks;

    friend bool operator==(const CookieNbd&, const CookieNbd&) = default;
};

// A capability of QEMU that this side supports; automatic: it is switched on when both do.
struct CookieCapability {
    std::string name;
    bool automatic = false;

    friend bool operator==(const CookieCapability&, const CookieCapability&) = default;
};

struct CookieStatistics {
    std::optional<std::int64_t> delta;  // ms: the destination's clock minus the source's
    // libvirt's element names in its order: started, stopped, sent (ms since the epoch),
    // time_elapsed, downtime, memory_total, … Other names are passed over.
    std::vector<std::pair<std::string, std::uint64_t>> values;

    std::optional<std::uint64_t> value(std::string_view name) const;
    void set(std::string_view name, std::uint64_t number);
    friend bool operator==(const CookieStatistics&, const CookieStatistics&) = default;
};

struct Cookie {
    // Mandatory in every cookie.
    std::string name;  // of the domain on the source
    Uuid uuid;
    std::string hostname;
    Uuid host_uuid;

    // Mandatory features: "lockstate", "persistent", "memory-hotplug", "cpu-hotplug".
    std::vector<std::string> features;
    std::optional<CookieGraphics> graphics;
    std::optional<CookieLockState> lock_state;
    std::string persistent_xml;  // <domain>…</domain>
    std::string network_xml;     // <network>…</network>, for virtual switches
    std::optional<CookieNbd> nbd;
    std::optional<CookieStatistics> statistics;
    std::string cpu_xml;  // <cpu>…</cpu>: the exact CPU of the running guest
    // Absent is not the same as empty: stock libvirt crashes on a Prepare or Perform cookie
    // without it (libvirt.md, "PREPARE2").
    std::optional<std::vector<CookieCapability>> capabilities;

    // Ours. Begin: this source knows the right to run.
    bool source_has_right = false;
    // Begin: <guest-cpu>…</guest-cpu>, all that the running guest sees of its CPU.
    std::string guest_cpu_xml;
    // Begin, with --persistent: the emulator of the definition that Perform's cookie brings. What
    // it can do is asked while the guest still runs.
    std::string kept_emulator;
    // Prepare: the destination knows it too, and this is where its daemon is reached.
    std::optional<DestinationOffer> offer;
    // Perform: the right itself.
    std::optional<GivenRight> right;
    // Perform, of a guest that was protected: as JSON, what its user asked for with `protect`.
    std::string protection;
};

// With the closing NUL.
Bytes write_cookie(const Cookie& cookie);

struct CookieExpectation {
    CookieStep step;
    std::string name;  // the domain's name on the source
    Uuid uuid;
    Uuid local_host_uuid;
};

// Errors carry libvirt's code (1, internal error) and words. Parts that the step does not have are
// passed over, as libvirt does.
Result<Cookie> parse_cookie(ByteView bytes, const CookieExpectation& expected);

}  // namespace segue::migrate
