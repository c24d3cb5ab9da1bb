// SPDX-License-Identifier: LGPL-2.1-or-later
// The epochs of a disk: commit, kill, a crash of the host, and a plain model beside them.
#include <gmock/gmock.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/random.h"
#include "protect/disk_epochs.h"
#include "protect/disk_segment.h"

namespace {
std::vector<std::string> removed;
}  // namespace

// The C library's, for this program: noted.
extern "C" int unlink(const char* path) noexcept {
    removed.emplace_back(path);
    return static_cast<int>(::syscall(SYS_unlink, path));
}

namespace segue {
namespace {

using ::testing::HasSubstr;

class Folder {
  public:
    explicit Folder(std::size_t image_bytes) {
        // Syncing is what these tests do most; on a tmpfs it costs nothing.
        char name[] = "/dev/shm/segue-disk-XXXXXX";
        path = ::mkdtemp(name);
        std::filesystem::create_directory(path + "/log");
        std::ofstream(image()) << std::string(image_bytes, 'i');
    }
    ~Folder() { std::filesystem::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::string image() const { return path + "/image"; }
    std::unique_ptr<DiskEpochs> open(std::uint64_t committed = DiskEpochs::kAllSealed) const {
        return DiskEpochs::open(image(), path + "/log", committed).value();
    }
    std::string content() const {
        std::ifstream file(image());
        return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    }
    std::size_t segments() const {
        return static_cast<std::size_t>(
            std::distance(std::filesystem::directory_iterator(path + "/log"), {}));
    }
    std::string path;
};

std::string read_all(const DiskEpochs& disk) {
    Bytes bytes(disk.bytes());
    EXPECT_TRUE(disk.read(0, bytes).has_value());
    return std::string(as_text(bytes));
}
void write(DiskEpochs& disk, std::uint64_t at, std::string_view text) {
    EXPECT_TRUE(disk.write(at, as_bytes(text)).has_value());
}

// Two sealed epochs and an open one.
void log_three(const Folder& folder) {
    const auto disk = folder.open();
    ASSERT_TRUE(disk->begin_epochs().has_value());
    write(*disk, 0, "aa");
    ASSERT_TRUE(disk->seal(2).has_value());
    write(*disk, 2, "bb");
    ASSERT_TRUE(disk->seal(3).has_value());
    write(*disk, 4, "cc");
}

TEST(DiskEpochs, CommitsAnEpochWholeAndTakesTheOpenOneBack) {
    Folder folder(16);
    const auto disk = folder.open();
    write(*disk, 0, "free");
    EXPECT_EQ(folder.content(), "freeiiiiiiiiiiii");
    ASSERT_TRUE(disk->begin_epochs().has_value());
    write(*disk, 4, "one");
    ASSERT_TRUE(disk->seal(2).has_value());
    write(*disk, 6, "TWO");
    EXPECT_EQ(folder.content(), "freeiiiiiiiiiiii");
    EXPECT_EQ(read_all(*disk), "freeonTWOiiiiiii");
    ASSERT_TRUE(disk->sync_job()().has_value());
    const auto cleanup = disk->commit(2);
    ASSERT_TRUE(cleanup.has_value() && (*cleanup)().has_value());
    EXPECT_EQ(folder.content(), "freeoneiiiiiiiii");
    EXPECT_EQ(read_all(*disk), "freeonTWOiiiiiii");
    EXPECT_EQ(folder.segments(), 1U);
    ASSERT_TRUE(disk->discard(2).has_value());
    EXPECT_EQ(read_all(*disk), "freeoneiiiiiiiii");
    EXPECT_EQ(folder.segments(), 0U);
    write(*disk, 15, "!");
    EXPECT_EQ(folder.content(), "freeoneiiiiiiii!");
}

// A disk that nobody has written much to takes little room, before and under protection.
TEST(DiskEpochs, WhatIsZeroedTakesNoRoom) {
    constexpr std::uint64_t kBytes = 4U << 20;
    Folder folder(kBytes);
    const auto room = [&folder] {
        struct stat status {};
        EXPECT_EQ(::stat(folder.image().c_str(), &status), 0);
        return static_cast<std::uint64_t>(status.st_blocks) * 512;
    };
    ASSERT_GE(room(), kBytes);
    const auto disk = folder.open();
    ASSERT_TRUE(disk->zero(0, kBytes / 2).has_value());
    EXPECT_LE(room(), kBytes / 2);
    ASSERT_TRUE(disk->begin_epochs().has_value());
    ASSERT_TRUE(disk->zero(kBytes / 2, kBytes / 2).has_value());
    ASSERT_TRUE(disk->seal(2).has_value());
    ASSERT_TRUE(disk->sync_job()().has_value());
    ASSERT_TRUE(disk->commit(2).has_value());
    EXPECT_EQ(room(), 0U);
    EXPECT_EQ(folder.content(), std::string(kBytes, '\0'));
}

TEST(DiskEpochs, AfterAKillTheCommittedEpochCountsAndTheOpenOneIsStillRead) {
    Folder folder(8);
    log_three(folder);
    {
        const auto disk = folder.open(2);
        EXPECT_EQ(folder.content(), "aaiiiiii");
        EXPECT_EQ(read_all(*disk), "aabbccii");
        EXPECT_TRUE(disk->is_logging());
    }
    {
        const auto disk = folder.open(2);
        ASSERT_TRUE(disk->discard(2).has_value());
        EXPECT_EQ(read_all(*disk), "aaiiiiii");
    }
}

// While it lives no file of this process can be written behind its first bytes: a full disk.
class FullDisk {
  public:
    explicit FullDisk(std::uint64_t bytes) {
        ::signal(SIGXFSZ, SIG_IGN);
        ::getrlimit(RLIMIT_FSIZE, &before_);
        const rlimit now{bytes, before_.rlim_max};
        ::setrlimit(RLIMIT_FSIZE, &now);
    }
    ~FullDisk() { ::setrlimit(RLIMIT_FSIZE, &before_); }
    FullDisk(const FullDisk&) = delete;
    FullDisk& operator=(const FullDisk&) = delete;

  private:
    rlimit before_{};
};

// Memory at epoch 3 with the disk of epoch 1 is no machine: a promotion folds what is committed, or
// fails and can be done again.
TEST(DiskEpochs, ACommitThatFailedIsMadeUpBeforeTheRestIsTakenBack) {
    constexpr std::size_t kFar = 1U << 20;
    Folder folder(kFar + 8);
    const auto disk = folder.open();
    ASSERT_TRUE(disk->begin_epochs().has_value());
    write(*disk, 0, "near");
    ASSERT_TRUE(disk->seal(2).has_value());
    write(*disk, 0, "NEXT");
    write(*disk, kFar, "far");
    ASSERT_TRUE(disk->seal(3).has_value());
    write(*disk, 0, "lost");
    {
        const FullDisk full(kFar / 2);
        EXPECT_FALSE(disk->commit(3).has_value());
        EXPECT_FALSE(disk->discard(3).has_value());
        EXPECT_EQ(read_all(*disk).substr(kFar), "fariiiii");
    }
    ASSERT_TRUE(disk->discard(3).has_value());
    // Nothing is left that a next process would write over it.
    EXPECT_EQ(folder.segments(), 0U);
    EXPECT_EQ(folder.content().substr(0, 4), "NEXT");
    EXPECT_EQ(folder.content().substr(kFar), "fariiiii");
}

// The image's disk fails once, and the kernel tells it once.
TEST(DiskEpochs, AnEpochWhoseCleanUpFailedNeverGoesOverALaterOne) {
    Folder folder(8);
    bool is_broken = false;
    const auto open = [&](std::uint64_t committed) {
        return DiskEpochs::open(folder.image(), folder.path + "/log", committed,
                                [&](int descriptor) -> Result<> {
                                    if (is_broken) return fail(ErrorCode::persist_failed, "broken");
                                    return DiskEpochs::sync_image(descriptor);
                                })
            .value();
    };
    auto disk = open(DiskEpochs::kAllSealed);
    ASSERT_TRUE(disk->begin_epochs().has_value());
    write(*disk, 0, "older");
    ASSERT_TRUE(disk->seal(2).has_value());
    const auto first = disk->commit(2).value();
    write(*disk, 0, "new");
    ASSERT_TRUE(disk->seal(3).has_value());
    // Made before anybody knows that the first one fails.
    const auto second = disk->commit(3).value();
    is_broken = true;
    EXPECT_FALSE(first().has_value());
    is_broken = false;
    EXPECT_FALSE(second().has_value());
    write(*disk, 7, "!");
    ASSERT_TRUE(disk->seal(4).has_value());
    const auto third = disk->commit(4);
    ASSERT_FALSE(third.has_value());
    EXPECT_THAT(third.error().message, HasSubstr("its log is kept"));
    // A kill now: all of it is there, and in its order.
    std::ofstream(folder.image()) << std::string(8, '.');
    disk = open(4);
    EXPECT_EQ(read_all(*disk), "newer..!");
    // Without one a promotion begins with what was kept, and leaves nothing of it.
    ASSERT_TRUE(disk->discard(4).has_value());
    EXPECT_EQ(folder.segments(), 0U);
}

TEST(DiskEpochs, APromotionBeginsWithWhatAFailedCleanUpKept) {
    Folder folder(8);
    bool is_broken = false;
    const auto disk = DiskEpochs::open(folder.image(), folder.path + "/log", DiskEpochs::kAllSealed,
                                       [&](int) -> Result<> {
                                           if (!is_broken) return {};
                                           return fail(ErrorCode::persist_failed, "broken");
                                       })
                          .value();
    ASSERT_TRUE(disk->begin_epochs().has_value());
    write(*disk, 0, "older");
    ASSERT_TRUE(disk->seal(2).has_value());
    const auto first = disk->commit(2).value();
    write(*disk, 0, "new");
    ASSERT_TRUE(disk->seal(3).has_value());
    const auto second = disk->commit(3).value();
    write(*disk, 5, "???");
    is_broken = true;
    EXPECT_FALSE(first().has_value());
    EXPECT_FALSE(disk->discard(3).has_value());
    is_broken = false;
    // What the disk forgot.
    std::ofstream(folder.image()) << std::string(8, 'i');
    ASSERT_TRUE(disk->discard(3).has_value());
    EXPECT_EQ(folder.content(), "neweriii");
    EXPECT_EQ(folder.segments(), 0U);
    // Its turn comes late.
    EXPECT_TRUE(second().has_value());
    write(*disk, 0, "O");
    EXPECT_EQ(folder.content(), "Oeweriii");
}

// A copied image is large, and whoever begins epochs must not wait for its disk then.
TEST(DiskEpochs, ASettledImageIsNotSyncedAgain) {
    Folder folder(16);
    int syncs = 0;
    bool fails = false;
    const auto disk = DiskEpochs::open(folder.image(), folder.path + "/log", DiskEpochs::kAllSealed,
                                       [&](int) -> Result<> {
                                           ++syncs;
                                           if (fails) return fail(ErrorCode::system, "EIO");
                                           return {};
                                       })
                          .value();
    // Nobody knows what whoever had it before has left.
    EXPECT_TRUE(disk->must_settle());
    write(*disk, 0, "copied");
    EXPECT_EQ(disk->unsettled_bytes(), 6U);
    const DiskEpochs::Job first = disk->settle_job();
    EXPECT_EQ(disk->unsettled_bytes(), 0U);
    EXPECT_TRUE(disk->must_settle());
    ASSERT_TRUE(first());
    EXPECT_FALSE(disk->must_settle());

    // Behind a step that failed everything is in doubt again.
    fails = true;
    EXPECT_FALSE(disk->settle_job()());
    EXPECT_TRUE(disk->must_settle());
    fails = false;
    ASSERT_TRUE(disk->settle_job()());
    write(*disk, 0, "COP");
    EXPECT_TRUE(disk->must_settle());
    ASSERT_TRUE(disk->settle_job()());
    EXPECT_EQ(syncs, 4);

    ASSERT_TRUE(disk->begin_epochs());
    EXPECT_EQ(syncs, 4);
    EXPECT_FALSE(disk->must_settle());
    write(*disk, 0, "epoch");
    EXPECT_EQ(disk->unsettled_bytes(), 0U);
}

TEST(DiskEpochs, WhatNobodySettledIsSyncedBeforeEpochsBegin) {
    Folder folder(16);
    int syncs = 0;
    const auto disk = DiskEpochs::open(folder.image(), folder.path + "/log", DiskEpochs::kAllSealed,
                                       [&](int) -> Result<> {
                                           ++syncs;
                                           return {};
                                       })
                          .value();
    // On its way is not there.
    const DiskEpochs::Job late = disk->settle_job();
    ASSERT_TRUE(disk->begin_epochs());
    EXPECT_EQ(syncs, 1);
    ASSERT_TRUE(late());
}

TEST(DiskEpochs, WithoutAMemoryImageEverythingSealedCounts) {
    Folder folder(8);
    {
        const auto disk = folder.open();
        ASSERT_TRUE(disk->begin_epochs().has_value());
        write(*disk, 0, "aa");
        ASSERT_TRUE(disk->seal(2).has_value());
        write(*disk, 2, "bb");
    }
    const auto disk = folder.open(DiskEpochs::kAllSealed);
    EXPECT_EQ(folder.content(), "aaiiiiii");
    ASSERT_TRUE(disk->end_epochs().has_value());
    EXPECT_EQ(folder.content(), "aabbiiii");
    EXPECT_FALSE(disk->is_logging());
}

TEST(DiskEpochs, ATornRecordAtTheEndIsCutOff) {
    Folder folder(8);
    {
        const auto disk = folder.open();
        ASSERT_TRUE(disk->begin_epochs().has_value());
        write(*disk, 0, "aa");
        write(*disk, 2, "bbbb");
    }
    const std::string segment = folder.path + "/log/disk-1";
    const auto whole = std::filesystem::file_size(segment);
    for (std::uintmax_t size = whole; size-- > whole - 43;) {
        std::filesystem::resize_file(segment, size);
        EXPECT_EQ(read_all(*folder.open(1)), "aaiiiiii") << size;
        std::filesystem::remove(folder.path + "/log/disk-2");
    }
}

TEST(DiskSegment, ChecksumsAreCrc32c) {
    EXPECT_EQ(crc32c(as_bytes("123456789")), 0xe3069283U);
    EXPECT_EQ(crc32c({}), 0U);
    // In parts of every size.
    const std::string text = "a text of some thirty-three bytes";
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
        const std::uint32_t first = crc32c(as_bytes(text.substr(0, cut)));
        EXPECT_EQ(crc32c(as_bytes(text.substr(cut)), first), crc32c(as_bytes(text)));
    }
}

// One byte of the data of a segment's first record is not what was written.
void lose_data(const Folder& folder, int segment) {
    std::fstream file(folder.path + "/log/disk-" + std::to_string(segment),
                      std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(40);
    file.put('\0');
    ASSERT_TRUE(file.good());
}

TEST(DiskEpochs, WhatAHostCrashTookFromAnEpochTakesItBackWithWhatCameBehind) {
    for (const std::uint64_t committed : {std::uint64_t{2}, DiskEpochs::kAllSealed}) {
        Folder folder(8);
        log_three(folder);
        lose_data(folder, 2);
        const auto disk = folder.open(committed);
        EXPECT_EQ(folder.content(), "aaiiiiii");
        EXPECT_EQ(read_all(*disk), "aaiiiiii");
        ASSERT_TRUE(disk->end_epochs().has_value());
        EXPECT_EQ(folder.content(), "aaiiiiii");
        EXPECT_EQ(folder.segments(), 0U);
    }
}

// A file of which nothing was written down yet is as long as nothing.
void empty_segment(const Folder& folder, int segment) {
    std::filesystem::resize_file(folder.path + "/log/disk-" + std::to_string(segment), 0);
}

TEST(DiskEpochs, WhatCameBehindALostEndOfAnEpochNeverWas) {
    for (const std::uint64_t committed : {std::uint64_t{2}, DiskEpochs::kAllSealed}) {
        for (const bool is_gone : {false, true}) {
            Folder folder(8);
            {
                const auto disk = folder.open();
                ASSERT_TRUE(disk->begin_epochs().has_value());
                write(*disk, 0, "aa");
                ASSERT_TRUE(disk->seal(2).has_value());
                write(*disk, 2, "bb");
                ASSERT_TRUE(disk->seal(3).has_value());
                write(*disk, 4, "cc");
                ASSERT_TRUE(disk->seal(4).has_value());
            }
            empty_segment(folder, 2);
            if (is_gone) std::filesystem::remove(folder.path + "/log/disk-2");
            const auto disk = folder.open(committed);
            EXPECT_EQ(read_all(*disk), "aaiiiiii");
            ASSERT_TRUE(disk->end_epochs().has_value());
            EXPECT_EQ(folder.content(), "aaiiiiii");
        }
    }
}

// Where only a process was killed, and its image is there, nothing is lost.
TEST(DiskEpochs, WhatIsOpenBehindSomethingOpenCountsWhereThereIsAnImage) {
    Folder folder(8);
    log_three(folder);
    empty_segment(folder, 2);
    EXPECT_EQ(read_all(*folder.open(2)), "aaiiccii");
    const auto disk = folder.open();
    ASSERT_TRUE(disk->end_epochs().has_value());
    EXPECT_EQ(folder.content(), "aaiiiiii");
}

TEST(DiskEpochs, WhatIsTakenBackUncoversWhatItLayOver) {
    Folder folder(8);
    {
        const auto disk = folder.open();
        ASSERT_TRUE(disk->begin_epochs().has_value());
        write(*disk, 0, "aaaa");
        ASSERT_TRUE(disk->seal(2).has_value());
        write(*disk, 2, "bbbb");
        ASSERT_TRUE(disk->seal(3).has_value());
        write(*disk, 0, "c");
    }
    lose_data(folder, 2);
    const auto disk = folder.open(1);
    EXPECT_EQ(folder.content(), "iiiiiiii");
    EXPECT_EQ(read_all(*disk), "aaaaiiii");
}

// A kill while it is taken back leaves no hole: the last one goes first.
TEST(DiskEpochs, ABrokenEpochGoesBehindWhatCameAfterIt) {
    Folder folder(8);
    log_three(folder);
    lose_data(folder, 2);
    removed.clear();
    const auto disk = folder.open(2);
    const std::string log = folder.path + "/log/disk-";
    EXPECT_THAT(removed, ::testing::ElementsAre(log + "3", log + "2", log + "1"));
    write(*disk, 2, "dd");
    ASSERT_TRUE(disk->seal(3).has_value());
    EXPECT_EQ(read_all(*folder.open(3)), "aaddiiii");
}

TEST(DiskEpochs, ADiskThatLostACommittedEpochIsNotTrusted) {
    Folder folder(8);
    log_three(folder);
    lose_data(folder, 1);
    const auto disk = DiskEpochs::open(folder.image(), folder.path + "/log", 2);
    ASSERT_FALSE(disk);
    EXPECT_THAT(disk.error().message, HasSubstr("has lost data of epoch 2"));
    EXPECT_EQ(folder.content(), "iiiiiiii");
    EXPECT_EQ(folder.segments(), 3U);
}

TEST(DiskEpochs, NothingIsFoldedThatIsNotWhatWasWritten) {
    Folder folder(8);
    const auto disk = folder.open();
    ASSERT_TRUE(disk->begin_epochs().has_value());
    write(*disk, 0, "aa");
    ASSERT_TRUE(disk->seal(2).has_value());
    lose_data(folder, 1);
    const auto job = disk->commit(2);
    ASSERT_FALSE(job);
    EXPECT_THAT(job.error().message, HasSubstr("does not hold what was written"));
    EXPECT_EQ(folder.content(), "iiiiiiii");
}

// Older releases wrote no checksum of the data.
TEST(DiskEpochs, ALogOfAnOlderReleaseIsFolded) {
    Folder folder(8);
    log_three(folder);
    const std::string path = folder.path + "/log/disk-1";
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    std::string head(32, '\0');
    file.read(head.data(), 24);
    std::uint64_t hash = 0xcbf29ce484222325;
    for (const char byte : head)
        hash = (hash ^ static_cast<std::uint8_t>(byte)) * 0x100000001b3;
    BigWriter sum;
    sum.u64(0);
    sum.u64(hash);
    file.seekp(24);
    file << as_text(sum.view());
    file.close();
    lose_data(folder, 1);
    const auto disk = folder.open(2);
    EXPECT_EQ(folder.content(), std::string("\0aiiiiii", 8));
}

TEST(DiskEpochs, EqualsAPlainModelOverRandomOperations) {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        SeededRandom random(seed);
        Folder folder(4096);
        auto disk = folder.open();
        std::string model(4096, 'i'), committed = model;
        ASSERT_TRUE(disk->begin_epochs().has_value());
        std::uint64_t epoch = 1;
        for (int step = 0; step < 300; ++step) {
            const std::size_t at = random.below(4000);
            const std::size_t size = 1 + random.below(90);
            switch (random.below(12)) {
                case 0: {
                    ASSERT_TRUE(disk->seal(++epoch).has_value());
                    ASSERT_TRUE((*disk->commit(epoch))().has_value());
                    committed = model;
                    break;
                }
                case 1:
                    ASSERT_TRUE(disk->zero(at, size).has_value());
                    model.replace(at, size, size, '\0');
                    break;
                case 2: disk = folder.open(epoch); break;  // a kill
                default: {
                    const std::string text(size, static_cast<char>('a' + random.below(26)));
                    write(*disk, at, text);
                    model.replace(at, size, text);
                }
            }
            Bytes part(size);
            ASSERT_TRUE(disk->read(at, part).has_value());
            ASSERT_EQ(as_text(part), model.substr(at, size)) << "seed " << seed;
        }
        EXPECT_TRUE(read_all(*disk) == model) << "seed " << seed;
        EXPECT_TRUE(folder.content() == committed) << "seed " << seed;
    }
}

}  // namespace
}  // namespace segue
