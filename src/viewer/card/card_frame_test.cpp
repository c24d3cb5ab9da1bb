// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/card/card_frame.h"

#include <gtest/gtest.h>

namespace segue::viewer {
namespace {

TEST(CardFrameTest, FramesComeOutWhereverTheBytesAreCut) {
    const Bytes atr = {0x3b, 0x00};
    Bytes all = make_card_frame({VscType::atr, 2, atr});
    const Bytes apdu = make_card_frame({VscType::apdu, 2, {}});
    all.insert(all.end(), apdu.begin(), apdu.end());
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        CardFrameReader reader;
        std::vector<std::size_t> sizes;
        for (const ByteView part : {ByteView(all).first(cut), ByteView(all).subspan(cut)}) {
            reader.feed(part);
            while (const auto frame = reader.next().value()) {
                EXPECT_EQ(frame->reader_id, 2u);
                sizes.push_back(frame->data.size());
            }
        }
        EXPECT_EQ(sizes, (std::vector<std::size_t>{2, 0})) << cut;
    }
}

TEST(CardFrameTest, ALengthBeyondTheLimitIsAnError) {
    Bytes frame = make_card_frame({VscType::apdu, 0, {}});
    store<ByteOrder::little, std::uint32_t>(frame.data() + 8, CardFrameReader::kMaxData + 1);
    CardFrameReader reader;
    reader.feed(frame);
    EXPECT_EQ(reader.next().error().code, ErrorCode::limit_exceeded);
}

}  // namespace
}  // namespace segue::viewer
