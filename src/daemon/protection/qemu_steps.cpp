// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/qemu_steps.h"

#include "base/log.h"
#include "daemon/protection/devices.h"
#include "daemon/services.h"
#include "protect/agent_link.h"

namespace segue {
namespace {

// QEMU's names of what belongs to a device: with its number behind.
constexpr std::string_view kGateFilter = "segue-gate";
constexpr std::string_view kInFilter = "segue-in";
constexpr std::string_view kCharOut = "segue-net-out";
constexpr std::string_view kCharBack = "segue-net-back";
constexpr std::string_view kCharIn = "segue-net-in";
constexpr std::string_view kDiskNode = "segue-disk";
constexpr std::string_view kMirror = "segue-mirror";
constexpr Duration kFirstLook = 5ms, kLook = 100ms;
constexpr Duration kYankBound = 1s;
// A mirror copies the whole disk; what has no bound is watched by whoever waits.
constexpr int kLooksUntilEnded = 300;
// For a checkpoint thread that is only starting: about a second.
constexpr int kLooksUntilBegun = 15;
// No checkpoint is due before everything is over.
constexpr std::uint32_t kNoCheckpointMs = 3600 * 1000;

// A QEMU may end between two steps.
void ask(const DomainPointer& domain, const std::string& command, const Json& arguments,
         const Answer<Json>& answer) {
    const auto guest = domain->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    (*guest)->execute(command, arguments, answer);
}

Step tell(const DomainPointer& domain, std::string command, Json arguments) {
    return [domain, command = std::move(command), arguments](Answer<> done) {
        ask(domain, command, arguments,
            [done](Result<Json> said) { done(said.map([](const Json&) {})); });
    };
}

Step tell_and_ignore(const DomainPointer& domain, std::string command, Json arguments) {
    return [domain, command = std::move(command), arguments](Answer<> done) {
        ask(domain, command, arguments, [done, command](Result<Json> said) {
            if (!said) log_debug("daemon", "{}: {}", command, said.error().message);
            done({});
        });
    };
}

std::string numbered(std::string_view name, std::size_t number) {
    return fmt::format("{}{}", name, number);
}

Json unix_chardev(const std::string& id, const std::string& path) {
    const Json address = Json::object({{"type", "unix"}, {"data", Json::object({{"path", path}})}});
    const Json socket = Json::object({{"addr", address}, {"server", false}});
    return Json::object(
        {{"id", id}, {"backend", Json::object({{"type", "socket"}, {"data", socket}})}});
}

// Asks again and again until `look` says that it is over.
using Look = std::function<std::optional<Result<>>(const Json& said)>;
void ask_until(const Services& services, const DomainPointer& domain, const std::string& question,
               const Look& look, int times, const Answer<>& done, Duration wait = kFirstLook) {
    const auto look_at = [&services, domain, question, look, times, done, wait](Result<Json> said) {
        if (!said) return done(tl::unexpected(said.error()));
        if (const auto outcome = look(*said)) return done(*outcome);
        if (times == 1) {
            return done(fail(ErrorCode::timeout, "QEMU: {} does not come to an end", question));
        }
        const auto timer = std::make_shared<std::unique_ptr<Timer>>();
        const Duration next = std::min(2 * wait, kLook);
        *timer =
            services.loop.make_timer([&services, domain, question, look, times, done, next, timer] {
                ask_until(services, domain, question, look, times - 1, done, next);
                services.loop.post([timer] { timer->reset(); });
            });
        (*timer)->start(wait);
    };
    ask(domain, question, {}, look_at);
}

// Overtakes what QEMU has not come to.
void ask_out_of_band(const DomainPointer& domain, const std::string& command, const Json& arguments,
                     const Answer<Json>& answer) {
    const auto guest = domain->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    QmpCommand question{.name = command, .arguments = arguments, .out_of_band = true};
    (*guest)->monitor().execute(std::move(question), answer, kYankBound);
}

bool is_ours(const Json& instance) {
    const std::string_view type = instance.text("type");
    if (type == "migration") return true;
    const std::string_view name = instance.text(type == "block-node" ? "node-name" : "id");
    const auto is = [name](std::string_view ours) { return name.substr(0, ours.size()) == ours; };
    if (type == "block-node") return is(kDiskNode);
    return type == "chardev" && (is(kCharOut) || is(kCharBack) || is(kCharIn));
}

bool has_failed(const Json& job) {
    return job.text("io-status") != "ok";
}

const Json* job_of(const Json& jobs, const std::string& mirror) {
    for (const Json& job : jobs.items()) {
        if (job.text("device") == mirror) return &job;
    }
    return nullptr;
}

}  // namespace

void plug_network(Steps& steps, const DomainPointer& domain, const DevicePlug& card) {
    const auto id = [&card](std::string_view name) { return numbered(name, card.number); };
    const auto connect = [&](std::string_view name, std::string_view socket) {
        const std::string path = card.directory + "/" + numbered_socket(socket, card.number);
        steps.push_back(tell(domain, "chardev-add", unix_chardev(id(name), path)));
    };
    connect(kCharOut, "net-out");
    connect(kCharBack, "net-back");
    connect(kCharIn, "net-in");
    steps.push_back(tell(domain, "object-add",
                         Json::object({{"qom-type", "filter-redirector"},
                                       {"id", id(kInFilter)},
                                       {"netdev", card.name},
                                       {"queue", "tx"},
                                       {"indev", id(kCharIn)}})));
    // "rx" is what the back end receives: the guest's frames.
    steps.push_back(tell(domain, "object-add",
                         Json::object({{"qom-type", "filter-redirector"},
                                       {"id", id(kGateFilter)},
                                       {"netdev", card.name},
                                       {"queue", "rx"},
                                       {"indev", id(kCharBack)},
                                       {"outdev", id(kCharOut)}})));
}

void unplug_network(Steps& steps, const DomainPointer& domain, std::size_t number) {
    for (const std::string_view name : {kGateFilter, kInFilter}) {
        steps.push_back(
            tell_and_ignore(domain, "object-del", Json::object({{"id", numbered(name, number)}})));
    }
    for (const std::string_view name : {kCharOut, kCharBack, kCharIn}) {
        steps.push_back(tell_and_ignore(domain, "chardev-remove",
                                        Json::object({{"id", numbered(name, number)}})));
    }
}

void plug_disk(Steps& steps, const Services& services, const DomainPointer& domain,
               const DevicePlug& disk, const std::function<Result<>()>& wanted) {
    const std::string mirror = numbered(kMirror, disk.number);
    const Json server = Json::object(
        {{"type", "unix"}, {"path", disk.directory + "/" + numbered_socket("disk", disk.number)}});
    const Json target = Json::object({{"driver", "nbd"}, {"server", server}});
    // Not blockdev-mirror: the node, and with it the connection, would outlive the job.
    steps.push_back(tell(domain, "drive-mirror",
                         Json::object({{"job-id", mirror},
                                       {"device", disk.name},
                                       {"target", "json:" + target.dump()},
                                       {"node-name", numbered(kDiskNode, disk.number)},
                                       {"mode", "existing"},
                                       {"sync", "full"},
                                       {"copy-mode", "write-blocking"},
                                       {"on-source-error", "stop"},
                                       {"on-target-error", "stop"}})));
    steps.push_back([&services, domain, mirror, wanted](Answer<> done) {
        ask_until(
            services, domain, "query-block-jobs",
            [mirror, wanted](const Json& said) -> std::optional<Result<>> {
                if (const auto still = wanted(); !still) return still;
                const Json* job = job_of(said, mirror);
                if (job == nullptr) {
                    return Result<>(fail(ErrorCode::operation_failed,
                                         "a disk could not be copied to the standby: see QEMU's "
                                         "log"));
                }
                if (has_failed(*job)) {
                    return Result<>(fail(ErrorCode::operation_failed,
                                         "a disk could not be copied to the standby: QEMU met an "
                                         "I/O error ({})",
                                         job->text("io-status")));
                }
                if (job->flag("ready")) return Result<>();
                return std::nullopt;
            },
            0, done);
    });
}

namespace {

void unplug_disk(Steps& steps, const Services& services, const DomainPointer& domain,
                 std::size_t number) {
    const std::string mirror = numbered(kMirror, number);
    steps.push_back(tell_and_ignore(domain, "block-job-cancel",
                                    Json::object({{"device", mirror}, {"force", true}})));
    steps.push_back([&services, domain, mirror](Answer<> done) {
        ask_until(
            services, domain, "query-block-jobs",
            [mirror](const Json& said) -> std::optional<Result<>> {
                if (job_of(said, mirror) == nullptr) return Result<>();
                return std::nullopt;
            },
            kLooksUntilEnded, [done](Result<>) { done({}); });
    });
}

}  // namespace

// A mirror that is cancelled in QEMU 7.2 frees its map of what is in flight before it has waited
// for the guest's own writes, each of which clears its bits there when it ends (block/mirror.c:
// immediate_exit beside active_write_settle()): the heap is corrupted, and QEMU dies some commands
// later. Stopping the guest waits for them. Neither does one fail by itself under a guest that
// runs: it stops at an error, and comes here. Whoever protects a guest starts it again, also where
// a daemon before this one has stopped it: nobody else may.
void unplug_disks(Steps& steps, const Services& services, const DomainPointer& domain,
                  std::size_t count) {
    if (count == 0) return;
    steps.push_back(tell_and_ignore(domain, "stop", {}));
    for (std::size_t disk = 0; disk < count; ++disk)
        unplug_disk(steps, services, domain, disk);
}

std::optional<EndedMirror> ended_mirror(const QmpEvent& event) {
    const bool completed = event.name == "BLOCK_JOB_COMPLETED";
    const bool cancelled = event.name == "BLOCK_JOB_CANCELLED";
    if (!completed && !cancelled && event.name != "BLOCK_JOB_ERROR") return std::nullopt;
    const std::string_view device = event.data.text("device");
    for (std::size_t number = 0; number < protect::agent::kDisksMax; ++number) {
        if (device != numbered(kMirror, number)) continue;
        if (cancelled) return EndedMirror{number, "somebody has cancelled it"};
        const std::string_view error = event.data.text("error");
        if (completed) return EndedMirror{number, std::string(error.empty() ? "done" : error)};
        return EndedMirror{number, fmt::format("QEMU could not {}", event.data.text("operation"))};
    }
    return std::nullopt;
}

std::optional<EndedMirror> missing_mirror(const Json& jobs, std::size_t disks) {
    for (std::size_t number = 0; number < disks; ++number) {
        const Json* job = job_of(jobs, numbered(kMirror, number));
        if (job == nullptr) return EndedMirror{number, "QEMU does not know it any more"};
        if (has_failed(*job)) return EndedMirror{number, "QEMU met an I/O error"};
    }
    return std::nullopt;
}

void yank(Steps& steps, const DomainPointer& domain) {
    steps.push_back([domain](Answer<> done) {
        ask_out_of_band(domain, "query-yank", {}, [domain, done](Result<Json> said) {
            Json ours = Json::array();
            if (said) {
                for (const Json& instance : said->items()) {
                    if (is_ours(instance)) ours.push(instance);
                }
            }
            if (ours.items().empty()) return done({});
            ask_out_of_band(domain, "yank", Json::object({{"instances", ours}}),
                            [done](Result<Json> yanked) {
                                if (!yanked) log_warning("daemon", "{}", yanked.error().message);
                                done({});
                            });
        });
    });
}

void begin_checkpoints(Steps& steps, const DomainPointer& domain, std::uint32_t interval_ms,
                       bool stop_first, const std::string& directory) {
    Json capabilities = Json::array();
    const auto set = [&](const char* name, bool on) {
        capabilities.push(Json::object({{"capability", name}, {"state", on}}));
    };
    // The answers of COLO travel where a return path would.
    for (const char* off :
         {"return-path", "postcopy-ram", "multifd", "x-ignore-shared", "compress"})
        set(off, false);
    set("x-colo", true);
    steps.push_back(
        tell(domain, "migrate-set-capabilities", Json::object({{"capabilities", capabilities}})));
    steps.push_back(tell(domain, "migrate-set-parameters",
                         Json::object({{"x-checkpoint-delay", interval_ms},
                                       {"max-bandwidth", std::uint64_t{1} << 40}})));
    if (stop_first) steps.push_back(tell(domain, "stop", {}));
    steps.push_back(
        tell(domain, "migrate", Json::object({{"uri", "unix:" + directory + "/colo.sock"}})));
}

// QEMU 7.2 says "completed" before its checkpoint thread has come to its end, and that thread frees
// a timer which fires on the main loop: one that is set again at that moment corrupts the heap
// (migration/colo.c: colo_checkpoint_notify() beside the end of colo_process_checkpoint()). So the
// timer is moved far away first; that is safe as soon as the thread has made it, which is before
// the guest leaves "finish-migrate". Its end is over when the migration's yank instance is gone.
void end_checkpoints(Steps& steps, const Services& services, const DomainPointer& domain) {
    const auto status = std::make_shared<std::string>();
    steps.push_back([domain, status](Answer<> done) {
        ask(domain, "query-migrate", {}, [status, done](Result<Json> said) {
            *status = said ? said->text("status") : "";
            done({});
        });
    });
    steps.push_back([&services, domain, status](Answer<> done) {
        if (*status != "colo") return done({});
        ask_until(
            services, domain, "query-status",
            [](const Json& said) -> std::optional<Result<>> {
                if (said.text("status") == "finish-migrate") return std::nullopt;
                return Result<>();
            },
            kLooksUntilBegun, [done](Result<>) { done({}); });
    });
    steps.push_back([domain, status](Answer<> done) {
        if (*status != "colo") return done({});
        ask(domain, "migrate-set-parameters",
            Json::object({{"x-checkpoint-delay", kNoCheckpointMs}}),
            [done](Result<Json>) { done({}); });
    });
    steps.push_back([domain, status](Answer<> done) {
        const bool is_first = *status == "active" || *status == "setup" || *status == "device";
        if (*status != "colo" && !is_first) return done({});
        ask(domain, is_first ? "migrate_cancel" : "x-colo-lost-heartbeat", {},
            [done](Result<Json>) { done({}); });
    });
    steps.push_back([&services, domain](Answer<> done) {
        ask_until(
            services, domain, "query-yank",
            [](const Json& said) -> std::optional<Result<>> {
                for (const Json& instance : said.items()) {
                    if (instance.text("type") == "migration") return std::nullopt;
                }
                return Result<>();
            },
            kLooksUntilEnded, [done](Result<>) { done({}); });
    });
    Json off = Json::array();
    off.push(Json::object({{"capability", "x-colo"}, {"state", false}}));
    steps.push_back(
        tell_and_ignore(domain, "migrate-set-capabilities", Json::object({{"capabilities", off}})));
}

}  // namespace segue
