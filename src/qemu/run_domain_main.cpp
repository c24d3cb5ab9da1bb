// SPDX-License-Identifier: LGPL-2.1-or-later
// A test instrument, not installed: starts the QEMU of a definition with what the daemon uses
// (definition, completion, command line, process, monitor) and leaves it running, paused.
//
//   qemu_run_domain start XML DIRECTORY [--incoming]   one JSON line: pid, monitor, argv, ms
//   qemu_run_domain stop DIRECTORY                     adopts it by its pid file and ends it
#include <cstdio>
#include <fstream>
#include <sstream>

#include "domain/alias.h"
#include "domain/complete.h"
#include "qemu/probe.h"

namespace segue {
namespace {

class Starter {
  public:
    Starter(RunLoop& loop, std::string directory)
        : loop_(loop), directory_(std::move(directory)), probe_(loop, directory_) {}

    Result<> run(const std::string& xml_path, bool incoming) {
        std::ifstream in(xml_path);
        std::ostringstream text;
        text << in.rdbuf();
        domain_ = TRY(parse_domain(text.str()));
        incoming_ = incoming;
        probe_.ask("/usr/bin/qemu-system-x86_64", [this](
                                                      Result<EmulatorCapabilities> capabilities) {
            end_with(capabilities ? start(*capabilities) : tl::unexpected(capabilities.error()));
        });
        loop_.run();
        return result_;
    }

  private:
    void end_with(Result<> result) {
        if (result) return;
        result_ = std::move(result);
        loop_.stop();
    }

    Result<> start(const EmulatorCapabilities& capabilities) {
        SystemRandom random;
        const auto machine = [&](std::string_view name) { return capabilities.machine(name); };
        TRY(complete_domain(domain_, {.machine = machine, .random = random}));
        prepare_to_run(domain_, 1);
        std::uint16_t port = 0;
        TRY(fill_ports(domain_, {.next = [&]() -> Result<std::uint16_t> {
                           return static_cast<std::uint16_t>(5900 + port++);
                       }}));
        ProcessStart start;
        start.directory = directory_ + "/vm";
        start.log_path = directory_ + "/qemu.log";
        start.line =
            TRY(build_command_line(domain_, {.directory = start.directory, .incoming = incoming_}));
        line_ = start.line;
        started_ = loop_.now();
        process_ = TRY(QemuProcess::start(loop_, start));
        TRY(write_pid_file(directory_ + "/pid", process_->identity()));
        process_->on_end([this](const QemuProcess::Ended& ended) {
            end_with(fail(ErrorCode::operation_failed, "QEMU {}: {}", ended.text(),
                          log_tail(directory_ + "/qemu.log")));
        });
        monitor_ = std::make_unique<QmpConnection>(
            loop_, line_.monitor_path,
            QmpConnection::Handlers{.ready = [this](const QmpReady&) { tell(0); },
                                    .closed =
                                        [this](const Error& error) {
                                            end_with(fail(error.code, "{}: {}", error.message,
                                                          log_tail(directory_ + "/qemu.log")));
                                        }});
        return {};
    }

    // Passwords and links, one after the other; then the report.
    void tell(std::size_t index) {
        if (index < line_.after_start.size()) {
            monitor_->execute(line_.after_start[index], [this, index](Result<Json> reply) {
                if (!reply) return end_with(tl::unexpected(reply.error()));
                tell(index + 1);
            });
            return;
        }
        Json report = Json::object({{"pid", process_->identity().pid},
                                    {"monitor", line_.monitor_path},
                                    {"ms", to_ms(loop_.now() - started_)}});
        for (const std::string& word : line_.arguments)
            argv_.push(word);
        report.set("argv", argv_);
        report.set("xml", print_domain(domain_, {.inactive = false}));
        std::puts(report.dump().c_str());
        loop_.stop();
    }

    RunLoop& loop_;
    std::string directory_;
    EmulatorProbe probe_;
    Domain domain_;
    CommandLine line_;
    Json argv_ = Json::array();
    bool incoming_ = false;
    Instant started_;
    std::unique_ptr<QemuProcess> process_;
    std::unique_ptr<QmpConnection> monitor_;
    Result<> result_;
};

Result<> stop(RunLoop& loop, const std::string& directory) {
    const ProcessIdentity identity = TRY(read_pid_file(directory + "/pid"));
    const auto process = TRY(QemuProcess::adopt(loop, identity));
    process->on_end([&](const QemuProcess::Ended&) { loop.stop(); });
    process->terminate(5s);
    loop.run();
    return {};
}

Result<> run(const std::vector<std::string>& words) {
    const auto loop = make_asio_loop();
    if (words.size() >= 3 && words[0] == "start") {
        Starter starter(*loop, words[2]);
        return starter.run(words[1], words.size() > 3 && words[3] == "--incoming");
    }
    if (words.size() == 2 && words[0] == "stop") return stop(*loop, words[1]);
    return fail(ErrorCode::invalid_argument, "qemu_run_domain start|stop …: see the source");
}

}  // namespace
}  // namespace segue

int main(int count, char** words) {
    const auto result = segue::run({words + 1, words + count});
    if (!result) std::fprintf(stderr, "%s\n", result.error().message.c_str());
    return result ? 0 : 1;
}
