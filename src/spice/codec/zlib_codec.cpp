// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/codec/zlib_codec.h"

#include <zlib.h>

#include <algorithm>

namespace segue::spice::codec {

Result<> zlib_encode(ByteView data, Bytes& out, int level) {
    const std::size_t at = out.size();
    uLongf size = compressBound(data.size());
    out.resize(at + size);
    if (compress2(out.data() + at, &size, data.data(), data.size(), level) != Z_OK) {
        out.resize(at);
        return fail(ErrorCode::internal, "zlib could not encode {} bytes", data.size());
    }
    out.resize(at + size);
    return {};
}

Result<Bytes> zlib_decode(ByteView data, std::size_t size) {
    // Deflate makes at most 1,032 bytes of one: a small message cannot ask for a large buffer.
    const std::size_t most = std::min<std::uint64_t>(kMaxPictureBytes, data.size() * 1032 + 64);
    if (size > most) {
        return fail(ErrorCode::limit_exceeded,
                    "zlib picture: {} bytes announced, at most {} are "
                    "allowed for {} bytes of data",
                    size, most, data.size());
    }
    Bytes out(size);
    uLongf done = size;
    if (uncompress(out.data(), &done, data.data(), data.size()) != Z_OK || done != size) {
        return fail(ErrorCode::protocol, "zlib picture: the data is damaged or not {} bytes", size);
    }
    return out;
}

}  // namespace segue::spice::codec
