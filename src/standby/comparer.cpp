// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/comparer.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/log.h"

namespace segue::standby {
namespace {

constexpr std::array<const char*, 4> kEnds = {"primary", "shadow", "out", "notice"};
constexpr std::string_view kDifference = "DO_CHECKPOINT";
// The gate asks for a checkpoint long before: colo-compare's own look at old packets is not needed.
constexpr int kNeverMs = 3'600'000;

std::string end_id(std::size_t card, std::size_t end) {
    return fmt::format("{}{}", kEnds[end], card);
}

struct Pair {
    net::Descriptor ours, theirs;
};

Result<Pair> socket_pair() {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        return fail_errno("make a socket for", "colo-compare", errno);
    }
    Pair pair{net::Descriptor(ends[0]), net::Descriptor(ends[1])};
    (void)::fcntl(ends[0], F_SETFL, O_NONBLOCK);
    return pair;
}

// It ends with its parent, however that ends: nobody else would know of it.
[[noreturn]] void become(std::vector<char*>& words, const std::vector<int>& sockets, int log,
                         pid_t parent) {
    (void)::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    sigset_t none;
    sigemptyset(&none);
    (void)::sigprocmask(SIG_SETMASK, &none, nullptr);
    (void)::signal(SIGPIPE, SIG_DFL);
    // They stand above all places where they are wanted: none is overwritten by another.
    (void)::dup2(log, 1);
    (void)::dup2(log, 2);
    for (std::size_t at = 0; at < sockets.size(); ++at)
        (void)::dup2(sockets[at], Comparer::kFirstDescriptor + static_cast<int>(at));
    (void)::execvp(words[0], words.data());
    ::_exit(127);
}

Result<int> high_descriptor(int descriptor, std::size_t sockets) {
    const int least = Comparer::kFirstDescriptor + static_cast<int>(sockets);
    const int high = ::fcntl(descriptor, F_DUPFD_CLOEXEC, least);
    if (high < 0) return fail_errno("keep a descriptor of", "colo-compare", errno);
    return high;
}

}  // namespace

std::vector<std::string> Comparer::command(const std::string& emulator, std::size_t cards) {
    std::vector<std::string> words = {
        emulator,   "-machine",
        "none",     "-nodefaults",
        "-display", "none",
        "-sandbox", "on,spawn=deny,resourcecontrol=deny,elevateprivileges=deny",
        "-object",  "iothread,id=compare"};
    int descriptor = kFirstDescriptor;
    for (std::size_t card = 0; card < cards; ++card) {
        for (std::size_t end = 0; end < kEnds.size(); ++end) {
            words.insert(words.end(), {"-chardev", fmt::format("socket,id={},fd={}",
                                                               end_id(card, end), descriptor++)});
        }
        words.insert(
            words.end(),
            {"-object",
             fmt::format("colo-compare,id=compare{},primary_in={},secondary_in={},outdev={},"
                         "notify_dev={},iothread=compare,compare_timeout={},expired_scan_cycle={}",
                         card, end_id(card, 0), end_id(card, 1), end_id(card, 2), end_id(card, 3),
                         kNeverMs, kNeverMs)});
    }
    return words;
}

Result<std::unique_ptr<Comparer>> Comparer::make(Loop& loop, const std::string& emulator,
                                                 std::size_t cards, const std::string& log,
                                                 Handlers handlers) {
    std::unique_ptr<Comparer> comparer(new Comparer(loop, std::move(handlers)));
    TRY(comparer->start(emulator, cards, log));
    return comparer;
}

Comparer::Comparer(Loop& loop, Handlers handlers) : loop_(loop), handlers_(std::move(handlers)) {}

Comparer::~Comparer() {
    if (process_ <= 0) return;
    (void)::kill(process_, SIGKILL);
    int status = 0;
    (void)::waitpid(process_, &status, 0);
}

Result<> Comparer::start(const std::string& emulator, std::size_t cards, const std::string& log) {
    std::vector<Pair> pairs;
    std::vector<net::Descriptor> high;
    std::vector<int> sockets;
    const std::size_t wanted = cards * kEnds.size();
    for (std::size_t at = 0; at < wanted; ++at) {
        pairs.push_back(TRY(socket_pair()));
        high.emplace_back(TRY(high_descriptor(pairs.back().theirs.get(), wanted)));
        sockets.push_back(high.back().get());
    }
    const net::Descriptor output(
        ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
    if (!output) return fail_errno("open", log, errno);
    const net::Descriptor high_output(TRY(high_descriptor(output.get(), wanted)));
    std::vector<std::string> text = command(emulator, cards);
    std::vector<char*> words;
    for (std::string& word : text)
        words.push_back(word.data());
    words.push_back(nullptr);
    const pid_t parent = ::getpid();
    process_ = ::fork();
    if (process_ == 0) become(words, sockets, high_output.get(), parent);
    if (process_ < 0) return fail_errno("start", emulator, errno);
    cards_.resize(cards);
    for (std::size_t card = 0; card < cards; ++card) {
        Pair* const ends = &pairs[card * kEnds.size()];
        cards_[card].primary = connect(std::move(ends[0].ours), [](ByteView) {});
        cards_[card].shadow = connect(std::move(ends[1].ours), [](ByteView) {});
        cards_[card].out = connect(std::move(ends[2].ours),
                                   [this, card](ByteView bytes) { on_passed(card, bytes); });
        cards_[card].notice = connect(std::move(ends[3].ours),
                                      [this, card](ByteView bytes) { on_notice(card, bytes); });
    }
    return {};
}

std::unique_ptr<net::Connection> Comparer::connect(net::Descriptor socket,
                                                   std::function<void(ByteView)> on_input) {
    net::Connection::Handlers handlers;
    handlers.on_input = std::move(on_input);
    handlers.on_closed = [this](const Error& reason) { fail_with(reason.message); };
    auto connection =
        std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
    connection->start();
    return connection;
}

void Comparer::fail_with(const std::string& how) {
    if (std::exchange(failed_, true)) return;
    handlers_.failed("colo-compare ended: " + how);
}

void Comparer::primary_sent(std::size_t card, Bytes frames) {
    if (!failed_ && !frames.empty()) cards_[card].primary->send(std::move(frames));
}
void Comparer::shadow_sent(std::size_t card, Bytes frames) {
    if (!failed_ && !frames.empty()) cards_[card].shadow->send(std::move(frames));
}

void Comparer::on_passed(std::size_t card, ByteView bytes) {
    const auto fed = cards_[card].passed.feed(bytes);
    const FrameSplitter::Frames frames = cards_[card].passed.take();
    BigReader in(frames.bytes);
    while (in.remaining() > 0)
        handlers_.passed(card, in.bytes(in.u32()));
    if (!fed) fail_with(fed.error().message);
}

void Comparer::on_notice(std::size_t card, ByteView bytes) {
    const auto fed = cards_[card].said.feed(bytes);
    const FrameSplitter::Frames words = cards_[card].said.take();
    BigReader in(words.bytes);
    while (in.remaining() > 0) {
        if (as_text(in.bytes(in.u32())) == kDifference) handlers_.differs(card);
    }
    if (!fed) fail_with(fed.error().message);
}

}  // namespace segue::standby
