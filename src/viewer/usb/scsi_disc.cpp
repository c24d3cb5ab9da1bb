// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/usb/scsi_disc.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace segue::viewer {
namespace {

// Operation codes (SPC-2, MMC-4).
enum Operation : std::uint8_t {
    kTestUnitReady = 0x00,
    kRequestSense = 0x03,
    kInquiry = 0x12,
    kModeSense6 = 0x1a,
    kStartStop = 0x1b,
    kPreventRemoval = 0x1e,
    kReadCapacity = 0x25,
    kRead10 = 0x28,
    kReadToc = 0x43,
    kGetConfiguration = 0x46,
    kEventStatus = 0x4a,
    kReadDiscInformation = 0x51,
    kModeSense10 = 0x5a,
    kRead12 = 0xa8,
};

constexpr std::uint8_t kNotReady = 0x02, kMediumError = 0x03, kIllegalRequest = 0x05,
                       kUnitAttention = 0x06;
constexpr std::uint16_t kReadError = 0x1100, kInvalidOperation = 0x2000, kOutOfRange = 0x2100,
                        kInvalidField = 0x2400, kMediumChanged = 0x2800, kNoMedium = 0x3a00;

constexpr std::uint8_t kCdRomDevice = 0x05;
// The current profile, and a feature of GET CONFIGURATION (MMC-4 5.3.1).
constexpr std::uint16_t kCdRomProfile = 0x0008;

ScsiDisc::Reply cut(Bytes data, std::size_t allocation) {
    data.resize(std::min(data.size(), allocation));
    return {true, std::move(data)};
}

std::uint16_t word_at(ByteView command, std::size_t at) {
    return load<ByteOrder::big, std::uint16_t>(command.data() + at);
}
std::uint32_t long_at(ByteView command, std::size_t at) {
    return load<ByteOrder::big, std::uint32_t>(command.data() + at);
}

void put_text(BigWriter& writer, std::string_view text, std::size_t width) {
    std::string padded(text);
    padded.resize(width, ' ');
    writer.bytes(as_bytes(padded));
}

// The length of a command by its group (SPC-2 4.3.1).
std::size_t length_of(std::uint8_t operation) {
    constexpr std::size_t kLengths[] = {6, 10, 10, 16, 16, 12, 16, 16};
    return kLengths[operation >> 5];
}

}  // namespace

Result<ScsiDisc> ScsiDisc::open(const std::string& path) {
    net::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!file) return fail_errno("open", path, errno);
    struct stat info {};
    if (::fstat(file.get(), &info) != 0) return fail_errno("read", path, errno);
    const auto blocks = static_cast<std::uint64_t>(info.st_size) / kBlock;
    if (!S_ISREG(info.st_mode) || blocks == 0 || blocks > 0xffffffff) {
        return fail(ErrorCode::invalid_argument,
                    "'{}' is no disc image: a file of at least one block of {} bytes", path,
                    kBlock);
    }
    return ScsiDisc(std::move(file), static_cast<std::uint32_t>(blocks));
}

ScsiDisc::Reply ScsiDisc::failed(Sense sense) {
    sense_ = sense;
    return {false, {}};
}

ScsiDisc::Reply ScsiDisc::execute(ByteView command) {
    if (command.empty() || command.size() < length_of(command[0]))
        return failed({kIllegalRequest, kInvalidField});
    const std::uint8_t operation = command[0];
    if (operation == kRequestSense) return request_sense();
    if (operation == kInquiry) return inquiry(command);
    if (operation == kEventStatus) return event_status(command);
    // The first word to a drive with a disc is that the disc is new (SPC-2 5.9.5).
    if (operation != kGetConfiguration && !std::exchange(was_told_of_medium_, true))
        return failed({kUnitAttention, kMediumChanged});
    if (is_ejected_ && operation != kStartStop && operation != kGetConfiguration)
        return failed({kNotReady, kNoMedium});
    sense_ = {};
    switch (operation) {
        case kTestUnitReady:
        case kPreventRemoval: return {};
        case kStartStop: return start_stop(command);
        case kReadCapacity: return capacity();
        case kRead10: return read(long_at(command, 2), word_at(command, 7));
        case kRead12: return read(long_at(command, 2), long_at(command, 6));
        case kReadToc: return contents(command);
        case kGetConfiguration: return cut(configuration().data, word_at(command, 7));
        case kReadDiscInformation: return cut(disc_information().data, word_at(command, 7));
        case kModeSense6: return mode_sense(command, false);
        case kModeSense10: return mode_sense(command, true);
        default: return failed({kIllegalRequest, kInvalidOperation});
    }
}

ScsiDisc::Reply ScsiDisc::read(std::uint32_t first, std::uint32_t count) {
    if (first > blocks_ || count > blocks_ - first) return failed({kIllegalRequest, kOutOfRange});
    if (count > kMaxRead / kBlock) return failed({kIllegalRequest, kInvalidField});
    Bytes data(std::size_t{count} * kBlock);
    std::size_t done = 0;
    while (done < data.size()) {
        const auto at = static_cast<off_t>(std::uint64_t{first} * kBlock + done);
        const ssize_t size = ::pread(file_.get(), data.data() + done, data.size() - done, at);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) return failed({kMediumError, kReadError});
        done += static_cast<std::size_t>(size);
    }
    return {true, std::move(data)};
}

// START STOP UNIT (MMC-4 6.42): the guest may eject the disc, and take it back in.
ScsiDisc::Reply ScsiDisc::start_stop(ByteView command) {
    constexpr std::uint8_t kLoadOrEject = 2, kStart = 1;
    if ((command[4] & kLoadOrEject) != 0) is_ejected_ = (command[4] & kStart) == 0;
    return {};
}

ScsiDisc::Reply ScsiDisc::inquiry(ByteView command) {
    // No vital product data.
    if ((command[1] & 1) != 0 || command[2] != 0) return failed({kIllegalRequest, kInvalidField});
    BigWriter data;
    data.u8(kCdRomDevice);
    data.u8(0x80);  // removable
    data.u8(0x00);  // of no version: what USB drives say
    data.u8(0x02);
    data.u8(31);  // bytes that follow
    data.zeros(3);
    put_text(data, "Segue", 8);
    put_text(data, "Shared disc", 16);
    put_text(data, "1", 4);
    return cut(data.take(), word_at(command, 3));
}

ScsiDisc::Reply ScsiDisc::request_sense() {
    const Sense sense = std::exchange(sense_, {});
    BigWriter data;
    data.u8(0x70);
    data.u8(0);
    data.u8(sense.key);
    data.u32(0);
    data.u8(10);  // bytes that follow
    data.u32(0);
    data.u16(sense.code);
    data.zeros(4);
    return {true, data.take()};
}

ScsiDisc::Reply ScsiDisc::capacity() const {
    BigWriter data;
    data.u32(blocks_ - 1);
    data.u32(kBlock);
    return {true, data.take()};
}

// READ TOC (MMC-4 6.31): one data track and the lead-out.
ScsiDisc::Reply ScsiDisc::contents(ByteView command) {
    const bool in_time = (command[1] & 2) != 0;
    // Linux asks for the format in the last byte where others use the third.
    const int format = (command[2] & 15) != 0 ? command[2] & 15 : command[9] >> 6;
    const auto address = [&](std::uint32_t block) -> std::uint32_t {
        if (!in_time) return block;
        const std::uint32_t frames = block + 150;
        const std::uint32_t minutes = (frames / 75 / 60) & 255, seconds = frames / 75 % 60;
        return (minutes << 16) | (seconds << 8) | (frames % 75);
    };
    constexpr std::uint8_t kDataTrack = 0x14, kLeadOut = 0xaa;
    BigWriter data;
    const auto add_track = [&](std::uint8_t number, std::uint32_t block) {
        data.u8(0);
        data.u8(kDataTrack);
        data.u8(number);
        data.u8(0);
        data.u32(address(block));
    };
    data.u16(0);
    data.u8(1);
    data.u8(1);
    if (format == 0) {
        if (command[6] <= 1) add_track(1, 0);
        if (command[6] <= 1 || command[6] == kLeadOut) add_track(kLeadOut, blocks_);
    } else if (format == 1) {
        add_track(1, 0);  // the first track of the last session
    } else {
        return failed({kIllegalRequest, kInvalidField});
    }
    data.patch<std::uint16_t>(0, static_cast<std::uint16_t>(data.size() - 2));
    return cut(data.take(), word_at(command, 7));
}

ScsiDisc::Reply ScsiDisc::configuration() const {
    BigWriter data;
    data.u32(0);
    data.u16(0);
    data.u16(kCdRomProfile);
    data.u16(0x0000);  // the list of profiles
    data.u8(0x03);     // always there
    data.u8(4);
    data.u16(kCdRomProfile);
    data.u8(1);
    data.u8(0);
    data.patch<std::uint32_t>(0, static_cast<std::uint32_t>(data.size() - 4));
    return {true, data.take()};
}

// GET EVENT STATUS NOTIFICATION (MMC-4 6.7), polled: the disc is there, and nothing happens.
ScsiDisc::Reply ScsiDisc::event_status(ByteView command) {
    constexpr std::uint8_t kMediaEvents = 4, kPolled = 1;
    if ((command[1] & kPolled) == 0) return failed({kIllegalRequest, kInvalidField});
    BigWriter data;
    const bool media = (command[4] & (1 << kMediaEvents)) != 0;
    data.u16(media ? 6 : 2);
    data.u8(media ? kMediaEvents : 0x80);
    data.u8(1 << kMediaEvents);
    if (media) {
        data.u8(0);
        data.u8(is_ejected_ ? 0 : 0x02);  // present
        data.u16(0);
    }
    return cut(data.take(), word_at(command, 7));
}

// No pages: a header that says that it cannot be written.
ScsiDisc::Reply ScsiDisc::mode_sense(ByteView command, bool long_form) {
    BigWriter data;
    if (long_form) {
        data.u16(6);
        data.u8(0);
        data.u8(0x80);
        data.u32(0);
        return cut(data.take(), word_at(command, 7));
    }
    data.u8(3);
    data.u8(0);
    data.u8(0x80);
    data.u8(0);
    return cut(data.take(), command[4]);
}

ScsiDisc::Reply ScsiDisc::disc_information() const {
    BigWriter data;
    data.u16(32);
    data.u8(0x0e);  // complete, closed session
    data.u8(1);
    data.u8(1);
    data.u8(1);
    data.u8(1);
    data.zeros(27);
    return {true, data.take()};
}

}  // namespace segue::viewer
