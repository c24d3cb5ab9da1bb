// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/connection.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>

#include "net/connect.h"
#include "net/listen.h"
#include "net/socket.h"
#include "net/test_loop.h"

namespace segue::net {
namespace {

// One end of a connection that keeps what happens to it.
struct End {
    std::unique_ptr<Connection> connection;
    Bytes input;
    std::optional<Error> closed;
    int drained = 0;

    void open(Loop& loop, Descriptor descriptor) {
        Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            input.insert(input.end(), bytes.begin(), bytes.end());
        };
        handlers.on_closed = [this](const Error& reason) { closed = reason; };
        handlers.on_drained = [this] { ++drained; };
        connection = std::make_unique<Connection>(loop, std::move(descriptor), handlers);
    }
};

struct ConnectionTest : ::testing::Test {
    TestLoop loop;
    End left, right;

    void SetUp() override {
        auto pair = make_socket_pair();
        ASSERT_TRUE(pair);
        left.open(*loop, std::move((*pair)[0]));
        right.open(*loop, std::move((*pair)[1]));
    }
    void start() {
        left.connection->start();
        right.connection->start();
    }
};

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t index = 0; index < size; ++index)
        bytes[index] = static_cast<std::uint8_t>(index * 7 + index / 251);
    return bytes;
}

TEST_F(ConnectionTest, CarriesALargeMessageInOrder) {
    start();
    const Bytes sent = pattern(5'000'000);
    left.connection->send(sent);
    left.connection->send(std::make_shared<const Bytes>(sent));
    EXPECT_TRUE(loop.run_until([&] { return right.input.size() == 2 * sent.size(); }));
    EXPECT_TRUE(std::equal(sent.begin(), sent.end(), right.input.begin()));
    EXPECT_TRUE(std::equal(sent.begin(), sent.end(), right.input.begin() + sent.size()));
    EXPECT_EQ(left.connection->output_waiting(), 0u);
    EXPECT_GE(left.drained, 1);
}

TEST_F(ConnectionTest, TellsTheEnd) {
    start();
    left.connection->send(pattern(100));
    left.connection->close_after_output();
    EXPECT_TRUE(loop.run_until([&] { return right.closed && left.closed; }));
    EXPECT_EQ(right.input.size(), 100u);
    EXPECT_EQ(right.closed->code, ErrorCode::connection_lost);
}

TEST_F(ConnectionTest, APeerThatDoesNotReadIsBounded) {
    start();
    right.connection->set_reading(false);
    left.connection->set_output_limit(1 << 20);
    for (int round = 0; round < 40; ++round)
        left.connection->send(pattern(64 << 10));
    EXPECT_TRUE(loop.run_until([&] { return left.closed.has_value(); }));
    EXPECT_EQ(left.closed->code, ErrorCode::limit_exceeded);
    EXPECT_NE(left.closed->message.find("1048576"), std::string::npos);
}

TEST_F(ConnectionTest, CloseAfterOutputGivesUpOnADeafPeer) {
    start();
    right.connection->set_reading(false);
    left.connection->send(pattern(4 << 20));
    left.connection->close_after_output(30ms);
    EXPECT_TRUE(loop.run_until([&] { return left.closed.has_value(); }));
    EXPECT_NE(left.closed->message.find("did not read"), std::string::npos);
}

TEST_F(ConnectionTest, APeerThatNeverEndsIsClosed) {
    auto pair = make_socket_pair();
    ASSERT_TRUE(pair);
    left.open(*loop, std::move((*pair)[0]));
    left.connection->start();
    left.connection->send(pattern(100));
    left.connection->close_after_output();
    EXPECT_TRUE(loop.run_until([&] { return left.closed.has_value(); }));
    EXPECT_NE(left.closed->message.find("after the last output"), std::string::npos);
}

TEST_F(ConnectionTest, APeerThatSpeaksOnIsCutOff) {
    start();
    left.connection->close_after_output();
    right.connection->send(pattern(4 << 20));
    EXPECT_TRUE(loop.run_until([&] { return left.closed && right.closed; }));
    EXPECT_TRUE(left.input.empty());
}

TEST_F(ConnectionTest, NothingIsSentBehindTheLastOutput) {
    start();
    left.connection->send(pattern(100));
    left.connection->close_after_output();
    left.connection->send(pattern(100));
    EXPECT_TRUE(loop.run_until([&] { return right.closed && left.closed; }));
    EXPECT_EQ(right.input.size(), 100u);
}

TEST_F(ConnectionTest, PausedReadingHoldsThePeer) {
    start();
    right.connection->set_reading(false);
    left.connection->send(pattern(100'000));
    loop.run_for(20ms);
    EXPECT_TRUE(right.input.empty());
    right.connection->set_reading(true);
    EXPECT_TRUE(loop.run_until([&] { return right.input.size() == 100'000; }));
}

TEST_F(ConnectionTest, PassesDescriptorsInOrder) {
    right.connection->accept_descriptors();
    start();
    const auto files =
        std::array{std::filesystem::temp_directory_path(), std::filesystem::path("/")};
    std::vector<Descriptor> sent;
    std::vector<ino_t> expected;
    for (const auto& file : files) {
        sent.emplace_back(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
        struct stat status {};
        ASSERT_EQ(fstat(sent.back().get(), &status), 0);
        expected.push_back(status.st_ino);
    }
    left.connection->send_with_descriptors(pattern(28), std::move(sent));
    EXPECT_TRUE(loop.run_until([&] { return right.input.size() == 30; }));
    for (const ino_t inode : expected) {
        const auto received = right.connection->take_descriptor();
        ASSERT_TRUE(received);
        struct stat status {};
        ASSERT_EQ(fstat(received->get(), &status), 0);
        EXPECT_EQ(status.st_ino, inode);
        EXPECT_NE(fcntl(received->get(), F_GETFD) & FD_CLOEXEC, 0);
    }
    EXPECT_FALSE(right.connection->take_descriptor());
}

TEST_F(ConnectionTest, TooManyDescriptorsEndTheConnection) {
    right.connection->accept_descriptors();
    start();
    std::vector<Descriptor> sent;
    for (std::size_t count = 0; count <= Connection::kMaxDescriptors; ++count)
        sent.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
    left.connection->send_with_descriptors(pattern(4), std::move(sent));
    EXPECT_TRUE(loop.run_until([&] { return right.closed.has_value(); }));
    EXPECT_EQ(right.closed->code, ErrorCode::limit_exceeded);
}

TEST_F(ConnectionTest, KnowsWhoThePeerIs) {
    const auto credentials = left.connection->credentials();
    ASSERT_TRUE(credentials);
    EXPECT_EQ(credentials->process, getpid());
    EXPECT_EQ(credentials->user, getuid());
}

TEST(Connection, MayBeDestroyedInItsOwnHandler) {
    TestLoop loop;
    auto pair = make_socket_pair();
    ASSERT_TRUE(pair);
    std::unique_ptr<Connection> left, right;
    Connection::Handlers handlers;
    handlers.on_input = [&](ByteView) { right.reset(); };
    handlers.on_closed = [](const Error&) {};
    right = std::make_unique<Connection>(*loop, std::move((*pair)[1]), handlers);
    right->start();
    bool closed = false;
    handlers.on_closed = [&](const Error&) {
        left.reset();
        closed = true;
    };
    left = std::make_unique<Connection>(*loop, std::move((*pair)[0]), handlers);
    left->start();
    left->send(pattern(10));
    EXPECT_TRUE(loop.run_until([&] { return closed; }));
}

TEST(Connection, ReadsAPipeToo) {
    TestLoop loop;
    int pipe[2];
    ASSERT_EQ(::pipe2(pipe, O_CLOEXEC | O_NONBLOCK), 0);
    End source, sink;
    source.open(*loop, Descriptor(pipe[1]));
    sink.open(*loop, Descriptor(pipe[0]));
    sink.connection->start();
    source.connection->send(pattern(200'000));
    source.connection->start();
    EXPECT_TRUE(loop.run_until([&] { return sink.input.size() == 200'000; }));
    source.connection.reset();
    EXPECT_TRUE(loop.run_until([&] { return sink.closed.has_value(); }));
}

struct ListenTest : ::testing::Test {
    TestLoop loop;
    Resolver resolver{*loop};
    std::filesystem::path folder;

    void SetUp() override {
        std::string name = (std::filesystem::temp_directory_path() / "segue-net-XXXXXX").string();
        folder = ::mkdtemp(name.data());
    }
    void TearDown() override { std::filesystem::remove_all(folder); }

    Result<Descriptor> connect(const Address& address) {
        std::optional<Result<Descriptor>> outcome;
        Connector connector(*loop, resolver, address, 2s,
                            [&](Result<Descriptor> result) { outcome = std::move(result); });
        loop.run_until([&] { return outcome.has_value(); });
        if (!outcome) return fail(ErrorCode::timeout, "the callback did not come");
        return std::move(*outcome);
    }
};

TEST_F(ListenTest, UnixSocketHasItsRightsAndGoesAway) {
    const Address address = Address::of_unix(folder / "sock");
    int accepted = 0;
    {
        auto listener = Listener::make(*loop, address, {},
                                       [&](Descriptor, const SocketAddress&) { ++accepted; });
        ASSERT_TRUE(listener) << listener.error().message;
        struct stat status {};
        ASSERT_EQ(::stat(address.path.c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 0777, 0660u);
        EXPECT_TRUE(connect(address));
        EXPECT_TRUE(loop.run_until([&] { return accepted == 1; }));

        const auto second =
            Listener::make(*loop, address, {}, [](Descriptor, const SocketAddress&) {});
        ASSERT_FALSE(second);
        EXPECT_NE(second.error().message.find("another process serves it"), std::string::npos);
    }
    EXPECT_FALSE(std::filesystem::exists(address.path));
    EXPECT_FALSE(connect(address));
}

TEST_F(ListenTest, ReplacesAStaleSocketButNoFile) {
    const Address address = Address::of_unix(folder / "sock");
    const auto local = SocketAddress::of_unix(address.path);
    {
        Descriptor stale(::socket(AF_UNIX, SOCK_STREAM, 0));
        ASSERT_EQ(::bind(stale.get(), local->get(), local->size), 0);
    }
    ASSERT_TRUE(std::filesystem::exists(address.path));
    EXPECT_TRUE(Listener::make(*loop, address, {}, [](Descriptor, const SocketAddress&) {}));
    Descriptor file(::open(address.path.c_str(), O_CREAT | O_WRONLY, 0600));
    EXPECT_FALSE(Listener::make(*loop, address, {}, [](Descriptor, const SocketAddress&) {}));
    EXPECT_TRUE(std::filesystem::exists(address.path));
}

TEST_F(ListenTest, ServesBothFamiliesOfTcp) {
    for (const char* host : {"127.0.0.1", "::1"}) {
        SocketAddress seen;
        auto listener = Listener::make(*loop, Address::of_tcp(host, 0), {},
                                       [&](Descriptor, const SocketAddress& peer) { seen = peer; });
        ASSERT_TRUE(listener) << listener.error().message;
        ASSERT_NE((*listener)->local().port(), 0);
        EXPECT_TRUE(connect(Address::of_tcp(host, (*listener)->local().port())));
        EXPECT_TRUE(loop.run_until([&] { return seen.size != 0; }));
        EXPECT_TRUE(seen.is_loopback());
    }
}

// What a peer says while it is closed must not turn its last word into "connection reset".
TEST_F(ListenTest, TheLastWordReachesAPeerThatStillSpeaks) {
    Descriptor accepted;
    auto listener = Listener::make(
        *loop, Address::of_tcp("127.0.0.1", 0), {},
        [&](Descriptor socket, const SocketAddress&) { accepted = std::move(socket); });
    ASSERT_TRUE(listener) << listener.error().message;
    const auto peer = connect(Address::of_tcp("127.0.0.1", (*listener)->local().port()));
    ASSERT_TRUE(peer);
    ASSERT_TRUE(loop.run_until([&] { return static_cast<bool>(accepted); }));
    End server;
    server.open(*loop, std::move(accepted));
    server.connection->set_reading(false);
    server.connection->start();
    const Bytes words = pattern(20'000);
    ASSERT_EQ(::send(peer->get(), words.data(), words.size(), MSG_NOSIGNAL), 20'000);
    server.connection->send(pattern(100));
    server.connection->close_after_output();
    Bytes heard(1000);
    ssize_t size = 0;
    const auto hear = [&] {
        size = ::recv(peer->get(), heard.data(), heard.size(), 0);
        return size >= 0 || errno != EAGAIN;
    };
    ASSERT_TRUE(loop.run_until(hear));
    EXPECT_EQ(size, 100);
    ASSERT_EQ(::send(peer->get(), words.data(), words.size(), MSG_NOSIGNAL), 20'000);
    ASSERT_TRUE(loop.run_until(hear));
    EXPECT_EQ(size, 0) << "the end, and no reset";
    EXPECT_FALSE(server.closed);
    ASSERT_EQ(::shutdown(peer->get(), SHUT_WR), 0);
    EXPECT_TRUE(loop.run_until([&] { return server.closed.has_value(); }));
}

TEST_F(ListenTest, ConnectNamesWhatFailed) {
    const auto refused = connect(Address::of_tcp("127.0.0.1", 1));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "cannot connect to 'tcp:127.0.0.1:1': Connection refused");
    const auto unknown = connect(Address::of_tcp("no-such-host.invalid", 1));
    ASSERT_FALSE(unknown);
    EXPECT_NE(unknown.error().message.find("no-such-host.invalid"), std::string::npos);
    EXPECT_FALSE(connect(Address::of_unix((folder / "none").string())));
}

TEST_F(ListenTest, ResolvesNames) {
    auto listener = Listener::make(*loop, Address::of_tcp("127.0.0.1", 0), {},
                                   [](Descriptor, const SocketAddress&) {});
    ASSERT_TRUE(listener);
    EXPECT_TRUE(connect(Address::of_tcp("localhost", (*listener)->local().port())));
}

// Whether somebody says no, or nobody can be asked.
TEST_F(ListenTest, ARefusalIsNotALineThatIsDown) {
    const auto was_refused = [&](const Address& address) {
        std::optional<bool> outcome;
        Connector* asked = nullptr;
        Connector connector(*loop, resolver, address, 10s, [&](const Result<Descriptor>& result) {
            EXPECT_FALSE(result);
            outcome = asked->was_refused();
        });
        asked = &connector;
        EXPECT_TRUE(loop.run_until([&] { return outcome.has_value(); }));
        return outcome.value_or(false);
    };
    EXPECT_TRUE(was_refused(Address::of_tcp("127.0.0.1", 1)));
    EXPECT_TRUE(was_refused(Address::of_unix(folder / "nobody")));
    // The kernel sends no stream there: ENETUNREACH, with any network and with none.
    EXPECT_FALSE(was_refused(Address::of_tcp("255.255.255.255", 1)));
}

TEST_F(ListenTest, AConnectorThatIsGoneNeverCallsBack) {
    bool called = false;
    {
        Connector connector(*loop, resolver, Address::of_tcp("127.0.0.1", 1), 1s,
                            [&](Result<Descriptor>) { called = true; });
    }
    loop.run_for(20ms);
    EXPECT_FALSE(called);
}

// What stands between a user and two hours of a still picture.
TEST(DeadHost, IsAskedForAndBounded) {
    const Descriptor socket = make_socket(AF_INET).value();
    const auto option = [&](int name) {
        int value = 0;
        socklen_t size = sizeof value;
        EXPECT_EQ(getsockopt(socket.get(), IPPROTO_TCP, name, &value, &size), 0);
        return value;
    };
    notice_dead_host(socket.get(), false);
    EXPECT_EQ(option(TCP_KEEPIDLE), 5);
    EXPECT_EQ(option(TCP_KEEPINTVL), 2);
    EXPECT_EQ(option(TCP_KEEPCNT), 3);
    EXPECT_EQ(option(TCP_USER_TIMEOUT), 0) << "a device may be held up by its guest for long";
    notice_dead_host(socket.get(), true);
    EXPECT_EQ(option(TCP_USER_TIMEOUT), 15000);
    notice_dead_host(make_socket(AF_UNIX).value().get(), true);
}

}  // namespace
}  // namespace segue::net
