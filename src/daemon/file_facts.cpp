// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/file_facts.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "net/descriptor.h"

namespace segue {

namespace {

// docs/interop/qcow2.txt: magic, version, two fields of the backing file, cluster bits, and at byte
// 24 the size, big endian.
constexpr std::array<unsigned char, 4> kQcow2Magic{'Q', 'F', 'I', 0xfb};
constexpr std::size_t kQcow2SizeAt = 24;

std::optional<std::uint64_t> qcow2_size(int file) {
    std::array<unsigned char, kQcow2SizeAt + 8> header{};
    if (::pread(file, header.data(), header.size(), 0) != static_cast<ssize_t>(header.size()) ||
        !std::equal(kQcow2Magic.begin(), kQcow2Magic.end(), header.begin())) {
        return std::nullopt;
    }
    std::uint64_t size = 0;
    for (std::size_t at = kQcow2SizeAt; at < header.size(); ++at)
        size = size << 8 | header[at];
    return size;
}

// Where it may not be opened by this user, what stat(2) has told stands.
void look_inside(const std::string& path, bool is_device, FileFacts& facts) {
    const net::Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (!file) return;
    const off_t end = ::lseek(file.get(), 0, SEEK_END);
    if (end >= 0) facts.size = static_cast<std::uint64_t>(end);
    if (is_device) facts.allocated = facts.size;
    facts.qcow2_size = qcow2_size(file.get());
}

}  // namespace

FileFacts look_at_file(const std::string& path) {
    FileFacts facts;
    struct stat file {};
    if (::stat(path.c_str(), &file) != 0) {
        facts.error = errno;
        return facts;
    }
    facts.size = static_cast<std::uint64_t>(file.st_size);
    facts.allocated = static_cast<std::uint64_t>(file.st_blocks) * 512;
    facts.holds_data = S_ISREG(file.st_mode) || S_ISBLK(file.st_mode);
    facts.is_no_storage = S_ISFIFO(file.st_mode) || S_ISSOCK(file.st_mode) || S_ISDIR(file.st_mode);
    // Opening a FIFO would wait.
    if (facts.holds_data) look_inside(path, S_ISBLK(file.st_mode), facts);
    struct statfs system {};
    // The kernel has it as an int, whose sign means nothing.
    if (::statfs(path.c_str(), &system) == 0) {
        facts.file_system = static_cast<std::uint32_t>(system.f_type);
    }
    return facts;
}

std::string reason_of(const FileFacts& facts) {
    return facts.error == ETIMEDOUT ? "its storage does not answer"
                                    : std::generic_category().message(facts.error);
}

FileAsker::FileAsker(Loop& loop, Workers& workers, Look look, Duration bound)
    : loop_(loop), workers_(workers), look_(std::move(look)), bound_(bound) {}

FileAsker::~FileAsker() = default;

void FileAsker::ask(const std::vector<std::string>& paths, OnTold on_told) {
    const auto question = std::make_shared<Question>();
    question->open.insert(paths.begin(), paths.end());
    question->on_told = std::move(on_told);
    if (question->open.empty()) {
        return loop_.post([question] { question->on_told(question->facts); });
    }
    questions_.push_back(question);
    const std::weak_ptr<Question> weak = question;
    question->bound = loop_.make_timer([this, weak] { give_up(weak.lock()); });
    question->bound->start(bound_);
    for (const std::string& path : question->open) {
        if (!asked_.insert(path).second) continue;
        const auto facts = std::make_shared<FileFacts>();
        workers_.run([look = look_, path, facts] { *facts = look(path); },
                     [this, path, facts, alive = std::weak_ptr<bool>(alive_)] {
                         if (!alive.expired()) told(path, *facts);
                     });
    }
}

void FileAsker::told(const std::string& path, const FileFacts& facts) {
    asked_.erase(path);
    const auto questions = questions_;
    for (const auto& question : questions) {
        if (question->open.erase(path) == 0) continue;
        question->facts[path] = facts;
        if (question->open.empty()) answer(question);
    }
}

void FileAsker::give_up(const std::shared_ptr<Question>& question) {
    for (const std::string& path : question->open)
        question->facts[path].error = ETIMEDOUT;
    answer(question);
}

void FileAsker::answer(const std::shared_ptr<Question>& question) {
    question->bound->cancel();
    questions_.remove(question);
    loop_.post([question] {});  // a timer that has just expired is not destroyed by its own call
    question->on_told(question->facts);
}

}  // namespace segue
