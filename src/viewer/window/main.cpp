// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-view-window: what segue-view becomes where windows are wanted.
#include <cstdio>

#include "base/log.h"
#include "viewer/headless.h"
#include "viewer/window/window.h"

int main(int argument_count, char** arguments) {
    using namespace segue;
    const viewer::CommandLine line = viewer::parse_command_line(argument_count, arguments);
    if (!line.options) {
        std::fputs(line.message.c_str(), line.exit_code == 0 ? stdout : stderr);
        return line.exit_code;
    }
    if (line.options->verbose) set_log_level(LogLevel::debug);
    const auto loop = make_asio_loop();
    return line.options->headless ? viewer::run_headless(*loop, *line.options)
                                  : viewer::run_window(*loop, *line.options);
}
