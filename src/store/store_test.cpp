// SPDX-License-Identifier: LGPL-2.1-or-later
// One contract, both backends; then what only one of them has.
#include "store/store.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "store/memory_store.h"

namespace segue::storage {
namespace {

struct Folder {
    std::filesystem::path path;
    Folder() {
        std::string name = (std::filesystem::temp_directory_path() / "segue-store-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path); }
};

Uuid numbered(std::uint8_t number) {
    Uuid uuid;
    uuid.bytes[15] = number;
    return uuid;
}

DomainRecord domain(std::uint8_t number) {
    return {numbered(number),
            "guest'" + std::to_string(number),
            "<domain>\n&amp;é</domain>",
            "<live/>",
            "incarnation-1",
            number % 2 == 0};
}

MigrationRecord migration(std::uint8_t number, std::string role) {
    MigrationRecord record;
    record.id = numbered(number);
    record.role = std::move(role);
    record.protocol = 3;
    record.domain = numbered(9);
    record.domain_name = "g";
    record.incarnation = "i";
    record.phase = "perform3_done";
    record.right = "given";
    record.peer_to_peer = true;
    record.run_guest = true;
    record.peer_address = "10.0.0.2";
    record.peer_port = 65535;
    record.peer_key = "00ff";
    record.peer_host = "hostb";
    record.changed_ms = 1795275741931;
    return record;
}

enum class Backend { memory, sqlite };

class Contract : public testing::TestWithParam<Backend> {
  protected:
    void SetUp() override { reopen(); }
    // As a daemon that crashed and starts again.
    void reopen() {
        if (GetParam() == Backend::memory) {
            if (!store_) store_ = std::make_unique<MemoryStore>();
            static_cast<MemoryStore&>(*store_).crash();
            return;
        }
        store_.reset();
        auto opened = open_sqlite_store(folder_.path.string());
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = std::move(*opened);
    }
    Folder folder_;
    std::unique_ptr<Store> store_;
};

TEST_P(Contract, IsEmptyAtFirst) {
    EXPECT_TRUE(store_->domains()->empty());
    EXPECT_TRUE(store_->migrations()->empty());
    EXPECT_TRUE(store_->statuses()->empty());
    EXPECT_TRUE(store_->protections()->empty());
}

TEST_P(Contract, FindsEverythingAgain) {
    const StatusRecord status{numbered(3), "incarnation-1", "paused (user)"};
    const ProtectionRecord protection{numbered(4),           "primary",
                                      "protected",           1LL << 40,
                                      "qemu+tls://b/system", "{\"interval_ms\":100}"};
    ASSERT_TRUE(store_->commit({domain(2), domain(1), migration(1, "source"),
                                migration(1, "destination"), status, protection}));
    reopen();
    EXPECT_EQ(*store_->domains(), (std::vector{domain(1), domain(2)}));
    EXPECT_EQ(*store_->migrations(),
              (std::vector{migration(1, "destination"), migration(1, "source")}));
    EXPECT_EQ(*store_->statuses(), std::vector{status});
    EXPECT_EQ(*store_->protections(), std::vector{protection});
}

TEST_P(Contract, WritesOverTheSameKey) {
    ASSERT_TRUE(store_->commit({migration(1, "source")}));
    MigrationRecord later = migration(1, "source");
    later.right = "refused";
    later.settled = true;
    ASSERT_TRUE(store_->commit({later}));
    reopen();
    EXPECT_EQ(*store_->migrations(), std::vector{later});
}

TEST_P(Contract, ErasesByKey) {
    ASSERT_TRUE(store_->commit({domain(1), domain(2), migration(1, "source"),
                                migration(1, "destination"), StatusRecord{numbered(1), "", ""},
                                ProtectionRecord{numbered(1), "", "", 0, "", ""}}));
    ASSERT_TRUE(store_->commit({EraseDomain{numbered(1)}, EraseMigration{numbered(1), "source"},
                                EraseStatus{numbered(1)}, EraseProtection{numbered(1)},
                                EraseDomain{numbered(77)}}));
    reopen();
    EXPECT_EQ(*store_->domains(), std::vector{domain(2)});
    EXPECT_EQ(*store_->migrations(), std::vector{migration(1, "destination")});
    EXPECT_TRUE(store_->statuses()->empty());
    EXPECT_TRUE(store_->protections()->empty());
}

TEST_P(Contract, KeepsTheOrderWithinABatch) {
    ASSERT_TRUE(store_->commit({domain(1), EraseDomain{numbered(1)}}));
    EXPECT_TRUE(store_->domains()->empty());
    ASSERT_TRUE(store_->commit({EraseDomain{numbered(1)}, domain(1)}));
    EXPECT_EQ(store_->domains()->size(), 1u);
}

TEST_P(Contract, KeepsWhatIsNotedInOrderWithTheRest) {
    ASSERT_TRUE(store_->note({StatusRecord{numbered(1), "a", "running (booted)"}}));
    ASSERT_TRUE(store_->note({StatusRecord{numbered(1), "a", "paused (user)"}}));
    EXPECT_EQ(store_->statuses()->front().status, "paused (user)");
    ASSERT_TRUE(store_->commit({domain(1)}));
    reopen();
    EXPECT_EQ(store_->statuses()->front().status, "paused (user)");
    EXPECT_EQ(store_->domains()->size(), 1u);
}

TEST_P(Contract, IsReadableBeforeItIsDurable) {
    ASSERT_TRUE(store_->write({domain(1)}));
    EXPECT_EQ(store_->domains()->size(), 1u);
    ASSERT_TRUE(store_->sync());
    reopen();
    EXPECT_EQ(store_->domains()->size(), 1u);
}

INSTANTIATE_TEST_SUITE_P(Backends, Contract, testing::Values(Backend::memory, Backend::sqlite),
                         [](const auto& each) {
                             return each.param == Backend::memory ? "memory" : "sqlite";
                         });

TEST(MemoryStore, ForgetsWhatWasNotSynced) {
    MemoryStore store;
    ASSERT_TRUE(store.commit({domain(1)}));
    ASSERT_TRUE(store.write({domain(2)}));
    ASSERT_TRUE(store.write({domain(3)}));
    store.crash(1);
    EXPECT_EQ(*store.domains(), (std::vector{domain(1), domain(2)}));
    store.crash();
    EXPECT_EQ(store.domains()->size(), 2u);
    store.set_broken(true);
    EXPECT_FALSE(store.write({domain(3)}));
}

TEST(SqliteStore, RefusesASecondDaemon) {
    Folder folder;
    auto first = open_sqlite_store(folder.path.string());
    ASSERT_TRUE(first);
    auto second = open_sqlite_store(folder.path.string());
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("another daemon"), std::string::npos)
        << second.error().message;
}

TEST(SqliteStore, IsForItsOwnerOnly) {
    Folder folder;
    auto store = open_sqlite_store(folder.path.string());
    ASSERT_TRUE(store);
    ASSERT_TRUE((*store)->commit({domain(1)}));
    for (const auto& file : std::filesystem::directory_iterator(folder.path)) {
        struct stat status {};
        ASSERT_EQ(::stat(file.path().c_str(), &status), 0);
        EXPECT_EQ(status.st_mode & 077, 0u) << file.path();
    }
}

TEST(SqliteStore, RefusesWhatItCannotRead) {
    Folder folder;
    { ASSERT_TRUE(open_sqlite_store(folder.path.string())); }
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open((folder.path / "segue.db").c_str(), &raw), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(raw, "PRAGMA user_version = 999", nullptr, nullptr, nullptr), SQLITE_OK);
    sqlite3_close(raw);
    auto newer = open_sqlite_store(folder.path.string());
    ASSERT_FALSE(newer);
    EXPECT_NE(newer.error().message.find("schema version 999"), std::string::npos);

    EXPECT_FALSE(open_sqlite_store((folder.path / "missing").string()));
}

TEST(SqliteStore, BringsAFileOfAnEarlierReleaseForward) {
    Folder folder;
    { ASSERT_TRUE(open_sqlite_store(folder.path.string())); }
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open((folder.path / "segue.db").c_str(), &raw), SQLITE_OK);
    // What version 1 had, with one row of its own.
    const char* const back =
        "ALTER TABLE migrations DROP COLUMN flags; ALTER TABLE migrations DROP COLUMN definition;"
        "DROP TABLE statuses;"
        "CREATE TABLE jobs (domain TEXT PRIMARY KEY, kind TEXT NOT NULL, phase TEXT NOT NULL,"
        "api TEXT NOT NULL, started_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
        "PRAGMA user_version = 1;"
        "INSERT INTO migrations VALUES ('00000000-0000-4000-8000-000000000001', 'source', 3,"
        "'00000000-0000-4000-8000-000000000002', 'vm', 'key', 'perform3', 'given', 0, 1, 1, 0,"
        "'10.0.0.2', 49152, '00', 'hostb', 7)";
    ASSERT_EQ(sqlite3_exec(raw, back, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(raw);
    sqlite3_close(raw);
    const auto store = open_sqlite_store(folder.path.string());
    ASSERT_TRUE(store) << store.error().message;
    const auto rows = (*store)->migrations();
    ASSERT_TRUE(rows);
    ASSERT_EQ(rows->size(), 1u);
    EXPECT_EQ(rows->front().right, "given");
    EXPECT_EQ(rows->front().peer_host, "hostb");
    EXPECT_EQ(rows->front().flags, 0);
    EXPECT_EQ(rows->front().definition, "");
    ASSERT_TRUE((*store)->note({StatusRecord{numbered(1), "key", "running (booted)"}}));
    EXPECT_EQ((*store)->statuses()->size(), 1u);
}

TEST(SqliteStore, HasStrictTablesAndAVersion) {
    Folder folder;
    { ASSERT_TRUE(open_sqlite_store(folder.path.string())); }
    sqlite3* raw = nullptr;
    ASSERT_EQ(sqlite3_open((folder.path / "segue.db").c_str(), &raw), SQLITE_OK);
    int strict = 0;
    const auto count = [](void* to, int, char** values, char**) {
        *static_cast<int*>(to) = std::atoi(values[0]);
        return 0;
    };
    sqlite3_exec(raw, "SELECT count(*) FROM pragma_table_list WHERE strict", count, &strict,
                 nullptr);
    EXPECT_EQ(strict, 4);
    int version = 0;
    sqlite3_exec(raw, "PRAGMA user_version", count, &version, nullptr);
    EXPECT_EQ(version, 5);
    EXPECT_NE(
        sqlite3_exec(raw, "REPLACE INTO domains VALUES ('a', 'b', 'c', 'd', 'e', 'not a number')",
                     nullptr, nullptr, nullptr),
        SQLITE_OK);
    sqlite3_close(raw);
}

}  // namespace
}  // namespace segue::storage
