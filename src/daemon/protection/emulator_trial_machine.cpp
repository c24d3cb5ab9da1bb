// SPDX-License-Identifier: LGPL-2.1-or-later
#include <algorithm>
#include <iterator>

#include "daemon/protection/emulator_trial.h"

namespace segue {
namespace {

constexpr std::size_t kFirmware = 64u << 10;
// Where a processor begins, 16 bytes below the end of its firmware.
constexpr std::size_t kReset = kFirmware - 16;
constexpr std::size_t kPage = 4096, kFirstPage = 0x20, kPages = 64;

// Real mode, at F000:0000. The number is EBX; the pages are those from 0x20000 on.
constexpr std::uint8_t kProgram[] = {
    0xfa,                                // cli
    0x66, 0x31, 0xdb,                    // xor ebx, ebx
    0x66, 0x43,                          // next: inc ebx
    0xb8, 0x00, 0x20,                    // mov ax, 0x2000
    0x8e, 0xc0,                          // page: mov es, ax
    0x26, 0x66, 0x89, 0x1e, 0x00, 0x00,  // mov es:[0], ebx
    0x05, 0x00, 0x01,                    // add ax, 0x100
    0x3d, 0x00, 0x60,                    // cmp ax, 0x6000
    0x75, 0xf0,                          // jne page
    0xeb, 0xe9,                          // jmp next
};
constexpr std::uint8_t kFirstJump[] = {0xea, 0x00, 0x00, 0x00, 0xf0};  // jmp F000:0000

std::uint32_t number_of(ByteView memory, std::size_t page) {
    return load<ByteOrder::little, std::uint32_t>(memory.data() + (kFirstPage + page) * kPage);
}

}  // namespace

Bytes self_test_firmware() {
    Bytes firmware(kFirmware, 0xf4);  // hlt
    std::copy(std::begin(kProgram), std::end(kProgram), firmware.begin());
    std::copy(std::begin(kFirstJump), std::end(kFirstJump), firmware.begin() + kReset);
    return firmware;
}

std::size_t self_test_memory() {
    return (kFirstPage + kPages) * kPage;
}

Result<std::uint32_t> judge_self_test(ByteView memory) {
    if (memory.size() < self_test_memory()) {
        return fail(ErrorCode::config_unsupported, "a checkpoint has {} bytes of memory",
                    memory.size());
    }
    const std::uint32_t newest = number_of(memory, 0);
    bool behind = false;
    for (std::size_t page = 1; page < kPages; ++page) {
        const std::uint32_t number = number_of(memory, page);
        behind = behind || number != newest;
        if (number == newest - (behind ? 1 : 0)) continue;
        return fail(ErrorCode::config_unsupported,
                    "page {:#x} of a checkpoint holds {} where the guest had written {}: written "
                    "pages are lost between checkpoints",
                    (kFirstPage + page) * kPage, number, newest - (behind ? 1 : 0));
    }
    return newest;
}

}  // namespace segue
