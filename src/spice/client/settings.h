// SPDX-License-Identifier: LGPL-2.1-or-later
// What a session is told before it starts: where to go, how to prove itself, what to trust.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "spice/client/proxy.h"
#include "spice/wire/types.schema.h"

namespace segue::spice::client {

// One channel of a session.
struct ChannelKey {
    wire::ChannelType type{};
    std::uint8_t id = 0;
    friend auto operator<=>(const ChannelKey&, const ChannelKey&) = default;
};
std::string text_of(ChannelKey key);

// Where a server listens. A port of 0 means that there is none.
struct Endpoint {
    std::string host;
    std::uint16_t port = 0;
    std::uint16_t tls_port = 0;
    std::string unix_path;  // not empty: host and ports are not used

    bool is_unix() const { return !unix_path.empty(); }
    std::string text() const;
    friend bool operator==(const Endpoint&, const Endpoint&) = default;
};

// How a server's certificate is judged. The chain must always lead to the authority.
struct Trust {
    std::string authority_file;  // PEM; empty and no blob: the system's authorities
    std::string authority_pem;
    std::string ciphers;  // OpenSSL cipher list; empty: the default
    // The first of these that is set is checked; with none, the host's name.
    Bytes public_key;     // SubjectPublicKeyInfo in DER
    std::string subject;  // "C=XX,L=City,O=Org,CN=name"
};

struct Settings {
    Endpoint endpoint;
    Trust trust;
    std::string password;
    // Channels that must be encrypted; `all_secure` means each one.
    std::set<wire::ChannelType> secure_channels;
    bool all_secure = false;
    bool read_only = false;
    // Never opened, whatever the server has.
    std::set<wire::ChannelType> disabled_channels;
    // Kinds of channels that are opened where the server has them.
    bool audio = false;
    bool usb_redirection = false;
    bool ports = false;
    bool folder_sharing = false;
    bool smartcard = false;
    // Who logs in, where the server has SASL; and the way there.
    std::string user;
    std::optional<Proxy> proxy;
    std::optional<std::uint8_t> preferred_compression;         // SpiceImageCompression
    std::int64_t image_cache_pixels = std::int64_t{20} << 20;  // 80 MiB at 32 bits
    std::int32_t glz_window_pixels = std::int32_t{8} << 20;
    // How long a lost connection is tried again; 0: not at all.
    Duration reconnect_for = 60s;
    // A channel whose connection was good for longer has no trouble any more.
    Duration trouble_for = 60s;
    // Replaces the host that a server announces for a migration: for networks where the viewer sees
    // other addresses than the hosts do (SPICE_MIG_HOST of spice-gtk).
    std::string migration_host;
    // Capabilities to leave out, for weaker ways and for servers that lie about theirs: bits of
    // SPICE_MAIN_CAP_* and its like, by channel, and of SPICE_COMMON_CAP_*.
    std::map<wire::ChannelType, std::uint32_t> masked_capabilities;
    std::uint32_t masked_common_capabilities = 0;
    // All that servers make the session keep together, in bytes: messages that have come half or
    // wait, surfaces, shown pictures, caches. More ends the connection that would need it.
    std::size_t memory_bound = std::size_t{1} << 30;
    // More than this is neither given to the guest's clipboard nor taken from it. Bytes; nothing:
    // what a message of the agent can hold.
    std::optional<std::uint32_t> max_clipboard;

    bool must_be_secure(wire::ChannelType type) const {
        return all_secure || secure_channels.contains(type);
    }
};

}  // namespace segue::spice::client
