// SPDX-License-Identifier: LGPL-2.1-or-later
// segued: the host's daemon.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <string_view>

#include "base/log.h"
#include "daemon/daemon.h"
#include "daemon/options.h"
#include "daemon/service_manager.h"

namespace segue {
namespace {

LogLevel level_named(std::string_view name) {
    if (name == "debug") return LogLevel::debug;
    if (name == "warning") return LogLevel::warning;
    if (name == "error") return LogLevel::error;
    return LogLevel::info;
}

void say_ready() {
    std::fputs("ready\n", stderr);
    std::fflush(stderr);
    if (const auto told = notify_service_manager("READY=1"); !told) {
        log_warning("daemon", "{}", told.error().message);
    }
}

void use_log_level(const Settings& settings) {
    if (std::getenv("SEGUE_LOG") == nullptr) set_log_level(level_named(settings.log_level));
}

// SIGHUP: the files are read anew, under the same command line.
void reload(Daemon& daemon, int argc, const char* const* argv) {
    ParsedOptions parsed = parse_options(argc, argv);
    if (!parsed.options) return log_error("daemon", "not reloaded: the old configuration stays");
    use_log_level(parsed.options->settings);
    if (const auto done = daemon.reload(std::move(parsed.options->settings)); !done) {
        log_error("daemon", "not reloaded: {}", done.error().message);
    }
}

int serve(Settings settings, std::vector<ActivatedSocket> activated, int argc,
          const char* const* argv) {
    auto loop = make_asio_loop();
    // A peer that goes away is an error of that write, not the end of the daemon.
    std::signal(SIGPIPE, SIG_IGN);
    Daemon daemon(*loop, std::move(settings), std::move(activated));
    int code = 0;
    daemon.start([&](Result<> started) {
        if (started) return say_ready();
        std::fprintf(stderr, "segued: %s\n", started.error().message.c_str());
        code = 1;
        loop->post([&] { loop->stop(); });
    });
    for (const int signal_number : {SIGTERM, SIGINT}) {
        loop->on_signal(signal_number, [&] {
            log_info("daemon", "stopping; VMs run on");
            static_cast<void>(notify_service_manager("STOPPING=1"));
            daemon.stop();
            loop->stop();
        });
    }
    loop->on_signal(SIGHUP, [&] { reload(daemon, argc, argv); });
    loop->run();
    return code;
}

int main_of(int argc, const char* const* argv) {
    ParsedOptions parsed = parse_options(argc, argv);
    if (!parsed.options) return parsed.exit_code;
    DaemonOptions& options = *parsed.options;
    if (options.check_config) {
        const bool there = ::access(options.config_file.c_str(), F_OK) == 0;
        std::printf("%s: %s\n", options.config_file.c_str(),
                    there ? "good" : "not there: the defaults hold, and are good");
        return 0;
    }
    use_log_level(options.settings);
    auto activated = take_activated_sockets();
    if (options.settings.listen.empty() && activated.empty()) {
        // As the configuration of earlier releases has it, whose unit said where.
        options.settings.listen = Settings{}.listen;
        log_warning("daemon", "daemon.listen is empty, and no socket was passed: {} is used",
                    options.settings.listen.front().text());
    }
    return serve(std::move(options.settings), std::move(activated), argc, argv);
}

}  // namespace
}  // namespace segue

int main(int argc, char** argv) {
    return segue::main_of(argc, argv);
}
