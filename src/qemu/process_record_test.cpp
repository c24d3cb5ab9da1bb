// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/process_record.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace segue {
namespace {

class ProcessRecordTest : public testing::Test {
  protected:
    ProcessRecordTest() {
        char path[] = "/tmp/segue-record-XXXXXX";
        scratch_ = ::mkdtemp(path);
        ::chmod(scratch_.c_str(), 0711);
    }
    ~ProcessRecordTest() override {
        for (const auto& process : processes_) {
            process->kill();
            process->on_end([this](const QemuProcess::Ended&) { loop_->stop(); });
            loop_->run();
        }
        std::filesystem::remove_all(scratch_);
    }

    // As QEMU's user where the test may change it; with a pid file of an earlier release.
    ProcessIdentity run_in(const std::string& directory, const std::string& pid_file) {
        ProcessStart start;
        start.directory = directory;
        start.log_path = directory + "/log";
        start.pid_file = pid_file;
        start.line.arguments = {"/bin/sleep", "60"};
        if (::geteuid() == 0) start.user = ProcessUser{65534, 65534};
        processes_.push_back(QemuProcess::start(*loop_, start).value());
        return processes_.back()->identity();
    }
    std::string place(const std::string& name) { return scratch_ + "/" + name; }

    std::string scratch_;
    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
    std::vector<std::unique_ptr<QemuProcess>> processes_;
};

TEST_F(ProcessRecordTest, WhatStandsBesideCountsWhateverTheDirectorySays) {
    const std::string directory = place("one");
    const ProcessIdentity own = run_in(directory, pid_file_beside(directory));
    const ProcessIdentity other = run_in(place("two"), pid_file_beside(place("two")));
    ASSERT_TRUE(write_pid_file(directory + "/pid", other));
    EXPECT_EQ(process_of(directory).value(), own);
    std::filesystem::remove_all(directory);
    EXPECT_EQ(process_of(directory).value(), own);
    // Damaged is not the same as never written.
    std::filesystem::create_directory(directory);
    ASSERT_TRUE(write_pid_file(directory + "/pid", own));
    std::ofstream(pid_file_beside(directory)) << "1 2\n";
    EXPECT_FALSE(process_of(directory));
    forget_process(directory);
    EXPECT_EQ(::access(pid_file_beside(directory).c_str(), F_OK), -1);
}

TEST_F(ProcessRecordTest, AGuestOfAnEarlierReleaseIsFoundAndWrittenDown) {
    const std::string directory = place("one");
    std::filesystem::create_directory(directory);
    const ProcessIdentity own = run_in(directory, directory + "/pid");
    EXPECT_EQ(process_of(directory).value(), own);
    EXPECT_EQ(read_pid_file(pid_file_beside(directory)).value(), own);
}

TEST_F(ProcessRecordTest, AGuestOfAnEarlierReleaseLivesWhereNothingCanBeWrittenDown) {
    const std::string directory = place("one");
    std::filesystem::create_directory(directory);
    const ProcessIdentity own = run_in(directory, directory + "/pid");
    std::filesystem::create_directory(pid_file_beside(directory) + ".new");
    EXPECT_EQ(process_of(directory).value(), own);
    EXPECT_EQ(process_of(directory).value(), own);
}

TEST_F(ProcessRecordTest, ForeignProcessesAreNobodysQemu) {
    const std::string directory = place("one");
    const ProcessIdentity own = run_in(directory, "");
    const ProcessIdentity sibling = run_in(place("two"), "");
    EXPECT_EQ(identify_in(own.pid, directory), own);
    // Another guest's QEMU, this very process, init, and numbers that are no pid.
    EXPECT_EQ(identify_in(sibling.pid, directory), std::nullopt);
    for (const std::int64_t pid : {std::int64_t{::getpid()}, std::int64_t{1}, std::int64_t{0},
                                   std::int64_t{-1}, (std::int64_t{1} << 32) + own.pid}) {
        EXPECT_EQ(identify_in(pid, directory), std::nullopt) << pid;
    }
    if (::geteuid() != 0) return;  // nobody else's directory without root
    for (const ProcessIdentity& victim : {sibling, identify(::getpid()).value()}) {
        ASSERT_TRUE(write_pid_file(directory + "/pid", victim));
        EXPECT_EQ(process_of(directory).error().code, ErrorCode::no_domain);
        EXPECT_EQ(::access(pid_file_beside(directory).c_str(), F_OK), -1);
    }
}

TEST_F(ProcessRecordTest, ARootProcessIsNoQemuOfAnothersDirectory) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs a second user";
    const std::string directory = place("one");
    ProcessStart start;
    start.directory = directory;
    start.log_path = place("log");
    start.line.arguments = {"/bin/sleep", "60"};
    processes_.push_back(QemuProcess::start(*loop_, start).value());
    const ProcessIdentity root = processes_.back()->identity();
    EXPECT_EQ(identify_in(root.pid, directory), root);
    ASSERT_EQ(::chown(directory.c_str(), 65534, 65534), 0);
    EXPECT_EQ(identify_in(root.pid, directory), std::nullopt) << "though it stands there";
}

TEST_F(ProcessRecordTest, OnlyTheProcessThatIsMeantIsKilled) {
    const ProcessIdentity own = run_in(place("one"), "");
    ProcessIdentity recycled = own;
    ++recycled.start_ticks;
    EXPECT_FALSE(kill_process(recycled));
    EXPECT_EQ(identify(own.pid), own);
    EXPECT_TRUE(kill_process(own));
    processes_.back()->on_end([&](const QemuProcess::Ended& ended) {
        EXPECT_EQ(ended.text(), "killed by signal 9");
        loop_->stop();
    });
    loop_->run();
    EXPECT_FALSE(kill_process(own));
    processes_.clear();
}

}  // namespace
}  // namespace segue
