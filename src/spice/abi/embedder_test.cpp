// SPDX-License-Identifier: LGPL-2.1-or-later
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "spice/abi/test_embedder.h"
#include "spice/client/ticket.h"

namespace segue::spice::abi {
namespace {

// The core interface has no place for an owner in all of its calls: channel events go by this.
std::vector<Embedder*>& embedders() {
    static std::vector<Embedder*> all;
    return all;
}

void told(Embedder& embedder, int event, SpiceChannelEventInfo* info) {
    embedder.told.push_back({event, info->type, (info->flags & SPICE_CHANNEL_EVENT_FLAG_TLS) != 0});
}

// A function a server, so that each tells its own.
template <std::size_t kIndex>
void on_channel_event(int event, SpiceChannelEventInfo* info) {
    if (kIndex < embedders().size() && embedders()[kIndex] != nullptr)
        told(*embedders()[kIndex], event, info);
}

SpiceTimer* timer_add(SpiceTimerFunc func, void* opaque) {
    return new SpiceTimer{(*Embedder::loop()).make_timer([func, opaque] { func(opaque); })};
}
void timer_start(SpiceTimer* timer, std::uint32_t ms) {
    timer->timer->start(std::chrono::milliseconds(ms / Embedder::haste));
}
void timer_cancel(SpiceTimer* timer) {
    timer->timer->cancel();
}
void timer_remove(SpiceTimer* timer) {
    delete timer;
}

SpiceWatch* watch_add(int descriptor, int mask, SpiceWatchFunc func, void* opaque) {
    auto* made = new SpiceWatch;
    made->watch = (*Embedder::loop()).watch(descriptor, [=](Loop::Ready ready) {
        func(descriptor,
             (ready.readable ? SPICE_WATCH_EVENT_READ : 0) |
                 (ready.writable ? SPICE_WATCH_EVENT_WRITE : 0),
             opaque);
    });
    made->watch->set_interest((mask & SPICE_WATCH_EVENT_READ) != 0,
                              (mask & SPICE_WATCH_EVENT_WRITE) != 0);
    return made;
}
void watch_update_mask(SpiceWatch* watch, int mask) {
    watch->watch->set_interest((mask & SPICE_WATCH_EVENT_READ) != 0,
                               (mask & SPICE_WATCH_EVENT_WRITE) != 0);
}
void watch_remove(SpiceWatch* watch) {
    delete watch;
}

}  // namespace

std::uint32_t Embedder::haste = 1;

net::TestLoop& Embedder::loop() {
    static net::TestLoop one;
    return one;
}

Embedder::Embedder(bool ready) : server(spice_server_new()) {
    core.base.type = "core";
    core.base.major_version = SPICE_INTERFACE_CORE_MAJOR;
    core.base.minor_version = SPICE_INTERFACE_CORE_MINOR;
    core.timer_add = timer_add;
    core.timer_start = timer_start;
    core.timer_cancel = timer_cancel;
    core.timer_remove = timer_remove;
    core.watch_add = watch_add;
    core.watch_update_mask = watch_update_mask;
    core.watch_remove = watch_remove;
    embedders().push_back(this);
    core.channel_event = embedders().size() == 1 ? on_channel_event<0> : on_channel_event<1>;
    if (!ready) return;
    EXPECT_EQ(spice_server_set_noauth(server), 0);
    EXPECT_EQ(init(), 0);
    spice_server_vm_start(server);
}

Embedder::~Embedder() {
    if (server != nullptr) spice_server_destroy(server);
    std::erase(embedders(), this);
}

int Embedder::count(int event, int type) const {
    return static_cast<int>(std::count_if(told.begin(), told.end(), [&](const Told& one) {
        return one.event == event && one.type == type;
    }));
}

namespace {

namespace fs = std::filesystem;

struct SaslConfiguration {
    SaslConfiguration() {
        std::string name = (fs::temp_directory_path() / "segue-sasl-XXXXXX").string();
        folder = ::mkdtemp(name.data());
        std::ofstream(folder / "segue-test.conf")
            << "mech_list: DIGEST-MD5\npwcheck_method: auxprop\nauxprop_plugin: sasldb\n"
            << "sasldb_path: " << (folder / "users").string() << "\n";
        ::setenv("SASL_CONF_PATH", folder.c_str(), 1);
    }
    ~SaslConfiguration() { fs::remove_all(folder); }
    fs::path folder;
};

}  // namespace

void demand_sasl(Embedder& embedder) {
    static const SaslConfiguration configuration;
    EXPECT_EQ(spice_server_set_sasl_appname(embedder.server, "segue-test"), 0);
    EXPECT_EQ(spice_server_set_sasl(embedder.server, 1), 0);
}

// --- A client -----------------------------------------------------------------------------------

namespace {

wire::ClientLink::Request request_of(const Peer::Options& options) {
    wire::ClientLink::Request request;
    request.connection_id = options.session;
    request.channel_type = options.type;
    request.channel_id = options.id;
    request.channel = options.caps;
    request.common = wire::Capabilities::of({wire::CommonCapability::auth_selection,
                                             wire::CommonCapability::auth_spice,
                                             wire::CommonCapability::mini_header});
    if (options.sasl) request.common.add(wire::CommonCapability::auth_sasl);
    request.prefers_sasl = options.sasl;
    return request;
}

}  // namespace

Peer::Peer(Embedder& embedder, Options options, bool skip_auth)
    : embedder_(embedder), options_(std::move(options)) {
    int pair[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair), 0);
    socket_ = net::Descriptor(pair[0]);
    EXPECT_EQ(spice_server_add_client(embedder.server, pair[1], skip_auth ? 1 : 0), 0);
    start();
}

Peer::Peer(Embedder& embedder, Options options, net::Descriptor socket)
    : embedder_(embedder), options_(std::move(options)), socket_(std::move(socket)) {
    start();
}

Peer::~Peer() = default;

void Peer::start() {
    link_ = wire::ClientLink(request_of(options_));
    watch_ = (*Embedder::loop()).watch(socket_.get(), [this](Loop::Ready) { read(); });
    watch_->set_interest(true, false);
    act(link_.start());
}

void Peer::write(ByteView bytes) {
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    // The server may have refused what came before: its end is read next.
    if (sent < 0 && (errno == EPIPE || errno == ECONNRESET)) return;
    // What tests say fits into a socket.
    EXPECT_EQ(sent, static_cast<ssize_t>(bytes.size()));
}

void Peer::read() {
    std::array<std::uint8_t, 65536> buffer;
    const ssize_t size = ::recv(socket_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (size <= 0) {
        closed_ = true;
        watch_->set_interest(false, false);
        return;
    }
    const ByteView bytes(buffer.data(), static_cast<std::size_t>(size));
    if (result_) return messages_.write({wire::SharedBytes::copy(bytes)});
    act(link_.feed(bytes));
}

void Peer::act(const wire::LinkActions& actions) {
    for (const wire::LinkAction& action : actions) {
        if (const auto* send = std::get_if<wire::SendBytes>(&action)) write(send->bytes);
        if (const auto* ticket = std::get_if<wire::EncryptTicket>(&action)) {
            const Bytes sealed =
                client::encrypt_ticket(ticket->public_key, options_.password).value();
            wire::Ticket whole;
            std::copy(sealed.begin(), sealed.end(), whole.begin());
            act(link_.send_ticket(whole));
        }
        if (const auto* offered = std::get_if<wire::SaslMechanismsOffered>(&action))
            mechanisms_ = offered->mechanisms;
        if (const auto* close = std::get_if<wire::CloseLink>(&action)) result_ = close->error;
        if (const auto* linked = std::get_if<wire::Linked>(&action)) {
            server_caps_ = linked->channel;
            result_ = wire::LinkError::ok;
            const Bytes rest = link_.take_rest();
            if (!rest.empty()) messages_.write({wire::SharedBytes::copy(rest)});
        }
    }
}

wire::LinkError Peer::link() {
    EXPECT_TRUE(embedder_.run_until([&] { return result_ || closed_; }));
    return result_.value_or(wire::LinkError::error);
}

bool Peer::is_closed() {
    return embedder_.run_until([&] { return closed_; });
}

std::optional<std::size_t> Peer::place_of(std::uint16_t number) const {
    for (std::size_t at = 0; at < messages_.messages.size(); ++at) {
        if (messages_.messages[at].number == number) return at;
    }
    return std::nullopt;
}

// No message asks for an answer on every channel: what the server had to say at once is there when
// a new connection, made behind it, has been answered.
void Peer::settle() {
    for (int round = 0; round < 2; ++round) {
        Options other;
        other.type = wire::ChannelType::display;
        other.id = 250;
        Peer probe(embedder_, other, true);
        probe.link();
    }
}

Session::Session(Embedder& owner, wire::Capabilities main_caps)
    : embedder(owner), main(owner, [&] {
          Peer::Options options;
          options.caps = std::move(main_caps);
          return options;
      }()) {
    EXPECT_EQ(main.link(), wire::LinkError::ok);
    auto told = main.wait<wire::main::Init>();
    EXPECT_TRUE(told);
    if (told) init = *told;
}

bool Session::ask_for_channels() {
    main.send(wire::main::AttachChannels{});
    return main.wait<wire::main::ChannelsList>().has_value();
}

std::unique_ptr<Peer> Session::channel(wire::ChannelType type, wire::Capabilities caps,
                                       std::uint8_t id) {
    Peer::Options options;
    options.type = type;
    options.id = id;
    options.session = init.session_id;
    options.caps = std::move(caps);
    auto made = std::make_unique<Peer>(embedder, options);
    EXPECT_EQ(made->link(), wire::LinkError::ok);
    return made;
}

// --- Devices ------------------------------------------------------------------------------------

namespace {

CharInstance& owner_of(SpiceCharDeviceInstance* instance) {
    return *reinterpret_cast<CharInstance*>(reinterpret_cast<char*>(instance) -
                                            offsetof(CharInstance, instance));
}
QxlInstance& owner_of(QXLInstance* instance) {
    return *reinterpret_cast<QxlInstance*>(reinterpret_cast<char*>(instance) -
                                           offsetof(QxlInstance, instance));
}

}  // namespace

CharInstance::CharInstance(const char* subtype, const char* port_name) {
    table.base = {SPICE_INTERFACE_CHAR_DEVICE, "test", SPICE_INTERFACE_CHAR_DEVICE_MAJOR,
                  SPICE_INTERFACE_CHAR_DEVICE_MINOR};
    table.flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE;
    table.state = [](SpiceCharDeviceInstance* sin, int connected) {
        owner_of(sin).device.set_connected(connected != 0);
    };
    table.write = [](SpiceCharDeviceInstance* sin, const uint8_t* bytes, int size) {
        return owner_of(sin).device.write({bytes, static_cast<std::size_t>(size)});
    };
    table.read = [](SpiceCharDeviceInstance* sin, uint8_t* bytes, int size) {
        return owner_of(sin).device.read({bytes, static_cast<std::size_t>(size)});
    };
    table.event = [](SpiceCharDeviceInstance* sin, uint8_t event) {
        owner_of(sin).device.event(event);
    };
    instance.base.sif = &table.base;
    instance.subtype = subtype;
    instance.portname = port_name;
}

namespace {

// The rings of the guest.
void fill_rings(QXLInterface& table) {
    table.get_command = [](QXLInstance* qxl, QXLCommandExt* command) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        return owner_of(qxl).device.next_command(*command) ? 1 : 0;
    };
    table.get_cursor_command = [](QXLInstance* qxl, QXLCommandExt* command) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        return owner_of(qxl).device.next_cursor_command(*command) ? 1 : 0;
    };
    table.req_cmd_notification = [](QXLInstance* qxl) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        return owner_of(qxl).device.request_command_notice() ? 1 : 0;
    };
    table.req_cursor_notification = [](QXLInstance* qxl) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        return owner_of(qxl).device.request_cursor_notice() ? 1 : 0;
    };
    table.release_resource = [](QXLInstance* qxl, QXLReleaseInfoExt info) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        owner_of(qxl).device.release(info);
    };
    table.flush_resources = [](QXLInstance* qxl) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        ++owner_of(qxl).flushed;
        return 0;
    };
}

// What the library tells.
void fill_answers(QXLInterface& table) {
    table.async_complete = [](QXLInstance* qxl, uint64_t cookie) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        owner_of(qxl).device.complete(cookie);
    };
    table.update_area_complete = [](QXLInstance* qxl, uint32_t, QXLRect*, uint32_t count) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        owner_of(qxl).updated += count;
    };
    table.set_client_capabilities = [](QXLInstance* qxl, uint8_t present, uint8_t[58]) {
        const std::lock_guard lock(owner_of(qxl).mutex);
        owner_of(qxl).client_present = present != 0;
    };
    table.client_monitors_config = [](QXLInstance* qxl, VDAgentMonitorsConfig* config) {
        if (config != nullptr) {
            owner_of(qxl).monitors = {config->monitors[0].width, config->monitors[0].height};
        }
        return 1;
    };
}

}  // namespace

QxlInstance::QxlInstance(int id) {
    table.base = {SPICE_INTERFACE_QXL, "test", SPICE_INTERFACE_QXL_MAJOR,
                  SPICE_INTERFACE_QXL_MINOR};
    table.get_init_info = [](QXLInstance*, QXLDevInitInfo* info) {
        info->num_memslots_groups = 2;
        info->num_memslots = 8;
        info->memslot_gen_bits = 8;
        info->memslot_id_bits = 8;
        info->n_surfaces = 16;
    };
    fill_rings(table);
    fill_answers(table);
    instance.base.sif = &table.base;
    instance.id = id;
}

void QxlInstance::add_to(Embedder& embedder) {
    ASSERT_EQ(spice_server_add_interface(embedder.server, &instance.base), 0);
}

QXLDevMemSlot QxlInstance::slot() {
    const server::MemorySlot made = device.slot();
    QXLDevMemSlot slot{};
    slot.slot_group_id = made.group;
    slot.slot_id = made.slot;
    slot.virt_start = made.start;
    slot.virt_end = made.end;
    slot.addr_delta = made.address_delta;
    return slot;
}

QXLDevSurfaceCreate QxlInstance::primary(std::uint32_t width, std::uint32_t height) {
    const std::lock_guard lock(mutex);
    QXLDevSurfaceCreate surface{};
    surface.width = width;
    surface.height = height;
    surface.stride = static_cast<std::int32_t>(width * 4);
    surface.format = SPICE_SURFACE_FMT_32_xRGB;
    surface.mouse_mode = 1;
    surface.group_id = server::FakeDevice::kGroup;
    pixels = device.put(std::uint64_t{}, std::vector<std::uint8_t>(width * height * 4)) + 8;
    surface.mem = pixels;
    return surface;
}

void QxlInstance::begin(std::uint32_t width, std::uint32_t height) {
    QXLDevMemSlot memory = slot();
    spice_qxl_add_memslot(&instance, &memory);
    QXLDevSurfaceCreate surface = primary(width, height);
    spice_qxl_create_primary_surface(&instance, 0, &surface);
}

void QxlInstance::queue_fill(std::uint32_t surface, std::uint32_t color, std::uint32_t width,
                             std::uint32_t height) {
    QXLDrawable fill{};
    fill.type = QXL_DRAW_FILL;
    fill.surface_id = surface;
    fill.bbox = {0, 0, static_cast<std::int32_t>(height), static_cast<std::int32_t>(width)};
    fill.u.fill.brush.type = SPICE_BRUSH_TYPE_SOLID;
    fill.u.fill.brush.u.color = color;
    fill.u.fill.rop_descriptor = SPICE_ROPD_OP_PUT;
    const std::lock_guard lock(mutex);
    device.queue(QXL_CMD_DRAW, device.put(fill));
}

QXLPHYSICAL QxlInstance::queue_surface(std::uint32_t surface, std::uint32_t width,
                                       std::uint32_t height) {
    const std::lock_guard lock(mutex);
    QXLSurfaceCmd command{};
    command.surface_id = surface;
    command.type = QXL_SURFACE_CMD_CREATE;
    command.u.surface_create.format = SPICE_SURFACE_FMT_32_xRGB;
    command.u.surface_create.width = width;
    command.u.surface_create.height = height;
    command.u.surface_create.stride = static_cast<std::int32_t>(width * 4);
    command.u.surface_create.data =
        device.put(std::uint64_t{}, std::vector<std::uint8_t>(width * height * 4)) + 8;
    device.queue(QXL_CMD_SURFACE, device.put(command));
    return command.u.surface_create.data;
}

QXLPHYSICAL QxlInstance::put_picture(std::uint32_t side, bool is_photo, unsigned seed,
                                     std::uint64_t id) {
    std::vector<std::uint8_t> rows(std::size_t{side} * side * 4);
    const unsigned shade = seed * 16;
    for (std::size_t at = 0; at < rows.size(); ++at) {
        seed = seed * 1103515245u + 12345u;
        const std::size_t level = is_photo ? 100 + (seed >> 16) % 7 : at / 512 * 40 + shade;
        rows[at] = static_cast<std::uint8_t>(level);
    }
    struct {
        QXLImageDescriptor descriptor;
        QXLBitmap bitmap;
    } __attribute__((packed)) image{};
    image.descriptor.id = id;
    image.descriptor.type = SPICE_IMAGE_TYPE_BITMAP;
    image.descriptor.flags = id == 0 ? 0 : QXL_IMAGE_CACHE;
    image.descriptor.width = image.descriptor.height = side;
    image.bitmap.format = SPICE_BITMAP_FMT_32BIT;
    image.bitmap.flags = QXL_BITMAP_DIRECT | QXL_BITMAP_TOP_DOWN;
    image.bitmap.x = image.bitmap.y = side;
    image.bitmap.stride = side * 4;
    const std::lock_guard lock(mutex);
    image.bitmap.data = device.put(std::uint64_t{}, rows) + 8;
    return device.put(image);
}

void QxlInstance::queue_copy(QXLPHYSICAL picture, std::uint32_t side) {
    QXLDrawable copy{};
    copy.type = QXL_DRAW_COPY;
    copy.bbox = {0, 0, static_cast<std::int32_t>(side), static_cast<std::int32_t>(side)};
    copy.u.copy.src_bitmap = picture;
    copy.u.copy.src_area = copy.bbox;
    copy.u.copy.rop_descriptor = SPICE_ROPD_OP_PUT;
    const std::lock_guard lock(mutex);
    device.queue(QXL_CMD_DRAW, device.put(copy));
}

bool QxlInstance::completed(std::uint64_t cookie) {
    const std::lock_guard lock(mutex);
    return std::find(device.completed.begin(), device.completed.end(), cookie) !=
           device.completed.end();
}

std::uint32_t QxlInstance::pixel() {
    return pixel(pixels);
}

std::uint32_t QxlInstance::pixel(QXLPHYSICAL at) {
    const std::lock_guard lock(mutex);
    std::uint32_t value;
    std::memcpy(&value, device.memory.data() + (at - server::FakeDevice::kBase), sizeof value);
    return value & 0xffffff;
}

std::size_t QxlInstance::released() {
    const std::lock_guard lock(mutex);
    return device.released.size();
}

TEST(Embedder, AWholeSessionComesAndGoes) {
    Embedder embedder;
    {
        Session session(embedder);
        EXPECT_EQ(spice_server_get_num_clients(embedder.server), 1);
        session.channel(wire::ChannelType::inputs);
    }
    EXPECT_TRUE(embedder.run_until(
        [&] { return embedder.count(SPICE_CHANNEL_EVENT_DISCONNECTED, SPICE_CHANNEL_MAIN) == 1; }));
    EXPECT_EQ(spice_server_get_num_clients(embedder.server), 0);
}

}  // namespace segue::spice::abi
