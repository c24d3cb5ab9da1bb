// SPDX-License-Identifier: LGPL-2.1-or-later
// Each symbol of a display device, by its effect on the guest's memory, its ring or a client
// (symbols_server_test.cpp).
#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "spice/abi/test_embedder.h"
#include "spice/wire/cursor.schema.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::abi {
namespace {

using wire::ChannelType;
namespace display_wire = wire::display;

constexpr std::uint32_t kWidth = 64;
constexpr std::uint32_t kHeight = 32;
constexpr std::uint32_t kRed = 0xff0000;

class QxlTest {
  public:
    QxlTest() { qxl.add_to(embedder); }
    ~QxlTest() {
        session.reset();
        spice_server_remove_interface(&qxl.instance.base);
    }
    void fill(std::uint32_t color, std::uint32_t surface = 0) {
        qxl.queue_fill(surface, color, kWidth, kHeight);
        spice_qxl_wakeup(&qxl.instance);
    }
    QXLRect everything() { return {0, 0, static_cast<int>(kHeight), static_cast<int>(kWidth)}; }
    // Brings the primary surface into the guest's memory.
    std::uint32_t drawn() {
        QXLRect area = everything();
        QXLRect dirty{};
        spice_qxl_update_area(&qxl.instance, 0, &area, &dirty, 1, 1);
        return qxl.pixel();
    }
    std::unique_ptr<Peer> view() {
        session = std::make_unique<Session>(embedder);
        auto channel = session->channel(ChannelType::display);
        channel->send(display_wire::Init{});
        return channel;
    }
    // A client that is told of monitors.
    std::unique_ptr<Peer> view_monitors() {
        session = std::make_unique<Session>(embedder);
        auto channel =
            session->channel(ChannelType::display,
                             wire::Capabilities::of({display_wire::Capability::monitors_config}));
        channel->send(display_wire::Init{});
        return channel;
    }
    // What the guest's driver says of so many heads.
    void tell_heads(std::uint16_t count, std::uint64_t cookie) {
        struct {
            QXLMonitorsConfig config;
            QXLHead heads[2];
        } told{};
        told.config.count = count;
        told.config.max_allowed = 2;
        for (std::uint32_t at = 0; at < 2; ++at)
            told.heads[at] = {at, 0, kWidth / 2, kHeight, kWidth / 2 * at, 0, 0};
        QXLPHYSICAL address = 0;
        {
            const std::lock_guard lock(qxl.mutex);
            address = qxl.device.put(told);
        }
        spice_qxl_monitors_config_async(&qxl.instance, address, server::FakeDevice::kGroup, cookie);
        EXPECT_TRUE(completes(cookie));
    }
    // Until the client is told of so many heads.
    static bool hears_heads(Peer& view, std::size_t count) {
        while (const auto told = view.wait<display_wire::MonitorsConfig>()) {
            if (told->heads.size() == count) return true;
        }
        return false;
    }
    bool completes(std::uint64_t cookie) {
        return embedder.run_until([&] { return qxl.completed(cookie); });
    }

    Embedder embedder;
    QxlInstance qxl;
    std::unique_ptr<Session> session;
};

TEST(Symbol, spice_qxl_wakeup) {
    QxlTest test;
    test.qxl.begin();
    test.fill(kRed);
    EXPECT_TRUE(test.embedder.run_until([&] { return test.qxl.released() == 1; }));
}
TEST(Symbol, spice_qxl_oom) {
    QxlTest test;
    test.qxl.begin();
    spice_qxl_oom(&test.qxl.instance);
    EXPECT_TRUE(test.embedder.run_until([&] {
        const std::lock_guard lock(test.qxl.mutex);
        return test.qxl.flushed > 0;
    }));
}
TEST(Symbol, spice_qxl_start) {
    QxlTest test;
    test.qxl.begin();
    spice_server_vm_stop(test.embedder.server);
    test.fill(kRed);
    spice_qxl_start(&test.qxl.instance);
    spice_qxl_wakeup(&test.qxl.instance);
    EXPECT_TRUE(test.embedder.run_until([&] { return test.qxl.released() == 1; }));
}
TEST(Symbol, spice_qxl_stop) {
    QxlTest test;
    test.qxl.begin();
    spice_qxl_stop(&test.qxl.instance);
    test.fill(kRed);
    // Whatever it does not take while it stands is in order behind this.
    spice_qxl_flush_surfaces_async(&test.qxl.instance, 5);
    ASSERT_TRUE(test.completes(5));
    EXPECT_EQ(test.qxl.released(), 0u);
}
TEST(Symbol, spice_qxl_update_area) {
    QxlTest test;
    test.qxl.begin();
    test.fill(kRed);
    QXLRect area = test.everything();
    QXLRect dirty{};
    spice_qxl_update_area(&test.qxl.instance, 0, &area, &dirty, 1, 1);
    EXPECT_EQ(test.qxl.pixel(), kRed);
    EXPECT_EQ(dirty.right, static_cast<int>(kWidth));
}
TEST(Symbol, spice_qxl_update_area_async) {
    QxlTest test;
    test.qxl.begin();
    test.fill(kRed);
    QXLRect area = test.everything();
    spice_qxl_update_area_async(&test.qxl.instance, 0, &area, 1, 11);
    ASSERT_TRUE(test.completes(11));
    EXPECT_EQ(test.qxl.pixel(), kRed);
    const std::lock_guard lock(test.qxl.mutex);
    EXPECT_EQ(test.qxl.updated, 1u);
}

// --- Memory -------------------------------------------------------------------------------------

TEST(Symbol, spice_qxl_add_memslot) {
    QxlTest test;
    QXLDevMemSlot slot = test.qxl.slot();
    spice_qxl_add_memslot(&test.qxl.instance, &slot);
    QXLDevSurfaceCreate surface = test.qxl.primary(kWidth, kHeight);
    spice_qxl_create_primary_surface(&test.qxl.instance, 0, &surface);
    test.fill(kRed);
    EXPECT_EQ(test.drawn(), kRed);
}
TEST(Symbol, spice_qxl_add_memslot_async) {
    QxlTest test;
    QXLDevMemSlot slot = test.qxl.slot();
    spice_qxl_add_memslot_async(&test.qxl.instance, &slot, 3);
    ASSERT_TRUE(test.completes(3));
    QXLDevSurfaceCreate surface = test.qxl.primary(kWidth, kHeight);
    spice_qxl_create_primary_surface(&test.qxl.instance, 0, &surface);
    test.fill(kRed);
    EXPECT_EQ(test.drawn(), kRed);
}
// Without its memory a command cannot be read: nothing is drawn by it.
TEST(Symbol, spice_qxl_del_memslot) {
    QxlTest test;
    test.qxl.begin();
    spice_qxl_del_memslot(&test.qxl.instance, server::FakeDevice::kGroup, 0);
    test.fill(kRed);
    EXPECT_NE(test.drawn(), kRed);
}
TEST(Symbol, spice_qxl_reset_memslots) {
    QxlTest test;
    test.qxl.begin();
    spice_qxl_reset_memslots(&test.qxl.instance);
    test.fill(kRed);
    EXPECT_NE(test.drawn(), kRed);
}

// --- Surfaces -----------------------------------------------------------------------------------

TEST(Symbol, spice_qxl_create_primary_surface) {
    QxlTest test;
    test.qxl.begin(kWidth, kHeight);
    const auto view = test.view();
    const auto created = view->wait<display_wire::SurfaceCreate>();
    ASSERT_TRUE(created);
    EXPECT_EQ(created->width, kWidth);
    EXPECT_EQ(created->height, kHeight);
}
TEST(Symbol, spice_qxl_create_primary_surface_async) {
    QxlTest test;
    QXLDevMemSlot slot = test.qxl.slot();
    spice_qxl_add_memslot(&test.qxl.instance, &slot);
    QXLDevSurfaceCreate surface = test.qxl.primary(kWidth, kHeight);
    spice_qxl_create_primary_surface_async(&test.qxl.instance, 0, &surface, 4);
    ASSERT_TRUE(test.completes(4));
    EXPECT_TRUE(test.view()->wait<display_wire::SurfaceCreate>());
}
TEST(Symbol, spice_qxl_destroy_primary_surface) {
    QxlTest test;
    test.qxl.begin();
    const auto view = test.view();
    ASSERT_TRUE(view->wait<display_wire::SurfaceCreate>());
    spice_qxl_destroy_primary_surface(&test.qxl.instance, 0);
    EXPECT_TRUE(view->wait<display_wire::SurfaceDestroy>());
}
TEST(Symbol, spice_qxl_destroy_primary_surface_async) {
    QxlTest test;
    test.qxl.begin();
    const auto view = test.view();
    ASSERT_TRUE(view->wait<display_wire::SurfaceCreate>());
    spice_qxl_destroy_primary_surface_async(&test.qxl.instance, 0, 9);
    EXPECT_TRUE(test.completes(9));
    EXPECT_TRUE(view->wait<display_wire::SurfaceDestroy>());
}

// An off-screen surface holds its own command until it goes; a drawing on one that is gone is
// refused, and given back all the same.
struct OffScreen : QxlTest {
    OffScreen() {
        qxl.begin();
        pixels = qxl.queue_surface(1, kWidth, kHeight);
        fill(kGreen, 1);
        EXPECT_TRUE(embedder.run_until([&] { return qxl.released() >= 1; }));
        EXPECT_EQ(qxl.released(), 1u) << "the fill, and not the surface";
        EXPECT_EQ(drawn(), kGreen);
    }
    std::uint32_t drawn() {
        QXLRect area = everything();
        QXLRect dirty{};
        spice_qxl_update_area(&qxl.instance, 1, &area, &dirty, 1, 1);
        return qxl.pixel(pixels);
    }
    void expect_gone() {
        EXPECT_TRUE(embedder.run_until([&] { return qxl.released() == 2; })) << "its command";
        fill(kRed, 1);
        EXPECT_TRUE(embedder.run_until([&] { return qxl.released() == 3; }));
        EXPECT_EQ(drawn(), kGreen);
    }
    static constexpr std::uint32_t kGreen = 0x00ff00;
    QXLPHYSICAL pixels;
};
TEST(Symbol, spice_qxl_destroy_surface_wait) {
    OffScreen test;
    spice_qxl_destroy_surface_wait(&test.qxl.instance, 1);
    test.expect_gone();
}
TEST(Symbol, spice_qxl_destroy_surface_async) {
    OffScreen test;
    spice_qxl_destroy_surface_async(&test.qxl.instance, 1, 21);
    EXPECT_TRUE(test.completes(21));
    test.expect_gone();
}
TEST(Symbol, spice_qxl_destroy_surfaces) {
    QxlTest test;
    test.qxl.begin();
    const auto view = test.view();
    ASSERT_TRUE(view->wait<display_wire::SurfaceCreate>());
    spice_qxl_destroy_surfaces(&test.qxl.instance);
    EXPECT_TRUE(view->wait<display_wire::SurfaceDestroy>());
}
TEST(Symbol, spice_qxl_destroy_surfaces_async) {
    QxlTest test;
    test.qxl.begin();
    const auto view = test.view();
    ASSERT_TRUE(view->wait<display_wire::SurfaceCreate>());
    spice_qxl_destroy_surfaces_async(&test.qxl.instance, 22);
    EXPECT_TRUE(test.completes(22));
    EXPECT_TRUE(view->wait<display_wire::SurfaceDestroy>());
}
TEST(Symbol, spice_qxl_flush_surfaces_async) {
    QxlTest test;
    test.qxl.begin();
    test.fill(kRed);
    spice_qxl_flush_surfaces_async(&test.qxl.instance, 23);
    ASSERT_TRUE(test.completes(23));
    EXPECT_EQ(test.qxl.pixel(), kRed);
}
TEST(Symbol, spice_qxl_loadvm_commands) {
    QxlTest test;
    test.qxl.begin();
    // What its device kept of a machine that was loaded: the command of each surface.
    const QXLPHYSICAL pixels = test.qxl.queue_surface(2, kWidth, kHeight);
    QXLCommandExt surface{};
    {
        const std::lock_guard lock(test.qxl.mutex);
        surface = test.qxl.device.commands.back();
        test.qxl.device.commands.clear();
    }
    spice_qxl_loadvm_commands(&test.qxl.instance, &surface, 1);
    test.fill(kRed, 2);
    EXPECT_TRUE(test.embedder.run_until([&] { return test.qxl.released() >= 1; }));
    QXLRect area = test.everything();
    QXLRect dirty{};
    spice_qxl_update_area(&test.qxl.instance, 2, &area, &dirty, 1, 1);
    EXPECT_EQ(test.qxl.pixel(pixels), kRed);
}

// --- Clients ------------------------------------------------------------------------------------

TEST(Symbol, spice_qxl_reset_image_cache) {
    constexpr std::uint32_t kSide = 16;
    constexpr std::uint64_t kIcon = 77ull << 32;
    QxlTest test;
    test.qxl.begin();
    const QXLPHYSICAL icon = test.qxl.put_picture(kSide, false, 1, kIcon);
    test.session = std::make_unique<Session>(test.embedder);
    const auto view = test.session->channel(ChannelType::display);
    display_wire::Init init;
    init.pixmap_cache_size = 1 << 20;
    view->send(init);
    ASSERT_TRUE(view->wait<display_wire::SurfaceCreate>());
    const auto draws_by_name = [&] {
        test.qxl.queue_copy(icon, kSide);
        spice_qxl_wakeup(&test.qxl.instance);
        // Behind it come the pictures of what the client did not have.
        while (const auto drawn = view->wait<display_wire::DrawCopy>()) {
            if (drawn->source.id == kIcon)
                return drawn->source.type == display_wire::ImageType::from_cache;
        }
        return false;
    };
    EXPECT_FALSE(draws_by_name());
    EXPECT_TRUE(draws_by_name());
    spice_qxl_reset_image_cache(&test.qxl.instance);
    // Nothing that the client has from before may be named to it again.
    const auto forgotten = view->wait<display_wire::InvalList>();
    ASSERT_TRUE(forgotten);
    ASSERT_EQ(forgotten->resources.size(), 1u);
    EXPECT_EQ(forgotten->resources[0].id, kIcon);
    EXPECT_FALSE(draws_by_name());
}
TEST(Symbol, spice_qxl_reset_cursor) {
    QxlTest test;
    test.qxl.begin();
    test.session = std::make_unique<Session>(test.embedder);
    const auto cursor = test.session->channel(ChannelType::cursor);
    ASSERT_TRUE(cursor->wait<wire::cursor::Init>());
    spice_qxl_reset_cursor(&test.qxl.instance);
    EXPECT_TRUE(cursor->wait<wire::cursor::Reset>());
}
TEST(Symbol, spice_qxl_monitors_config_async) {
    QxlTest test;
    test.qxl.begin();
    const auto view = test.view_monitors();
    test.tell_heads(2, 31);
    EXPECT_TRUE(QxlTest::hears_heads(*view, 2));
}
TEST(Symbol, spice_qxl_driver_unload) {
    QxlTest test;
    test.qxl.begin();
    const auto view = test.view_monitors();
    test.tell_heads(2, 31);
    EXPECT_TRUE(QxlTest::hears_heads(*view, 2));
    const auto renew = [&] {
        spice_qxl_destroy_primary_surface(&test.qxl.instance, 0);
        QXLDevSurfaceCreate surface = test.qxl.primary(kWidth, kHeight);
        spice_qxl_create_primary_surface(&test.qxl.instance, 0, &surface);
    };
    // Only without a driver a new screen is one monitor at once.
    renew();
    test.tell_heads(1, 32);
    const auto next = view->wait<display_wire::MonitorsConfig>();
    ASSERT_TRUE(next);
    ASSERT_EQ(next->heads.size(), 1u);
    EXPECT_EQ(next->heads[0].width, kWidth / 2) << "the driver's";
    test.tell_heads(2, 33);
    EXPECT_TRUE(QxlTest::hears_heads(*view, 2));
    spice_qxl_driver_unload(&test.qxl.instance);
    renew();
    EXPECT_TRUE(QxlTest::hears_heads(*view, 1));
}
TEST(Symbol, spice_qxl_set_max_monitors) {
    QxlTest test;
    test.qxl.begin();
    spice_qxl_set_max_monitors(&test.qxl.instance, 1);
    const auto view = test.view_monitors();
    test.tell_heads(2, 32);
    for (;;) {  // behind what a screen without a driver is
        const auto told = view->wait<display_wire::MonitorsConfig>();
        ASSERT_TRUE(told);
        EXPECT_EQ(told->heads.size(), 1u);
        if (told->max_allowed == 1 && told->heads[0].width == kWidth / 2) break;
    }
}
TEST(Symbol, spice_qxl_gl_scanout) {
    QxlTest test;
    test.qxl.begin();
    const int descriptor = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    spice_qxl_gl_scanout(&test.qxl.instance, descriptor, 8, 8, 32, 0, 0);
    // It was given away: the library closes what it does not keep.
    EXPECT_EQ(::fcntl(descriptor, F_GETFD), -1);
}
TEST(Symbol, spice_qxl_gl_draw_async) {
    QxlTest test;
    spice_qxl_gl_draw_async(&test.qxl.instance, 0, 0, 8, 8, 41);
    EXPECT_TRUE(test.completes(41));
}
TEST(Symbol, spice_qxl_set_device_info) {
    QxlTest test;
    CharInstance agent("vdagent");
    ASSERT_EQ(spice_server_add_interface(test.embedder.server, &agent.instance.base), 0);
    spice_qxl_set_device_info(&test.qxl.instance, "pci/0000/02.0", 0, 1);
    LittleWriter message;
    message.u32(VD_AGENT_PROTOCOL);
    message.u32(VD_AGENT_ANNOUNCE_CAPABILITIES);
    message.u64(0);
    message.u32(8);
    message.u32(0);
    message.u32(1u << VD_AGENT_CAP_GRAPHICS_DEVICE_INFO);
    const Bytes announced = message.take();
    LittleWriter chunk;
    chunk.u32(VDP_CLIENT_PORT);
    chunk.u32(static_cast<std::uint32_t>(announced.size()));
    chunk.bytes(announced);
    agent.guest.says = chunk.take();
    spice_server_char_device_wakeup(&agent.instance);
    const std::string told(agent.guest.taken.begin(), agent.guest.taken.end());
    EXPECT_NE(told.find("pci/0000/02.0"), std::string::npos);
    spice_server_remove_interface(&agent.instance.base);
}

}  // namespace
}  // namespace segue::spice::abi
