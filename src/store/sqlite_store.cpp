// SPDX-License-Identifier: LGPL-2.1-or-later
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <type_traits>

#include "store/sqlite_database.h"
#include "store/store.h"

namespace segue::storage {
namespace {

// Step N brings version N to N + 1. Steps are history: never edited, only added.
constexpr const char* kSteps[] = {
    R"(CREATE TABLE domains (
         uuid TEXT PRIMARY KEY, name TEXT NOT NULL, definition TEXT NOT NULL, live TEXT NOT NULL,
         incarnation TEXT NOT NULL, autostart INTEGER NOT NULL) STRICT, WITHOUT ROWID;
       CREATE TABLE migrations (
         id TEXT NOT NULL, role TEXT NOT NULL, protocol INTEGER NOT NULL, domain TEXT NOT NULL,
         domain_name TEXT NOT NULL, incarnation TEXT NOT NULL, phase TEXT NOT NULL,
         run_right TEXT NOT NULL, peer_to_peer INTEGER NOT NULL, peer_has_right INTEGER NOT NULL,
         run_guest INTEGER NOT NULL, settled INTEGER NOT NULL, peer_address TEXT NOT NULL,
         peer_port INTEGER NOT NULL, peer_key TEXT NOT NULL, peer_host TEXT NOT NULL,
         changed_ms INTEGER NOT NULL, PRIMARY KEY (id, role)) STRICT, WITHOUT ROWID;
       CREATE TABLE jobs (
         domain TEXT PRIMARY KEY, kind TEXT NOT NULL, phase TEXT NOT NULL, api TEXT NOT NULL,
         started_ms INTEGER NOT NULL) STRICT, WITHOUT ROWID;
       CREATE TABLE protections (
         domain TEXT PRIMARY KEY, role TEXT NOT NULL, state TEXT NOT NULL, epoch INTEGER NOT NULL,
         peer TEXT NOT NULL, settings TEXT NOT NULL) STRICT, WITHOUT ROWID;)",
    "ALTER TABLE migrations ADD COLUMN flags INTEGER NOT NULL DEFAULT 0;",
    "ALTER TABLE migrations ADD COLUMN definition TEXT NOT NULL DEFAULT '';",
    // Never written: a job that a migration needs again is in that migration's record.
    "DROP TABLE jobs;",
    R"(CREATE TABLE statuses (
         domain TEXT PRIMARY KEY, incarnation TEXT NOT NULL, status TEXT NOT NULL)
         STRICT, WITHOUT ROWID;)",
};
constexpr std::int64_t kVersion = std::size(kSteps);

// Column names joined with commas.
template <class Record>
std::string columns_of() {
    std::string text;
    Record record;
    each_column(record, [&](const char* name, const auto&) {
        if (!text.empty()) text += ", ";
        text += name;
    });
    return text;
}

template <class Record>
std::string replace_sql() {
    std::string marks;
    Record record;
    each_column(record, [&](const char*, const auto&) { marks += marks.empty() ? "?" : ", ?"; });
    return std::string("REPLACE INTO ") + table_of(&record) + " (" + columns_of<Record>() +
           ") VALUES (" + marks + ")";
}

template <class Record>
std::string erase_sql() {
    const Record record;
    std::string where;
    int left = keys_of(&record);
    each_column(record, [&](const char* name, const auto&) {
        if (left-- > 0) where += (where.empty() ? "" : " AND ") + std::string(name) + " = ?";
    });
    return std::string("DELETE FROM ") + table_of(&record) + " WHERE " + where;
}

class SqliteStore final : public Store {
  public:
    explicit SqliteStore(Database database) : database_(std::move(database)) {}

    Result<> write(const Batch& batch) override {
        TRY(database_.execute("BEGIN IMMEDIATE"));
        auto done = write_all(batch);
        if (done) done = database_.execute("COMMIT");
        if (!done) static_cast<void>(database_.execute("ROLLBACK"));
        return done;
    }
    // synchronous = FULL: a COMMIT returns when the log is on the disk.
    Result<> sync() override { return {}; }
    // The log is synced with whatever is committed next.
    Result<> note(const Batch& batch) override {
        TRY(database_.execute("PRAGMA synchronous = NORMAL"));
        auto done = write(batch);
        if (auto again = database_.execute("PRAGMA synchronous = FULL"); !again) return again;
        return done;
    }

    Result<std::vector<DomainRecord>> domains() override { return all<DomainRecord>(); }
    Result<std::vector<MigrationRecord>> migrations() override { return all<MigrationRecord>(); }
    Result<std::vector<StatusRecord>> statuses() override { return all<StatusRecord>(); }
    Result<std::vector<ProtectionRecord>> protections() override { return all<ProtectionRecord>(); }

  private:
    Result<> write_all(const Batch& batch) {
        for (const Change& change : batch) {
            auto done = std::visit([this](const auto& each) { return write_one(each); }, change);
            if (!done) return done;
        }
        return {};
    }

    Result<> write_one(const EraseDomain& key) { return erase<DomainRecord>(key.uuid); }
    Result<> write_one(const EraseMigration& key) {
        return erase<MigrationRecord>(key.id, std::string_view(key.role));
    }
    Result<> write_one(const EraseStatus& key) { return erase<StatusRecord>(key.domain); }
    Result<> write_one(const EraseProtection& key) { return erase<ProtectionRecord>(key.domain); }

    template <class Record>
    Result<> write_one(const Record& record) {
        static const std::string sql = replace_sql<Record>();
        Statement statement = TRY(database_.prepare(sql));
        each_column(record, [&](const char*, const auto& value) { statement.bind(value); });
        TRY(statement.step());
        return {};
    }

    template <class Record, class... Keys>
    Result<> erase(const Keys&... keys) {
        static const std::string sql = erase_sql<Record>();
        Statement statement = TRY(database_.prepare(sql));
        (statement.bind(keys), ...);
        TRY(statement.step());
        return {};
    }

    template <class Record>
    Result<std::vector<Record>> all() {
        const Record sample;
        static const std::string sql =
            "SELECT " + columns_of<Record>() + " FROM " + table_of(&sample) + " ORDER BY 1, 2";
        Statement statement = TRY(database_.prepare(sql));
        std::vector<Record> records;
        while (TRY(statement.step())) {
            Record record;
            each_column(record, [&](const char*, auto& value) { statement.read(value); });
            records.push_back(std::move(record));
        }
        return records;
    }

    Database database_;
};

Result<> bring_forward(Database& database, const std::string& path) {
    const std::int64_t found = TRY(database.pragma("user_version"));
    if (found > kVersion) {
        return fail(ErrorCode::operation_failed,
                    "store '{}' has schema version {}, this program knows up to {}: install the "
                    "release that wrote it, or a newer one",
                    path, found, kVersion);
    }
    for (std::int64_t version = found; version < kVersion; ++version) {
        const std::string step = std::string("BEGIN IMMEDIATE;") + kSteps[version] +
                                 "PRAGMA user_version = " + std::to_string(version + 1) +
                                 "; COMMIT;";
        if (auto done = database.execute(step.c_str()); !done) {
            static_cast<void>(database.execute("ROLLBACK"));
            return done;
        }
    }
    return {};
}

// SQLite would make it readable for all.
Result<> make_file(const std::string& path) {
    const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (descriptor < 0) return fail_errno("open", path, errno);
    ::close(descriptor);
    return {};
}

}  // namespace

Result<std::unique_ptr<Store>> open_sqlite_store(const std::string& directory) {
    const std::string path = directory + "/segue.db";
    TRY(make_file(path));
    Database database = TRY(Database::open(path));
    // Exclusive: the lock of the first write is kept, and a second daemon is refused at once.
    TRY(
        database.execute("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL;"
                         "PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;"
                         "BEGIN EXCLUSIVE; COMMIT;"));
    TRY(bring_forward(database, path));
    return std::make_unique<SqliteStore>(std::move(database));
}

}  // namespace segue::storage
