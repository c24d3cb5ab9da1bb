// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/reply.h"

#include "base/check.h"
#include "base/log.h"
#include "rpc/remote_error.h"
#include "rpc/session.h"

namespace segue::rpc {

PendingCall::PendingCall(std::weak_ptr<Session> session, const Header& header,
                         std::string_view name, std::vector<net::Descriptor> descriptors)
    : session_(std::move(session)),
      header_(header),
      name_(name),
      descriptors_(std::move(descriptors)) {}

PendingCall::PendingCall(PendingCall&& other) noexcept
    : session_(std::move(other.session_)),
      header_(other.header_),
      name_(other.name_),
      descriptors_(std::move(other.descriptors_)),
      stream_(std::move(other.stream_)),
      answered_(std::exchange(other.answered_, true)) {}

PendingCall::~PendingCall() {
    if (!answered_) {
        answer_error({ErrorCode::internal,
                      fmt::format("{} was not answered: this is a defect of the daemon", name_)});
    }
}

void PendingCall::answer_error(const Error& error) {
    if (!begin_answer()) return;
    if (stream_) stream_->lost(error);
    const auto session = session_.lock();
    if (!session) return;
    if (stream_) session->drop_stream(header_.serial);
    Header header = reply_header(MessageType::reply);
    header.status = MessageStatus::error;
    auto packet = make_packet(header, to_remote(error), name_);
    ENSURE(packet);  // to_remote() keeps the limits
    session->send_answer(std::move(*packet), {});
}

std::shared_ptr<Stream> PendingCall::open_stream(Stream::Handlers handlers) {
    const auto session = session_.lock();
    if (!session || answered_) return nullptr;
    stream_ = session->add_stream(header_, std::move(handlers));
    return stream_;
}

Header PendingCall::reply_header(MessageType type) const {
    Header header = header_;
    header.type = type;
    header.status = MessageStatus::ok;
    return header;
}

void PendingCall::finish_answer(Result<Bytes> packet, std::vector<net::Descriptor> descriptors) {
    if (!packet) {
        log_error("rpc", "a reply cannot be sent: {}", packet.error().message);
        answered_ = false;
        return answer_error(packet.error());
    }
    const auto session = session_.lock();
    if (!session) return;
    session->send_answer(std::move(*packet), std::move(descriptors));
    if (stream_) stream_->opened();
}

}  // namespace segue::rpc
