// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/folder/folder_mux.h"

#include <gtest/gtest.h>

namespace segue::viewer {
namespace {

TEST(FolderMuxTest, PiecesComeOutWhereverTheBytesAreCut) {
    Bytes all = make_folder_piece({7, as_bytes("GET / HTTP/1.1\r\n\r\n")});
    const Bytes end = make_folder_piece({-1, {}});
    all.insert(all.end(), end.begin(), end.end());
    for (std::size_t cut = 0; cut <= all.size(); ++cut) {
        FolderMuxReader reader;
        std::string seen;
        for (const ByteView part : {ByteView(all).first(cut), ByteView(all).subspan(cut)}) {
            reader.feed(part);
            while (const auto piece = reader.next())
                seen += fmt::format("{}:{} ", piece->client, as_text(piece->data));
        }
        EXPECT_EQ(seen, "7:GET / HTTP/1.1\r\n\r\n -1: ") << cut;
    }
}

TEST(FolderMuxTest, TheHeaderIsPhodavs) {
    const Bytes golden = {0x02, 0x01, 0, 0, 0, 0, 0, 0, 0x03, 0x00, 'a', 'b', 'c'};
    EXPECT_EQ(make_folder_piece({0x0102, as_bytes("abc")}), golden);
}

TEST(FolderMuxTest, TheLongestPieceIsTakenWhole) {
    const Bytes data(kMaxFolderPiece, 'x');
    FolderMuxReader reader;
    reader.feed(make_folder_piece({1, data}));
    const auto piece = reader.next();
    ASSERT_TRUE(piece);
    EXPECT_EQ(piece->data.size(), kMaxFolderPiece);
    EXPECT_FALSE(reader.next());
}

}  // namespace
}  // namespace segue::viewer
