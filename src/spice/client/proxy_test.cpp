// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/proxy.h"

#include <gtest/gtest.h>

namespace segue::spice::client {
namespace {

TEST(ProxyTest, ReadsItsAddress) {
    const Proxy full = parse_proxy("http://me:secret@proxy.example:8080/").value();
    EXPECT_EQ(full.host, "proxy.example");
    EXPECT_EQ(full.port, 8080);
    EXPECT_EQ(full.credentials, "me:secret");
    EXPECT_EQ(parse_proxy("proxy").value().port, 3128);
    EXPECT_EQ(parse_proxy("[::1]:99").value().host, "::1");
    EXPECT_EQ(parse_proxy("[::1]:99").value().port, 99);
    for (const char* bad : {"", "https://a:1", "http://:1", "a:0", "a:x", "a:70000"})
        EXPECT_FALSE(parse_proxy(bad)) << bad;
}

TEST(ProxyTest, AsksAndThenLetsEverythingThrough) {
    const auto filter = make_connect_filter("vm:5900", {"proxy", 1, "me:secret"}, nullptr);
    Bytes plain, to_peer;
    ASSERT_TRUE(filter->start(to_peer));
    EXPECT_EQ(as_text(to_peer),
              "CONNECT vm:5900 HTTP/1.1\r\nHost: vm:5900\r\n"
              "Proxy-Authorization: Basic bWU6c2VjcmV0\r\n\r\n");
    to_peer.clear();
    ASSERT_TRUE(filter->send(as_bytes("early"), to_peer));
    EXPECT_TRUE(to_peer.empty());
    const std::string answer = "HTTP/1.0 200 OK\r\nVia: x\r\n\r\nREDQ";
    for (const char& byte : answer) {
        EXPECT_EQ(filter->is_open(), &byte - answer.data() >= 27);
        ASSERT_TRUE(filter->receive(as_bytes(std::string_view(&byte, 1)), plain, to_peer));
    }
    EXPECT_EQ(as_text(plain), "REDQ");
    EXPECT_EQ(as_text(to_peer), "early");
}

TEST(ProxyTest, ARefusalIsNamedAndALongAnswerBounded) {
    Bytes plain, to_peer;
    const auto refused = make_connect_filter("vm:1", {"proxy", 1, ""}, nullptr);
    const Result<> why =
        refused->receive(as_bytes("HTTP/1.1 407 Who are you\r\n\r\n"), plain, to_peer);
    ASSERT_FALSE(why);
    EXPECT_NE(why.error().message.find("407 Who are you"), std::string::npos);
    const auto endless = make_connect_filter("vm:1", {"proxy", 1, ""}, nullptr);
    EXPECT_FALSE(endless->receive(Bytes(10000, 'x'), plain, to_peer));
}

}  // namespace
}  // namespace segue::spice::client
