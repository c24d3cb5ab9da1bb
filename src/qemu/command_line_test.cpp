// SPDX-License-Identifier: LGPL-2.1-or-later
// Against the command lines that stock libvirt 9.0 started for the same definitions
// (domain/golden/NAME.argv).
#include "qemu/command_line.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "domain/alias.h"
#include "domain/complete.h"

namespace segue {
namespace {

std::string file(const std::string& name) {
    std::ifstream in(std::string(SEGUE_GOLDEN) + "/" + name);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
}

Domain running(const std::string& xml) {
    Domain domain = parse_domain(xml).value();
    SeededRandom random(1);
    EXPECT_TRUE(complete_domain(domain, {.machine = qemu_7_2_machine, .random = random}));
    prepare_to_run(domain, 1);
    return domain;
}

// Members of an object in one order, without what differs by nature between two daemons.
std::string normal(const Json& object) {
    std::map<std::string, std::string> members;
    for (const auto& [key, value] : object.members()) {
        // "backing": null is what stock knows about an image by having read it.
        if (key != "backing") members[key] = value.is_object() ? normal(value) : value.dump();
    }
    std::string out;
    for (const auto& [key, value] : members)
        out += fmt::format("{}={} ", key, value);
    return out;
}

// Numbers of inherited descriptors, one after the other, become "fd=N".
std::string without_descriptor(std::string word) {
    for (std::size_t at = word.find("fd="); at != std::string::npos;
         at = word.find("fd=", at + 3)) {
        std::size_t end = at + 3;
        if (word[end] == '"') ++end;  // in JSON, where it is a text
        while (end < word.size() && std::isdigit(static_cast<unsigned char>(word[end])))
            ++end;
        if (end < word.size() && word[end] == '"') ++end;
        word.replace(at, end - at, "fd=N");
    }
    return word;
}

// Option and value in one line each; options in their order.
std::vector<std::string> lines_of(const std::vector<std::string>& arguments) {
    std::vector<std::string> out;
    for (std::size_t index = 0; index < arguments.size(); ++index) {
        std::string word = arguments[index];
        if (word.starts_with("{")) word = normal(Json::parse(word).value());
        word = without_descriptor(std::move(word));
        const bool is_option = word.starts_with("-") && index > 0;
        if (is_option || index == 0) {
            out.push_back(std::move(word));
        } else {
            out.back() += " " + word;
        }
    }
    // Stock's key for its secrets; we have none on the command line.
    std::erase_if(out, [](const std::string& line) {
        return line.find("qom-type=\"secret\"") != std::string::npos;
    });
    return out;
}

std::vector<std::string> golden_lines(const std::string& name) {
    std::vector<std::string> words;
    std::istringstream in(file(name + ".argv"));
    for (std::string word; std::getline(in, word);)
        words.push_back(word);
    return lines_of(words);
}

class GoldenCommandLine : public testing::TestWithParam<const char*> {};

TEST_P(GoldenCommandLine, IsStockLibvirts) {
    const std::string name = GetParam();
    Domain domain = running(file(name + ".in.xml"));
    std::uint16_t port = 5900;
    const GraphicsPorts ports{.next = [&] { return Result<std::uint16_t>(port++); },
                              // As the daemon that was recorded listened.
                              .default_address = name == "virtinst" ? "10.9.9.1" : "127.0.0.1",
                              .tls = name == "direct"};
    ASSERT_TRUE(fill_ports(domain, ports));
    const auto line =
        build_command_line(domain, {.directory = "/run/x", .x509_directory = "/srv/golden/pki"});
    ASSERT_TRUE(line) << line.error().message;
    EXPECT_EQ(lines_of(line->arguments), golden_lines(name));
}

INSTANTIATE_TEST_SUITE_P(Libvirt, GoldenCommandLine,
                         testing::Values("minimal", "direct", "full", "vnc", "bochs", "hub",
                                         "cirrus", "q35", "q35bare", "q35ports", "scsi", "block",
                                         "bridge", "cpu", "virtinst", "console", "consoles"),
                         [](const auto& value) { return std::string(value.param); });

TEST(CommandLine, NothingSecretStandsOnIt) {
    const Domain domain = running(file("full.in.xml"));
    const auto line = build_command_line(domain, {.directory = "/d", .x509_directory = "/pki"});
    for (const std::string& word : line->arguments)
        EXPECT_EQ(word.find("sekret"), std::string::npos) << word;
    ASSERT_EQ(line->after_start.size(), 4U);
    EXPECT_EQ(line->after_start[0].name, "set_link");
    EXPECT_EQ(line->after_start[1].arguments.dump(), R"({"protocol":"spice","password":"sekret"})");
    EXPECT_EQ(line->after_start[2].arguments.dump(), R"({"protocol":"spice","time":"1893456000"})");
    EXPECT_EQ(line->after_start[3].name, "qom-set");
}

// As stock: an empty ticket is no open door.
TEST(CommandLine, AnEmptyTicketLetsNobodyIn) {
    Domain domain = running(file("full.in.xml"));
    ASSERT_FALSE(domain.graphics.empty());
    domain.graphics[0].password = "";
    const auto line = build_command_line(domain, {.directory = "/d", .x509_directory = "/pki"});
    ASSERT_EQ(line->after_start.size(), 4U);
    EXPECT_EQ(line->after_start[1].arguments.dump(), R"({"protocol":"spice","password":""})");
    EXPECT_EQ(line->after_start[2].arguments.dump(), R"({"protocol":"spice","time":"now"})");
    for (const std::string& word : line->arguments)
        EXPECT_EQ(word.find("disable-ticketing"), std::string::npos) << word;
}

TEST(CommandLine, SaysWhatIsInherited) {
    const Domain domain = running(file("full.in.xml"));
    const auto line = build_command_line(domain, {.directory = "/d", .x509_directory = "/pki"});
    std::vector<std::string> found;
    for (const InheritedFile& inherited : line->inherited)
        found.push_back(fmt::format("{} {} {}", inherited.number, static_cast<int>(inherited.kind),
                                    inherited.path));
    EXPECT_EQ(found, (std::vector<std::string>{"3 0 /d/monitor.sock", "4 1 /srv/golden/serial.log",
                                               "5 0 /srv/golden/s.sock", "6 0 /srv/golden/ga.sock",
                                               "7 0 /d/org.qemu.guest_agent.1"}));
    EXPECT_EQ(line->environment.size(), 1U);
}

TEST(CommandLine, AnIncomingMachineEmptiesNoFile) {
    const Domain domain = running(
        "<domain type='qemu'><name>a,b</name><memory>65536</memory><os><type>hvm</type></os>"
        "<devices><serial type='file'><source path='/s'/></serial></devices></domain>");
    auto line = build_command_line(domain, {.directory = "/d"});
    EXPECT_EQ(line->inherited[1].kind, InheritedFile::Kind::truncate);
    EXPECT_EQ(line->arguments[2], "guest=a,,b,debug-threads=on");
    line = build_command_line(domain, {.directory = "/d", .incoming = true});
    EXPECT_EQ(line->inherited[1].kind, InheritedFile::Kind::keep);
    const auto& words = line->arguments;
    EXPECT_NE(std::find(words.begin(), words.end(), "defer"), words.end());
}

TEST(CommandLine, TlsNeedsCertificates) {
    const Domain domain = running(file("full.in.xml"));
    const auto line = build_command_line(domain, {.directory = "/d"});
    EXPECT_EQ(line.error().code, ErrorCode::config_unsupported);
}

}  // namespace
}  // namespace segue
