// SPDX-License-Identifier: LGPL-2.1-or-later
// SQLite behind a facade: a connection, a statement, and errors that name the remedy.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/id.h"
#include "base/result.h"

struct sqlite3;
struct sqlite3_stmt;

namespace segue::storage {

class Statement {
  public:
    Statement() = default;
    Statement(Statement&&) = default;
    Statement& operator=(Statement&&) = default;

    void bind(std::string_view text);
    void bind(const Uuid& uuid) { bind(std::string_view(uuid.text())); }
    void bind(std::int64_t number);
    void bind(bool value) { bind(static_cast<std::int64_t>(value ? 1 : 0)); }

    // True: a row is there. Then the columns are read in order.
    Result<bool> step();
    void read(std::string& text);
    void read(Uuid& uuid);
    void read(std::int64_t& number);
    void read(bool& value);
    // Ready for the next execution.
    void reset();

  private:
    friend class Database;
    struct Closer {
        void operator()(sqlite3_stmt* statement) const;
    };
    std::unique_ptr<sqlite3_stmt, Closer> statement_;
    std::string path_;
    int bound_ = 0;
    int column_ = 0;
};

class Database {
  public:
    static Result<Database> open(const std::string& path);

    Result<> execute(const char* sql);
    Result<Statement> prepare(const std::string& sql);
    // PRAGMA name, as a number.
    Result<std::int64_t> pragma(const char* name);

  private:
    struct Closer {
        void operator()(sqlite3* connection) const;
    };
    std::unique_ptr<sqlite3, Closer> connection_;
    std::string path_;
};

}  // namespace segue::storage
