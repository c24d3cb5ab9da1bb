// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/listen.h"

#include <grp.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <cerrno>

#include "base/log.h"

namespace segue::net {
namespace {

// When descriptors or memory ran out, accept() would fail again at once and burn the processor.
constexpr Duration kRetryAfterShortage = 100ms;
// Others on the loop get their turn in a storm of connections.
constexpr int kAcceptsAtOnce = 64;

// A path that nobody serves any more is removed; anything else there is left alone.
Result<> remove_stale_socket(const std::string& path, const SocketAddress& address) {
    struct stat status {};
    if (::lstat(path.c_str(), &status) != 0) return {};
    if (!S_ISSOCK(status.st_mode)) {
        return fail(ErrorCode::operation_failed,
                    "cannot listen on '{}': it exists and is not a socket; remove it or choose "
                    "another path",
                    path);
    }
    Descriptor probe(TRY(make_socket(AF_UNIX)));
    if (::connect(probe.get(), address.get(), address.size) == 0 || errno != ECONNREFUSED) {
        return fail(ErrorCode::operation_failed,
                    "cannot listen on '{}': another process serves it; stop it or choose another "
                    "path",
                    path);
    }
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
        return fail_errno("cannot remove the stale socket", path, errno);
    }
    return {};
}

// Between bind and listen nobody can connect: the rights are set in that window.
Result<> set_rights(const std::string& path, const ListenOptions& options) {
    if (!options.group.empty()) {
        const group* found = ::getgrnam(options.group.c_str());
        if (found == nullptr) {
            return fail(ErrorCode::invalid_argument, "there is no group '{}' for the socket '{}'",
                        options.group, path);
        }
        if (::chown(path.c_str(), static_cast<uid_t>(-1), found->gr_gid) != 0) {
            return fail_errno("cannot give to group " + options.group, path, errno);
        }
    }
    if (::chmod(path.c_str(), options.mode) != 0) return fail_errno("chmod", path, errno);
    return {};
}

Result<Descriptor> bind_unix(const Address& address, const ListenOptions& options) {
    const SocketAddress local = TRY(SocketAddress::of_unix(address.path));
    TRY(remove_stale_socket(address.path, local));
    Descriptor made = TRY(make_socket(AF_UNIX));
    if (::bind(made.get(), local.get(), local.size) != 0) {
        return fail_errno("cannot listen on", address.path, errno);
    }
    TRY(set_rights(address.path, options));
    return made;
}

Result<Descriptor> bind_tcp(const Address& address) {
    const SocketAddress local = TRY(SocketAddress::of_numeric(address.host, address.port));
    Descriptor made = TRY(make_socket(local.family()));
    const int on = 1;
    setsockopt(made.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (local.family() == AF_INET6) {
        setsockopt(made.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    }
    if (::bind(made.get(), local.get(), local.size) != 0) {
        return fail_errno("cannot listen on", address.text(), errno);
    }
    return made;
}

bool is_shortage(int error) {
    return error == EMFILE || error == ENFILE || error == ENOBUFS || error == ENOMEM;
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::make(Loop& loop, const Address& address,
                                                 const ListenOptions& options, OnAccept on_accept) {
    const bool is_unix = address.transport == Transport::unix_socket;
    Descriptor socket = is_unix ? TRY(bind_unix(address, options)) : TRY(bind_tcp(address));
    if (::listen(socket.get(), options.backlog) != 0) {
        return fail_errno("cannot listen on", address.text(), errno);
    }
    auto listener = TRY(adopt(loop, std::move(socket), std::move(on_accept)));
    if (is_unix) listener->path_to_remove_ = address.path;
    return listener;
}

Result<std::unique_ptr<Listener>> Listener::adopt(Loop& loop, Descriptor socket,
                                                  OnAccept on_accept) {
    TRY(set_non_blocking(socket.get()));
    std::unique_ptr<Listener> listener(new Listener(loop, std::move(socket), std::move(on_accept)));
    listener->start();
    return listener;
}

Listener::Listener(Loop& loop, Descriptor socket, OnAccept on_accept)
    : loop_(loop), socket_(std::move(socket)), on_accept_(std::move(on_accept)) {}

void Listener::start() {
    local_ = SocketAddress::local_of(socket_.get());
    watch_ = loop_.watch(socket_.get(), [this](Loop::Ready) { accept_some(); });
    watch_->set_interest(true, false);
    retry_ = loop_.make_timer([this] { watch_->set_interest(accepting_, false); });
}

Listener::~Listener() {
    *alive_ = false;
    watch_.reset();
    if (!path_to_remove_.empty()) ::unlink(path_to_remove_.c_str());
}

void Listener::set_accepting(bool accepting) {
    accepting_ = accepting;
    retry_->cancel();
    watch_->set_interest(accepting, false);
}

void Listener::accept_some() {
    const auto alive = alive_;
    for (int round = 0; round < kAcceptsAtOnce && accepting_; ++round) {
        SocketAddress peer;
        peer.size = sizeof peer.storage;
        Descriptor accepted(
            ::accept4(socket_.get(), peer.get(), &peer.size, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!accepted) {
            const int error = errno;
            if (error == EINTR || error == ECONNABORTED) continue;
            if (is_shortage(error)) {
                log_warning("net", "{}: cannot accept: {}; trying again in {} ms", local_.text(),
                            fail_errno("accept", local_.text(), error).value().message,
                            to_ms(kRetryAfterShortage));
                watch_->set_interest(false, false);
                retry_->start(kRetryAfterShortage);
            }
            return;
        }
        if (peer.family() != AF_UNIX) set_tcp_options(accepted.get());
        on_accept_(std::move(accepted), peer);
        if (!*alive) return;
    }
}

}  // namespace segue::net
