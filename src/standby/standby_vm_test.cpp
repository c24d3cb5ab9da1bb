// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/standby_vm.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "base/json.h"
#include "net/listen.h"
#include "net/test_loop.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

// The monitor of a QEMU that takes every state, and answers `cont` when it is told to. The process
// beside it does nothing.
class FakeQemu {
  public:
    FakeQemu(Loop& loop, const StandbyVm::Files& files)
        : loop_(loop),
          monitor_(listen(files.own_qmp, [this](net::Descriptor& socket) { serve(socket); })),
          incoming_(listen(files.incoming, [this](net::Descriptor& socket) { read(socket); })) {}

    std::vector<std::string> asked;
    bool answers_cont = false;

    int count(std::string_view name) const {
        return static_cast<int>(std::count(asked.begin(), asked.end(), name));
    }

  private:
    std::unique_ptr<net::Listener> listen(const std::string& path,
                                          std::function<void(net::Descriptor&)> accept) {
        return net::Listener::make(
                   loop_, net::Address::of_unix(path), {},
                   [accept](net::Descriptor socket, const net::SocketAddress&) { accept(socket); })
            .value();
    }
    void serve(net::Descriptor& socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) { take(as_text(bytes)); };
        handlers.on_closed = [](const Error&) {};
        peer_ = std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
        peer_->start();
        say(R"({"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}, "package": ""},)"
            R"( "capabilities": ["oob"]}})");
    }
    void read(net::Descriptor& socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [](ByteView) {};
        handlers.on_closed = [this](const Error&) {
            say(R"({"event": "MIGRATION", "data": {"status": "completed"},)"
                R"( "timestamp": {"seconds": 1, "microseconds": 0}})");
        };
        stream_ = std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers));
        stream_->start();
    }
    void take(std::string_view bytes) {
        input_ += bytes;
        for (std::size_t end; (end = input_.find('\n')) != std::string::npos;) {
            const auto command = Json::parse(input_.substr(0, end)).value();
            input_.erase(0, end + 1);
            asked.emplace_back(command.find("execute") != nullptr ? command.text("execute")
                                                                  : command.text("exec-oob"));
            if (asked.back() == "cont" && !answers_cont) continue;
            Json answer = Json::object({{"return", Json::object()}});
            if (const Json* id = command.find("id")) answer.set("id", *id);
            say(answer.dump());
        }
    }
    void say(const std::string& line) { peer_->send_copy(as_bytes(line + "\r\n")); }

    Loop& loop_;
    std::unique_ptr<net::Listener> monitor_, incoming_;
    std::unique_ptr<net::Connection> peer_, stream_;
    std::string input_;
};

// The guest of a QEMU that is slow to say so may run: it is the only copy.
TEST(StandbyVm, AGuestThatWasLetGoIsWaitedFor) {
    net::TestLoop loop;
    const TestFolder folder;
    const StandbyVm::Files files{folder.file("qmp"), folder.file("incoming"), folder.file("log"),
                                 folder.file("pid")};
    VmCommand command;
    command.words = {"sleep", "600"};
    StandbyVm vm(
        *loop, std::move(command), files, [](const std::string&) {}, 50ms);
    ASSERT_TRUE(vm.start().has_value());
    FakeQemu qemu(*loop, files);
    const StreamHead head;
    std::vector<bool> marks;
    std::optional<Result<>> outcome;
    vm.promote(
        [&] {
            return std::make_unique<FailoverStream>(head, std::vector<FailoverStream::Block>(),
                                                    ByteView());
        },
        [&](bool ran) {
            marks.push_back(ran);
            return Result<>();
        },
        [&](Result<> ended) { outcome = std::move(ended); });
    ASSERT_TRUE(loop.run_until([&] { return qemu.count("cont") >= 3 || outcome; }));
    EXPECT_FALSE(outcome.has_value());
    EXPECT_TRUE(vm.is_let_go());
    const pid_t process = vm.process();
    EXPECT_EQ(::kill(process, 0), 0);
    qemu.answers_cont = true;
    ASSERT_TRUE(loop.run_until([&] { return outcome.has_value(); }));
    EXPECT_TRUE(outcome->has_value());
    EXPECT_TRUE(vm.is_running());
    EXPECT_EQ(marks, std::vector{true});
    vm.stop();
}

// The caller's loop writes the state: whoever it works for must not be kept from it for long.
TEST(StandbyVm, OneThatReadsNothingIsNotWaitedForLongerThanItMayBe) {
    net::TestLoop loop;
    const TestFolder folder;
    const StandbyVm::Files files{folder.file("qmp"), folder.file("incoming"), folder.file("log"),
                                 folder.file("pid")};
    VmCommand command;
    command.words = {"sleep", "600"};
    StandbyVm vm(*loop, std::move(command), files, [](const std::string&) {});
    ASSERT_TRUE(vm.start().has_value());
    FakeQemu qemu(*loop, files);
    const StreamHead head;
    // More than a socket takes. The loop that would read it is the one that writes it.
    const Bytes state(8U << 20, 's');
    vm.set_write_bound(20ms);
    std::optional<Result<>> outcome;
    vm.promote(
        [&] {
            return std::make_unique<FailoverStream>(head, std::vector<FailoverStream::Block>(),
                                                    state);
        },
        [](bool) { return Result<>(); }, [&](Result<> ended) { outcome = std::move(ended); });
    ASSERT_TRUE(loop.run_until([&] { return outcome.has_value(); }, 20s));
    EXPECT_FALSE(outcome->has_value());
    EXPECT_EQ(qemu.count("cont"), 0);
    vm.stop();
}

// A shadow is loaded while the primary stands still, and runs when that does.
TEST(StandbyVm, OneThatWasLeftPausedGoesOnLater) {
    net::TestLoop loop;
    const TestFolder folder;
    const StandbyVm::Files files{folder.file("qmp"), folder.file("incoming"), folder.file("log"),
                                 folder.file("pid")};
    VmCommand command;
    command.words = {"sleep", "600"};
    std::string ended;
    StandbyVm vm(*loop, std::move(command), files, [&](const std::string& how) { ended = how; });
    ASSERT_TRUE(vm.start().has_value());
    FakeQemu qemu(*loop, files);
    qemu.answers_cont = true;
    const StreamHead head;
    std::optional<Result<>> loaded, runs;
    vm.leave_paused();
    vm.promote(
        [&] {
            return std::make_unique<FailoverStream>(head, std::vector<FailoverStream::Block>(),
                                                    ByteView());
        },
        [](bool) { return Result<>(); }, [&](Result<> outcome) { loaded = std::move(outcome); });
    ASSERT_TRUE(loop.run_until([&] { return loaded.has_value(); }));
    EXPECT_TRUE(loaded->has_value());
    EXPECT_EQ(qemu.count("cont"), 0);
    vm.go_on([&](Result<> outcome) { runs = std::move(outcome); });
    ASSERT_TRUE(loop.run_until([&] { return runs.has_value(); }));
    EXPECT_TRUE(runs->has_value());
    EXPECT_EQ(qemu.count("cont"), 1);
    // Its places are free before it is gone.
    vm.end_soon();
    EXPECT_NE(::access(files.pid.c_str(), F_OK), 0);
    ASSERT_TRUE(loop.run_until([&] { return !ended.empty(); }));
    EXPECT_EQ(ended, "signal 9");
    EXPECT_FALSE(vm.is_started());
}

}  // namespace
}  // namespace segue::standby
