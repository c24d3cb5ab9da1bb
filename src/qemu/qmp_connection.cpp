// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/qmp_connection.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace segue {
namespace {

constexpr std::size_t kReadSize = 64U << 10;
// Reads per wakeup: a monitor that floods us with events does not starve the rest of the loop.
constexpr int kReadsPerTurn = 16;

// Returns the bytes that were taken, or -1 with errno.
ssize_t send_with_descriptor(int socket, std::string_view bytes, int descriptor) {
    iovec part{const_cast<char*>(bytes.data()), bytes.size()};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (descriptor >= 0) {
        message.msg_control = control.data();
        message.msg_controllen = control.size();
        cmsghdr* header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int));
        std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
    }
    return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

// "KEY/monitor.sock": the folders above may be reached by another name than that of the last run.
std::string_view own_part(std::string_view path) {
    const std::size_t file = path.rfind('/');
    if (file == path.npos || file == 0) return path;
    const std::size_t folder = path.rfind('/', file - 1);
    return path.substr(folder == path.npos ? 0 : folder + 1);
}

// See Options::server. The credentials are those of whoever called listen(2) (unix(7)).
bool is_served_by(int socket, std::int32_t process, std::string_view path) {
    ucred listener{};
    socklen_t size = sizeof listener;
    if (::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &listener, &size) != 0) return false;
    if (process > 0 && listener.pid == process) return true;
    if (listener.uid != ::geteuid()) return false;
    sockaddr_un bound{};
    size = sizeof bound;
    if (::getpeername(socket, reinterpret_cast<sockaddr*>(&bound), &size) != 0) return false;
    const std::size_t length = ::strnlen(bound.sun_path, sizeof bound.sun_path);
    const std::string_view name(bound.sun_path, length);
    return own_part(path) == own_part(name);
}

}  // namespace

QmpConnection::QmpConnection(Loop& loop, std::string socket_path, Handlers handlers,
                             Options options)
    : loop_(loop),
      path_(std::move(socket_path)),
      handlers_(std::move(handlers)),
      options_(options),
      protocol_(options.limits, options.first_id) {
    retry_ = loop_.make_timer([this] { connect(); });
    connect_timer_ = loop_.make_timer([this] {
        fail_with({ErrorCode::timeout, fmt::format("QMP socket '{}' gave no monitor within {} ms",
                                                   path_, to_ms(options_.connect_bound))});
    });
    connect_timer_->start(options_.connect_bound);
    retry_->start(Duration{0});
}

QmpConnection::~QmpConnection() {
    watch_.reset();
    if (socket_ >= 0) ::close(socket_);
}

void QmpConnection::execute(QmpCommand command, Callback callback, Duration bound) {
    const std::string name = command.name;
    const std::uint64_t id = protocol_.execute(std::move(command));
    Pending& pending = pending_[id];
    pending.name = name;
    pending.callback = std::move(callback);
    pending.bound = loop_.make_timer([this, id] {
        const auto found = pending_.find(id);
        if (found == pending_.end()) return;
        const Pending late = std::move(found->second);
        pending_.erase(found);
        late.callback(fail(ErrorCode::timeout, "QEMU did not answer '{}' in time", late.name));
    });
    pending.bound->start(bound);
    schedule_dispatch();
}

void QmpConnection::execute(std::string name, Json arguments, Callback callback, Duration bound) {
    execute(QmpCommand{.name = std::move(name), .arguments = std::move(arguments)},
            std::move(callback), bound);
}

void QmpConnection::connect() {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path_.size() >= sizeof address.sun_path) {
        return fail_with({ErrorCode::invalid_argument,
                          fmt::format("QMP socket path '{}' is longer than {} bytes", path_,
                                      sizeof address.sun_path - 1)});
    }
    std::memcpy(address.sun_path, path_.data(), path_.size());
    socket_ = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (socket_ < 0) return fail_with(fail_errno("socket for", path_, errno).value());
    if (::connect(socket_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        ::close(socket_);
        socket_ = -1;
        // QEMU has not made the socket yet, does not listen yet, or its backlog is full.
        const bool not_yet = error == ENOENT || error == ECONNREFUSED || error == EAGAIN;
        if (!not_yet) return fail_with(fail_errno("connect", path_, error).value());
        retry_->start(options_.retry_every);
        return;
    }
    if (options_.server && !is_served_by(socket_, *options_.server, path_)) {
        return fail_with({ErrorCode::denied,
                          fmt::format("the monitor '{}' is not that of its QEMU: somebody put "
                                      "another socket there",
                                      path_)});
    }
    watch_ = loop_.watch(socket_, [this](Loop::Ready ready) { on_ready(ready); });
    watch_->set_interest(true, !output_.empty());
}

void QmpConnection::on_ready(Loop::Ready ready) {
    const std::weak_ptr<bool> alive = alive_;
    if (ready.writable) write_some();
    if (ready.readable) {
        for (int turn = 0; turn < kReadsPerTurn && !alive.expired() && read_some(); ++turn) {
        }
    }
}

bool QmpConnection::read_some() {
    if (socket_ < 0) return false;
    std::array<char, kReadSize> buffer;
    const ssize_t size = ::recv(socket_, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    const std::weak_ptr<bool> alive = alive_;
    if (size <= 0) {
        fail_with({ErrorCode::connection_lost,
                   fmt::format("QEMU's monitor '{}' is gone: {}", path_,
                               size == 0 ? "end of stream" : std::strerror(errno))});
        return false;
    }
    protocol_.feed({buffer.data(), static_cast<std::size_t>(size)});
    dispatch();
    return !alive.expired() && static_cast<std::size_t>(size) == buffer.size();
}

void QmpConnection::write_some() {
    while (socket_ >= 0 && !output_.empty()) {
        Chunk& chunk = output_.front();
        const ssize_t size = send_with_descriptor(socket_, chunk.bytes, chunk.descriptor);
        if (size < 0) {
            if (errno == EAGAIN || errno == EINTR) break;
            // The reading side reports the end, after what QEMU said last.
            output_.clear();
            break;
        }
        chunk.descriptor = -1;
        chunk.bytes.erase(0, static_cast<std::size_t>(size));
        if (chunk.bytes.empty()) output_.pop_front();
    }
    if (watch_) watch_->set_interest(true, !output_.empty());
}

// execute() only notes what is to be sent, so that no callback runs inside it.
void QmpConnection::schedule_dispatch() {
    if (dispatch_scheduled_) return;
    dispatch_scheduled_ = true;
    loop_.post([this, alive = std::weak_ptr<bool>(alive_)] {
        if (alive.expired()) return;
        dispatch_scheduled_ = false;
        dispatch();
    });
}

void QmpConnection::dispatch() {
    const std::weak_ptr<bool> alive = alive_;
    for (QmpAction& action : protocol_.take_actions()) {
        handle(std::move(action));
        if (alive.expired()) return;
    }
    write_some();
}

void QmpConnection::handle(QmpAction action) {
    if (auto* send = std::get_if<QmpSend>(&action)) {
        output_.push_back({std::move(send->bytes), send->descriptor});
    } else if (const auto* ready = std::get_if<QmpReady>(&action)) {
        connect_timer_->cancel();
        const auto on_ready = handlers_.ready;
        if (on_ready) on_ready(*ready);
    } else if (auto* reply = std::get_if<QmpReply>(&action)) {
        const auto found = pending_.find(reply->id);
        if (found == pending_.end()) return;  // its time was over
        const Pending pending = std::move(found->second);
        pending_.erase(found);
        pending.callback(std::move(reply->value));
    } else if (const auto* event = std::get_if<QmpEvent>(&action)) {
        const auto on_event = handlers_.event;
        if (on_event) on_event(*event);
    } else if (const auto* closed = std::get_if<QmpClosed>(&action)) {
        watch_.reset();
        if (socket_ >= 0) ::close(socket_);
        socket_ = -1;
        connect_timer_->cancel();
        retry_->cancel();
        output_.clear();
        const auto on_closed = handlers_.closed;
        if (on_closed) on_closed(closed->reason);
    }
}

void QmpConnection::fail_with(Error reason) {
    protocol_.close(std::move(reason));
    dispatch();
}

}  // namespace segue
