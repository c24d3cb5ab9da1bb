// SPDX-License-Identifier: LGPL-2.1-or-later
// The generated messages: numbers as in spice-protocol, round trips, truncation, limits.
#include <gtest/gtest.h>
#include <spice/enums.h>
#include <spice/protocol.h>
#include <spice/vd_agent.h>

#include "spice/wire/agent.schema.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/cursor.schema.h"
#include "spice/wire/display.schema.h"
#include "spice/wire/inputs.schema.h"
#include "spice/wire/main.schema.h"
#include "spice/wire/playback.schema.h"
#include "spice/wire/port.schema.h"
#include "spice/wire/record.schema.h"
#include "spice/wire/smartcard.schema.h"
#include "spice/wire/spicevmc.schema.h"

namespace segue::spice::wire {
namespace {

TEST(Messages, NumbersAreThoseOfSpiceProtocol) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#define SEGUE_NUMBER(ours, theirs) \
    EXPECT_EQ(static_cast<std::int64_t>(ours), static_cast<std::int64_t>(theirs)) << #ours;
#include "spice/wire/agent.schema.numbers.inc"
#include "spice/wire/common.schema.numbers.inc"
#include "spice/wire/cursor.schema.numbers.inc"
#include "spice/wire/display.schema.numbers.inc"
#include "spice/wire/drawing.schema.numbers.inc"
#include "spice/wire/inputs.schema.numbers.inc"
#include "spice/wire/main.schema.numbers.inc"
#include "spice/wire/playback.schema.numbers.inc"
#include "spice/wire/port.schema.numbers.inc"
#include "spice/wire/record.schema.numbers.inc"
#include "spice/wire/smartcard.schema.numbers.inc"
#include "spice/wire/spicevmc.schema.numbers.inc"
#include "spice/wire/types.schema.numbers.inc"
#undef SEGUE_NUMBER
#pragma GCC diagnostic pop
}

// What is written is read back equal, and no part of it is enough.
template <class Message>
void expect_round_trip(const Message& message) {
    const EncodedMessage encoded = encode(0, message);
    ASSERT_EQ(encoded.broken_field, nullptr) << encoded.broken_field;
    const Bytes body = encoded.body();
    EXPECT_EQ(body.size(), encoded.body_size);
    const Result<Message> again = parse<Message>(SharedBytes::borrow(body));
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_TRUE(*again == message) << Message::kName;
    for (std::size_t size = 0; size < body.size(); ++size) {
        const Bytes part(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
        const Result<Message> less = parse<Message>(SharedBytes::borrow(part));
        // Data "up to the end" may be shorter; everything else must be missed.
        EXPECT_FALSE(less && *less == message) << Message::kName << " at " << size;
    }
}

Bytes pattern(std::size_t size) {
    Bytes bytes(size);
    for (std::size_t i = 0; i < size; ++i)
        bytes[i] = static_cast<std::uint8_t>(i * 7 + 1);
    return bytes;
}

display::Image bitmap_image(bool with_palette) {
    display::Image image;
    image.id = 0x1122334455667788;
    image.type = display::ImageType::bitmap;
    image.flags = display::ImageFlags::cache_me;
    image.width = 5;
    image.height = 3;
    display::BitmapData bitmap;
    bitmap.format = display::BitmapFormat::eight_bit;
    bitmap.flags = display::BitmapFlags::top_down;
    bitmap.width = 5;
    bitmap.height = 3;
    bitmap.stride = 8;
    if (with_palette) bitmap.palette = display::Palette{9, {1, 2, 0xffffff}};
    bitmap.data = SharedBytes::take(pattern(24));
    image.data = bitmap;
    return image;
}

display::DrawBase clipped_base() {
    display::DrawBase base;
    base.box = {1, 2, 30, 40};
    base.clip.type = display::ClipType::rects;
    base.clip.rects = {{1, 2, 3, 4}, {5, 6, 7, 8}};
    return base;
}

TEST(Messages, DrawCopyCarriesItsImageByReference) {
    display::DrawCopy copy;
    copy.base = clipped_base();
    copy.source = bitmap_image(true);
    copy.source_area = {0, 0, 3, 5};
    copy.rop = display::Ropd::op_put;
    copy.mask.flags = display::MaskFlags::invers;
    copy.mask.bitmap = bitmap_image(false);
    expect_round_trip(copy);

    const SharedBytes pixels = SharedBytes::take(pattern(24));
    std::get<display::BitmapData>(copy.source.data).data = pixels;
    const EncodedMessage encoded = encode_from_server(copy);
    EXPECT_EQ(encoded.number, SPICE_MSG_DISPLAY_DRAW_COPY);
    ASSERT_EQ(encoded.insertions.size(), 2u);
    EXPECT_EQ(encoded.insertions[0].payload.pieces()[0].data(), pixels.data()) << "no copy";
}

TEST(Messages, AParsedPayloadSharesTheBody) {
    std::optional<main::AgentData> data;
    {
        const main::AgentData sent{SharedBytes::take(pattern(100))};
        const SharedBytes body = SharedBytes::take(encode_from_server(sent).body());
        data = parse<main::AgentData>(body).value();
        EXPECT_EQ(data->data.pieces()[0].data(), body.data());
    }
    EXPECT_EQ(flatten(data->data.pieces()), pattern(100)) << "the payload keeps the body alive";
}

TEST(Messages, EveryDrawOperationRoundTrips) {
    const display::DrawBase base = clipped_base();
    const display::Image image = bitmap_image(true);
    const display::Brush solid{display::BrushType::solid, 0xff00ff, {}};
    const display::Brush patterned{display::BrushType::pattern, 0, {image, {3, 4}}};
    const display::Mask mask{display::MaskFlags::invers, {1, 1}, bitmap_image(false)};
    const display::Mask none{};
    using display::Ropd;
    expect_round_trip(display::DrawFill{base, solid, Ropd::op_put | Ropd::invers_res, none});
    expect_round_trip(display::DrawFill{base, patterned, Ropd::op_xor, mask});
    expect_round_trip(display::DrawOpaque{base, image, {}, solid, Ropd::op_or, {}, mask});
    expect_round_trip(display::DrawBlend{base, image, {}, Ropd::op_and, {}, none});
    expect_round_trip(display::DrawBlackness{base, mask});
    expect_round_trip(display::DrawWhiteness{base, none});
    expect_round_trip(display::DrawInvers{base, none});
    expect_round_trip(display::DrawRop3{base, image, {}, patterned, 0xcc, {}, mask});
    expect_round_trip(display::DrawTransparent{base, image, {1, 2, 3, 4}, 5, 6});
    expect_round_trip(display::DrawAlphaBlend{base, {}, 128, image, {}});
    expect_round_trip(display::CopyBits{base, {-1, 7}});

    display::DrawStroke stroke{base, {}, {}, solid, 1, 2};
    stroke.path.segments = {{display::PathFlags::begin | display::PathFlags::end, {{1, 2}, {3, 4}}},
                            {display::PathFlags::bezier, {{16, -16}}}};
    stroke.attributes = {display::LineFlags::styled, {16, 32, 16}};
    expect_round_trip(stroke);

    display::DrawText text{base, {}, {1, 1, 2, 2}, solid, patterned, 8, 8};
    text.text.length = 2;
    text.text.flags = display::StringFlags::raster_a4 | display::StringFlags::raster_top_down;
    text.text.glyphs_a4 = {{{1, 2}, {3, 4}, 3, 2, {1, 2, 3, 4}}, {{}, {}, 0, 0, {}}};
    expect_round_trip(text);

    display::DrawComposite composite{
        base, {}, image, bitmap_image(false), {}, {1, 2, 3, 4, 5, 6}, {1, 2}, {3, 4}};
    composite.flags =
        display::CompositeFlags::has_mask | display::CompositeFlags::has_mask_transform;
    expect_round_trip(composite);
}

TEST(Messages, EveryKindOfImageRoundTrips) {
    const auto round_trip = [](display::ImageType type, auto data) {
        display::DrawCopy copy;
        copy.source.type = type;
        copy.source.data = data;
        expect_round_trip(copy);
    };
    const Payload data{SharedBytes::take(pattern(33))};
    round_trip(display::ImageType::quic, display::BinaryData{data});
    round_trip(display::ImageType::lz4, display::BinaryData{data});
    round_trip(display::ImageType::lz_plt,
               display::LzPaletteData{display::BitmapFlags::pal_cache_me, 0,
                                      display::Palette{1, {2, 3}}, data});
    round_trip(display::ImageType::lz_plt,
               display::LzPaletteData{display::BitmapFlags::pal_from_cache, 77, {}, data});
    round_trip(display::ImageType::zlib_glz_rgb, display::ZlibGlzData{100, data});
    round_trip(display::ImageType::jpeg_alpha,
               display::JpegAlphaData{display::JpegAlphaFlags::top_down, 12, data});
    round_trip(display::ImageType::surface, display::SurfaceReference{4});
    round_trip(display::ImageType::from_cache, std::monostate{});
}

TEST(Messages, OtherDisplayMessagesRoundTrip) {
    expect_round_trip(display::SurfaceCreate{1, 640, 480, display::SurfaceFormat::xrgb32,
                                             display::SurfaceFlags::primary});
    expect_round_trip(
        display::MonitorsConfig{4, {{0, 0, 640, 480, 0, 0, 0}, {1, 0, 2, 2, 640, 0, 0}}});
    expect_round_trip(display::InvalList{{{display::ResourceType::pixmap, 5}}});
    expect_round_trip(display::InvalAllPixmaps{{{ChannelType::display, 1, 99}}});
    expect_round_trip(
        display::StreamCreate{0, 63, {}, display::VideoCodec::mjpeg, 1, 2, 3, 4, 5, {}, {}});
    expect_round_trip(display::StreamData{1, 2, SharedBytes::take(pattern(9))});
    expect_round_trip(display::StreamDataSized{1, 2, 3, 4, {}, SharedBytes::take(pattern(9))});
    expect_round_trip(display::StreamReport{1, 2, 3, 4, 5, 6, -7, 8});
    expect_round_trip(display::Init{1, 20 << 20, 1, 8 << 20});
    expect_round_trip(display::PreferredVideoCodecType{{display::VideoCodec::vp8}});
}

TEST(Messages, OtherChannelsRoundTrip) {
    const main::Destination destination{5900, 65535, "host.example", "CN=host"};
    expect_round_trip(main::MigrateBegin{destination});
    expect_round_trip(main::MigrateBeginSeamless{destination, 1});
    expect_round_trip(main::MigrateSwitchHost{{1, 2, "h", ""}});
    expect_round_trip(main::Init{1, 2, 3, 1, 1, 10, 12345, 0});
    expect_round_trip(main::ChannelsList{{{ChannelType::display, 0}, {ChannelType::cursor, 0}}});
    expect_round_trip(main::Name{"guest"});
    expect_round_trip(common::WaitForChannels{{{ChannelType::display, 0, 1}}});
    expect_round_trip(common::Notify{
        1, common::NotifySeverity::warn, common::NotifyVisibility::high, 0, pattern(5), {0}});
    expect_round_trip(common::Ping{1, 2, SharedBytes::take(pattern(50))});
    cursor::Set set{{3, 4}, true, {}};
    set.cursor.header = {7, cursor::CursorType::alpha, 2, 2, 0, 0};
    set.cursor.data = SharedBytes::take(pattern(16));
    expect_round_trip(set);
    expect_round_trip(cursor::Init{{}, 0, 0, false, {cursor::CursorFlags::none, {}, {}}});
    expect_round_trip(inputs::MousePosition{1, 2, inputs::MouseButtonMask::left, 0});
    expect_round_trip(playback::Volume{{100, 200}});
    expect_round_trip(record::Mode{1, AudioDataMode::opus, {}});
    expect_round_trip(port::Init{"org.spice.port", true});
    expect_round_trip(spicevmc::CompressedData{spicevmc::DataCompression::lz4, 100,
                                               SharedBytes::take(pattern(3))});
    expect_round_trip(smartcard::Data{smartcard::VscType::apdu, 0, SharedBytes::take(pattern(3))});
}

TEST(Messages, TheAgentsRoundTrip) {
    expect_round_trip(agent::Header{4, 0, 77});
    expect_round_trip(agent::AnnounceCapabilities{1, {0x3ffff}});
    expect_round_trip(agent::MonitorsConfig{agent::MonitorsFlags::use_position,
                                            {{600, 800, 32, 0, 0}, {768, 1024, 32, 800, -8}}});
    expect_round_trip(
        agent::Clipboard{agent::ClipboardType::utf8_text, SharedBytes::take(pattern(9))});
    expect_round_trip(
        agent::ClipboardGrab{{agent::ClipboardType::utf8_text, agent::ClipboardType::image_png}});
    expect_round_trip(agent::ClipboardRequest{agent::ClipboardType::image_png});
    expect_round_trip(agent::DisplayConfig{agent::DisplayFlags::set_color_depth, 16});
    expect_round_trip(agent::FileXferStatus{1, agent::FileStatus::success, pattern(4)});
    expect_round_trip(agent::FileXferData{1, 3, SharedBytes::take(pattern(3))});
    expect_round_trip(agent::AudioVolumeSync{true, false, {65535, 0}});
}

// The whole text of an error is for users: it names the message, the field and the bound.
template <class Message>
std::string error_of(Bytes body) {
    const Result<Message> message = parse<Message>(SharedBytes::borrow(body));
    return message ? "no error" : message.error().message;
}

TEST(Messages, BadInputIsNamed) {
    EXPECT_EQ(error_of<main::Name>({5, 0, 0, 0, 'a'}),
              "SPICE message main.name: ends inside 'name' (5 bytes in all)");
    EXPECT_EQ(error_of<main::Name>({0, 0, 0, 1}),
              "SPICE message main.name: 'name' is 16777216, at most 4096 is allowed");
    EXPECT_EQ(error_of<main::Name>({3, 0, 0, 0, 'a', 0, 'b'}),
              "SPICE message main.name: 'name' has a NUL inside");
    EXPECT_EQ(error_of<main::MigrateSwitchHost>({1, 0, 2, 0, 2, 0, 0, 0, 200, 0, 0, 0}),
              "SPICE message main.migrate_switch_host: 'host' points to 200, outside its 12 bytes");
    EXPECT_EQ(error_of<common::Notify>(Bytes(40, 9)),
              "SPICE message common.notify: 'severity' has the unknown value 151587081");
    EXPECT_EQ(error_of<main::ChannelsList>({255, 1, 0, 0, 1, 1}),
              "SPICE message main.channels_list: ends inside 'channels' (6 bytes in all)");
}

TEST(Messages, DispatchKnowsItsNumbers) {
    const auto handler = [](const auto& message) -> Result<> {
        return fail(ErrorCode::internal, "{}", message.kName);
    };
    const SharedBytes empty;
    EXPECT_EQ(display::dispatch_from_server(102, empty, handler).error().message, "display.mark");
    EXPECT_EQ(display::dispatch_from_client(104, empty, handler).error().message,
              "display.gl_draw_done");
    EXPECT_EQ(display::dispatch_from_client(999, empty, handler).error().message,
              "SPICE channel display: the client has no message 999");
    EXPECT_EQ(display::name_from_server(304), "display.draw_copy");
}

TEST(Messages, WhatBreaksALimitIsNotEncoded) {
    EXPECT_STREQ(encode_from_server(main::Name{std::string(5000, 'x')}).broken_field, "name");
    display::DrawCopy copy;
    copy.source.type = display::ImageType::quic;
    EXPECT_STREQ(encode_from_server(copy).broken_field, "data") << "type and data disagree";
}

}  // namespace
}  // namespace segue::spice::wire
