// SPDX-License-Identifier: LGPL-2.1-or-later
// Hybrid mode of a standby: when the shadow begins and ends, when a checkpoint is asked for, and
// when it is not worth it. The primary is asked by its own waiting question: QEMU stops nothing
// until its checkpoint-request is answered, so it stays unanswered while the two guests agree.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "protect/divergence_judge.h"
#include "standby/disk_port.h"
#include "standby/network_port.h"
#include "standby/shadow.h"

namespace segue::standby {

class Hybrid {
  public:
    struct Handlers {
        std::function<Result<VmCommand>(std::size_t seat)> command;
        std::function<StandbyVm::Files(std::size_t seat)> files;
        // Of the committed state.
        std::function<std::unique_ptr<FailoverStream>()> make_stream;
        // Behind an agent, who answers QEMU: one more checkpoint, or all. Empty: suspend() is what
        // QEMU waits for.
        std::function<void(bool one)> ask_agent = {};
        // Whether a guest that runs may be made of the committed state: its user may have paused
        // it.
        std::function<bool()> may_run;
        // Answers to suspend() and load().
        std::function<void()> suspended, loaded;
        std::function<void(const std::string& how)> guest_ended;
        std::function<void(Json event)> tell;
    };
    using Networks = std::vector<std::unique_ptr<NetworkPort>>;
    using Disks = std::vector<std::unique_ptr<DiskPort>>;

    // A checkpoint comes this often, however well the two agree: what a failover finds to be done
    // over again on the disk, and the memory of the shadow, have a bound.
    static constexpr Duration kLongest = 10s;
    // A shadow that does not load within this time holds up no guest.
    static constexpr Duration kLoadBound = 2s;
    // What a primary does not read of its frames before it is stopped is given to it only.
    static constexpr Duration kReadBound = 50ms;

    Hybrid(Loop& loop, const std::string& emulator, Networks& networks, Disks& disks,
           std::size_t most_differences, Handlers handlers);

    // What the table asks for.
    void suspend();
    void load();
    void resume();
    // An epoch was committed, or nothing is promised any more: the shadow's is over.
    void epoch_over();
    // Behind an agent: the guest has read all that its state says; it takes no checkpoint behind it
    // until it is asked.
    void agent_waits(bool waits) { agent_waits_ = waits; }
    // The primary is lost. The shadow stays: it may take over.
    void primary_lost();

    // Whether frames may have left that only the shadow knows, and it can take over.
    bool is_comparing() const { return comparing_ && shadow_.is_running(); }
    // The shadow is the guest; every port serves it. Its disk must be at the committed epoch.
    std::unique_ptr<StandbyVm> take_over();
    std::optional<std::size_t> seat() const { return shadow_.seat(); }
    void end_all();

    // Of a card, for colo-compare.
    void to_compare(std::size_t card, Bytes frames, bool is_primary);
    // Something is held.
    void frames_wait();
    // Every now and then.
    void look();
    Json status() const;

  private:
    void watch_frames();
    void ask(const std::string& why);
    void answer_request();
    void ask_agent();
    bool may_load() const;
    void wait_for_input();
    void loaded(bool has_shadow);
    void shadow_lost(const std::string& how);
    void next_lost(const std::string& how);
    void fall_back(const std::string& why);
    void prepare();
    void stop_comparing();

    Loop& loop_;
    Networks& networks_;
    Disks& disks_;
    Handlers handlers_;
    Shadow shadow_;
    DivergenceJudge::Limits limits_;
    DivergenceJudge judge_;
    std::unique_ptr<Timer> look_, input_, load_bound_;
    bool protected_ = false;  // a primary is linked whose first state is held
    bool comparing_ = false;
    bool request_waits_ = false;
    bool answered_ = false;
    bool will_load_ = false;
    bool loads_ = false;
    bool has_shadow_ = false;
    bool agent_waits_ = false;
    std::optional<bool> asked_one_;
    std::optional<std::string> wanted_;
    Instant began_{}, input_since_{};
    std::uint64_t differences_ = 0, shadows_ = 0;
    std::string fell_back_;
};

}  // namespace segue::standby
