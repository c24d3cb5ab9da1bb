// SPDX-License-Identifier: LGPL-2.1-or-later
// How work that takes time gives its result back: a callback that is called once, on the loop.
#pragma once

#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "base/result.h"

namespace segue {

template <class T = void>
using Answer = std::function<void(Result<T>)>;

// Puts the answer of a call where its outcome will look for it. For a call that is refused: the
// result puts back what was there, the answer of a call that is still under way, and says why.
template <class T>
std::function<void(const Error&)> wait_in(Answer<T>& place, const Answer<T>& answer) {
    return [&place, before = std::exchange(place, answer), answer](const Error& error) {
        place = before;
        answer(tl::unexpected(error));
    };
}

using Step = std::function<void(Answer<>)>;

// Runs the steps one after the other; the first error ends the row. `done` is called once. A step
// whose owner is gone simply never answers: the row is dropped with it.
inline void run_steps(std::vector<Step> steps, Answer<> done) {
    struct Row {
        std::vector<Step> steps;
        Answer<> done;
        std::size_t next = 0;
        static void go_on(const std::shared_ptr<Row>& row, Result<> result) {
            if (!result || row->next == row->steps.size()) {
                const Answer<> finished = std::exchange(row->done, nullptr);
                if (finished) finished(std::move(result));
                return;
            }
            const Step step = std::move(row->steps[row->next++]);
            step([row](Result<> outcome) { go_on(row, std::move(outcome)); });
        }
    };
    auto row = std::make_shared<Row>();
    row->steps = std::move(steps);
    row->done = std::move(done);
    Row::go_on(row, {});
}

}  // namespace segue
