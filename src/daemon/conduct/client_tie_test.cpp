// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/client_tie.h"

#include <gtest/gtest.h>

#include "net/test_loop.h"

namespace segue {
namespace {

struct ClientTieTest : testing::Test {
    net::TestLoop loop;
    rpc::Dispatcher calls;
    rpc::SessionOptions options;
    net::Descriptor client;
    std::shared_ptr<rpc::Session> session;
    std::shared_ptr<int> gone = std::make_shared<int>(0);

    void SetUp() override {
        auto pair = net::make_socket_pair().value();
        client = std::move(pair[0]);
        session = std::make_shared<rpc::Session>(
            *loop, std::make_unique<rpc::NetLink>(*loop, std::move(pair[1])), calls, options, 1);
        session->start([] {});
    }
    ClientTie tie() {
        return ClientTie(*session, [gone = gone] { ++*gone; });
    }
    void end_client() {
        client.reset();
        EXPECT_TRUE(loop.run_until([&] { return session->is_closed(); }));
    }
};

TEST_F(ClientTieTest, SaysThatTheClientIsGone) {
    const ClientTie held = tie();
    end_client();
    EXPECT_EQ(*gone, 1);
}

TEST_F(ClientTieTest, LeavesNothingWithAClientThatStays) {
    for (int migration = 0; migration < 3; ++migration) {
        const ClientTie held = tie();
        EXPECT_EQ(gone.use_count(), 2);
    }
    EXPECT_EQ(gone.use_count(), 1) << "the session keeps what a migration left";
    end_client();
    EXPECT_EQ(*gone, 0);
}

TEST_F(ClientTieTest, MovesAndIsCut) {
    ClientTie first = tie();
    ClientTie second = std::move(first);
    first = tie();
    first.cut();
    end_client();
    EXPECT_EQ(*gone, 1);
}

TEST_F(ClientTieTest, MayOutliveTheSession) {
    const ClientTie held = tie();
    session.reset();
    EXPECT_EQ(*gone, 0);
}

}  // namespace
}  // namespace segue
