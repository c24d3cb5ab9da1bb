// SPDX-License-Identifier: LGPL-2.1-or-later
#include "protect/disk_epochs.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <mutex>

#include "base/log.h"
#include "protect/disk_segment.h"

namespace segue {
namespace {

constexpr std::string_view kPrefix = "disk-";
constexpr std::size_t kCopyBytes = 1U << 20;

// The number in "disk-N", or 0.
std::uint64_t number_of(const std::string& name) {
    if (name.compare(0, kPrefix.size(), kPrefix) != 0) return 0;
    std::uint64_t number = 0;
    for (std::size_t at = kPrefix.size(); at < name.size(); ++at) {
        if (name[at] < '0' || name[at] > '9' || number > (1ULL << 58)) return 0;
        number = number * 10 + static_cast<std::uint64_t>(name[at] - '0');
    }
    return number;
}

// Of the segments in the log, oldest first.
std::vector<std::uint64_t> numbers_in(const std::string& directory) {
    std::vector<std::uint64_t> numbers;
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
        const std::uint64_t number = number_of(entry.path().filename().string());
        if (number != 0) numbers.push_back(number);
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

Result<> sync_descriptor(int descriptor, const std::string& what) {
    if (::fdatasync(descriptor) != 0) return fail_errno("sync", what, errno);
    return {};
}

// A file that is gone already is removed.
Result<> remove_file(const std::string& path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail_errno("remove", path, errno);
}

Result<> sync_directory(const std::string& path) {
    const int directory = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return fail_errno("open", path, errno);
    const int failed = ::fsync(directory) != 0 ? errno : 0;
    ::close(directory);
    if (failed != 0) return fail_errno("sync", path, failed);
    return {};
}

}  // namespace

struct DiskEpochs::Segment {
    std::shared_ptr<DiskSegmentFile> file;
    std::uint64_t number = 0;
    std::uint64_t epoch = 0;  // 0: not sealed
};

// Segments that are in the image, but not known to be so durably: oldest first.
struct DiskEpochs::Kept {
    std::mutex job;  // held by a removal while it runs
    std::mutex list;
    std::vector<std::shared_ptr<Segment>> segments;
    std::atomic<bool> failed = false;

    void add(const std::vector<std::shared_ptr<Segment>>& more) {
        const std::lock_guard lock(list);
        segments.insert(segments.end(), more.begin(), more.end());
    }
    void forget(const std::vector<std::shared_ptr<Segment>>& removed) {
        const std::lock_guard lock(list);
        std::erase_if(segments, [&](const auto& segment) {
            return std::find(removed.begin(), removed.end(), segment) != removed.end();
        });
    }
    std::vector<std::shared_ptr<Segment>> all() {
        const std::lock_guard lock(list);
        return segments;
    }

    Result<> error() const {
        return fail(ErrorCode::persist_failed,
                    "the disk image could not be made durable before: its log is kept, and "
                    "nothing is committed over it");
    }
};

// What the image has and the disk below it may not.
struct DiskEpochs::Settling {
    std::atomic<int> running = 0;
    // Whoever had the image before us may not have synced it.
    std::atomic<bool> unsure = true;
};

DiskEpochs::~DiskEpochs() = default;

Result<> DiskEpochs::sync_image(int descriptor) {
    return sync_descriptor(descriptor, "the disk image");
}

Result<std::unique_ptr<DiskEpochs>> DiskEpochs::open(const std::string& image,
                                                     const std::string& directory,
                                                     std::uint64_t committed_epoch, Sync sync) {
    std::unique_ptr<DiskEpochs> disk(new DiskEpochs);
    disk->sync_ = std::move(sync);
    disk->kept_ = std::make_shared<Kept>();
    disk->settling_ = std::make_shared<Settling>();
    disk->directory_ = directory;
    const int number = ::open(image.c_str(), O_RDWR | O_CLOEXEC);
    if (number < 0) return fail_errno("open", image, errno);
    disk->image_ = shared_descriptor(number);
    const off_t end = ::lseek(number, 0, SEEK_END);
    if (end < 0) return fail_errno("measure", image, errno);
    disk->bytes_ = static_cast<std::uint64_t>(end);
    TRY(disk->recover(committed_epoch));
    return disk;
}

std::string DiskEpochs::segment_path(const std::string& directory, std::uint64_t number) {
    return fmt::format("{}/{}{}", directory, kPrefix, number);
}

Result<> DiskEpochs::recover(std::uint64_t committed_epoch) {
    for (const std::uint64_t number : numbers_in(directory_)) {
        auto segment = std::make_shared<Segment>();
        segment->number = number;
        TRY(load(segment));
        segments_.push_back(std::move(segment));
        next_number_ = number + 1;
    }
    if (segments_.empty()) return {};
    TRY(drop_broken(committed_epoch));
    logging_ = true;
    const Job finish = TRY(commit(committed_epoch));
    TRY(finish());
    TRY(open_segment());
    return sync_directory(directory_);
}

Result<> DiskEpochs::load(const std::shared_ptr<Segment>& segment) {
    segment->file = TRY(DiskSegmentFile::open(segment_path(directory_, segment->number)));
    return segment->file->replay([&](const DiskRecord& record) -> Result<> {
        if (record.kind == DiskRecord::kSeal) {
            segment->epoch = record.offset;
            return {};
        }
        if (record.offset > bytes_ || record.length > bytes_ - record.offset) {
            return fail(ErrorCode::persist_failed,
                        "'{}' is the log of another, larger disk: remove it",
                        segment->file->path());
        }
        map(record.offset, {record.offset + record.length, segment,
                            record.kind == DiskRecord::kZero ? kZeroes : record.data_at});
        return {};
    });
}

// How many of the segments can be trusted. One whose data is not what was written, or that is
// missing, takes along what came behind it. So does one whose seal is missing: behind it something
// can have been sealed, or without a memory image written, only where a crash took that seal.
std::size_t DiskEpochs::count_whole(std::uint64_t committed_epoch) const {
    bool is_open = false;
    for (std::size_t at = 0; at < segments_.size(); ++at) {
        const Segment& segment = *segments_[at];
        const bool is_next = at == 0 || segment.number == segments_[at - 1]->number + 1;
        const bool is_behind =
            segment.epoch != 0 || (committed_epoch == kAllSealed && segment.file->size() > 0);
        if (!is_next || (is_open && is_behind) || segment.file->is_broken()) return at;
        is_open = is_open || segment.epoch == 0;
    }
    return segments_.size();
}

// What is committed was synced before: there a disk has lost what it has promised. Anything else
// was on its way when the host crashed.
Result<> DiskEpochs::drop_broken(std::uint64_t committed_epoch) {
    const std::size_t whole = count_whole(committed_epoch);
    if (whole == segments_.size()) return {};
    for (std::size_t at = whole; at < segments_.size(); ++at) {
        const Segment& segment = *segments_[at];
        const bool counts = committed_epoch != kAllSealed && segment.epoch != 0;
        if (!counts || segment.epoch > committed_epoch) continue;
        return fail(ErrorCode::persist_failed,
                    "'{}' has lost data of epoch {}, which was synced: its disk cannot be trusted; "
                    "remove the log, and copy the disk anew",
                    segments_[whole]->file->path(), segment.epoch);
    }
    log_warning("standby",
                "'{}' was not on the disk when this host crashed: its writes, and what came behind "
                "them, are taken back",
                segments_[whole]->file->path());
    // The last one first: what is left by a crash in between is still without a hole.
    for (; segments_.size() > whole; segments_.pop_back()) {
        TRY(remove_file(segments_.back()->file->path()));
        TRY(sync_directory(directory_));
    }
    // What they had put over the others.
    extents_.clear();
    for (const auto& segment : segments_)
        TRY(load(segment));
    next_number_ = segments_.empty() ? 1 : segments_.back()->number + 1;
    return {};
}

Result<> DiskEpochs::open_segment() {
    auto segment = std::make_shared<Segment>();
    segment->number = next_number_++;
    segment->file = TRY(DiskSegmentFile::open(segment_path(directory_, segment->number)));
    segments_.push_back(std::move(segment));
    return {};
}

std::uint64_t DiskEpochs::logged_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& segment : segments_)
        bytes += segment->file->size();
    return bytes;
}

Result<> DiskEpochs::read(std::uint64_t offset, std::span<std::uint8_t> into) const {
    const std::uint64_t end = offset + into.size();
    auto next = extents_.upper_bound(offset);
    if (next != extents_.begin() && std::prev(next)->second.end > offset) --next;
    while (offset < end) {
        if (next == extents_.end() || next->first >= end) {
            return read_at(*image_, offset, into.last(end - offset));
        }
        const auto& [begin, extent] = *next;
        if (begin > offset) {
            TRY(read_at(*image_, offset,
                        into.subspan(into.size() - (end - offset), begin - offset)));
            offset = begin;
        }
        const std::uint64_t until = std::min(end, extent.end);
        const auto part = into.subspan(into.size() - (end - offset), until - offset);
        if (extent.at == kZeroes) {
            std::fill(part.begin(), part.end(), std::uint8_t{0});
        } else {
            TRY(read_at(*extent.segment->file->descriptor(), extent.at + (offset - begin), part));
        }
        offset = until;
        ++next;
    }
    return {};
}

Result<> DiskEpochs::write(std::uint64_t offset, ByteView data) {
    if (!logging_) {
        unsettled_ += data.size();
        return write_at(*image_, offset, data);
    }
    return append(DiskRecord::kWrite, offset, data.size(), data);
}

Result<> DiskEpochs::zero(std::uint64_t offset, std::uint64_t length) {
    if (!logging_) {
        unsettled_ += length;
        return zero_at(*image_, offset, length);
    }
    return append(DiskRecord::kZero, offset, length, {});
}

Result<> DiskEpochs::append(std::uint32_t kind, std::uint64_t offset, std::uint64_t length,
                            ByteView data) {
    const auto& segment = segments_.back();
    const std::uint64_t at = TRY(segment->file->append({kind, offset, length, 0}, data));
    map(offset, {offset + length, segment, kind == DiskRecord::kZero ? kZeroes : at});
    return {};
}

// Puts the extent over what was known of its range; parts of older ones beside it stay.
void DiskEpochs::map(std::uint64_t offset, const Extent& extent) {
    auto next = extents_.lower_bound(offset);
    if (next != extents_.begin() && std::prev(next)->second.end > offset) --next;
    while (next != extents_.end() && next->first < extent.end) {
        const std::uint64_t begin = next->first;
        const Extent old = next->second;
        next = extents_.erase(next);
        if (begin < offset) extents_[begin] = {offset, old.segment, old.at};
        if (old.end > extent.end) {
            const std::uint64_t skipped = extent.end - begin;
            extents_[extent.end] = {old.end, old.segment,
                                    old.at == kZeroes ? kZeroes : old.at + skipped};
            break;
        }
    }
    extents_[offset] = extent;
}

void DiskEpochs::unmap(const Segment& segment) {
    for (auto next = extents_.begin(); next != extents_.end();)
        next = next->second.segment.get() == &segment ? extents_.erase(next) : std::next(next);
}

DiskEpochs::Job DiskEpochs::flush_job() const {
    if (logging_) return [] { return Result<>(); };
    return [image = image_, sync = sync_] { return sync(*image); };
}

// Doubt is taken away before the sync, so that a failure of another one meanwhile stays.
DiskEpochs::Job DiskEpochs::settle_job() {
    unsettled_ = 0;
    settling_->running += 1;
    return [image = image_, sync = sync_, settling = settling_]() -> Result<> {
        settling->unsure = false;
        const Result<> synced = sync(*image);
        if (!synced) settling->unsure = true;
        settling->running -= 1;
        return synced;
    };
}

bool DiskEpochs::must_settle() const {
    return !logging_ && (unsettled_ > 0 || settling_->running > 0 || settling_->unsure);
}

Result<> DiskEpochs::begin_epochs() {
    if (logging_) return {};
    if (must_settle()) {
        TRY(sync_(*image_));
        settling_->unsure = false;
        unsettled_ = 0;
    }
    TRY(open_segment());
    logging_ = true;
    return sync_directory(directory_);
}

Result<> DiskEpochs::end_epochs() {
    if (!logging_) return {};
    // Unsealed writes count too: the primary goes on, and nothing is promised to anybody.
    for (const auto& segment : segments_)
        if (segment->epoch == 0) segment->epoch = kAllSealed;
    return discard(kAllSealed);
}

Result<> DiskEpochs::seal(std::uint64_t epoch) {
    const bool written = std::any_of(segments_.begin(), segments_.end(), [](const auto& segment) {
        return segment->epoch == 0 && segment->file->size() > 0;
    });
    if (!written) return {};
    // More than one is open after a restart.
    for (const auto& segment : segments_) {
        if (segment->epoch != 0) continue;
        TRY(segment->file->append({DiskRecord::kSeal, epoch, 0, 0}, {}));
        segment->epoch = epoch;
    }
    return open_segment();
}

DiskEpochs::Job DiskEpochs::sync_job() const {
    std::vector<std::shared_ptr<DiskSegmentFile>> files;
    for (const auto& segment : segments_)
        if (segment->epoch != 0) files.push_back(segment->file);
    return [files]() -> Result<> {
        for (const auto& file : files)
            TRY(sync_descriptor(*file->descriptor(), file->path()));
        return {};
    };
}

bool DiskEpochs::needs_sync() const {
    return std::any_of(segments_.begin(), segments_.end(),
                       [](const auto& segment) { return segment->epoch != 0; });
}

Result<> DiskEpochs::fold(const Segment& segment) {
    const auto reader = TRY(DiskSegmentFile::open(segment.file->path()));
    Bytes buffer(kCopyBytes);
    TRY(reader->replay([&](const DiskRecord& record) -> Result<> {
        if (record.kind == DiskRecord::kSeal) return {};
        if (record.kind == DiskRecord::kZero) return zero_at(*image_, record.offset, record.length);
        for (std::uint64_t done = 0; done < record.length;) {
            const std::size_t now = std::min<std::uint64_t>(kCopyBytes, record.length - done);
            const std::span<std::uint8_t> part(buffer.data(), now);
            TRY(read_at(*reader->descriptor(), record.data_at + done, part));
            TRY(write_at(*image_, record.offset + done, part));
            done += now;
        }
        return {};
    }));
    if (!reader->is_broken()) return {};
    return fail(ErrorCode::persist_failed, "'{}' does not hold what was written to it",
                segment.file->path());
}

// After an error every segment is still there: folding them again, in their order, is the same.
Result<std::vector<std::shared_ptr<DiskEpochs::Segment>>> DiskEpochs::fold_until(
    std::uint64_t epoch) {
    const auto behind = std::find_if(
        segments_.begin(), segments_.end(),
        [epoch](const auto& segment) { return segment->epoch == 0 || segment->epoch > epoch; });
    for (auto segment = segments_.begin(); segment != behind; ++segment)
        TRY(fold(**segment));
    std::vector<std::shared_ptr<Segment>> done(segments_.begin(), behind);
    for (const auto& segment : done)
        unmap(*segment);
    segments_.erase(segments_.begin(), behind);
    return done;
}

Result<DiskEpochs::Job> DiskEpochs::commit(std::uint64_t epoch) {
    // One that fails from here on makes the job fail that is made here.
    if (kept_->failed) return tl::make_unexpected(kept_->error().error());
    return removal(TRY(fold_until(epoch)));
}

DiskEpochs::Job DiskEpochs::removal(std::vector<std::shared_ptr<Segment>> done) const {
    if (done.empty()) return [] { return Result<>(); };
    kept_->add(done);
    return
        [image = image_, sync = sync_, done, kept = kept_, directory = directory_]() -> Result<> {
            const std::lock_guard lock(kept->job);
            Result<> outcome = kept->failed ? kept->error() : sync(*image);
            for (const auto& segment : done)
                if (outcome) outcome = remove_file(segment->file->path());
            kept->failed = !outcome;
            TRY(std::move(outcome));
            kept->forget(done);
            // The file of the epoch that is being written was made meanwhile: before it is sealed,
            // its name must be durable too.
            return sync_directory(directory);
        };
}

Result<> DiskEpochs::discard(std::uint64_t committed_epoch) {
    // A job that runs comes to its end first.
    const std::lock_guard lock(kept_->job);
    if (kept_->failed) {
        for (const auto& segment : kept_->all())
            TRY(fold(*segment));
    }
    // A fold that failed before (no room) left its epoch in the log alone.
    TRY(fold_until(committed_epoch));
    TRY(sync_(*image_));
    TRY(remove_log(directory_));
    TRY(sync_directory(directory_));
    kept_->forget(kept_->all());
    kept_->failed = false;
    extents_.clear();
    segments_.clear();
    logging_ = false;
    // All of it is durable.
    unsettled_ = 0;
    settling_->unsure = false;
    return {};
}

// Every segment, oldest first: also those whose own removal has not had its turn. The image alone
// counts, and soon somebody writes to it.
Result<> DiskEpochs::remove_log(const std::string& directory) {
    for (const std::uint64_t number : numbers_in(directory))
        TRY(remove_file(segment_path(directory, number)));
    return {};
}

}  // namespace segue
