// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-view: the headless form itself; whoever wants windows gets segue-view-window in its place.
// Windows need SDL and, through it, fifty libraries more, whose loading takes several times what a
// headless session takes to its first picture.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>

#include "base/log.h"
#include "viewer/headless.h"

namespace {

constexpr const char* kWindowProgram = "segue-view-window";

// Before anything is read: a connection file may be deleted with its first reading.
bool wants_no_window(int argument_count, char** arguments) {
    return std::any_of(arguments, arguments + argument_count,
                       [](const char* word) { return std::strcmp(word, "--headless") == 0; });
}

// Comes back only with an exit code.
int become_window_program(char** arguments) {
    std::error_code ignored;
    const auto self = std::filesystem::read_symlink("/proc/self/exe", ignored);
    const std::string program = self.parent_path() / kWindowProgram;
    ::execv(program.c_str(), arguments);
    std::fprintf(
        stderr, "segue-view: '%s' does not start, which shows windows: %s; --headless needs none\n",
        program.c_str(), std::strerror(errno));
    return 2;
}

}  // namespace

int main(int argument_count, char** arguments) {
    using namespace segue;
    if (!wants_no_window(argument_count, arguments)) return become_window_program(arguments);
    const viewer::CommandLine line = viewer::parse_command_line(argument_count, arguments);
    if (!line.options) {
        std::fputs(line.message.c_str(), line.exit_code == 0 ? stdout : stderr);
        return line.exit_code;
    }
    if (line.options->verbose) set_log_level(LogLevel::debug);
    const auto loop = make_asio_loop();
    return viewer::run_headless(*loop, *line.options);
}
