// SPDX-License-Identifier: LGPL-2.1-or-later
// JSON values, as QMP, control sockets and `--output json` use them. nlohmann-json stays behind
// this header (2.6 s of compiler time a file). Objects keep the order in which members were set.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"

namespace segue {

// What a text from outside may cost. The nesting limit also bounds every recursion over a value.
struct JsonLimits {
    std::size_t bytes = 16U << 20;
    std::size_t depth = 128;
    std::size_t values = 1U << 20;
};

class Json {
  public:
    using Array = std::vector<Json>;
    using Member = std::pair<std::string, Json>;
    using Object = std::vector<Member>;

    Json() = default;  // null
    Json(bool value) : value_(value) {}
    template <std::signed_integral T>
    Json(T value) : value_(static_cast<std::int64_t>(value)) {}
    template <std::unsigned_integral T>
    requires(!std::same_as<T, bool>) Json(T value) : value_(static_cast<std::uint64_t>(value)) {}
    Json(double value) : value_(value) {}
    Json(std::string value) : value_(std::move(value)) {}
    Json(std::string_view value) : value_(std::string(value)) {}
    Json(const char* value) : value_(std::string(value)) {}
    Json(Array values) : value_(std::move(values)) {}

    // Json::object({{"driver", "qcow2"}, {"file", "format0"}})
    static Json object(std::initializer_list<Member> members = {});
    static Json array(std::initializer_list<Json> values = {});

    // Exactly one value, in UTF-8, no object with two members of one name. The error names the byte
    // at which parsing stopped, never the text (it may hold secrets).
    static Result<Json> parse(std::string_view text, const JsonLimits& limits = {});

    bool is_null() const { return std::holds_alternative<std::monostate>(value_); }
    bool is_object() const { return std::holds_alternative<Object>(value_); }
    bool is_array() const { return std::holds_alternative<Array>(value_); }
    bool is_string() const { return std::holds_alternative<std::string>(value_); }

    // Nothing where the value is of another kind, or the number does not fit.
    std::optional<bool> as_bool() const;
    std::optional<std::int64_t> as_i64() const;
    std::optional<std::uint64_t> as_u64() const;
    std::optional<double> as_double() const;
    // Valid as long as the value lives.
    std::optional<std::string_view> as_text() const;

    // Empty for every other kind.
    const Array& items() const;
    const Object& members() const;

    // Member of an object; null when it is absent or this is no object.
    const Json* find(std::string_view key) const;
    // The same, yet with a null value for "absent": chains read.
    const Json& operator[](std::string_view key) const;
    std::string_view text(std::string_view key, std::string_view otherwise = {}) const;
    std::int64_t i64(std::string_view key, std::int64_t otherwise = 0) const;
    std::uint64_t u64(std::string_view key, std::uint64_t otherwise = 0) const;
    bool flag(std::string_view key, bool otherwise = false) const;

    // Makes a null value an object (set) or an array (push) first.
    Json& set(std::string_view key, Json value);
    Json& push(Json value);
    void erase(std::string_view key);

    // One line, no spaces. Text that is not UTF-8 is written with U+FFFD in place of the bad bytes.
    std::string dump() const;

    friend bool operator==(const Json&, const Json&) = default;

  private:
    friend class JsonBuilder;
    void dump_to(std::string& out) const;

    std::variant<std::monostate, bool, std::int64_t, std::uint64_t, double, std::string, Array,
                 Object>
        value_;
};

}  // namespace segue
