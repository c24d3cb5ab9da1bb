// SPDX-License-Identifier: LGPL-2.1-or-later
// Messages of libcacard's virtual reader protocol between segue-view and segue-view-card, framed as
// in the SPICE smartcard channel: u32 type, u32 reader, u32 length, little-endian.
//
// From segue-view go what the guest says (error, apdu) and the user's hand, in types that a guest
// never says: atr puts the cards made of certificates into their readers, card_remove takes them
// out.
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"
#include "spice/wire/smartcard.schema.h"

namespace segue::viewer {

using spice::wire::smartcard::VscType;

struct CardFrame {
    VscType type{};
    std::uint32_t reader_id = 0;
    ByteView data;
};

class CardFrameReader {
  public:
    // An extended APDU and some; as the channel bounds it.
    static constexpr std::size_t kMaxData = 131072;

    void feed(ByteView bytes);
    // The next whole frame, whose data is valid until the next call of either function. Errors:
    // limit_exceeded, after which nothing can be read any more.
    Result<std::optional<CardFrame>> next();

  private:
    Bytes kept_;
    std::size_t done_ = 0;
};

Bytes make_card_frame(const CardFrame& frame);

}  // namespace segue::viewer
