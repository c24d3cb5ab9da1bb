// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "cli/invocation.h"
#include "cli/verbs/verbs.h"

namespace segue::cli {
namespace {

Parsed parse(std::vector<const char*> words) {
    words.insert(words.begin(), "segue");
    return parse_arguments(static_cast<int>(words.size()), words.data());
}

TEST(Arguments, TheContractsVerbsAreAllThere) {
    const auto names = verb_names();
    for (const char* name :
         {"list",     "define",  "create",   "start",   "shutdown", "reboot",  "suspend",
          "resume",   "destroy", "undefine", "dumpxml", "info",     "display", "console",
          "migrate",  "job",     "abort",    "resolve", "doctor",   "protect", "unprotect",
          "failover", "status",  "events",   "report"}) {
        EXPECT_NE(std::find(names.begin(), names.end(), name), names.end()) << name;
    }
}

TEST(Arguments, GlobalOptionsMayStandBeforeOrAfterTheVerb) {
    for (const auto& words : {std::vector<const char*>{"-c", "test:///x", "list", "--all"},
                              std::vector<const char*>{"list", "--all", "-c", "test:///x"}}) {
        const Parsed parsed = parse(words);
        ASSERT_TRUE(parsed.invocation);
        EXPECT_EQ(parsed.invocation->uri, "test:///x");
        EXPECT_TRUE(std::get<ListDomains>(parsed.invocation->verb).all);
    }
}

TEST(Arguments, MigrateCollectsItsFlags) {
    const Parsed parsed = parse({"migrate", "vm", "qemu+tcp://b/system", "--persistent",
                                 "--undefinesource", "--screen-wait", "0"});
    ASSERT_TRUE(parsed.invocation);
    const auto& migrate = std::get<Migrate>(parsed.invocation->verb);
    EXPECT_EQ(migrate.flags, 8u | 16u);
    EXPECT_EQ(migrate.screen_wait_ms, 0u);
    EXPECT_EQ(migrate.destination, "qemu+tcp://b/system");
}

TEST(Arguments, SharedStorageIsNeverProtectedUnlessItIsSaid) {
    const auto protect = [](std::vector<const char*> words) {
        words.insert(words.begin(), {"protect", "vm", "--standby", "qemu+tcp://b/system"});
        return std::get<Protect>(parse(words).invocation->verb);
    };
    EXPECT_FALSE(protect({}).shared_storage);
    EXPECT_TRUE(protect({"--shared-storage"}).shared_storage);
}

TEST(Arguments, MigrateTakesVirshsParameters) {
    const Parsed parsed =
        parse({"migrate", "vm", "qemu+tcp://b/system", "--tls-destination", "b", "--comp-methods",
               "xbzrle,mt", "--comp-xbzrle-cache", "4096", "--auto-converge-initial", "30"});
    ASSERT_TRUE(parsed.invocation);
    const auto list = migration_parameters(std::get<Migrate>(parsed.invocation->verb));
    ASSERT_TRUE(list);
    const std::vector<rpc::remote::TypedParameter> expected = {
        {"compression", std::string("xbzrle")},
        {"compression", std::string("mt")},
        {"compression.xbzrle.cache", std::uint64_t{4096}},
        {"auto_converge.initial", std::int32_t{30}},
        {"tls.destination", std::string("b")},
    };
    EXPECT_THAT(*list, testing::UnorderedElementsAreArray(expected));
}

TEST(Arguments, MigrateTakesNumbersAsTheyStandOrNotAtAll) {
    for (const char* wrong : {"-1", "4.5", "0x10", "many", "", "18446744073709551616"}) {
        EXPECT_EQ(parse({"migrate", "vm", "u", "--comp-xbzrle-cache", wrong}).exit_code, 2)
            << wrong;
    }
    EXPECT_EQ(parse({"migrate", "vm", "u", "--comp-mt-level", "2147483648"}).exit_code, 2);
    const Parsed large = parse({"migrate", "vm", "u", "--comp-xbzrle-cache", "8589934592"});
    ASSERT_TRUE(large.invocation);
    const auto list = migration_parameters(std::get<Migrate>(large.invocation->verb));
    ASSERT_TRUE(list);
    const std::vector<rpc::remote::TypedParameter> expected = {
        {"compression.xbzrle.cache", std::uint64_t{8'589'934'592}}};
    EXPECT_EQ(*list, expected);
}

TEST(Arguments, MigrateSaysWhereAndHowFast) {
    const Parsed parsed =
        parse({"migrate", "vm", "u", "--dname", "new", "--migrateuri", "tcp://b", "--graphicsuri",
               "spice://b:1", "--listen-address", "10.0.0.2", "--bandwidth", "8", "--max-downtime",
               "50", "--parallel-connections", "3"});
    ASSERT_TRUE(parsed.invocation);
    const auto list = migration_parameters(std::get<Migrate>(parsed.invocation->verb));
    ASSERT_TRUE(list);
    const std::vector<rpc::remote::TypedParameter> expected = {
        {"destination_name", std::string("new")},
        {"migrate_uri", std::string("tcp://b")},
        {"graphics_uri", std::string("spice://b:1")},
        {"listen_address", std::string("10.0.0.2")},
        {"bandwidth", std::uint64_t{8}},
        {"parallel.connections", std::int32_t{3}},
        {"segue.max_downtime", std::uint64_t{50}},
    };
    EXPECT_THAT(*list, testing::UnorderedElementsAreArray(expected));
}

TEST(Arguments, UsageErrorsAreTwo) {
    EXPECT_EQ(parse({}).exit_code, 2);
    EXPECT_EQ(parse({"migrate", "vm"}).exit_code, 2);
    EXPECT_EQ(parse({"fly", "vm"}).exit_code, 2);
    EXPECT_EQ(parse({"resolve", "vm"}).exit_code, 2) << "one of --runs-here and --runs-there";
    EXPECT_EQ(parse({"failover", "vm", "--planned", "--force"}).exit_code, 2);
    EXPECT_EQ(parse({"events", "--count", "0"}).exit_code, 2);
    EXPECT_EQ(parse({"--help"}).exit_code, 0);
}

TEST(Arguments, UsageErrorsSayWhatIsWrong) {
    const auto said = [](std::vector<const char*> words) {
        testing::internal::CaptureStderr();
        EXPECT_EQ(parse(std::move(words)).exit_code, 2);
        return testing::internal::GetCapturedStderr();
    };
    EXPECT_EQ(said({"-c", "test:///x", "fly", "vm"}),
              "segue: there is no verb 'fly'; `segue --help` names them\n");
    EXPECT_NE(said({"--output", "xml", "list"}).find("must be table or json, not xml"),
              std::string::npos);
    EXPECT_EQ(parse({"--output", "json", "list"}).invocation->output, Output::json);
}

}  // namespace
}  // namespace segue::cli
