// SPDX-License-Identifier: LGPL-2.1-or-later
// A standby whose segue-standby is gone, by itself or with its host. What it wrote down before
// (state.json, on disk before each step of a promotion) says what that means:
//
//   promoted  guest ran  QEMU lives
//   no        -          -           it is started again; where no epoch is held, or protection was
//                                    given up, the log is folded and the standby ends
//   yes       no         -           begun, and nobody runs: started again, an operator decides
//   yes       yes        yes         it is started again and serves the guest's disks and cards
//   yes       yes        no          the guest is this host's, and has ended
#include <cstdlib>
#include <filesystem>

#include "base/log.h"
#include "daemon/domain_list.h"
#include "daemon/life_steps.h"
#include "daemon/protection/arbiter.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/helper.h"
#include "daemon/protection/standby.h"
#include "daemon/workers.h"
#include "protect/disk_epochs.h"
#include "qemu/plain_file.h"
#include "qemu/process_record.h"

namespace segue {
namespace {

constexpr Duration kSoon = 200ms;
// Behind the first few: it does not help, and costs little.
constexpr Duration kLater = 5s;
constexpr int kRescues = 3;
// Of segue-standby's state.json, which has some hundred bytes.
constexpr std::size_t kMaxStateBytes = 64U << 10;
constexpr std::size_t kMaxPidBytes = 64;

Json read_json(const std::string& path) {
    const auto text = read_plain(path, kMaxStateBytes);
    auto json = text.and_then([](const std::string& read) { return Json::parse(read); });
    return json && json->is_object() ? std::move(*json) : Json::object();
}

// The QEMU that segue-standby in this directory has started, if it lives. Files and helper are
// those of QEMU's user: what they name must be a process of that user, and of this directory.
std::optional<ProcessIdentity> living_qemu(const std::string& directory,
                                           std::string_view seat = "") {
    const auto said =
        read_plain(fmt::format("{}/standby/{}qemu.pid", directory, seat), kMaxPidBytes);
    if (!said) return std::nullopt;
    return identify_in(std::atoi(said->c_str()), directory);
}

}  // namespace

Json StandbyProtection::facts() const {
    return read_json(file("standby/state.json"));
}

bool StandbyProtection::guest_lives() const {
    return facts().flag("ran") && living_qemu(directory_).has_value();
}

// One that was started ahead for a promotion outlives a segue-standby that is killed. A guest that
// was let go is never ended here.
void StandbyProtection::end_prestarted() {
    // A shadow that is the guest has left its seat.
    for (const char* seat : {"s0/", "s1/"}) {
        if (const auto shadow = living_qemu(directory_, seat)) kill_process(*shadow);
    }
    const auto qemu = living_qemu(directory_);
    if (qemu && state_ != State::promoted && !facts().flag("ran")) kill_process(*qemu);
}

void StandbyProtection::helper_ended() {
    const auto domain = domain_.lock();
    const Json known = facts();
    const bool ran = known.flag("ran") || state_ == State::promoted;
    const bool lives = guest_lives();
    log_error("daemon", "domain '{}': segue-standby has ended: {}", domain->name,
              log_tail(file("log")));
    if (ran && !lives) return ran_and_ended();
    // A first state was committed, and nobody has said that it does not count any more.
    const bool holds = known.u64("epoch") > 0 && !known.flag("given_up");
    if ((!known.flag("promoted") && !holds) || (!ran && rescues_ >= kRescues)) {
        services_.event_log.add(services_.wall_ms(), "protection", domain->name,
                                "segue-standby has ended: no standby is kept");
        return remove();
    }
    start_again();
}

void StandbyProtection::start_again() {
    const auto domain = domain_.lock();
    const auto self = shared_from_this();
    const Duration wait = rescues_ < kRescues ? kSoon : kLater;
    rescues_ += 1;
    // Nobody is linked to the next one.
    if (state_ == State::standing_by) state_ = State::waiting;
    // No agent is let in any more, and none shall have the key of the one before.
    Bytes secret(16);
    services_.random.fill(secret);
    Json arguments = started_with_.is_object() ? started_with_ : Json::object();
    arguments.set("secret", to_hex(secret.data(), secret.size()));
    if (agent_port_ != 0) services_.migration_ports.give_back(std::exchange(agent_port_, 0));
    if (const auto started = start(arguments); !started) {
        log_error("daemon", "domain '{}': {}", domain->name, started.error().message);
    } else {
        services_.event_log.add(services_.wall_ms(), "protection", domain->name,
                                "segue-standby has ended: it is started again");
    }
    after(wait, [self] { self->look(); });
}

// What it holds is the newest where its primary stands still without it. A primary whose bias is
// its own has gone on, and asks for another standby when it is ready.
void StandbyProtection::started_again(std::string_view said) {
    const auto domain = domain_.lock();
    if (said == "none") {
        services_.event_log.add(services_.wall_ms(), "protection", domain->name,
                                "segue-standby has ended: no standby is kept");
        return remove();
    }
    if (said != "stale" || std::exchange(asks_whether_newest_, true)) return;
    if (figures_.flag("outrun")) {
        const std::string text = fmt::format(
            "what has left is not known to epoch {} any more: only `segue failover {} "
            "--force` lets it run",
            figures_.u64("epoch"), domain->name);
        log_warning("daemon", "domain '{}': {}", domain->name, text);
        return services_.event_log.add(services_.wall_ms(), "protection", domain->name, text);
    }
    if (!witness_uri_.empty()) return ask_witness();
    if (started_with_.text("on_loss") != "promote") return;
    log_warning("daemon", "domain '{}': its primary stands still without its standby",
                domain->name);
    promote(true, [](const Result<Json>&) {});
}

void StandbyProtection::ask_witness() {
    ask_arbiter(services_, witness_uri_, "witness-claim",
                Json::object({{"key", key_}, {"side", "standby"}}),
                [self = shared_from_this()](Result<Json> said) {
                    const auto domain = self->domain_.lock();
                    const bool waits = domain && domain->standby == self &&
                                       self->figures_.text("state") == "stale";
                    if (!waits) return;
                    const std::string_view verdict = said ? said->text("verdict") : "";
                    if (verdict == "refused") return;
                    if (verdict == "granted") {
                        return self->promote(true, [](const Result<Json>&) {});
                    }
                    // Not reached, or the primary's lease still runs.
                    self->asks_whether_newest_ = false;
                });
}

// With its host, or before it became a domain: its disks and its definition are here.
void StandbyProtection::ran_and_ended() {
    const auto domain = domain_.lock();
    if (!domain || domain->is_active()) return;
    state_ = State::promoted;
    former_by_.clear();
    domain->unresolved.clear();
    if (made_definition_ && !keeps_definition_) domain->persistent.reset();
    if (keeps_definition_) {
        auto kept = parse_printed_domain(print_domain(live_, {.secure = true}));
        if (kept) domain->persistent = std::move(*kept);
    }
    if (const auto saved = services_.domains.save(*domain); !saved) {
        log_error("daemon", "domain '{}': {}", domain->name, saved.error().message);
    }
    const std::string text = "took over, and has ended since";
    log_warning("daemon", "domain '{}': {}", domain->name, text);
    services_.event_log.add(services_.wall_ms(), "protection", domain->name, text);
    remove();
}

// Logs that nobody has brought into their images: the last epochs, whole or begun.
std::vector<StandbyProtection::DiskLog> StandbyProtection::left_logs() const {
    std::vector<DiskLog> logs;
    if (is_shared()) return logs;
    const std::vector<std::size_t> disks = writable_disks(live_);
    for (std::size_t number = 0; number < disks.size(); ++number) {
        const Disk& disk = live_.disks[disks[number]];
        const std::string log =
            file(number == 0 ? "standby" : fmt::format("standby/disk{}", number));
        std::error_code code;
        if (std::filesystem::exists(log, code)) logs.push_back({log, disk.source, disk.target});
        // Of the shadow that became the guest; of any other it counts for nothing.
        const std::string more = file(fmt::format("standby/shadow-disk{}", number));
        if (facts().u64("seat") != 0 && std::filesystem::exists(more, code)) {
            logs.push_back({more, disk.source, disk.target});
        }
    }
    return logs;
}

// As much is written as the guest wrote in those epochs: on a thread. A log that could not be
// brought in is kept, and `removed` hears it.
void StandbyProtection::fold_disks(std::vector<DiskLog> logs) {
    if (std::exchange(folds_, true)) return;
    const auto problem = std::make_shared<std::string>();
    const auto fold = [logs = std::move(logs), problem] {
        for (const DiskLog& one : logs) {
            auto disk = DiskEpochs::open(one.image, one.log, DiskEpochs::kAllSealed);
            const Result<> ended = disk ? (*disk)->end_epochs() : tl::unexpected(disk.error());
            if (ended) continue;
            *problem = fmt::format("the log of its standby's disk '{}' is kept in '{}': {}",
                                   one.target, one.log, ended.error().message);
            return;
        }
    };
    services_.workers.run(fold, [self = shared_from_this(), problem] {
        self->folds_ = false;
        if (!problem->empty()) {
            log_error("daemon", "domain '{}': {}", self->live_.name, *problem);
        }
        self->removed(problem->empty());
    });
}

}  // namespace segue
