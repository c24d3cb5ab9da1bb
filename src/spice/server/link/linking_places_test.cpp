// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/link/linking_places.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

std::string origin(const char* host, std::uint16_t port = 1) {
    return LinkingPlaces::origin_of(net::SocketAddress::of_numeric(host, port).value());
}

TEST(LinkingPlacesTest, WhatAPeerCanChooseIsNotCounted) {
    EXPECT_EQ(origin("192.0.2.1", 5), origin("192.0.2.1", 6));
    EXPECT_NE(origin("192.0.2.1"), origin("192.0.2.2"));
    EXPECT_EQ(origin("2001:db8::1"), origin("2001:db8::2:0:0:1"));
    EXPECT_NE(origin("2001:db8::1"), origin("2001:db8:0:1::1"));
    EXPECT_EQ(origin("::ffff:192.0.2.1"), origin("192.0.2.1"));
    EXPECT_EQ(LinkingPlaces::origin_of(net::SocketAddress::of_unix("/run/a").value()), "");
}

TEST(LinkingPlacesTest, AFloodClosesItsOwn) {
    LinkingPlaces places;
    EXPECT_FALSE(places.add(1, origin("192.0.2.1")));
    EXPECT_FALSE(places.add(2, origin("192.0.2.1")));
    LinkId next = 3;
    for (; next < 3 + LinkingPlaces::kMostOfOne; ++next)
        EXPECT_FALSE(places.add(next, origin("192.0.2.9")));
    for (int more = 0; more < 1000; ++more, ++next) {
        const auto leaving = places.add(next, origin("192.0.2.9"));
        ASSERT_TRUE(leaving);
        EXPECT_EQ(*leaving, next - LinkingPlaces::kMostOfOne) << "its oldest";
    }
    EXPECT_EQ(places.closed(), 1000u);
    EXPECT_EQ(places.size(), 2 + LinkingPlaces::kMostOfOne);
}

TEST(LinkingPlacesTest, AFloodFromManyAddressesClosesThoseOfTheFullest) {
    LinkingPlaces places;
    EXPECT_FALSE(places.add(1, origin("192.0.2.1")));
    EXPECT_FALSE(places.add(2, origin("192.0.2.1")));
    // The channels of a client that is here are never among them, however many it opens.
    LinkId next = 3;
    for (; next < 43; ++next) {
        EXPECT_FALSE(places.add(next, origin("192.0.2.2")));
        places.know(next);
    }
    const char* flood[] = {"198.51.100.1", "198.51.100.2", "198.51.100.3"};
    for (int more = 0; more < 3000; ++more, ++next) {
        const auto leaving = places.add(next, origin(flood[more % 3]));
        if (leaving) {
            EXPECT_GE(*leaving, 43u);
        }
    }
    EXPECT_EQ(places.size(), LinkingPlaces::kMost);
    for (LinkId link = 1; link < 43; ++link)
        places.remove(link);
    EXPECT_EQ(places.size(), LinkingPlaces::kMost - 42);
}

TEST(LinkingPlacesTest, WhereAllAreKnownTheOldestOfTheFullestGoes) {
    LinkingPlaces places;
    LinkId next = 1;
    for (; next <= LinkingPlaces::kMost; ++next) {
        EXPECT_FALSE(places.add(next, origin(next % 3 == 0   ? "192.0.2.1"
                                             : next % 3 == 1 ? "192.0.2.2"
                                                             : "192.0.2.3")));
        places.know(next);
    }
    EXPECT_TRUE(places.add(next, origin("192.0.2.4")));
    EXPECT_EQ(places.size(), LinkingPlaces::kMost);
}

}  // namespace
}  // namespace segue::spice::server
