// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/usb/disc_device.h"

#include <algorithm>

namespace segue::viewer {
namespace {

// Standard requests and descriptors (USB 2.0, chapter 9).
constexpr std::uint8_t kFromDevice = 0x80, kToEndpoint = 0x02;
constexpr std::uint8_t kGetStatus = 0, kClearFeature = 1, kGetDescriptor = 6;
constexpr std::uint8_t kDeviceType = 1, kConfigurationType = 2, kStringType = 3, kInterfaceType = 4,
                       kEndpointType = 5, kQualifierType = 6;
constexpr std::uint8_t kBulk = 2;
// Of the mass storage class.
constexpr std::uint8_t kToInterfaceByClass = 0x21, kFromInterfaceByClass = 0xa1;
constexpr std::uint8_t kStorageReset = 0xff, kGetMaxUnit = 0xfe;

// Command and status wrappers (Bulk-Only Transport, 5.1 and 5.2).
constexpr std::uint32_t kCommandSignature = 0x43425355, kStatusSignature = 0x53425355;
constexpr std::size_t kCommandSize = 31;
constexpr std::size_t kCommandBlock = 16;
constexpr std::uint8_t kDataIn = 0x80;

}  // namespace

Bytes DiscDevice::device_descriptor() {
    LittleWriter out;
    out.u8(18);
    out.u8(kDeviceType);
    out.u16(0x0200);  // USB 2.0
    out.zeros(3);     // the interface says its class
    out.u8(64);       // the largest packet of endpoint 0
    out.u16(kVendor);
    out.u16(kProduct);
    out.u16(kRelease);
    out.u8(1);  // strings: maker, product, serial number
    out.u8(2);
    out.u8(3);
    out.u8(1);  // configurations
    return out.take();
}

Bytes DiscDevice::configuration_descriptor() {
    LittleWriter out;
    out.u8(9);
    out.u8(kConfigurationType);
    out.u16(9 + 9 + 7 + 7);
    out.u8(1);  // interfaces
    out.u8(kConfiguration);
    out.u8(0);
    out.u8(0xc0);  // powered by itself
    out.u8(0);
    out.u8(9);
    out.u8(kInterfaceType);
    out.u8(0);
    out.u8(0);
    out.u8(2);  // endpoints
    out.u8(kMassStorage);
    out.u8(kScsiCommands);
    out.u8(kBulkOnly);
    out.u8(0);
    for (const std::uint8_t endpoint : {kBulkIn, kBulkOut}) {
        out.u8(7);
        out.u8(kEndpointType);
        out.u8(endpoint);
        out.u8(kBulk);
        out.u16(kPacket);
        out.u8(0);
    }
    return out.take();
}

std::optional<Bytes> DiscDevice::string_descriptor(std::uint8_t index) {
    constexpr std::string_view kStrings[] = {"Segue", "Shared disc", "0001"};
    LittleWriter out;
    if (index == 0) {
        out.u8(4);
        out.u8(kStringType);
        out.u16(0x0409);  // English
        return out.take();
    }
    if (index > std::size(kStrings)) return std::nullopt;
    const std::string_view text = kStrings[index - 1];
    out.u8(static_cast<std::uint8_t>(2 + 2 * text.size()));
    out.u8(kStringType);
    for (const char one : text)
        out.u16(static_cast<std::uint8_t>(one));
    return out.take();
}

std::optional<Bytes> DiscDevice::control(const UsbSetup& setup) {
    if (setup.request_type == kToInterfaceByClass && setup.request == kStorageReset) {
        reset();
        return Bytes();
    }
    if (setup.request_type == kToEndpoint && setup.request == kClearFeature) return Bytes();
    std::optional<Bytes> data;
    if (setup.request_type == kFromInterfaceByClass && setup.request == kGetMaxUnit) {
        data = Bytes{0};
    } else if ((setup.request_type & 0xfc) == kFromDevice && setup.request == kGetStatus) {
        data = Bytes{1, 0};
    } else if (setup.request_type == kFromDevice && setup.request == kGetDescriptor) {
        const auto kind = static_cast<std::uint8_t>(setup.value >> 8);
        const auto index = static_cast<std::uint8_t>(setup.value);
        if (kind == kDeviceType) data = device_descriptor();
        if (kind == kConfigurationType && index == 0) data = configuration_descriptor();
        if (kind == kStringType) data = string_descriptor(index);
        // No other speed: what is asked of the qualifier stalls.
        if (kind == kQualifierType) return std::nullopt;
    }
    if (data) data->resize(std::min<std::size_t>(data->size(), setup.length));
    return data;
}

bool DiscDevice::bulk_out(ByteView bytes) {
    if (stage_ == Stage::data_out) {
        expected_ -= static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), expected_));
        if (expected_ == 0 || bytes.size() % kPacket != 0) finish_data();
        return true;
    }
    LittleReader in(bytes);
    const bool fits =
        stage_ == Stage::command && bytes.size() == kCommandSize && in.u32() == kCommandSignature;
    if (!fits) return false;
    tag_ = in.u32();
    expected_ = in.u32();
    const bool to_guest = (in.u8() & kDataIn) != 0;
    in.skip(1);  // the unit: there is one
    // Short ones are padded: what stands behind a command is not its business.
    in.skip(1);
    const ScsiDisc::Reply reply = disc_.execute(in.bytes(kCommandBlock));
    good_ = reply.good;
    data_ = to_guest ? reply.data : Bytes();
    data_.resize(std::min<std::size_t>(data_.size(), expected_));
    data_done_ = 0;
    // Nothing here takes data of the guest: it passes, and the command has failed.
    if (!to_guest && expected_ != 0) good_ = false;
    stage_ = expected_ == 0 ? Stage::status : to_guest ? Stage::data_in : Stage::data_out;
    return true;
}

void DiscDevice::finish_data() {
    data_.clear();
    data_done_ = 0;
    stage_ = Stage::status;
}

std::optional<Bytes> DiscDevice::bulk_in(std::size_t length) {
    if (stage_ == Stage::status) {
        LittleWriter out;
        out.u32(kStatusSignature);
        out.u32(tag_);
        out.u32(expected_);  // what did not pass
        out.u8(good_ ? 0 : 1);
        stage_ = Stage::command;
        Bytes status = out.take();
        status.resize(std::min(status.size(), length));
        return status;
    }
    if (stage_ != Stage::data_in) return std::nullopt;
    const std::size_t size = std::min(length, data_.size() - data_done_);
    const auto from = data_.begin() + static_cast<std::ptrdiff_t>(data_done_);
    Bytes part(from, from + static_cast<std::ptrdiff_t>(size));
    data_done_ += size;
    expected_ -= static_cast<std::uint32_t>(size);
    // Less than a whole number of packets, or nothing at all, ends the data.
    if (expected_ == 0 || size < length || size == 0) finish_data();
    return part;
}

void DiscDevice::reset() {
    stage_ = Stage::command;
    expected_ = 0;
    data_.clear();
    data_done_ = 0;
}

}  // namespace segue::viewer
