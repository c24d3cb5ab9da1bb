// SPDX-License-Identifier: LGPL-2.1-or-later
// spice_server_*: life, options, clients.
#include <unistd.h>

#include <cstring>

#include "spice/abi/guard.h"
#include "spice/abi/handles.h"
#include "spice/server/link/listen_socket.h"
#include "spice/server/video_codecs.h"

using segue::Result;
using segue::spice::abi::CoreLoop;
using segue::spice::abi::guarded;
using segue::spice::abi::guarded_value;
using segue::spice::abi::PeerEvents;
using segue::spice::server::ImageCompression;
using segue::spice::server::Ticket;
using segue::spice::server::TlsFiles;
using segue::spice::server::WanCompression;

namespace {

int as_status(const char* what, const Result<>& done) {
    if (done) return 0;
    segue::log_warning("spice", "{}: {}", what, done.error().message);
    return -1;
}

std::string text_or_empty(const char* text) {
    return text == nullptr ? "" : text;
}

bool is_port(int port) {
    return port >= 0 && port <= 0xffff;
}

Result<> init(SpiceServer& server, const SpiceCoreInterface& core) {
    if (server.server.is_started()) {
        return segue::fail(segue::ErrorCode::operation_invalid,
                           "the server is initialised already");
    }
    server.loop = TRY(CoreLoop::make(core));
    server.events = std::make_unique<PeerEvents>(core);
    return server.server.start(*server.loop, *server.events);
}

}  // namespace

extern "C" {

SpiceServer* spice_server_new(void) {
    return guarded_value("new", static_cast<SpiceServer*>(nullptr), [] { return new RedsState; });
}

int spice_server_init(SpiceServer* s, SpiceCoreInterface* core) {
    if (s == nullptr || core == nullptr) return -1;
    return guarded_value("init", -1, [&] { return as_status("init", init(*s, *core)); });
}

void spice_server_destroy(SpiceServer* s) {
    guarded("destroy", [&] { delete s; });
}

spice_compat_version_t spice_get_current_compat_version(void) {
    return SPICE_COMPAT_VERSION_CURRENT;
}

// Clients of 0.4 are gone for more than ten years: only the current version is spoken.
int spice_server_set_compat_version(SpiceServer*, spice_compat_version_t version) {
    return version == SPICE_COMPAT_VERSION_CURRENT ? 0 : -1;
}

// --- Where to listen ----------------------------------------------------------------------------

int spice_server_set_port(SpiceServer* s, int port) {
    if (!is_port(port)) return -1;
    return guarded_value("set_port", -1, [&] {
        s->server.options().port = port == 0 ? -1 : port;
        return 0;
    });
}

void spice_server_set_addr(SpiceServer* s, const char* addr, int flags) {
    guarded("set_addr", [&] {
        s->server.options().address = text_or_empty(addr);
        s->server.options().address_flags = flags;
    });
}

int spice_server_set_listen_socket_fd(SpiceServer* s, int listen_fd) {
    return guarded_value("set_listen_socket_fd", -1, [&] {
        s->server.options().listen_descriptor = listen_fd;
        return 0;
    });
}

int spice_server_set_tls(SpiceServer* s, int port, const char* ca_cert_file, const char* certs_file,
                         const char* private_key_file, const char* key_passwd,
                         const char* dh_key_file, const char* ciphersuite) {
    if (port == 0 || ca_cert_file == nullptr || certs_file == nullptr ||
        private_key_file == nullptr || !is_port(port)) {
        return -1;
    }
    return guarded_value("set_tls", -1, [&] {
        TlsFiles& files = s->server.options().tls;
        files.authority = ca_cert_file;
        files.certificate = certs_file;
        files.key = private_key_file;
        files.key_password = text_or_empty(key_passwd);
        files.dh_parameters = text_or_empty(dh_key_file);
        files.ciphers = text_or_empty(ciphersuite);
        s->server.options().secure_port = port;
        return 0;
    });
}

int spice_server_set_exit_on_disconnect(SpiceServer* s, int flag) {
    return guarded_value("set_exit_on_disconnect", -1, [&] {
        s->server.options().exit_on_disconnect = flag != 0;
        return 0;
    });
}

// --- Who may come in ----------------------------------------------------------------------------

int spice_server_set_noauth(SpiceServer* s) {
    return guarded_value("set_noauth", -1, [&] {
        s->server.options().ticket = {};
        s->server.options().authenticate = false;
        s->server.apply_options();
        return 0;
    });
}

int spice_server_set_sasl(SpiceServer* s, int enabled) {
    return guarded_value("set_sasl", -1, [&] {
        s->server.options().sasl = enabled != 0;
        s->server.apply_options();
        return 0;
    });
}

int spice_server_set_sasl_appname(SpiceServer* s, const char* appname) {
    return guarded_value("set_sasl_appname", -1, [&] {
        s->server.options().sasl_application = text_or_empty(appname);
        s->server.apply_options();
        return 0;
    });
}

int spice_server_set_ticket(SpiceServer* s, const char* passwd, int lifetime, int fail_if_connected,
                            int disconnect_if_connected) {
    return guarded_value("set_ticket", -1, [&] {
        Ticket ticket;
        ticket.password = text_or_empty(passwd);
        if (lifetime != 0)  // what has ended before it began, too
            ticket.expiry = segue::SystemClock().now() + std::chrono::seconds(lifetime);
        return as_status("set_ticket",
                         s->server.set_ticket(std::move(ticket), fail_if_connected != 0,
                                              disconnect_if_connected != 0));
    });
}

int spice_server_set_channel_security(SpiceServer* s, const char* channel, int security) {
    return guarded_value("set_channel_security", -1, [&] {
        constexpr const char* kChannels[] = {"main",     "display", "inputs",    "cursor",
                                             "playback", "record",  "smartcard", "usbredir",
                                             "port",     "webdav"};
        const std::string name = channel == nullptr ? "" : channel;
        bool known = channel == nullptr;
        for (const char* own : kChannels)
            known = known || name == own;
        if (!known) return -1;
        s->server.options().channel_security[name] = security;
        s->server.apply_options();
        return 0;
    });
}

int spice_server_add_client(SpiceServer* s, int socket, int skip_auth) {
    return guarded_value("add_client", -1, [&] {
        return as_status("add_client", s->server.add_connection(socket, false, skip_auth != 0));
    });
}

int spice_server_add_ssl_client(SpiceServer* s, int socket, int skip_auth) {
    return guarded_value("add_ssl_client", -1, [&] {
        return as_status("add_ssl_client", s->server.add_connection(socket, true, skip_auth != 0));
    });
}

int spice_server_get_num_clients(SpiceServer* s) {
    if (s == nullptr) return 0;
    return guarded_value("get_num_clients", 0, [&] { return s->server.client_count(); });
}

// Deprecated before there were several channels to ask about: stock refuses them, too.
int spice_server_get_sock_info(SpiceServer*, struct sockaddr*, socklen_t*) {
    return -1;
}
int spice_server_get_peer_info(SpiceServer*, struct sockaddr*, socklen_t*) {
    return -1;
}

// --- What the machine is ------------------------------------------------------------------------

void spice_server_set_name(SpiceServer* s, const char* name) {
    guarded("set_name", [&] { s->server.options().name = text_or_empty(name); });
}

void spice_server_set_uuid(SpiceServer* s, const uint8_t uuid[16]) {
    guarded("set_uuid", [&] {
        std::array<std::uint8_t, 16> bytes;
        std::memcpy(bytes.data(), uuid, bytes.size());
        s->server.options().uuid = bytes;
    });
}

void spice_server_vm_start(SpiceServer* s) {
    guarded("vm_start", [&] { s->server.vm_start(); });
}

void spice_server_vm_stop(SpiceServer* s) {
    guarded("vm_stop", [&] { s->server.vm_stop(); });
}

int spice_server_is_server_mouse(SpiceServer* s) {
    return guarded_value("is_server_mouse", 0, [&] { return s->server.is_server_mouse() ? 1 : 0; });
}

// --- How pictures and sound travel --------------------------------------------------------------

int spice_server_set_image_compression(SpiceServer* s, SpiceImageCompression comp) {
    if (comp <= SPICE_IMAGE_COMPRESSION_INVALID || comp >= SPICE_IMAGE_COMPRESSION_ENUM_END)
        return -1;
    return guarded_value("set_image_compression", -1, [&] {
        s->server.set_image_compression(static_cast<ImageCompression>(comp));
        return 0;
    });
}

SpiceImageCompression spice_server_get_image_compression(SpiceServer* s) {
    return guarded_value("get_image_compression", SPICE_IMAGE_COMPRESSION_INVALID, [&] {
        return static_cast<SpiceImageCompression>(s->server.options().image_compression);
    });
}

int spice_server_set_jpeg_compression(SpiceServer* s, spice_wan_compression_t comp) {
    if (comp <= SPICE_WAN_COMPRESSION_INVALID || comp > SPICE_WAN_COMPRESSION_NEVER) return -1;
    return guarded_value("set_jpeg_compression", -1, [&] {
        s->server.set_jpeg(static_cast<WanCompression>(comp));
        return 0;
    });
}

int spice_server_set_zlib_glz_compression(SpiceServer* s, spice_wan_compression_t comp) {
    if (comp <= SPICE_WAN_COMPRESSION_INVALID || comp > SPICE_WAN_COMPRESSION_NEVER) return -1;
    return guarded_value("set_zlib_glz_compression", -1, [&] {
        s->server.set_zlib_glz(static_cast<WanCompression>(comp));
        return 0;
    });
}

int spice_server_set_streaming_video(SpiceServer* s, int value) {
    if (value != SPICE_STREAM_VIDEO_OFF && value != SPICE_STREAM_VIDEO_ALL &&
        value != SPICE_STREAM_VIDEO_FILTER) {
        return -1;
    }
    return guarded_value("set_streaming_video", -1, [&] {
        s->server.set_streaming_video(value);
        return 0;
    });
}

int spice_server_set_video_codecs(SpiceServer* s, const char* video_codecs) {
    return guarded_value("set_video_codecs", -1, [&] {
        const auto codecs = segue::spice::server::parse_video_codecs(text_or_empty(video_codecs));
        if (!codecs) return -1;
        s->server.options().video_codecs = *codecs;
        return 0;
    });
}

const char* spice_server_get_video_codecs(SpiceServer* s) {
    return guarded_value<const char*>("get_video_codecs", nullptr, [&] {
        return ::strdup(s->server.options().video_codecs.c_str());
    });
}

void spice_server_free_video_codecs(SpiceServer*, const char* video_codecs) {
    ::free(const_cast<char*>(video_codecs));
}

int spice_server_set_playback_compression(SpiceServer* s, int enable) {
    return guarded_value("set_playback_compression", -1, [&] {
        s->server.options().playback_compression = enable != 0;
        return 0;
    });
}

// There is one renderer, which draws in software.
int spice_server_add_renderer(SpiceServer*, const char* name) {
    return name != nullptr && std::strcmp(name, "sw") == 0 ? 0 : -1;
}

// --- The agent ----------------------------------------------------------------------------------

int spice_server_set_agent_mouse(SpiceServer* s, int enable) {
    return guarded_value("set_agent_mouse", -1, [&] {
        s->server.options().agent_mouse = enable != 0;
        s->server.apply_options();
        return 0;
    });
}

int spice_server_set_agent_copypaste(SpiceServer* s, int enable) {
    return guarded_value("set_agent_copy_paste", -1, [&] {
        s->server.options().agent_copy_paste = enable != 0;
        s->server.apply_options();
        return 0;
    });
}

int spice_server_set_agent_file_xfer(SpiceServer* s, int enable) {
    return guarded_value("set_agent_file_transfer", -1, [&] {
        s->server.options().agent_file_transfer = enable != 0;
        s->server.apply_options();
        return 0;
    });
}

}  // extern "C"
