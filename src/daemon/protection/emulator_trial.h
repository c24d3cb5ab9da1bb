// SPDX-License-Identifier: LGPL-2.1-or-later
// Whether the checkpoints of an emulator are right. COLO was broken in whole releases of QEMU and
// nobody noticed, and emulation (TCG) before 9.0 loses dirty pages: so each emulator is tried,
// once, before a guest of its is protected. A machine without devices writes one number after the
// other into the same row of pages, and segue-standby takes its checkpoints: in each of them the
// pages must show one number, and behind some place in the row the one before it.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "daemon/answer.h"
#include "daemon/services.h"

namespace segue {

// The machine's firmware, which is all that it runs: 64 KiB, for -bios.
Bytes self_test_firmware();
// The memory of one checkpoint, from its first byte. The number that the machine had come to; an
// error names the page that is not of this state.
Result<std::uint32_t> judge_self_test(ByteView memory);
// Bytes of memory that judge_self_test() wants to see.
std::size_t self_test_memory();

class SelfTests {
  public:
    SelfTests();
    ~SelfTests();

    // Calls back in this turn when the emulator was found right before and is the same file still
    // (device, inode, size, time); in some seconds otherwise, and never later than kBound. Errors
    // say what went wrong and are not remembered: it may have been a full disk. Questions about one
    // emulator that come meanwhile share the one trial.
    void ask(const Services& services, const std::string& emulator, bool kvm, Answer<> answer);

    static constexpr Duration kBound = 30s;
    // Checkpoints that have to be right.
    static constexpr int kCheckpoints = 8;
    // In a row, in which nothing new is seen of a machine that never rests.
    static constexpr int kMostAlike = 20;

  private:
    class Trial;
    // Fingerprints of those that were right, by their question.
    std::map<std::string, std::string> proven_;
    std::map<std::string, std::shared_ptr<Trial>> trials_;
    std::uint64_t count_ = 0;
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace segue
