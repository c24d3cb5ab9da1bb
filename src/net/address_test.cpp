// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/address.h"

#include <gtest/gtest.h>

namespace segue::net {
namespace {

TEST(Address, ReadsWhatItWrites) {
    for (const char* text : {"unix:/run/segue/sock", "tcp:127.0.0.1:16509", "tls:[::1]:16514",
                             "tcp:host.example:0", "tls:*:65535"}) {
        const auto address = Address::parse(text);
        ASSERT_TRUE(address) << text;
        EXPECT_EQ(address->text(), text);
    }
}

TEST(Address, RefusesWhatItCannotMean) {
    for (const char* text :
         {"", "tcp:", "tcp:host", "tcp::1", "tcp:host:65536", "tcp:host:-1", "tcp:host:1x",
          "tcp:::1:5", "tcp:[::1]5", "unix:", "http:host:1", "/run/sock"}) {
        const auto address = Address::parse(text);
        ASSERT_FALSE(address) << text;
        EXPECT_EQ(address.error().code, ErrorCode::invalid_argument);
    }
}

TEST(SocketAddress, KnowsLoopback) {
    EXPECT_TRUE(SocketAddress::of_numeric("127.9.8.7", 1)->is_loopback());
    EXPECT_TRUE(SocketAddress::of_numeric("::1", 1)->is_loopback());
    EXPECT_TRUE(SocketAddress::of_unix("/tmp/x")->is_loopback());
    EXPECT_FALSE(SocketAddress::of_numeric("0.0.0.0", 1)->is_loopback());
    EXPECT_FALSE(SocketAddress::of_numeric("*", 1)->is_loopback());
    EXPECT_FALSE(SocketAddress::of_numeric("::", 1)->is_loopback());
}

TEST(SocketAddress, TextAndPort) {
    EXPECT_EQ(SocketAddress::of_numeric("10.0.0.1", 5900)->text(), "10.0.0.1:5900");
    EXPECT_EQ(SocketAddress::of_numeric("fe80::1", 5900)->text(), "[fe80::1]:5900");
    EXPECT_EQ(SocketAddress::of_numeric("fe80::1", 5900)->port(), 5900);
    EXPECT_EQ(SocketAddress::of_unix("/tmp/x")->text(), "/tmp/x");
    EXPECT_FALSE(SocketAddress::of_numeric("localhost", 1));
}

TEST(SocketAddress, LongestUnixPath) {
    EXPECT_TRUE(SocketAddress::of_unix(std::string(107, 'a')));
    const auto longer = SocketAddress::of_unix(std::string(108, 'a'));
    ASSERT_FALSE(longer);
    EXPECT_NE(longer.error().message.find("1 to 107"), std::string::npos);
    EXPECT_FALSE(SocketAddress::of_unix(""));
}

}  // namespace
}  // namespace segue::net
