// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/page_store.h"

#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "base/check.h"
#include "protect/memory_room.h"
#include "protect/page_sinks.h"
#include "protect/stored_head.h"

namespace segue {
namespace {

constexpr std::size_t kReserveStep = 4U << 20;
// Room in the log for heads of records, messages and the device state of one checkpoint.
constexpr std::size_t kLogSlack = StreamLimits{}.device_state_bytes + (16U << 20);
constexpr std::size_t kLeastReady = 16U << 20;
constexpr std::size_t kMaxFileName = 200;

// Of what is stored. Anything else (memory, descriptors) is a lack of this moment.
bool is_damage(const Error& error) {
    return error.code == ErrorCode::persist_failed || error.code == ErrorCode::protocol ||
           error.code == ErrorCode::limit_exceeded;
}

bool is_plain(char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'z') ||
           (letter >= 'A' && letter <= 'Z') || letter == '.' || letter == '-';
}

}  // namespace

class PageStore::FirstPages final : public FirstPageSink {
  public:
    using FirstPageSink::FirstPageSink;
};

PageStore::PageStore(std::string directory) : directory_(std::move(directory)) {}

PageStore::~PageStore() = default;

std::string PageStore::image_path(std::string_view block) const {
    std::string name;
    for (const char letter : block) {
        if (is_plain(letter)) {
            name += letter;
        } else {
            name += fmt::format("_{:02x}", static_cast<unsigned char>(letter));
        }
    }
    return fmt::format("{}/ram-{}", directory_, name);
}

Result<std::unique_ptr<PageStore>> PageStore::open(const std::string& directory) {
    std::unique_ptr<PageStore> store(new PageStore(directory));
    store->record_ = TRY(RecordFile::open(directory + "/record"));
    if (store->content() == StoreRecord::Content::committed) {
        const auto recovered = store->recover();
        if (!recovered && is_damage(recovered.error())) {
            store->forget();
            return fail(ErrorCode::persist_failed,
                        "the committed image in '{}' is damaged and was given up: {}", directory,
                        recovered.error().message);
        }
        if (!recovered) {
            return fail(recovered.error().code,
                        "the committed image in '{}' is kept, and cannot be opened now: {}; start "
                        "again when that is mended, or remove the directory to give the image up",
                        directory, recovered.error().message);
        }
    } else {
        store->record_.put({});
    }
    return store;
}

Result<> PageStore::recover() {
    head_ = TRY(load_head(directory_ + "/head"));
    TRY(open_images());
    for (const MemoryFile& image : images_) {
        if (!image.is_fresh()) continue;
        return fail(ErrorCode::persist_failed, "'{}' was missing, or of another size",
                    image.path());
    }
    TRY(open_log());
    if (record_.get().pending) {
        filled_ = record_.get().state_at + record_.get().state_bytes;
        return apply();
    }
    device_state_ = TRY(load_bytes(state_path(epoch()), record_.get().state_bytes));
    return {};
}

std::string PageStore::state_path(std::uint64_t epoch) const {
    return fmt::format("{}/state-{}", directory_, epoch % 2);
}

Result<> PageStore::prepare_image(std::string_view block, std::uint64_t length) {
    TRY(check_room(TRY(measure_room(directory_)), length, directory_));
    TRY(MemoryFile::make(image_path(block), length, true));
    return {};
}

Result<> PageStore::open_images() {
    images_.clear();
    written_.clear();
    for (const RamBlock& block : head_.blocks) {
        const std::string path = image_path(block.name);
        if (path.size() - directory_.size() > kMaxFileName) {
            return fail(ErrorCode::limit_exceeded,
                        "RAM block '{}' has too long a name for its image's file (at most {} "
                        "bytes)",
                        block.name, kMaxFileName);
        }
        images_.push_back(TRY(MemoryFile::make(path, block.length, true)));
        written_.emplace_back(block.length / kPageSize, !images_.back().is_fresh());
    }
    return {};
}

// The log may become as large as the guest (each page once, with its record's head), never larger;
// its memory is taken as it is needed.
Result<> PageStore::open_log() {
    const std::size_t ram = head_.ram_bytes();
    log_ = TRY(MemoryFile::make(directory_ + "/log", ram + ram / 64 + kLogSlack, false));
    filled_ = 0;
    TRY(log_.reserve_to(std::min(kLeastReady, log_.view().size())));
    log_.populate(0, kLeastReady);
    return {};
}

// The log holds at least what stands in it, and its first reserve.
Result<> PageStore::may_hold(const StreamHead& head) const {
    return check_room(TRY(measure_room(directory_)), head.ram_bytes() + kLeastReady, directory_);
}

Result<> PageStore::begin(const StreamHead& head) {
    // The bytes of the stream that came with the head stay: the log is the receiver's buffer.
    const Bytes waiting(log().begin(), log().end());
    forget();
    head_ = head;
    device_state_.clear();
    TRY(save_head());
    TRY(open_images());
    TRY(open_log());
    const auto room = TRY(space(waiting.size()));
    std::copy(waiting.begin(), waiting.end(), room.begin());
    advance(waiting.size());
    first_pages_ = std::make_unique<FirstPages>(images_, written_);
    StoreRecord record;
    record.content = StoreRecord::Content::synchronising;
    record_.put(record);
    return {};
}

RamSink& PageStore::first_pages() {
    return *first_pages_;
}

Result<> PageStore::commit_first(ByteView device_state, std::int64_t now_ms) {
    device_state_.assign(device_state.begin(), device_state.end());
    TRY(save_state(device_state_, 1));
    first_pages_.reset();
    StoreRecord record;
    record.content = StoreRecord::Content::committed;
    record.epoch = 1;
    record.committed_at_ms = now_ms;
    record.state_bytes = device_state_.size();
    record_.put(record);
    return {};
}

Result<std::span<std::uint8_t>> PageStore::space(std::size_t wanted) {
    if (log_.view().empty()) {
        // Before a head is known: just enough to read it.
        log_ = TRY(MemoryFile::make(directory_ + "/log", kLeastReady, false));
        filled_ = 0;
    }
    constexpr std::size_t kUseful = 1U << 20;
    const std::size_t least = filled_ + std::max<std::size_t>(wanted, 1);
    if (least > log_.view().size()) {
        return fail(ErrorCode::limit_exceeded,
                    "the checkpoint is larger than {} MiB, the guest's memory and its device state",
                    log_.view().size() >> 20);
    }
    const std::size_t end = std::min(std::max(least, filled_ + kUseful), log_.view().size());
    if (end > log_.reserved()) {
        const std::size_t step = (end + kReserveStep - 1) / kReserveStep * kReserveStep;
        TRY(log_.reserve_to(std::min(step, log_.view().size())));
    }
    return log_.bytes().subspan(filled_, end - filled_);
}

void PageStore::drop_front(std::size_t bytes) {
    std::uint8_t* data = log_.bytes().data();
    std::memmove(data, data + bytes, filled_ - bytes);
    filled_ -= bytes;
}

void PageStore::clear_log() {
    filled_ = 0;
}

void PageStore::commit(const Checkpoint& checkpoint, std::int64_t now_ms) {
    ENSURE(content() == StoreRecord::Content::committed && !record_.get().pending);
    StoreRecord record = record_.get();
    record.pending = true;
    record.epoch += 1;
    record.committed_at_ms = now_ms;
    record.sections_at = checkpoint.sections_at;
    record.sections_bytes = checkpoint.sections_bytes;
    record.state_at = checkpoint.state_at;
    record.state_bytes = checkpoint.state_bytes;
    record.current_block = checkpoint.current_block;
    record_.put(record);
}

Result<> PageStore::apply() {
    StoreRecord record = record_.get();
    if (!record.pending) return {};
    const ByteView log = log_.view();
    if (record.state_at > log.size() || record.state_bytes > log.size() - record.state_at ||
        record.sections_at > log.size() ||
        record.sections_bytes > log.size() - record.sections_at) {
        return fail(ErrorCode::persist_failed, "the redo log is shorter than its record says");
    }
    ApplySink sink(images_, written_);
    StreamReader reader = StreamReader::at_checkpoint(head_, record.current_block);
    TRY(reader.read(log.subspan(record.sections_at, record.sections_bytes), sink));
    const ByteView state = log.subspan(record.state_at, record.state_bytes);
    device_state_.assign(state.begin(), state.end());
    TRY(save_state(device_state_, record.epoch));
    record.pending = false;
    record_.put(record);

    // Keep as much of the log ready (reserved, mapped) as epochs of late have used, and a half
    // more; give back what is far above.
    const std::size_t used = record.state_at + record.state_bytes;
    usual_ = std::max(used, usual_ - usual_ / 8);
    clear_log();
    const std::size_t ready = std::min(std::max(kLeastReady, usual_ + usual_ / 2), log.size());
    if (log_.reserved() > 4 * ready + kReserveStep) log_.release_from(2 * ready);
    if (log_.reserve_to(ready)) log_.populate(used, ready - std::min(used, ready));
    return {};
}

Result<> PageStore::save_head() const {
    return save_bytes(directory_ + "/head", encode_head(head_));
}

Result<> PageStore::save_state(ByteView state, std::uint64_t epoch) const {
    return save_bytes(state_path(epoch), state);
}

// What begins with a dot is the directory's own.
void PageStore::remove_files(const std::string& directory) {
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(directory, ignored)) {
        if (entry.path().filename().string().front() != '.') {
            std::filesystem::remove(entry.path(), ignored);
        }
    }
}

}  // namespace segue
