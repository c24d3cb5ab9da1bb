// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/ports.h"

#include <gmock/gmock.h>
#include <sys/socket.h>

#include "net/listen.h"
#include "net/socket.h"

namespace segue {
namespace {

TEST(PortBroker, GivesEachPortOnceAndGoesRound) {
    PortBroker broker({27311, 27313});
    const auto first = broker.take("127.0.0.1");
    const auto second = broker.take("127.0.0.1");
    ASSERT_TRUE(first && second);
    EXPECT_NE(*first, *second);
    broker.give_back(*first);
    const auto third = broker.take("127.0.0.1");
    ASSERT_TRUE(third);
    EXPECT_NE(*third, *first);  // it rests a while
    EXPECT_EQ(broker.take("127.0.0.1"), first);
    const auto none = broker.take("127.0.0.1");
    ASSERT_FALSE(none);
    EXPECT_THAT(none.error().message, ::testing::HasSubstr("27311-27313"));
}

TEST(PortBroker, ANewRangeLeavesWhatIsTaken) {
    PortBroker broker({27314, 27314});
    const auto old = broker.take("127.0.0.1");
    ASSERT_TRUE(old);
    broker.set_range({27314, 27315});
    EXPECT_EQ(broker.take("127.0.0.1"), 27315);
    EXPECT_FALSE(broker.take("127.0.0.1"));
    broker.give_back(*old);
    EXPECT_EQ(broker.take("127.0.0.1"), 27314);
}

TEST(PortBroker, LeavesOutPortsThatOthersUse) {
    auto loop = make_asio_loop();
    auto listener = net::Listener::make(*loop, net::Address::of_tcp("127.0.0.1", 0), {},
                                        [](net::Descriptor, const net::SocketAddress&) {});
    ASSERT_TRUE(listener);
    const std::uint16_t used = (*listener)->local().port();
    PortBroker broker({used, used});
    EXPECT_FALSE(broker.take("127.0.0.1"));
    EXPECT_TRUE(broker.take_exactly(used));
    EXPECT_FALSE(broker.take_exactly(used));
    const auto taken = PortBroker::check_free("127.0.0.1", used);
    ASSERT_FALSE(taken);
    EXPECT_THAT(taken.error().message, ::testing::HasSubstr("Address already in use"));
    listener->reset();
    EXPECT_TRUE(PortBroker::check_free("127.0.0.1", used));
}

}  // namespace
}  // namespace segue
