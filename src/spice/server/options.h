// SPDX-License-Identifier: LGPL-2.1-or-later
// What the embedder configures: the meaning of QEMU's -spice options.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "base/time.h"

namespace segue::spice::server {

enum class ImageCompression : std::uint8_t {
    invalid = 0,
    off = 1,
    auto_glz = 2,
    auto_lz = 3,
    quic = 4,
    glz = 5,
    lz = 6,
    lz4 = 7,
};

// For lossy or slow compressions: automatic means "on a slow line only".
enum class WanCompression : std::uint8_t { invalid = 0, automatic = 1, always = 2, never = 3 };

struct Ticket {
    std::string password;  // empty: no client gets in
    std::optional<Instant> expiry;
};

struct TlsFiles {
    std::string authority;
    std::string certificate;
    std::string key;
    std::string key_password;
    std::string dh_parameters;
    std::string ciphers;
};

// Bits of a channel's demand (SPICE_CHANNEL_SECURITY_*).
struct ChannelSecurity {
    static constexpr int kNone = 1;
    static constexpr int kTls = 2;
    static constexpr int kEither = kNone | kTls;
};

struct Options {
    std::string address;
    int address_flags = 0;  // SPICE_ADDR_FLAG_*
    int port = -1;
    int secure_port = -1;
    int listen_descriptor = -1;  // a socket that somebody else made
    TlsFiles tls;
    std::map<std::string, int> channel_security;  // by channel name ("display"); "" is the default

    bool authenticate = true;
    bool sasl = false;
    std::string sasl_application = "spice";
    Ticket ticket;

    std::string name;
    std::optional<std::array<std::uint8_t, 16>> uuid;
    bool exit_on_disconnect = false;
    bool several_clients = false;  // SPICE_DEBUG_ALLOW_MC in the environment, as with stock
    bool seamless_migration = false;
    bool agent_mouse = true;
    bool agent_copy_paste = true;
    bool agent_file_transfer = true;
    bool playback_compression = true;
    ImageCompression image_compression = ImageCompression::auto_glz;
    WanCompression jpeg = WanCompression::never;
    WanCompression zlib_glz = WanCompression::never;
    int streaming_video = 3;  // SPICE_STREAM_VIDEO_FILTER
    std::string video_codecs = "spice:mjpeg";

    // The security that a channel of this name must have, as ChannelSecurity bits.
    int security_of(const std::string& channel) const {
        const auto own = channel_security.find(channel);
        if (own != channel_security.end()) return own->second;
        const auto common = channel_security.find("");
        return common == channel_security.end() ? ChannelSecurity::kEither : common->second;
    }
};

}  // namespace segue::spice::server
