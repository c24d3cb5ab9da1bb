// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-agent: answers a protected QEMU at once and replicates to its standby. segue-agent(8).
#include <signal.h>

#include <cstdio>

#include "standby/agent.h"

int main(int argc, char** argv) {
    using namespace segue;
    auto parsed = standby::parse_agent_command_line(argc, argv);
    if (!parsed.options) {
        std::fprintf(parsed.exit_code == 0 ? stdout : stderr, "%s\n", parsed.text.c_str());
        return parsed.exit_code;
    }
    (void)::signal(SIGPIPE, SIG_IGN);
    const auto loop = make_asio_loop();
    for (const int number : {SIGTERM, SIGINT})
        loop->on_signal(number, [&loop] { loop->stop(); });
    auto made = standby::Agent::make(*loop, std::move(*parsed.options));
    if (!made) {
        std::fprintf(stderr, "segue-agent: %s\n", made.error().message.c_str());
        return 1;
    }
    loop->run();
    return 0;
}
