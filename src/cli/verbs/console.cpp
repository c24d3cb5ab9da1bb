// SPDX-License-Identifier: LGPL-2.1-or-later
// console: the terminal in raw mode, both ways; ^] leaves.
#include <termios.h>
#include <unistd.h>

#include <optional>

#include "cli/print.h"
#include "cli/verbs/verbs.h"
#include "rpc/remote.schema.h"

namespace segue::cli {
namespace {

using rpc::remote::DomainOpenConsole;
constexpr std::uint8_t kEscape = 0x1d;  // ^]
constexpr std::uint32_t kForce = 1;     // VIR_DOMAIN_CONSOLE_FORCE: a stale holder is replaced

// Puts the terminal back whatever happens. Does nothing where standard input is no terminal.
class RawTerminal {
  public:
    RawTerminal() {
        if (tcgetattr(STDIN_FILENO, &before_) != 0) return;
        termios raw = before_;
        cfmakeraw(&raw);
        is_raw_ = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    }
    ~RawTerminal() {
        if (is_raw_) tcsetattr(STDIN_FILENO, TCSANOW, &before_);
    }
    RawTerminal(const RawTerminal&) = delete;
    RawTerminal& operator=(const RawTerminal&) = delete;

  private:
    termios before_{};
    bool is_raw_ = false;
};

class ConsoleSession {
  public:
    // `greeting` is printed once the console is open.
    ConsoleSession(Connection& daemon, const rpc::DomainRef& domain, const std::string& device,
                   std::string greeting)
        : daemon_(daemon), greeting_(std::move(greeting)) {
        rpc::remote::OpenConsoleCall call;
        call.domain = domain;
        if (!device.empty()) call.device = device;
        call.flags = kForce;
        stream_ = daemon_.client().call_with_stream<DomainOpenConsole>(
            call,
            {.on_data = [](ByteView bytes) { write_out(bytes); },
             .on_end = [this] { finish({}); },
             .on_abort = [this](const Error& error) { finish(tl::make_unexpected(error)); },
             .on_writable = {}},
            [this](rpc::Outcome<DomainOpenConsole> outcome) {
                if (!outcome) return finish(tl::make_unexpected(outcome.error()));
                print(greeting_);
                listen();
            });
    }

    Result<> run() {
        while (!outcome_ && daemon_.is_open())
            daemon_.loop().run();
        if (!outcome_) return tl::make_unexpected(daemon_.loss());
        return *outcome_;
    }

  private:
    static void write_out(ByteView bytes) {
        while (!bytes.empty()) {
            const ssize_t written = write(STDOUT_FILENO, bytes.data(), bytes.size());
            if (written <= 0) return;  // nobody reads: the guest's output is lost, not the session
            bytes = bytes.subspan(static_cast<std::size_t>(written));
        }
    }

    void listen() {
        terminal_.emplace();
        input_ = daemon_.loop().watch(STDIN_FILENO, [this](Loop::Ready) { read_input(); });
        input_->set_interest(true, false);
    }

    void read_input() {
        std::uint8_t buffer[1024];
        const ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
        if (got <= 0) return finish({});
        const ByteView bytes(buffer, static_cast<std::size_t>(got));
        for (std::size_t at = 0; at < bytes.size(); ++at) {
            if (bytes[at] != kEscape) continue;
            stream_->send(bytes.first(at));
            return finish({});
        }
        stream_->send(bytes);
    }

    void finish(Result<> outcome) {
        if (outcome_) return;
        outcome_ = std::move(outcome);
        input_.reset();
        terminal_.reset();
        if (stream_ && !stream_->is_over()) stream_->end();
        daemon_.loop().stop();
    }

    Connection& daemon_;
    std::string greeting_;
    std::shared_ptr<rpc::Stream> stream_;
    std::unique_ptr<Watch> input_;
    std::optional<RawTerminal> terminal_;
    std::optional<Result<>> outcome_;
};

}  // namespace

VerbResult run_verb(Context& context, const OpenConsole& verb) {
    const auto domain = TRY(context.daemon.find_domain(verb.domain));
    const std::string greeting =
        context.invocation.quiet ? "" : "Connected to '" + domain.name + "'; ^] leaves\n";
    TRY(ConsoleSession(context.daemon, domain, verb.device, greeting).run());
    return ExitCode::ok;
}

}  // namespace segue::cli
