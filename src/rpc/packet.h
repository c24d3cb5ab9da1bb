// SPDX-License-Identifier: LGPL-2.1-or-later
// A message on the wire: u32 length (which counts itself), header, body.
#pragma once

#include "rpc/header.schema.h"

namespace segue::rpc {

inline constexpr std::size_t kLengthSize = 4;
inline constexpr std::uint32_t kProgramVersion = 1;

// Encodes a whole message. An error when the body breaks a limit of its own or the 32 MiB of all.
template <class T>
Result<Bytes> make_packet(const Header& header, const T& body, std::string_view name);
// As above, with a body that is not described: stream data.
Bytes make_raw_packet(const Header& header, ByteView body);

// --- Details ---

void begin_packet(Bytes& packet, const Header& header);
Result<> finish_packet(Bytes& packet, std::string_view name);

template <class T>
Result<Bytes> make_packet(const Header& header, const T& body, std::string_view name) {
    Bytes packet;
    begin_packet(packet, header);
    XdrWriter writer(packet);
    write(writer, body);
    TRY(writer.finish(name));
    TRY(finish_packet(packet, name));
    return packet;
}

// Decodes a body that must fill `payload`.
template <class T>
Result<T> read_body(ByteView payload, std::string_view name) {
    XdrReader reader(payload);
    T body;
    read(reader, body);
    TRY(reader.finish(name));
    return body;
}

}  // namespace segue::rpc
