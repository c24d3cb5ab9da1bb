// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/file_sender.h"

#include <cerrno>
#include <filesystem>

namespace segue::viewer {

Result<std::uint32_t> FileSender::send(const std::string& path) {
    std::error_code error;
    if (!std::filesystem::is_regular_file(path, error)) {
        return fail(ErrorCode::invalid_argument, "'{}' is not a file", path);
    }
    File file{path, std::ifstream(path, std::ios::binary)};
    if (!file.stream) return fail_errno("open", path, errno);
    const std::uintmax_t size = std::filesystem::file_size(path, error);
    if (error) return fail_errno("stat", path, error.value());
    const std::string name = std::filesystem::path(path).filename().string();
    const std::uint32_t id = TRY(agent_.files().start(name, size));
    files_.emplace(id, std::move(file));
    return id;
}

void FileSender::on_wanted(std::uint32_t id, std::size_t size) {
    const auto found = files_.find(id);
    if (found == files_.end()) return agent_.files().cancel(id);
    Bytes bytes(size);
    found->second.stream.read(reinterpret_cast<char*>(bytes.data()),
                              static_cast<std::streamsize>(size));
    // A file that became shorter meanwhile is cancelled by what is given too little.
    if (found->second.stream.gcount() != static_cast<std::streamsize>(size))
        return agent_.files().cancel(id);
    agent_.files().give(id, bytes);
}

std::string FileSender::on_over(std::uint32_t id) {
    const auto found = files_.find(id);
    if (found == files_.end()) return {};
    std::string path = std::move(found->second.path);
    files_.erase(found);
    return path;
}

}  // namespace segue::viewer
