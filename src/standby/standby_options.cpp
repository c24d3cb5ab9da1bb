// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/standby_options.h"

#include <CLI/CLI.hpp>

#include <filesystem>

namespace segue::standby {
namespace {

constexpr int kUsageError = 2;
constexpr std::string_view kDatagram = "dgram:";

struct Texts {
    std::string listen, network, network_out, disk, on_loss = "hold";
};

bool starts_with(std::string_view text, std::string_view start) {
    return text.substr(0, start.size()) == start;
}

bool is_beyond_loopback(const net::Address& address) {
    if (address.transport == net::Transport::unix_socket) return false;
    const auto numeric = net::SocketAddress::of_numeric(address.host, address.port);
    return !numeric || !numeric->is_loopback();
}

Result<net::Address> parse_listener(std::string_view option, std::string_view text, bool has_tls) {
    auto address = TRY(net::Address::parse(text));
    if (address.transport == net::Transport::tls) {
        return fail(ErrorCode::invalid_argument, "{}: give unix:PATH or tcp:ADDR:PORT, and --tls",
                    option);
    }
    if (is_beyond_loopback(address) && !has_tls) {
        return fail(ErrorCode::denied,
                    "{} {}: beyond loopback this link needs --tls DIR (it carries the guest's "
                    "memory, frames or disk)",
                    option, text);
    }
    return address;
}

Result<std::string> unix_path(std::string_view option, std::string_view text) {
    const auto address = TRY(net::Address::parse(text));
    if (address.transport != net::Transport::unix_socket) {
        return fail(ErrorCode::invalid_argument, "{}: give unix:PATH", option);
    }
    return address.path;
}

Result<Options> build(const Texts& texts, Options options) {
    const bool tls = !options.tls.empty();
    options.listen = TRY(parse_listener("--listen", texts.listen, tls));
    options.on_loss = texts.on_loss == "promote" ? Options::OnLoss::promote : Options::OnLoss::hold;
    options.state = std::filesystem::absolute(options.state).lexically_normal().string();
    if (!texts.network.empty()) {
        Options::Net network;
        if (starts_with(texts.network, kDatagram)) {
            network.datagram_path = texts.network.substr(kDatagram.size());
        } else {
            network.stream = TRY(parse_listener("--net", texts.network, tls));
        }
        options.network = std::move(network);
        if (texts.network_out.empty()) {
            return fail(ErrorCode::invalid_argument, "--net needs --net-out unix:PATH");
        }
        options.network_out = TRY(unix_path("--net-out", texts.network_out));
    } else if (!texts.network_out.empty()) {
        return fail(ErrorCode::invalid_argument, "--net-out needs --net");
    }
    if (!texts.disk.empty()) {
        const std::size_t equals = texts.disk.find('=');
        if (equals == std::string::npos || equals + 1 == texts.disk.size()) {
            return fail(ErrorCode::invalid_argument,
                        "--disk {}: give unix:PATH=IMAGE or tcp:ADDR:PORT=IMAGE", texts.disk);
        }
        Options::Disk disk;
        disk.address = TRY(parse_listener("--disk", texts.disk.substr(0, equals), tls));
        disk.image = std::filesystem::absolute(texts.disk.substr(equals + 1)).string();
        options.disk = std::move(disk);
    }
    return options;
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
    CLI::App app("Keeps the standby of one running virtual machine.", "segue-standby");
    app.set_version_flag("--version", SEGUE_VERSION);
    Texts texts;
    Options options;
    app.add_option("--listen", texts.listen,
                   "unix:PATH or tcp:ADDR:PORT: the primary migrates here")
        ->required();
    app.add_option("--state", options.state, "directory of this standby's own")->required();
    app.add_option("--net", texts.network,
                   "unix:PATH, tcp:ADDR:PORT or dgram:PATH: guest's frames");
    app.add_option("--net-out", texts.network_out, "unix:PATH: one outside peer");
    app.add_option("--disk", texts.disk, "unix:PATH=IMAGE or tcp:ADDR:PORT=IMAGE: NBD server");
    app.add_option("--tls", options.tls, "directory with ca-cert, server-cert and server-key .pem");
    app.add_option("--on-loss", texts.on_loss, "promote or hold (default)")
        ->check(CLI::IsMember({"promote", "hold"}));
    app.add_flag("--prestart", options.prestart, "start the QEMU of a promotion ahead, paused");
    app.add_option("vm", options.vm, "after --: the primary's QEMU command line");
    app.positionals_at_end();
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {
        return {std::nullopt, success.get_name() == "CallForVersion" ? SEGUE_VERSION : app.help(),
                0};
    } catch (const CLI::ParseError& error) {
        return {std::nullopt, std::string("segue-standby: ") + error.what(), kUsageError};
    }
    auto built = build(texts, std::move(options));
    if (!built) return {std::nullopt, "segue-standby: " + built.error().message, kUsageError};
    if (built->prestart && built->vm.empty()) {
        return {std::nullopt, "segue-standby: --prestart needs the QEMU command line after --",
                kUsageError};
    }
    return {std::move(*built), "", 0};
}

}  // namespace segue::standby
