// SPDX-License-Identifier: LGPL-2.1-or-later
// How spice-webdavd in the guest carries many HTTP connections over one port: each piece has a
// header of i64 client and u16 size, little-endian; a size of 0 ends that client's connection
// (phodav's spice/spice-webdavd.c).
#pragma once

#include <optional>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::viewer {

struct FolderPiece {
    std::int64_t client = 0;
    ByteView data;  // empty: the connection is over
};

inline constexpr std::size_t kFolderHeader = 10;
inline constexpr std::size_t kMaxFolderPiece = 65535;

// Cuts the guest's bytes into pieces; whatever it sends is a piece of somebody.
class FolderMuxReader {
  public:
    void feed(ByteView bytes);
    // The next whole piece. Its data is valid until the next call of either function.
    std::optional<FolderPiece> next();

  private:
    Bytes kept_;
    std::size_t done_ = 0;  // of `kept_`, given out already
};

// `data` has at most kMaxFolderPiece bytes.
Bytes make_folder_piece(const FolderPiece& piece);

}  // namespace segue::viewer
