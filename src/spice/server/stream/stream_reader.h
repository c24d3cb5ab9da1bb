// SPDX-License-Identifier: LGPL-2.1-or-later
// What a streaming agent in the guest says on the port "org.spice-space.stream.0", and the server's
// words to it (spice/stream-device.h): a header of 8 bytes, little endian, and a body.
//
//   StreamReader reader;
//   while (auto message = TRY(reader.feed(bytes)))   // `bytes` shrinks by what was used
//       ...
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "base/bytes.h"
#include "base/result.h"
#include "spice/server/display/guest/cursor.h"

namespace segue::spice::server {

// The picture that the agent streams from now on.
struct StreamFormat {
    std::uint32_t width = 0;
    std::uint32_t height = 0;
    std::uint8_t codec = 0;  // SPICE_VIDEO_CODEC_TYPE_*
};
struct StreamFrame {
    Bytes data;
};
// Which monitor of which of the guest's devices it is.
struct StreamOrigin {
    std::uint32_t stream = 0;
    std::uint32_t output = 0;
    std::string address;
};
struct StreamCapabilities {
    Bytes bits;
};
using StreamMessage =
    std::variant<StreamFormat, StreamFrame, StreamOrigin, StreamCapabilities, CursorCommand>;

class StreamReader {
  public:
    static constexpr std::uint32_t kHeader = 8;
    static constexpr std::uint32_t kMostFrame = 16u << 20;  // what a message to a client carries
    static constexpr std::uint32_t kMostSide = 32767;
    static constexpr std::uint32_t kMostCursorSide = 1024;
    static constexpr std::uint32_t kMostAddress = 255;
    static constexpr std::uint32_t kMostCapabilities = 1024;

    // Takes bytes off the front until a message is whole; nothing: it needs more. After an error it
    // takes no more until reset().
    Result<std::optional<StreamMessage>> feed(ByteView& bytes);
    // A frame has begun, and no byte of it was there before.
    bool begins_frame() const { return begins_frame_; }
    void reset() { *this = {}; }

  private:
    Result<> read_header();
    Result<StreamMessage> read_body();

    Bytes message_;  // as far as it has come
    std::uint16_t type_ = 0;
    std::uint32_t size_ = 0;  // of the body, once the header is there
    bool begins_frame_ = false;
};

Bytes stream_capabilities();
// No codecs: the agent is to stop.
Bytes stream_start_stop(ByteView codecs);
Bytes stream_error(std::string_view text);

}  // namespace segue::spice::server
