// SPDX-License-Identifier: LGPL-2.1-or-later
// A disc in a USB drive: descriptors, control requests and the bulk-only transport (USB Mass
// Storage Class, Bulk-Only Transport 1.0). No I/O of USB: whoever carries its transfers calls it.
#pragma once

#include <deque>
#include <optional>

#include "viewer/usb/scsi_disc.h"

namespace segue::viewer {

struct UsbSetup {
    std::uint8_t request_type = 0;
    std::uint8_t request = 0;
    std::uint16_t value = 0;
    std::uint16_t index = 0;
    std::uint16_t length = 0;
};

class DiscDevice {
  public:
    static constexpr std::uint8_t kBulkIn = 0x81;
    static constexpr std::uint8_t kBulkOut = 0x02;
    static constexpr std::uint16_t kPacket = 512;  // of a bulk endpoint at high speed
    static constexpr std::uint16_t kVendor = 0x1b36, kProduct = 0x0101;
    static constexpr std::uint16_t kRelease = 0x0100;
    static constexpr std::uint8_t kMassStorage = 0x08, kScsiCommands = 0x06, kBulkOnly = 0x50;
    static constexpr std::uint8_t kConfiguration = 1;

    explicit DiscDevice(ScsiDisc disc) : disc_(std::move(disc)) {}

    // Nothing: the request stalls. The answer to a request without data is empty.
    std::optional<Bytes> control(const UsbSetup& setup);
    // False: the endpoint stalls.
    bool bulk_out(ByteView data);
    // At most `length` bytes. Nothing: there is nothing to be read before a command comes.
    std::optional<Bytes> bulk_in(std::size_t length);
    void reset();

    static Bytes device_descriptor();
    static Bytes configuration_descriptor();

  private:
    enum class Stage { command, data_in, data_out, status };
    void finish_data();
    static std::optional<Bytes> string_descriptor(std::uint8_t index);

    ScsiDisc disc_;
    Stage stage_ = Stage::command;
    std::uint32_t tag_ = 0;
    std::uint32_t expected_ = 0;  // data that the guest still expects to pass
    bool good_ = true;
    Bytes data_;
    std::size_t data_done_ = 0;
};

}  // namespace segue::viewer
