// SPDX-License-Identifier: LGPL-2.1-or-later
// An image file as a CD-ROM that understands SCSI: read only, one track of 2,048-byte blocks
// (SPC-2 and MMC-4, as far as operating systems and firmware ask). No I/O beyond reading the file.
#pragma once

#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/result.h"
#include "net/descriptor.h"

namespace segue::viewer {

class ScsiDisc {
  public:
    static constexpr std::size_t kBlock = 2048;
    // Of one command; longer reads are refused, as drives do.
    static constexpr std::size_t kMaxRead = std::size_t{4} << 20;

    // Errors: system for a file that cannot be read, invalid_argument for one that is no disc.
    static Result<ScsiDisc> open(const std::string& path);

    struct Reply {
        bool good = true;  // false: CHECK CONDITION, the reason is asked for with REQUEST SENSE
        Bytes data;
    };
    // A command descriptor block of 6 to 16 bytes.
    Reply execute(ByteView command);

    std::uint32_t blocks() const { return blocks_; }

  private:
    // Sense key and additional code, with the qualifier in its low byte.
    struct Sense {
        std::uint8_t key = 0;
        std::uint16_t code = 0;
    };

    ScsiDisc(net::Descriptor file, std::uint32_t blocks)
        : file_(std::move(file)), blocks_(blocks) {}
    Reply failed(Sense sense);
    Reply read(std::uint32_t first, std::uint32_t count);
    Reply start_stop(ByteView command);
    Reply inquiry(ByteView command);
    Reply request_sense();
    Reply capacity() const;
    Reply contents(ByteView command);
    Reply configuration() const;
    Reply event_status(ByteView command);
    Reply mode_sense(ByteView command, bool long_form);
    Reply disc_information() const;

    net::Descriptor file_;
    std::uint32_t blocks_ = 0;
    bool was_told_of_medium_ = false;
    bool is_ejected_ = false;  // by the guest
    Sense sense_;
};

}  // namespace segue::viewer
