// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/migration_ledger.h"

#include <gtest/gtest.h>

#include "store/memory_store.h"

namespace segue::storage {
namespace {

MigrationRecord record_of(std::uint8_t number) {
    MigrationRecord record;
    record.id.bytes[0] = number;
    record.role = "source";
    record.incarnation = "one QEMU";
    return record;
}
EraseMigration key_of(const MigrationRecord& record) {
    return {record.id, record.role};
}

class Ledger : public testing::Test {
  protected:
    MemoryStore store_;
    MigrationLedger ledger_{store_};
    const MigrationRecord older_ = record_of(1);
    const MigrationRecord newer_ = record_of(2);
};

TEST_F(Ledger, WritesAndErases) {
    ASSERT_TRUE(ledger_.write(older_));
    EXPECT_EQ(store_.migrations().value(), std::vector{older_});
    ASSERT_TRUE(ledger_.erase(key_of(older_)));
    EXPECT_TRUE(store_.migrations().value().empty());
    EXPECT_EQ(ledger_.owed(), 0u);
}

TEST_F(Ledger, WhatIsOwedGoesOutWithTheNextRecord) {
    ASSERT_TRUE(ledger_.write(older_));
    ASSERT_TRUE(store_.sync());
    store_.set_broken(true);
    EXPECT_FALSE(ledger_.erase(key_of(older_)));
    EXPECT_EQ(ledger_.owed(), 1u);
    store_.set_broken(false);
    ASSERT_TRUE(ledger_.write(newer_));
    EXPECT_EQ(ledger_.owed(), 0u);
    // However much of it a crash lets through: never both.
    store_.crash(0);
    EXPECT_EQ(store_.migrations().value(), std::vector{older_});
    ASSERT_TRUE(ledger_.erase(key_of(older_)));
    ASSERT_TRUE(ledger_.write(newer_));
    store_.crash(2);
    EXPECT_EQ(store_.migrations().value(), std::vector{newer_});
}

TEST_F(Ledger, IsOwedUntilItWorks) {
    ASSERT_TRUE(ledger_.write(older_));
    store_.set_broken(true);
    EXPECT_FALSE(ledger_.erase(key_of(older_)));
    EXPECT_FALSE(ledger_.write(newer_));
    EXPECT_FALSE(ledger_.settle());
    EXPECT_EQ(ledger_.owed(), 1u);
    store_.set_broken(false);
    ASSERT_TRUE(ledger_.settle());
    EXPECT_TRUE(store_.migrations().value().empty());
}

TEST_F(Ledger, ARecordThatIsWrittenAgainIsNotErased) {
    ASSERT_TRUE(ledger_.write(older_));
    store_.set_broken(true);
    EXPECT_FALSE(ledger_.erase(key_of(older_)));
    store_.set_broken(false);
    ASSERT_TRUE(ledger_.write(older_));
    EXPECT_EQ(store_.migrations().value(), std::vector{older_});
}

}  // namespace
}  // namespace segue::storage
