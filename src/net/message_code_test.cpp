// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/message_code.h"

#include <gtest/gtest.h>

#include "base/id.h"

namespace segue::net {
namespace {

// RFC 4231, test case 2, cut to 16 bytes.
TEST(MessageCode, IsTheStandardsOwn) {
    const MessageCode code =
        message_code(as_bytes("Jefe"), as_bytes("what do ya want for nothing?"));
    EXPECT_EQ(to_hex(code.data(), code.size()), "5bdcc146bf60754e6a042426089575c7");
    EXPECT_TRUE(same_code(code, code));
    MessageCode other = code;
    other[15] ^= 1;
    EXPECT_FALSE(same_code(code, other));
    EXPECT_FALSE(same_code(code, ByteView(code).first(15)));
}

TEST(MessageCode, OnlyWhatWasSealedIsUnsealed) {
    const Bytes message = {1, 2, 3};
    const Bytes bytes = sealed(as_bytes("key"), message);
    const auto plain = unsealed(as_bytes("key"), bytes);
    ASSERT_TRUE(plain);
    EXPECT_EQ(Bytes(plain->begin(), plain->end()), message);
    EXPECT_FALSE(unsealed(as_bytes("other"), bytes));
    for (std::size_t at = 0; at < bytes.size(); ++at) {
        Bytes changed = bytes;
        changed[at] ^= 1;
        EXPECT_FALSE(unsealed(as_bytes("key"), changed)) << at;
        EXPECT_FALSE(unsealed(as_bytes("key"), ByteView(bytes).first(at))) << at;
    }
}

}  // namespace
}  // namespace segue::net
