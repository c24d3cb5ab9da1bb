// SPDX-License-Identifier: LGPL-2.1-or-later
// An NBD server's side of one connection, without I/O: fixed newstyle negotiation, simple replies,
// one export. Facts: the NBD protocol document (doc/proto.md of the NBD project), checked against
// QEMU 7.2's client.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace segue::nbd {

// What a client may ask for at once. QEMU's largest request is 32 MiB.
inline constexpr std::uint32_t kMaxTransfer = 32U << 20;
// Answers of one feed(); requests behind them wait. (QEMU sends at most 16 at a time.)
inline constexpr std::size_t kMaxAnswers = 2 * std::size_t{kMaxTransfer};
inline constexpr std::uint32_t kMaxOptionBytes = 8192;
// Options before transmission; a client that goes on without end is cut off.
inline constexpr int kMaxOptions = 64;

enum class Command : std::uint16_t {
    read = 0,
    write = 1,
    disconnect = 2,
    flush = 3,
    trim = 4,
    write_zeroes = 6,
};
enum class Errno : std::uint32_t { ok = 0, perm = 1, io = 5, invalid = 22, no_space = 28 };

struct Request {
    Command command = Command::read;
    std::uint64_t cookie = 0;
    std::uint64_t offset = 0;  // bytes; offset and length lie inside the export
    std::uint32_t length = 0;
    bool force_unit_access = false;
    bool no_hole = false;  // write_zeroes: allocate
    ByteView data;         // write; valid during the callback
};

class Server {
  public:
    struct Export {
        std::uint64_t bytes = 0;
        bool read_only = false;
        // Nothing but STARTTLS is served before the owner has called secured().
        bool needs_tls = false;
    };

    explicit Server(Export exported);

    // The greeting, to be sent first.
    Bytes greeting() const;
    // Takes bytes and calls `on_request(const Request&)` for each one; `out` is what must be sent.
    // An error names what is wrong; the connection ends. When holds_back(), requests wait for the
    // answers to leave: feed() again then, without bytes.
    template <class OnRequest>
    Result<> feed(ByteView bytes, Bytes& out, OnRequest&& on_request) {
        input_.insert(input_.end(), bytes.begin(), bytes.end());
        std::size_t used = 0;
        for (;;) {
            holds_back_ = out.size() >= kMaxAnswers;
            if (holds_back_) break;
            Request request;
            const auto now = next(ByteView(input_).subspan(used), out, request);
            if (!now) return tl::make_unexpected(now.error());
            if (now->used == 0) break;
            if (now->is_request) on_request(request);
            used += now->used;
            // What follows is not for us but for the filter; nothing may follow yet.
            if (wants_tls_ && used < input_.size()) return too_early();
        }
        input_.erase(input_.begin(), input_.begin() + static_cast<std::ptrdiff_t>(used));
        return {};
    }
    bool holds_back() const { return holds_back_; }
    // The answer to a request; `data` for a read that went well.
    static void reply(Bytes& out, std::uint64_t cookie, Errno error, ByteView data = {});

    // STARTTLS was acknowledged (in `out`): from the next byte on the peer speaks TLS. The owner
    // puts a filter in between and calls secured().
    bool wants_tls() const { return wants_tls_; }
    void secured();

    bool is_transmitting() const { return phase_ == Phase::transmission; }
    // The peer said goodbye, or negotiation ended without an export.
    bool is_done() const { return phase_ == Phase::done; }

  private:
    enum class Phase { client_flags, options, transmission, done };
    struct Progress {
        std::size_t used = 0;  // 0: more input is needed
        bool is_request = false;
    };

    Result<Progress> next(ByteView input, Bytes& out, Request& request);
    Result<Progress> read_client_flags(ByteView input);
    Result<Progress> read_option(ByteView input, Bytes& out);
    void answer_option(std::uint32_t option, ByteView data, Bytes& out);
    void answer_go(std::uint32_t option, ByteView data, Bytes& out);
    Result<Progress> read_request(ByteView input, Bytes& out, Request& request);
    // Why a well-formed request cannot be served; nothing when it can.
    std::optional<Errno> objection(const Request& request, std::uint16_t flags) const;
    std::uint16_t transmission_flags() const;

    static tl::unexpected<Error> too_early();

    Export export_;
    bool wants_tls_ = false;
    Phase phase_ = Phase::client_flags;
    bool no_zeroes_ = false;
    bool holds_back_ = false;
    int options_ = 0;
    Bytes input_;
};

}  // namespace segue::nbd
