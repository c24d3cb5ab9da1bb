// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/migration/seal.h"

#include <gtest/gtest.h>

namespace segue::spice::server {
namespace {

constexpr ChannelKey kMain{wire::ChannelType::main, 0};
constexpr ChannelKey kInputs{wire::ChannelType::inputs, 0};
constexpr StateKey kKey{1, 2, 3};

TEST(Seal, ComesOffAgain) {
    for (const Bytes& state : {Bytes{}, Bytes{1, 2, 3}, Bytes(1000, 7)}) {
        Bytes sealed = state;
        seal(sealed, kKey, kMain);
        const auto read = unseal(sealed, kKey, kMain);
        ASSERT_TRUE(read);
        EXPECT_EQ(Bytes(read->begin(), read->end()), state);
        EXPECT_EQ(without_seal(sealed).size(), state.size());
        EXPECT_EQ(without_seal(state).size(), state.size());
    }
}

TEST(Seal, WhatAClientMadeUpIsRefused) {
    Bytes sealed{1, 2, 3};
    seal(sealed, kKey, kMain);
    EXPECT_FALSE(unseal(sealed, kKey, kInputs)) << "of another channel";
    EXPECT_FALSE(unseal(sealed, StateKey{}, kMain)) << "of another move";
    EXPECT_FALSE(unseal(Bytes{1, 2, 3}, kKey, kMain)) << "none";
    for (std::size_t at = 0; at < sealed.size(); ++at) {
        Bytes other = sealed;
        other[at] ^= 1;
        EXPECT_FALSE(unseal(other, kKey, kMain)) << at;
    }
    for (std::size_t size = 0; size < sealed.size(); ++size)
        EXPECT_FALSE(unseal(ByteView(sealed).first(size), kKey, kMain)) << size;
}

}  // namespace
}  // namespace segue::spice::server
