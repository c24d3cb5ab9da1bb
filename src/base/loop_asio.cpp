// SPDX-License-Identifier: LGPL-2.1-or-later
// The real loop. Asio stays in this one file.
#include <map>

#define ASIO_STANDALONE
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

class AsioLoop final : public RunLoop {
  public:
    const Clock& clock() const override { return clock_; }
    std::unique_ptr<Timer> make_timer(std::function<void()> on_expiry) override {
        return std::make_unique<AsioTimer>(context_, std::move(on_expiry));
    }
    std::unique_ptr<Watch> watch(int descriptor, std::function<void(Ready)> on_ready) override {
        return std::make_unique<AsioWatch>(context_, descriptor, std::move(on_ready));
    }
    void post(std::function<void()> task) override { asio::post(context_, std::move(task)); }
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
};

}  // namespace

std::unique_ptr<RunLoop> make_asio_loop() {
    return std::make_unique<AsioLoop>();
}

}  // namespace segue
