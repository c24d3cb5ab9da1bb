// SPDX-License-Identifier: LGPL-2.1-or-later
// What the parties of a simulated protection share: the world outside, the one link, the policy.
#pragma once

#include <algorithm>
#include <functional>
#include <string>
#include <vector>

#include "protect/agent_link.h"
#include "protect/frame_gate.h"
#include "sim/protection.h"
#include "sim/world.h"

namespace segue::sim {

inline constexpr Duration kSilence = 300ms;  // until a side believes that the other is gone

inline Bytes frame_of(std::uint64_t number) {
    return framed(as_bytes(std::to_string(number)));
}

// What outside hears, and from which copy.
class Outside {
  public:
    struct Heard {
        std::uint64_t number;
        bool of_promoted;
        Instant at;
    };
    explicit Outside(World& world) : world_(world) {}
    void hears(const FrameGate::Frames& frames, bool of_promoted) {
        BigReader in(frames.bytes);
        while (in.remaining() > 0) {
            const std::uint64_t number = std::stoull(std::string(as_text(in.bytes(in.u32()))));
            world_.trace("heard {} {}", number, of_promoted ? "promoted" : "primary");
            heard.push_back({number, of_promoted, world_.now()});
        }
    }
    std::vector<Heard> heard;

  private:
    World& world_;
};

// One ordered connection; each end hears of a cut in its own time.
class Link {
  public:
    explicit Link(World& world) : world_(world) {}
    std::function<void(ByteView)> to_standby, to_agent;
    std::function<void()> standby_loses, agent_loses;

    void send_to_standby(const Bytes& bytes) { deliver(bytes, &to_standby, last_to_standby_); }
    void send_to_agent(const Bytes& bytes) { deliver(bytes, &to_agent, last_to_agent_); }
    // `agent_knows`, `standby_knows`: the end closes at once, as a process that ends does.
    void cut(bool agent_knows, bool standby_knows) {
        if (!open_) return;
        open_ = false;
        const auto later = [&](bool knows) {
            return knows ? world_.between(0ms, 5ms) : kSilence + world_.between(0ms, 100ms);
        };
        world_.after(later(agent_knows), [this] { agent_loses(); });
        world_.after(later(standby_knows), [this] { standby_loses(); });
    }

  private:
    void deliver(const Bytes& bytes, std::function<void(ByteView)>* to, Instant& last) {
        if (!open_) return;
        last = std::max(last, world_.now() + world_.between(0ms, 8ms));
        world_.after(last - world_.now(), [this, bytes, to] {
            // What was on its way when the link broke may have arrived, or not.
            if (open_ || world_.chance(30)) {
                if (!broken_) (*to)(bytes);
            } else {
                broken_ = true;
            }
        });
    }
    World& world_;
    bool open_ = true;
    bool broken_ = false;
    Instant last_to_standby_{}, last_to_agent_{};
};

struct Policy {
    bool promote_on_loss = false;
    bool gate_at_primary = false;
    bool has_witness = false;
};

}  // namespace segue::sim
