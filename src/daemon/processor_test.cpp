// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/processor.h"

#include <gtest/gtest.h>

#include "daemon/guest.h"
#include "daemon/test_monitor.h"
#include "net/test_loop.h"

namespace segue {
namespace {

constexpr const char* kEmulator = "/bin/sh";  // a file that is there: nobody runs it
constexpr std::size_t kQuestions = 5;         // for a definition that asks for a feature

// A guest whose QEMU has all that it was asked for, and what it is asked about its processor.
class ProcessorTest : public testing::Test {
  protected:
    ProcessorTest() {
        domain_->incarnation = std::make_unique<Incarnation>();
        Domain& live = domain_->incarnation->live;
        live.emulator = kEmulator;
        live.os.machine = "pc";
        live.cpu = Cpu();
        live.cpu->model = "qemu64";
        live.cpu->features.push_back({"require", "x2apic"});
        domain_->incarnation->guest =
            std::make_unique<Guest>(*loop_, monitor_.path, 0, Guest::Handlers{});
    }

    // What learn_processor answers.
    Result<> learn() {
        std::optional<Result<>> answer;
        learn_processor(emulators_, domain_, [&](Result<> said) { answer = std::move(said); });
        EXPECT_TRUE(loop_.run_until([&] { return answer.has_value(); }));
        return answer.value_or(fail(ErrorCode::timeout, "nothing was answered"));
    }

    net::TestLoop loop_;
    std::function<void()> on_question_ = [] {};
    TestMonitor monitor_{*loop_, testing::TempDir(), "processor",
                         [this](const Json& command) { return say(command); }};
    EmulatorProbe emulators_{*loop_, testing::TempDir()};
    std::shared_ptr<DomainObject> domain_ = std::make_shared<DomainObject>(Uuid(), "d");

  private:
    Json say(const Json& command) {
        on_question_();
        const Json& arguments = command["arguments"];
        if (command.text("execute") == "query-cpus-fast") {
            return Json::array({Json::object({{"qom-path", "/machine/cpu"}})});
        }
        if (arguments.text("property") == "type") return "qemu64-x86_64-cpu";
        if (arguments.text("property") == "unavailable-features") return Json::array();
        Json properties = Json::object({{"family", 15}, {"sse2", true}});
        if (!arguments["model"]["props"].members().empty()) properties.set("x2apic", true);
        return Json::object({{"model", Json::object({{"props", std::move(properties)}})}});
    }
};

TEST_F(ProcessorTest, IsLearntFromTheGuestThatRuns) {
    EXPECT_TRUE(learn());
    EXPECT_EQ(monitor_.asked(), kQuestions);
    ASSERT_TRUE(domain_->incarnation->cpu);
    EXPECT_EQ(domain_->incarnation->cpu->features, (CpuFeatures{"sse2", "x2apic"}));
    EXPECT_TRUE(domain_->incarnation->live.running_cpu);
    ASSERT_NE(emulators_.known_cpu(kEmulator, "tcg pc qemu64"), nullptr);
    EXPECT_EQ(emulators_.known_cpu(kEmulator, "tcg pc qemu64")->features, CpuFeatures{"sse2"});
}

// A daemon that starts again asks an adopted QEMU, and the outcome of its migration may come first:
// segued ended with a null pointer, and left its emulators behind.
class ProcessorOfALeavingGuest : public ProcessorTest, public testing::WithParamInterface<int> {};

TEST_P(ProcessorOfALeavingGuest, IsAskedNothingMore) {
    const auto last = static_cast<std::size_t>(GetParam());
    std::unique_ptr<Incarnation> departing;  // its QEMU still answers
    on_question_ = [&] {
        if (monitor_.asked() == last) departing = domain_->take_incarnation();
    };
    EXPECT_TRUE(learn());
    EXPECT_EQ(monitor_.asked(), last);
    EXPECT_FALSE(domain_->incarnation);
    ASSERT_TRUE(departing);
    EXPECT_FALSE(departing->cpu);
    EXPECT_FALSE(departing->live.running_cpu);
    EXPECT_EQ(emulators_.known_cpu(kEmulator, "tcg pc qemu64,x2apic=on"), nullptr);
}

INSTANTIATE_TEST_SUITE_P(AfterEachQuestion, ProcessorOfALeavingGuest,
                         testing::Range(1, static_cast<int>(kQuestions) + 1));

}  // namespace
}  // namespace segue
