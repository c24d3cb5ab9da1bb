// SPDX-License-Identifier: LGPL-2.1-or-later
// A raw image whose writes belong to epochs. While nothing is promised they go straight to the
// image. Under protection they go to a log, one file (segment) per epoch, and reach the image only
// when the epoch is committed; what is not committed can be taken back.
//
// Commit: seal() -> sync job of the segment -> (the page store's record says "committed") ->
// commit(). Opened again after a kill, segments up to the committed epoch are folded into the
// image; the rest is still what the primary was told is written, and stays readable until it is
// taken back. What a crash of the host took from a segment that was not synced is found by its
// checksums: that epoch and what came behind it never were.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace segue {

class DiskEpochs {
  public:
    // Runs anywhere, also on another thread; touches nothing of this object.
    using Job = std::function<Result<>()>;
    // Makes what was written to the image durable. A seam: disks that fail are rare.
    using Sync = std::function<Result<>(int descriptor)>;
    static Result<> sync_image(int descriptor);

    // `committed_epoch`: of the page store; kAllSealed when it holds nothing (then everything that
    // was sealed counts).
    static constexpr std::uint64_t kAllSealed = UINT64_MAX;
    static Result<std::unique_ptr<DiskEpochs>> open(const std::string& image,
                                                    const std::string& directory,
                                                    std::uint64_t committed_epoch,
                                                    Sync sync = sync_image);
    ~DiskEpochs();

    std::uint64_t bytes() const { return bytes_; }
    bool is_logging() const { return logging_; }
    // In the log and not in the image.
    std::uint64_t logged_bytes() const;

    // Ranges lie inside the image.
    Result<> read(std::uint64_t offset, std::span<std::uint8_t> into) const;
    Result<> write(std::uint64_t offset, ByteView data);
    Result<> zero(std::uint64_t offset, std::uint64_t length);
    // Makes finished writes durable where they count at once; under epochs there is nothing to do.
    Job flush_job() const;

    // Bytes that went straight to the image since the last settle_job() was made.
    std::uint64_t unsettled_bytes() const { return unsettled_; }
    // Makes what was written to the image so far durable, beside whoever writes on.
    Job settle_job();
    // Whether begin_epochs() would have to sync the image itself.
    bool must_settle() const;

    // From here on writes are logged. What is in the image is durable then: at once where the
    // settle jobs are done and nothing came behind them.
    Result<> begin_epochs();
    // Everything logged counts: into the image, and on without a log.
    Result<> end_epochs();
    // What was logged since the last seal is `epoch`; later writes belong to the next one.
    Result<> seal(std::uint64_t epoch);
    // Whether anything is sealed and not committed.
    bool needs_sync() const;
    // Makes the segments sealed so far durable.
    Job sync_job() const;
    // Folds the epochs up to this one into the image. The job makes the image durable and then
    // removes their segments. Once a job has failed, no segment is removed and none is folded:
    // opened again, an older one would go over what a newer one brought. Then this, end_epochs()
    // and discard() are what counts: the first fails, the others begin with what was kept.
    Result<Job> commit(std::uint64_t epoch);
    // The log of a disk that nobody has open: none of it counts.
    static Result<> remove_log(const std::string& directory);
    // Takes back everything behind this epoch, and goes on without a log. After an error (the image
    // has no room for what is committed) nothing is lost: again.
    Result<> discard(std::uint64_t committed_epoch);

  private:
    struct Segment;
    struct Extent {
        std::uint64_t end = 0;
        std::shared_ptr<Segment> segment;
        std::uint64_t at = 0;  // in the segment's file; kZeroes: no bytes there
    };
    static constexpr std::uint64_t kZeroes = UINT64_MAX;

    DiskEpochs() = default;
    Result<> recover(std::uint64_t committed_epoch);
    Result<> load(const std::shared_ptr<Segment>& segment);
    std::size_t count_whole(std::uint64_t committed_epoch) const;
    Result<> drop_broken(std::uint64_t committed_epoch);
    Result<> open_segment();
    Result<> append(std::uint32_t kind, std::uint64_t offset, std::uint64_t length, ByteView data);
    void map(std::uint64_t offset, const Extent& extent);
    void unmap(const Segment& segment);
    Result<> fold(const Segment& segment);
    static std::string segment_path(const std::string& directory, std::uint64_t number);
    Result<std::vector<std::shared_ptr<Segment>>> fold_until(std::uint64_t epoch);
    Job removal(std::vector<std::shared_ptr<Segment>> done) const;

    // Shared with the jobs, which run in the order in which they were made.
    struct Kept;
    struct Settling;

    std::string directory_;
    Sync sync_;
    std::shared_ptr<Kept> kept_;
    std::shared_ptr<Settling> settling_;
    std::uint64_t unsettled_ = 0;
    std::shared_ptr<int> image_;  // descriptor, closed with its last owner
    std::uint64_t bytes_ = 0;
    bool logging_ = false;
    std::uint64_t next_number_ = 1;
    std::vector<std::shared_ptr<Segment>> segments_;  // oldest first; the last one is open
    std::map<std::uint64_t, Extent> extents_;         // newest logged bytes by offset
};

}  // namespace segue
