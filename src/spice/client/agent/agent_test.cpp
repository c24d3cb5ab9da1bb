// SPDX-License-Identifier: LGPL-2.1-or-later
// The client's words with the guest's agent, with the test in the agent's place.
#include "spice/client/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace segue::spice::client {
namespace {

namespace agent = wire::agent;
using agent::Capability;
using agent::ClipboardType;
using agent::FileStatus;
using agent::Selection;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

struct Heard final : AgentListener {
    void on_agent_ready(bool now) override { ready = now; }
    void on_guest_offer(Selection selection, const std::vector<ClipboardType>& types) override {
        offers.emplace_back(selection, types);
    }
    void on_guest_request(Selection selection, ClipboardType) override {
        requests.push_back(selection);
    }
    void on_guest_clipboard(Selection, ClipboardType, ByteView data) override {
        text = as_text(data);
    }
    void on_file_wanted(std::uint32_t, std::size_t size) override { wanted.push_back(size); }
    void on_file_over(std::uint32_t, FileStatus result) override { over = result; }

    bool ready = false;
    std::vector<std::pair<Selection, std::vector<ClipboardType>>> offers;
    std::vector<Selection> requests;
    std::string text;
    std::vector<std::size_t> wanted;
    std::optional<FileStatus> over;
};

class AgentTest : public testing::Test {
  protected:
    struct Said {
        std::uint32_t type;
        Bytes body;
    };

    template <class Message>
    void say(const Message& message, Bytes prefix = {}) {
        const Bytes body = wire::encode(0, message).body();
        prefix.insert(prefix.end(), body.begin(), body.end());
        const Bytes bytes = AgentStream::frame(Message::kFromServer, prefix);
        // In odd pieces, as the guest's port may cut them.
        for (std::size_t at = 0; at < bytes.size(); at += 7)
            agent_.on_data(
                ByteView(bytes).subspan(at, std::min<std::size_t>(7, bytes.size() - at)));
    }
    void arrive(std::initializer_list<Capability> capabilities) {
        agent_.on_connected(true);
        say(agent::AnnounceCapabilities{0, wire::Capabilities::of(capabilities).words()});
        said_.clear();
    }
    // A text that comes from the guest, and the same one toward it.
    void give_and_take(std::string_view text, bool passes) {
        heard_.text.clear();
        agent::Clipboard message;
        message.type = ClipboardType::utf8_text;
        message.data.append(wire::SharedBytes::copy(as_bytes(text)));
        say(message);
        EXPECT_EQ(heard_.text, passes ? text : "");
        said_.clear();
        agent_.send_clipboard(Selection::clipboard, ClipboardType::utf8_text, as_bytes(text));
        ASSERT_EQ(said_.size(), 1u);
        // The type alone, or with the text.
        EXPECT_EQ(said_[0].body.size(), passes ? 4 + text.size() : 4);
    }
    std::vector<std::uint32_t> types() {
        std::vector<std::uint32_t> result;
        for (const Said& each : std::exchange(said_, {}))
            result.push_back(each.type);
        return result;
    }

    Heard heard_;
    std::vector<Said> said_;
    AgentStream sent_;
    Agent agent_{[this](ByteView bytes) -> Result<> {
                     return sent_.feed(bytes, [this](const AgentStream::Message& message) {
                         const ByteView body = message.body.view();
                         said_.push_back({message.type, Bytes(body.begin(), body.end())});
                     });
                 },
                 heard_};
};

constexpr auto kAllOfTheClipboard = {Capability::clipboard_by_demand,
                                     Capability::clipboard_selection,
                                     Capability::clipboard_grab_serial};

TEST_F(AgentTest, AnnouncesItselfAndAsksForTheSame) {
    agent_.on_connected(true);
    ASSERT_EQ(said_.size(), 1u);
    EXPECT_EQ(said_[0].type, agent::AnnounceCapabilities::kFromClient);
    EXPECT_EQ(said_[0].body[0], 1) << "a request";
    EXPECT_FALSE(heard_.ready);
    say(agent::AnnounceCapabilities{1, {}});
    EXPECT_TRUE(heard_.ready);
    ASSERT_EQ(said_.size(), 2u);
    EXPECT_EQ(said_[1].body[0], 0) << "an answer, not a request";
    agent_.on_connected(false);
    EXPECT_FALSE(heard_.ready);
}

TEST_F(AgentTest, ClipboardMessagesNameTheirSelectionWhereBothCan) {
    arrive(kAllOfTheClipboard);
    agent_.offer_clipboard(Selection::primary, {ClipboardType::utf8_text});
    ASSERT_EQ(said_.size(), 1u);
    EXPECT_THAT(said_[0].body, ElementsAre(1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0));
    said_.clear();
    say(agent::ClipboardRequest{ClipboardType::utf8_text}, {1, 0, 0, 0});
    EXPECT_THAT(heard_.requests, ElementsAre(Selection::primary));
    agent_.send_clipboard(Selection::primary, ClipboardType::utf8_text, as_bytes("hi"));
    EXPECT_THAT(said_[0].body, ElementsAre(1, 0, 0, 0, 1, 0, 0, 0, 'h', 'i'));
}

TEST_F(AgentTest, AnOldAgentHasOneClipboardWithoutANumber) {
    arrive({Capability::clipboard_by_demand});
    agent_.offer_clipboard(Selection::primary, {ClipboardType::utf8_text});
    EXPECT_THAT(types(), IsEmpty());
    agent_.offer_clipboard(Selection::clipboard, {ClipboardType::utf8_text});
    ASSERT_EQ(said_.size(), 1u);
    EXPECT_THAT(said_[0].body, ElementsAre(1, 0, 0, 0));
    say(agent::Clipboard{ClipboardType::utf8_text, wire::SharedBytes::copy(as_bytes("abc"))});
    EXPECT_EQ(heard_.text, "abc");
}

TEST_F(AgentTest, WhoGrabsFirstHasTheClipboard) {
    arrive(kAllOfTheClipboard);
    const Bytes zero = {0, 0, 0, 0, 0, 0, 0, 0};
    agent_.offer_clipboard(Selection::clipboard, {ClipboardType::utf8_text});
    say(agent::ClipboardGrab{{ClipboardType::utf8_text}}, zero);
    EXPECT_THAT(heard_.offers, IsEmpty()) << "the guest had not seen ours yet";
    say(agent::ClipboardGrab{{ClipboardType::utf8_text}}, {0, 0, 0, 0, 1, 0, 0, 0});
    EXPECT_EQ(heard_.offers.size(), 1u);
    say(agent::ClipboardRelease{}, {0, 0, 0, 0});
    EXPECT_EQ(heard_.offers.size(), 2u);
    EXPECT_THAT(heard_.offers[1].second, IsEmpty());
}

TEST_F(AgentTest, EndsOfLinesAreTheGuests) {
    arrive({Capability::clipboard_by_demand, Capability::guest_lineend_crlf});
    agent_.send_clipboard(Selection::clipboard, ClipboardType::utf8_text, as_bytes("a\nb\r\nc"));
    EXPECT_EQ(as_text(ByteView(said_[0].body).subspan(4)), "a\r\nb\r\nc");
    say(agent::Clipboard{ClipboardType::utf8_text, wire::SharedBytes::copy(as_bytes("x\r\ny\r"))});
    EXPECT_EQ(heard_.text, "x\ny\r");
}

TEST_F(AgentTest, MonitorsAreToldToEachAgentThatComes) {
    agent_.set_monitors({{600, 800, 32, 0, 0}});
    EXPECT_THAT(types(), IsEmpty());
    agent_.on_connected(true);
    said_.clear();
    say(agent::AnnounceCapabilities{0,
                                    wire::Capabilities::of({Capability::monitors_config}).words()});
    EXPECT_THAT(types(), ElementsAre(agent::MonitorsConfig::kFromClient));
}

TEST_F(AgentTest, AFileGoesPieceByPiece) {
    arrive({Capability::file_xfer_detailed_errors});
    const std::uint32_t id = agent_.files().start("a\nb.txt", FileTransfers::kPiece + 5).value();
    ASSERT_EQ(said_.size(), 1u);
    EXPECT_EQ(as_text(ByteView(said_[0].body).subspan(4)),
              std::string("[vdagent-file-xfer]\nname=a\\nb.txt\nsize=65541\n") + '\0');
    EXPECT_THAT(heard_.wanted, IsEmpty());
    say(agent::FileXferStatus{id, FileStatus::can_send_data, {}});
    EXPECT_THAT(heard_.wanted, ElementsAre(FileTransfers::kPiece));
    agent_.on_drained();
    EXPECT_EQ(heard_.wanted.size(), 1u) << "one piece at a time";
    // The test's own stream takes no long messages, so the pieces are not looked at here.
    agent_.files().give(id, Bytes(FileTransfers::kPiece));
    agent_.on_drained();
    EXPECT_THAT(heard_.wanted, ElementsAre(FileTransfers::kPiece, 5u));
    agent_.files().give(id, Bytes(5));
    agent_.on_drained();
    EXPECT_EQ(heard_.wanted.size(), 2u);
    say(agent::FileXferStatus{id, FileStatus::success, {}});
    EXPECT_EQ(heard_.over, FileStatus::success);
    EXPECT_TRUE(agent_.files().empty());
}

TEST_F(AgentTest, AFileThatShrinksOrAnAgentThatLeavesEndsIt) {
    arrive({});
    const std::uint32_t id = agent_.files().start("f", 10).value();
    say(agent::FileXferStatus{id, FileStatus::can_send_data, {}});
    agent_.files().give(id, Bytes());
    EXPECT_EQ(heard_.over, FileStatus::cancelled);
    ASSERT_TRUE(agent_.files().start("g", 10));
    agent_.on_connected(false);
    EXPECT_EQ(heard_.over, FileStatus::vdagent_not_connected);
    EXPECT_FALSE(agent_.files().start("../g", 10)) << "a path";
}

TEST_F(AgentTest, StrangeMessagesAreSkippedAndStrangeStreamsEnd) {
    arrive(kAllOfTheClipboard);
    for (std::uint32_t type : {2u, 5u, 9u, 99u, 0x12345u})
        agent_.on_data(AgentStream::frame(type, Bytes(type == 9 ? 1 : 3)));
    // Longer than a list of numbers may be.
    agent_.on_data(AgentStream::frame(agent::ClipboardGrab::kFromServer, Bytes(20000)));
    say(agent::ClipboardRequest{ClipboardType::utf8_text}, {0, 0, 0, 0});
    EXPECT_EQ(heard_.requests.size(), 1u) << "still in step";
    agent_.on_data(Bytes(64, 0xee));
    say(agent::ClipboardRequest{ClipboardType::utf8_text}, {0, 0, 0, 0});
    EXPECT_EQ(heard_.requests.size(), 1u);
    agent_.on_connected(false);
    arrive(kAllOfTheClipboard);
    say(agent::ClipboardRequest{ClipboardType::utf8_text}, {0, 0, 0, 0});
    EXPECT_EQ(heard_.requests.size(), 2u) << "a new agent is understood again";
}

TEST_F(AgentTest, ContentsBeyondTheLimitStayWhereTheyAre) {
    agent_.limit_clipboard(4);
    agent_.on_connected(true);
    said_.clear();
    say(agent::AnnounceCapabilities{
        0, wire::Capabilities::of({Capability::clipboard_by_demand, Capability::max_clipboard})
               .words()});
    ASSERT_EQ(said_.size(), 1u);
    EXPECT_EQ(said_[0].type, agent::MaxClipboard::kFromClient);
    EXPECT_EQ(said_[0].body, (Bytes{4, 0, 0, 0}));
    give_and_take("four", true);
    give_and_take("longer", false);
}

}  // namespace
}  // namespace segue::spice::client
