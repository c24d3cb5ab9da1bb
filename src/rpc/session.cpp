// SPDX-License-Identifier: LGPL-2.1-or-later
#include "rpc/session.h"

#include "base/log.h"

namespace segue::rpc {
namespace {

// A client that has so much to read gets no more answers until it has read.
constexpr std::size_t kMaxOutputForCalls = 4u << 20;
// Events are not asked for one by one: a client that lets this much of them wait is cut off.
constexpr std::size_t kMaxOutputForEvents = 16u << 20;

}  // namespace

Session::Session(Loop& loop, std::unique_ptr<Link> link, const Dispatcher& calls,
                 const SessionOptions& options, std::uint64_t id)
    : endpoint_(loop, std::move(link), Side::server, options.keepalive),
      calls_(calls),
      options_(options),
      id_(id),
      read_only_(options.read_only),
      started_at_(loop.now()) {
    if (options.max_message != 0) endpoint_.set_message_limit(options.max_message);
}

Session::~Session() {
    endpoint_.close({ErrorCode::connection_lost, "the server stops"}, true);
}

void Session::start(std::function<void()> on_closed_callback) {
    on_closed_ = std::move(on_closed_callback);
    Endpoint::Handlers handlers;
    handlers.on_packet = [this](const Packet& packet) { return on_packet(packet); };
    handlers.on_closed = [this](const Error& reason) { on_closed(reason); };
    handlers.on_drained = [this] { update_holds(); };
    endpoint_.start(std::move(handlers));
}

Result<> Session::on_packet(const Packet& packet) {
    const Header& header = packet.header;
    has_spoken_ = true;
    const bool is_call =
        header.type == MessageType::call || header.type == MessageType::call_with_descriptors;
    if (!is_call) {
        return fail(ErrorCode::protocol,
                    "a client sent a message of type {}: only calls, streams "
                    "and keepalive come from clients",
                    name_of(header.type));
    }
    // A second stream under the same number would hide the first one from this connection's end.
    if (endpoint_.find_stream(header.serial) != nullptr) {
        return fail(ErrorCode::protocol,
                    "a call has serial {}, whose stream is still open: end the stream first",
                    header.serial);
    }
    auto descriptors = take_descriptors(packet.descriptors);
    if (descriptors.size() != packet.descriptors) {
        return fail(ErrorCode::protocol, "a call announced {} descriptors and brought {}",
                    packet.descriptors, descriptors.size());
    }
    const auto self = shared_from_this();  // a handler may end the session
    ++in_flight_;
    const Dispatcher::Entry* const entry = calls_.find(header.program, header.procedure);
    const std::string_view name = entry == nullptr ? "unknown procedure" : entry->info.name;
    PendingCall pending(weak_from_this(), header, name, std::move(descriptors));
    if (options_.refusal) {
        pending.answer_error(*options_.refusal);
        endpoint_.close_after_output();
        return {};
    }
    if (header.version != kProgramVersion || !calls_.knows_program(header.program)) {
        pending.answer_error({ErrorCode::protocol, fmt::format("Cannot find program {} version {}",
                                                               header.program, header.version)});
    } else if (read_only_ && entry != nullptr && entry->info.access == Access::write) {
        pending.answer_error(
            {ErrorCode::denied, fmt::format("read only access prevents {}", name)});
    } else if (entry == nullptr || !entry->serve) {
        pending.answer_error(
            {ErrorCode::no_support, entry == nullptr ? fmt::format("procedure {}", header.procedure)
                                                     : std::string(entry->info.name)});
    } else {
        entry->serve(*this, packet.payload, std::move(pending));
    }
    update_holds();
    return {};
}

std::vector<net::Descriptor> Session::take_descriptors(std::uint32_t count) {
    std::vector<net::Descriptor> taken;
    while (taken.size() < count) {
        auto descriptor = endpoint_.take_descriptor();
        if (!descriptor) break;
        taken.push_back(std::move(*descriptor));
    }
    return taken;
}

void Session::send_answer(Bytes packet, std::vector<net::Descriptor> descriptors) {
    --in_flight_;
    if (descriptors.empty()) {
        endpoint_.send_packet(std::move(packet));
    } else {
        endpoint_.send_with_descriptors(std::move(packet), std::move(descriptors));
    }
    update_holds();
}

void Session::send_event_packet(Bytes packet) {
    if (is_closed()) return;
    if (endpoint_.output_waiting() <= kMaxOutputForEvents) {
        return endpoint_.send_packet(std::move(packet));
    }
    // Through the loop: the publisher goes through a list that this session's end changes.
    loop().post([weak = weak_from_this()] {
        const auto session = weak.lock();
        if (!session) return;
        session->close({ErrorCode::limit_exceeded,
                        fmt::format("the client does not read its events: {} bytes wait, the limit "
                                    "is {}",
                                    session->endpoint_.output_waiting(), kMaxOutputForEvents)});
    });
}

// Nothing is read while too much is being done or waits to be read by the client.
void Session::update_holds() {
    const bool hold =
        in_flight_ >= options_.max_in_flight || endpoint_.output_waiting() > kMaxOutputForCalls;
    if (hold == held_ || is_closed()) return;
    held_ = hold;
    endpoint_.hold_reading(hold);
}

std::uint64_t Session::on_close(std::function<void()> hook) {
    hooks_.push_back({next_hook_, std::move(hook)});
    return next_hook_++;
}

void Session::remove_on_close(std::uint64_t hook) {
    hooks_.remove_if([hook](const Hook& one) { return one.number == hook; });
}

void Session::close(const Error& reason) {
    endpoint_.close(reason);
}

void Session::on_closed(const Error& reason) {
    const auto self = shared_from_this();
    if (reason.code == ErrorCode::connection_lost) {
        log_debug("rpc", "connection {} ended: {}", id_, reason.message);
    } else {
        log_warning("rpc", "connection {} ended: {}", id_, reason.message);
    }
    // A hook may take others out, or add one.
    while (!hooks_.empty()) {
        const Hook hook = std::move(hooks_.front());
        hooks_.pop_front();
        hook.run();
    }
    const auto on_closed = std::move(on_closed_);
    if (on_closed) on_closed();
}

}  // namespace segue::rpc
