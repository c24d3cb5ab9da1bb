// SPDX-License-Identifier: LGPL-2.1-or-later
// What a hostile server may say to the display and cursor channels, item by item: each ends the
// connection with an error that names the thing, and none makes the client allocate what it claims.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "spice/client/cursor_channel.h"
#include "spice/client/display/renderer.h"

namespace segue::spice::client {
namespace {

namespace display = wire::display;
namespace cursor = wire::cursor;
using testing::HasSubstr;
using Type = display::ImageType;
using Format = display::BitmapFormat;

// A picture of one pixel that a command draws; the cases spoil it.
display::DrawCopy picture(display::ImageType type) {
    display::DrawCopy message;
    message.base.box = {0, 0, 1, 1};
    message.source_area = {0, 0, 1, 1};
    message.rop = display::Ropd::op_put;
    message.source.type = type;
    message.source.id = 42;
    message.source.width = message.source.height = 1;
    return message;
}

display::DrawCopy bitmap(Format format, std::uint32_t side, std::uint32_t stride, int bytes) {
    display::DrawCopy message = picture(display::ImageType::bitmap);
    display::BitmapData data;
    data.format = format;
    data.flags = display::BitmapFlags::top_down;
    data.width = data.height = side;
    data.stride = stride;
    data.data.append(wire::SharedBytes::take(Bytes(static_cast<std::size_t>(bytes), 0xff)));
    message.source.data = data;
    return message;
}

display::DrawCopy packed(display::ImageType type, Bytes bytes) {
    display::DrawCopy message = picture(type);
    display::BinaryData data;
    data.data.append(wire::SharedBytes::take(std::move(bytes)));
    message.source.data = data;
    return message;
}

// The head of an LZ or GLZ picture: magic, version, format, sizes (big-endian, lz_common.h).
Bytes lz_head(std::uint32_t format, std::uint32_t width, std::uint32_t height) {
    BigWriter out;
    for (const std::uint32_t word :
         {0x20205a4cu, 0x00010001u, format, width, height, width * 4, std::uint32_t{1}})
        out.u32(word);
    out.zeros(64);
    return out.take();
}

display::SurfaceCreate surface(std::uint32_t id, std::uint32_t width, std::uint32_t height) {
    return {id, width, height, display::SurfaceFormat::xrgb32, display::SurfaceFlags{}};
}

display::DrawCopy with_palette(display::BitmapFlags flags) {
    display::DrawCopy message = bitmap(display::BitmapFormat::eight_bit, 1, 4, 4);
    auto& data = std::get<display::BitmapData>(message.source.data);
    data.flags = flags;
    data.palette_id = 7;
    return message;
}

struct Case {
    std::string name;
    std::function<Result<>(class Server&)> attack;
    std::string error;  // a part of its words
};

class Server {
  public:
    explicit Server(std::int32_t glz_pixels = 1 << 16) : shared_(1 << 20, glz_pixels) {
        EXPECT_TRUE(say(surface(0, 4, 4)));
    }

    template <class Message>
    Result<> say(const Message& message) {
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        return say_bytes(encoded.number, encoded.body());
    }
    Result<> say_bytes(std::uint16_t number, Bytes body) {
        return renderer_.handle(number, wire::SharedBytes::take(std::move(body)));
    }
    template <class Message, class Spoil>
    Result<> say_spoiled(const Message& message, Spoil spoil) {
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        Bytes body = encoded.body();
        spoil(body);
        return say_bytes(encoded.number, std::move(body));
    }

  private:
    SharedCaches shared_;
    Renderer renderer_{shared_};
};

void put32(Bytes& body, std::size_t at, std::uint32_t value) {
    store<ByteOrder::little, std::uint32_t>(body.data() + at, value);
}

// Ids of surfaces, images, palettes and streams; lengths of messages.
std::vector<Case> references() {
    return {
        {"surface side",
         [](Server& server) {
             return server.say_spoiled(surface(1, 1, 1), [](Bytes& b) { put32(b, 4, 16385); });
         },
         "width"},
        {"surface of no size", [](Server& server) { return server.say(surface(1, 0, 4)); }, "0"},
        {"surface unknown", [](Server& server) { return server.say(display::SurfaceDestroy{9}); },
         "surface 9"},
        {"surface of another kind",
         [](Server& server) {
             auto message = surface(0, 1, 1);
             message.flags = display::SurfaceFlags::primary;
             return server.say(message);
         },
         "surface 0"},
        {"source surface unknown",
         [](Server& server) {
             auto message = picture(Type::surface);
             message.source.data = display::SurfaceReference{77};
             return server.say(message);
         },
         "surface 77"},
        {"image not in the cache",
         [](Server& server) { return server.say(picture(Type::from_cache)); }, "0x2a"},
        {"palette not in the cache",
         [](Server& server) {
             return server.say(with_palette(display::BitmapFlags::pal_from_cache));
         },
         "palette 0x7"},
        {"palette with more entries than a byte can name",
         [](Server& server) {
             auto message = bitmap(Format::eight_bit, 1, 4, 4);
             std::get<display::BitmapData>(message.source.data).palette = {0x1122334455667788, {}};
             return server.say_spoiled(message, [](Bytes& b) {
                 // The number of entries stands behind the key.
                 const Bytes key = {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11};
                 const auto at = std::search(b.begin(), b.end(), key.begin(), key.end());
                 store<ByteOrder::little, std::uint16_t>(&*at + key.size(), 257);
             });
         },
         "entries"},
        {"stream number",
         [](Server& server) {
             return server.say_spoiled(display::StreamDestroy{1},
                                       [](Bytes& b) { put32(b, 0, 64); });
         },
         "id"},
        {"stream unknown",
         [](Server& server) {
             return server.say(display::StreamData{5, 0, {}});
         },
         "stream 5"},
        {"clip rectangles that are not there",
         [](Server& server) {
             auto message = picture(Type::from_cache);
             message.base.clip.type = display::ClipType::rects;
             message.base.clip.rects = {{0, 0, 1, 1}};
             // Behind surface and box stand the kind of the clip and the number of rectangles.
             return server.say_spoiled(message, [](Bytes& b) { put32(b, 21, 0x7fffffff); });
         },
         "rects"},
        {"message cut short", [](Server& server) { return server.say_bytes(304, Bytes(10)); }, ""},
        {"message unknown", [](Server& server) { return server.say_bytes(999, {}); }, "999"},
    };
}

// Pictures whose pixels are not what their heads say.
std::vector<Case> pictures() {
    return {
        {"bitmap shorter than its rows",
         [](Server& server) { return server.say(bitmap(Format::thirty_two_bit, 2, 8, 15)); },
         "data"},
        {"bitmap with a row that is too short",
         [](Server& server) { return server.say(bitmap(Format::thirty_two_bit, 2, 7, 64)); },
         "bitmap"},
        {"LZ picture larger than a picture may be",
         [](Server& server) { return server.say(packed(Type::lz_rgb, lz_head(8, 65535, 65535))); },
         ""},
        {"LZ picture without its pixels",
         [](Server& server) { return server.say(packed(Type::lz_rgb, lz_head(8, 4000, 4000))); },
         ""},
        {"LZ picture cut in its head",
         [](Server& server) { return server.say(packed(Type::lz_rgb, Bytes(9))); }, ""},
        {"GLZ picture of garbage",
         [](Server& server) { return server.say(packed(Type::glz_rgb, Bytes(64, 0xff))); }, ""},
        {"QUIC picture of garbage",
         [](Server& server) { return server.say(packed(Type::quic, Bytes(64, 0xff))); }, ""},
        {"JPEG picture of garbage",
         [](Server& server) { return server.say(packed(Type::jpeg, Bytes(64, 0xff))); }, ""},
        {"LZ4 picture of garbage",
         [](Server& server) { return server.say(packed(Type::lz4, Bytes(64, 0xff))); }, ""},
        {"zlib that promises a gigabyte",
         [](Server& server) {
             auto message = picture(Type::zlib_glz_rgb);
             display::ZlibGlzData data;
             data.glz_data_size = 1u << 30;
             data.data.append(wire::SharedBytes::take(Bytes(64)));
             message.source.data = data;
             return server.say(message);
         },
         ""},
    };
}

std::vector<Case> cases() {
    std::vector<Case> all = references();
    const std::vector<Case> more = pictures();
    all.insert(all.end(), more.begin(), more.end());
    return all;
}

class HostileServerTest : public testing::TestWithParam<Case> {};

TEST_P(HostileServerTest, IsToldByNameAndEndsTheConnection) {
    Server server;
    const Result<> result = GetParam().attack(server);
    ASSERT_FALSE(result);
    EXPECT_FALSE(result.error().message.empty());
    EXPECT_THAT(result.error().message, HasSubstr(GetParam().error));
    EXPECT_EQ(result.error().message.find('\n'), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Display, HostileServerTest, testing::ValuesIn(cases()),
                         [](const auto& instance) {
                             std::string name = instance.param.name;
                             for (char& one : name) {
                                 if (!std::isalnum(static_cast<unsigned char>(one))) one = '_';
                             }
                             return name;
                         });

// --- Cursors -------------------------------------------------------------------------------------

class Nobody final : public ChannelHost {
    void on_migrate(ChannelKey, wire::common::MigrateFlags) override {}
    void on_ready_to_move(ChannelKey) override {}
    bool is_done(const wire::WaitForChannel&) override { return true; }
    void on_disconnecting(ChannelKey, wire::LinkError) override {}
};

class HostileCursorTest : public testing::Test {
  protected:
    static cursor::Set shape(std::uint16_t side, std::size_t bytes) {
        cursor::Set message;
        message.cursor.header.unique = 3;
        message.cursor.header.type = cursor::CursorType::alpha;
        message.cursor.header.width = message.cursor.header.height = side;
        message.cursor.data.append(wire::SharedBytes::take(Bytes(bytes)));
        return message;
    }
    Result<> say(const cursor::Set& message, std::uint16_t width = 0) {
        wire::EncodedMessage encoded = wire::encode_from_server(message);
        Bytes body = encoded.body();
        // Behind place, visibility, flags, unique and type.
        if (width != 0) store<ByteOrder::little, std::uint16_t>(body.data() + 16, width);
        return channel_.receive({encoded.number, 1, wire::SharedBytes::take(std::move(body))});
    }
    Nobody nobody_;
    CursorChannel channel_{{wire::ChannelType::cursor, 0}, nobody_, [](const auto&) {}};
};

TEST_F(HostileCursorTest, SizesDataAndReferencesAreChecked) {
    EXPECT_TRUE(say(shape(4, 64)));
    EXPECT_THAT(say(shape(4, 64), 1025).error().message, HasSubstr("width"));
    EXPECT_FALSE(say(shape(4, 63))) << "shorter than its pixels";
    cursor::Set unknown = shape(4, 0);
    unknown.cursor.flags = cursor::CursorFlags::from_cache;
    EXPECT_THAT(say(unknown).error().message, HasSubstr("cursor 0x3"));
}

TEST_F(HostileCursorTest, TheCacheIsBounded) {
    cursor::Set message = shape(1, 4);
    message.cursor.flags = cursor::CursorFlags::cache_me;
    Result<> result;
    while (result && message.cursor.header.unique < 5000) {
        ++message.cursor.header.unique;
        result = say(message);
    }
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::limit_exceeded);
}

// Shapes of a million pixels each.
TEST_F(HostileCursorTest, TheCacheIsBoundedInBytes) {
    const auto memory = std::make_shared<wire::MemoryBudget>(std::size_t{64} << 20);
    CursorChannel channel(
        {wire::ChannelType::cursor, 0}, nobody_, [](const auto&) {}, memory);
    cursor::Set message = shape(1024, 1024 * 1024 * 4);
    message.cursor.flags = cursor::CursorFlags::cache_me;
    Result<> result;
    while (result && message.cursor.header.unique < 100) {
        ++message.cursor.header.unique;
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        result = channel.receive({encoded.number, 1, wire::SharedBytes::take(encoded.body())});
    }
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, ErrorCode::limit_exceeded);
    EXPECT_EQ(message.cursor.header.unique, 3u + 13u) << "5 MiB each";
    channel.reset(ResetReason::gone);
    EXPECT_EQ(memory->taken(), 0u);
}

// --- Memory of the pictures ----------------------------------------------------------------------

// One pixel, of which the window keeps every one.
display::DrawCopy glz_pixel(std::uint64_t id) {
    BigWriter out;
    out.u32(0x20205a4c);
    out.u32(0x00010001);
    out.u8(0x18);  // 32 bits, top down
    for (const std::uint32_t word : {1u, 1u, 4u})
        out.u32(word);
    out.u64(id);
    out.u32(static_cast<std::uint32_t>(id));
    out.zeros(4);  // a literal
    return packed(Type::glz_rgb, out.take());
}

TEST(HostileMemoryTest, TheGlzWindowCountsPicturesToo) {
    Server server(1 << 20);
    std::uint64_t id = 0;
    Result<> result;
    while (id < 300000 && (result = server.say(glz_pixel(id))))
        ++id;
    ASSERT_FALSE(result);
    EXPECT_THAT(result.error().message, HasSubstr("GLZ window"));
    EXPECT_THAT(result.error().message, HasSubstr("pictures"));
    EXPECT_LE(id, GlzCount::kMaxPictures);
}

class SessionMemoryTest : public testing::Test {
  protected:
    template <class Message>
    Result<> say(const Message& message) {
        const wire::EncodedMessage encoded = wire::encode_from_server(message);
        return renderer_.handle(encoded.number, wire::SharedBytes::take(encoded.body()));
    }
    // A new server behind a hand-over.
    void start_anew() {
        renderer_.reset(true);
        shared_.clear();
    }
    static display::SurfaceCreate primary(std::uint32_t side) {
        auto message = surface(0, side, side);
        message.flags = display::SurfaceFlags::primary;
        return message;
    }

    static constexpr std::size_t kBound = std::size_t{1} << 20;
    std::shared_ptr<wire::MemoryBudget> memory_ = std::make_shared<wire::MemoryBudget>(kBound);
    SharedCaches shared_{1 << 20, 1 << 16, memory_};
    Renderer renderer_{shared_};
};

// 640 KiB each.
TEST_F(SessionMemoryTest, APictureThatIsKeptOverAHandOverCounts) {
    ASSERT_TRUE(say(primary(400)));
    EXPECT_EQ(memory_->taken(), 640000u);
    start_anew();
    EXPECT_EQ(memory_->taken(), 640000u) << "it is shown still";
    EXPECT_EQ(say(primary(401)).error().code, ErrorCode::limit_exceeded);
    ASSERT_TRUE(say(primary(200)));
    EXPECT_EQ(memory_->taken(), 800000u);
    renderer_.surfaces().complete();
    EXPECT_EQ(memory_->taken(), 160000u);
    // One that nobody is shown any more.
    start_anew();
    renderer_.reset(false);
    EXPECT_EQ(memory_->taken(), 0u);
}

// A surface that shows it keeps it, whatever the cache forgets.
TEST_F(SessionMemoryTest, APictureThatASurfaceShowsCounts) {
    ASSERT_TRUE(say(primary(250)));  // 250,000 bytes
    display::DrawCopy message = bitmap(Format::thirty_two_bit, 250, 1000, 250000);
    message.base.box = message.source_area = {0, 0, 250, 250};
    message.source.flags = display::ImageFlags::cache_me;
    message.source.id = 1;
    ASSERT_TRUE(say(message));
    EXPECT_EQ(memory_->taken(), 750000u);
    ASSERT_TRUE(say(display::InvalAllPixmaps{}));
    EXPECT_EQ(memory_->taken(), 500000u);
    ASSERT_TRUE(say(display::DrawBlackness{}));  // nothing is drawn, and its own pixels are shown
    EXPECT_EQ(memory_->taken(), 250000u);
    // Where there is no room for both, it is copied.
    ASSERT_TRUE(say(surface(7, 250, 250)));
    ASSERT_TRUE(say(surface(8, 250, 125)));
    message.source.id = 2;
    ASSERT_TRUE(say(message));
    EXPECT_EQ(memory_->taken(), 875000u);
    EXPECT_EQ(renderer_.surfaces().shown()->line(249)[0], 0xff);
    // With room again it is not; and what is shown goes with its surface.
    ASSERT_TRUE(say(display::SurfaceDestroy{8}));
    ASSERT_TRUE(say(display::SurfaceDestroy{7}));
    ASSERT_TRUE(say(message));
    EXPECT_EQ(memory_->taken(), 750000u);
    ASSERT_TRUE(say(display::SurfaceDestroy{0}));
    EXPECT_EQ(memory_->taken(), 250000u);
}

TEST_F(SessionMemoryTest, SurfacesAndCachesShareTheBound) {
    ASSERT_TRUE(say(primary(500)));  // all but 48 KB
    display::DrawCopy message = bitmap(Format::thirty_two_bit, 100, 400, 40000);
    message.source.flags = display::ImageFlags::cache_me;
    message.source.id = 1;
    ASSERT_TRUE(say(message));
    message.source.id = 2;
    const Result<> refused = say(message);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::limit_exceeded);
    EXPECT_THAT(refused.error().message, HasSubstr("image cache"));
    ASSERT_TRUE(say(display::InvalAllPixmaps{}));
    EXPECT_EQ(memory_->taken(), 1000000u);
}

}  // namespace
}  // namespace segue::spice::client
