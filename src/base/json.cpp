// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/json.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

namespace segue {

// Builds a Json from nlohmann's events; the parser itself keeps its stack on the heap.
class JsonBuilder {
  public:
    JsonBuilder(const JsonLimits& limits, Json& root) : limits_(limits), root_(root) {}

    bool null() { return add(Json()); }
    bool boolean(bool value) { return add(value); }
    bool number_integer(std::int64_t value) { return add(value); }
    bool number_unsigned(std::uint64_t value) { return add(value); }
    bool number_float(double value, const std::string&) { return add(value); }
    bool string(std::string& value) { return add(std::move(value)); }
    bool binary(nlohmann::json::binary_t&) { return false; }
    bool start_object(std::size_t) { return open(Json::object()); }
    bool start_array(std::size_t) { return open(Json::array()); }
    bool key(std::string& name) {
        keys_.back() = std::move(name);
        return true;
    }
    bool end_object() { return unique_members(open_.back()) && close(); }
    bool end_array() { return close(); }
    bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) {
        message_ = fmt::format("invalid JSON at byte {}", position);
        return false;
    }

    const std::string& message() const { return message_; }

  private:
    bool open(Json container) {
        if (open_.size() >= limits_.depth) {
            message_ = fmt::format("JSON nested deeper than {} levels", limits_.depth);
            return false;
        }
        if (!count()) return false;
        open_.push_back(std::move(container));
        keys_.emplace_back();
        return true;
    }
    bool close() {
        Json finished = std::move(open_.back());
        open_.pop_back();
        keys_.pop_back();
        return place(std::move(finished));
    }
    bool add(Json value) { return count() && place(std::move(value)); }
    bool count() {
        if (++values_ <= limits_.values) return true;
        message_ = fmt::format("JSON with more than {} values", limits_.values);
        return false;
    }
    bool place(Json value) {
        if (open_.empty()) {
            root_ = std::move(value);
        } else if (auto* members = std::get_if<Json::Object>(&open_.back().value_)) {
            members->emplace_back(std::move(keys_.back()), std::move(value));
        } else {
            open_.back().push(std::move(value));
        }
        return true;
    }

    // Sorted, so that an object of a million members costs no million searches.
    bool unique_members(const Json& object) {
        std::vector<std::string_view> names;
        names.reserve(object.members().size());
        for (const Json::Member& member : object.members())
            names.push_back(member.first);
        std::sort(names.begin(), names.end());
        if (std::adjacent_find(names.begin(), names.end()) == names.end()) return true;
        message_ = "invalid JSON: an object has two members of one name";
        return false;
    }

    const JsonLimits& limits_;
    Json& root_;
    std::vector<Json> open_;
    std::vector<std::string> keys_;
    std::size_t values_ = 0;
    std::string message_;
};

namespace {

const Json& null_value() {
    static const Json value;
    return value;
}

void dump_text(const std::string& text, std::string& out) {
    out += nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

Json Json::object(std::initializer_list<Member> members) {
    Json made;
    made.value_ = Object(members);
    return made;
}

Json Json::array(std::initializer_list<Json> values) {
    return Json(Array(values));
}

Result<Json> Json::parse(std::string_view text, const JsonLimits& limits) {
    if (text.size() > limits.bytes) {
        return fail(ErrorCode::limit_exceeded, "JSON text of {} bytes (at most {})", text.size(),
                    limits.bytes);
    }
    Json root;
    JsonBuilder builder(limits, root);
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) {
        const bool bound = builder.message().find("invalid") == std::string::npos;
        return fail(bound ? ErrorCode::limit_exceeded : ErrorCode::invalid_argument, "{}",
                    builder.message());
    }
    return root;
}

std::optional<bool> Json::as_bool() const {
    const auto* value = std::get_if<bool>(&value_);
    return value ? std::optional(*value) : std::nullopt;
}

std::optional<std::int64_t> Json::as_i64() const {
    if (const auto* value = std::get_if<std::int64_t>(&value_)) return *value;
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) {
        if (*value <= static_cast<std::uint64_t>(INT64_MAX))
            return static_cast<std::int64_t>(*value);
    }
    return std::nullopt;
}

std::optional<std::uint64_t> Json::as_u64() const {
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) return *value;
    if (const auto* value = std::get_if<std::int64_t>(&value_)) {
        if (*value >= 0) return static_cast<std::uint64_t>(*value);
    }
    return std::nullopt;
}

std::optional<double> Json::as_double() const {
    if (const auto* value = std::get_if<double>(&value_)) return *value;
    if (const auto* value = std::get_if<std::int64_t>(&value_)) return static_cast<double>(*value);
    if (const auto* value = std::get_if<std::uint64_t>(&value_)) return static_cast<double>(*value);
    return std::nullopt;
}

std::optional<std::string_view> Json::as_text() const {
    const auto* value = std::get_if<std::string>(&value_);
    return value ? std::optional<std::string_view>(*value) : std::nullopt;
}

const Json::Array& Json::items() const {
    static const Array none;
    const auto* value = std::get_if<Array>(&value_);
    return value ? *value : none;
}

const Json::Object& Json::members() const {
    static const Object none;
    const auto* value = std::get_if<Object>(&value_);
    return value ? *value : none;
}

const Json* Json::find(std::string_view key) const {
    for (const Member& member : members()) {
        if (member.first == key) return &member.second;
    }
    return nullptr;
}

const Json& Json::operator[](std::string_view key) const {
    const Json* found = find(key);
    return found ? *found : null_value();
}

std::string_view Json::text(std::string_view key, std::string_view otherwise) const {
    return (*this)[key].as_text().value_or(otherwise);
}
std::int64_t Json::i64(std::string_view key, std::int64_t otherwise) const {
    return (*this)[key].as_i64().value_or(otherwise);
}
std::uint64_t Json::u64(std::string_view key, std::uint64_t otherwise) const {
    return (*this)[key].as_u64().value_or(otherwise);
}
bool Json::flag(std::string_view key, bool otherwise) const {
    return (*this)[key].as_bool().value_or(otherwise);
}

Json& Json::set(std::string_view key, Json value) {
    if (is_null()) value_ = Object();
    auto& members = std::get<Object>(value_);
    for (Member& member : members) {
        if (member.first == key) {
            member.second = std::move(value);
            return *this;
        }
    }
    members.emplace_back(std::string(key), std::move(value));
    return *this;
}

Json& Json::push(Json value) {
    if (is_null()) value_ = Array();
    std::get<Array>(value_).push_back(std::move(value));
    return *this;
}

void Json::erase(std::string_view key) {
    if (auto* members = std::get_if<Object>(&value_)) {
        std::erase_if(*members, [key](const Member& member) { return member.first == key; });
    }
}

std::string Json::dump() const {
    std::string out;
    dump_to(out);
    return out;
}

void Json::dump_to(std::string& out) const {
    if (is_null()) {
        out += "null";
    } else if (const auto* flag_value = std::get_if<bool>(&value_)) {
        out += *flag_value ? "true" : "false";
    } else if (const auto* signed_value = std::get_if<std::int64_t>(&value_)) {
        out += std::to_string(*signed_value);
    } else if (const auto* unsigned_value = std::get_if<std::uint64_t>(&value_)) {
        out += std::to_string(*unsigned_value);
    } else if (const auto* real = std::get_if<double>(&value_)) {
        out += std::isfinite(*real) ? nlohmann::json(*real).dump() : "null";
    } else if (const auto* string_value = std::get_if<std::string>(&value_)) {
        dump_text(*string_value, out);
    } else if (is_array()) {
        out += '[';
        for (const Json& item : items()) {
            if (&item != &items().front()) out += ',';
            item.dump_to(out);
        }
        out += ']';
    } else {
        out += '{';
        for (const Member& member : members()) {
            if (&member != &members().front()) out += ',';
            dump_text(member.first, out);
            out += ':';
            member.second.dump_to(out);
        }
        out += '}';
    }
}

}  // namespace segue
