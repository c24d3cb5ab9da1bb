// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/card/card_frame.h"

namespace segue::viewer {

void CardFrameReader::feed(ByteView bytes) {
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(done_));
    done_ = 0;
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
}

Result<std::optional<CardFrame>> CardFrameReader::next() {
    LittleReader reader(ByteView(kept_).subspan(done_));
    CardFrame frame;
    frame.type = static_cast<VscType>(reader.u32());
    frame.reader_id = reader.u32();
    const std::size_t size = reader.u32();
    if (size > kMaxData) {
        return fail(ErrorCode::limit_exceeded, "smartcard: a message of {} bytes (at most {})",
                    size, kMaxData);
    }
    frame.data = reader.bytes(size);
    if (!reader.ok()) return std::nullopt;
    done_ += reader.position();
    return frame;
}

Bytes make_card_frame(const CardFrame& frame) {
    LittleWriter writer;
    writer.u32(static_cast<std::uint32_t>(frame.type));
    writer.u32(frame.reader_id);
    writer.u32(static_cast<std::uint32_t>(frame.data.size()));
    writer.bytes(frame.data);
    return writer.take();
}

}  // namespace segue::viewer
