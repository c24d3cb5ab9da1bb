// SPDX-License-Identifier: LGPL-2.1-or-later
// Virtual time, and connections whose messages arrive late, in order, or never.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/time.h"

namespace segue::sim::handover {

class Timeline {
  public:
    Duration now() const { return now_; }
    // Tasks of one moment run in the order in which they were given.
    void after(Duration delay, std::function<void()> task) {
        tasks_.emplace(std::pair{now_ + delay, ++last_}, std::move(task));
    }
    // False: nothing is left, or the time is up.
    bool step(Duration bound) {
        if (tasks_.empty() || tasks_.begin()->first.first > bound) return false;
        now_ = tasks_.begin()->first.first;
        const auto task = std::move(tasks_.begin()->second);
        tasks_.erase(tasks_.begin());
        task();
        return true;
    }

  private:
    Duration now_{};
    std::uint64_t last_ = 0;
    std::map<std::pair<Duration, std::uint64_t>, std::function<void()>> tasks_;
};

// A timer that can be started anew and stopped.
class Alarm {
  public:
    Alarm(Timeline& time, std::function<void()> ring) : time_(time), ring_(std::move(ring)) {}
    void start(Duration delay) {
        const std::uint64_t turn = ++*turn_;
        time_.after(delay, [turn, now = turn_, this] {
            if (*now == turn) ring_();
        });
    }
    void stop() { ++*turn_; }
    ~Alarm() { ++*turn_; }

  private:
    Timeline& time_;
    std::function<void()> ring_;
    std::shared_ptr<std::uint64_t> turn_ = std::make_shared<std::uint64_t>(0);
};

enum class Say : std::uint8_t {
    link,  // client: channel and session
    linked,
    refused,
    init,
    begin,
    begin_seamless,
    cancel,
    end,
    switch_host,
    migrate,  // number: flags
    data,
    flush,
    connected,
    connected_seamless,
    connect_error,
    do_seamless,
    ack,
    nack,
    migrate_end,
    ping,
    pong,
};

inline std::string_view name_of(Say say) {
    constexpr std::string_view kNames[] = {"link",          "linked",
                                           "refused",       "init",
                                           "begin",         "begin_seamless",
                                           "cancel",        "end",
                                           "switch_host",   "migrate",
                                           "data",          "flush",
                                           "connected",     "connected_seamless",
                                           "connect_error", "do_seamless",
                                           "ack",           "nack",
                                           "migrate_end",   "ping",
                                           "pong"};
    return kNames[static_cast<std::size_t>(say)];
}

struct Message {
    Say say{};
    std::uint32_t number = 0;  // link: the session; begin, switch_host: the server; migrate: flags
};

// One connection. Each end hears the other's messages in order, and its end once.
class Line : public std::enable_shared_from_this<Line> {
  public:
    struct End {
        std::function<void(const Message&)> hear;
        std::function<void()> lost;
    };

    // `own_number`: of the connection, counted by the network.
    Line(Timeline& time, Random& random, Duration delay, int own_number, int of_channel,
         int to_server)
        : number(own_number),
          channel(of_channel),
          server(to_server),
          time_(time),
          random_(random),
          delay_(delay) {}

    // From the client to the server, or back.
    void send(bool to_server, Message message) {
        if (closed_) return;
        Duration& free = free_[to_server ? 1 : 0];
        const Duration jitter = delay_ * static_cast<int>(random_.below(100)) / 400;
        free = std::max(free, time_.now() + delay_ + jitter);
        time_.after(free - time_.now(), [line = shared_from_this(), to_server, message] {
            if (line->cut_) return;
            // A copy: what is heard may close the line.
            const auto hear = (to_server ? line->at_server : line->at_client).hear;
            if (!hear) return;
            hear(message);
            if (line->on_heard) line->on_heard(to_server, message);
        });
    }
    // One end closes it: what it said before still arrives, and then its end.
    void close(bool by_server) {
        if (std::exchange(closed_, true)) return;
        (by_server ? at_server : at_client) = {};
        Duration& free = free_[by_server ? 0 : 1];
        free = std::max(free, time_.now() + delay_);
        time_.after(free - time_.now(), [line = shared_from_this(), by_server] {
            if (line->cut_) return;
            const auto lost = std::exchange(by_server ? line->at_client : line->at_server, {}).lost;
            if (lost) lost();
        });
    }
    // The line breaks: both ends see it, and nothing arrives any more.
    void cut() {
        if (std::exchange(cut_, true)) return;
        closed_ = true;
        for (End* end : {&at_client, &at_server}) {
            const auto lost = std::exchange(*end, {}).lost;
            if (lost) time_.after(Duration{1ms}, lost);
        }
    }
    bool is_open() const { return !closed_; }

    const int number;
    const int channel;
    const int server;
    End at_client;
    End at_server;
    // Each message that arrived, after its end has heard it.
    std::function<void(bool to_server, const Message& message)> on_heard;
    // The server's end has ended, whether or not anybody reads it yet.
    bool is_lost_at_server = false;
    // What the client has said before its server reads the connection.
    std::vector<Message> unread;

  private:
    Timeline& time_;
    Random& random_;
    const Duration delay_;
    Duration free_[2] = {};
    bool closed_ = false;
    bool cut_ = false;
};
using LinePointer = std::shared_ptr<Line>;

}  // namespace segue::sim::handover
