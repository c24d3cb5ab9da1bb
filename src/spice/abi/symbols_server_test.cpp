// SPDX-License-Identifier: LGPL-2.1-or-later
// Each symbol of the library that concerns the server itself, by what it does for an embedder and a
// client. The table of symbols at the end fails for one without a test here or beside.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "net/test_certificates.h"
#include "spice/abi/test_embedder.h"
#include "spice/wire/common.schema.h"
#include "spice/wire/display.schema.h"
#include "spice/wire/port.schema.h"

namespace segue::spice::abi {
namespace {

namespace fs = std::filesystem;
using wire::ChannelType;
using wire::LinkError;

class Folder {
  public:
    Folder() {
        std::string name = (fs::temp_directory_path() / "segue-abi-XXXXXX").string();
        path = ::mkdtemp(name.data());
    }
    ~Folder() { fs::remove_all(path); }
    fs::path path;
};

net::Descriptor connect_unix(const std::string& path) {
    net::Descriptor made(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return made;
}
net::Descriptor connect_port(int port) {
    net::Descriptor made(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(made.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    return made;
}
int free_port() {
    net::Descriptor probe(::socket(AF_INET, SOCK_STREAM, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(probe.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(probe.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
    return ntohs(address.sin_port);
}

// A link request over TLS is answered in SPICE: the handshake is over, and the server behind it.
bool answers_over_tls(Embedder& embedder, net::Descriptor socket, const net::TlsFiles& files) {
    net::TlsFiles authority;
    authority.authority = files.authority;
    const auto context = net::TlsContext::make(net::TlsSide::client, authority, true).value();
    auto filter = std::move(context->make_filter("localhost").value());
    wire::ClientLink link({});
    Bytes out;
    Bytes plain;
    EXPECT_TRUE(filter->start(out));
    const wire::LinkActions actions = link.start();
    EXPECT_TRUE(filter->send(std::get<wire::SendBytes>(actions.at(0)).bytes, out));
    return embedder.run_until([&] {
        if (!out.empty()) ::send(socket.get(), out.data(), out.size(), MSG_NOSIGNAL);
        out.clear();
        std::array<std::uint8_t, 8192> buffer;
        const ssize_t size = ::recv(socket.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (size > 0) {
            EXPECT_TRUE(filter->receive(ByteView(buffer).first(static_cast<std::size_t>(size)),
                                        plain, out));
        }
        return plain.size() > 4 && as_text(plain).starts_with("REDQ");
    });
}

// --- Life ---------------------------------------------------------------------------------------

TEST(Symbol, spice_server_new) {
    Embedder one(false);
    Embedder two(false);
    ASSERT_NE(one.server, nullptr);
    EXPECT_NE(one.server, two.server);
}
TEST(Symbol, spice_server_init) {
    Embedder embedder(false);
    SpiceCoreInterface none = embedder.core;
    none.timer_add = nullptr;
    EXPECT_EQ(spice_server_init(embedder.server, &none), -1);
    EXPECT_EQ(embedder.init(), 0);
    EXPECT_EQ(embedder.init(), -1);
}
TEST(Symbol, spice_server_destroy) {
    Embedder embedder;
    Session session(embedder);
    spice_server_destroy(std::exchange(embedder.server, nullptr));
    EXPECT_TRUE(session.main.is_closed());
}
TEST(Symbol, two_servers_of_one_process_do_not_meet) {
    Embedder one;
    Embedder two;
    spice_server_set_name(one.server, "one");
    spice_server_set_name(two.server, "two");
    const auto caps = wire::Capabilities::of({wire::main::Capability::name_and_uuid});
    Session first(one, caps);
    Session second(two, caps);
    EXPECT_EQ(first.main.wait<wire::main::Name>()->name, "one");
    EXPECT_EQ(second.main.wait<wire::main::Name>()->name, "two");
    // A session of the one is none of the other.
    Peer::Options stranger;
    stranger.type = ChannelType::inputs;
    stranger.session = first.init.session_id;
    EXPECT_EQ(Peer(two, stranger).link(), LinkError::bad_connection_id);
    spice_server_destroy(std::exchange(one.server, nullptr));
    EXPECT_TRUE(first.main.is_closed());
    second.channel(ChannelType::inputs);
}
TEST(Symbol, spice_get_current_compat_version) {
    EXPECT_EQ(spice_get_current_compat_version(), SPICE_COMPAT_VERSION_CURRENT);
}
TEST(Symbol, spice_server_set_compat_version) {
    Embedder embedder(false);
    EXPECT_EQ(spice_server_set_compat_version(embedder.server, SPICE_COMPAT_VERSION_CURRENT), 0);
    EXPECT_EQ(spice_server_set_compat_version(embedder.server, SPICE_COMPAT_VERSION_0_4), -1);
}

// --- Where to listen ----------------------------------------------------------------------------

TEST(Symbol, spice_server_set_port) {
    Embedder embedder(false);
    EXPECT_EQ(spice_server_set_port(embedder.server, -1), -1);
    EXPECT_EQ(spice_server_set_port(embedder.server, 70000), -1);
    const int port = free_port();
    spice_server_set_noauth(embedder.server);
    ASSERT_EQ(spice_server_set_port(embedder.server, port), 0);
    ASSERT_EQ(embedder.init(), 0);
    EXPECT_EQ(Peer(embedder, {}, connect_port(port)).link(), LinkError::ok);
}
TEST(Symbol, spice_server_set_addr) {
    const Folder folder;
    const std::string path = folder.path / "socket";
    Embedder embedder(false);
    spice_server_set_noauth(embedder.server);
    spice_server_set_addr(embedder.server, path.c_str(), SPICE_ADDR_FLAG_UNIX_ONLY);
    ASSERT_EQ(embedder.init(), 0);
    EXPECT_EQ(Peer(embedder, {}, connect_unix(path)).link(), LinkError::ok);
}
TEST(Symbol, spice_server_set_listen_socket_fd) {
    const Folder folder;
    const std::string path = folder.path / "socket";
    const int listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    ASSERT_EQ(::bind(listening, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(listening, 1), 0);
    Embedder embedder(false);
    spice_server_set_noauth(embedder.server);
    ASSERT_EQ(spice_server_set_listen_socket_fd(embedder.server, listening), 0);
    ASSERT_EQ(embedder.init(), 0);
    EXPECT_EQ(Peer(embedder, {}, connect_unix(path)).link(), LinkError::ok);
}

net::TlsFiles set_tls(Embedder& embedder, net::TestAuthority& authority, int port) {
    const net::TlsFiles files = authority.issue("server", "DNS:localhost");
    EXPECT_EQ(spice_server_set_tls(embedder.server, 0, nullptr, nullptr, nullptr, nullptr, nullptr,
                                   nullptr),
              -1);
    EXPECT_EQ(spice_server_set_tls(embedder.server, port, files.authority.c_str(),
                                   files.certificate.c_str(), files.key.c_str(), nullptr, nullptr,
                                   "ECDHE-ECDSA-AES256-GCM-SHA384"),
              0);
    return files;
}
TEST(Symbol, spice_server_set_tls) {
    net::TestAuthority authority;
    Embedder embedder(false);
    const int port = free_port();
    const net::TlsFiles files = set_tls(embedder, authority, port);
    ASSERT_EQ(embedder.init(), 0);
    EXPECT_TRUE(answers_over_tls(embedder, connect_port(port), files));
    Embedder broken(false);
    spice_server_set_tls(broken.server, free_port(), files.authority.c_str(),
                         files.certificate.c_str(), files.key.c_str(), nullptr, nullptr, "no-such");
    EXPECT_EQ(broken.init(), -1);
}
TEST(Symbol, spice_server_add_ssl_client) {
    net::TestAuthority authority;
    Embedder embedder(false);
    const net::TlsFiles files = set_tls(embedder, authority, free_port());
    ASSERT_EQ(embedder.init(), 0);
    int pair[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    ASSERT_EQ(spice_server_add_ssl_client(embedder.server, pair[1], 0), 0);
    EXPECT_TRUE(answers_over_tls(embedder, net::Descriptor(pair[0]), files));
}
TEST(Symbol, spice_server_add_client) {
    Embedder embedder(false);
    EXPECT_EQ(spice_server_add_client(embedder.server, 0, 0), -1);  // not initialised
    ASSERT_EQ(embedder.init(), 0);
    EXPECT_EQ(spice_server_add_client(embedder.server, -1, 0), -1);
    EXPECT_EQ(Peer(embedder, {}, false).link(), LinkError::permission_denied);
    EXPECT_EQ(Peer(embedder, {}, true).link(), LinkError::ok);
}
TEST(Symbol, spice_server_get_num_clients) {
    Embedder embedder;
    EXPECT_EQ(spice_server_get_num_clients(embedder.server), 0);
    Session session(embedder);
    EXPECT_EQ(spice_server_get_num_clients(embedder.server), 1);
    // A second client takes the place of the first.
    Session other(embedder);
    EXPECT_TRUE(session.main.is_closed());
    EXPECT_EQ(spice_server_get_num_clients(embedder.server), 1);
}
TEST(Symbol, spice_server_get_sock_info) {
    Embedder embedder;
    EXPECT_EQ(spice_server_get_sock_info(embedder.server, nullptr, nullptr), -1);
}
TEST(Symbol, spice_server_get_peer_info) {
    Embedder embedder;
    EXPECT_EQ(spice_server_get_peer_info(embedder.server, nullptr, nullptr), -1);
}
TEST(Symbol, spice_server_set_exit_on_disconnect) {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    const auto leave = [] {
        Embedder embedder;
        spice_server_set_exit_on_disconnect(embedder.server, 1);
        std::atexit([] { std::fputs("the embedder's exit handler\n", stderr); });
        { Session session(embedder); }
        embedder.run_until([] { return false; });
        ::_exit(7);
    };
    EXPECT_EXIT(leave(), testing::ExitedWithCode(0), "the embedder's exit handler");
}

// --- Who may come in ----------------------------------------------------------------------------

TEST(Symbol, spice_server_set_noauth) {
    Embedder embedder(false);
    ASSERT_EQ(embedder.init(), 0);
    EXPECT_EQ(Peer(embedder, {}).link(), LinkError::permission_denied);
    EXPECT_EQ(spice_server_set_noauth(embedder.server), 0);
    EXPECT_EQ(Peer(embedder, {}).link(), LinkError::ok);
}
TEST(Symbol, spice_server_set_ticket) {
    Embedder embedder;
    ASSERT_EQ(spice_server_set_ticket(embedder.server, "secret", 0, 0, 0), 0);
    Peer::Options options;
    options.password = "wrong";
    EXPECT_EQ(Peer(embedder, options).link(), LinkError::permission_denied);
    options.password = "secret";
    Peer client(embedder, options);
    EXPECT_EQ(client.link(), LinkError::ok);
    ASSERT_TRUE(client.wait<wire::main::Init>());
    EXPECT_EQ(spice_server_set_ticket(embedder.server, "other", 0, 1, 0), -1);
    EXPECT_EQ(spice_server_set_ticket(embedder.server, std::string(61, 'a').c_str(), 0, 0, 0), -1);
    EXPECT_EQ(spice_server_set_ticket(embedder.server, "other", 1, 0, 1), 0);
    EXPECT_TRUE(client.is_closed());
    // The new one expires.
    options.password = "other";
    EXPECT_TRUE(embedder.run_until(
        [&] { return Peer(embedder, options).link() == LinkError::permission_denied; }));
    // One that has ended before it began lets nobody in.
    EXPECT_EQ(spice_server_set_ticket(embedder.server, "third", -1, 0, 0), 0);
    options.password = "third";
    EXPECT_EQ(Peer(embedder, options).link(), LinkError::permission_denied);
}
TEST(Symbol, spice_server_set_channel_security) {
    Embedder embedder;
    EXPECT_EQ(spice_server_set_channel_security(embedder.server, "none", 2), -1);
    ASSERT_EQ(
        spice_server_set_channel_security(embedder.server, "inputs", SPICE_CHANNEL_SECURITY_SSL),
        0);
    Session session(embedder);
    Peer::Options inputs;
    inputs.type = ChannelType::inputs;
    inputs.session = session.init.session_id;
    EXPECT_EQ(Peer(embedder, inputs).link(), LinkError::need_secured);
}

TEST(Symbol, spice_server_set_sasl) {
    Embedder embedder;
    demand_sasl(embedder);
    EXPECT_NE(Peer(embedder, {}).link(), LinkError::ok);  // a ticket is no way around it
    ASSERT_EQ(spice_server_set_sasl(embedder.server, 0), 0);
    EXPECT_EQ(Peer(embedder, {}).link(), LinkError::ok);
}
TEST(Symbol, spice_server_set_sasl_appname) {
    Embedder embedder;
    demand_sasl(embedder);
    Peer::Options options;
    options.sasl = true;
    Peer peer(embedder, options);
    ASSERT_TRUE(embedder.run_until([&] { return !peer.mechanisms().empty(); }));
    EXPECT_EQ(peer.mechanisms(), "DIGEST-MD5");
}

// --- The machine --------------------------------------------------------------------------------

const auto kNamed = wire::Capabilities::of({wire::main::Capability::name_and_uuid});

TEST(Symbol, spice_server_set_name) {
    Embedder embedder;
    spice_server_set_name(embedder.server, "machine");
    EXPECT_EQ(Session(embedder, kNamed).main.wait<wire::main::Name>()->name, "machine");
}
TEST(Symbol, spice_server_set_uuid) {
    Embedder embedder;
    std::array<std::uint8_t, 16> uuid{};
    for (std::uint8_t at = 0; at < uuid.size(); ++at)
        uuid[at] = at;
    spice_server_set_uuid(embedder.server, uuid.data());
    EXPECT_EQ(Session(embedder, kNamed).main.wait<wire::main::Uuid>()->uuid, uuid);
}
TEST(Symbol, spice_server_vm_start) {
    Embedder embedder(false);
    ASSERT_EQ(embedder.init(), 0);
    CharInstance port("port", "org.segue.test");
    spice_server_vm_stop(embedder.server);
    ASSERT_EQ(spice_server_add_interface(embedder.server, &port.instance.base), 0);
    spice_server_char_device_wakeup(&port.instance);
    EXPECT_EQ(port.guest.reads, 0u);
    spice_server_set_noauth(embedder.server);
    Session session(embedder);
    const auto channel = session.channel(ChannelType::port);
    ASSERT_TRUE(channel->wait<wire::port::Init>());
    EXPECT_EQ(port.guest.reads, 0u);
    spice_server_vm_start(embedder.server);
    EXPECT_GT(port.guest.reads, 0u);
    spice_server_remove_interface(&port.instance.base);
}
TEST(Symbol, spice_server_vm_stop) {
    Embedder embedder;
    CharInstance port("port", "org.segue.test");
    ASSERT_EQ(spice_server_add_interface(embedder.server, &port.instance.base), 0);
    Session session(embedder);
    const auto channel = session.channel(ChannelType::port);
    ASSERT_TRUE(channel->wait<wire::port::Init>());
    spice_server_vm_stop(embedder.server);
    const std::size_t reads = port.guest.reads;
    spice_server_char_device_wakeup(&port.instance);
    EXPECT_EQ(port.guest.reads, reads);
    spice_server_remove_interface(&port.instance.base);
}

// --- Pictures and sound -------------------------------------------------------------------------

namespace display_wire = wire::display;
using display_wire::ImageType;

// A display whose client shares a window of pictures with the server.
class Screen {
  public:
    Screen() {
        qxl.add_to(embedder);
        qxl.begin(2 * kSide, 2 * kSide);
        for (unsigned seed : {0, 1}) {
            flat[seed] = qxl.put_picture(kSide, false, seed);
            photo[seed] = qxl.put_picture(kSide, true, seed);
        }
        session = std::make_unique<Session>(embedder);
        view = session->channel(ChannelType::display);
        display_wire::Init init;
        init.glz_dictionary_id = 1;
        init.glz_window_size = 1 << 20;
        view->send(init);
        const auto window = view->wait<wire::common::SetAck>();
        EXPECT_TRUE(window);
        if (window) view->send(wire::common::AckSync{window->generation});
        EXPECT_TRUE(view->wait<display_wire::SurfaceCreate>());
    }
    ~Screen() {
        view.reset();
        session.reset();
        spice_server_remove_interface(&qxl.instance.base);
    }
    // The form in which it goes over the wire.
    std::optional<ImageType> form_of(QXLPHYSICAL picture) {
        qxl.queue_copy(picture, kSide);
        spice_qxl_wakeup(&qxl.instance);
        // What the surface showed before goes, too.
        while (const auto drawn = view->wait<display_wire::DrawCopy>()) {
            if (drawn->base.box.right == static_cast<std::int32_t>(kSide))
                return drawn->source.type;
        }
        return {};
    }
    // Whether the client is told of a video within so many frames, each sent before the next.
    bool becomes_video(const QXLPHYSICAL (&pictures)[2], int frames) {
        form_of(pictures[1]);
        for (int frame = 0; frame < frames; ++frame) {
            qxl.queue_copy(pictures[frame % 2], kSide);
            spice_qxl_wakeup(&qxl.instance);
            const auto has = [&](std::uint16_t number) {
                return view->place_of(number).has_value();
            };
            EXPECT_TRUE(embedder.run_until([&] {
                return has(display_wire::StreamCreate::kFromServer) ||
                       has(display_wire::DrawCopy::kFromServer);
            }));
            if (has(display_wire::StreamCreate::kFromServer)) return true;
            view->wait<display_wire::DrawCopy>();
            view->send(wire::common::Ack{});  // oftener than it must
        }
        return false;
    }

    static constexpr std::uint32_t kSide = 128;
    Embedder embedder;
    QxlInstance qxl;
    QXLPHYSICAL flat[2], photo[2];
    std::unique_ptr<Session> session;
    std::unique_ptr<Peer> view;
};

TEST(Symbol, spice_server_get_image_compression) {
    Embedder embedder;
    EXPECT_EQ(spice_server_get_image_compression(embedder.server),
              SPICE_IMAGE_COMPRESSION_AUTO_GLZ);
}
TEST(Symbol, spice_server_set_image_compression) {
    Screen screen;
    SpiceServer* const server = screen.embedder.server;
    EXPECT_EQ(spice_server_set_image_compression(server, SPICE_IMAGE_COMPRESSION_INVALID), -1);
    EXPECT_EQ(screen.form_of(screen.photo[0]), ImageType::quic) << "auto";
    EXPECT_EQ(spice_server_set_image_compression(server, SPICE_IMAGE_COMPRESSION_LZ), 0);
    EXPECT_EQ(spice_server_get_image_compression(server), SPICE_IMAGE_COMPRESSION_LZ);
    EXPECT_EQ(screen.form_of(screen.photo[1]), ImageType::lz_rgb);
    EXPECT_EQ(spice_server_set_image_compression(server, SPICE_IMAGE_COMPRESSION_OFF), 0);
    EXPECT_EQ(screen.form_of(screen.photo[0]), ImageType::bitmap);
}
TEST(Symbol, spice_server_set_jpeg_compression) {
    Screen screen;
    SpiceServer* const server = screen.embedder.server;
    EXPECT_EQ(spice_server_set_jpeg_compression(server, SPICE_WAN_COMPRESSION_INVALID), -1);
    EXPECT_EQ(screen.form_of(screen.photo[0]), ImageType::quic);
    EXPECT_EQ(spice_server_set_jpeg_compression(server, SPICE_WAN_COMPRESSION_ALWAYS), 0);
    EXPECT_EQ(screen.form_of(screen.photo[1]), ImageType::jpeg);
}
TEST(Symbol, spice_server_set_zlib_glz_compression) {
    Screen screen;
    SpiceServer* const server = screen.embedder.server;
    EXPECT_EQ(spice_server_set_image_compression(server, SPICE_IMAGE_COMPRESSION_GLZ), 0);
    EXPECT_EQ(spice_server_set_zlib_glz_compression(server, SPICE_WAN_COMPRESSION_INVALID), -1);
    EXPECT_EQ(screen.form_of(screen.flat[0]), ImageType::glz_rgb);
    EXPECT_EQ(spice_server_set_zlib_glz_compression(server, SPICE_WAN_COMPRESSION_ALWAYS), 0);
    EXPECT_EQ(screen.form_of(screen.flat[1]), ImageType::zlib_glz_rgb);
}
// Unless it is told otherwise, it looks for videos among photos.
TEST(Symbol, spice_server_set_streaming_video) {
    Screen screen;
    SpiceServer* const server = screen.embedder.server;
    EXPECT_EQ(spice_server_set_streaming_video(server, 99), -1);
    EXPECT_EQ(spice_server_set_streaming_video(server, SPICE_STREAM_VIDEO_OFF), 0);
    EXPECT_FALSE(screen.becomes_video(screen.photo, 60));
    EXPECT_EQ(spice_server_set_streaming_video(server, SPICE_STREAM_VIDEO_ALL), 0);
    // Of 20 frames in a row none may be late: on a busy host that takes more of them.
    EXPECT_TRUE(screen.becomes_video(screen.flat, 2000));
}
TEST(Symbol, spice_server_set_video_codecs) {
    Embedder embedder;
    EXPECT_EQ(spice_server_set_video_codecs(embedder.server, "nonsense"), -1);
    EXPECT_EQ(spice_server_set_video_codecs(embedder.server, "gstreamer:vp8"), -1)
        << "none is here";
    EXPECT_EQ(spice_server_set_video_codecs(embedder.server, "spice:mjpeg;a:b;spice:mjpeg"), 0);
    // There is one encoder; what was asked for is told as it was asked, without those of others.
    const char* codecs = spice_server_get_video_codecs(embedder.server);
    EXPECT_STREQ(codecs, "spice:mjpeg;spice:mjpeg");
    spice_server_free_video_codecs(embedder.server, codecs);
}
TEST(Symbol, spice_server_get_video_codecs) {
    Embedder embedder;
    const char* codecs = spice_server_get_video_codecs(embedder.server);
    EXPECT_NE(std::string(codecs).find("spice:mjpeg"), std::string::npos);
    spice_server_free_video_codecs(embedder.server, codecs);
}
TEST(Symbol, spice_server_free_video_codecs) {
    Embedder embedder;
    // Each call gives a string of its own, which this takes back.
    const char* one = spice_server_get_video_codecs(embedder.server);
    const char* two = spice_server_get_video_codecs(embedder.server);
    EXPECT_NE(one, two);
    spice_server_free_video_codecs(embedder.server, one);
    EXPECT_NE(std::string(two), "");
    spice_server_free_video_codecs(embedder.server, two);
}
TEST(Symbol, spice_server_add_renderer) {
    Embedder embedder;
    EXPECT_EQ(spice_server_add_renderer(embedder.server, "sw"), 0);
    EXPECT_EQ(spice_server_add_renderer(embedder.server, "oglpixmap"), -1);
}

// --- Migration ----------------------------------------------------------------------------------

struct Migrating {
    explicit Migrating(bool seamless = false) {
        table.base = {SPICE_INTERFACE_MIGRATION, "test", SPICE_INTERFACE_MIGRATION_MAJOR,
                      SPICE_INTERFACE_MIGRATION_MINOR};
        table.migrate_connect_complete = [](SpiceMigrateInstance* sin) {
            ++of(sin).connect_complete;
        };
        table.migrate_end_complete = [](SpiceMigrateInstance* sin) { ++of(sin).end_complete; };
        instance.base.sif = &table.base;
        EXPECT_EQ(spice_server_add_interface(embedder.server, &instance.base), 0);
        spice_server_set_seamless_migration(embedder.server, seamless ? 1 : 0);
        session = std::make_unique<Session>(
            embedder, wire::Capabilities::of({wire::main::Capability::semi_seamless_migrate,
                                              wire::main::Capability::seamless_migrate,
                                              wire::main::Capability::agent_connected_tokens}));
        EXPECT_TRUE(session->ask_for_channels());
    }
    static Migrating& of(SpiceMigrateInstance* sin) {
        return *reinterpret_cast<Migrating*>(reinterpret_cast<char*>(sin) -
                                             offsetof(Migrating, instance));
    }
    int connect(const char* host = "target") {
        return spice_server_migrate_connect(embedder.server, host, 5900, -1, nullptr);
    }

    SpiceMigrateInterface table{};
    SpiceMigrateInstance instance{};
    int connect_complete = 0;
    int end_complete = 0;
    Embedder embedder;
    std::unique_ptr<Session> session;
};

TEST(Symbol, spice_server_migrate_connect) {
    Migrating machine;
    ASSERT_EQ(machine.connect(), 0);
    const auto begin = machine.session->main.wait<wire::main::MigrateBegin>();
    ASSERT_TRUE(begin);
    EXPECT_EQ(begin->destination.host, "target");
    machine.session->main.send(wire::main::MigrateConnected{});
    EXPECT_TRUE(machine.embedder.run_until([&] { return machine.connect_complete == 1; }));
}
TEST(Symbol, spice_server_set_seamless_migration) {
    Migrating machine(true);
    ASSERT_EQ(machine.connect(), 0);
    EXPECT_TRUE(machine.session->main.wait<wire::main::MigrateBeginSeamless>());
}
TEST(Symbol, spice_server_migrate_start) {
    Migrating machine;
    EXPECT_EQ(spice_server_migrate_start(machine.embedder.server), -1);
    ASSERT_EQ(machine.connect(), 0);
    EXPECT_EQ(spice_server_migrate_start(machine.embedder.server), 0);
    EXPECT_EQ(spice_server_migrate_start(machine.embedder.server), -1);
}
TEST(Symbol, spice_server_migrate_end) {
    Migrating machine;
    ASSERT_EQ(machine.connect(), 0);
    ASSERT_TRUE(machine.session->main.wait<wire::main::MigrateBegin>());
    machine.session->main.send(wire::main::MigrateConnected{});
    ASSERT_TRUE(machine.embedder.run_until([&] { return machine.connect_complete == 1; }));
    EXPECT_EQ(spice_server_migrate_end(machine.embedder.server, 1), 0);
    EXPECT_TRUE(machine.session->main.wait<wire::main::MigrateEnd>());
    machine.session.reset();
    EXPECT_TRUE(machine.embedder.run_until([&] { return machine.end_complete == 1; }));
}
TEST(Symbol, spice_server_migrate_info) {
    Embedder embedder;
    EXPECT_EQ(spice_server_migrate_info(embedder.server, nullptr, 1, -1, nullptr), -1);
    EXPECT_EQ(spice_server_migrate_info(embedder.server, "target", 5900, -1, nullptr), 0);
}
TEST(Symbol, spice_server_migrate_switch) {
    Embedder embedder;
    Session session(embedder);
    ASSERT_EQ(spice_server_migrate_info(embedder.server, "target", 5900, -1, nullptr), 0);
    EXPECT_EQ(spice_server_migrate_switch(embedder.server), 0);
    const auto elsewhere = session.main.wait<wire::main::MigrateSwitchHost>();
    ASSERT_TRUE(elsewhere);
    EXPECT_EQ(elsewhere->destination.host, "target");
}

// --- The table ----------------------------------------------------------------------------------

TEST(SymbolTable, EachSymbolOfTheLibraryHasItsTest) {
    std::ifstream map(SEGUE_SYMBOL_MAP);
    std::set<std::string> symbols;
    for (std::string word; map >> word;) {
        // Recordings are replayed in tests of their own.
        if (word.starts_with("spice_replay_")) continue;
        if (word.starts_with("spice_") && word.ends_with(";"))
            symbols.insert(word.substr(0, word.size() - 1));
    }
    EXPECT_EQ(symbols.size(), 93u);
    const testing::UnitTest& tests = *testing::UnitTest::GetInstance();
    for (int suite = 0; suite < tests.total_test_suite_count(); ++suite) {
        const testing::TestSuite& all = *tests.GetTestSuite(suite);
        if (std::string(all.name()) != "Symbol") continue;
        for (int test = 0; test < all.total_test_count(); ++test)
            symbols.erase(all.GetTestInfo(test)->name());
    }
    for (const std::string& symbol : symbols)
        ADD_FAILURE() << symbol << " has no test";
}

}  // namespace
}  // namespace segue::spice::abi
