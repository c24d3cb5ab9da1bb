// SPDX-License-Identifier: LGPL-2.1-or-later
// rpc-load: the same calls in the same bytes against any libvirt daemon, ours or stock.
//
//   rpc-load unix:PATH|tcp:HOST:PORT [CONNECTIONS [SECONDS]]      default: 8 connections, 3 s
//
// Prints one JSON object: the latency of one connection with one call at a time, and the calls a
// second of CONNECTIONS with one call at a time each. The call is CONNECT_GET_LIB_VERSION: it does
// nothing, so that what is measured is the way there and back. One thread, no library in between.
#include <fmt/core.h>
#include <poll.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>

#include "base/check.h"
#include "base/time.h"
#include "net/socket.h"
#include "rpc/packet.h"
#include "rpc/remote.schema.h"

namespace segue::rpc {
namespace {

constexpr int kLatencyCalls = 20'000;
constexpr int kWarmUpCalls = 2'000;

// One connection with one call at a time; every descriptor is non-blocking.
class Caller {
  public:
    static Result<Caller> open(const net::Address& address) {
        const bool is_unix = address.transport == net::Transport::unix_socket;
        const auto where = is_unix
                               ? TRY(net::SocketAddress::of_unix(address.path))
                               : TRY(net::SocketAddress::of_numeric(address.host, address.port));
        auto socket = TRY(net::make_socket(where.family()));
        if (::connect(socket.get(), where.get(), where.size) != 0 && errno != EINPROGRESS) {
            return fail_errno("cannot connect to", address.text(), errno);
        }
        Caller caller(std::move(socket));
        caller.wait(POLLOUT);
        TRY(caller.call_and_wait<remote::AuthList>({}));
        TRY(caller.call_and_wait<remote::ConnectOpen>({"qemu:///system", 0}));
        caller.ask_ = caller.packet<remote::ConnectGetLibVersion>({});
        return caller;
    }

    int descriptor() const { return socket_.get(); }

    Result<> ask() { return write(ask_); }
    // True when the whole reply is there.
    Result<bool> take() {
        const ssize_t size =
            ::recv(socket_.get(), buffer_.data() + have_, buffer_.size() - have_, 0);
        if (size < 0 && errno == EAGAIN) return false;
        if (size <= 0) return fail(ErrorCode::connection_lost, "the daemon closed the connection");
        have_ += static_cast<std::size_t>(size);
        if (have_ < kLengthSize) return false;
        const auto length = load<ByteOrder::big, std::uint32_t>(buffer_.data());
        if (have_ < length) return false;
        constexpr std::size_t kStatusAt = kLengthSize + kHeaderSize - 4;
        const auto status = load<ByteOrder::big, std::uint32_t>(buffer_.data() + kStatusAt);
        if (status != 0) return fail(ErrorCode::operation_failed, "the daemon answers an error");
        have_ = 0;
        return true;
    }
    Result<> wait_for_reply() {
        while (!TRY(take()))
            wait(POLLIN);
        return {};
    }

  private:
    explicit Caller(net::Descriptor socket) : socket_(std::move(socket)) {}

    template <class P>
    Bytes packet(const typename P::Call& body) {
        Header header;
        header.program = P::kProgram;
        header.version = kProgramVersion;
        header.procedure = P::kNumber;
        header.serial = serial_++;
        return make_packet(header, body, P::kName).value();
    }
    template <class P>
    Result<> call_and_wait(const typename P::Call& body) {
        TRY(write(packet<P>(body)));
        return wait_for_reply();
    }
    Result<> write(const Bytes& bytes) {
        const ssize_t size = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (size != static_cast<ssize_t>(bytes.size())) {
            return fail(ErrorCode::connection_lost, "the daemon does not take a call");
        }
        return {};
    }
    void wait(short events) {
        pollfd entry{socket_.get(), events, 0};
        ::poll(&entry, 1, -1);
    }

    net::Descriptor socket_;
    std::uint32_t serial_ = 0;
    Bytes ask_;
    std::array<std::uint8_t, 4096> buffer_;
    std::size_t have_ = 0;
};

struct Latency {
    double p50_us, p99_us, mean_us;
};

Result<Latency> measure_latency(const net::Address& address, const Clock& clock) {
    Caller caller = TRY(Caller::open(address));
    std::vector<Duration> times;
    for (int count = 0; count < kWarmUpCalls + kLatencyCalls; ++count) {
        const Instant begin = clock.now();
        TRY(caller.ask());
        TRY(caller.wait_for_reply());
        if (count >= kWarmUpCalls) times.push_back(clock.now() - begin);
    }
    std::sort(times.begin(), times.end());
    const auto us = [](Duration time) { return static_cast<double>(time.count()) / 1000; };
    Duration sum{};
    for (const Duration time : times)
        sum += time;
    return Latency{us(times[times.size() / 2]), us(times[times.size() * 99 / 100]),
                   us(sum) / static_cast<double>(times.size())};
}

// Calls a second, all connections together.
Result<double> measure_rate(const net::Address& address, const Clock& clock, int connections,
                            Duration time) {
    net::Descriptor epoll(::epoll_create1(EPOLL_CLOEXEC));
    std::vector<Caller> callers;
    for (int count = 0; count < connections; ++count)
        callers.push_back(TRY(Caller::open(address)));
    for (std::size_t index = 0; index < callers.size(); ++index) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.u64 = index;
        ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, callers[index].descriptor(), &event);
        TRY(callers[index].ask());
    }
    std::uint64_t done = 0;
    const Instant begin = clock.now();
    std::array<epoll_event, 64> events;
    while (clock.now() - begin < time) {
        const int ready = ::epoll_wait(epoll.get(), events.data(), events.size(), 1000);
        for (int index = 0; index < ready; ++index) {
            Caller& caller = callers[events[static_cast<std::size_t>(index)].data.u64];
            if (!TRY(caller.take())) continue;
            ++done;
            TRY(caller.ask());
        }
    }
    return static_cast<double>(done) * 1e9 / static_cast<double>((clock.now() - begin).count());
}

int number_or(int argc, char** argv, int index, int otherwise) {
    int number = otherwise;
    if (argc > index) {
        const std::string_view text = argv[index];
        std::from_chars(text.data(), text.data() + text.size(), number);
    }
    return std::max(1, number);
}

Result<> run(int argc, char** argv) {
    const SystemClock clock;
    const auto address = TRY(net::Address::parse(argv[1]));
    const int connections = number_or(argc, argv, 2, 8);
    const auto time = std::chrono::seconds(number_or(argc, argv, 3, 3));
    const Latency latency = TRY(measure_latency(address, clock));
    const double rate = TRY(measure_rate(address, clock, connections, time));
    fmt::print(
        "{{\"p50_us\":{:.1f},\"p99_us\":{:.1f},\"mean_us\":{:.1f},\"connections\":{},"
        "\"calls_per_second\":{:.0f}}}\n",
        latency.p50_us, latency.p99_us, latency.mean_us, connections, rate);
    return {};
}

}  // namespace
}  // namespace segue::rpc

int main(int argc, char** argv) {
    if (argc < 2 || argc > 4) {
        fmt::print(stderr, "usage: rpc-load unix:PATH|tcp:HOST:PORT [CONNECTIONS [SECONDS]]\n");
        return 2;
    }
    const auto done = segue::rpc::run(argc, argv);
    if (!done) fmt::print(stderr, "rpc-load: {}\n", done.error().message);
    return done ? 0 : 1;
}
