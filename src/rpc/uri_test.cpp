// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/uri.h"

#include <gtest/gtest.h>

namespace segue::rpc {
namespace {

constexpr std::string_view kDefault = "/run/segue/default.sock";

TEST(ConnectionUri, FindsTheAddress) {
    const auto address = [](std::string_view text) {
        const auto uri = ConnectionUri::parse(text, kDefault);
        return uri ? uri->address.text() : uri.error().message;
    };
    EXPECT_EQ(address("qemu:///system"), "unix:/run/segue/default.sock");
    EXPECT_EQ(address("qemu+unix:///system?socket=/tmp/a%20b"), "unix:/tmp/a b");
    EXPECT_EQ(address("qemu+tcp://host/system"), "tcp:host:16509");
    EXPECT_EQ(address("qemu+tcp://[fe80::1]:5/system"), "tcp:[fe80::1]:5");
    EXPECT_EQ(address("qemu://host/system"), "tls:host:16514");
    EXPECT_EQ(address("qemu+tls://user@host:7/system?pkipath=/x"), "tls:host:7");
}

TEST(ConnectionUri, TellsTheDaemonOnlyItsPart) {
    EXPECT_EQ(ConnectionUri::parse("qemu+tcp://h/system?no_verify=1", kDefault)->name,
              "qemu:///system");
    EXPECT_EQ(ConnectionUri::parse("qemu+unix:///session?socket=/x", kDefault)->name,
              "qemu:///session");
    EXPECT_EQ(ConnectionUri::parse("qemu+tcp://h/?name=test:///default", kDefault)->name,
              "test:///default");
    EXPECT_FALSE(ConnectionUri::parse("qemu+tls://h/system?no_verify=1", kDefault)->verify);
    EXPECT_TRUE(ConnectionUri::parse("qemu+tls://h/system?no_verify=0", kDefault)->verify);
}

TEST(ConnectionUri, RefusesWithTheReason) {
    const auto message = [](std::string_view text) {
        const auto uri = ConnectionUri::parse(text, kDefault);
        return uri ? std::string("accepted") : uri.error().message;
    };
    EXPECT_EQ(message("test:///default"),
              "URI 'test:///default': driver 'test' is not supported; use qemu");
    EXPECT_EQ(message("qemu:/system"), "URI 'qemu:/system': missing scheme (as in qemu://)");
    EXPECT_EQ(message("qemu+ssh://h/system"),
              "URI 'qemu+ssh://h/system': transport 'ssh' is not supported; use unix, tcp or tls");
    EXPECT_EQ(message("qemu+tcp:///system"), "URI 'qemu+tcp:///system': missing host");
    EXPECT_EQ(message("qemu+unix://h/system"),
              "URI 'qemu+unix://h/system': a unix socket has no host");
    for (const char* text :
         {"qemu+tcp://h:0/", "qemu+tcp://h:65536/", "qemu+tcp://h:/", "qemu+tcp://[::1/",
          "qemu+tcp://[::1]x/", "qemu:///%4", "qemu:///%zz", "qemu:///%00"}) {
        EXPECT_NE(message(text), "accepted") << text;
    }
    EXPECT_NE(message("qemu://" + std::string(5000, 'a')).find("the limit is 4096"),
              std::string::npos);
}

}  // namespace
}  // namespace segue::rpc
