// SPDX-License-Identifier: LGPL-2.1-or-later
// Drives one of migrate's machines: events in, one after the other, actions out. What an action
// leads to at once (a synchronous store) waits in the queue until its list is carried out.
#pragma once

#include <deque>
#include <functional>

#include "base/loop.h"
#include "daemon/answer.h"

namespace segue {

template <class Machine>
class Runner {
  public:
    using Input = typename Machine::Input;
    using Action = typename Machine::Action;
    using Refused = std::function<void(const Error&)>;

    Runner(Loop& loop, Machine machine, std::function<void(const Action&)> carry_out)
        : loop_(loop), machine_(std::move(machine)), carry_out_(std::move(carry_out)) {}

    // `refused` hears the named error of a command that does not fit the state; nothing has
    // changed then. Carrying out an action must not destroy this object: its owner keeps itself.
    void feed(Input input, Refused refused = {}) {
        queue_.push_back({std::move(input), std::move(refused)});
        if (running_) return;
        running_ = true;
        while (!queue_.empty()) {
            const Waiting next = std::move(queue_.front());
            queue_.pop_front();
            const auto actions = machine_.handle(next.input, loop_.now());
            if (!actions) {
                if (next.refused) next.refused(actions.error());
                continue;
            }
            for (const Action& action : *actions)
                carry_out_(action);
        }
        running_ = false;
    }

    const Machine& machine() const { return machine_; }

  private:
    struct Waiting {
        Input input;
        Refused refused;
    };
    Loop& loop_;
    Machine machine_;
    std::function<void(const Action&)> carry_out_;
    std::deque<Waiting> queue_;
    bool running_ = false;
};

}  // namespace segue
