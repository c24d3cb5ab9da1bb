// SPDX-License-Identifier: LGPL-2.1-or-later
// A display device for tests: commands that a test queued, and what was given back. Guest memory is
// one slot of group 1 that begins at address 0x1000.
#pragma once

#include <cstring>
#include <deque>
#include <map>
#include <span>
#include <vector>

#include "spice/server/device.h"

namespace segue::spice::server {

class FakeDevice : public DisplayDevice {
  public:
    static constexpr std::uint32_t kGroup = 1;
    static constexpr QXLPHYSICAL kBase = 0x1000;

    explicit FakeDevice(std::size_t memory_size) : memory(memory_size) {}

    // Puts a struct (and bytes behind it) into guest memory; returns its address.
    template <class T>
    QXLPHYSICAL put(const T& value, std::span<const std::uint8_t> behind = {}) {
        const std::size_t at = (used + 7) / 8 * 8;
        used = at + sizeof value + behind.size();
        std::memcpy(memory.data() + at, &value, sizeof value);
        if (!behind.empty())
            std::memcpy(memory.data() + at + sizeof value, behind.data(), behind.size());
        return kBase + at;
    }
    void queue(std::uint32_t type, QXLPHYSICAL address) {
        QXLCommandExt command{};
        command.cmd.type = type;
        command.cmd.data = address;
        command.group_id = kGroup;
        commands.push_back(command);
    }
    MemorySlot slot() const {
        MemorySlot made;
        made.group = kGroup;
        made.start = reinterpret_cast<std::uintptr_t>(memory.data());
        made.end = made.start + memory.size();
        made.address_delta = made.start - kBase;
        return made;
    }

    int id() const override { return 0; }
    DisplayGeometry geometry() override {
        DisplayGeometry made;
        made.slot_groups = 2;
        made.slots = 8;
        made.generation_bits = 8;
        made.slot_id_bits = 8;
        made.surfaces = 16;
        return made;
    }
    bool next_command(QXLCommandExt& command) override { return take(commands, command); }
    bool next_cursor_command(QXLCommandExt& command) override {
        return take(cursor_commands, command);
    }
    bool request_command_notice() override { return commands.empty(); }
    bool request_cursor_notice() override { return cursor_commands.empty(); }
    void release(QXLReleaseInfoExt info) override { ++released[info.info]; }
    void flush_released() override {}
    void complete(std::uint64_t cookie) override { completed.push_back(cookie); }
    void updated(std::uint32_t, std::vector<QXLRect>) override {}
    void set_client_capabilities(bool, std::span<std::uint8_t, 58>) override {}
    bool client_monitors_config(VDAgentMonitorsConfig*) override { return false; }

    std::vector<std::uint8_t> memory;
    std::size_t used = 0;
    std::deque<QXLCommandExt> commands;
    std::deque<QXLCommandExt> cursor_commands;
    std::map<QXLReleaseInfo*, int> released;
    std::vector<std::uint64_t> completed;

  private:
    static bool take(std::deque<QXLCommandExt>& from, QXLCommandExt& command) {
        if (from.empty()) return false;
        command = from.front();
        from.pop_front();
        return true;
    }
};

}  // namespace segue::spice::server
