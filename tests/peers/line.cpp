// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-line: a proxy with a faulty line between two hosts.
//
//   segue-line LISTEN TARGET        addresses as in unix:PATH, tcp:HOST:PORT (port 0: any)
//
// Prints {"listening":"tcp:127.0.0.1:PORT"}, then obeys lines on standard input, one answer each:
//   delay MS | rate BYTES_PER_SECOND | drop | mend | cut | cut-after BYTES | status | quit
// "drop" holds bytes silently, as a pulled cable does; "mend" takes every fault back.
#include <fcntl.h>
#include <fmt/core.h>
#include <signal.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <string>

#include "net/connection.h"
#include "net/line_proxy.h"

namespace segue {
namespace {

class Control {
  public:
    Control(RunLoop& loop, net::LineProxy& proxy) : loop_(loop), proxy_(proxy) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) { take(bytes); };
        handlers.on_closed = [this](const Error&) { loop_.stop(); };
        input_ = std::make_unique<net::Connection>(
            loop_, net::Descriptor(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)), handlers);
        if (net::set_non_blocking(input_->descriptor())) input_->start();
    }

  private:
    void take(ByteView bytes) {
        pending_ += as_text(bytes);
        for (std::size_t end; (end = pending_.find('\n')) != pending_.npos;) {
            const std::string line = pending_.substr(0, end);
            pending_.erase(0, end + 1);
            const bool known = obey(line);
            fmt::print("{{\"ok\":{},\"connections\":{},\"passed\":{}}}\n", known,
                       proxy_.connections(), proxy_.bytes_passed());
            std::fflush(stdout);
        }
    }
    bool obey(const std::string& line) {
        const std::size_t space = line.find(' ');
        const std::string verb = line.substr(0, space);
        std::uint64_t number = 0;
        if (space != line.npos) {
            std::from_chars(line.data() + space + 1, line.data() + line.size(), number);
        }
        net::LineQuality quality = proxy_.quality();
        if (verb == "delay") {
            quality.delay = std::chrono::milliseconds(number);
        } else if (verb == "rate") {
            quality.bytes_per_second = number;
        } else if (verb == "drop") {
            quality.drop = true;
        } else if (verb == "cut-after") {
            quality.cut_after = number;
        } else if (verb == "mend") {
            quality = {};
        } else if (verb == "cut") {
            proxy_.cut();
        } else if (verb == "quit") {
            loop_.stop();
        } else {
            return verb == "status";
        }
        proxy_.set_quality(quality);
        return true;
    }

    RunLoop& loop_;
    net::LineProxy& proxy_;
    std::string pending_;
    std::unique_ptr<net::Connection> input_;
};

Result<> run(const char* listen, const char* target) {
    const auto loop = make_asio_loop();
    const net::Address here = TRY(net::Address::parse(listen));
    const net::Address there = TRY(net::Address::parse(target));
    const auto proxy = TRY(net::LineProxy::make(*loop, here, there));
    const bool is_unix = here.transport == net::Transport::unix_socket;
    fmt::print(
        "{{\"listening\":\"{}\"}}\n",
        is_unix ? here.text() : net::Address::of_tcp(here.host, proxy->local().port()).text());
    std::fflush(stdout);
    Control control(*loop, *proxy);
    loop->on_signal(SIGTERM, [&] { loop->stop(); });
    loop->run();
    return {};
}

}  // namespace
}  // namespace segue

int main(int argc, char** argv) {
    if (argc != 3) {
        fmt::print(stderr, "usage: segue-line LISTEN TARGET\n");
        return 2;
    }
    const auto done = segue::run(argv[1], argv[2]);
    if (!done) fmt::print(stderr, "segue-line: {}\n", done.error().message);
    return done ? 0 : 1;
}
