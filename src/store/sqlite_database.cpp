// SPDX-License-Identifier: LGPL-2.1-or-later
#include "store/sqlite_database.h"

#include <sqlite3.h>

namespace segue::storage {
namespace {

std::string_view remedy_of(int code) {
    switch (code & 0xff) {
        case SQLITE_FULL: return ": free space in the state directory";
        case SQLITE_BUSY:
        case SQLITE_LOCKED: return ": another daemon uses this state directory, stop it";
        case SQLITE_CORRUPT:
        case SQLITE_NOTADB: return ": restore the state directory from a backup";
        case SQLITE_READONLY:
        case SQLITE_CANTOPEN:
        case SQLITE_PERM: return ": give the daemon's user write access to the state directory";
        default: return "";
    }
}

tl::unexpected<Error> failure(sqlite3* connection, const std::string& path) {
    const int code = sqlite3_extended_errcode(connection);
    return fail(ErrorCode::operation_failed, "store '{}': {}{}", path, sqlite3_errmsg(connection),
                remedy_of(code));
}

}  // namespace

void Statement::Closer::operator()(sqlite3_stmt* statement) const {
    sqlite3_finalize(statement);
}

void Statement::bind(std::string_view text) {
    sqlite3_bind_text64(statement_.get(), ++bound_, text.data(), text.size(), SQLITE_TRANSIENT,
                        SQLITE_UTF8);
}

void Statement::bind(std::int64_t number) {
    sqlite3_bind_int64(statement_.get(), ++bound_, number);
}

Result<bool> Statement::step() {
    column_ = 0;
    const int code = sqlite3_step(statement_.get());
    if (code == SQLITE_ROW) return true;
    if (code == SQLITE_DONE) return false;
    return failure(sqlite3_db_handle(statement_.get()), path_);
}

void Statement::read(std::string& text) {
    const auto* bytes = sqlite3_column_text(statement_.get(), column_);
    const int size = sqlite3_column_bytes(statement_.get(), column_);
    text.assign(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
    ++column_;
}

void Statement::read(Uuid& uuid) {
    std::string text;
    read(text);
    uuid = Uuid::parse(text).value_or(Uuid{});
}

void Statement::read(std::int64_t& number) {
    number = sqlite3_column_int64(statement_.get(), column_++);
}

void Statement::read(bool& value) {
    value = sqlite3_column_int64(statement_.get(), column_++) != 0;
}

void Statement::reset() {
    sqlite3_reset(statement_.get());
    sqlite3_clear_bindings(statement_.get());
    bound_ = 0;
}

void Database::Closer::operator()(sqlite3* connection) const {
    sqlite3_close_v2(connection);
}

Result<Database> Database::open(const std::string& path) {
    Database database;
    database.path_ = path;
    sqlite3* connection = nullptr;
    const int code =
        sqlite3_open_v2(path.c_str(), &connection,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nullptr);
    database.connection_.reset(connection);
    if (code != SQLITE_OK) return failure(connection, path);
    return database;
}

Result<> Database::execute(const char* sql) {
    if (sqlite3_exec(connection_.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK) {
        return failure(connection_.get(), path_);
    }
    return {};
}

Result<Statement> Database::prepare(const std::string& sql) {
    sqlite3_stmt* raw = nullptr;
    const int code = sqlite3_prepare_v3(connection_.get(), sql.c_str(),
                                        static_cast<int>(sql.size()) + 1, 0, &raw, nullptr);
    Statement statement{};
    statement.statement_.reset(raw);
    statement.path_ = path_;
    if (code != SQLITE_OK) return failure(connection_.get(), path_);
    return statement;
}

Result<std::int64_t> Database::pragma(const char* name) {
    Statement statement = TRY(prepare(std::string("PRAGMA ") + name));
    std::int64_t value = 0;
    if (TRY(statement.step())) statement.read(value);
    return value;
}

}  // namespace segue::storage
