// SPDX-License-Identifier: LGPL-2.1-or-later
// rpc-server: our RPC server with one made-up domain, so that other people's clients can be tried
// against the wire alone.
//
//   rpc-server unix:PATH|tcp:HOST:PORT      prints "ready", stops on SIGTERM
//
// The domain "test" answers state, list, lookup, job questions and a console that echoes.
// Suspend answers after 300 ms, so that calls of one connection overlap; each suspend makes a
// lifecycle event.
#include <signal.h>

#include <algorithm>
#include <cstdio>

#include "rpc/event_hub.h"
#include "rpc/migration.schema.h"
#include "rpc/remote.schema.h"
#include "rpc/server.h"

namespace segue::rpc {
namespace {

constexpr std::int32_t kRunning = 1;
constexpr std::int32_t kPaused = 3;
constexpr std::int32_t kEventLifecycle = 0;
constexpr std::int32_t kSuspended = 3;

class MadeUpDaemon {
  public:
    MadeUpDaemon(RunLoop& loop, Dispatcher& calls) : loop_(loop), hub_(calls) {
        domain_.name = "test";
        domain_.uuid = *Uuid::parse("c0ffee00-0000-4000-8000-000000000001");
        domain_.id = 7;
        serve_connection(calls);
        serve_domain(calls);
        serve_streams(calls);
    }

  private:
    void serve_connection(Dispatcher& calls) {
        calls.answer<remote::ConnectGetType>([](Session&, const Nothing&) {
            return Result<remote::TextReply>(remote::TextReply{"QEMU"});
        });
        calls.answer<remote::ConnectGetVersion>([](Session&, const Nothing&) {
            return Result<remote::LongReply>(remote::LongReply{7'002'022});
        });
        calls.answer<remote::ConnectGetLibVersion>([](Session&, const Nothing&) {
            return Result<remote::LongReply>(remote::LongReply{9'000'000});
        });
        calls.answer<remote::ConnectGetHostname>([](Session&, const Nothing&) {
            return Result<remote::TextReply>(remote::TextReply{"made-up.example"});
        });
        calls.answer<remote::ConnectGetUri>([](Session&, const Nothing&) {
            return Result<remote::TextReply>(remote::TextReply{"qemu:///system"});
        });
        calls.answer<remote::ConnectGetCapabilities>([](Session&, const Nothing&) {
            return Result<remote::TextReply>(
                remote::TextReply{"<capabilities><host><uuid>c0ffee00-0000-4000-8000-0000000000ff"
                                  "</uuid></host></capabilities>"});
        });
        calls.answer<remote::NodeGetInfo>([](Session&, const Nothing&) {
            remote::NodeInfo info;
            std::copy_n("x86_64", 6, info.model.begin());
            info.memory = 4 << 20;
            info.cpus = info.cores = 2;
            info.nodes = info.sockets = info.threads = 1;
            return Result<remote::NodeInfo>(info);
        });
    }

    Result<> check(const DomainRef& asked) {
        if (asked.uuid == domain_.uuid) return {};
        return fail(ErrorCode::no_domain, "no domain with matching uuid '{}' ({})",
                    asked.uuid.text(), asked.name);
    }

    void serve_domain(Dispatcher& calls) {
        calls.answer<remote::ConnectListAllDomains>(
            [this](Session&, const remote::NeedResultsCall& call) {
                remote::ListAllDomainsReply reply;
                if (call.need_results) reply.domains.push_back(domain_);
                reply.count = 1;
                return Result<remote::ListAllDomainsReply>(reply);
            });
        calls.answer<remote::DomainLookupByName>(
            [this](Session&, const remote::NameCall& call) -> Result<remote::DomainReply> {
                if (call.name == domain_.name) return remote::DomainReply{domain_};
                return fail(ErrorCode::no_domain, "no domain with matching name '{}'", call.name);
            });
        calls.answer<remote::DomainGetXmlDesc>(
            [this](Session&, const remote::DomainFlagsCall& call) -> Result<remote::TextReply> {
                TRY(check(call.domain));
                return remote::TextReply{"<domain type='qemu'><name>test</name></domain>"};
            });
        calls.answer<remote::DomainLookupById>(
            [this](Session&, const remote::NumberCall& call) -> Result<remote::DomainReply> {
                if (call.value == domain_.id) return remote::DomainReply{domain_};
                return fail(ErrorCode::no_domain, "no domain with matching id {}", call.value);
            });
        calls.answer<remote::DomainGetState>(
            [this](Session&,
                   const remote::DomainFlagsCall& call) -> Result<remote::DomainStateReply> {
                TRY(check(call.domain));
                return remote::DomainStateReply{state_, 1};
            });
        calls.answer<migration::DomainGetJobStats>(
            [this](Session&,
                   const remote::DomainFlagsCall& call) -> Result<migration::JobStatsReply> {
                TRY(check(call.domain));
                migration::JobStatsReply reply;
                reply.type = 2;
                reply.parameters = {{"operation", std::int32_t{5}},
                                    {"time_elapsed", std::uint64_t{1234}},
                                    {"memory_total", std::uint64_t{256u << 20}}};
                return reply;
            });
        calls.on<remote::DomainSuspend>(
            [this](Session&, remote::DomainCall call, const Reply<remote::DomainSuspend>& reply) {
                if (const auto known = check(call.domain); !known) return reply(known);
                timers_.push_back(loop_.make_timer([this, reply] {
                    state_ = kPaused;
                    reply({});
                    hub_.publish<event::DomainEventLifecycle>(kEventLifecycle,
                                                              {0, domain_, kSuspended, 0});
                }));
                timers_.back()->start(300ms);
            });
        calls.answer<remote::DomainResume>([this](Session&, const remote::DomainCall& call) {
            const auto known = check(call.domain);
            if (known) state_ = kRunning;
            return known;
        });
    }

    void serve_streams(Dispatcher& calls) {
        // Echoes each line; the word "bye" ends it from this side.
        calls.on<remote::DomainOpenConsole>([this](Session&, const remote::OpenConsoleCall&,
                                                   const Reply<remote::DomainOpenConsole>& reply) {
            console_ = reply.open_stream({});
            Stream::Handlers handlers;
            handlers.on_data = [this](ByteView data) {
                if (as_text(data).find("bye") != std::string_view::npos) return console_->end();
                console_->send(data);
            };
            console_->set_handlers(std::move(handlers));
            console_->send(as_bytes("hello from the console\r\n"));
            reply({});
        });
        calls.on<remote::DomainScreenshot>([](Session&, const remote::ScreenshotCall&,
                                              const Reply<remote::DomainScreenshot>& reply) {
            const auto stream = reply.open_stream({});
            reply(remote::OptionalTextReply{"image/x-portable-pixmap"});
            Bytes picture(as_bytes("P6\n640 480\n255\n").begin(),
                          as_bytes("P6\n640 480\n255\n").end());
            picture.resize(picture.size() + 640 * 480 * 3, 0x55);
            stream->send(picture);
            stream->end();
        });
    }

    RunLoop& loop_;
    EventHub hub_;
    DomainRef domain_;
    std::int32_t state_ = kRunning;
    std::shared_ptr<Stream> console_;
    std::vector<std::unique_ptr<Timer>> timers_;
};

Result<> run(const char* listen) {
    const auto loop = make_asio_loop();
    Dispatcher calls;
    MadeUpDaemon daemon(*loop, calls);
    ServerOptions options;
    options.session.has_feature = [](std::int32_t feature) { return feature == 13; };
    Server server(*loop, calls, options);
    const net::Address address = TRY(net::Address::parse(listen));
    TRY(server.listen({address, {}, false, nullptr}));
    loop->on_signal(SIGTERM, [&] { loop->stop(); });
    std::puts("ready");
    std::fflush(stdout);
    loop->run();
    return {};
}

}  // namespace
}  // namespace segue::rpc

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: rpc-server unix:PATH|tcp:HOST:PORT\n", stderr);
        return 2;
    }
    const auto done = segue::rpc::run(argv[1]);
    if (!done) fmt::print(stderr, "rpc-server: {}\n", done.error().message);
    return done ? 0 : 1;
}
