// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/replay/recording_reader.h"

#include <charconv>

#include "spice/codec/zlib_codec.h"

namespace segue::spice::server {

namespace codec = segue::spice::codec;
namespace {

// The longest word of the format is a 64-bit number or a field's name.
constexpr std::size_t kLongestWord = 64;

bool is_space(int character) {
    return character == ' ' || character == '\n' || character == '\t' || character == '\r';
}

}  // namespace

void RecordingReader::fail_with(std::string message) {
    if (error_) return;
    error_ = Error{ErrorCode::protocol, "recording: " + std::move(message)};
}

bool RecordingReader::at_end() {
    int next = ::getc_unlocked(file_);
    while (is_space(next))
        next = ::getc_unlocked(file_);
    if (next == EOF) return true;
    std::ungetc(next, file_);
    return false;
}

// Up to white space, which is left, or to `end`, which is taken.
std::string RecordingReader::word(char end) {
    std::string made;
    if (error_) return made;
    int next = ::getc_unlocked(file_);
    while (is_space(next))
        next = ::getc_unlocked(file_);
    while (next != EOF && next != end && !is_space(next) && made.size() < kLongestWord) {
        made += static_cast<char>(next);
        next = ::getc_unlocked(file_);
    }
    if (next != end && next != EOF) std::ungetc(next, file_);
    if (made.empty()) fail_with("it ends in the middle");
    return made;
}

void RecordingReader::expect(std::string_view wanted) {
    const std::string found = word();
    if (!error_ && found != wanted)
        fail_with(fmt::format("'{}' stands where '{}' should", found, wanted));
}

std::int64_t RecordingReader::number() {
    const std::string text = word();
    if (error_) return 0;
    std::int64_t value = 0;
    const char* const end = text.data() + text.size();
    if (const auto parsed = std::from_chars(text.data(), end, value);
        parsed.ec == std::errc{} && parsed.ptr == end) {
        return value;
    }
    std::uint64_t large = 0;  // ids have 64 bits
    const auto parsed = std::from_chars(text.data(), end, large);
    if (parsed.ec != std::errc{} || parsed.ptr != end)
        fail_with(fmt::format("'{}' stands where a number should", text));
    return static_cast<std::int64_t>(large);
}

std::int64_t RecordingReader::field(std::string_view name) {
    expect(name);
    return number();
}

std::uint64_t RecordingReader::size() {
    const std::string text = word(':');
    std::uint64_t value = 0;
    const char* const end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data(), end, value);
    if (parsed.ec != std::errc{} || parsed.ptr != end || value > kMostBytes)
        fail_with(fmt::format("'{}' is no size (at most {} bytes)", text, kMostBytes));
    return error_ ? 0 : value;
}

Bytes RecordingReader::binary(std::string_view name, std::size_t head) {
    expect("binary");
    const bool deflated = number() != 0;
    expect(name);
    const std::uint64_t bytes = size();
    const std::uint64_t stored = deflated ? size() : bytes;
    if (error_) return {};
    const std::size_t front = deflated ? 0 : head;
    Bytes data(front + stored);
    if (std::fread(data.data() + front, 1, stored, file_) != stored) {
        fail_with(fmt::format("it ends in the middle of '{}'", name));
        return {};
    }
    if (!deflated) return data;
    Result<Bytes> inflated = codec::zlib_decode(data, bytes);
    if (!inflated) {
        fail_with(fmt::format("'{}': {}", name, inflated.error().message));
        return {};
    }
    if (head > 0) inflated->insert(inflated->begin(), head, 0);
    return std::move(*inflated);
}

}  // namespace segue::spice::server
