// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/qmp_connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

namespace segue {
namespace {

// A monitor in this process: it listens when told to, reads what it is sent, and says what it is
// told to say.
class FakeMonitor {
  public:
    explicit FakeMonitor(Loop& loop) : loop_(loop) {
        char directory[] = "/tmp/segue-qmp-XXXXXX";
        directory_ = ::mkdtemp(directory);
        path = directory_ + "/qmp.sock";
    }
    ~FakeMonitor() {
        hang_up();
        listen_watch_.reset();
        if (listener_ >= 0) ::close(listener_);
        std::filesystem::remove_all(directory_);
    }
    void listen() {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::memcpy(address.sun_path, path.c_str(), path.size());
        listener_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ASSERT_EQ(::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
        ASSERT_EQ(::listen(listener_, 1), 0);
        listen_watch_ = loop_.watch(listener_, [this](Loop::Ready) { accept(); });
        listen_watch_->set_interest(true, false);
    }
    void say(std::string_view text) {
        ASSERT_EQ(::send(peer_, text.data(), text.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(text.size()));
    }
    void hang_up() {
        peer_watch_.reset();
        if (peer_ >= 0) ::close(peer_);
        peer_ = -1;
    }

    std::string path;
    std::string heard;
    int descriptor = -1;
    std::function<void()> on_heard;

  private:
    void accept() {
        hang_up();
        peer_ = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
        peer_watch_ = loop_.watch(peer_, [this](Loop::Ready) { hear(); });
        peer_watch_->set_interest(true, false);
        // Who was refused is gone already.
        constexpr std::string_view kGreeting =
            R"({"QMP": {"version": {"qemu": {"major": 7}}, "capabilities": ["oob"]}})"
            "\r\n";
        (void)!::send(peer_, kGreeting.data(), kGreeting.size(), MSG_NOSIGNAL);
    }
    void hear() {
        char bytes[4096];
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
        iovec part{bytes, sizeof bytes};
        msghdr message{};
        message.msg_iov = &part;
        message.msg_iovlen = 1;
        message.msg_control = control;
        message.msg_controllen = sizeof control;
        const ssize_t size = ::recvmsg(peer_, &message, MSG_CMSG_CLOEXEC);
        if (size <= 0) return hang_up();
        if (const cmsghdr* header = CMSG_FIRSTHDR(&message)) {
            std::memcpy(&descriptor, CMSG_DATA(header), sizeof descriptor);
        }
        heard.append(bytes, static_cast<std::size_t>(size));
        if (heard.find("qmp_capabilities") != std::string::npos) {
            heard.clear();
            say("{\"return\": {}, \"id\": 0}\r\n");
        } else if (on_heard) {
            on_heard();
        }
    }

    Loop& loop_;
    std::string directory_;
    int listener_ = -1, peer_ = -1;
    std::unique_ptr<Watch> listen_watch_, peer_watch_;
};

class QmpConnectionTest : public testing::Test {
  protected:
    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
    FakeMonitor monitor_{*loop_};
};

TEST_F(QmpConnectionTest, ConnectsOnceTheMonitorListens) {
    QmpConnection connection(*loop_, monitor_.path, {.ready = [&](const QmpReady& ready) {
        EXPECT_TRUE(ready.out_of_band);
        loop_->stop();
    }});
    const auto later = loop_->make_timer([&] { monitor_.listen(); });
    later->start(30ms);
    loop_->run();
    EXPECT_EQ(connection.state(), QmpProtocol::State::ready);
}

TEST_F(QmpConnectionTest, GivesUpAfterTheBoundWithTheSocketsName) {
    Error reason;
    QmpConnection connection(*loop_, monitor_.path,
                             {.closed =
                                  [&](const Error& error) {
                                      reason = error;
                                      loop_->stop();
                                  }},
                             {.connect_bound = 30ms});
    Error reply;
    connection.execute("query-status", {}, [&](Result<Json> value) { reply = value.error(); });
    loop_->run();
    EXPECT_EQ(reason.code, ErrorCode::timeout);
    EXPECT_NE(reason.message.find(monitor_.path), std::string::npos);
    EXPECT_EQ(reply, reason);
}

// Ready, or why not.
ErrorCode code_of(RunLoop& loop, const std::string& path, std::optional<std::int32_t> server) {
    ErrorCode code{};
    QmpConnection connection(loop, path,
                             {.ready = [&](const QmpReady&) { loop.stop(); },
                              .closed =
                                  [&](const Error& error) {
                                      code = error.code;
                                      loop.stop();
                                  }},
                             {.server = server});
    loop.run();
    return code;
}

TEST_F(QmpConnectionTest, AnotherQemusMonitorIsNotTalkedTo) {
    monitor_.listen();
    EXPECT_EQ(code_of(*loop_, monitor_.path, 0), ErrorCode{}) << "made by us, with that name";
    monitor_.hang_up();
    const std::string link = monitor_.path + ".link", name = monitor_.path + ".name";
    ASSERT_EQ(::symlink(monitor_.path.c_str(), link.c_str()), 0);
    ASSERT_EQ(::link(monitor_.path.c_str(), name.c_str()), 0);
    for (const std::string& path : {link, name}) {
        EXPECT_EQ(code_of(*loop_, path, 0), ErrorCode::denied);
        EXPECT_EQ(code_of(*loop_, path, ::getppid()), ErrorCode::denied);
        monitor_.hang_up();
    }
    EXPECT_EQ(code_of(*loop_, link, ::getpid()), ErrorCode{}) << "a standby's, through our link";
    monitor_.hang_up();
    // The name alone proves nothing: what QEMU itself puts there belongs to QEMU's user.
    if (::geteuid() != 0) return;  // only root can be somebody else for a moment
    FakeMonitor theirs(*loop_);
    constexpr uid_t kSomebody = 65534;
    const std::string directory = std::filesystem::path(theirs.path).parent_path();
    ASSERT_EQ(::chown(directory.c_str(), kSomebody, kSomebody), 0);
    ASSERT_EQ(::seteuid(kSomebody), 0) << "listen() takes down who calls it";
    theirs.listen();
    ASSERT_EQ(::seteuid(0), 0);
    EXPECT_EQ(code_of(*loop_, theirs.path, 0), ErrorCode::denied);
    EXPECT_EQ(code_of(*loop_, theirs.path, ::getpid()), ErrorCode{});
}

TEST_F(QmpConnectionTest, CarriesCommandsRepliesEventsAndDescriptors) {
    monitor_.listen();
    std::string events;
    QmpConnection connection(*loop_, monitor_.path,
                             {.event = [&](const QmpEvent& event) { events += event.name; }});
    monitor_.on_heard = [&] {
        monitor_.say("{\"event\": \"RESUME\"}\r\n{\"return\": {\"a\": 1}, \"id\": 1}\r\n");
    };
    const int file = ::open("/dev/zero", O_RDONLY | O_CLOEXEC);
    Json value;
    connection.execute(
        {.name = "getfd", .arguments = Json::object({{"fdname", "x"}}), .descriptor = file},
        [&](Result<Json> reply) {
            value = reply.value();
            loop_->stop();
        });
    loop_->run();
    ::close(file);
    EXPECT_EQ(value.dump(), R"({"a":1})");
    EXPECT_EQ(events, "RESUME");
    EXPECT_EQ(monitor_.heard,
              "{\"execute\":\"getfd\",\"arguments\":{\"fdname\":\"x\"},\"id\":1}\n");
    ASSERT_GE(monitor_.descriptor, 0);
    char byte = 1;
    EXPECT_EQ(::read(monitor_.descriptor, &byte, 1), 1) << "the same open file arrived";
    EXPECT_EQ(byte, 0);
    ::close(monitor_.descriptor);
}

TEST_F(QmpConnectionTest, MonitorDeathAnswersWhatWaitsBeforeClosed) {
    monitor_.listen();
    std::string order;
    QmpConnection connection(*loop_, monitor_.path, {.closed = [&](const Error& error) {
        EXPECT_EQ(error.code, ErrorCode::connection_lost);
        order += "closed";
        loop_->stop();
    }});
    monitor_.on_heard = [&] { monitor_.hang_up(); };
    for (int count = 0; count < 3; ++count) {
        connection.execute("query-status", {}, [&](Result<Json> reply) {
            EXPECT_FALSE(reply);
            order += "reply ";
        });
    }
    loop_->run();
    EXPECT_EQ(order, "reply reply reply closed");
}

TEST_F(QmpConnectionTest, ASlowReplyIsATimeoutAndItsLateAnswerIsDropped) {
    monitor_.listen();
    QmpConnection connection(*loop_, monitor_.path, {});
    monitor_.on_heard = [] {};
    ErrorCode code{};
    connection.execute(
        "query-block", {},
        [&](Result<Json> reply) {
            code = reply.error().code;
            monitor_.on_heard = [&] {
                monitor_.say("{\"return\": 1, \"id\": 1}\r\n{\"return\": 2, \"id\": 2}\r\n");
            };
            connection.execute("query-status", {}, [&](Result<Json> second) {
                EXPECT_EQ(second->as_i64(), 2);
                loop_->stop();
            });
        },
        20ms);
    loop_->run();
    EXPECT_EQ(code, ErrorCode::timeout);
}

TEST_F(QmpConnectionTest, ACallbackMayDestroyTheConnection) {
    monitor_.listen();
    std::unique_ptr<QmpConnection> connection;
    connection = std::make_unique<QmpConnection>(
        *loop_, monitor_.path, QmpConnection::Handlers{.event = [&](const QmpEvent&) {
            connection.reset();
            loop_->stop();
        }});
    connection->execute("stop", {}, [](Result<Json>) { FAIL() << "the connection is gone"; });
    monitor_.on_heard = [&] {
        monitor_.say("{\"event\": \"STOP\"}\r\n{\"return\": {}, \"id\": 1}\r\n");
    };
    loop_->run();
    EXPECT_EQ(connection, nullptr);
}

}  // namespace
}  // namespace segue
