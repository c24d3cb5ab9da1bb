// SPDX-License-Identifier: LGPL-2.1-or-later
// A whole server at either end of a hand-over, and clients that say at once what real ones say one
// after the other.
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <filesystem>
#include <thread>

#include "spice/abi/test_embedder.h"
#include "spice/server/main/main_channel.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/display.schema.h"

namespace segue::spice::abi {
namespace {

constexpr std::uint32_t kSession = 77;  // of another server

wire::Capabilities able_to_move() {
    return wire::Capabilities::of({wire::main::Capability::semi_seamless_migrate,
                                   wire::main::Capability::seamless_migrate,
                                   wire::main::Capability::agent_connected_tokens});
}

std::unique_ptr<Peer> link_of(Embedder& embedder, wire::ChannelType type,
                              std::uint32_t session = kSession, std::uint8_t id = 0) {
    Peer::Options options;
    options.type = type;
    options.id = id;
    options.session = session;
    if (type == wire::ChannelType::main) options.caps = able_to_move();
    const auto known = [&] {
        return embedder.count(SPICE_CHANNEL_EVENT_INITIALIZED, static_cast<int>(type));
    };
    const int before = known();
    auto made = std::make_unique<Peer>(embedder, options);
    EXPECT_EQ(made->link(), wire::LinkError::ok);
    // Links are answered by another thread than the one that has to do with them.
    EXPECT_TRUE(embedder.run_until([&] { return known() == before + 1; }));
    return made;
}

wire::common::MigrateData main_state() {
    wire::common::MigrateData message;
    message.data = wire::SharedBytes::take(server::write_main_state({}));
    return message;
}

// A client that was let in without its channels, and waits to be told more.
std::unique_ptr<Peer> arriving(Embedder& embedder, std::uint32_t session = kSession) {
    auto main = link_of(embedder, wire::ChannelType::main, session);
    main->send(wire::main::MigrateDstDoSeamless{1});
    EXPECT_TRUE(main->wait<wire::main::MigrateDstSeamlessAck>());
    return main;
}

// What it says there is more than a parked channel may say, and its main comes with the next word.
TEST(HandOver, AParkedDisplayThatSaysTooMuchAsItsMainArrivesIsClosed) {
    Embedder embedder;
    QxlInstance qxl;
    qxl.add_to(embedder);
    qxl.begin();
    const auto main = link_of(embedder, wire::ChannelType::main);
    const auto display = link_of(embedder, wire::ChannelType::display);
    // The first part of a longer message, so that no channel has a reason of its own to close.
    Bytes begun(96u << 10);
    wire::common::MigrateData message;
    message.data = wire::SharedBytes::take(Bytes(1u << 20));
    const Bytes whole = server::from_client(message);
    std::copy_n(whole.begin(), begun.size(), begun.begin());
    display->write(begun);
    main->send(wire::main::MigrateDstDoSeamless{1});
    EXPECT_TRUE(main->wait<wire::main::MigrateDstSeamlessAck>());
    EXPECT_TRUE(display->is_closed());
    EXPECT_EQ(embedder.count(SPICE_CHANNEL_EVENT_DISCONNECTED, SPICE_CHANNEL_DISPLAY), 1);
}

TEST(HandOver, WhatWasUnpluggedMeanwhileIsSettledBeforeTheNextMoveIsAnnounced) {
    Embedder embedder;
    spice_server_set_seamless_migration(embedder.server, 1);
    CharInstance old("port", "org.example.one");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &old.instance.base), 0);
    const auto main = arriving(embedder);
    const auto port = link_of(embedder, wire::ChannelType::port);
    ASSERT_EQ(spice_server_remove_interface(&old.instance.base), 0);
    CharInstance again("port", "org.example.one");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &again.instance.base), 0);
    ASSERT_EQ(spice_server_migrate_connect(embedder.server, "next", 5900, -1, nullptr), 0);
    main->send(main_state());
    constexpr auto kList = wire::main::ChannelsList::kFromServer;
    constexpr auto kBegin = wire::main::MigrateBeginSeamless::kFromServer;
    ASSERT_TRUE(
        embedder.run_until([&] { return main->place_of(kList) && main->place_of(kBegin); }));
    EXPECT_LT(main->place_of(kList), main->place_of(kBegin));
    EXPECT_TRUE(port->is_closed());
    spice_server_remove_interface(&again.instance.base);
}

// A server that `segued` speaks to.
struct Controlled {
    Controlled() {
        ::setenv("SEGUE_SPICE_CONTROL", path.c_str(), 1);
        EXPECT_EQ(spice_server_set_noauth(embedder.server), 0);
        EXPECT_EQ(embedder.init(), 0);
        ::unsetenv("SEGUE_SPICE_CONTROL");
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        std::copy(path.begin(), path.end(), address.sun_path);
        // Its thread opens it.
        EXPECT_TRUE(embedder.run_until([&] {
            return ::connect(daemon.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) ==
                   0;
        }));
    }
    ~Controlled() { ::unlink(path.c_str()); }
    void say(const std::string& line) {
        EXPECT_EQ(::send(daemon.get(), line.data(), line.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(line.size()));
    }
    // What it has said until then, up to a line with these words.
    bool hears(const std::string& words) {
        return embedder.run_until([&] {
            std::array<char, 65536> buffer;
            const ssize_t size = ::recv(daemon.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (size > 0) heard.append(buffer.data(), static_cast<std::size_t>(size));
            return heard.find(words) != std::string::npos;
        });
    }

    const std::string path =
        (std::filesystem::temp_directory_path() / fmt::format("control-{}", ::getpid())).string();
    Embedder embedder{false};
    net::Descriptor daemon{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string heard;
};

// Copying memory takes as long as it takes; who has not come a while behind that never will.
TEST(HandOver, OneThatIsParkedBesideAPausedMachineIsGivenUp) {
    for (const bool is_told_by_qxl : {true, false}) {
        Controlled target;
        QxlInstance qxl;
        qxl.add_to(target.embedder);
        Embedder::haste = 1000;
        const auto early = link_of(target.embedder, wire::ChannelType::main);
        Embedder::loop().run_for(400ms);
        EXPECT_EQ(target.embedder.count(SPICE_CHANNEL_EVENT_DISCONNECTED, SPICE_CHANNEL_MAIN), 0);
        if (is_told_by_qxl) {
            spice_qxl_loadvm_commands(&qxl.instance, nullptr, 0);
        } else {
            target.say("{\"cmd\":\"machine-arrived\"}\n");
        }
        EXPECT_TRUE(early->is_closed());
        // And who links when it is there.
        EXPECT_TRUE(link_of(target.embedder, wire::ChannelType::main)->is_closed());
        Embedder::haste = 1;
    }
}

// Of a machine that stays paused, without a driver of QXL and without segued, nobody says more.
TEST(HandOver, OneThatIsParkedForLongerThanAnyMoveTakesIsGivenUp) {
    Embedder embedder;
    Embedder::haste = 1000000;
    const auto early = link_of(embedder, wire::ChannelType::main);
    EXPECT_TRUE(early->is_closed());
    EXPECT_TRUE(embedder.run_until(
        [&] { return embedder.count(SPICE_CHANNEL_EVENT_DISCONNECTED, SPICE_CHANNEL_MAIN) == 1; }));
    Embedder::haste = 1;
}

// A worker that is kept by its device, as by a picture that takes long to encode.
struct Gate {
    void pass() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return is_open; });
    }
    void set_open(bool open) {
        const std::lock_guard lock(mutex);
        is_open = open;
        changed.notify_all();
    }
    std::mutex mutex;
    std::condition_variable changed;
    bool is_open = true;
};
Gate gate;

// It holds QEMU's lock, and its machine stands still.
TEST(HandOver, WhoStopsTheMachineWaitsForNoStateOfItsClients) {
    Controlled source;
    spice_server_set_seamless_migration(source.embedder.server, 1);
    QxlInstance qxl;
    qxl.table.get_command = [](QXLInstance*, QXLCommandExt*) {
        gate.pass();
        return 0;
    };
    qxl.add_to(source.embedder);
    // A screen that QEMU draws itself: what it has queued is taken when the machine stands.
    QXLDevMemSlot memory = qxl.slot();
    memory.slot_group_id = 0;
    spice_qxl_add_memslot(&qxl.instance, &memory);
    QXLDevSurfaceCreate surface = qxl.primary(64, 32);
    surface.group_id = 0;
    spice_qxl_create_primary_surface(&qxl.instance, 0, &surface);
    spice_server_vm_start(source.embedder.server);
    Session session(source.embedder, able_to_move());
    ASSERT_TRUE(session.ask_for_channels());
    const auto display = session.channel(wire::ChannelType::display);
    display->send(wire::display::Init{});
    ASSERT_TRUE(display->wait<wire::display::SurfaceCreate>());
    ASSERT_EQ(spice_server_migrate_connect(source.embedder.server, "there", 5900, -1, nullptr), 0);
    ASSERT_TRUE(session.main.wait<wire::main::MigrateBeginSeamless>());
    session.main.send(wire::main::MigrateConnectedSeamless{});
    ASSERT_TRUE(source.hears("clients-linked"));
    source.say("{\"cmd\":\"carry-state\"}\n");
    ASSERT_TRUE(source.hears("\"final\":false"));

    gate.set_open(false);
    std::atomic<bool> has_returned{false}, waited_in_vain{false};
    std::thread patience([&] {
        for (int turn = 0; !has_returned && turn < 1000; ++turn)
            std::this_thread::sleep_for(5ms);
        waited_in_vain = !has_returned;
        gate.set_open(true);
    });
    spice_server_vm_stop(source.embedder.server);
    has_returned = true;
    patience.join();
    EXPECT_FALSE(waited_in_vain);
    EXPECT_TRUE(source.hears("\"final\":true")) << source.heard.size();
}

TEST(HandOver, AMachineThatGoesOnHereDoesNotEndWithThoseWhoWereSentAfterIt) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto move_and_go_on = [] {
        Embedder embedder;
        spice_server_set_exit_on_disconnect(embedder.server, 1);
        Session session(embedder, able_to_move());
        session.ask_for_channels();
        spice_server_migrate_connect(embedder.server, "target", 5900, -1, nullptr);
        session.main.wait<wire::main::MigrateBegin>();
        session.main.send(wire::main::MigrateConnected{});
        session.main.settle();
        spice_server_vm_stop(embedder.server);
        spice_server_migrate_end(embedder.server, 1);
        session.main.wait<wire::main::MigrateEnd>();
        // The target could not finish, and management says `cont`.
        spice_server_vm_start(embedder.server);
        if (!session.main.is_closed()) ::_exit(8);
        Embedder::loop().run_for(50ms);
        ::_exit(7);
    };
    EXPECT_EXIT(move_and_go_on(), testing::ExitedWithCode(7), "");
}

}  // namespace
}  // namespace segue::spice::abi
