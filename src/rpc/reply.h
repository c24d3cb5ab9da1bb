// SPDX-License-Identifier: LGPL-2.1-or-later
// A call that waits for its answer, and the typed handle that a handler answers with.
#pragma once

#include <memory>
#include <type_traits>
#include <vector>

#include "net/descriptor.h"
#include "rpc/packet.h"
#include "rpc/procedure.h"
#include "rpc/stream.h"

namespace segue::rpc {

class Session;

// Answers at most once. One that is destroyed unanswered tells the client so: no caller ever waits
// for a handler that forgot it.
class PendingCall {
  public:
    PendingCall(std::weak_ptr<Session> session, const Header& header, std::string_view name,
                std::vector<net::Descriptor> descriptors);
    PendingCall(PendingCall&& other) noexcept;
    PendingCall& operator=(PendingCall&&) = delete;
    ~PendingCall();

    template <class T>
    void answer(const T& body, std::vector<net::Descriptor> descriptors = {}) {
        if (!begin_answer()) return;
        auto packet =
            descriptors.empty()
                ? make_packet(reply_header(MessageType::reply), body, name_)
                : make_packet(reply_header(MessageType::reply_with_descriptors),
                              WithCount<T>{static_cast<std::uint32_t>(descriptors.size()), body},
                              name_);
        finish_answer(std::move(packet), std::move(descriptors));
    }
    void answer_error(const Error& error);

    std::vector<net::Descriptor> take_descriptors() { return std::move(descriptors_); }
    std::shared_ptr<Stream> open_stream(Stream::Handlers handlers);
    bool is_wanted() const { return !answered_ && !session_.expired(); }

  private:
    template <class T>
    struct WithCount {
        std::uint32_t count;
        const T& body;
        friend void write(XdrWriter& writer, const WithCount& value) {
            writer.u32(value.count);
            write(writer, value.body);
        }
    };

    bool begin_answer() { return !std::exchange(answered_, true); }
    Header reply_header(MessageType type) const;
    void finish_answer(Result<Bytes> packet, std::vector<net::Descriptor> descriptors);

    std::weak_ptr<Session> session_;
    Header header_;
    std::string_view name_;
    std::vector<net::Descriptor> descriptors_;
    std::shared_ptr<Stream> stream_;
    bool answered_ = false;
};

// What a handler of P gives: Result<P::Reply>, or Result<> where the reply has no body.
template <class P>
using Outcome =
    Result<std::conditional_t<std::is_same_v<typename P::Reply, Nothing>, void, typename P::Reply>>;

template <class P>
void answer_with(PendingCall& pending, const Outcome<P>& outcome,
                 std::vector<net::Descriptor> descriptors = {}) {
    if (!outcome) return pending.answer_error(outcome.error());
    if constexpr (std::is_same_v<typename P::Reply, Nothing>) {
        pending.answer(Nothing{}, std::move(descriptors));
    } else {
        pending.answer(*outcome, std::move(descriptors));
    }
}

// Copies share one call; the first answer counts.
template <class P>
class Reply {
  public:
    explicit Reply(std::shared_ptr<PendingCall> pending) : pending_(std::move(pending)) {}

    void operator()(const Outcome<P>& outcome) const { answer_with<P>(*pending_, outcome); }
    void operator()(const Outcome<P>& outcome, std::vector<net::Descriptor> descriptors) const {
        answer_with<P>(*pending_, outcome, std::move(descriptors));
    }

    // Descriptors that the call brought.
    std::vector<net::Descriptor> take_descriptors() const { return pending_->take_descriptors(); }
    // For procedures that open one: before the answer. Null when the connection is gone. An answer
    // that is an error ends the stream.
    std::shared_ptr<Stream> open_stream(Stream::Handlers handlers) const {
        return pending_->open_stream(std::move(handlers));
    }
    // False once the client is gone or an answer was given.
    bool is_wanted() const { return pending_->is_wanted(); }

  private:
    std::shared_ptr<PendingCall> pending_;
};

}  // namespace segue::rpc
