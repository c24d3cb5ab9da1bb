// SPDX-License-Identifier: LGPL-2.1-or-later
// Inside the link handshake: pieces of the wire format that both sides read and write.
#pragma once

#include "spice/wire/link.h"

namespace segue::spice::wire::link_detail {

inline constexpr std::size_t kHeaderSize = 16;
inline constexpr std::size_t kRequestSize = 18;
inline constexpr std::size_t kReplySize = 178;
// What may wait while the owner decides, or a SASL library thinks.
inline constexpr std::size_t kWaiting = 64 * 1024;

// The header at the front; nothing if it is not there in full. A wrong magic is an error at once.
Result<std::optional<link::LinkHeader>> peek_header(const LinkInput& input);

struct CapabilityWords {
    Capabilities common;
    Capabilities channel;
};
// `offset` and `fixed` (the size of the fixed part) count from the start of `body`.
Result<CapabilityWords> read_words(ByteView body, std::uint32_t common, std::uint32_t channel,
                                   std::uint32_t offset, std::size_t fixed);
Bytes with_header(const EncodedMessage& body, const Capabilities& common,
                  const Capabilities& channel);

// u32 size and data with a final NUL that the size counts; size 0 is "no data".
struct SaslRead {
    SaslData data;
    std::size_t size = 0;
};
Result<std::optional<SaslRead>> read_sasl_data(ByteView from);
void write_sasl_data(LittleWriter& writer, const SaslData& data);

Bytes number(std::uint32_t value);

}  // namespace segue::spice::wire::link_detail
