// SPDX-License-Identifier: LGPL-2.1-or-later
// QMP, QEMU's monitor protocol, as an object without I/O: it is fed bytes, commands and "the peer
// is gone", and gives back actions. Facts: docs/interop/qmp-spec.txt of QEMU 7.2.
//
//   greeting -> negotiating -> ready -> closed
//
// Commands may be given at any time; they leave once the capabilities are agreed. Replies come back
// in any order (out-of-band ones overtake). After `closed`, every command that was not answered has
// got its reply: the error of the close.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace segue {

struct QmpLimits {
    // One line of QEMU's. The longest seen from 7.2 is the reply to query-qmp-schema, 200 KiB.
    std::size_t line_bytes = 16U << 20;
    std::size_t depth = 128;
    // Commands that wait for a reply, sent or not.
    std::size_t pending = 4096;
};

struct QmpCommand {
    std::string name;
    Json arguments = {};  // null, or an object
    // Runs at once in QEMU's monitor thread (exec-oob), overtaking what is queued. Only commands
    // that allow it; where the monitor offers no out-of-band it is sent in order.
    bool out_of_band = false;
    // Sent along (SCM_RIGHTS) for getfd and add-fd; -1: none. The caller keeps it open until the
    // reply and closes it then.
    int descriptor = -1;
};

struct QmpVersion {
    int major = 0, minor = 0, micro = 0;
    std::string package;
};

// Bytes for the socket, in order, `descriptor` (or -1) with their first byte.
struct QmpSend {
    std::string bytes;
    int descriptor = -1;
};
struct QmpReady {
    QmpVersion version;
    bool out_of_band = false;
};
// `value` is the "return" member, or QEMU's error: operation_failed, with the text of `desc`;
// no_support for CommandNotFound.
struct QmpReply {
    std::uint64_t id = 0;
    Result<Json> value;
};
struct QmpEvent {
    std::string name;
    Json data;
    // QEMU's wall clock, microseconds since the epoch; 0 where it could not read its clock.
    std::int64_t time_us = 0;
};
// The last action. Comes once.
struct QmpClosed {
    Error reason;
};
using QmpAction = std::variant<QmpSend, QmpReady, QmpReply, QmpEvent, QmpClosed>;

class QmpProtocol {
  public:
    enum class State { greeting, negotiating, ready, closed };

    // Commands are numbered from `first_id` on: where one connection follows another, a reply to
    // the last one's commands must not fit ours.
    explicit QmpProtocol(QmpLimits limits = {}, std::uint64_t first_id = 0)
        : limits_(limits), negotiation_id_(first_id), next_id_(first_id + 1) {}

    // The reply carries the number that this returns. On a closed monitor, and beyond the limit of
    // pending commands, the reply (an error) is an action at once.
    std::uint64_t execute(QmpCommand command);
    void feed(std::string_view bytes);
    // The socket ended or failed. Idempotent.
    void close(Error reason);

    State state() const { return state_; }
    // Commands without reply.
    std::size_t pending() const { return waiting_.size() + sent_.size(); }
    std::vector<QmpAction> take_actions();

  private:
    struct Waiting {
        std::uint64_t id;
        QmpCommand command;
    };
    struct Sent {
        std::string name;
        bool out_of_band;
        bool with_descriptor;
    };

    void line(std::string_view text);
    void greeting(const Json& message);
    void greeted_again(const Json& message);
    void agreed(const Json& message);
    void reply(const Json& message);
    void event(const Json& message);
    void pump();
    bool may_leave(const QmpCommand& command) const;
    void send(std::uint64_t id, const QmpCommand& command);
    void protocol_error(std::string_view what);

    QmpLimits limits_;
    State state_ = State::greeting;
    bool out_of_band_ = false;
    bool greeted_twice_ = false;
    bool was_ready_ = false;
    QmpVersion version_;
    std::optional<Error> reason_;
    std::uint64_t negotiation_id_;
    std::uint64_t next_id_;
    std::deque<Waiting> waiting_;
    std::map<std::uint64_t, Sent> sent_;
    std::size_t in_band_ = 0;
    std::size_t descriptors_ = 0;
    std::string input_;
    std::vector<QmpAction> actions_;
};

}  // namespace segue
