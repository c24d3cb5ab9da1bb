// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/guest.h"

#include <algorithm>

#include "base/log.h"

namespace segue {
namespace {

// Doubled each time, while the process lives and its monitor does not answer.
constexpr Duration kFirstReconnect = 500ms;
constexpr Duration kMaxReconnect = 16s;

// Of a SpiceChannel or SpiceBasicInfo (qapi/ui.json).
std::string client_address(const Json& end) {
    return fmt::format("{} {}", end.text("host"), end.text("port"));
}

// Of each connection another one, also of those that daemons before us had: microseconds since the
// epoch, and no connection takes a command in each.
std::uint64_t first_command_id(const Loop& loop) {
    const auto since_epoch = loop.clock().wall().time_since_epoch();
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(since_epoch).count());
}

Guest::Viewers::value_type channel_of(const Json& channel) {
    return {channel.u64("channel-type"), channel.u64("channel-id")};
}

}  // namespace

Guest::Guest(Loop& loop, const std::string& monitor_socket, std::int32_t process, Handlers handlers)
    : loop_(loop),
      monitor_socket_(monitor_socket),
      handlers_(std::move(handlers)),
      reconnect_delay_(kFirstReconnect),
      process_of_monitor_(process) {
    connect();
}

Guest::~Guest() = default;

void Guest::connect() {
    monitor_ = std::make_unique<QmpConnection>(
        loop_, monitor_socket_,
        QmpConnection::Handlers{.ready = [this](const QmpReady&) { on_monitor_ready(); },
                                .event = [this](const QmpEvent& event) { on_event(event); },
                                .closed = [this](const Error& error) { on_monitor_closed(error); }},
        QmpConnection::Options{.first_id = first_command_id(loop_), .server = process_of_monitor_});
}

void Guest::on_monitor_ready() {
    reconnect_delay_ = kFirstReconnect;
    const bool returned = std::exchange(lost_, false);
    if (returned) ready_.reset();
    steerable_ = true;
    const std::weak_ptr<bool> alive = alive_;
    answer_ready({});
    if (alive.expired()) return;
    if (returned) {
        log_info("daemon", "QEMU {}: its monitor answers again", pid());
        if (const auto tell = handlers_.returned) tell();
    }
    // What it does was asked first, so that it is known when it is told something else.
    if (!alive.expired()) answer_steering({});
}

// A QEMU that stood still, or whose host was busy, is still there to be steered. Where it has ended
// its end comes before the delay is over.
void Guest::on_monitor_closed(const Error& error) {
    steerable_ = false;
    const std::weak_ptr<bool> alive = alive_;
    answer_ready(tl::unexpected(error));
    if (alive.expired() || !process_) return;
    reconnect_ = loop_.make_timer([this, error] {
        if (!std::exchange(lost_, true)) {
            log_warning("daemon", "QEMU {} lives, and its monitor does not: {}; it is tried again",
                        pid(), error.message);
        }
        connect();
    });
    reconnect_->start(reconnect_delay_);
    reconnect_delay_ = std::min(2 * reconnect_delay_, kMaxReconnect);
}

void Guest::when_ready(Answer<> answer) {
    if (ready_) return answer(*ready_);
    ready_waiters_.push_back(std::move(answer));
}

void Guest::when_steerable(Answer<> answer) {
    if (steerable_) return answer({});
    steering_waiters_.push_back(std::move(answer));
}

void Guest::answer_steering(Result<> steerable) {
    for (const Answer<>& waiter : std::exchange(steering_waiters_, {}))
        waiter(steerable);
}

void Guest::answer_ready(Result<> ready) {
    if (!ready_ || !ready) ready_ = ready;
    for (const Answer<>& waiter : std::exchange(ready_waiters_, {}))
        waiter(ready);
}

void Guest::execute(std::string command, Json arguments, Answer<Json> answer, Duration bound) {
    monitor_->execute(std::move(command), std::move(arguments), std::move(answer), bound);
}

void Guest::run(std::string command, Json arguments, Answer<> answer) {
    execute(std::move(command), std::move(arguments),
            [answer](Result<Json> reply) { answer(reply.map([](const Json&) {})); });
}

void Guest::query_transfer(Answer<TransferStatistics> answer) {
    execute("query-migrate", {}, [answer](Result<Json> reply) {
        answer(reply.map([](const Json& said) { return read_transfer(said); }));
    });
}

void Guest::pass_descriptor(const std::string& name, net::Descriptor descriptor, Answer<> answer) {
    const auto held = std::make_shared<net::Descriptor>(std::move(descriptor));
    QmpCommand pass{.name = "getfd", .arguments = Json::object({{"fdname", name}})};
    pass.descriptor = held->get();
    monitor_->execute(std::move(pass), [held, answer = std::move(answer)](Result<Json> got) {
        answer(got.map([](const Json&) {}));
    });
}

void Guest::set_process(std::unique_ptr<QemuProcess> process) {
    process_ = std::move(process);
    process_->on_end([this](const QemuProcess::Ended& ended) {
        log_debug("daemon", "QEMU {} {}", pid(), ended.text());
        on_exit();
    });
}

void Guest::end(Duration patience) {
    if (process_) process_->terminate(patience);
}

void Guest::kill() {
    if (process_) process_->kill();
}

void Guest::end_later(Duration delay) {
    const Instant then = loop_.now() + delay;
    if (ends_at_ && *ends_at_ <= then) return;
    ends_at_ = then;
    later_ = loop_.make_timer([this] { end(); });
    later_->start(delay);
}

void Guest::note_viewers(const Json& reply) {
    viewers_.clear();
    for (const Json& channel : reply["channels"].items())
        viewers_.emplace(client_address(channel), channel_of(channel));
}

Guest::Viewers Guest::viewers() const {
    Viewers out;
    for (const auto& [address, channel] : viewers_)
        out.insert(channel);
    return out;
}

void Guest::on_event(const QmpEvent& event) {
    const Json& client = event.data["client"];
    if (event.name == "SPICE_INITIALIZED")
        viewers_.emplace(client_address(client), channel_of(client));
    if (event.name == "SPICE_DISCONNECTED") {
        const auto left = viewers_.find(client_address(client));
        if (left != viewers_.end()) viewers_.erase(left);
    }
    if (handlers_.event) handlers_.event(event);
}

// Posted once more: what the monitor said last is read before the end is told.
void Guest::on_exit() {
    const std::weak_ptr<bool> alive = alive_;
    loop_.post([this, alive] {
        if (alive.expired()) return;
        answer_ready(fail(ErrorCode::connection_lost, "QEMU ended"));
        if (!alive.expired()) answer_steering(fail(ErrorCode::connection_lost, "QEMU ended"));
        if (alive.expired()) return;
        const auto gone = std::exchange(handlers_, Handlers{}).gone;
        if (gone) gone();
    });
}

void continue_guest(Guest& guest, Answer<> answer) {
    guest.when_steerable([&guest, answer = std::move(answer)](Result<> steerable) {
        if (!steerable) return answer(std::move(steerable));
        guest.execute("cont", answer);
    });
}

}  // namespace segue
