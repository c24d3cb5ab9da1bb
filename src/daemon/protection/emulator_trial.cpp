// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/emulator_trial.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <utility>

#include "base/log.h"
#include "daemon/life_steps.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/helper.h"
#include "qemu/probe.h"
#include "qemu/process_record.h"
#include "qemu/qmp_connection.h"

namespace segue {
namespace {

constexpr Duration kLook = 20ms;
constexpr std::uint32_t kCheckpointDelayMs = 20;

Result<> write_file(const std::string& path, ByteView bytes) {
    std::ofstream file(path, std::ios::binary);
    file.write(reinterpret_cast<const char*>(bytes.data()),
               static_cast<std::streamsize>(bytes.size()));
    file.close();
    if (!file) return fail(ErrorCode::persist_failed, "'{}' cannot be written", path);
    std::error_code code;
    std::filesystem::permissions(path, std::filesystem::perms(0644), code);
    return {};
}

Result<Bytes> read_memory(const std::string& path) {
    Bytes memory(self_test_memory());
    std::ifstream file(path, std::ios::binary);
    file.read(reinterpret_cast<char*>(memory.data()), static_cast<std::streamsize>(memory.size()));
    if (!file) return fail(ErrorCode::operation_failed, "'{}' cannot be read", path);
    return memory;
}

}  // namespace

// One emulator, a machine of it, and a standby of that.
class SelfTests::Trial : public std::enable_shared_from_this<SelfTests::Trial> {
  public:
    Trial(const Services& services, std::string emulator, bool kvm, std::string path)
        : services_(services), emulator_(std::move(emulator)), path_(std::move(path)), kvm_(kvm) {}
    ~Trial() {
        if (qemu_) qemu_->kill();
        if (standby_) standby_->kill();
        remove();
    }

    void start(Answer<> done) {
        done_ = std::move(done);
        bound_ = services_.loop.make_timer([this] {
            finish(fail(ErrorCode::timeout, "it made {} of {} checkpoints within {} s", right_,
                        kCheckpoints, to_ms(kBound) / 1000));
        });
        bound_->start(kBound);
        look_ = services_.loop.make_timer([this] { look(); });
        if (const auto begun = begin(); !begun) finish(begun);
    }
    std::vector<Answer<>> askers;

  private:
    // Beside those of the daemon's other probes: what a killed one leaves is found (recovery.cpp).
    std::string file(std::string_view name) const { return fmt::format("{}-{}", path_, name); }

    Result<> begin() {
        TRY(write_file(file("firmware"), self_test_firmware()));
        HelperStart standby;
        standby.program = "segue-standby";
        standby.directory = file("standby");
        standby.arguments = {"--listen", "unix:" + file("standby/colo.sock"), "--state",
                             file("standby/state")};
        standby_ = TRY(start_helper(services_, standby));
        standby_->on_end([this](const QemuProcess::Ended&) {
            finish(fail(ErrorCode::operation_failed, "segue-standby ended: {}",
                        log_tail(file("standby/log"))));
        });
        look_->start(kLook);
        return {};
    }

    // Nobody is answered from inside what may go with the answer.
    void finish(Result<> result) {
        if (!done_) return;
        services_.loop.post([self = shared_from_this(), done = std::exchange(done_, nullptr),
                             result = std::move(result)] { done(result); });
        bound_->cancel();
        look_->cancel();
        monitor_.reset();
        end(qemu_);
        end(standby_);
    }
    // This object stays until it was reaped.
    void end(std::unique_ptr<QemuProcess>& process) {
        if (!process) return;
        process->kill();
        process->on_end([self = shared_from_this(), &process](const QemuProcess::Ended&) {
            self->services_.loop.post([self, &process] {
                process.reset();
                if (self->qemu_ || self->standby_) return;
                self->remove();
                // The memory of a standby that has no directory any more.
                sweep_memory_of_standbys(self->services_);
            });
        });
    }
    void remove() {
        std::error_code ignored;
        std::filesystem::remove(file("firmware"), ignored);
        for (const char* name : {"standby", "qemu"}) {
            std::filesystem::remove_all(file(name), ignored);
            forget_process(file(name));
        }
    }

    void look() {
        ask_helper(
            services_, file("standby/state/control.sock"), Json::object({{"cmd", "status"}}),
            [self = shared_from_this()](Result<Json> said) {
                if (!self->done_) return;
                // It does not listen yet.
                if (!said) return self->look_->start(kLook);
                self->looked(*said);
            },
            kBound);
    }

    void looked(const Json& said) {
        if (!qemu_) {
            if (const auto begun = start_qemu(); !begun) return finish(begun);
        } else if (said.text("state") == "lost") {
            return finish(fail(ErrorCode::config_unsupported, "its checkpoints ended: {} {}",
                               said.text("reason"), in_one_line(log_tail(file("qemu/log")))));
        } else if (said.u64("epoch") > epoch_) {
            epoch_ = said.u64("epoch");
            return dump();
        }
        look_->start(kLook);
    }

    Result<> start_qemu() {
        ProcessStart start;
        start.directory = file("qemu");
        start.log_path = file("qemu/log");
        start.pid_file = pid_file_beside(start.directory);
        start.user = TRY(qemu_user(services_.settings));
        start.line.monitor_path = file("qemu/monitor.sock");
        start.line.inherited = {
            {InheritedFile::Kind::listen, start.line.monitor_path, kFirstInherited}};
        start.line.arguments = {
            emulator_,
            "-no-user-config",
            "-nodefaults",
            "-display",
            "none",
            "-machine",
            kvm_ ? "pc,accel=kvm" : "pc,accel=tcg",
            "-m",
            "16",
            "-bios",
            file("firmware"),
            "-chardev",
            fmt::format("socket,id=charmonitor,fd={},server=on,wait=off", kFirstInherited),
            "-mon",
            "chardev=charmonitor,id=monitor,mode=control"};
        qemu_ = TRY(QemuProcess::start(services_.loop, start));
        qemu_->on_end([this](const QemuProcess::Ended& ended) {
            finish(fail(ErrorCode::config_unsupported, "it {}: {}", ended.text(),
                        in_one_line(log_tail(file("qemu/log")))));
        });
        QmpConnection::Handlers handlers;
        monitor_ = std::make_unique<QmpConnection>(services_.loop, start.line.monitor_path,
                                                   std::move(handlers),
                                                   QmpConnection::Options{.connect_bound = kBound});
        Json capabilities = Json::array();
        capabilities.push(Json::object({{"capability", "x-colo"}, {"state", true}}));
        tell("migrate-set-capabilities", Json::object({{"capabilities", capabilities}}));
        tell("migrate-set-parameters", Json::object({{"x-checkpoint-delay", kCheckpointDelayMs}}));
        // Emulation's dirty pages are right only from a standstill.
        if (!kvm_) tell("stop", {});
        tell("migrate", Json::object({{"uri", "unix:" + file("standby/colo.sock")}}));
        return {};
    }

    void tell(const char* command, const Json& arguments) {
        monitor_->execute(
            command, arguments,
            [this](Result<Json> said) {
                if (!said) finish(tl::unexpected(said.error()));
            },
            kBound);
    }

    void dump() {
        ask_helper(
            services_, file("standby/state/control.sock"),
            Json::object({{"cmd", "dump"}, {"block", "pc.ram"}, {"path", file("standby/memory")}}),
            [self = shared_from_this()](Result<Json> said) {
                if (!self->done_) return;
                if (!said) return self->finish(tl::unexpected(said.error()));
                const auto judged = self->judge();
                if (!judged || self->right_ == kCheckpoints) return self->finish(judged);
                self->look_->start(kLook);
            },
            kBound);
    }

    // The machine may not have begun at the first ones.
    Result<> judge() {
        const std::uint32_t number = TRY(judge_self_test(TRY(read_memory(file("standby/memory")))));
        const bool is_news = std::exchange(number_, number) != number;
        right_ += is_news ? 1 : 0;
        alike_ = is_news ? 0 : alike_ + 1;
        if (alike_ < kMostAlike) return {};
        return fail(ErrorCode::config_unsupported,
                    "{} checkpoints show nothing of what the guest wrote: written pages are lost "
                    "between checkpoints",
                    alike_);
    }

    const Services& services_;
    const std::string emulator_, path_;
    const bool kvm_;
    Answer<> done_;
    std::unique_ptr<Timer> bound_, look_;
    std::unique_ptr<QemuProcess> standby_, qemu_;
    std::unique_ptr<QmpConnection> monitor_;
    std::uint64_t epoch_ = 1;
    std::uint32_t number_ = 0;
    int right_ = 0, alike_ = 0;
};

SelfTests::SelfTests() = default;

SelfTests::~SelfTests() {
    *alive_ = false;
}

void SelfTests::ask(const Services& services, const std::string& emulator, bool kvm,
                    Answer<> answer) {
    const auto now = fingerprint_of(emulator);
    if (!now) {
        return answer(
            fail(ErrorCode::config_unsupported, "emulator '{}' does not exist", emulator));
    }
    const std::string question = fmt::format("{}\n{}", emulator, kvm ? "kvm" : "tcg");
    const auto proven = proven_.find(question);
    if (proven != proven_.end() && proven->second == *now) return answer({});
    if (const auto running = trials_.find(question); running != trials_.end()) {
        return running->second->askers.push_back(std::move(answer));
    }
    const auto trial = std::make_shared<Trial>(
        services, emulator, kvm,
        fmt::format("{}/probe-{}-checkpoints-{}", services.settings.state, ::getpid(), ++count_));
    trials_[question] = trial;
    trial->askers.push_back(std::move(answer));
    log_info("daemon", "the checkpoints of '{}' are tried", emulator);
    trial->start([this, alive = alive_, question, fingerprint = *now, emulator](Result<> result) {
        if (!*alive) return;
        const std::shared_ptr<Trial> over = trials_[question];
        trials_.erase(question);
        // What failed may be a full disk or a host without memory: it is tried again when asked.
        if (result) proven_[question] = fingerprint;
        log_info("daemon", "the checkpoints of '{}': {}", emulator,
                 result ? "right" : result.error().message);
        for (const Answer<>& asker : std::exchange(over->askers, {}))
            asker(result);
    });
}

}  // namespace segue
