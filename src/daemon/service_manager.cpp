// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/service_manager.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>

namespace segue {
namespace {

constexpr int kFirstActivated = 3;  // SD_LISTEN_FDS_START
constexpr int kMaxActivated = 64;

}  // namespace

Result<> notify_service_manager(std::string_view state) {
    const char* path = std::getenv("NOTIFY_SOCKET");
    if (path == nullptr || *path == '\0') return {};
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    const std::size_t size = std::strlen(path);
    if (size >= sizeof address.sun_path) {
        return fail(ErrorCode::invalid_argument, "NOTIFY_SOCKET is longer than {} bytes",
                    sizeof address.sun_path - 1);
    }
    std::memcpy(address.sun_path, path, size);
    if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // the abstract name space
    const int socket = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (socket < 0) return fail_errno("make a socket for", path, errno);
    const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + size);
    const ssize_t sent = ::sendto(socket, state.data(), state.size(), MSG_NOSIGNAL,
                                  reinterpret_cast<const sockaddr*>(&address), length);
    const int error = errno;
    ::close(socket);
    if (sent < 0) return fail_errno("notify", path, error);
    return {};
}

std::vector<ActivatedSocket> take_activated_sockets() {
    std::vector<ActivatedSocket> sockets;
    const char* pid = std::getenv("LISTEN_PID");
    const char* count = std::getenv("LISTEN_FDS");
    if (pid != nullptr && count != nullptr && std::to_string(::getpid()) == pid) {
        const int number = std::min(std::atoi(count), kMaxActivated);
        const char* listed = std::getenv("LISTEN_FDNAMES");
        std::istringstream names(listed == nullptr ? "" : listed);
        for (int descriptor = kFirstActivated; descriptor < kFirstActivated + number;
             ++descriptor) {
            std::string name;
            std::getline(names, name, ':');
            if (::fcntl(descriptor, F_SETFD, FD_CLOEXEC) != 0) continue;
            sockets.push_back({net::Descriptor(descriptor), std::move(name)});
        }
    }
    ::unsetenv("LISTEN_PID");
    ::unsetenv("LISTEN_FDS");
    ::unsetenv("LISTEN_FDNAMES");
    return sockets;
}

}  // namespace segue
