// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/agent_options.h"

#include <CLI/CLI.hpp>

#include <cstdlib>
#include <filesystem>

namespace segue::standby {
namespace {

constexpr int kUsageError = 2;
// Not an option: command lines can be read by everybody.
constexpr const char* kKeyVariable = "SEGUE_AGENT_KEY";

struct Texts {
    std::string standby, gate = "standby", on_loss = "hold", witness, witness_tls,
                         mode = "periodic";
};

bool is_beyond_loopback(const net::Address& address) {
    if (address.transport == net::Transport::unix_socket) return false;
    const auto numeric = net::SocketAddress::of_numeric(address.host, address.port);
    return !numeric || !numeric->is_loopback();
}

Result<AgentOptions> build(const Texts& texts, AgentOptions options) {
    options.standby = TRY(net::Address::parse(texts.standby));
    if (options.tls.empty() && is_beyond_loopback(options.standby)) {
        return fail(ErrorCode::denied,
                    "--standby {}: beyond loopback this link needs --tls DIR (it carries the "
                    "guest's memory, frames and disk)",
                    texts.standby);
    }
    const char* key = std::getenv(kKeyVariable);
    if (key == nullptr) {
        return fail(ErrorCode::invalid_argument, "a key is needed in the environment: {}",
                    kKeyVariable);
    }
    options.key = TRY(parse_agent_key(key));
    options.state = std::filesystem::absolute(options.state).lexically_normal().string();
    options.gate =
        texts.gate == "primary" ? AgentOptions::Gate::primary : AgentOptions::Gate::standby;
    options.on_loss =
        texts.on_loss == "promote" ? AgentOptions::OnLoss::promote : AgentOptions::OnLoss::hold;
    options.hybrid = texts.mode == "hybrid";
    if (options.hybrid && options.gate == AgentOptions::Gate::primary) {
        return fail(ErrorCode::config_unsupported,
                    "--mode hybrid needs --gate standby: both guests' frames are compared there");
    }
    if (!texts.witness.empty())
        options.witness = TRY(parse_witness(texts.witness, texts.witness_tls));
    if (options.disk_bytes.size() > protect::agent::kDisksMax) {
        return fail(ErrorCode::limit_exceeded, "--disk-bytes: {} disks, at most {}",
                    options.disk_bytes.size(), std::size_t{protect::agent::kDisksMax});
    }
    return options;
}

}  // namespace

ParsedAgent parse_agent_command_line(int argc, const char* const* argv) {
    CLI::App app("Stands between a protected virtual machine and its standby.", "segue-agent");
    app.set_version_flag("--version", SEGUE_VERSION);
    Texts texts;
    AgentOptions options;
    app.add_option("--state", options.state, "directory of this agent's own: its sockets")
        ->required();
    app.add_option("--standby", texts.standby,
                   "unix:PATH or tcp:ADDR:PORT of segue-standby --agent")
        ->required();
    app.add_option("--gate", texts.gate, "where frames are held: standby (default) or primary")
        ->check(CLI::IsMember({"standby", "primary"}));
    app.add_option("--mode", texts.mode, "of segue-standby: periodic (default) or hybrid")
        ->check(CLI::IsMember({"periodic", "hybrid"}));
    app.add_option("--on-loss", texts.on_loss,
                   "hold (default): the primary goes on alone; promote: it stands still")
        ->check(CLI::IsMember({"promote", "hold"}));
    app.add_option("--witness", texts.witness,
                   "HOST:PORT,UUID or etcd://HOST:PORT,UUID: decides when the standby is lost");
    app.add_option("--witness-tls", texts.witness_tls,
                   "directory with ca-cert, client-cert and client-key .pem toward etcd");
    app.add_option("--disk-bytes", options.disk_bytes,
                   "serve a disk leg (NBD) of this size; once for each disk")
        ->check(CLI::PositiveNumber);
    app.add_option("--cards", options.cards, "how many network cards there are (default 1)")
        ->check(CLI::Range(std::size_t{0}, std::size_t{protect::agent::kCardsMax}));
    app.add_option("--tls", options.tls, "directory with ca-cert, client-cert and client-key .pem");
    app.add_option("--tls-name", options.tls_name, "name in the standby's certificate");
    app.add_option("--screen", options.screen,
                   "control socket of QEMU's SPICE server: what it shows is held per epoch");
    app.add_flag("--picture-passes", options.picture_passes,
                 "with --screen: but for display, pointer and sound");
    app.add_option("--qemu", options.qemu, "process whose end is told to the standby")
        ->check(CLI::PositiveNumber);
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& success) {
        return {std::nullopt, success.get_name() == "CallForVersion" ? SEGUE_VERSION : app.help(),
                0};
    } catch (const CLI::ParseError& error) {
        return {std::nullopt, std::string("segue-agent: ") + error.what(), kUsageError};
    }
    auto built = build(texts, std::move(options));
    if (!built) return {std::nullopt, "segue-agent: " + built.error().message, kUsageError};
    return {std::move(*built), "", 0};
}

}  // namespace segue::standby
