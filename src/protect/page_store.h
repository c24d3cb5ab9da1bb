// SPDX-License-Identifier: LGPL-2.1-or-later
// The standby's one copy of the guest: an image file for each RAM block, the newest device state,
// and a redo log into which a checkpoint is received as it comes. All files are in shared memory.
//
//   begin -> (first pages, straight into the images) -> commit_first: epoch 1
//   space/advance -> commit: the epoch counts -> apply: the images have it, the log is free
//
// A store that is opened again after a kill at any byte holds the last committed epoch.
#pragma once

#include <chrono>
#include <memory>
#include <vector>

#include "protect/store_record.h"
#include "qemu/stream_reader.h"

namespace segue {

class PageStore {
  public:
    // `directory` exists, on a tmpfs, and is ours alone. Finishes what a killed process left.
    static Result<std::unique_ptr<PageStore>> open(const std::string& directory);
    ~PageStore();

    StoreRecord::Content content() const { return record_.get().content; }
    std::uint64_t epoch() const { return record_.get().epoch; }
    std::int64_t committed_at_ms() const { return record_.get().committed_at_ms; }
    const StreamHead& head() const { return head_; }
    // Of the last committed and applied epoch. The views live until the next begin() or apply().
    ByteView image(std::size_t block) const { return images_[block].view(); }
    ByteView device_state() const { return device_state_; }
    // A bit for each page of the image: false, and the page holds zeros. Who has it need not read
    // (and so allocate) what no guest ever wrote; of a store that was opened again all are true.
    const std::vector<bool>& written_pages(std::size_t block) const { return written_[block]; }
    // The file that a promoted QEMU may map for a block of this name.
    std::string image_path(std::string_view block) const;
    // Makes it ahead of the first state, for a QEMU that is started before.
    Result<> prepare_image(std::string_view block, std::uint64_t length);

    // Gives up what is held; a next process finds nothing.
    void forget() { record_.put({}); }
    // Whether this host has the memory that a stream claims; nothing is taken or given up. Error
    // no_memory.
    Result<> may_hold(const StreamHead& head) const;
    // Makes the images of a new session, after forget(). Errors leave nothing held.
    Result<> begin(const StreamHead& head);
    // Where the pages of the first state go: at once into the images.
    RamSink& first_pages();
    Result<> commit_first(ByteView device_state, std::int64_t now_ms);

    // The log: where the next bytes may be received (at least `wanted`, never empty), and what it
    // holds. Errors: limit_exceeded (the checkpoint is larger than the guest), no_memory.
    Result<std::span<std::uint8_t>> space(std::size_t wanted);
    void advance(std::size_t received) { filled_ += received; }
    ByteView log() const { return log_.view().first(filled_); }
    // Forgets the first bytes of the log; the rest moves to its front.
    void drop_front(std::size_t bytes);
    void clear_log();

    struct Checkpoint {
        std::size_t sections_at = 0;  // in the log, after vmstate-send
        std::size_t sections_bytes = 0;
        std::size_t state_at = 0;
        std::size_t state_bytes = 0;
        std::uint32_t current_block = 0;  // before the sections
    };
    // From the return on, the checkpoint is the store's content. No copy, no system call.
    void commit(const Checkpoint& checkpoint, std::int64_t now_ms);
    // Brings the images to the committed epoch and frees the log. Any number of times. After an
    // error (no memory) the epoch still counts and stands in the log.
    Result<> apply();

    // Removes every file: after a promotion, whose QEMU maps the images itself.
    void remove_files() { remove_files(directory_); }
    static void remove_files(const std::string& directory);

  private:
    explicit PageStore(std::string directory);
    Result<> open_images();
    Result<> open_log();
    Result<> recover();
    Result<> save_head() const;
    Result<> save_state(ByteView state, std::uint64_t epoch) const;
    std::string state_path(std::uint64_t epoch) const;

    class FirstPages;
    std::string directory_;
    RecordFile record_;
    StreamHead head_;
    std::vector<MemoryFile> images_;
    std::vector<std::vector<bool>> written_;  // of each image
    MemoryFile log_;
    std::size_t filled_ = 0;
    // The largest of the last epochs, with decay: how much of the log is kept ready.
    std::size_t usual_ = 0;
    Bytes device_state_;
    std::unique_ptr<FirstPages> first_pages_;
};

}  // namespace segue
