// SPDX-License-Identifier: LGPL-2.1-or-later
// Which handler serves which procedure.
//
//   Dispatcher calls;
//   // Answers at once:
//   calls.answer<remote::DomainGetState>([&](Session& session, const remote::DomainFlagsCall& call)
//       -> Result<remote::DomainStateReply> { … });
//   // Answers when it can; other calls of the same connection are served meanwhile:
//   calls.on<migration::DomainMigratePerform3Params>(
//       [&](Session& session, migration::Perform3ParamsCall call, Reply<…Perform3Params> reply) {
//           engine.perform(call, [reply](Result<Cookie> cookie) { … reply(…); });
//       });
//
// Handlers run on the loop. Arguments are checked against their limits before a handler sees them;
// `write` procedures never reach one on a read-only connection; a procedure without a handler is
// answered with libvirt's "not supported" (code 3).
#pragma once

#include <memory>
#include <unordered_map>

#include "rpc/known_flags.h"
#include "rpc/packet.h"
#include "rpc/procedure.h"
#include "rpc/reply.h"

namespace segue::rpc {

class Session;

class Dispatcher {
  public:
    struct Entry {
        std::uint32_t program = 0;
        ProcedureInfo info{};
        // Empty: known, but not served.
        std::function<void(Session&, ByteView payload, PendingCall)> serve;
    };

    // Knows the tables of every program that is described in this room.
    Dispatcher();

    template <class P, class Handler>
    void on(Handler handler) {
        entry(P::kProgram, P::kNumber).serve = [handler = std::move(handler)](Session& session,
                                                                              ByteView payload,
                                                                              PendingCall pending) {
            auto call = read_call<P>(payload);
            if (!call) return pending.answer_error(call.error());
            handler(session, std::move(*call),
                    Reply<P>(std::make_shared<PendingCall>(std::move(pending))));
        };
    }

    template <class P, class Handler>
    void answer(Handler handler) {
        entry(P::kProgram, P::kNumber).serve = [handler = std::move(handler)](Session& session,
                                                                              ByteView payload,
                                                                              PendingCall pending) {
            auto call = read_call<P>(payload);
            if (!call) return pending.answer_error(call.error());
            answer_with<P>(pending, handler(session, *call));
        };
    }

    // A call that is whole, and has only flags that its procedure knows (known_flags.h).
    template <class P>
    static Result<typename P::Call> read_call(ByteView payload) {
        auto call = read_body<typename P::Call>(payload, P::kName);
        if constexpr (requires(typename P::Call read) { read.flags; }) {
            constexpr const KnownFlags* kKnown = known_flags(P::kName);
            static_assert(kKnown != nullptr, "known_flags.h does not name this procedure");
            if (call && (call->flags & ~kKnown->flags) != 0) {
                return refused_flags(call->flags & ~kKnown->flags, P::kName);
            }
        }
        return call;
    }
    // Error invalid_argument, as libvirt's virCheckFlags words it.
    static tl::unexpected<Error> refused_flags(std::uint64_t flags, std::string_view procedure);

    // Null: not even known.
    const Entry* find(std::uint32_t program, std::int32_t procedure) const;
    bool knows_program(std::uint32_t program) const;

  private:
    Entry& entry(std::uint32_t program, std::int32_t procedure);

    std::unordered_map<std::uint64_t, Entry> entries_;
};

}  // namespace segue::rpc
