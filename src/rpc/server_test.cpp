// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/server.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include "net/test_loop.h"
#include "rpc/client.h"
#include "rpc/event_hub.h"
#include "rpc/keepalive.schema.h"
#include "rpc/migration.schema.h"
#include "rpc/qemu.schema.h"
#include "rpc/remote_error.h"

namespace segue::rpc {
namespace {

// A peer that speaks in bytes, and keeps the messages it gets.
struct RawPeer {
    std::unique_ptr<net::Connection> connection;
    Framer framer;
    std::vector<std::pair<Header, Bytes>> received;
    std::optional<Error> closed;

    RawPeer(Loop& loop, net::Descriptor socket) {
        net::Connection::Handlers handlers;
        handlers.on_input = [this](ByteView bytes) {
            framer.feed(bytes);
            Packet packet;
            while (framer.next(packet).value_or(Framer::Found::nothing) == Framer::Found::packet) {
                received.emplace_back(packet.header,
                                      Bytes(packet.payload.begin(), packet.payload.end()));
            }
            framer.keep_rest();
        };
        handlers.on_closed = [this](const Error& reason) { closed = reason; };
        connection = std::make_unique<net::Connection>(loop, std::move(socket), handlers);
        connection->accept_descriptors();
        connection->start();
    }
    void call(std::uint32_t program, std::int32_t procedure, std::uint32_t serial,
              ByteView body = {}) {
        Header header;
        header.program = program;
        header.version = kProgramVersion;
        header.procedure = procedure;
        header.serial = serial;
        connection->send(make_raw_packet(header, body));
    }
    template <class P>
    void call(std::uint32_t serial, const typename P::Call& body) {
        Bytes bytes;
        XdrWriter writer(bytes);
        write(writer, body);
        call(P::kProgram, P::kNumber, serial, bytes);
    }
    // Of the reply with this serial: its error's number, 0 for success, -1 when there is none.
    int outcome(std::uint32_t serial) const {
        for (const auto& [header, payload] : received) {
            if (header.serial != serial || header.type != MessageType::reply) continue;
            if (header.status == MessageStatus::ok) return 0;
            return read_body<RemoteError>(payload, "error").value().code;
        }
        return -1;
    }
};

struct ServerTest : ::testing::Test {
    net::TestLoop loop;
    Dispatcher calls;
    ServerOptions options;
    std::unique_ptr<Server> server;
    net::Resolver resolver{*loop};

    std::pair<net::Descriptor, std::shared_ptr<Session>> connect(bool read_only = false) {
        if (!server) server = std::make_unique<Server>(*loop, calls, options);
        auto pair = net::make_socket_pair().value();
        auto session =
            server->adopt(std::make_unique<NetLink>(*loop, std::move(pair[1])), read_only);
        return {std::move(pair[0]), session};
    }
    std::unique_ptr<RawPeer> raw(bool read_only = false) {
        return std::make_unique<RawPeer>(*loop, connect(read_only).first);
    }
    // A client that is open.
    std::unique_ptr<Client> client(ClientOptions client_options = {}) {
        auto made = std::make_unique<Client>(*loop, resolver,
                                             std::make_unique<NetLink>(*loop, connect().first),
                                             "qemu:///system", client_options);
        std::optional<Result<>> opened;
        made->open([&](Result<> outcome) { opened = outcome; });
        EXPECT_TRUE(loop.run_until([&] { return opened.has_value(); }));
        EXPECT_TRUE(opened && *opened);
        return made;
    }
};

const DomainRef kDomain{"vm", Uuid{{1, 2, 3}}, 5};

TEST_F(ServerTest, AnswersErrorsAndValues) {
    calls.answer<remote::DomainLookupByName>(
        [](Session&, const remote::NameCall& call) -> Result<remote::DomainReply> {
            if (call.name == "vm") return remote::DomainReply{kDomain};
            return fail(ErrorCode::no_domain, "no domain with matching name '{}'", call.name);
        });
    const auto made = client();
    std::optional<Result<remote::DomainReply>> found, missing;
    made->call<remote::DomainLookupByName>({"vm"}, [&](auto reply) { found = reply; });
    made->call<remote::DomainLookupByName>({"other"}, [&](auto reply) { missing = reply; });
    ASSERT_TRUE(loop.run_until([&] { return found && missing; }));
    EXPECT_EQ((*found)->domain, kDomain);
    EXPECT_EQ(missing->error().code, ErrorCode::no_domain);
    EXPECT_EQ(missing->error().message, "Domain not found: no domain with matching name 'other'");
}

TEST_F(ServerTest, CallsOfOneConnectionOverlap) {
    std::vector<Reply<remote::DomainSuspend>> suspends;
    calls.on<remote::DomainSuspend>(
        [&](Session&, remote::DomainCall, auto reply) { suspends.push_back(reply); });
    calls.answer<remote::ConnectGetHostname>(
        [](Session&, const Nothing&) -> Result<remote::TextReply> {
            return remote::TextReply{"host"};
        });
    const auto made = client();
    std::string order;
    made->call<remote::DomainSuspend>({kDomain},
                                      [&](Result<> reply) { order += reply ? 's' : '!'; });
    made->call<remote::ConnectGetHostname>({}, [&](auto reply) { order += reply ? 'h' : '!'; });
    ASSERT_TRUE(loop.run_until([&] { return order == "h"; }));
    suspends.at(0)({});
    EXPECT_TRUE(loop.run_until([&] { return order == "hs"; }));
}

TEST_F(ServerTest, UnknownIsAnErrorNotADeadConnection) {
    const auto peer = raw();
    peer->call(remote::kProgram, 9999, 1);
    peer->call(remote::kProgram, remote::DomainGetXmlDesc::kNumber, 2);
    peer->call(0x20008088, 1, 3);  // the program for containers
    peer->call(remote::kProgram, remote::AuthList::kNumber, 4);
    ASSERT_TRUE(loop.run_until([&] { return peer->received.size() == 4; }));
    EXPECT_EQ(peer->outcome(1), 3);
    EXPECT_EQ(peer->outcome(2), 3);
    EXPECT_EQ(peer->outcome(3), 39);
    EXPECT_EQ(peer->outcome(4), 0);
    EXPECT_FALSE(peer->closed);
}

TEST_F(ServerTest, ABadArgumentIsAnErrorNotADeadConnection) {
    calls.answer<remote::DomainLookupByName>(
        [](Session&, const remote::NameCall&) -> Result<remote::DomainReply> {
            return remote::DomainReply{kDomain};
        });
    const auto peer = raw();
    peer->call(remote::kProgram, 23, 1, Bytes{0, 0, 0, 9, 'a'});
    peer->call<remote::DomainLookupByName>(2, {"vm"});
    ASSERT_TRUE(loop.run_until([&] { return peer->received.size() == 2; }));
    EXPECT_EQ(peer->outcome(1), 39);
    EXPECT_EQ(peer->outcome(2), 0);
}

TEST_F(ServerTest, EachWriteIsRefusedOnReadOnlyConnections) {
    // Handlers exist: they must not be reached.
    int reached = 0;
    const auto count = [&](Session&, const auto&) {
        ++reached;
        return Result<>();
    };
    calls.answer<remote::DomainSuspend>(count);
    calls.answer<migration::DomainAbortJob>(count);
    const auto peer = raw(true);
    const auto asks_first = raw();
    asks_first->call<remote::ConnectOpen>(1, {"qemu:///system", 1});
    std::uint32_t serial = 10;
    const auto try_table = [&](std::uint32_t program, std::span<const ProcedureInfo> table) {
        for (const ProcedureInfo& info : table) {
            if (info.access != Access::write) continue;
            const auto body = Bytes{};
            peer->call(program, info.number, ++serial, body);
        }
    };
    try_table(remote::kProgram, remote::procedures());
    try_table(migration::kProgram, migration::procedures());
    try_table(qemu::kProgram, qemu::procedures());
    peer->call<remote::DomainSuspend>(1000, {kDomain});
    asks_first->call<migration::DomainAbortJob>(1000, {kDomain});
    ASSERT_TRUE(
        loop.run_until([&] { return peer->outcome(1000) >= 0 && asks_first->outcome(1000) >= 0; }));
    EXPECT_GT(serial, 50u);
    for (std::uint32_t each = 11; each <= serial; ++each)
        EXPECT_EQ(peer->outcome(each), 29) << each;
    EXPECT_EQ(peer->outcome(1000), 29);
    EXPECT_EQ(asks_first->outcome(1000), 29);
    EXPECT_EQ(reached, 0);
}

TEST_F(ServerTest, AForgottenCallIsAnswered) {
    calls.on<remote::DomainSuspend>([](Session&, remote::DomainCall, auto) {});
    const auto peer = raw();
    peer->call<remote::DomainSuspend>(1, {kDomain});
    ASSERT_TRUE(loop.run_until([&] { return peer->received.size() == 1; }));
    EXPECT_EQ(peer->outcome(1), 1);
}

TEST_F(ServerTest, TooManyCallsAtOnceWaitInTheSocket) {
    options.session.max_in_flight = 3;
    std::vector<Reply<remote::DomainSuspend>> suspends;
    calls.on<remote::DomainSuspend>(
        [&](Session&, remote::DomainCall, auto reply) { suspends.push_back(reply); });
    const auto peer = raw();
    for (std::uint32_t serial = 1; serial <= 10; ++serial) {
        peer->call<remote::DomainSuspend>(serial, {kDomain});
    }
    EXPECT_TRUE(loop.run_until([&] { return suspends.size() >= 3; }));
    loop.run_for(20ms);
    EXPECT_EQ(suspends.size(), 3u);
    for (std::size_t next = 0; next < 10; ++next) {
        ASSERT_TRUE(loop.run_until([&] { return suspends.size() > next; }));
        suspends[next]({});
    }
    EXPECT_TRUE(loop.run_until([&] { return peer->received.size() == 10; }));
}

TEST_F(ServerTest, AClientThatNeverReadsIsHeldNotFed) {
    calls.answer<remote::ConnectGetHostname>(
        [](Session&, const Nothing&) -> Result<remote::TextReply> {
            return remote::TextReply{std::string(100'000, 'h')};
        });
    const auto peer = raw();
    peer->connection->set_reading(false);
    for (std::uint32_t serial = 1; serial <= 1000; ++serial)
        peer->call(remote::kProgram, remote::ConnectGetHostname::kNumber, serial);
    loop.run_for(50ms);
    EXPECT_TRUE(peer->received.empty());
    // Another one is served meanwhile.
    const auto other = raw();
    other->call(remote::kProgram, remote::ConnectGetHostname::kNumber, 1);
    EXPECT_TRUE(loop.run_until([&] { return other->outcome(1) == 0; }));
    peer->connection->set_reading(true);
    EXPECT_TRUE(loop.run_until([&] { return peer->received.size() == 1000; }, 20s));
}

TEST_F(ServerTest, AClientThatDoesNotReadItsEventsIsCutOff) {
    EventHub hub(calls);
    const auto peer = raw();
    peer->call<event::ConnectDomainEventCallbackRegisterAny>(1, {16, std::nullopt});
    ASSERT_TRUE(loop.run_until([&] { return peer->outcome(1) == 0; }));
    peer->connection->set_reading(false);
    event::MetadataEvent body;
    body.domain = kDomain;
    body.uri = std::string(1'000'000, 'u');
    for (int round = 0; round < 40; ++round)
        hub.publish<event::DomainEventMetadataChange>(16, body);
    EXPECT_TRUE(loop.run_until([&] { return server->connections() == 0; }));
    EXPECT_EQ(hub.callbacks(), 0u);
    server.reset();
}

TEST_F(ServerTest, AFourGibibyteMessageEndsOnlyItsConnection) {
    const auto bad = raw();
    const auto good = raw();
    bad->connection->send(Bytes{0xff, 0xff, 0xff, 0xff, 1, 2, 3});
    ASSERT_TRUE(loop.run_until([&] { return bad->closed.has_value(); }));
    good->call(remote::kProgram, remote::AuthList::kNumber, 1);
    EXPECT_TRUE(loop.run_until([&] { return good->outcome(1) == 0; }));
    EXPECT_TRUE(loop.run_until([&] { return server->connections() == 1; }));
}

TEST_F(ServerTest, OnlyCallsComeFromClients) {
    const auto peer = raw();
    Header header;
    header.program = remote::kProgram;
    header.version = kProgramVersion;
    header.type = MessageType::reply;
    peer->connection->send(make_raw_packet(header, {}));
    EXPECT_TRUE(loop.run_until([&] { return peer->closed.has_value(); }));
}

TEST_F(ServerTest, AReadOnlyCrowdKeepsNoAdministratorOut) {
    options.max_connections = 4;
    Server own(*loop, calls, options);
    for (const bool read_only : {true, false})
        ASSERT_TRUE(own.listen({net::Address::of_tcp("127.0.0.1", 0), {}, read_only, nullptr}));
    std::vector<std::unique_ptr<RawPeer>> peers;
    std::vector<std::unique_ptr<net::Connector>> connectors;
    const auto add = [&](std::size_t door) -> RawPeer& {
        const std::size_t before = peers.size();
        connectors.push_back(std::make_unique<net::Connector>(
            *loop, resolver, net::Address::of_tcp("127.0.0.1", own.addresses().at(door).port()), 2s,
            [&](Result<net::Descriptor> socket) {
                peers.push_back(std::make_unique<RawPeer>(*loop, std::move(*socket)));
            }));
        EXPECT_TRUE(loop.run_until([&] { return peers.size() > before; }));
        return *peers.back();
    };
    add(0);
    add(0);
    ASSERT_TRUE(loop.run_until([&] { return own.connections() == 2; }));
    RawPeer& third = add(0);
    third.call(remote::kProgram, remote::AuthList::kNumber, 1);
    EXPECT_TRUE(loop.run_until([&] { return third.closed.has_value(); }));
    EXPECT_EQ(third.outcome(1), 9);
    RawPeer& administrator = add(1);
    administrator.call(remote::kProgram, remote::AuthList::kNumber, 1);
    EXPECT_TRUE(loop.run_until([&] { return administrator.outcome(1) == 0; }));
    // A place that was given back can be had again.
    peers[0].reset();
    ASSERT_TRUE(loop.run_until([&] { return own.connections() == 2; }));
    add(0);
    EXPECT_TRUE(loop.run_until([&] { return own.connections() == 3; }));
}

TEST_F(ServerTest, AReadOnlySocketTakesNoLongMessages) {
    const auto stranger = raw(true);
    const auto administrator = raw();
    const Bytes beginning{0, 0x10, 0, 0};  // of a message of a mebibyte
    stranger->connection->send(Bytes(beginning));
    administrator->connection->send(Bytes(beginning));
    ASSERT_TRUE(loop.run_until([&] { return stranger->closed.has_value(); }));
    EXPECT_FALSE(administrator->closed);
}

TEST_F(ServerTest, AStreamsNumberIsNotGivenTwice) {
    std::shared_ptr<Stream> stream;
    int aborted = 0;
    calls.on<remote::DomainOpenConsole>([&](Session&, remote::OpenConsoleCall, auto reply) {
        Stream::Handlers handlers;
        handlers.on_abort = [&](const Error&) { ++aborted; };
        stream = reply.open_stream(std::move(handlers));
        reply({});
    });
    const auto peer = raw();
    peer->call<remote::DomainOpenConsole>(7, {});
    ASSERT_TRUE(loop.run_until([&] { return peer->outcome(7) == 0; }));
    peer->call<remote::DomainOpenConsole>(7, {});
    ASSERT_TRUE(loop.run_until([&] { return peer->closed.has_value(); }));
    // The one that somebody still holds knows that its connection is gone.
    EXPECT_EQ(aborted, 1);
    EXPECT_TRUE(stream->is_over());
    stream->send(as_bytes("to nobody"));
}

TEST_F(ServerTest, QuestionsWithoutEndAreNotAllAnswered) {
    constexpr int kQuestions = 200'000;
    const auto peer = raw();
    peer->connection->set_reading(false);
    peer->connection->set_output_limit(64u << 20);
    Header header;
    header.program = keepalive::kProgram;
    header.version = kProgramVersion;
    header.procedure = keepalive::Ping::kNumber;
    header.type = MessageType::message;
    for (int count = 0; count < kQuestions; ++count)
        peer->connection->send(make_raw_packet(header, {}));
    peer->call(remote::kProgram, remote::AuthList::kNumber, 1);
    ASSERT_TRUE(loop.run_until([&] { return peer->connection->output_waiting() == 0; }, 20s));
    peer->connection->set_reading(true);
    ASSERT_TRUE(loop.run_until([&] { return peer->outcome(1) == 0; }, 20s));
    EXPECT_LT(peer->received.size(), kQuestions / 2);
    EXPECT_FALSE(peer->closed);
}

TEST_F(ServerTest, HooksRunInOrderHoweverTheConnectionEnds) {
    auto [socket, session] = connect();
    std::string order;
    session->on_close([&] { order += 'a'; });
    const auto taken_out = session->on_close([&] { order += 'x'; });
    session->on_close([&] { order += 'b'; });
    session->remove_on_close(taken_out);
    session.reset();
    socket.reset();
    EXPECT_TRUE(loop.run_until([&] { return server->connections() == 0; }));
    EXPECT_EQ(order, "ab");
}

TEST_F(ServerTest, AnswersAfterTheClientWentAreDropped) {
    std::vector<Reply<remote::DomainSuspend>> suspends;
    calls.on<remote::DomainSuspend>(
        [&](Session&, remote::DomainCall, auto reply) { suspends.push_back(reply); });
    auto peer = raw();
    peer->call<remote::DomainSuspend>(1, {kDomain});
    ASSERT_TRUE(loop.run_until([&] { return !suspends.empty(); }));
    EXPECT_TRUE(suspends[0].is_wanted());
    peer.reset();
    ASSERT_TRUE(loop.run_until([&] { return server->connections() == 0; }));
    EXPECT_FALSE(suspends[0].is_wanted());
    suspends[0]({});
}

TEST_F(ServerTest, KeepAliveFindsADeadPeerAndSparesALivingOne) {
    options.session.keepalive = {10ms, 2};
    calls.answer<remote::ConnectGetHostname>(
        [](Session&, const Nothing&) -> Result<remote::TextReply> {
            return remote::TextReply{"host"};
        });
    const auto deaf = raw();
    deaf->call<remote::ConnectSupportsFeature>(1, {10});
    const auto made = client();
    bool lost = false;
    made->on_closed([&](const Error&) { lost = true; });
    EXPECT_TRUE(loop.run_until([&] { return deaf->closed.has_value(); }));
    int pings = 0;
    for (const auto& [header, payload] : deaf->received)
        pings += header.program == keepalive::kProgram && header.procedure == 1;
    EXPECT_EQ(pings, 2);
    loop.run_for(60ms);
    EXPECT_FALSE(lost);
}

TEST_F(ServerTest, AClientLosesASilentServer) {
    ClientOptions client_options;
    client_options.keepalive = {10ms, 1};
    auto pair = net::make_socket_pair().value();
    Client made(*loop, resolver, std::make_unique<NetLink>(*loop, std::move(pair[0])),
                "qemu:///system", client_options);
    // The server answers the three calls of opening, then never again.
    RawPeer peer(*loop, std::move(pair[1]));
    std::optional<Result<>> opened;
    std::optional<Error> closed;
    made.on_closed([&](const Error& reason) { closed = reason; });
    made.open([&](Result<> outcome) { opened = outcome; });
    for (std::size_t count = 1; count <= 3; ++count) {
        ASSERT_TRUE(loop.run_until([&] { return peer.received.size() >= count; }));
        Header header = peer.received[count - 1].first;
        header.type = MessageType::reply;
        const Bytes one{0, 0, 0, 1};
        const Bytes list{0, 0, 0, 1, 0, 0, 0, 0};
        peer.connection->send(make_raw_packet(header, count == 1   ? ByteView(list)
                                                      : count == 2 ? ByteView(one)
                                                                   : ByteView()));
    }
    ASSERT_TRUE(loop.run_until([&] { return opened.has_value(); }));
    EXPECT_TRUE(*opened);
    std::optional<Result<remote::TextReply>> reply;
    made.call<remote::ConnectGetHostname>({}, [&](auto outcome) { reply = outcome; });
    ASSERT_TRUE(loop.run_until([&] { return closed.has_value(); }));
    ASSERT_TRUE(reply && !*reply);
    EXPECT_EQ(reply->error().code, ErrorCode::connection_lost);
    EXPECT_NE(closed->message.find("keepalive"), std::string::npos);
}

TEST_F(ServerTest, EventsGoToWhoAskedForThem) {
    EventHub hub(calls);
    const auto all = client();
    const auto one = client();
    const auto other = client();
    DomainRef elsewhere = kDomain;
    elsewhere.uuid.bytes[0] = 9;
    std::string heard;
    const auto listen = [&](Client& who, char mark, std::optional<DomainRef> domain) {
        std::optional<std::int32_t> number;
        who.on_event<event::DomainEventLifecycle>(
            [&heard, mark](const event::LifecycleEvent& body) {
                heard += mark;
                EXPECT_EQ(body.domain, kDomain);
                EXPECT_EQ(body.event, 2);
            });
        who.call<event::ConnectDomainEventCallbackRegisterAny>(
            {0, domain}, [&](auto reply) { number = reply->value; });
        EXPECT_TRUE(loop.run_until([&] { return number.has_value(); }));
        return number.value_or(-1);
    };
    const auto number = listen(*all, 'a', std::nullopt);
    listen(*one, 'o', kDomain);
    listen(*other, 'x', elsewhere);
    EXPECT_TRUE(hub.is_wanted(0, kDomain.uuid));
    EXPECT_FALSE(hub.is_wanted(1, kDomain.uuid));
    hub.publish<event::DomainEventLifecycle>(0, {0, kDomain, 2, 0});
    EXPECT_TRUE(loop.run_until([&] { return heard.size() == 2; }));
    EXPECT_NE(heard.find('a'), heard.npos);
    EXPECT_NE(heard.find('o'), heard.npos);
    bool removed = false;
    all->call<event::ConnectDomainEventCallbackDeregisterAny>(
        {number}, [&](Result<> reply) { removed = reply.has_value(); });
    EXPECT_TRUE(loop.run_until([&] { return removed; }));
    EXPECT_EQ(hub.callbacks(), 2u);
    server.reset();
    EXPECT_EQ(hub.callbacks(), 0u);
}

TEST_F(ServerTest, AReplyMayBringDescriptors) {
    calls.on<remote::DomainOpenGraphicsFd>([](Session&, remote::OpenGraphicsCall, auto reply) {
        std::vector<net::Descriptor> descriptors;
        descriptors.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
        reply({}, std::move(descriptors));
    });
    std::size_t brought = 0;
    calls.on<remote::DomainOpenGraphics>([&](Session&, remote::OpenGraphicsCall, auto reply) {
        brought = reply.take_descriptors().size();
        reply({});
    });
    const auto peer = raw();
    peer->call<remote::DomainOpenGraphicsFd>(1, {kDomain, 0, 0});
    ASSERT_TRUE(loop.run_until([&] { return peer->outcome(1) == 0 || !peer->received.empty(); }));
    EXPECT_EQ(peer->received[0].first.type, MessageType::reply_with_descriptors);
    EXPECT_TRUE(peer->connection->take_descriptor());

    Header header;
    header.program = remote::kProgram;
    header.version = kProgramVersion;
    header.procedure = remote::DomainOpenGraphics::kNumber;
    header.type = MessageType::call_with_descriptors;
    header.serial = 2;
    Bytes body{0, 0, 0, 1};
    XdrWriter writer(body);
    write(writer, remote::OpenGraphicsCall{kDomain, 0, 0});
    std::vector<net::Descriptor> descriptors;
    descriptors.emplace_back(::open("/", O_RDONLY | O_CLOEXEC));
    peer->connection->send_with_descriptors(make_raw_packet(header, body), std::move(descriptors));
    ASSERT_TRUE(loop.run_until([&] { return peer->outcome(2) == 0; }));
    EXPECT_EQ(brought, 1u);
}

TEST_F(ServerTest, StopTellsWhoWantsToKnow) {
    const auto made = client();
    bool registered = false;
    std::optional<std::int32_t> reason;
    bool closed = false;
    made->on_event<remote::ConnectEventConnectionClosed>(
        [&](const remote::NumberCall& body) { reason = body.value; });
    made->on_closed([&](const Error&) { closed = true; });
    made->call<remote::ConnectRegisterCloseCallback>({}, [&](Result<>) { registered = true; });
    ASSERT_TRUE(loop.run_until([&] { return registered; }));
    server->stop(1);
    EXPECT_TRUE(loop.run_until([&] { return closed; }));
    EXPECT_EQ(reason, 1);
}

TEST_F(ServerTest, AConnectionThatSaysNothingGivesItsPlaceBack) {
    options.max_silence = 40ms;
    const auto silent = raw();
    silent->connection->send(Bytes{0, 0, 0, 28});  // the beginning of a message is none
    const auto speaks = raw();
    speaks->call(remote::kProgram, remote::AuthList::kNumber, 1);
    EXPECT_TRUE(loop.run_until([&] { return silent->closed.has_value(); }));
    EXPECT_TRUE(loop.run_until([&] { return server->connections() == 1; }));
    EXPECT_FALSE(speaks->closed);
}

TEST_F(ServerTest, ListensOnlyWhereItIsSafe) {
    Server own(*loop, calls, options);
    const auto open_tcp = own.listen({net::Address::of_tcp("0.0.0.0", 0), {}, false, nullptr});
    ASSERT_FALSE(open_tcp);
    EXPECT_NE(open_tcp.error().message.find("loopback only"), std::string::npos);
    EXPECT_FALSE(own.listen({*net::Address::parse("tls:127.0.0.1:0"), {}, false, nullptr}));
    EXPECT_TRUE(own.listen({net::Address::of_tcp("127.0.0.1", 0), {}, false, nullptr}));
}

TEST_F(ServerTest, TheLimitOfConnectionsHolds) {
    options.max_connections = 2;
    Server own(*loop, calls, options);
    ASSERT_TRUE(own.listen({net::Address::of_tcp("127.0.0.1", 0), {}, false, nullptr}));
    const auto address = net::Address::of_tcp("127.0.0.1", own.addresses().at(0).port());
    std::vector<std::unique_ptr<RawPeer>> peers;
    std::vector<std::unique_ptr<net::Connector>> connectors;
    const auto add = [&] {
        connectors.push_back(std::make_unique<net::Connector>(
            *loop, resolver, address, 2s, [&](Result<net::Descriptor> socket) {
                peers.push_back(std::make_unique<RawPeer>(*loop, std::move(*socket)));
            }));
        const std::size_t before = peers.size();
        EXPECT_TRUE(loop.run_until([&] { return peers.size() > before; }));
    };
    add();
    add();
    ASSERT_TRUE(loop.run_until([&] { return own.connections() == 2; }));
    add();
    peers[2]->call(remote::kProgram, remote::AuthList::kNumber, 1);
    EXPECT_TRUE(loop.run_until([&] { return peers[2]->closed.has_value(); }));
    EXPECT_EQ(peers[2]->outcome(1), 9) << "it is told that there are too many";
    EXPECT_FALSE(peers[0]->closed);
    peers[0].reset();
    ASSERT_TRUE(loop.run_until([&] { return own.connections() == 1; }));
    add();
    EXPECT_TRUE(loop.run_until([&] { return own.connections() == 2; }));
    EXPECT_FALSE(peers[3]->closed);
    // Those who are told are bounded too: the oldest of 65 goes, though it never asked.
    for (int count = 0; count < 65; ++count)
        add();
    EXPECT_TRUE(loop.run_until([&] { return peers[4]->closed.has_value(); }));
    EXPECT_FALSE(peers[5]->closed);
    EXPECT_EQ(own.connections(), 2u);
}

}  // namespace
}  // namespace segue::rpc
