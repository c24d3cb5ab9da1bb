// SPDX-License-Identifier: LGPL-2.1-or-later
// The client and its members, as a gateway speaks on a socket.
#include "arbiter/etcd_client.h"

#include <gmock/gmock.h>

#include "arbiter/fake_etcd.h"
#include "net/connection.h"
#include "net/listen.h"
#include "net/test_certificates.h"
#include "net/test_loop.h"

namespace segue::arbiter {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Side = LeaseTable::Side;
using Verdict = LeaseTable::Verdict;
using Wish = LeaseTable::Wish;

constexpr LeaseId kId{9};

// A member that answers each request as `answer_of` says; nothing: it stays silent.
struct Member {
    explicit Member(Loop& loop) : loop_(loop) {
        listener_ = net::Listener::make(loop, net::Address::of_tcp("127.0.0.1", 0), {},
                                        [this](net::Descriptor socket, const net::SocketAddress&) {
                                            accepted(std::move(socket));
                                        })
                        .value();
    }
    std::string host() const { return listener_->local().text(); }

    std::function<std::optional<std::string>(const Json&)> answer_of;
    int requests = 0;

  private:
    void accepted(net::Descriptor socket) {
        net::Connection::Handlers handlers;
        const auto number = connections_.size();
        handlers.on_input = [this, number](ByteView bytes) { hears(number, bytes); };
        handlers.on_closed = [](const Error&) {};
        connections_.push_back(
            std::make_unique<net::Connection>(loop_, std::move(socket), std::move(handlers)));
        inputs_.emplace_back();
        connections_.back()->start();
    }
    void hears(std::size_t number, ByteView bytes) {
        std::string& input = inputs_[number];
        input += as_text(bytes);
        const std::size_t end = input.find("\r\n\r\n");
        if (end == std::string::npos) return;
        const std::size_t at = input.find("Content-Length: ");
        ASSERT_NE(at, std::string::npos);
        const std::size_t size = std::stoul(input.substr(at + 16));
        if (input.size() < end + 4 + size) return;
        ASSERT_EQ(input.rfind("POST /v3/kv/txn HTTP/1.1\r\n", 0), 0U) << input;
        const Json request = Json::parse(input.substr(end + 4, size)).value();
        input.erase(0, end + 4 + size);
        requests += 1;
        const auto answer = answer_of(request);
        if (answer) connections_[number]->send_copy(as_bytes(*answer));
    }

    Loop& loop_;
    std::unique_ptr<net::Listener> listener_;
    std::vector<std::unique_ptr<net::Connection>> connections_;
    std::vector<std::string> inputs_;
};

std::string response(const std::string& body, const char* status = "200 OK") {
    return fmt::format(
        "HTTP/1.1 {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{}", status,
        body.size(), body);
}

struct EtcdClients : ::testing::Test {
    net::TestLoop loop;
    FakeEtcd etcd;
    Member one{*loop}, two{*loop};

    void SetUp() override {
        for (Member* member : {&one, &two}) {
            member->answer_of = [this](const Json& request) {
                return response(etcd.transact(request).dump());
            };
        }
    }
    std::unique_ptr<EtcdClient> client(const std::string& hosts, Duration bound = 60s) {
        return std::make_unique<EtcdClient>(*loop, parse_etcd("etcd+tcp://" + hosts, "").value(),
                                            kId, bound);
    }
    Result<> opened(EtcdClient& client) {
        std::optional<Result<>> said;
        client.open([&](Result<> done) { said = done; });
        EXPECT_TRUE(client.is_asking());
        EXPECT_TRUE(loop.run_until([&] { return said.has_value(); }));
        EXPECT_FALSE(client.is_asking());
        return *said;
    }
    Result<Verdict> asked(EtcdClient& client, Side side, Wish wish) {
        std::optional<Result<Verdict>> said;
        client.ask(side, wish, [&](Result<Verdict> done) { said = done; });
        EXPECT_TRUE(loop.run_until([&] { return said.has_value(); }));
        return *said;
    }
};

TEST_F(EtcdClients, AsksOnOneConnectionAfterTheOther) {
    const auto etcd_client = client(one.host());
    ASSERT_TRUE(opened(*etcd_client));
    for (int count = 0; count < 50; ++count)
        ASSERT_EQ(asked(*etcd_client, Side::primary, Wish::renew), Verdict::granted);
    ASSERT_EQ(asked(*etcd_client, Side::standby, Wish::claim), Verdict::later);
    ASSERT_EQ(asked(*etcd_client, Side::primary, Wish::claim), Verdict::granted);
    ASSERT_EQ(asked(*etcd_client, Side::standby, Wish::claim), Verdict::refused);
    EXPECT_EQ(one.requests, 54);
    bool ended = false;
    etcd_client->end([&](Result<> done) { ended = done.has_value(); });
    ASSERT_TRUE(loop.run_until([&] { return ended; }));
    EXPECT_EQ(etcd.keys(), 0U);
}

TEST_F(EtcdClients, AMemberThatCannotAnswerIsNotTheOnlyOne) {
    const std::string too_much(HttpPost::kMaxAnswer + 1, ' ');
    const std::optional<std::string> answers[] = {
        std::nullopt,  // silence
        response(R"({"error":"etcdserver: no leader"})", "503 Service Unavailable"),
        response("this is no JSON"), response(too_much), "nonsense\r\n\r\n"};
    for (const auto& answer : answers) {
        one.answer_of = [&](const Json&) { return answer; };
        const auto etcd_client = client(one.host() + "," + two.host(), answer ? 60s : 2s);
        EXPECT_TRUE(opened(*etcd_client));
        // The one that answered is asked first.
        const int before = one.requests;
        EXPECT_EQ(asked(*etcd_client, Side::primary, Wish::renew), Verdict::granted);
        EXPECT_EQ(one.requests, before);
    }
}

TEST_F(EtcdClients, AClusterThatIsGoneIsNamed) {
    std::string gone;
    {
        const Member third(*loop);
        gone = third.host();
    }
    one.answer_of = [](const Json&) { return response("", "503 Service Unavailable"); };
    const auto etcd_client = client(one.host() + "," + gone);
    const auto said = opened(*etcd_client);
    ASSERT_FALSE(said);
    EXPECT_THAT(said.error().message, HasSubstr("etcd at http://" + gone));
    // It is back.
    SetUp();
    EXPECT_TRUE(opened(*etcd_client));
}

TEST_F(EtcdClients, WhoeverAsksMayGoWhileItIsAsked) {
    one.answer_of = [](const Json&) { return std::nullopt; };
    auto etcd_client = client(one.host());
    etcd_client->open([](Result<>) { FAIL() << "nobody is there"; });
    ASSERT_TRUE(loop.run_until([&] { return one.requests == 1; }));
    etcd_client.reset();
    // And from inside an answer.
    SetUp();
    etcd_client = client(one.host());
    bool answered = false;
    etcd_client->open([&](Result<>) {
        answered = true;
        etcd_client.reset();
    });
    ASSERT_TRUE(loop.run_until([&] { return answered; }));
    EXPECT_FALSE(etcd_client);
}

TEST(Etcd, WhatNamesACluster) {
    const auto members = [](std::string_view uri) {
        return parse_etcd(uri, "/pki").value().members;
    };
    EXPECT_THAT(members("etcd://a"), ElementsAre("https://a:2379"));
    EXPECT_THAT(members("etcd://a:1,[::1],[2001:db8::1]:3"),
                ElementsAre("https://a:1", "https://[::1]:2379", "https://[2001:db8::1]:3"));
    EXPECT_THAT(members("etcd+tcp://127.0.0.1:5"), ElementsAre("http://127.0.0.1:5"));
    EXPECT_EQ(parse_etcd("etcd://a", "/pki")->tls_directory, "/pki");
    EXPECT_EQ(parse_etcd("etcd+tcp://127.0.0.1", "/pki")->tls_directory, "");
    for (const char* uri : {"etcd+tcp://10.0.0.1:2379", "etcd+tcp://localhost", "etcd://",
                            "etcd://a,", "etcd://a/path", "etcd://user@a", "etcd://a:99999",
                            "etcd://a:0", "http://a", "etcd+tcp://127.0.0.1,10.0.0.1", "etcd:a"}) {
        EXPECT_FALSE(parse_etcd(uri, "/pki")) << uri;
    }
    EXPECT_EQ(parse_etcd("etcd+tcp://10.0.0.1", "").error().code, ErrorCode::denied);
    EXPECT_TRUE(is_etcd("etcd://a") && is_etcd("etcd+tcp://a") && !is_etcd("segue://a"));
}

}  // namespace
}  // namespace segue::arbiter
