// SPDX-License-Identifier: LGPL-2.1-or-later
// SPICE and VNC servers. Passwords never stand on the command line: QEMU is told over QMP.
#include "qemu/command_line/builder.h"

namespace segue {
namespace {

constexpr std::int32_t kFirstVncPort = 5900;

// What QMP calls "connected" when a password is set.
QmpCommand password_command(const Graphics& graphics) {
    Json arguments = Json::object();
    arguments.set("protocol", name_of(graphics.type))
        .set("password", graphics.password.value_or(""));
    if (graphics.connected) arguments.set("connected", *graphics.connected);
    return {.name = "set_password", .arguments = std::move(arguments)};
}

// Seconds since the epoch of "YYYY-MM-DDTHH:MM:SS" (UTC); QEMU takes them as a number.
std::string expiry_of(const std::string& text) {
    const auto part = [&](std::size_t at, std::size_t size) {
        return std::stoll(text.substr(at, size));
    };
    // Days from the civil calendar: years begin in March, so that leap days come last.
    const long long month = part(5, 2), year = part(0, 4) - (month <= 2 ? 1 : 0);
    const long long era = year / 400, year_of_era = year - era * 400;
    const long long day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + part(8, 2) - 1;
    const long long day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    const long long days = era * 146097 + day_of_era - 719468;
    return std::to_string(days * 86400 + part(11, 2) * 3600 + part(14, 2) * 60 + part(17, 2));
}

std::string spice_ports(const Graphics& graphics) {
    if (graphics.listen == ListenType::socket) {
        return fmt::format("unix=on,addr={}", escape_commas(graphics.socket));
    }
    if (graphics.listen == ListenType::none) return "port=0";
    std::string out;
    // Only one of the two may be there.
    if (graphics.port > 0 || graphics.tls_port <= 0) out = fmt::format("port={}", graphics.port);
    if (graphics.tls_port > 0) {
        out += fmt::format("{}tls-port={}", out.empty() ? "" : ",", graphics.tls_port);
    }
    if (!graphics.listen_address().empty()) {
        out += fmt::format(",addr={}", escape_commas(graphics.listen_address()));
    }
    return out;
}

void add_tuning(const Graphics& graphics, std::string& out) {
    const auto word = [&](std::string_view key, const std::optional<std::string>& value) {
        if (value) out += fmt::format(",{}={}", key, *value);
    };
    word("image-compression", graphics.image);
    word("jpeg-wan-compression", graphics.jpeg);
    word("zlib-glz-wan-compression", graphics.zlib);
    word("playback-compression", graphics.playback);
    word("streaming-video", graphics.streaming);
    if (graphics.clipboard == false) out += ",disable-copy-paste=on";
    if (graphics.file_transfer == false) out += ",disable-agent-file-xfer=on";
}

void add_channel_modes(const Graphics& graphics, std::string& out) {
    const auto mode = [&](const std::string& channel, const std::string& wanted) {
        out += fmt::format(",{}-channel={}", wanted == "secure" ? "tls" : "plaintext", channel);
    };
    if (graphics.default_mode) mode("default", *graphics.default_mode);
    for (const auto& [channel, wanted] : graphics.channel_modes)
        mode(channel, wanted);
}

Result<> add_spice(CommandLineBuilder& builder, const Graphics& graphics) {
    std::string out = spice_ports(graphics);
    if (graphics.mouse) {
        out += fmt::format(",agent-mouse={}", *graphics.mouse == "client" ? "on" : "off");
    }
    if (!graphics.password) out += ",disable-ticketing=on";
    if (graphics.tls_port > 0) {
        if (builder.options().x509_directory.empty()) {
            return fail(ErrorCode::config_unsupported,
                        "spice TLS port set in XML configuration, but TLS is disabled: no "
                        "certificate directory is configured");
        }
        out += fmt::format(",x509-dir={}", escape_commas(builder.options().x509_directory));
    }
    add_channel_modes(graphics, out);
    add_tuning(graphics, out);
    // The client follows the guest without losing its session.
    out += ",seamless-migration=on";
    builder.add("-spice", out);
    return {};
}

Result<> add_vnc(CommandLineBuilder& builder, const Graphics& graphics) {
    std::string out;
    if (graphics.listen == ListenType::socket) {
        out = fmt::format("vnc=unix:{}", escape_commas(graphics.socket));
    } else if (graphics.port < kFirstVncPort) {
        return fail(ErrorCode::internal, "VNC without a port");
    } else {
        const std::string& address = graphics.listen_address();
        const bool v6 = address.find(':') != std::string::npos;
        out = fmt::format("{}{}{}:{}", v6 ? "[" : "", escape_commas(address), v6 ? "]" : "",
                          graphics.port - kFirstVncPort);
    }
    if (graphics.share_policy) out += fmt::format(",share={}", *graphics.share_policy);
    if (graphics.password) out += ",password=on";
    if (graphics.power_control) {
        out += fmt::format(",power-control={}", *graphics.power_control ? "on" : "off");
    }
    if (!builder.domain().audios.empty()) {
        out += fmt::format(",audiodev=audio{}", builder.domain().audios.front().id);
    }
    builder.add("-vnc", out);
    return {};
}

}  // namespace

Result<> add_graphics(CommandLineBuilder& builder) {
    for (const Graphics& graphics : builder.domain().graphics) {
        if (graphics.type == GraphicsType::spice) {
            TRY(add_spice(builder, graphics));
        } else {
            TRY(add_vnc(builder, graphics));
        }
        if (graphics.keymap) builder.add("-k", escape_commas(*graphics.keymap));
        if (!graphics.password) continue;
        for (QmpCommand& command : ticket_commands(graphics))
            builder.after_start(std::move(command));
    }
    return {};
}

// An empty ticket lets nobody in: VNC would take an empty answer for right, so it has expired too.
std::vector<QmpCommand> ticket_commands(const Graphics& graphics) {
    std::string time = "never";
    if (graphics.password_valid_to) time = expiry_of(*graphics.password_valid_to);
    if (graphics.password.value_or("").empty()) time = "now";
    return {password_command(graphics),
            {.name = "expire_password",
             .arguments = Json::object({{"protocol", name_of(graphics.type)}, {"time", time}})}};
}

Result<> fill_ports(Domain& domain, const GraphicsPorts& ports) {
    for (Graphics& graphics : domain.graphics) {
        if (graphics.listen != ListenType::address) continue;
        graphics.host_address = ports.default_address;
        const bool spice = graphics.type == GraphicsType::spice;
        const bool any = graphics.autoport;
        if (graphics.port == -1 || (any && graphics.port == 0)) {
            graphics.port = TRY(ports.next());
        }
        if (spice && (graphics.tls_port == -1 || (any && ports.tls && graphics.tls_port == 0))) {
            graphics.tls_port = TRY(ports.next());
        }
    }
    return {};
}

}  // namespace segue
