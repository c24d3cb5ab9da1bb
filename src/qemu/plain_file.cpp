// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/plain_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace segue {
namespace {

// From where the descriptor stands; short where the file is. False: it could not be read.
bool read_all(int file, std::string& text) {
    std::size_t got = 0;
    while (got < text.size()) {
        const ssize_t size = ::read(file, text.data() + got, text.size() - got);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return false;
        if (size == 0) break;
        got += static_cast<std::size_t>(size);
    }
    text.resize(got);
    return true;
}

}  // namespace

Result<int> open_plain(const std::string& path, int flags) {
    constexpr int kAlways = O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    const int file = ::open(path.c_str(), flags | kAlways, 0600);
    if (file < 0) return fail_errno("open", path, errno);
    struct stat facts {};
    if (::fstat(file, &facts) == 0 && S_ISREG(facts.st_mode) && facts.st_nlink <= 1) return file;
    ::close(file);
    return fail(ErrorCode::denied, "'{}' is not a plain file with one name: it is not opened",
                path);
}

Result<std::string> read_plain(const std::string& path, std::size_t most) {
    const int file = TRY(open_plain(path, O_RDONLY));
    std::string text(most + 1, '\0');
    const bool is_read = read_all(file, text);
    const int error = errno;
    ::close(file);
    if (!is_read) return fail_errno("read", path, error);
    if (text.size() > most) {
        return fail(ErrorCode::limit_exceeded, "'{}' has more than {} bytes", path, most);
    }
    return text;
}

std::string read_plain_tail(const std::string& path, std::size_t most) {
    const auto file = open_plain(path, O_RDONLY);
    if (!file) return {};
    const off_t size = ::lseek(*file, 0, SEEK_END);
    const off_t from = size > static_cast<off_t>(most) ? size - static_cast<off_t>(most) : 0;
    std::string text(size > 0 ? static_cast<std::size_t>(size - from) : 0, '\0');
    const bool is_read = ::lseek(*file, from, SEEK_SET) == from && read_all(*file, text);
    ::close(*file);
    return is_read ? text : std::string();
}

void bound_log(const std::string& path, std::size_t most, std::size_t kept) {
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) != 0 || facts.st_size <= static_cast<off_t>(most)) return;
    const std::string tail = read_plain_tail(path, kept);
    const auto file = open_plain(path, O_WRONLY | O_APPEND);
    if (!file) return;
    if (::ftruncate(*file, 0) == 0) (void)!::write(*file, tail.data(), tail.size());
    ::close(*file);
}

}  // namespace segue
