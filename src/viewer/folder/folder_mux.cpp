// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/folder/folder_mux.h"

namespace segue::viewer {

void FolderMuxReader::feed(ByteView bytes) {
    kept_.erase(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(done_));
    done_ = 0;
    kept_.insert(kept_.end(), bytes.begin(), bytes.end());
}

std::optional<FolderPiece> FolderMuxReader::next() {
    LittleReader reader(ByteView(kept_).subspan(done_));
    FolderPiece piece;
    piece.client = reader.i64();
    const std::size_t size = reader.u16();
    piece.data = reader.bytes(size);
    if (!reader.ok()) return std::nullopt;
    done_ += kFolderHeader + size;
    return piece;
}

Bytes make_folder_piece(const FolderPiece& piece) {
    LittleWriter writer;
    writer.i64(piece.client);
    writer.u16(static_cast<std::uint16_t>(piece.data.size()));
    writer.bytes(piece.data);
    return writer.take();
}

}  // namespace segue::viewer
