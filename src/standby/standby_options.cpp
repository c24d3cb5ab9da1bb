// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/standby_options.h"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <filesystem>

namespace segue::standby {
namespace {

constexpr int kUsageError = 2;
constexpr std::string_view kDatagram = "dgram:";

constexpr std::string_view kUdp = "udp:";
constexpr std::string_view kByAgent = "agent";
// Not an option: command lines can be read by everybody.
constexpr const char* kKeyVariable = "SEGUE_AGENT_KEY";

struct Texts {
    std::string listen, agent, on_loss = "hold", witness, witness_tls, mode = "periodic";
    std::vector<std::string> networks, networks_out, disks;
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

Result<net::SocketAddress> numeric(std::string_view option, std::string_view text) {
    const auto address = TRY(net::Address::parse("tcp:" + std::string(text)));
    if (address.host.empty()) {
        return fail(ErrorCode::invalid_argument, "{}: '{}' is no ADDR:PORT", option, text);
    }
    return net::SocketAddress::of_numeric(address.host, address.port);
}

// "udp:ADDR:PORT@ADDR:PORT": the peer's and our own.
Result<Options::UdpPeer> parse_udp(std::string_view text) {
    const std::string_view peers = text.substr(kUdp.size());
    const std::size_t at = peers.find('@');
    if (at == std::string_view::npos) {
        return fail(ErrorCode::invalid_argument,
                    "--net-out {}: give unix:PATH or udp:PEER:PORT@LOCAL:PORT", text);
    }
    Options::UdpPeer udp;
    udp.remote = TRY(numeric("--net-out", peers.substr(0, at)));
    udp.local = TRY(numeric("--net-out", peers.substr(at + 1)));
    return udp;
}

Result<> parse_primary(const Texts& texts, Options& options) {
    if (texts.listen.empty() == texts.agent.empty()) {
        return fail(ErrorCode::invalid_argument,
                    "give --listen (of a bare QEMU) or --agent (of a segue-agent)");
    }
    const bool tls = !options.tls.empty();
    if (!texts.listen.empty()) {
        options.listen = TRY(parse_listener("--listen", texts.listen, tls));
        return {};
    }
    options.agent = TRY(parse_listener("--agent", texts.agent, tls));
    const char* key = std::getenv(kKeyVariable);
    if (key == nullptr) {
        return fail(ErrorCode::invalid_argument, "--agent needs a key in the environment: {}",
                    kKeyVariable);
    }
    options.agent_key = TRY(parse_agent_key(key));
    return {};
}

Result<Options::Net> parse_network(const std::string& text, const std::string& out, bool tls) {
    Options::Net network;
    if (text == kByAgent) {
        // Frames come on the agent's connection.
    } else if (starts_with(text, kDatagram)) {
        network.datagram_path = text.substr(kDatagram.size());
    } else {
        network.stream = TRY(parse_listener("--net", text, tls));
    }
    if (starts_with(out, kUdp)) {
        network.out_udp = TRY(parse_udp(out));
    } else {
        network.out = TRY(unix_path("--net-out", out));
    }
    return network;
}

Result<Options::Disk> parse_disk(const std::string& text, bool tls) {
    const std::size_t equals = text.find('=');
    if (equals == std::string::npos || equals + 1 == text.size()) {
        return fail(ErrorCode::invalid_argument,
                    "--disk {}: give unix:PATH=IMAGE or tcp:ADDR:PORT=IMAGE", text);
    }
    Options::Disk disk;
    const std::string where = text.substr(0, equals);
    if (where != kByAgent) disk.address = TRY(parse_listener("--disk", where, tls));
    disk.image = std::filesystem::absolute(text.substr(equals + 1)).string();
    return disk;
}

// Of a bare QEMU nobody knows which connection is which disk or card.
Result<> check_counts(const Options& options) {
    const bool several = options.networks.size() > 1 || options.disks.size() > 1;
    if (several && !options.agent) {
        return fail(ErrorCode::invalid_argument,
                    "several --disk or --net need --agent: of a bare QEMU one each can be kept");
    }
    if (options.networks.size() > protect::agent::kCardsMax ||
        options.disks.size() > protect::agent::kDisksMax) {
        return fail(ErrorCode::limit_exceeded, "{} --net and {} --disk: at most {} and {}",
                    options.networks.size(), options.disks.size(),
                    std::size_t{protect::agent::kCardsMax}, std::size_t{protect::agent::kDisksMax});
    }
    return {};
}

// Both guests must get the same frames, and begin with the same one: no host between us and QEMU.
Result<> check_hybrid(const Options& options) {
    if (!options.hybrid) return {};
    const bool is_local = !options.networks.empty() &&
                          (!options.networks[0].stream ||
                           options.networks[0].stream->transport == net::Transport::unix_socket);
    if (!is_local || options.vm.empty()) {
        return fail(
            ErrorCode::config_unsupported,
            "--mode hybrid needs a --net (of --listen: on a unix socket), and the QEMU command "
            "line after --");
    }
    if (!options.shared_disks.empty()) {
        return fail(ErrorCode::config_unsupported,
                    "--mode hybrid with --shared-disk: two guests would write to one disk");
    }
    return {};
}

Result<Options> build(const Texts& texts, Options options) {
    const bool tls = !options.tls.empty();
    TRY(parse_primary(texts, options));
    options.on_loss = texts.on_loss == "promote" ? Options::OnLoss::promote : Options::OnLoss::hold;
    if (!texts.witness.empty()) {
        if (!options.agent) {
            return fail(ErrorCode::invalid_argument,
                        "--witness needs --agent: a bare QEMU cannot hold a lease");
        }
        options.witness = TRY(parse_witness(texts.witness, texts.witness_tls));
    }
    options.state = std::filesystem::absolute(options.state).lexically_normal().string();
    if (texts.networks.size() != texts.networks_out.size()) {
        return fail(ErrorCode::invalid_argument,
                    "--net and --net-out belong together, one of each for a card");
    }
    for (std::size_t card = 0; card < texts.networks.size(); ++card) {
        options.networks.push_back(
            TRY(parse_network(texts.networks[card], texts.networks_out[card], tls)));
    }
    for (const std::string& disk : texts.disks)
        options.disks.push_back(TRY(parse_disk(disk, tls)));
    TRY(check_counts(options));
    if (!options.shared_disks.empty() && (options.prestart || !options.disks.empty())) {
        return fail(ErrorCode::invalid_argument,
                    "--shared-disk goes with neither --disk nor --prestart: the guest starts anew, "
                    "when its primary has let go of the images");
    }
    options.hybrid = texts.mode == "hybrid";
    TRY(check_hybrid(options));
    return options;
}

}  // namespace

Parsed parse_command_line(int argc, const char* const* argv) {
    CLI::App app("Keeps the standby of one running virtual machine.", "segue-standby");
    app.set_version_flag("--version", SEGUE_VERSION);
    Texts texts;
    Options options;
    app.add_option("--listen", texts.listen,
                   "unix:PATH or tcp:ADDR:PORT: the primary migrates here");
    app.add_option("--agent", texts.agent,
                   "in place of --listen: its segue-agent connects here (key in SEGUE_AGENT_KEY)");
    app.add_option("--state", options.state, "directory of this standby's own")->required();
    app.add_option("--net", texts.networks,
                   "unix:PATH, tcp:ADDR:PORT, dgram:PATH or agent: guest's frames; once a card")
        ->take_all();
    app.add_option("--net-out", texts.networks_out,
                   "unix:PATH or udp:PEER:PORT@LOCAL:PORT: the outside peer of each --net")
        ->take_all();
    app.add_option("--disk", texts.disks,
                   "unix:PATH=IMAGE, tcp:ADDR:PORT=IMAGE (NBD) or agent=IMAGE; once a disk")
        ->take_all();
    app.add_option("--shared-disk", options.shared_disks,
                   "image that both hosts see: the guest starts anew from it; once a disk")
        ->take_all();
    app.add_option("--tls", options.tls, "directory with ca-cert, server-cert and server-key .pem");
    app.add_option("--on-loss", texts.on_loss, "promote or hold (default)")
        ->check(CLI::IsMember({"promote", "hold"}));
    app.add_option("--witness", texts.witness,
                   "HOST:PORT,UUID or etcd://HOST:PORT,UUID: with --agent, decides on a loss");
    app.add_option("--witness-tls", texts.witness_tls,
                   "directory with ca-cert, client-cert and client-key .pem toward etcd");
    app.add_option(
           "--mode", texts.mode,
           "periodic (default), or hybrid: the standby's guest runs too, and frames that both "
           "send leave at once")
        ->check(CLI::IsMember({"periodic", "hybrid"}));
    app.add_option(
        "--differences", options.differences,
        "hybrid: more of them in 5 s (default 5) lead back to periodic mode for a while");
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
