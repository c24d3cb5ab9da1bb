// SPDX-License-Identifier: LGPL-2.1-or-later
// The state of a display channel as it travels from server to server: the "DCMD" blob of version 1,
// and behind it what only our servers read.
#pragma once

#include "base/result.h"
#include "spice/server/display/client/knowledge.h"
#include "spice/server/display/client/shared_images.h"
#include "spice/wire/shared_bytes.h"

namespace segue::spice::server {

namespace wire = segue::spice::wire;

struct DisplayBlob {
    std::uint64_t message_serial = 0;
    Knowledge knowledge;
    // The caches are as `knowledge` says; a server of another make empties them.
    bool keeps_images = false;
    // Of the image cache: this channel speaks for all display channels of the client; and their
    // last uses of it.
    bool is_freezer = false;
    SharedImages::LastUses image_uses{};
    // The surfaces are listed with rectangles: stock with JPEG in use expects it so.
    bool has_lossy_list = false;
};

// `keeps_images` is as for our own servers.
Bytes write_display_blob(const DisplayBlob& blob);

// Surfaces from a server that does not say their sizes have the size 0x0: they must be made again.
Result<DisplayBlob> read_display_blob(const wire::SharedBytes& blob);

}  // namespace segue::spice::server
