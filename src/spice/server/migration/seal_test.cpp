// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/seal.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

constexpr ChannelKey kMain{wire::ChannelType::main, 0};
constexpr ChannelKey kInputs{wire::ChannelType::inputs, 0};
constexpr StateKey kKey{1, 2, 3};

bool is_sealed(ByteView state, const StateKey& key, ChannelKey channel) {
    return check_seal(sealed_state(state), key, channel).has_value();
}

TEST(Seal, ComesOffAgain) {
    for (const Bytes& state : {Bytes{}, Bytes{1, 2, 3}, Bytes(1000, 7)}) {
        Bytes sealed = state;
        seal(sealed, kKey, kMain);
        EXPECT_TRUE(is_sealed(sealed, kKey, kMain));
        const ByteView read = without_seal(sealed);
        EXPECT_EQ(Bytes(read.begin(), read.end()), state);
        EXPECT_EQ(without_seal(state).size(), state.size());
    }
}

TEST(Seal, WhatAClientMadeUpIsRefused) {
    Bytes sealed{1, 2, 3};
    seal(sealed, kKey, kMain);
    EXPECT_FALSE(is_sealed(sealed, kKey, kInputs)) << "of another channel";
    EXPECT_FALSE(is_sealed(sealed, StateKey{}, kMain)) << "of another move";
    EXPECT_FALSE(is_sealed(Bytes{1, 2, 3}, kKey, kMain)) << "none";
    for (std::size_t at = 0; at < sealed.size(); ++at) {
        Bytes other = sealed;
        other[at] ^= 1;
        EXPECT_FALSE(is_sealed(other, kKey, kMain)) << at;
    }
    for (std::size_t size = 0; size < sealed.size(); ++size)
        EXPECT_FALSE(is_sealed(ByteView(sealed).first(size), kKey, kMain)) << size;
}

TEST(EarlyStates, AreHeldAgainstTheKeyWhenTheirConnectionsAreOver) {
    Bytes sealed{1, 2, 3};
    seal(sealed, kKey, kInputs);
    EarlyStates states;
    EXPECT_TRUE(states.check(kKey));
    states.keep(kInputs, sealed_state(sealed));
    EXPECT_TRUE(states.check(kKey));
    states.keep(kMain, sealed_state(sealed));
    EXPECT_FALSE(states.check(kKey));
    EXPECT_FALSE(states.check(kKey)) << "nor later";

    EarlyStates many;
    for (int times = 0; times < 65; ++times)
        many.keep(kInputs, sealed_state(sealed));
    EXPECT_FALSE(many.check(kKey)) << "one that is not kept may be anybody's";
}

}  // namespace
}  // namespace segue::spice::server
