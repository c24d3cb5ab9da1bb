// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/agent/file_transfers.h"

namespace segue::spice::client {

namespace agent = wire::agent;
using agent::FileStatus;

namespace {

// GKeyFile's escapes, so that a name cannot add keys of its own.
std::string escaped(const std::string& name) {
    std::string result;
    for (const char character : name) {
        if (character == '\\')
            result += "\\\\";
        else if (character == '\n')
            result += "\\n";
        else if (character == '\r')
            result += "\\r";
        else if (character == '\t')
            result += "\\t";
        else
            result += character;
    }
    if (!result.empty() && result[0] == ' ') result.replace(0, 1, "\\s");
    return result;
}

}  // namespace

Result<std::uint32_t> FileTransfers::start(const std::string& name, std::uint64_t size) {
    if (files_.size() >= kMaxFiles) {
        return fail(ErrorCode::limit_exceeded,
                    "{} files are on their way to the guest; wait for one of them", kMaxFiles);
    }
    if (name.empty() || name.find('/') != std::string::npos) {
        return fail(ErrorCode::invalid_argument, "'{}' is not the name of a file", name);
    }
    const std::uint32_t id = next_id_++;
    agent::FileXferStart message;
    message.id = id;
    message.head = fmt::format("[vdagent-file-xfer]\nname={}\nsize={}\n", escaped(name), size);
    const wire::EncodedMessage encoded = wire::encode_from_client(message);
    if (encoded.broken_field != nullptr) {
        return fail(ErrorCode::limit_exceeded, "the name of a file is too long for the guest");
    }
    TRY(send_(encoded.number, encoded.body()));
    files_[id].left = size;
    return id;
}

void FileTransfers::ask(std::uint32_t id, File& file) {
    if (!file.open || file.wanted || file.all_sent) return;
    file.wanted = true;
    const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(file.left, kPiece));
    // An empty file is one piece of nothing.
    if (size == 0) return give(id, {});
    listener_.on_file_wanted(id, size);
}

void FileTransfers::give(std::uint32_t id, ByteView bytes) {
    const auto found = files_.find(id);
    if (found == files_.end() || !found->second.wanted) return;
    File& file = found->second;
    file.wanted = false;
    if (bytes.size() > file.left || (bytes.empty() && file.left > 0)) return cancel(id);
    agent::FileXferData message;
    message.id = id;
    message.size = bytes.size();
    message.data.append(wire::SharedBytes::borrow(bytes));
    file.left -= bytes.size();
    file.all_sent = file.left == 0;
    const wire::EncodedMessage encoded = wire::encode_from_client(message);
    if (!send_(encoded.number, encoded.body())) end(id, FileStatus::vdagent_not_connected);
}

void FileTransfers::pump() {
    // The answers may end a file.
    std::vector<std::uint32_t> ids;
    for (const auto& [id, file] : files_)
        ids.push_back(id);
    for (const std::uint32_t id : ids) {
        if (const auto found = files_.find(id); found != files_.end()) ask(id, found->second);
    }
}

void FileTransfers::cancel(std::uint32_t id) {
    if (!files_.contains(id)) return;
    const auto encoded =
        wire::encode_from_client(agent::FileXferStatus{id, FileStatus::cancelled, {}});
    (void)send_(encoded.number, encoded.body());
    end(id, FileStatus::cancelled);
}

void FileTransfers::on_status(const agent::FileXferStatus& status) {
    const auto found = files_.find(status.id);
    if (found == files_.end()) return;
    if (status.result != FileStatus::can_send_data) return end(status.id, status.result);
    found->second.open = true;
    ask(status.id, found->second);
}

void FileTransfers::fail_all(FileStatus why) {
    while (!files_.empty())
        end(files_.begin()->first, why);
}

void FileTransfers::end(std::uint32_t id, FileStatus result) {
    files_.erase(id);
    listener_.on_file_over(id, result);
}

}  // namespace segue::spice::client
