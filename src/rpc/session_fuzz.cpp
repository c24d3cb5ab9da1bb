// SPDX-License-Identifier: LGPL-2.1-or-later
// A client that sends anything: a server's session with handlers for calls, slow calls and streams
// is fed with the input in portions. Nothing may crash, and no more may be in flight than is
// allowed.
#include <deque>

#include "base/check.h"
#include "rpc/event_hub.h"
#include "rpc/migration.schema.h"
#include "rpc/remote.schema.h"
#include "rpc/server.h"

namespace segue::rpc {
namespace {

// Time stands still; posted tasks run when the fuzzer says so.
class StillLoop final : public Loop {
  public:
    struct StillClock final : Clock {
        Instant now() const override { return {}; }
        std::chrono::system_clock::time_point wall() const override { return {}; }
    };
    struct StillTimer final : Timer {
        void start(Duration) override {}
        void cancel() override {}
    };
    const Clock& clock() const override { return clock_; }
    std::unique_ptr<Timer> make_timer(std::function<void()>) override {
        return std::make_unique<StillTimer>();
    }
    std::unique_ptr<Watch> watch(int, std::function<void(Ready)>) override { return nullptr; }
    void post(std::function<void()> task) override { tasks_.push_back(std::move(task)); }
    void run_tasks() {
        while (!tasks_.empty()) {
            const auto task = std::move(tasks_.front());
            tasks_.pop_front();
            task();
        }
    }

  private:
    StillClock clock_;
    std::deque<std::function<void()>> tasks_;
};

// The fuzzer's end of the connection: output is checked to be whole messages.
class FuzzLink final : public Link {
  public:
    explicit FuzzLink(Handlers& handlers) : handlers_(handlers) {}
    void start(Handlers handlers) override { handlers_ = std::move(handlers); }
    void send(Bytes packet) override {
        Framer framer;
        framer.feed(packet);
        Packet parsed;
        const auto found = framer.next(parsed);
        ENSURE(found && *found == Framer::Found::packet);
    }
    void send_with_descriptors(Bytes, std::vector<net::Descriptor>) override {}
    std::optional<net::Descriptor> take_descriptor() override { return std::nullopt; }
    std::size_t output_waiting() const override { return 0; }
    void set_reading(bool) override {}
    void close_after_output() override {}
    void close() override { handlers_ = {}; }
    PeerInfo peer() const override { return {}; }

  private:
    Handlers& handlers_;
};

}  // namespace
}  // namespace segue::rpc

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace segue;
    using namespace segue::rpc;
    StillLoop loop;
    Dispatcher calls;
    EventHub hub(calls);
    std::vector<Reply<remote::DomainSuspend>> slow;
    std::vector<std::shared_ptr<Stream>> streams;
    calls.on<remote::DomainSuspend>(
        [&](Session&, const remote::DomainCall&, auto reply) { slow.push_back(reply); });
    calls.on<remote::DomainOpenConsole>([&](Session&, const remote::OpenConsoleCall&, auto reply) {
        streams.push_back(reply.open_stream({}));
        reply({});
    });
    calls.answer<migration::DomainMigratePrepare3Params>(
        [](Session&, const migration::Prepare3ParamsCall& call) -> Result<migration::PrepareReply> {
            return migration::PrepareReply{call.cookie, std::nullopt};
        });
    ServerOptions options;
    options.session.max_in_flight = 4;
    Link::Handlers wire;
    Server server(loop, calls, options);
    server.adopt(std::make_unique<FuzzLink>(wire));
    ByteView rest(data, size);
    while (!rest.empty() && wire.on_input) {
        const std::size_t portion = std::min<std::size_t>(rest.size(), 1 + rest[0] % 97);
        const auto on_input = wire.on_input;
        on_input(rest.first(portion));
        rest = rest.subspan(portion);
        ENSURE(slow.size() <= 4);
        if (portion % 3 == 0) slow.clear();  // forgotten: answered as a defect
        loop.run_tasks();
    }
    return 0;
}
