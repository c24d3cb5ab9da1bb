// SPDX-License-Identifier: LGPL-2.1-or-later
#include "qemu/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "qemu/probe.h"

namespace segue {
namespace {

class ProcessTest : public testing::Test {
  protected:
    ProcessTest() {
        char path[] = "/tmp/segue-process-XXXXXX";
        scratch_ = ::mkdtemp(path);
    }
    ~ProcessTest() override { std::filesystem::remove_all(scratch_); }

    ProcessStart shell(const std::string& script) {
        ProcessStart start;
        start.directory = scratch_ + "/vm";
        start.log_path = scratch_ + "/log";
        start.line.arguments = {"/bin/sh", "-c", script};
        return start;
    }
    std::string text(const std::string& name) {
        std::ifstream in(scratch_ + "/" + name);
        std::ostringstream out;
        out << in.rdbuf();
        return out.str();
    }
    // Runs the loop until the process has ended.
    QemuProcess::Ended wait(QemuProcess& process) {
        QemuProcess::Ended result;
        process.on_end([&](const QemuProcess::Ended& ended) {
            result = ended;
            loop_->stop();
        });
        loop_->run();
        return result;
    }

    std::string scratch_;
    std::unique_ptr<RunLoop> loop_ = make_asio_loop();
};

TEST_F(ProcessTest, StartsInADirectoryOfItsOwnWithAnEnvironmentOfItsOwn) {
    ProcessStart start = shell("pwd; echo $HOME $LC_ALL $EXTRA; ls /proc/self/fd | wc -l; exit 3");
    start.environment = {{"EXTRA", "more"}};
    start.pid_file = scratch_ + "/pid";
    auto process = QemuProcess::start(*loop_, start);
    ASSERT_TRUE(process) << process.error().message;
    EXPECT_EQ(read_pid_file(scratch_ + "/pid").value(), (*process)->identity());
    EXPECT_EQ(wait(**process).text(), "exited with status 3");
    // Four descriptors of `ls`: 0, 1, 2 and the folder it reads.
    const std::string vm = scratch_ + "/vm";
    EXPECT_EQ(text("log"), vm + "\n" + vm + " C more\n4\n");
    struct stat info {};
    ASSERT_EQ(::stat(vm.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777, 0700U);
    EXPECT_EQ(log_tail(scratch_ + "/log", 2), "4");
}

TEST(QemuWords, BecomeOneLineWithoutTimesAndNames) {
    EXPECT_EQ(in_one_line(""), "");
    EXPECT_EQ(
        in_one_line("2026-11-21T19:07:38.664958Z qemu-system-x86_64: warning: binding failed\n"
                    "2026-11-21T19:07:38.665024Z qemu-system-x86_64: failed to initialize "
                    "spice server\n"),
        "failed to initialize spice server");
    EXPECT_EQ(in_one_line("qemu-system-x86_64: warning: only this\n"), "warning: only this");
    EXPECT_EQ(in_one_line("/bin/ls: invalid option\n\nTry: 'ls --help'"),
              "/bin/ls: invalid option; Try: 'ls --help'");
}

TEST_F(ProcessTest, InheritsSocketsAndFilesUnderTheirNumbers) {
    std::ofstream(scratch_ + "/serial") << "before\n";
    ProcessStart start = shell(
        "echo tick >&4; echo new >&5; grep flags /proc/self/fdinfo/3; ls -l /proc/self/fd/3; "
        "exec sleep 60");
    std::filesystem::create_directory(scratch_ + "/vm");
    std::ofstream(scratch_ + "/other") << "old contents\n";
    start.line.inherited = {{InheritedFile::Kind::listen, scratch_ + "/vm/monitor.sock", 3},
                            {InheritedFile::Kind::append, scratch_ + "/serial", 4},
                            {InheritedFile::Kind::truncate, scratch_ + "/other", 5}};
    auto process = QemuProcess::start(*loop_, start);
    ASSERT_TRUE(process) << process.error().message;
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, (scratch_ + "/vm/monitor.sock").c_str(), 107);
    const int client = ::socket(AF_UNIX, SOCK_STREAM, 0);
    EXPECT_EQ(::connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address), 0)
        << "it listens before the program runs";
    ::close(client);
    for (int turn = 0; turn < 3000 && text("log").find("socket") == std::string::npos; ++turn)
        ::usleep(10'000);
    EXPECT_NE(text("log").find("socket:"), std::string::npos);
    EXPECT_NE(text("log").find("04002\n"), std::string::npos)
        << "a listener that blocks can hang QEMU in accept(): " << text("log");
    EXPECT_EQ(text("serial"), "before\ntick\n");
    EXPECT_EQ(text("other"), "new\n");
    (*process)->kill();
    EXPECT_EQ(wait(**process).text(), "killed by signal 9");
}

TEST_F(ProcessTest, AFifoIsNotWaitedFor) {
    const std::string fifo = scratch_ + "/fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    for (const auto kind :
         {InheritedFile::Kind::append, InheritedFile::Kind::truncate, InheritedFile::Kind::keep}) {
        ProcessStart start = shell("grep flags /proc/self/fdinfo/3; echo tick >&3");
        start.line.inherited = {{kind, fifo, 3}};
        const auto alone = QemuProcess::start(*loop_, start);
        ASSERT_FALSE(alone);
        EXPECT_EQ(alone.error().code, ErrorCode::config_unsupported);
        EXPECT_NE(alone.error().message.find(fifo), std::string::npos);

        const int reader = ::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        auto process = QemuProcess::start(*loop_, start);
        ASSERT_TRUE(process) << process.error().message;
        EXPECT_EQ(wait(**process).text(), "exited with status 0");
        char words[16] = {};
        EXPECT_EQ(::read(reader, words, sizeof words), 5);
        EXPECT_STREQ(words, "tick\n");
        ::close(reader);
    }
    EXPECT_EQ(text("log").find("4001\n"), std::string::npos) << "QEMU's end waits: " << text("log");
    EXPECT_NE(text("log").find("0001\n"), std::string::npos) << text("log");
}

TEST_F(ProcessTest, ARestartedDaemonFindsItAndOnlyIt) {
    auto process = QemuProcess::start(*loop_, shell("exec sleep 60"));
    ASSERT_TRUE(process);
    const ProcessIdentity identity = (*process)->identity();
    const std::string file = scratch_ + "/pid";
    ASSERT_TRUE(write_pid_file(file, identity));
    EXPECT_EQ(read_pid_file(file).value(), identity);

    auto adopted = QemuProcess::adopt(*loop_, identity);
    ASSERT_TRUE(adopted);
    // The same number, another start: what a recycled pid looks like.
    ProcessIdentity recycled = identity;
    ++recycled.start_ticks;
    EXPECT_EQ(QemuProcess::adopt(*loop_, recycled).error().code, ErrorCode::no_domain);

    (*adopted)->terminate(5s);
    const auto ended = wait(**adopted);
    EXPECT_FALSE((*adopted)->running());
    EXPECT_TRUE(ended.text().starts_with("killed by signal 15") || !ended.wait_status);
    EXPECT_EQ(identify(identity.pid), std::nullopt) << "a zombie is no process";
    EXPECT_FALSE(QemuProcess::adopt(*loop_, identity));
}

// Its pidfd gets the number of the one that was just closed, and the loop still has that one's
// turn.
TEST_F(ProcessTest, WhatStartsWhenAnotherHasEndedIsNotTakenForDead) {
    for (int round = 0; round < 20; ++round) {
        auto first = QemuProcess::start(*loop_, shell("exit 0"));
        ASSERT_TRUE(first) << first.error().message;
        Result<std::unique_ptr<QemuProcess>> second;
        std::optional<std::string> ended;
        const auto bound = loop_->make_timer([this] { loop_->stop(); });
        (*first)->on_end([&](const QemuProcess::Ended&) {
            // Posted, as a daemon does it: the first one is in its own callback.
            loop_->post([&] {
                first->reset();
                second = QemuProcess::start(*loop_, shell("exec sleep 60"));
                if (!second) return loop_->stop();
                (*second)->on_end([&](const QemuProcess::Ended& how) { ended = how.text(); });
                bound->start(20ms);
            });
        });
        loop_->run();
        ASSERT_TRUE(second) << second.error().message;
        ASSERT_FALSE(ended) << *ended;
        (*second)->kill();
        EXPECT_EQ(wait(**second).text(), "killed by signal 9");
    }
}

TEST_F(ProcessTest, TerminateKillsWhatDoesNotListen) {
    auto process =
        QemuProcess::start(*loop_, shell("trap '' TERM; echo set; while :; do sleep 1; done"));
    ASSERT_TRUE(process);
    for (int turn = 0; turn < 3000 && text("log").find("set") == std::string::npos; ++turn)
        ::usleep(10'000);
    (*process)->terminate(50ms);
    EXPECT_EQ(wait(**process).text(), "killed by signal 9");
}

TEST_F(ProcessTest, FailuresOfTheChildAreNamed) {
    std::ofstream(scratch_ + "/broken") << "#!/no/such/interpreter\n";
    ::chmod((scratch_ + "/broken").c_str(), 0755);
    ProcessStart start = shell("");
    start.line.arguments = {scratch_ + "/broken"};
    auto process = QemuProcess::start(*loop_, start);
    ASSERT_FALSE(process);
    EXPECT_NE(process.error().message.find("broken"), std::string::npos);
    EXPECT_NE(process.error().message.find("No such file"), std::string::npos);
}

TEST_F(ProcessTest, OnlyProgramsThatNobodyElseCanChange) {
    EXPECT_TRUE(check_emulator("/bin/sh"));
    EXPECT_EQ(check_emulator("sh").error().code, ErrorCode::config_unsupported);
    EXPECT_EQ(check_emulator("/etc/passwd").error().code, ErrorCode::config_unsupported);
    EXPECT_EQ(check_emulator("/no/such").error().code, ErrorCode::system);
    const std::string script = scratch_ + "/emulator";
    std::ofstream(script) << "#!/bin/sh\n";
    ::chmod(script.c_str(), 0755);
    EXPECT_TRUE(check_emulator(script)) << "a script is fine";
    ::chmod(script.c_str(), 0775);
    EXPECT_EQ(check_emulator(script).error().code, ErrorCode::denied);
    ::chmod(script.c_str(), 0755);
    std::filesystem::create_directory(scratch_ + "/open");
    std::filesystem::rename(script, scratch_ + "/open/emulator");
    EXPECT_TRUE(check_emulator(scratch_ + "/open/emulator"));
    ::chmod((scratch_ + "/open").c_str(), 0777);
    EXPECT_EQ(check_emulator(scratch_ + "/open/emulator").error().code, ErrorCode::denied)
        << "others could put another file there";
}

TEST_F(ProcessTest, DamagedPidFilesAreRefused) {
    for (const char* content : {"", "12", "12\n", "x 1\n", "1 5\n", "-3 5\n", "12 5 6\n"}) {
        std::ofstream(scratch_ + "/pid") << content;
        EXPECT_FALSE(read_pid_file(scratch_ + "/pid")) << content;
    }
}

TEST_F(ProcessTest, AQuestionThatHangsIsANo) {
    const auto ask = [&](const std::function<bool()>& question, Duration bound) {
        bool works = false;
        ChildProbe probe(*loop_, question, bound, [&](bool answer) {
            works = answer;
            loop_->stop();
        });
        loop_->run();
        return works;
    };
    EXPECT_TRUE(ask([] { return true; }, 5s));
    EXPECT_FALSE(ask([] { return kvm_works("/dev/null"); }, 5s));
    EXPECT_FALSE(ask([] { return kvm_works("/no/such/device"); }, 5s));
    EXPECT_FALSE(ask(
        [] {
            ::pause();
            return true;
        },
        30ms));
}

TEST_F(ProcessTest, AnEmulatorIsAskedOnce) {
    constexpr const char* kEmulator = "/usr/bin/qemu-system-x86_64";
    EmulatorProbe probe(*loop_, scratch_);
    EXPECT_EQ(probe.known(kEmulator), nullptr);
    int answers = 0;
    for (int count = 0; count < 2; ++count) {
        probe.ask(kEmulator, [&](Result<EmulatorCapabilities> capabilities) {
            ASSERT_TRUE(capabilities) << capabilities.error().message;
            EXPECT_EQ(capabilities->version.major, 7);
            EXPECT_EQ(capabilities->machine("pc"), "pc-i440fx-7.2");
            EXPECT_EQ(capabilities->machine("pc-i440fx-2.11"), "pc-i440fx-2.11");
            EXPECT_EQ(capabilities->machine("toaster"), std::nullopt);
            if (++answers == 2) loop_->stop();
        });
    }
    loop_->run();
    ASSERT_NE(probe.known(kEmulator), nullptr);

    ErrorCode code{};
    probe.ask("/bin/false", [&](Result<EmulatorCapabilities> capabilities) {
        code = capabilities.error().code;
        loop_->stop();
    });
    loop_->run();
    EXPECT_EQ(code, ErrorCode::config_unsupported);
}

}  // namespace
}  // namespace segue
