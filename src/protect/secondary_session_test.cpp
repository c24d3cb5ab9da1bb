// SPDX-License-Identifier: LGPL-2.1-or-later
// A captured session of a real primary through the table, the reader and the page store; and the
// store after a kill at every byte.
#include "protect/secondary_session.h"

#include <gmock/gmock.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "base/check.h"
#include "qemu/stream_test_support.h"

namespace segue {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

class SharedFolder {
  public:
    SharedFolder() {
        char name[] = "/dev/shm/segue-test-XXXXXX";
        path_ = ::mkdtemp(name);
    }
    ~SharedFolder() { std::filesystem::remove_all(path_); }
    SharedFolder(const SharedFolder&) = delete;
    SharedFolder& operator=(const SharedFolder&) = delete;
    const std::string& path() const { return path_; }

  private:
    std::string path_;
};

// Commits at once and notes everything.
class Recorder : public SecondarySession::Owner {
  public:
    void send(ColoMessage message) override { note(std::string(name_of(message))); }
    Result<> check_head(const StreamHead&) override { return {}; }
    void pass_output() override { note("pass"); }
    void hold_output() override { note("hold"); }
    void seal_output() override { note("seal"); }
    void begin_commit(std::uint64_t epoch) override {
        note(fmt::format("commit {}", epoch));
        if (commits_at_once) {
            const auto result = session->committed();
            EXPECT_TRUE(result.has_value());
        }
    }
    void release_output(std::uint64_t epoch) override { note(fmt::format("release {}", epoch)); }
    void drop_link(const std::string&) override { note("drop"); }
    void tell_protected() override { note("protected"); }
    void tell_checkpoint(const SecondarySession::CheckpointFacts& facts) override {
        note(fmt::format("checkpoint {} pages {}", facts.epoch, facts.pages));
        last = facts;
    }
    void tell_lost(const std::string& reason) override { note("lost: " + reason); }
    void promote_vm() override { note("promote"); }
    void suspend_vm() override { note("suspend"); }
    void load_vm() override { note("load"); }
    void resume_vm() override { note("resume"); }
    void start_comparing() override { note("compare"); }

    void note(std::string text) {
        notes.push_back(text);
        if (on_note) on_note(text);
    }
    std::function<void(const std::string&)> on_note;
    SecondarySession* session = nullptr;
    bool commits_at_once = true;
    SecondarySession::CheckpointFacts last;
    std::vector<std::string> notes;
};

struct Standby {
    explicit Standby(const std::string& path, colo::Mode mode = colo::Mode::periodic)
        : store(PageStore::open(path).value()),
          session(
              *store, owner, [] { return 1234; }, mode) {
        owner.session = &session;
    }
    Result<> take(ByteView bytes, std::size_t step) {
        while (!bytes.empty()) {
            const auto room = TRY(session.space());
            const std::size_t now = std::min({room.size(), step, bytes.size()});
            std::memcpy(room.data(), bytes.data(), now);
            TRY(session.received(now));
            bytes = bytes.subspan(now);
        }
        return {};
    }
    Result<> take(const char* name, std::size_t step = 1U << 20) {
        return take(captured(name), step);
    }
    void protect() {
        EXPECT_TRUE(session.connected());
        EXPECT_TRUE(take("microvm-first.bin").has_value());
        EXPECT_TRUE(take("microvm-checkpoint-1.bin").has_value());
    }
    int counter() const { return load<ByteOrder::little, std::uint16_t>(&store->image(0)[0x1010]); }

    std::unique_ptr<PageStore> store;
    Recorder owner;
    SecondarySession session;
};

TEST(SecondarySession, HoldsEachEpochOfARealPrimary) {
    for (const std::size_t step : {std::size_t{1} << 20, std::size_t{1}, std::size_t{1000}}) {
        SharedFolder folder;
        Standby standby(folder.path());
        ASSERT_TRUE(standby.session.connected());
        ASSERT_TRUE(standby.take("microvm-first.bin", step).has_value());
        EXPECT_TRUE(standby.session.is_protected());
        EXPECT_EQ(standby.store->epoch(), 1U);
        ASSERT_TRUE(standby.take("microvm-checkpoint-1.bin", step).has_value());
        EXPECT_EQ(standby.owner.last.bytes, 15607U);
        ASSERT_TRUE(standby.take("microvm-checkpoint-2.bin", step).has_value());
        EXPECT_EQ(standby.counter(), 0x29e8);
        EXPECT_EQ(standby.store->epoch(), 3U);
        EXPECT_THAT(standby.owner.notes,
                    ElementsAre("pass", "commit 1", "hold", "checkpoint-ready", "protected",
                                "checkpoint-reply", "seal", "commit 2", "vmstate-received",
                                "vmstate-loaded", "release 2", "checkpoint 2 pages 3",
                                "checkpoint-reply", "seal", "commit 3", "vmstate-received",
                                "vmstate-loaded", "release 3", "checkpoint 3 pages 3"));
    }
}

// {pages that may hold something, those that do}. The first without the second are read in vain.
std::pair<std::size_t, std::size_t> written_and_used(const PageStore& store) {
    std::size_t written = 0, used = 0;
    for (std::size_t block = 0; block < store.head().blocks.size(); ++block) {
        const ByteView image = store.image(block);
        for (std::size_t page = 0; page < store.written_pages(block).size(); ++page) {
            const ByteView bytes = image.subspan(page * kPageSize, kPageSize);
            const bool uses = std::ranges::any_of(bytes, [](std::uint8_t byte) { return byte; });
            EXPECT_TRUE(!uses || store.written_pages(block)[page]) << block << ' ' << page;
            written += store.written_pages(block)[page];
            used += uses;
        }
    }
    return {written, used};
}

TEST(PageStore, KnowsThePagesThatNobodyWrote) {
    SharedFolder folder;
    std::size_t used = 0;
    {
        Standby standby(folder.path());
        standby.protect();
        ASSERT_TRUE(standby.take("microvm-checkpoint-2.bin").has_value());
        const auto [written, filled] = written_and_used(*standby.store);
        EXPECT_EQ(written, filled);
        used = filled;
    }
    Standby again(folder.path());
    const auto [written, filled] = written_and_used(*again.store);
    EXPECT_EQ(filled, used);
    EXPECT_EQ(written, again.store->head().ram_bytes() / kPageSize);
}

TEST(SecondarySession, AnswersOnlyWhenTheOwnersPartIsDurable) {
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    standby.owner.notes.clear();
    standby.owner.commits_at_once = false;
    ASSERT_TRUE(standby.take("microvm-checkpoint-2.bin").has_value());
    EXPECT_THAT(standby.owner.notes, ElementsAre("checkpoint-reply", "seal", "commit 3"));
    EXPECT_EQ(standby.store->epoch(), 2U);
    ASSERT_TRUE(standby.session.committed().has_value());
    EXPECT_EQ(standby.store->epoch(), 3U);
    EXPECT_EQ(standby.counter(), 0x29e8);
}

// Hybrid mode: the request waits for both guests' input, and the primary for the SVM.
TEST(SecondarySession, BothGuestsBeginTogetherInHybridMode) {
    SharedFolder folder;
    Standby standby(folder.path(), colo::Mode::hybrid);
    ASSERT_TRUE(standby.session.connected());
    ASSERT_TRUE(standby.take("microvm-first.bin"));
    EXPECT_EQ(standby.session.state(), colo::Secondary::awaiting_request);
    EXPECT_THAT(standby.owner.notes, Contains("resume"));
    standby.owner.notes.clear();
    const Bytes checkpoint = captured("microvm-checkpoint-1.bin");
    ASSERT_TRUE(standby.take(ByteView(checkpoint).first(4), 4));
    EXPECT_THAT(standby.owner.notes, ElementsAre("suspend"));
    standby.session.vm_suspended();
    EXPECT_THAT(standby.owner.notes, ElementsAre("suspend", "checkpoint-reply"));
    standby.owner.notes.clear();
    int counter_at_load = 0;
    standby.owner.on_note = [&](const std::string& note) {
        if (note == "load") counter_at_load = standby.counter();
    };
    ASSERT_TRUE(standby.take(ByteView(checkpoint).subspan(4), 1000));
    EXPECT_EQ(standby.session.state(), colo::Secondary::loading);
    EXPECT_EQ(standby.owner.notes.back(), "load");
    // The image has the epoch by then.
    EXPECT_EQ(counter_at_load, standby.counter());
    standby.owner.notes.clear();
    standby.session.vm_loaded();
    EXPECT_THAT(standby.owner.notes, ElementsAre("vmstate-loaded", "resume", "compare"));
    EXPECT_EQ(standby.session.state(), colo::Secondary::awaiting_request);
    // Too late: another one is asked for by then.
    standby.session.vm_loaded();
    EXPECT_EQ(standby.session.state(), colo::Secondary::awaiting_request);
}

TEST(SecondarySession, ACommitThatFailsLeavesTheEpochBeforeAtOnce) {
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    standby.owner.commits_at_once = false;
    ASSERT_TRUE(standby.take("microvm-checkpoint-2.bin").has_value());
    standby.session.link_lost("a disk that cannot be synced");
    EXPECT_EQ(standby.session.state(), colo::Secondary::committing_lost);
    standby.session.commit_failed("a disk that cannot be synced");
    EXPECT_EQ(standby.session.state(), colo::Secondary::lost);
    EXPECT_EQ(standby.owner.notes.back(), "lost: a disk that cannot be synced");
    EXPECT_EQ(standby.store->epoch(), 2U);
    EXPECT_NE(standby.counter(), 0x29e8);
}

TEST(SecondarySession, ACutAtEveryByteLeavesTheEpochBefore) {
    const Bytes checkpoint = captured("microvm-checkpoint-2.bin");
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    const Bytes before(standby.store->image(0).begin(), standby.store->image(0).end());
    for (std::size_t cut = 0; cut < checkpoint.size(); cut += 7) {
        // The captured session begins anew with each cut: its deltas refer to what came before.
        ASSERT_TRUE(standby.take(ByteView(checkpoint).first(cut), 1U << 20).has_value());
        standby.session.link_lost("cut");
        EXPECT_EQ(standby.session.state(), colo::Secondary::lost);
        EXPECT_EQ(standby.store->epoch(), 2U);
        const ByteView image = standby.store->image(0);
        ASSERT_TRUE(std::equal(before.begin(), before.end(), image.begin())) << cut;
        standby.protect();
    }
}

// A file that cannot be written for the while, as with a full /dev/shm.
class Blocked {
  public:
    explicit Blocked(std::string path) : path_(std::move(path)) {
        std::filesystem::create_directory(path_);
    }
    ~Blocked() { std::filesystem::remove(path_); }
    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;

  private:
    std::string path_;
};

TEST(SecondarySession, ANewLinkDoesNotOverwriteAnEpochThatStandsInTheLogAlone) {
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    {
        const Blocked state(folder.path() + "/state-1.new");
        EXPECT_FALSE(standby.take("microvm-checkpoint-2.bin").has_value());
        standby.session.link_lost("no memory");
        EXPECT_EQ(standby.store->epoch(), 3U);
        EXPECT_FALSE(standby.session.connected());
        EXPECT_EQ(standby.session.state(), colo::Secondary::lost);
    }
    ASSERT_TRUE(standby.session.connected());
    (void)standby.take(Bytes(4096, 'x'), 4096);
    standby.session.link_lost("no stream");
    ASSERT_TRUE(standby.session.promote().has_value());
    EXPECT_EQ(standby.counter(), 0x29e8);
    EXPECT_EQ(standby.store->device_state().size(), 3244U);
}

// The owner's disk goes beyond the image when output passes: a kill from there on must not leave an
// image that counts.
TEST(SecondarySession, TheImageIsForgottenBeforeOutputPasses) {
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    standby.session.link_lost("end");
    standby.owner.on_note = [&](const std::string& note) {
        if (note != "pass") return;
        EXPECT_EQ(RecordFile::open(folder.path() + "/record").value().get().content,
                  StoreRecord::Content::nothing);
        standby.owner.notes.emplace_back("looked");
    };
    ASSERT_TRUE(standby.session.connected());
    EXPECT_EQ(standby.store->content(), StoreRecord::Content::committed);
    ASSERT_TRUE(standby.take("microvm-first.bin").has_value());
    EXPECT_THAT(standby.owner.notes, Contains("looked"));
    EXPECT_EQ(standby.store->epoch(), 1U);
}

// A child receives and kills itself behind a byte; what it leaves is opened here.
TEST(SecondarySession, AKillAtAnyByteLeavesAWholeEpoch) {
    const Bytes checkpoint = captured("microvm-checkpoint-2.bin");
    for (std::size_t cut = 0; cut <= checkpoint.size(); cut += cut < 3200 ? 401 : 11) {
        SharedFolder folder;
        const pid_t child = ::fork();
        if (child == 0) {
            Standby standby(folder.path());
            standby.protect();
            (void)standby.take(ByteView(checkpoint).first(cut), 64);
            ::kill(::getpid(), SIGKILL);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        Standby standby(folder.path());
        const bool whole = cut == checkpoint.size();
        EXPECT_EQ(standby.store->epoch(), whole ? 3U : 2U) << cut;
        EXPECT_EQ(standby.counter() == 0x29e8, whole) << cut;
        EXPECT_EQ(standby.session.state(), colo::Secondary::lost);
    }
}

// The child dies at its first store behind a page: between any two pages of apply().
TEST(SecondarySession, ADeathBetweenAnyTwoPagesLeavesAWholeEpoch) {
    SharedFolder other;
    Standby reference(other.path());
    reference.protect();
    ASSERT_TRUE(reference.take("microvm-checkpoint-2.bin").has_value());
    const Bytes wanted(reference.store->image(0).begin(), reference.store->image(0).end());
    constexpr std::size_t kPage = 4096;
    constexpr std::size_t kLastTouched = 3;
    for (std::size_t page = 0; page <= kLastTouched; ++page) {
        SharedFolder folder;
        const pid_t child = ::fork();
        if (child == 0) {
            ::signal(SIGSEGV, SIG_DFL);
            Standby standby(folder.path());
            standby.protect();
            const ByteView image = standby.store->image(0);
            ::mprotect(const_cast<std::uint8_t*>(image.data()) + page * kPage,
                       image.size() - page * kPage, PROT_READ);
            (void)standby.take("microvm-checkpoint-2.bin");
            ::_exit(0);
        }
        int status = 0;
        ASSERT_EQ(::waitpid(child, &status, 0), child);
        ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV) << page;
        Standby standby(folder.path());
        EXPECT_EQ(standby.store->epoch(), 3U);
        const ByteView image = standby.store->image(0);
        EXPECT_TRUE(std::equal(wanted.begin(), wanted.end(), image.begin())) << page;
        EXPECT_EQ(standby.store->device_state().size(), 3244U);
    }
}

TEST(SecondarySession, ACommittedLogIsReplayedAfterAKill) {
    SharedFolder folder;
    const pid_t child = ::fork();
    if (child == 0) {
        Standby standby(folder.path());
        standby.protect();
        standby.owner.commits_at_once = false;
        (void)standby.take("microvm-checkpoint-2.bin");
        // The record is written, the images are not: the kill comes between.
        const std::size_t size = standby.store->log().size();
        const ByteView log = standby.store->log();
        PageStore::Checkpoint checkpoint;
        checkpoint.sections_at = 8;
        checkpoint.state_bytes = 3244;
        checkpoint.state_at = size - 3244;
        checkpoint.sections_bytes = size - 3244 - 12 - 8;
        checkpoint.current_block = 0;
        ENSURE(log[8] == 3);
        standby.store->commit(checkpoint, 77);
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    Standby standby(folder.path());
    EXPECT_EQ(standby.store->epoch(), 3U);
    EXPECT_EQ(standby.store->committed_at_ms(), 77);
    EXPECT_EQ(standby.counter(), 0x29e8);
    EXPECT_EQ(standby.store->device_state().size(), 3244U);
}

TEST(PageStore, ALackOfTheMomentDoesNotCostTheImage) {
    SharedFolder folder;
    { Standby(folder.path()).protect(); }
    {
        // The state is there and cannot be read, as with no descriptor left.
        const std::string state = folder.path() + "/state-0";
        std::filesystem::rename(state, state + ".kept");
        std::filesystem::create_symlink(state + ".kept", state);
        const auto refused = PageStore::open(folder.path());
        ASSERT_FALSE(refused.has_value());
        EXPECT_THAT(refused.error().message, HasSubstr("is kept"));
        EXPECT_THAT(refused.error().message, HasSubstr(folder.path()));
        std::filesystem::rename(state + ".kept", state);
    }
    Standby standby(folder.path());
    EXPECT_EQ(standby.store->epoch(), 2U);
    EXPECT_EQ(standby.store->device_state().size(), 3244U);
}

TEST(PageStore, ADamagedImageIsGivenUp) {
    SharedFolder folder;
    std::string image;
    {
        Standby standby(folder.path());
        standby.protect();
        image = standby.store->image_path("microvm.ram");
    }
    std::filesystem::remove(image);
    const auto refused = PageStore::open(folder.path());
    ASSERT_FALSE(refused.has_value());
    EXPECT_THAT(refused.error().message, HasSubstr("given up"));
    EXPECT_EQ(PageStore::open(folder.path()).value()->content(), StoreRecord::Content::nothing);
}

TEST(SecondarySession, RefusesASecondPrimaryAndAfterPromotionEveryOne) {
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    EXPECT_FALSE(standby.session.connected());
    standby.session.link_lost("end of stream");
    EXPECT_EQ(standby.owner.notes.back(), "lost: end of stream");
    ASSERT_TRUE(standby.session.promote().has_value());
    EXPECT_FALSE(standby.session.connected());
    EXPECT_THAT(standby.session.promote().error().message, HasSubstr("while promoting"));
    standby.session.promotion_done();
    EXPECT_FALSE(standby.session.connected());
    EXPECT_THAT(standby.session.promote().error().message, HasSubstr("already promoted"));
}

TEST(SecondarySession, NamesWhatIsWrongWithAPrimary) {
    SharedFolder folder;
    Standby standby(folder.path());
    EXPECT_THAT(standby.session.promote().error().message, HasSubstr("nothing to promote"));
    standby.protect();
    EXPECT_THAT(standby.take(Bytes{0, 0, 0, 3}, 4).error().message,
                HasSubstr("early message: vmstate-send while awaiting-request"));
    standby.session.link_lost("wrong message");
    EXPECT_EQ(standby.store->epoch(), 2U);

    ASSERT_TRUE(standby.session.connected());
    EXPECT_THAT(standby.take(Bytes(8, 'x'), 8).error().message, HasSubstr("begins with"));
    standby.session.link_lost("no stream");
    EXPECT_EQ(standby.session.state(), colo::Secondary::lost);
    EXPECT_EQ(standby.store->content(), StoreRecord::Content::committed);

    Bytes twice = captured("microvm-checkpoint-2.bin");
    twice.resize(twice.size() + 4);
    ASSERT_TRUE(standby.session.connected());
    ASSERT_TRUE(standby.take("microvm-first.bin").has_value());
    ASSERT_TRUE(standby.take("microvm-checkpoint-1.bin").has_value());
    EXPECT_THAT(standby.take(twice, 1U << 20).error().message, HasSubstr("bytes behind the state"));
}

// Configuration, "enable COLO" and the list of one RAM block (docs of QEMU's stream: qemu/).
Bytes head_that_claims(std::uint64_t bytes) {
    BigWriter out;
    const auto name = [&out](std::string_view text) {
        out.u8(static_cast<std::uint8_t>(text.size()));
        out.bytes(as_bytes(text));
    };
    constexpr std::string_view kMachine = "microvm";
    out.bytes(as_bytes("QEVM"));
    out.u32(3);
    out.u8(7);
    out.u32(kMachine.size());
    out.bytes(as_bytes(kMachine));
    for (const std::uint8_t byte : {8, 0, 8, 0, 0})
        out.u8(byte);
    out.u8(1);
    out.u32(2);
    name("ram");
    out.u32(0);
    out.u32(4);
    out.u64(bytes | 4);
    name("pc.ram");
    out.u64(bytes);
    out.u64(0x10);
    return out.take();
}

// A stream may claim what it likes: its size is judged before a byte is taken, or given up.
TEST(SecondarySession, AStreamThatClaimsMoreMemoryThanThereIsIsRefused) {
    constexpr std::uint64_t kClaimed = 8ULL << 40;
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    standby.session.link_lost("gone");
    ASSERT_TRUE(standby.session.connected());

    const int counter = standby.counter();
    const auto taken = standby.take(head_that_claims(kClaimed), 1U << 20);
    ASSERT_FALSE(taken);
    EXPECT_EQ(taken.error().code, ErrorCode::no_memory);
    EXPECT_THAT(taken.error().message, HasSubstr("8388624 MiB"));
    EXPECT_THAT(taken.error().message, HasSubstr("the limit is"));
    // The image that is held is worth more than a claim.
    standby.session.link_lost(taken.error().message);
    EXPECT_EQ(standby.store->content(), StoreRecord::Content::committed);
    EXPECT_EQ(standby.counter(), counter);
    EXPECT_FALSE(std::filesystem::exists(standby.store->image_path("pc.ram")));
}

TEST(SecondarySession, EndsAWaitThatTakesTooLong) {
    SharedFolder folder;
    Standby standby(folder.path());
    standby.protect();
    ASSERT_TRUE(standby.take(Bytes{0, 0, 0, 1}, 4).has_value());
    EXPECT_EQ(standby.session.limit({}), colo::Limits{}.message);
    standby.session.time_up();
    EXPECT_EQ(standby.owner.notes.back(), "lost: no progress in time while awaiting-send");
    EXPECT_EQ(standby.session.state(), colo::Secondary::lost);
}

TEST(RecordFile, KeepsTheNewerWholeSlot) {
    SharedFolder folder;
    const std::string path = folder.path() + "/record";
    StoreRecord first;
    first.content = StoreRecord::Content::committed;
    first.epoch = 7;
    StoreRecord second = first;
    second.epoch = 8;
    {
        auto file = RecordFile::open(path).value();
        file.put(first);
        file.put(second);
        EXPECT_EQ(file.get(), second);
    }
    EXPECT_EQ(RecordFile::open(path).value().get(), second);
    // Any byte of the newer slot torn: the older one counts.
    for (std::size_t at = 0; at < 88; ++at) {
        const std::string torn = folder.path() + "/torn";
        std::filesystem::copy_file(path, torn, std::filesystem::copy_options::overwrite_existing);
        {
            auto raw = MemoryFile::make(torn, 2 * RecordFile::kSlotBytes, true).value();
            raw.bytes()[at] ^= 0xff;
        }
        const StoreRecord read = RecordFile::open(torn).value().get();
        EXPECT_TRUE(read == first || read == second) << at;
        EXPECT_EQ(read.epoch, 7U) << at;
    }
}

}  // namespace
}  // namespace segue
