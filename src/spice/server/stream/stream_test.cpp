// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>
#include <spice/enums.h>
#include <spice/stream-device.h>

#include "net/test_loop.h"
#include "spice/server/chardev/char_devices.h"
#include "spice/server/chardev/fake_char_device.h"
#include "spice/server/stream/stream_channel.h"
#include "spice/wire/port.schema.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;
using wire::ChannelType;
using wire::port::PortEvent;

// --- What an agent says, as spice-streaming-agent writes the structs of stream-device.h ----------

template <class Body>
Bytes said(std::uint16_t type, const Body& body, const Bytes& behind = {}) {
    StreamDevHeader header{};
    header.protocol_version = STREAM_DEVICE_PROTOCOL;
    header.type = type;
    header.size = static_cast<std::uint32_t>(sizeof body + behind.size());
    Bytes bytes(sizeof header + sizeof body);
    std::memcpy(bytes.data(), &header, sizeof header);
    std::memcpy(bytes.data() + sizeof header, &body, sizeof body);
    bytes.insert(bytes.end(), behind.begin(), behind.end());
    return bytes;
}
Bytes format(std::uint32_t width, std::uint32_t height,
             std::uint8_t codec = SPICE_VIDEO_CODEC_TYPE_MJPEG) {
    StreamMsgFormat message{};
    message.width = width;
    message.height = height;
    message.codec = codec;
    return said(STREAM_TYPE_FORMAT, message);
}
Bytes frame(const Bytes& data) {
    LittleWriter writer;
    writer.u8(STREAM_DEVICE_PROTOCOL);
    writer.u8(0);
    writer.u16(STREAM_TYPE_DATA);
    writer.u32(static_cast<std::uint32_t>(data.size()));
    writer.bytes(data);
    return writer.take();
}
Bytes cursor_set(std::uint16_t side, std::uint8_t type, std::size_t bytes) {
    StreamMsgCursorSet message{};
    message.width = message.height = side;
    message.hot_spot_x = 2;
    message.type = type;
    return said(STREAM_TYPE_CURSOR_SET, message, Bytes(bytes, 7));
}
Bytes origin(const std::string& address) {
    StreamMsgDeviceDisplayInfo message{};
    message.stream_id = 3;
    message.device_display_id = 1;
    message.device_address_len = static_cast<std::uint32_t>(address.size() + 1);
    Bytes text(address.begin(), address.end());
    text.push_back(0);
    return said(STREAM_TYPE_DEVICE_DISPLAY_INFO, message, text);
}

// --- The reader ---------------------------------------------------------------------------------

TEST(StreamReaderTest, EveryMessageComesOutHoweverItIsCut) {
    Bytes all;
    for (const Bytes& part :
         {format(640, 480), frame(numbered(500)), cursor_set(4, SPICE_CURSOR_TYPE_COLOR32, 66),
          origin("pci/0000/02.0"), frame({}),
          said(STREAM_TYPE_CURSOR_MOVE, StreamMsgCursorMove{-70000, 12}),
          said(STREAM_TYPE_CAPABILITIES, std::uint8_t{1})})
        all.insert(all.end(), part.begin(), part.end());
    for (const std::size_t step : {std::size_t{1}, std::size_t{7}, std::size_t{64}, all.size()}) {
        StreamReader reader;
        std::vector<StreamMessage> messages;
        for (std::size_t at = 0; at < all.size(); at += step) {
            ByteView piece = ByteView(all).subspan(at, std::min(step, all.size() - at));
            while (true) {
                auto message = reader.feed(piece);
                ASSERT_TRUE(message);
                if (!*message) break;
                messages.push_back(std::move(**message));
            }
            EXPECT_TRUE(piece.empty());
        }
        ASSERT_EQ(messages.size(), 7u);
        EXPECT_EQ(std::get<StreamFormat>(messages[0]).width, 640u);
        EXPECT_EQ(std::get<StreamFrame>(messages[1]).data, numbered(500));
        const auto& set = std::get<CursorCommand>(messages[2]);
        EXPECT_EQ(set.shape->hot_spot_x, 2);
        EXPECT_EQ(set.shape->data.size(), 66u);
        EXPECT_EQ(std::get<StreamOrigin>(messages[3]).address, "pci/0000/02.0");
        EXPECT_TRUE(std::get<StreamFrame>(messages[4]).data.empty());
        EXPECT_EQ(std::get<CursorCommand>(messages[5]).x, INT16_MIN);
        EXPECT_EQ(std::get<CursorCommand>(messages[5]).y, 12);
        EXPECT_EQ(std::get<StreamCapabilities>(messages[6]).bits, Bytes{1});
    }
}

TEST(StreamReaderTest, WhatNoAgentSaysIsRefused) {
    Bytes old = format(8, 8);
    old[0] = 2;
    Bytes vast = frame({});
    store<ByteOrder::little>(vast.data() + 4, StreamReader::kMostFrame + 1);
    Bytes far = origin("pci/0000/02.0");
    store<ByteOrder::little>(far.data() + 16, std::uint32_t{15});
    const Bytes refused[] = {
        old,
        vast,
        far,
        format(0, 8),
        format(8, 0xffffffff),
        format(8, 8, 0),
        format(8, 8, SPICE_VIDEO_CODEC_TYPE_ENUM_END),
        said(STREAM_TYPE_FORMAT, std::uint32_t{0}),
        said(STREAM_TYPE_START_STOP, std::uint32_t{0}),
        said(STREAM_TYPE_QUALITY_INDICATOR, std::uint32_t{0}),
        said(STREAM_TYPE_CURSOR_MOVE, std::uint32_t{0}),
        cursor_set(4, SPICE_CURSOR_TYPE_COLOR32, 65),
        cursor_set(4, SPICE_CURSOR_TYPE_MONO, 66),
        cursor_set(1025, SPICE_CURSOR_TYPE_ALPHA, 0),
        said(STREAM_TYPE_CAPABILITIES, std::uint8_t{0}, Bytes(StreamReader::kMostCapabilities)),
        said(99, std::uint32_t{0}),
    };
    for (const Bytes& bytes : refused) {
        StreamReader reader;
        ByteView view = bytes;
        EXPECT_FALSE(reader.feed(view)) << +bytes[2];
    }
}

// --- The device and its channels ----------------------------------------------------------------

class StreamTest : public testing::Test {
  protected:
    void SetUp() override {
        guest_.subtype = "port";
        guest_.port_name = StreamDevice::kPortName;
        CharDevices::Hooks hooks;
        hooks.agent.on_change = [] {};
        hooks.agent.graphics_devices = [] { return Bytes{}; };
        hooks.on_channel_added = [this](ChannelKey key) { added_.push_back(key); };
        hooks.on_channel_gone = [this](ChannelKey key) { gone_.push_back(key); };
        hooks.is_display = [](std::uint8_t id) { return id == 0; };
        hooks.media_time = [] { return 77u; };
        devices_ = std::make_unique<CharDevices>(*loop_, std::move(hooks));
        devices_->set_running(true);
        handle_ = devices_->add(std::make_unique<FakeCharDevice>(guest_)).value();
    }
    void tell(PortEvent event) { handle_->port_event(static_cast<std::uint8_t>(event)); }
    void open() { tell(PortEvent::opened); }
    void says(const Bytes& bytes) {
        guest_.says.insert(guest_.says.end(), bytes.begin(), bytes.end());
        handle_->wakeup();
    }
    std::unique_ptr<Channel> link(ChannelType type, FakeOutput& output,
                                  std::initializer_list<display::Capability> caps = {}) {
        ChannelSetup setup;
        setup.key = {type, 1};
        for (const display::Capability cap : caps)
            setup.client_caps.add(cap);
        auto made = devices_->make_channel(setup, output, true);
        if (made) made->start();
        return made;
    }
    // What the guest's agent was told since it was last asked, by type.
    std::vector<std::uint16_t> told() {
        std::vector<std::uint16_t> types;
        LittleReader reader(guest_.taken);
        while (reader.remaining() > 0) {
            EXPECT_EQ(reader.u8(), STREAM_DEVICE_PROTOCOL);
            reader.u8();
            types.push_back(reader.u16());
            const ByteView body = reader.bytes(reader.u32());
            last_told_.assign(body.begin(), body.end());
            EXPECT_TRUE(reader.ok());
            if (!reader.ok()) break;
        }
        guest_.taken.clear();
        return types;
    }
    static std::vector<std::uint16_t> numbers(FakeOutput& output) {
        std::vector<std::uint16_t> all;
        for (const auto& message : output.messages)
            all.push_back(message.number);
        output.messages.clear();
        return all;
    }
    using Numbers = std::vector<std::uint16_t>;

    net::TestLoop loop_;
    FakeGuest guest_;
    std::vector<ChannelKey> added_, gone_;
    std::unique_ptr<CharDevices> devices_;
    DeviceHandle* handle_ = nullptr;
    Bytes last_told_;
};

constexpr std::uint16_t kSetAck = 3;

TEST_F(StreamTest, AnAgentThatComesHasChannelsOfItsOwn) {
    FakeOutput output;
    EXPECT_EQ(link(ChannelType::display, output), nullptr);
    EXPECT_TRUE(guest_.connected);
    open();
    const std::vector<ChannelKey> expected{{ChannelType::display, 1}, {ChannelType::cursor, 1}};
    EXPECT_EQ(added_, expected) << "0 is a display's";
    EXPECT_EQ(told(), Numbers{STREAM_TYPE_CAPABILITIES});
    std::vector<ChannelKey> listed;
    devices_->list_channels(listed);
    EXPECT_EQ(listed, expected);
    devices_->remove(handle_);
    EXPECT_EQ(gone_, expected);
}

TEST_F(StreamTest, AVideoGoesFromTheAgentToTheClient) {
    open();
    told();
    FakeOutput output;
    auto channel = link(ChannelType::display, output,
                        {display::Capability::monitors_config, display::Capability::multi_codec,
                         display::Capability::codec_h264, display::Capability::stream_report});
    EXPECT_EQ(told(), Numbers{STREAM_TYPE_START_STOP});
    EXPECT_EQ(last_told_, (Bytes{2, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_VIDEO_CODEC_TYPE_H264}));
    EXPECT_EQ(numbers(output), (Numbers{kSetAck, display::InvalAllPalettes::kFromServer}));
    says(frame(numbered(10)));
    EXPECT_TRUE(numbers(output).empty()) << "of no stream";

    says(format(640, 480, SPICE_VIDEO_CODEC_TYPE_H264));
    const auto surface = output.take<display::SurfaceCreate>();
    ASSERT_TRUE(surface);
    EXPECT_EQ(surface->width, 640u);
    EXPECT_EQ(surface->flags,
              display::SurfaceFlags::primary | display::SurfaceFlags::streaming_mode);
    const auto stream = output.take<display::StreamCreate>();
    ASSERT_TRUE(stream);
    EXPECT_EQ(stream->codec, display::VideoCodec::h264);
    EXPECT_EQ(stream->destination.bottom, 480);
    EXPECT_EQ(numbers(output),
              (Numbers{display::MonitorsConfig::kFromServer, display::DrawFill::kFromServer,
                       display::Mark::kFromServer, display::StreamActivateReport::kFromServer}));
    says(frame(numbered(100000)));
    const auto data = output.take<display::StreamData>();
    ASSERT_TRUE(data);
    EXPECT_EQ(data->id, stream->id);
    EXPECT_EQ(data->multi_media_time, 77u);
    EXPECT_EQ(data->data.contiguous().view().size(), 100000u);

    // Another size: another surface.
    says(format(320, 200));
    EXPECT_EQ(
        numbers(output),
        (Numbers{display::StreamDestroy::kFromServer, display::SurfaceDestroy::kFromServer,
                 display::SurfaceCreate::kFromServer, display::MonitorsConfig::kFromServer,
                 display::DrawFill::kFromServer, display::Mark::kFromServer,
                 display::StreamCreate::kFromServer, display::StreamActivateReport::kFromServer}));
    tell(PortEvent::closed);
    EXPECT_EQ(numbers(output),
              (Numbers{display::StreamDestroy::kFromServer, display::SurfaceDestroy::kFromServer}));
    EXPECT_TRUE(told().empty());
    open();
    EXPECT_EQ(told(), (Numbers{STREAM_TYPE_CAPABILITIES, STREAM_TYPE_START_STOP}));
    EXPECT_EQ(added_.size(), 2u) << "the same channels";
    channel.reset();
    EXPECT_EQ(told(), Numbers{STREAM_TYPE_START_STOP});
    EXPECT_EQ(last_told_, Bytes{0}) << "nobody looks";
}

TEST_F(StreamTest, AClientThatIsSlowMakesTheAgentWait) {
    open();
    FakeOutput output;
    auto channel = link(ChannelType::display, output);
    says(format(64, 64));
    output.messages.clear();
    output.blocked = true;
    says(frame(numbered(1000)));
    EXPECT_FALSE(guest_.says.empty());
    EXPECT_TRUE(output.messages.empty());
    output.blocked = false;
    channel->on_room();
    EXPECT_TRUE(guest_.says.empty());
    EXPECT_TRUE(output.take<display::StreamData>());
    // Nor does one that has gone hold the others up.
    FakeOutput other;
    auto second = link(ChannelType::display, other);
    output.blocked = other.blocked = true;
    says(frame(numbered(1000)));
    EXPECT_FALSE(guest_.says.empty());
    other.blocked = false;
    channel.reset();
    EXPECT_TRUE(guest_.says.empty());
    EXPECT_TRUE(other.take<display::StreamData>());
}

TEST_F(StreamTest, AClientThatIsSlowStopsNobodyElse) {
    open();
    FakeOutput output, slow;
    auto channel = link(ChannelType::display, output);
    auto second = link(ChannelType::display, slow);
    says(format(64, 64));
    output.messages.clear();
    slow.messages.clear();
    slow.blocked = true;
    says(frame(numbered(1000)));
    EXPECT_TRUE(output.take<display::StreamData>());
    EXPECT_TRUE(slow.take<display::StreamData>()) << "a little may wait for it";
    slow.waits = 1u << 20;
    says(frame(numbered(1000)));
    says(format(32, 32));
    says(frame(numbered(1000)));
    EXPECT_TRUE(guest_.says.empty());
    EXPECT_TRUE(output.take<display::StreamData>());
    EXPECT_TRUE(output.take<display::StreamData>());
    EXPECT_TRUE(slow.messages.empty()) << "what it cannot take is nowhere kept";
    // It goes on with the newest picture: each of this codec stands for itself.
    slow.blocked = false;
    second->on_room();
    const auto surface = slow.take<display::SurfaceCreate>();
    ASSERT_TRUE(surface);
    EXPECT_EQ(surface->width, 32u);
    const auto stream = slow.take<display::StreamCreate>();
    ASSERT_TRUE(stream);
    says(frame(numbered(20)));
    const auto data = slow.take<display::StreamData>();
    ASSERT_TRUE(data);
    EXPECT_EQ(data->id, stream->id);
}

TEST_F(StreamTest, AClientThatMissedAFrameIsGivenAVideoThatBegins) {
    open();
    FakeOutput output, slow;
    auto channel = link(ChannelType::display, output, {display::Capability::codec_h264});
    auto second = link(ChannelType::display, slow, {display::Capability::codec_h264});
    says(format(64, 64, SPICE_VIDEO_CODEC_TYPE_H264));
    slow.blocked = true;
    slow.waits = 1u << 20;
    says(frame(numbered(1000)));
    slow.messages.clear();
    told();
    slow.blocked = false;
    second->on_room();
    EXPECT_EQ(told(), (Numbers{STREAM_TYPE_START_STOP, STREAM_TYPE_START_STOP}));
    EXPECT_EQ(last_told_, (Bytes{2, SPICE_VIDEO_CODEC_TYPE_MJPEG, SPICE_VIDEO_CODEC_TYPE_H264}));
    says(frame(numbered(1000)));
    EXPECT_TRUE(slow.messages.empty()) << "it could not decode that";
    second->on_room();
    EXPECT_TRUE(told().empty()) << "asked for once";
    says(format(64, 64, SPICE_VIDEO_CODEC_TYPE_H264));
    says(frame(numbered(1000)));
    EXPECT_TRUE(slow.take<display::StreamCreate>());
    EXPECT_TRUE(slow.take<display::StreamData>());
}

TEST_F(StreamTest, WhoComesLaterSeesTheSurfaceAndWaitsForTheNextVideo) {
    open();
    FakeOutput output, other;
    auto channel = link(ChannelType::display, output);
    says(format(64, 64, SPICE_VIDEO_CODEC_TYPE_VP8));
    told();
    auto second = link(ChannelType::display, other);
    EXPECT_TRUE(other.take<display::SurfaceCreate>());
    EXPECT_EQ(told(), (Numbers{STREAM_TYPE_START_STOP, STREAM_TYPE_START_STOP}));
    says(frame(numbered(10)));
    EXPECT_FALSE(other.take<display::StreamData>());
    says(format(64, 64, SPICE_VIDEO_CODEC_TYPE_VP8));
    says(frame(numbered(10)));
    EXPECT_TRUE(other.take<display::StreamData>());
    EXPECT_FALSE(other.take<display::SurfaceCreate>());
}

TEST_F(StreamTest, WhoComesLaterSeesAVideoOfWholePicturesAtOnce) {
    open();
    FakeOutput output, other;
    auto channel = link(ChannelType::display, output);
    says(format(64, 64));
    auto second = link(ChannelType::display, other);
    EXPECT_TRUE(other.take<display::SurfaceCreate>());
    says(frame(numbered(10)));
    EXPECT_TRUE(other.take<display::StreamData>());
}

TEST_F(StreamTest, ThePointerIsTheAgents) {
    open();
    FakeOutput output;
    auto channel = link(ChannelType::cursor, output);
    output.messages.clear();
    says(cursor_set(4, SPICE_CURSOR_TYPE_ALPHA, 64));
    const auto set = output.take<wire::cursor::Set>();
    ASSERT_TRUE(set);
    EXPECT_EQ(set->cursor.header.width, 4);
    says(said(STREAM_TYPE_CURSOR_MOVE, StreamMsgCursorMove{5, 6}));
    const auto move = output.take<wire::cursor::Move>();
    ASSERT_TRUE(move);
    EXPECT_EQ(move->position.y, 6);
    devices_->remove(handle_);
    channel->on_room();
}

TEST_F(StreamTest, AnAgentThatBreaksItsProtocolIsToldAndClosed) {
    open();
    told();
    FakeOutput output;
    auto channel = link(ChannelType::display, output);
    told();
    says(said(99, std::uint32_t{0}));
    EXPECT_EQ(told(), Numbers{STREAM_TYPE_NOTIFY_ERROR});
    EXPECT_TRUE(guest_.connected) << "not from inside its own call";
    EXPECT_TRUE(loop_.run_until([&] { return !guest_.connected; }));
    says(format(64, 64));
    EXPECT_TRUE(guest_.says.empty()) << "dropped";
    EXPECT_FALSE(output.take<display::SurfaceCreate>());
    tell(PortEvent::closed);
    EXPECT_TRUE(guest_.connected);
    open();
    says(format(64, 64));
    EXPECT_TRUE(output.take<display::SurfaceCreate>());
}

TEST_F(StreamTest, TheAgentSaysWhichMonitorItShows) {
    open();
    says(origin("pci/0000/02.0"));
    const StreamDevice* stream = devices_->find_stream(1);
    ASSERT_NE(stream, nullptr);
    ASSERT_TRUE(stream->origin());
    EXPECT_EQ(stream->origin()->address, "pci/0000/02.0");
    EXPECT_EQ(stream->origin()->stream, 3u);
}

TEST_F(StreamTest, AMoveEndsTheVideoAndTheTargetAsksForANewOne) {
    open();
    FakeOutput output;
    auto channel = link(ChannelType::display, output);
    says(format(64, 64));
    output.messages.clear();
    channel->migrate();
    EXPECT_EQ(numbers(output), (Numbers{display::StreamDestroy::kFromServer, 1}));
    channel.reset();
    told();
    ChannelSetup setup;
    setup.key = {ChannelType::display, 1};
    setup.expects_data = true;
    auto moved = devices_->make_channel(setup, output, true);
    moved->start();
    EXPECT_EQ(told(), Numbers{STREAM_TYPE_START_STOP});
}

}  // namespace
}  // namespace segue::spice::server
