// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/file_facts.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <fstream>

namespace segue {
namespace {

class FileAskerTest : public testing::Test {
  protected:
    ~FileAskerTest() override { ::close(let_go_[1]); }

    // Storage that answers when the test lets it: everything below /hung.
    FileFacts look(const std::string& path) {
        ++looks_;
        char byte = 0;
        if (path.starts_with("/hung")) (void)!::read(let_go_[0], &byte, 1);
        return {.size = path.size()};
    }
    std::unique_ptr<FileAsker> asker(Duration bound) {
        return std::make_unique<FileAsker>(
            *loop_, *workers_, [this](const std::string& path) { return look(path); }, bound);
    }
    FactsOfFiles ask(FileAsker& asker, const std::vector<std::string>& paths) {
        FactsOfFiles told;
        asker.ask(paths, [&](const FactsOfFiles& facts) {
            told = facts;
            loop_->stop();
        });
        loop_->run();
        return told;
    }
    // As the kernel would: whoever is held up goes on.
    void let_go() {
        ::close(let_go_[1]);
        let_go_[1] = -1;
    }

    FileAskerTest() { EXPECT_EQ(::pipe(let_go_.data()), 0); }

    std::array<int, 2> let_go_{};
    std::atomic<int> looks_ = 0;
    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
    std::unique_ptr<Workers> workers_ = std::make_unique<Workers>(*loop_);
};

TEST_F(FileAskerTest, TellsOfEachPath) {
    const auto files = asker(60s);
    EXPECT_TRUE(ask(*files, {}).empty());
    const FactsOfFiles told = ask(*files, {"/a", "/bcd", "/a"});
    ASSERT_EQ(told.size(), 2U);
    EXPECT_EQ(told.at("/a").size, 2U);
    EXPECT_EQ(told.at("/bcd").size, 4U);
    EXPECT_EQ(told.at("/bcd").error, 0);
}

TEST_F(FileAskerTest, StorageThatHangsHoldsUpNothingElse) {
    const auto files = asker(50ms);
    for (int again = 0; again < 3; ++again) {
        const FactsOfFiles told = ask(*files, {"/hung/disk", "/fine"});
        EXPECT_EQ(told.at("/hung/disk").error, ETIMEDOUT);
        EXPECT_EQ(told.at("/fine").error, 0);
    }
    EXPECT_EQ(looks_, 4) << "one thread hangs, however often it is asked";
    let_go();
    const auto patient = asker(60s);
    EXPECT_EQ(ask(*patient, {"/hung/disk"}).at("/hung/disk").error, 0);
}

TEST_F(FileAskerTest, MoreThanThreadsWaitTheirTurn) {
    const auto files = asker(60s);
    std::vector<std::string> paths;
    for (std::size_t number = 0; number < 3 * Workers::kMaxThreads; ++number)
        paths.push_back(fmt::format("/{}", number));
    EXPECT_EQ(ask(*files, paths).size(), paths.size());
}

TEST_F(FileAskerTest, NobodyIsToldWhenTheAskerIsGone) {
    auto files = asker(60s);
    files->ask({"/hung/disk"}, [](const FactsOfFiles&) { FAIL() << "nobody is there"; });
    files.reset();
    workers_.reset();
    let_go();
    const auto pause = loop_->make_timer([this] { loop_->stop(); });
    pause->start(20ms);
    loop_->run();
}

TEST(FileFacts, OfRealFiles) {
    EXPECT_EQ(look_at_file("/nonexistent/disk.img").error, ENOENT);
    EXPECT_EQ(reason_of({.error = ENOENT}), "No such file or directory");
    EXPECT_EQ(reason_of({.error = ETIMEDOUT}), "its storage does not answer");
    const FileFacts proc = look_at_file("/proc/self/status");
    EXPECT_EQ(proc.error, 0);
    EXPECT_EQ(proc.file_system, 0x9fa0U);
}

}  // namespace
}  // namespace segue
