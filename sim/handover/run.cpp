// SPDX-License-Identifier: LGPL-2.1-or-later
#include "sim/handover/run.h"

#include <fmt/format.h>

#include <array>
#include <memory>

#include "sim/handover/client.h"

namespace segue::sim::handover {
namespace {

using spice::server::CarriedMessage;

enum class Fault : std::uint8_t {
    none,
    cut_source,   // every connection between the client and the source
    cut_target,   // the same at the target
    target_dies,  // the incoming QEMU ends: the move fails
    source_dies,  // the source's QEMU ends
    client_dies,
    cancelled,       // the move is cancelled
    announced_anew,  // migrate_connect a second time, on the way
};
constexpr int kFaults = 8;
constexpr std::string_view kFaultNames[] = {"none",        "cut source",    "cut target",
                                            "target dies", "source dies",   "client dies",
                                            "cancelled",   "announced anew"};
constexpr Duration kBound = 300s;

class Run {
  public:
    Run(std::uint64_t seed, Mistake mistake, bool verbose) : verbose_(verbose), random_(seed) {
        for (int number = 1; number <= 3; ++number) {
            Server::Events events;
            events.wrong = [this](const std::string& what) { wrong(what); };
            events.clients_linked = [this, number] { linked(number); };
            events.state = [this, number](const CarriedMessage& message) {
                carry(number, message);
            };
            servers_[number] = std::make_unique<Server>(time_, random_, number, std::move(events));
            servers_[number]->mistake = mistake;
        }
        client_ = std::make_unique<Client>(
            time_, [this](int channel, int server) { return dial(channel, server); }, 1);
        delay_ = Duration{std::array{0, 1, 20, 100, 400}[random_.below(5)] * 1ms};
        fault_ = static_cast<Fault>(random_.below(kFaults));
        fault_at_ = random_.below(90);
        daemons_ = random_.below(4) != 0;
        carry_fails_ = random_.below(5) == 0;
        slow_servers_ = random_.below(4) == 0;
        if (slow_servers_) {
            for (const auto& [number, one] : servers_)
                one->busy = 3000ms;
        }
        moves_ = 1 + static_cast<int>(random_.below(2));
    }

    RunResult run() {
        server(1).vm_start();
        client_->start();
        time_.after(Duration{random_.below(3000) * 1ms}, [this] { begin_move(2); });
        while (time_.step(kBound)) {
        }
        check();
        return finish();
    }

  private:
    Server& server(int number) { return *servers_.at(number); }

    LinePointer dial(int channel, int to) {
        auto line = std::make_shared<Line>(time_, random_, delay_ + Duration{1ms},
                                           static_cast<int>(lines_.size()), channel, to);
        lines_.push_back(line);
        server(to).accept(line);
        line->on_heard = [this, channel, to, number = line->number](bool to_server,
                                                                    const Message& message) {
            heard(fmt::format(
                "{} channel {} line {}: {} {}",
                to_server ? fmt::format("to server {}", to) : fmt::format("from server {}", to),
                channel, number, name_of(message.say), message.number));
            // The faults count what the servers hear.
            if (to_server && result_.messages++ == fault_at_)
                time_.after(Duration{}, [this] { strike(); });
        };
        return line;
    }

    void heard(const std::string& what) {
        for (const char letter : fmt::format("{} {}", to_us(time_.now()), what))
            result_.digest = (result_.digest ^ static_cast<std::uint8_t>(letter)) * 0x100000001b3;
        note(what);
    }

    void note(const std::string& what) {
        if (verbose_) fmt::print("{:>9.3f} s  {}\n", to_us(time_.now()) / 1e6, what);
    }

    void strike() {
        note(fmt::format("the fault: {}", kFaultNames[static_cast<int>(fault_)]));
        switch (fault_) {
            case Fault::none: return;
            case Fault::cut_source: return cut(from_);
            case Fault::cut_target: return cut(to_);
            case Fault::target_dies:
                if (to_ == 0 || arrived_) return;
                end_of(to_);
                return fail_move();
            case Fault::source_dies:
                end_of(from_);
                if (!arrived_ && machine_ == from_) machine_ = 0;
                if (!arrived_ && to_ != 0) give_up_target();
                return;
            case Fault::client_dies: return client_->die();
            case Fault::cancelled:
                if (to_ == 0 || arrived_ || stopped_) return;
                give_up_target();
                return fail_move();
            case Fault::announced_anew:
                if (to_ != 0 && !arrived_ && !stopped_) server(from_).connect(to_);
                return;
        }
    }

    void cut(int number) {
        for (const LinePointer& line : lines_) {
            if (line->server == number) line->cut();
        }
    }

    // The incoming QEMU of a move that failed is ended, too.
    void give_up_target() {
        if (server(to_).alive()) end_of(to_);
    }

    // A process ends, and with it every socket of it.
    void end_of(int number) {
        note(fmt::format("server {} ends", number));
        server(number).die();
        cut(number);
    }

    void fail_move() {
        if (failed_) return;
        note("the move fails");
        failed_ = true;
        if (!server(from_).alive()) return;
        server(from_).end(false);
        if (stopped_) server(from_).vm_start();
        machine_ = from_;
    }

    // --- A move ---

    void begin_move(int to) {
        if (!server(from_).alive() || !server(to).alive()) return;
        note(fmt::format("server {} is told of a move to {}", from_, to));
        // Who logs in while the machine is about to go is sent behind it: that is a new session.
        logged_in_late_ |= !client_->was_up();
        to_ = to;
        failed_ = stopped_ = arrived_ = false;
        server(from_).connect(to);
        // An orchestrator waits for the clients, within a bound; a bare QEMU does not.
        if (daemons_) {
            time_.after(5s, [this, to] { start_move(to); });
        } else {
            time_.after(Duration{random_.below(500) * 1ms}, [this, to] { start_move(to); });
        }
    }

    void linked(int number) {
        if (!daemons_ || number != from_ || to_ == 0) return;
        server(number).carry_state();
        time_.after(Duration{1ms}, [this, to = to_] { start_move(to); });
    }

    void start_move(int to) {
        if (to != to_ || failed_ || started_ == to || !server(from_).alive()) return;
        started_ = to;
        note("the move starts");
        server(from_).start();
        time_.after(Duration{(20 + random_.below(2500)) * 1ms}, [this, to] { stop(to); });
    }

    void stop(int to) {
        if (failed_ || to != to_ || !server(from_).alive() || !server(to).alive()) return;
        note("the machine stops");
        stopped_ = true;
        server(from_).vm_stop();
        // Either end may be first.
        const Duration one{(1 + random_.below(30)) * 1ms};
        const Duration other{(1 + random_.below(30)) * 1ms};
        time_.after(std::min(one, other), [this, to] { arrive(to); });
        time_.after(one, [this, to] {
            if (arrived_ && to == to_ && server(from_).alive()) server(from_).end(true);
        });
        time_.after(std::max(one, other) + Duration{1ms}, [this, to] { after_move(to); });
    }

    void arrive(int to) {
        if (failed_ || to != to_ || !server(to).alive() || !server(from_).alive()) return;
        note(fmt::format("the machine runs at {}", to));
        arrived_ = true;
        machine_ = to;
        server(to).vm_start();
    }

    void after_move(int to) {
        if (!arrived_ || to != to_) return;
        // The source's QEMU goes when its clients have gone, or their time is over.
        time_.after(20s, [this, gone = from_] {
            if (!server(gone).alive() || machine_ == gone) return;
            if (client_->alive() && client_->is_settled() && client_->at() == gone)
                wrong(fmt::format("nobody tells the client where its machine went: {}",
                                  client_->describe()));
            end_of(gone);
        });
        if (--moves_ == 0) return;
        from_ = to_;
        to_ = 0;
        time_.after(Duration{random_.below(2000) * 1ms}, [this] { begin_move(3); });
    }

    // --- The two daemons ---

    void carry(int number, const CarriedMessage& message) {
        if (carry_fails_ && random_.below(2) == 0) return;
        const int to = to_;
        if (to == 0) return;
        time_.after(Duration{random_.below(150) * 1ms}, [this, number, to, message] {
            server(to).take_state(message, [this, number](bool last) {
                if (!last) return;
                time_.after(Duration{random_.below(5) * 1ms},
                            [this, number] { server(number).state_taken(); });
            });
        });
    }

    // --- The end ---

    void wrong(const std::string& what) {
        if (result_.violations.size() < 5) result_.violations.push_back(what);
    }

    void check() {
        for (const auto& [number, one] : servers_) {
            if (!one->alive()) continue;
            if (one->connects != one->connect_completions)
                wrong(fmt::format("server {}: {} connects, {} completions", number, one->connects,
                                  one->connect_completions));
            if (one->ends != one->end_completions)
                wrong(fmt::format("server {}: {} ends, {} completions", number, one->ends,
                                  one->end_completions));
            const bool has_machine = number == machine_;
            if (!has_machine && one->clients() != 0)
                wrong(fmt::format("a client is left behind: {}", one->describe()));
            if (one->parked() != 0) wrong(fmt::format("sockets stay parked: {}", one->describe()));
        }
        if (!client_->alive() || machine_ == 0 || !server(machine_).alive()) return;
        const bool is_harmless =
            fault_ == Fault::none || fault_ == Fault::announced_anew || fault_ == Fault::cancelled;
        if (is_harmless && !slow_servers_ && !logged_in_late_ && delay_ <= 100ms &&
            client_->sessions_lost != 0)
            wrong(fmt::format("{} sessions lost, and nothing was broken", client_->sessions_lost));
        // A first connection that fails is told to the user, and not tried again.
        if (client_->is_over() && !client_->was_up()) return;
        // It was away from before the announcement until the old server had ended: nobody is left
        // who could tell it where the machine is.
        if (client_->is_over() && machine_ != 1 && !client_->heard_of(machine_)) return;
        if (!client_->is_settled() || client_->at() != machine_ || !server(machine_).serves_whole())
            wrong(fmt::format("the machine is at {}, but {}; {}", machine_, client_->describe(),
                              server(machine_).describe()));
    }

    RunResult finish() {
        note(client_->describe());
        result_.story = fmt::format("delay {} ms, fault '{}' at message {}, {}{}", to_ms(delay_),
                                    kFaultNames[static_cast<int>(fault_)], fault_at_,
                                    daemons_ ? "with daemons" : "bare",
                                    carry_fails_ ? ", state gets lost" : "");
        result_.seamless = client_->moved;
        result_.semi_seamless = client_->switched;
        result_.new_sessions = client_->relinked;
        result_.cancelled = client_->cancelled;
        for (const auto& [number, one] : servers_) {
            result_.carried += one->carried_moves;
            result_.restored_beside += one->restored_beside;
            result_.restored_through += one->restored_through;
        }
        return result_;
    }

    const bool verbose_;
    Timeline time_;
    SeededRandom random_;
    RunResult result_;
    std::map<int, std::unique_ptr<Server>> servers_;
    std::unique_ptr<Client> client_;
    std::vector<LinePointer> lines_;
    Duration delay_{};
    Fault fault_ = Fault::none;
    std::uint64_t fault_at_ = 0;
    bool daemons_ = false;
    bool carry_fails_ = false;
    bool slow_servers_ = false;
    bool logged_in_late_ = false;
    int moves_ = 1;
    int from_ = 1, to_ = 0, machine_ = 1, started_ = 0;
    bool failed_ = false, stopped_ = false, arrived_ = false;
};

}  // namespace

RunResult run_once(std::uint64_t seed, Mistake mistake, bool verbose) {
    return Run(seed, mistake, verbose).run();
}

}  // namespace segue::sim::handover
