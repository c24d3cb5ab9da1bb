// SPDX-License-Identifier: LGPL-2.1-or-later
// The numbers of QEMU's migration stream, version 3, as QEMU 7.2 writes it, and what a stream says
// about its VM. All integers are big-endian. Sources: migration/savevm.c (sections),
// migration/ram.c (RAM records), migration/colo.c (checkpoint messages); checked against captured
// streams.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"

namespace segue {

inline constexpr std::uint32_t kStreamMagic = 0x5145564d;  // "QEVM"
inline constexpr std::uint32_t kStreamVersion = 3;
// COLO runs on machines with 4 KiB target pages only (x86); a stream that says otherwise is
// refused.
inline constexpr std::uint32_t kPageSize = 4096;
inline constexpr std::uint32_t kPageBits = 12;

enum class StreamSection : std::uint8_t {
    end_of_file = 0x00,
    start = 0x01,  // an iterable section's set-up
    part = 0x02,
    end = 0x03,
    full = 0x04,  // a device, all at once
    subsection = 0x05,
    description = 0x06,  // JSON with the fields of every device section
    configuration = 0x07,
    command = 0x08,
    footer = 0x7e,
};

// MIG_CMD_ENABLE_COLO: tells an incoming QEMU that it becomes a COLO secondary.
inline constexpr std::uint16_t kCommandEnableColo = 8;
// MIG_CMD_OPEN_RETURN_PATH and, right behind it, MIG_CMD_PING (be32). QEMU 7.2 sends them with the
// capability off, too, when its migration before was cancelled with it on: it forgets to forget
// (migration/migration.c: rp_thread_created). Their answers would stand where COLO's are read.
inline constexpr std::uint16_t kCommandOpenReturnPath = 1, kCommandPing = 2;

// The low bits of a RAM record's first word; the rest is the page's offset in its block.
enum RamFlag : std::uint64_t {
    kRamFill = 0x02,       // one byte fills the page
    kRamBlockList = 0x04,  // the list of RAM blocks
    kRamPage = 0x08,       // 4096 bytes
    kRamEnd = 0x10,        // end of this section's records
    kRamContinue = 0x20,   // modifier: the block of the record before; no name follows
    kRamDelta = 0x40,      // XBZRLE against the page as last received
    kRamHook = 0x80,       // RDMA
    kRamCompressed = 0x100,
    kRamFlagMask = kPageSize - 1,
};
inline constexpr std::uint8_t kDeltaHeader = 1;  // ENCODING_FLAG_XBZRLE
inline constexpr std::uint32_t kRamVersion = 4;

// QAPI's COLOMessage, sent as be32. PVM and SVM: primary and secondary VM.
enum class ColoMessage : std::uint32_t {
    checkpoint_ready = 0,    // SVM to PVM
    checkpoint_request = 1,  // PVM to SVM
    checkpoint_reply = 2,    // SVM to PVM
    vmstate_send = 3,        // PVM to SVM; RAM sections and an end-of-file byte follow
    vmstate_size = 4,        // PVM to SVM; be64 n and n bytes of device state follow
    vmstate_received = 5,    // SVM to PVM
    vmstate_loaded = 6,      // SVM to PVM
};
inline constexpr std::uint32_t kColoMessages = 7;
std::string_view name_of(ColoMessage message);

// Bounds on what a primary may announce. The first three follow from the wire's own field sizes.
struct StreamLimits {
    std::size_t name_bytes = 255;
    std::size_t machine_name_bytes = 1024;
    std::size_t capabilities = 64;
    std::size_t blocks = 512;
    std::uint64_t ram_bytes = 16ULL << 40;
    // One version of the devices' state. A virtio-gpu keeps its pictures there.
    std::size_t device_state_bytes = 256U << 20;
    std::size_t description_bytes = 64U << 20;
};

struct RamBlock {
    std::string name;
    std::uint64_t length = 0;  // bytes, a multiple of kPageSize
    // Guest-physical address; only streams with capability x-ignore-shared carry it.
    std::uint64_t address = 0;

    friend bool operator==(const RamBlock&, const RamBlock&) = default;
};

// What the head of a stream says, kept to write a stream for the same machine later.
struct StreamHead {
    std::string machine;
    std::vector<std::string> capabilities;
    // Other subsections of the configuration, as they came: each starts with its type byte.
    Bytes subsections;
    bool enable_colo = false;
    std::uint32_t ram_section = 0;  // the id of section "ram"
    std::vector<RamBlock> blocks;

    bool has_capability(std::string_view name) const;
    std::uint64_t ram_bytes() const;
    friend bool operator==(const StreamHead&, const StreamHead&) = default;
};

}  // namespace segue
