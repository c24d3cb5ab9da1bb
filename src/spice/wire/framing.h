// SPDX-License-Identifier: LGPL-2.1-or-later
// A linked channel's byte stream, cut into messages and made of messages.
//
//   MessageReader reader(HeaderKind::mini, kMaxBody);
//   read(fd, reader.space().data(), reader.space().size()) -> reader.commit(n), or
//   reader.feed(bytes) while (auto message = TRY(reader.next()))
//   display::dispatch_from_server(message->number,
//                                                                           message->body,
//                                                                           handler);
//   MessageWriter writer(HeaderKind::mini);
//   writer.frame(encode_from_server(display::Mark{}), pieces);       // pieces go to writev
#pragma once

#include <cstdlib>
#include <deque>
#include <memory>

#include "spice/wire/encoding.h"
#include "spice/wire/memory_budget.h"

namespace segue::spice::wire {

// Full: serial u64, type u16, size u32, sub list u32. Mini (both sides have the capability): type
// u16, size u32; serials are counted.
enum class HeaderKind { full, mini };

constexpr std::size_t header_size(HeaderKind kind) {
    return kind == HeaderKind::mini ? 6 : 18;
}

struct IncomingMessage {
    std::uint16_t number = 0;
    std::uint64_t serial = 0;
    SharedBytes body;
};

// Memory for bytes that arrive: it is not cleared first, and a large block grows where it is.
class ArrivingBytes {
  public:
    explicit ArrivingBytes(std::shared_ptr<MemoryBudget> budget)
        : budget_(std::move(budget)), room_(budget_) {}

    std::uint8_t* data() { return memory_.get(); }
    std::size_t size() const { return size_; }
    // Of the budget.
    std::size_t most() const { return room_.most(); }
    void clear() {
        memory_.reset();
        size_ = 0;
        room_.resize(0);
    }
    // Not less than now. What was there stays. False: the budget has no room for it.
    bool grow(std::size_t size);
    // Its first `size` bytes; it is empty then. The budget has them back when the last one who
    // holds them lets go.
    SharedBytes take(std::size_t size);

  private:
    struct Free {
        void operator()(std::uint8_t* memory) const { std::free(memory); }
    };
    std::shared_ptr<MemoryBudget> budget_;
    Reservation room_;
    std::unique_ptr<std::uint8_t, Free> memory_;
    std::size_t size_ = 0;
};

class MessageReader {
  public:
    // `max_body`: a message that announces more ends the connection. Memory grows with what has
    // arrived, not with what was announced. `budget`: of all that this peer makes us keep; none:
    // no other bound.
    MessageReader(HeaderKind kind, std::size_t max_body,
                  std::shared_ptr<MemoryBudget> budget = nullptr)
        : kind_(kind), max_body_(max_body), body_(std::move(budget)) {}

    // Where the next bytes of the stream may be put, never empty; valid until the next call.
    std::span<std::uint8_t> space();
    // `size` bytes of space() are filled.
    void commit(std::size_t size);
    // The same with a copy.
    void feed(ByteView bytes);

    // The next whole message; nothing if more bytes are needed. An error is final.
    Result<std::optional<IncomingMessage>> next();

    // Of the last message that next() returned; 0 before the first.
    std::uint64_t serial() const { return serial_; }
    // The serial of the last message that was received on another host (seamless migration).
    void set_serial(std::uint64_t serial) { serial_ = serial; }

  private:
    Result<bool> take_header();
    void start_body();
    Result<> expand(const IncomingMessage& whole, std::uint32_t list_at);

    static constexpr std::size_t kChunk = 64 * 1024;

    HeaderKind kind_;
    std::size_t max_body_;
    std::uint64_t serial_ = 0;
    // Unparsed input: headers and small bodies. [parsed_, filled_) is not yet used.
    Bytes input_ = Bytes(kChunk);
    std::size_t parsed_ = 0;
    std::size_t filled_ = 0;
    // The message whose header was seen, and its body as far as it has arrived.
    bool has_header_ = false;
    IncomingMessage current_;
    std::uint32_t current_list_ = 0;
    std::size_t body_size_ = 0;
    ArrivingBytes body_;
    std::size_t body_filled_ = 0;
    bool is_over_budget_ = false;
    std::deque<IncomingMessage> ready_;
};

class MessageWriter {
  public:
    explicit MessageWriter(HeaderKind kind) : kind_(kind) {}

    // Appends the message with its header to `out`; payloads are shared, not copied. A message with
    // a broken field is not sent: false, logged and counted.
    bool frame(EncodedMessage message, std::vector<SharedBytes>& out);

    // Of the last message framed; 0 before the first.
    std::uint64_t serial() const { return serial_; }
    void set_serial(std::uint64_t serial) { serial_ = serial; }

  private:
    HeaderKind kind_;
    std::uint64_t serial_ = 0;
};

}  // namespace segue::spice::wire
