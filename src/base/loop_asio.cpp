// SPDX-License-Identifier: LGPL-2.1-or-later
// The real loop. Asio stays in this one file.
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <deque>
#include <map>
#include <mutex>
#include <utility>

#define ASIO_STANDALONE
#include <asio/buffer.hpp>
#include <asio/io_context.hpp>
#include <asio/posix/stream_descriptor.hpp>
#include <asio/post.hpp>
#include <asio/signal_set.hpp>
#include <asio/steady_timer.hpp>

#include "base/check.h"
#include "base/loop.h"

namespace segue {
namespace {

using Code = asio::error_code;

class AsioTimer final : public Timer {
  public:
    AsioTimer(asio::io_context& context, std::function<void()> on_expiry)
        : timer_(context), state_(std::make_shared<State>(State{std::move(on_expiry), 0})) {}
    ~AsioTimer() override { cancel(); }

    void start(Duration delay) override {
        const std::uint64_t generation = ++state_->generation;
        timer_.expires_after(delay);
        timer_.async_wait([state = state_, generation](const Code& code) {
            // A callback that is queued already when the timer is restarted or destroyed must not
            // run.
            if (code || state->generation != generation) return;
            const auto on_expiry = state->on_expiry;
            on_expiry();
        });
    }
    void cancel() override {
        ++state_->generation;
        timer_.cancel();
    }

  private:
    struct State {
        std::function<void()> on_expiry;
        std::uint64_t generation;
    };
    asio::steady_timer timer_;
    std::shared_ptr<State> state_;
};

class AsioWatch final : public Watch {
  public:
    AsioWatch(asio::io_context& context, int descriptor, std::function<void(Loop::Ready)> on_ready)
        : state_(std::make_shared<State>(context, descriptor, std::move(on_ready))) {}
    ~AsioWatch() override {
        state_->on_ready = nullptr;
        Code ignored;
        state_->descriptor.cancel(ignored);
        state_->descriptor.release();  // the caller closes it
    }

    void set_interest(bool read, bool write) override {
        state_->want[0] = read;
        state_->want[1] = write;
        for (const int kind : {0, 1})
            arm(state_, kind);
    }

  private:
    struct State {
        State(asio::io_context& context, int number, std::function<void(Loop::Ready)> callback)
            : descriptor(context, number), on_ready(std::move(callback)) {}
        asio::posix::stream_descriptor descriptor;
        std::function<void(Loop::Ready)> on_ready;
        bool want[2] = {false, false};
        bool armed[2] = {false, false};
    };

    static void arm(const std::shared_ptr<State>& state, int kind) {
        if (!state->want[kind] || state->armed[kind] || !state->on_ready) return;
        state->armed[kind] = true;
        state->descriptor.async_wait(
            kind == 0 ? asio::posix::stream_descriptor::wait_read
                      : asio::posix::stream_descriptor::wait_write,
            [state, kind](const Code& code) {
                state->armed[kind] = false;
                if (code == asio::error::operation_aborted || !state->on_ready) return;
                if (state->want[kind]) {
                    // The callback may destroy the watch: keep what runs alive.
                    const auto on_ready = state->on_ready;
                    on_ready({.readable = kind == 0, .writable = kind == 1});
                }
                arm(state, kind);
            });
    }

    std::shared_ptr<State> state_;
};

// What other threads want run here. Asio wakes its loop with its own lock held: the thread that is
// woken runs into that lock, and goes to sleep again.
class Inbox {
  public:
    explicit Inbox(asio::io_context& context)
        : context_(context), bell_(context, ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        listen();
    }

    void add(std::function<void()> task) {
        bool is_first = false;
        {
            const std::lock_guard lock(mutex_);
            is_first = tasks_.empty();
            tasks_.push_back(std::move(task));
        }
        if (is_first) ring();
    }

  private:
    void ring() {
        const std::uint64_t one = 1;
        // It fails only where it has been rung 2^64 times, and then it rings.
        std::ignore = ::write(bell_.native_handle(), &one, sizeof one);
    }
    void listen() {
        bell_.async_read_some(asio::buffer(rung_), [this](const Code& code, std::size_t) {
            if (code) return;
            listen();
            run_tasks();
        });
    }
    // Those behind one that throws, or that stops the loop, wait for the next turn.
    void run_tasks() {
        struct Turn {
            Inbox& inbox;
            bool done = false;
            ~Turn() {
                if (!done) inbox.ring();
            }
        } turn{*this};
        run_taken();
        if (taken_.empty()) {
            const std::lock_guard lock(mutex_);
            taken_.swap(tasks_);
        }
        run_taken();
        turn.done = taken_.empty();
    }
    void run_taken() {
        while (!taken_.empty() && !context_.stopped()) {
            const std::function<void()> task = std::move(taken_.front());
            taken_.pop_front();
            task();
        }
    }

    asio::io_context& context_;
    asio::posix::stream_descriptor bell_;
    std::array<std::uint8_t, sizeof(std::uint64_t)> rung_{};
    std::mutex mutex_;
    std::deque<std::function<void()>> tasks_;
    // Of the loop's thread; before those in `tasks_`.
    std::deque<std::function<void()>> taken_;
};

class AsioLoop final : public RunLoop {
  public:
    const Clock& clock() const override { return clock_; }
    std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) override {
        return std::make_unique<AsioTimer>(context_, std::move(on_expiry));
    }
    std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) override {
        return std::make_unique<AsioWatch>(context_, descriptor, std::move(on_ready));
    }
    void post(std::function<void()> task) override {
        if (context_.get_executor().running_in_this_thread()) {
            asio::post(context_, std::move(task));
        } else {
            inbox_.add(std::move(task));
        }
    }
    void run() override {
        auto keep_running = asio::make_work_guard(context_);
        context_.restart();
        context_.run();
    }
    void stop() override { context_.stop(); }
    void on_signal(int signal_number, std::function<void()> callback) override {
        auto set = std::make_shared<asio::signal_set>(context_, signal_number);
        wait_for(set, std::make_shared<std::function<void()>>(std::move(callback)));
    }

  private:
    static void wait_for(const std::shared_ptr<asio::signal_set>& set,
                         const std::shared_ptr<std::function<void()>>& callback) {
        set->async_wait([set, callback](const Code& code, int) {
            if (code) return;
            (*callback)();
            wait_for(set, callback);
        });
    }

    SystemClock clock_;
    asio::io_context context_{1};
    Inbox inbox_{context_};
};

}  // namespace

std::unique_ptr<RunLoop> make_asio_loop() {
    return std::make_unique<AsioLoop>();
}

}  // namespace segue
