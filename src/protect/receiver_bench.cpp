// SPDX-License-Identifier: LGPL-2.1-or-later
// What a standby spends on a checkpoint, per MiB of pages: between the first byte and the answer
// (received, read, committed), and after it (applied to the images). The floor is the same number
// of bytes through the same socket, thrown away. The sender is a thread that writes as QEMU does:
// 64 pieces (heads and pages in turn) with one writev.
#include <benchmark/benchmark.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <thread>

#include "base/check.h"
#include "protect/secondary_session.h"

namespace segue {
namespace {

constexpr std::uint64_t kGuest = 256ULL << 20;
constexpr std::uint32_t kSection = 2;
constexpr std::size_t kPieces = 64;

// The head of one page record; pages themselves come from one buffer.
struct Sender {
    explicit Sender(std::size_t megabytes) : pages(megabytes * 256), page(kPageSize, 0x5a) {
        for (std::size_t index = 0; index < pages; ++index) {
            BigWriter out;
            out.u64(index * kPageSize | kRamPage | kRamContinue);
            heads.insert(heads.end(), out.view().begin(), out.view().end());
        }
        BigWriter front;
        front.u32(static_cast<std::uint32_t>(ColoMessage::checkpoint_request));
        front.u32(static_cast<std::uint32_t>(ColoMessage::vmstate_send));
        front.u8(static_cast<std::uint8_t>(StreamSection::end));
        front.u32(kSection);
        before = front.take();
        BigWriter back;
        back.u64(kRamEnd);
        back.u8(static_cast<std::uint8_t>(StreamSection::footer));
        back.u32(kSection);
        back.u8(0);
        back.u32(static_cast<std::uint32_t>(ColoMessage::vmstate_size));
        back.u64(16384);
        back.u8(static_cast<std::uint8_t>(StreamSection::full));
        back.zeros(16383);
        after = back.take();
    }

    std::size_t bytes() const { return before.size() + pages * (8 + kPageSize) + after.size(); }

    void send(int socket) const {
        write_all(socket, before);
        for (std::size_t index = 0; index < pages; index += kPieces / 2) {
            std::vector<iovec> parts;
            std::size_t size = 0;
            for (std::size_t at = index; at < std::min(pages, index + kPieces / 2); ++at) {
                parts.push_back({const_cast<std::uint8_t*>(&heads[at * 8]), 8});
                parts.push_back({const_cast<std::uint8_t*>(page.data()), kPageSize});
                size += 8 + kPageSize;
            }
            std::size_t first = 0;
            while (size > 0) {
                auto done = static_cast<std::size_t>(
                    ::writev(socket, parts.data() + first, static_cast<int>(parts.size() - first)));
                size -= done;
                for (; done > 0 && done >= parts[first].iov_len; ++first)
                    done -= parts[first].iov_len;
                if (done == 0) continue;
                parts[first].iov_base = static_cast<char*>(parts[first].iov_base) + done;
                parts[first].iov_len -= done;
            }
        }
        write_all(socket, after);
    }
    static void write_all(int socket, ByteView bytes) {
        while (!bytes.empty())
            bytes = bytes.subspan(
                static_cast<std::size_t>(::write(socket, bytes.data(), bytes.size())));
    }

    std::size_t pages;
    Bytes page, heads, before, after;
};

Bytes first_state() {
    BigWriter out;
    out.u32(kStreamMagic);
    out.u32(kStreamVersion);
    out.u8(7);
    out.u32(2);
    out.bytes(as_bytes("pc"));
    out.u8(8);
    out.u16(kCommandEnableColo);
    out.u16(0);
    out.u8(1);
    out.u32(kSection);
    out.u8(3);
    out.bytes(as_bytes("ram"));
    out.u32(0);
    out.u32(kRamVersion);
    out.u64(kGuest | kRamBlockList);
    out.u8(6);
    out.bytes(as_bytes("pc.ram"));
    out.u64(kGuest);
    out.u64(kRamEnd);
    out.u8(0x7e);
    out.u32(kSection);
    out.u8(3);
    out.u32(kSection);
    for (std::uint64_t at = 0; at < kGuest; at += kPageSize) {
        out.u64(at | kRamPage | (at == 0 ? 0 : std::uint64_t{kRamContinue}));
        if (at == 0) {
            out.u8(6);
            out.bytes(as_bytes("pc.ram"));
        }
        out.zeros(kPageSize);
    }
    out.u64(kRamEnd);
    out.u8(0x7e);
    out.u32(kSection);
    out.u8(4);
    out.u8(0);
    const std::string_view description = "{\"page_size\": 4096}";
    out.u8(6);
    out.u32(description.size());
    out.bytes(as_bytes(description));
    return out.take();
}

// Stops the clock of the benchmark between the answer and the end of applying.
class Standby final : public SecondarySession::Owner {
  public:
    Standby() {
        char name[] = "/dev/shm/segue-bench-XXXXXX";
        path_ = ::mkdtemp(name);
        store_ = PageStore::open(path_).value();
        SecondarySession::Owner& owner = *this;
        session = std::make_unique<SecondarySession>(*store_, owner, [] { return 0; });
        ENSURE(session->connected());
        const Bytes state = first_state();
        for (ByteView rest = state; !rest.empty();) {
            const auto room = session->space().value();
            const std::size_t now = std::min(room.size(), rest.size());
            std::memcpy(room.data(), rest.data(), now);
            ENSURE(session->received(now).has_value());
            rest = rest.subspan(now);
        }
    }
    ~Standby() override { std::filesystem::remove_all(path_); }

    void send(ColoMessage message) override {
        if (message == ColoMessage::vmstate_loaded) answered = clock_.now();
    }
    Result<> check_head(const StreamHead&) override { return {}; }
    void pass_output() override {}
    void hold_output() override {}
    void seal_output() override {}
    void begin_commit(std::uint64_t) override { ENSURE(session->committed().has_value()); }
    void release_output(std::uint64_t) override {}
    void drop_link(const std::string&) override {}
    void tell_protected() override {}
    void tell_checkpoint(const SecondarySession::CheckpointFacts&) override {}
    void tell_lost(const std::string&) override {}
    void promote_vm() override {}

    std::unique_ptr<SecondarySession> session;
    Instant answered{};
    SystemClock clock_;

  private:
    std::string path_;
    std::unique_ptr<PageStore> store_;
};

struct Pair {
    Pair() { ENSURE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0); }
    ~Pair() {
        ::close(ends[0]);
        ::close(ends[1]);
    }
    int ends[2];
};

void per_megabyte(benchmark::State& state, double seconds) {
    state.counters["ms_per_MiB"] = 1e3 * seconds / static_cast<double>(state.iterations()) /
                                   static_cast<double>(state.range(0));
}

void ReceiveAndCommit(benchmark::State& state) {
    Standby standby;
    const Sender sender(static_cast<std::size_t>(state.range(0)));
    Pair pair;
    double total = 0;
    for (auto step : state) {
        const Instant begin = standby.clock_.now();
        std::thread thread([&] { sender.send(pair.ends[0]); });
        for (std::size_t left = sender.bytes(); left > 0;) {
            const auto room = standby.session->space().value();
            const ssize_t got = ::recv(pair.ends[1], room.data(), room.size(), 0);
            left -= static_cast<std::size_t>(got);
            ENSURE(standby.session->received(static_cast<std::size_t>(got)).has_value());
        }
        thread.join();
        const double seconds = static_cast<double>(to_us(standby.answered - begin)) / 1e6;
        total += seconds;
        state.SetIterationTime(seconds);
    }
    per_megabyte(state, total);
}

void Floor(benchmark::State& state) {
    const Sender sender(static_cast<std::size_t>(state.range(0)));
    Pair pair;
    Bytes buffer(1U << 20);
    const SystemClock clock;
    double total = 0;
    for (auto step : state) {
        const Instant begin = clock.now();
        std::thread thread([&] { sender.send(pair.ends[0]); });
        for (std::size_t left = sender.bytes(); left > 0;)
            left -= static_cast<std::size_t>(::recv(pair.ends[1], buffer.data(), buffer.size(), 0));
        const double seconds = static_cast<double>(to_us(clock.now() - begin)) / 1e6;
        thread.join();
        total += seconds;
        state.SetIterationTime(seconds);
    }
    per_megabyte(state, total);
}

// The receiver's own work, without the socket: the bytes stand in the log already.
void ReadAndCommit(benchmark::State& state) {
    Standby standby;
    const Sender sender(static_cast<std::size_t>(state.range(0)));
    Pair pair;
    double total = 0;
    for (auto step : state) {
        std::thread thread([&] { sender.send(pair.ends[0]); });
        double own = 0;
        for (std::size_t left = sender.bytes(); left > 0;) {
            const auto room = standby.session->space().value();
            const ssize_t got = ::recv(pair.ends[1], room.data(), room.size(), 0);
            left -= static_cast<std::size_t>(got);
            const Instant begin = standby.clock_.now();
            ENSURE(standby.session->received(static_cast<std::size_t>(got)).has_value());
            const Instant end = left > 0 ? standby.clock_.now() : standby.answered;
            own += static_cast<double>((end - begin).count()) / 1e9;
        }
        thread.join();
        total += own;
        state.SetIterationTime(own);
    }
    per_megabyte(state, total);
}

BENCHMARK(Floor)->Arg(1)->Arg(10)->Arg(25)->UseManualTime()->Unit(benchmark::kMillisecond);
BENCHMARK(ReceiveAndCommit)
    ->Arg(1)
    ->Arg(10)
    ->Arg(25)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);
// What is counted is a small part of what passes: by its time alone it would run for hours.
BENCHMARK(ReadAndCommit)
    ->Arg(1)
    ->Arg(10)
    ->Arg(25)
    ->Iterations(20)
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace segue
