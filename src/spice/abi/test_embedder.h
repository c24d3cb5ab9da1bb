// SPDX-License-Identifier: LGPL-2.1-or-later
// For tests: what embeds the library through its C interface (a core on a loop, a device of each
// kind), and a client that says what a test wants.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "net/descriptor.h"
#include "net/test_loop.h"
#include "spice/abi/spice_headers.h"
#include "spice/server/chardev/fake_char_device.h"
#include "spice/server/display/guest/fake_device.h"
#include "spice/wire/link.h"
#include "spice/wire/main.schema.h"

struct SpiceTimer {
    std::unique_ptr<segue::Timer> timer;
};
struct SpiceWatch {
    std::unique_ptr<segue::Watch> watch;
};

namespace segue::spice::abi {

namespace wire = segue::spice::wire;

// One server and its core. Several may live at once.
class Embedder {
  public:
    // `ready`: initialised, without tickets, its machine running.
    explicit Embedder(bool ready = true);
    ~Embedder();

    int init() { return spice_server_init(server, &core); }
    bool run_until(const std::function<bool()>& condition) {
        return loop().run_until(condition, 20s);
    }
    static net::TestLoop& loop();
    // The library's timers ring so many times earlier than they were asked to.
    static std::uint32_t haste;
    // SPICE_CHANNEL_EVENT_* by channel type.
    int count(int event, int type) const;

    SpiceCoreInterface core{};
    SpiceServer* server;
    struct Told {
        int event;
        int type;
        bool tls;
    };
    std::vector<Told> told;
};

// SASL in place of tickets: DIGEST-MD5, of users in a file of the tests' own. The library reads its
// configuration once a process.
void demand_sasl(Embedder& embedder);

// A channel of a client, over a socket pair or a socket of its own.
class Peer {
  public:
    struct Options {
        wire::ChannelType type = wire::ChannelType::main;
        std::uint8_t id = 0;
        std::uint32_t session = 0;
        wire::Capabilities caps;
        std::string password;
        bool sasl = false;
    };
    // Over a socket pair that the server is given.
    Peer(Embedder& embedder, Options options, bool skip_auth = false);
    // Over this socket.
    Peer(Embedder& embedder, Options options, net::Descriptor socket);
    ~Peer();

    // Runs until the link is decided; ok: linked.
    wire::LinkError link();
    // What the server said it can do; the SASL mechanisms that it offers.
    const wire::Capabilities& server_caps() const { return server_caps_; }
    const std::string& mechanisms() const { return mechanisms_; }
    bool is_closed();

    template <class Message>
    void send(const Message& message) {
        const Bytes bytes = server::from_client(message);
        write(bytes);
    }
    void write(ByteView bytes);
    // The next message of this kind, those in front of it dropped.
    template <class Message>
    std::optional<Message> wait() {
        std::optional<Message> found;
        embedder_.run_until([&] {
            found = messages_.take<Message>();
            return found.has_value() || closed_;
        });
        return found;
    }
    // Whether such a message is there once the server has answered a ping.
    template <class Message>
    bool has_now() {
        settle();
        return messages_.take<Message>().has_value();
    }
    void settle();
    std::size_t waiting_messages() const { return messages_.messages.size(); }
    // Of those that were not taken, the first with this number: the place in their order.
    std::optional<std::size_t> place_of(std::uint16_t number) const;

  private:
    void start();
    void read();
    void act(const wire::LinkActions& actions);

    Embedder& embedder_;
    Options options_;
    net::Descriptor socket_;
    std::unique_ptr<Watch> watch_;
    wire::ClientLink link_{wire::ClientLink::Request{}};
    std::optional<wire::LinkError> result_;
    wire::Capabilities server_caps_;
    std::string mechanisms_;
    server::FakeOutput messages_;
    bool closed_ = false;
};

// A whole client: main and the session's other channels.
struct Session {
    explicit Session(Embedder& embedder, wire::Capabilities main_caps = {});
    std::unique_ptr<Peer> channel(wire::ChannelType type, wire::Capabilities caps = {},
                                  std::uint8_t id = 0);
    // Asks what there is to link, as each client does: later additions are said to who has asked.
    bool ask_for_channels();

    Embedder& embedder;
    Peer main;
    wire::main::Init init;
};

// A character device of the embedder's.
struct CharInstance {
    CharInstance(const char* subtype, const char* port_name = nullptr);

    SpiceCharDeviceInterface table{};
    SpiceCharDeviceInstance instance{};
    server::FakeGuest guest;
    server::FakeCharDevice device{guest};
};

// A QXL device with its guest's memory. Called on the display's thread, too.
struct QxlInstance {
    explicit QxlInstance(int id = 0);
    void add_to(Embedder& embedder);
    // The guest's memory slot, and a primary surface in it.
    void begin(std::uint32_t width = 64, std::uint32_t height = 32);
    QXLDevMemSlot slot();
    QXLDevSurfaceCreate primary(std::uint32_t width, std::uint32_t height);
    // A fill of the whole surface, in the guest's ring.
    void queue_fill(std::uint32_t surface, std::uint32_t color, std::uint32_t width,
                    std::uint32_t height);
    // Where its pixels are.
    QXLPHYSICAL queue_surface(std::uint32_t surface, std::uint32_t width, std::uint32_t height);
    // A square picture of 32 bits, flat or like a photo; with an id the client may keep it.
    QXLPHYSICAL put_picture(std::uint32_t side, bool is_photo, unsigned seed = 1,
                            std::uint64_t id = 0);
    // To the corner of the primary surface.
    void queue_copy(QXLPHYSICAL picture, std::uint32_t side);
    bool completed(std::uint64_t cookie);
    // The first of the primary surface, or there.
    std::uint32_t pixel();
    std::uint32_t pixel(QXLPHYSICAL at);
    std::size_t released();

    std::mutex mutex;
    server::FakeDevice device{1 << 20};
    QXLInterface table{};
    QXLInstance instance{};
    bool client_present = false;
    std::uint32_t updated = 0;  // rectangles
    std::vector<std::uint32_t> monitors;
    QXLPHYSICAL pixels = 0;
    int flushed = 0;
};

}  // namespace segue::spice::abi
