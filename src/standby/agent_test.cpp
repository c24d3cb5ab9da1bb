// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "net/test_loop.h"
#include "qemu/stream_format.h"
#include "qemu/stream_test_support.h"
#include "standby/test_peer.h"

namespace segue::standby {
namespace {

using ::testing::HasSubstr;

// What a control socket answers.
Json ask(net::TestLoop& loop, const std::string& path, std::string_view request) {
    TestPeer peer(*loop, path);
    peer.connection->send_copy(as_bytes(request));
    EXPECT_TRUE(loop.run_until([&] { return !peer.input.empty() && peer.input.back() == '\n'; }));
    return Json::parse(as_text(peer.input)).value();
}

// A standby that greets and then reads nothing, and an agent that it has welcomed.
struct AgentTest : ::testing::Test {
    net::TestLoop loop;
    TestFolder folder;
    std::unique_ptr<net::Listener> listener;
    std::unique_ptr<net::Connection> standby;
    Bytes heard;
    bool greeted = false;
    AgentOptions options;
    std::unique_ptr<Agent> agent;
    std::string control;

    void SetUp() override {
        const auto address = net::Address::of_unix(folder.file("standby.sock"));
        listener = net::Listener::make(*loop, address, {},
                                       [this](net::Descriptor socket, const net::SocketAddress&) {
                                           greet(std::move(socket));
                                       })
                       .value();
        options.state = folder.file("agent");
        options.standby = address;
        start();
    }
    void start() {
        agent = Agent::make(loop.owned(), options).value();
        control = options.state + "/control.sock";
        for (int tries = 0; tries < 1000 && state() == "linking";)
            ++tries;
        ASSERT_EQ(state(), "ready");
    }
    void greet(net::Descriptor socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            heard.insert(heard.end(), bytes.begin(), bytes.end());
            if (std::exchange(greeted, true)) return;
            standby->set_reading(false);
            standby->send(AgentLink::tell(AgentLink::Kind::welcome));
        };
        handlers.on_closed = [](const Error&) {};
        // Until we close: a standby does when it has heard the farewell.
        handlers.on_end_of_input = [] {};
        standby = std::make_unique<net::Connection>(*loop, std::move(socket), std::move(handlers));
        standby->start();
    }
    std::string state() {
        return std::string(ask(loop, control, "{\"cmd\":\"status\"}\n").text("state"));
    }
    // What a machine without memory says of itself; `bytes` are its devices'.
    static Bytes first_state(std::size_t bytes) {
        BigWriter out;
        out.u32(kStreamMagic);
        out.u32(kStreamVersion);
        out.u8(static_cast<std::uint8_t>(StreamSection::configuration));
        out.u32(4);
        out.bytes(as_bytes("none"));
        out.u8(static_cast<std::uint8_t>(StreamSection::command));
        out.u16(kCommandEnableColo);
        out.u16(0);
        const auto footer = [&out] {
            out.u64(kRamEnd);
            out.u8(static_cast<std::uint8_t>(StreamSection::footer));
            out.u32(1);
        };
        out.u8(static_cast<std::uint8_t>(StreamSection::start));
        out.u32(1);
        out.u8(3);
        out.bytes(as_bytes("ram"));
        out.u32(0);
        out.u32(kRamVersion);
        out.u64(kRamBlockList);
        footer();
        out.u8(static_cast<std::uint8_t>(StreamSection::end));
        out.u32(1);
        footer();
        out.u8(static_cast<std::uint8_t>(StreamSection::full));
        out.bytes(Bytes(bytes, 'd'));
        out.u8(static_cast<std::uint8_t>(StreamSection::end_of_file));
        constexpr std::string_view kDescription = R"({"page_size": 4096, "devices": []})";
        out.u8(static_cast<std::uint8_t>(StreamSection::description));
        out.u32(kDescription.size());
        out.bytes(as_bytes(kDescription));
        return out.take();
    }
    std::unique_ptr<TestPeer> protect(std::size_t state_bytes = 100) {
        auto qemu = std::make_unique<TestPeer>(*loop, options.state + "/colo.sock");
        const Bytes first = first_state(state_bytes);
        qemu->send(first);
        standby->set_reading(true);
        EXPECT_TRUE(loop.run_until(
            [&] { return heard.size() >= first.size() && streamed() == first; }, 60s));
        standby->send(AgentLink::word(ColoMessage::checkpoint_ready));
        EXPECT_TRUE(loop.run_until([&] { return state() == "protected"; }));
        return qemu;
    }
    Bytes streamed() const {
        AgentLink link(AgentLink::End::standby);
        Bytes all;
        AgentLink::Message message;
        for (std::size_t at = 0, now = 1; now != 0; at += now) {
            now = link.next(ByteView(heard).subspan(at), message).value();
            if (now == 0 || message.kind != AgentLink::Kind::stream) continue;
            all.insert(all.end(), message.bytes.begin(), message.bytes.end());
        }
        return all;
    }
    std::unique_ptr<TestPeer> ask_for_the_end() {
        auto asker = std::make_unique<TestPeer>(*loop, control);
        asker->connection->send_copy(as_bytes("{\"cmd\":\"end\"}\n"));
        EXPECT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::ends; }, 60s));
        return asker;
    }
    static Json answer(const TestPeer& asker) { return Json::parse(as_text(asker.input)).value(); }
    // The last one that is whole.
    std::optional<AgentLink::Kind> last_heard() const {
        AgentLink link(AgentLink::End::standby);
        std::optional<AgentLink::Kind> last;
        AgentLink::Message message;
        for (std::size_t at = 0, now = 1; now != 0; at += now) {
            now = link.next(ByteView(heard).subspan(at), message).value();
            if (now != 0) last = message.kind;
        }
        return last;
    }
};

TEST_F(AgentTest, FramesBeyondAFullLinkAreDroppedAndTheProtectionGoesOn) {
    const auto qemu = protect();
    standby->set_reading(false);
    const Bytes frame = framed(Bytes(60000, 'f'));
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    constexpr std::size_t kSent = 200U * 1000 * 1000 / 60000;
    for (std::size_t count = 0; count < kSent; ++count)
        nic.connection->send_copy(frame);
    ASSERT_TRUE(loop.run_until([&] { return nic.connection->output_waiting() == 0; }, 60s));
    const Json said = ask(loop, control, "{\"cmd\":\"status\"}\n");
    EXPECT_EQ(said.text("state"), "protected");
    EXPECT_GT(said.u64("dropped_frames"), kSent / 4);
    EXPECT_LT(said.u64("backlog_bytes"), std::uint64_t{110} << 20);
}

// A copy of disks and memory takes minutes, and fills the link.
TEST_F(AgentTest, TheGuestsNetworkIsItsOwnUntilItIsProtected) {
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    const TestPeer back(*loop, options.state + "/net-back.sock");
    const Bytes early = framed(Bytes(1000, 'e'));
    nic.connection->send_copy(early);
    ASSERT_TRUE(loop.run_until([&] { return back.input == early; }));
    const auto qemu = protect();
    EXPECT_EQ(last_heard(), AgentLink::Kind::stream);
    nic.connection->send_copy(framed(Bytes(1000, 'l')));
    EXPECT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::frames; }));
    EXPECT_EQ(back.input, early);
}

// Whoever ended the agent before its word arrived would look like a loss: a second copy.
TEST_F(AgentTest, AnEndIsAnsweredWhenTheStandbyHasHeardOfIt) {
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    for (int count = 0; count < 100; ++count)
        nic.connection->send(framed(Bytes(60000, 'f')));
    ASSERT_TRUE(loop.run_until([&] { return nic.connection->output_waiting() == 0; }, 60s));
    const TestPeer asker(*loop, control);
    asker.connection->send_copy(as_bytes("{\"cmd\":\"end\"}\n"));
    ASSERT_TRUE(loop.run_until([&] { return state() == "ended"; }));
    EXPECT_THAT(asker.input, ::testing::IsEmpty());
    // A word that nobody reads any more does not cost the farewell.
    standby->send(AgentLink::word(ColoMessage::vmstate_received));
    standby->set_reading(true);
    ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::ends; }, 60s));
    EXPECT_THAT(asker.input, ::testing::IsEmpty());
    standby->close();
    EXPECT_TRUE(loop.run_until([&] { return !asker.input.empty(); }));
    EXPECT_EQ(Json::parse(as_text(asker.input)).value().text("state"), "ended");
}

// A standby that wins by itself, and may not have heard of the end, may take over: the guest must
// not be heard beside it.
struct StandbyWins : AgentTest {
    void SetUp() override {
        options.on_loss = AgentOptions::OnLoss::promote;
        options.gate = AgentOptions::Gate::primary;
        options.cards = 1;
        AgentTest::SetUp();
    }
};

TEST_F(StandbyWins, AnEndThatIsNotConfirmedLetsNothingOut) {
    const auto qemu = protect();
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    const TestPeer back(*loop, options.state + "/net-back.sock");
    nic.connection->send(framed(Bytes(1000, 'f')));
    const auto asker = ask_for_the_end();
    EXPECT_EQ(state(), "ending");
    standby->close();
    ASSERT_TRUE(loop.run_until([&] { return !asker->input.empty(); }));
    EXPECT_THAT(std::string(answer(*asker).text("error")), HasSubstr("may have taken over"));
    EXPECT_EQ(state(), "isolated");
    EXPECT_THAT(back.input, ::testing::IsEmpty());
}

TEST_F(StandbyWins, AnEndThatIsConfirmedLetsTheGuestGoOn) {
    const auto qemu = protect();
    const TestPeer nic(*loop, options.state + "/net-out.sock");
    const TestPeer back(*loop, options.state + "/net-back.sock");
    const Bytes frame = framed(Bytes(1000, 'f'));
    nic.connection->send_copy(frame);
    const auto asker = ask_for_the_end();
    EXPECT_THAT(back.input, ::testing::IsEmpty());
    standby->send(AgentLink::tell(AgentLink::Kind::given_up));
    ASSERT_TRUE(loop.run_until([&] { return !asker->input.empty(); }));
    EXPECT_EQ(answer(*asker).text("state"), "ended");
    EXPECT_TRUE(loop.run_until([&] { return back.input == frame; }));
}

// A QEMU that dies ends its disk's copy first. What is said of that must not take "dead" back.
struct DyingQemu : AgentTest {
    void SetUp() override {
        qemu_process = ::fork();
        if (qemu_process == 0) {
            ::pause();
            ::_exit(0);
        }
        options.qemu = qemu_process;
        options.disk_bytes = {1U << 20};
        AgentTest::SetUp();
    }
    void TearDown() override {
        ::kill(qemu_process, SIGKILL);
        ::waitpid(qemu_process, nullptr, 0);
    }
    pid_t qemu_process = 0;
};

TEST_F(DyingQemu, DeadIsTheLastThingThatIsSaid) {
    TestPeer mirror(*loop, options.state + "/disk.sock");
    BigWriter out;
    out.u32(3);
    out.u64(0x49484156454f5054);
    out.u32(1);  // EXPORT_NAME
    out.u32(0);
    out.u32(0x25609513);
    out.u16(0);
    out.u16(static_cast<std::uint16_t>(nbd::Command::write_zeroes));
    out.u64(1);
    out.u64(0);
    out.u32(1U << 20);
    mirror.send(out.take());
    standby->set_reading(true);
    ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::zero; }));
    const auto qemu = protect();
    mirror.connection->close();
    loop.run_for(20ms);
    ::kill(qemu_process, SIGKILL);
    ::waitpid(qemu_process, nullptr, 0);
    ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::dead; }));
    // Longer than a copy that ended is waited for.
    loop.run_for(700ms);
    EXPECT_EQ(last_heard(), AgentLink::Kind::dead);
}

TEST_F(AgentTest, WhoIsTakenSaysSoBehindEverythingElse) {
    const auto qemu = protect();
    standby->send(AgentLink::tell(AgentLink::Kind::taken));
    ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::yields; }));
    EXPECT_EQ(state(), "isolated");
    // For a daemon that finds no agent any more.
    EXPECT_TRUE(std::filesystem::exists(options.state + "/taken"));
}

// Each who asked is answered, also where a daemon was started again meanwhile.
TEST_F(StandbyWins, TwoWhoAskForTheEndAreBothAnswered) {
    const auto qemu = protect();
    const auto first = ask_for_the_end();
    TestPeer second(*loop, control);
    second.connection->send_copy(as_bytes("{\"cmd\":\"end\"}\n"));
    EXPECT_EQ(state(), "ending");
    standby->send(AgentLink::tell(AgentLink::Kind::given_up));
    ASSERT_TRUE(loop.run_until([&] { return !first->input.empty() && !second.input.empty(); }));
    EXPECT_EQ(answer(*first).text("state"), "ended");
    EXPECT_EQ(answer(second).text("state"), "ended");
}

// The standby's own reason is the agent's.
TEST_F(AgentTest, AStandbyThatClosesSaysWhy) {
    const auto qemu = protect();
    standby->send(AgentLink::closing("the disk image could not be made durable"));
    ASSERT_TRUE(loop.run_until([&] { return state() == "lost"; }));
    const Json said = ask(loop, control, "{\"cmd\":\"status\"}\n");
    EXPECT_EQ(said.text("reason"), "it closes the link: the disk image could not be made durable");
}

// Whoever asked has heard that the guest was not paused.
// It does not say what its guest has read: a standby in hybrid mode would never ask again.
TEST_F(AgentTest, OneInPeriodicModeIsNotMadeToWait) {
    auto qemu = protect();
    standby->send(AgentLink::tell(AgentLink::Kind::asks));
    standby->send(AgentLink::closing("over"));
    ASSERT_TRUE(loop.run_until([&] { return state() == "lost"; }));
    EXPECT_EQ(ask(loop, control, "{\"cmd\":\"status\"}\n").text("mode"), "periodic");
}

struct HybridAgent : AgentTest {
    void SetUp() override {
        options.hybrid = true;
        AgentTest::SetUp();
    }
};

TEST_F(HybridAgent, WaitsWhenItIsAsked) {
    auto qemu = protect();
    standby->send(AgentLink::tell(AgentLink::Kind::asks));
    standby->send(AgentLink::closing("over"));
    ASSERT_TRUE(loop.run_until([&] { return state() == "lost"; }));
    EXPECT_EQ(ask(loop, control, "{\"cmd\":\"status\"}\n").text("mode"), "hybrid");
}

TEST_F(AgentTest, APauseThatLosesItsStandbyIsNone) {
    const auto qemu = protect();
    TestPeer asker(*loop, control);
    asker.connection->send_copy(as_bytes("{\"cmd\":\"pause\"}\n"));
    ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::pauses; }, 60s));
    standby->close();
    ASSERT_TRUE(loop.run_until([&] { return !asker.input.empty(); }, 60s));
    EXPECT_THAT(std::string(answer(asker).text("error")), HasSubstr("the standby was lost"));
    const Json said = ask(loop, control, "{\"cmd\":\"status\"}\n");
    EXPECT_EQ(said.text("state"), "lost");
    EXPECT_FALSE(said.flag("paused"));
}

// Its user's pause, in a checkpoint of a real QEMU's.
struct PausedGuest : AgentTest {
    std::unique_ptr<TestPeer> qemu;

    void SetUp() override {
        AgentTest::SetUp();
        qemu = std::make_unique<TestPeer>(*loop, options.state + "/colo.sock");
        standby->set_reading(true);
        run(captured("microvm-first.bin"));
        standby->send(AgentLink::word(ColoMessage::checkpoint_ready));
        ASSERT_TRUE(loop.run_until([&] { return state() == "protected"; }));
        TestPeer asker(*loop, control);
        asker.connection->send_copy(as_bytes("{\"cmd\":\"pause\"}\n"));
        ASSERT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::pauses; }));
        run(captured("microvm-checkpoint-1.bin"));
        EXPECT_TRUE(status().flag("holds_qemu"));
        standby->send(AgentLink::word(ColoMessage::vmstate_received));
        ASSERT_TRUE(loop.run_until([&] { return !asker.input.empty(); }));
        ASSERT_EQ(answer(asker).text("state"), "still");
        ASSERT_EQ(last_said(), ColoMessage::checkpoint_reply);
    }
    Json status() { return ask(loop, control, "{\"cmd\":\"status\"}\n"); }
    void run(const Bytes& stream) {
        const std::size_t before = streamed().size();
        qemu->send(stream);
        ASSERT_TRUE(
            loop.run_until([&] { return streamed().size() == before + stream.size(); }, 60s));
    }
    ColoMessage last_said() const {
        const std::uint8_t* const word = qemu->input.data() + qemu->input.size() - 4;
        return static_cast<ColoMessage>(load<ByteOrder::big, std::uint32_t>(word));
    }
    std::unique_ptr<TestPeer> resume() {
        auto asker = std::make_unique<TestPeer>(*loop, control);
        asker->connection->send_copy(as_bytes("{\"cmd\":\"thaw\"}\n"));
        EXPECT_TRUE(loop.run_until([&] { return last_heard() == AgentLink::Kind::resumes; }));
        return asker;
    }
};

// A failover in that moment would leave it paused for ever.
TEST_F(PausedGuest, GoesOnWhenItsStandbyKnowsThatItDoes) {
    const auto asker = resume();
    loop.run_for(20ms);
    EXPECT_THAT(asker->input, ::testing::IsEmpty());
    EXPECT_EQ(last_said(), ColoMessage::checkpoint_reply);
    EXPECT_TRUE(status().flag("paused"));
    standby->send(AgentLink::tell(AgentLink::Kind::resumed));
    ASSERT_TRUE(loop.run_until([&] { return !asker->input.empty(); }));
    EXPECT_EQ(answer(*asker).text("state"), "protected");
    EXPECT_FALSE(status().flag("paused"));
    EXPECT_TRUE(loop.run_until([&] { return last_said() == ColoMessage::vmstate_loaded; }));
}

TEST_F(PausedGuest, GoesOnAloneThoughItsStandbyIsLostMeanwhile) {
    const auto asker = resume();
    standby->close();
    ASSERT_TRUE(loop.run_until([&] { return !asker->input.empty(); }));
    EXPECT_EQ(answer(*asker).text("state"), "lost");
    EXPECT_FALSE(status().flag("paused"));
    EXPECT_TRUE(loop.run_until([&] { return last_said() == ColoMessage::vmstate_loaded; }));
}

// QEMU owes the standby nothing then: a main loop that hangs is its own.
TEST_F(PausedGuest, IsNothingThatHoldsQemu) {
    EXPECT_FALSE(status().flag("holds_qemu"));
}

// A graphics card keeps its pictures in its state.
TEST_F(AgentTest, AStateIsLargerThanAFrame) {
    const auto qemu = protect(40U << 20);
    EXPECT_EQ(state(), "protected");
}

}  // namespace
}  // namespace segue::standby
