// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/xdr.h"

#include <gtest/gtest.h>

#include "rpc/every_message.h"

namespace segue::rpc {
namespace {

template <class T>
Result<T> decoded(ByteView bytes) {
    XdrReader reader(bytes);
    T value;
    read(reader, value);
    TRY(reader.finish("test"));
    return value;
}

TEST(XdrMessages, EachReadsWhatItWrites) {
    SeededRandom random(1);
    const auto messages = every_message();
    EXPECT_GT(messages.size(), 90u);
    for (const AnyMessage& message : messages) {
        SCOPED_TRACE(message.name);
        for (int round = 0; round < 50; ++round) {
            XdrSample sample(random);
            const auto bytes = message.sample(sample);
            ASSERT_TRUE(bytes) << bytes.error().message;
            EXPECT_EQ(bytes->size() % 4, 0u);
            EXPECT_EQ(message.again(*bytes), *bytes);
        }
    }
}

// A message that is cut anywhere is an error, never a value and never a read beyond its end; one
// with bytes behind it too.
TEST(XdrMessages, EachRefusesEveryTruncation) {
    SeededRandom random(2);
    for (const AnyMessage& message : every_message()) {
        SCOPED_TRACE(message.name);
        for (int round = 0; round < 10; ++round) {
            XdrSample sample(random);
            Bytes bytes = message.sample(sample).value();
            for (std::size_t size = 0; size < bytes.size(); ++size) {
                // A copy of the exact size, so that the sanitizer sees a read beyond it.
                const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
                const auto cut = message.again(part);
                ASSERT_FALSE(cut) << size << " of " << bytes.size();
                EXPECT_EQ(cut.error().code, ErrorCode::protocol);
            }
            bytes.resize(bytes.size() + 4);
            EXPECT_FALSE(message.again(bytes));
        }
    }
}

// Bytes changed at random: any outcome but a crash or a huge allocation is right, and what is
// accepted is written to bytes that read as the same again.
TEST(XdrMessages, EachSurvivesDamage) {
    SeededRandom random(3);
    for (const AnyMessage& message : every_message()) {
        SCOPED_TRACE(message.name);
        for (int round = 0; round < 200; ++round) {
            XdrSample sample(random);
            Bytes bytes = message.sample(sample).value();
            for (int flips = 0; flips < 3 && !bytes.empty(); ++flips)
                bytes[sample.below(bytes.size())] = static_cast<std::uint8_t>(sample.below(256));
            if (const auto once = message.again(bytes)) {
                EXPECT_EQ(message.again(*once), *once);
            }
        }
    }
}

TEST(Xdr, SaysWhichFieldIsTooLong) {
    Bytes bytes;
    BigWriter writer;
    writer.u32(4194305);
    const auto refused = decoded<remote::NameCall>(writer.view());
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "test: 'name' has 4194305 bytes, the limit is 4194304");
}

TEST(Xdr, ACountWithoutBytesBehindItMakesNoRoom) {
    BigWriter writer;
    writer.u32(16384);  // domains, the limit itself
    writer.u32(0);
    const auto refused = decoded<remote::ListAllDomainsReply>(writer.view());
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("ends after 8 bytes"), std::string::npos);
}

TEST(Xdr, RefusesNulUnknownKindsAndFlags) {
    EXPECT_FALSE(decoded<remote::NameCall>(Bytes{0, 0, 0, 2, 'a', 0, 0, 0}));
    EXPECT_TRUE(decoded<remote::NameCall>(Bytes{0, 0, 0, 2, 'a', 'b', 0, 0}));
    EXPECT_FALSE(decoded<remote::OptionalTextCall>(Bytes{0, 0, 0, 1}));
    EXPECT_TRUE(decoded<remote::OptionalTextCall>(Bytes{0, 0, 0, 0}));
    EXPECT_FALSE(
        decoded<remote::TypedParameter>(Bytes{0, 0, 0, 1, 'a', 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 1}));
    EXPECT_TRUE(
        decoded<remote::TypedParameter>(Bytes{0, 0, 0, 1, 'a', 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1}));
}

// Seen from go-libvirt in CONNECT_OPEN; libvirt's own daemons accept it.
TEST(Xdr, AnyFlagButZeroMeansPresent) {
    const auto call =
        decoded<remote::OptionalTextCall>(Bytes{1, 0, 0, 0, 0, 0, 0, 1, 'a', 0, 0, 0});
    ASSERT_TRUE(call);
    EXPECT_EQ(call->text, "a");
}

TEST(Xdr, AWriterKeepsTheLimitsToo) {
    remote::AuthListReply reply;
    reply.types.resize(remote::kAuthTypesMax + 1);
    Bytes bytes;
    XdrWriter writer(bytes);
    write(writer, reply);
    const auto refused = writer.finish("auth_list");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message, "auth_list: 'types' has 21 elements, the limit is 20");
    remote::TypedParameter empty;
    write(writer, empty);
    EXPECT_FALSE(writer.ok());
}

TEST(Xdr, TablesAreSortedAndKnowWhatChangesThings) {
    for (const auto table :
         {remote::procedures(), migration::procedures(), event::procedures(), qemu::procedures()}) {
        ASSERT_FALSE(table.empty());
        for (std::size_t index = 1; index < table.size(); ++index)
            EXPECT_LT(table[index - 1].number, table[index].number);
    }
    for (const auto& procedure : migration::procedures()) {
        const bool asks = procedure.name.find("_get_job") != procedure.name.npos ||
                          procedure.name == "domain_migrate_get_compression_cache" ||
                          procedure.name == "domain_migrate_get_max_downtime";
        EXPECT_EQ(procedure.access, asks ? Access::read : Access::write) << procedure.name;
    }
}

}  // namespace
}  // namespace segue::rpc
