// SPDX-License-Identifier: LGPL-2.1-or-later
// Questions about the host and its hypervisor.
#include <sys/sysinfo.h>

#include "daemon/calls/calls.h"
#include "daemon/domain_capabilities.h"
#include "daemon/life.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Nothing;
using rpc::Session;

namespace {

// libvirt 9.0.0: whose protocol this is.
constexpr std::uint64_t kLibraryVersion = 9'000'000;
// What virsh's maxvcpus shows for type qemu.
constexpr std::int32_t kMaxVcpus = 255;

// libvirt's form: major * 1,000,000 + minor * 1,000 + micro.
std::uint64_t number_of(const QmpVersion& version) {
    return static_cast<std::uint64_t>(version.major) * 1'000'000 +
           static_cast<std::uint64_t>(version.minor) * 1'000 +
           static_cast<std::uint64_t>(version.micro);
}

remote::NodeInfo node_info() {
    const NodeInfo node = read_node_info();
    remote::NodeInfo reply;
    for (std::size_t at = 0; at < node.model.size() && at + 1 < reply.model.size(); ++at)
        reply.model[at] = static_cast<std::int8_t>(node.model[at]);
    reply.memory = node.memory_kib;
    reply.cpus = static_cast<std::int32_t>(node.cpus);
    reply.mhz = static_cast<std::int32_t>(node.mhz);
    reply.nodes = static_cast<std::int32_t>(node.nodes);
    reply.sockets = static_cast<std::int32_t>(node.sockets);
    reply.cores = static_cast<std::int32_t>(node.cores);
    reply.threads = static_cast<std::int32_t>(node.threads);
    return reply;
}

std::vector<std::int8_t> characters(std::string_view text) {
    std::vector<std::int8_t> out(text.begin(), text.end());
    out.push_back(0);
    return out;
}

Result<remote::NodeMemoryStatisticsReply> memory_statistics(
    const remote::NodeMemoryStatisticsCall& call) {
    struct sysinfo facts {};
    ::sysinfo(&facts);
    const auto kib = [&](unsigned long count) {
        return std::uint64_t{count} * facts.mem_unit / 1024;
    };
    remote::NodeMemoryStatisticsReply reply;
    reply.count = 4;
    if (call.count == 0) return reply;
    reply.statistics = {{"total", kib(facts.totalram)},
                        {"free", kib(facts.freeram)},
                        {"buffers", kib(facts.bufferram)},
                        {"cached", 0}};
    return reply;
}

void domain_capabilities(const Services& services, const remote::DomainCapabilitiesCall& call,
                         Answer<remote::TextReply> answer) {
    Domain asked;
    asked.emulator = call.emulator.value_or("");
    const std::string path = asked.emulator.empty() ? kDefaultEmulator : asked.emulator;
    const auto told = [&services, call, path, answer](Result<HostCpu> cpu) {
        const EmulatorCapabilities* emulator = services.emulators.known(path);
        if (!cpu || emulator == nullptr) {
            return answer(cpu ? fail(ErrorCode::internal, "emulator '{}' has changed", path)
                              : tl::unexpected(cpu.error()));
        }
        answer(domain_capabilities_xml({call.architecture, call.machine, call.virtualization}, path,
                                       *emulator, *cpu)
                   .map([](const std::string& xml) { return remote::TextReply{xml}; }));
    };
    with_emulator(services, asked, [&services, path, told](Result<> done) {
        if (!done) return told(tl::unexpected(done.error()));
        services.emulators.ask_cpu(path, false, told);
    });
}

}  // namespace

void add_connection_calls(rpc::Dispatcher& calls, const Services& services) {
    using Text = Result<remote::TextReply>;
    calls.answer<remote::ConnectGetType>(
        [](Session&, const Nothing&) -> Text { return remote::TextReply{"QEMU"}; });
    calls.on<remote::ConnectGetVersion>(
        [&services](Session&, Nothing, rpc::Reply<remote::ConnectGetVersion> reply) {
            services.emulators.ask(kDefaultEmulator, [reply](Result<EmulatorCapabilities> known) {
                reply(known.map([](const EmulatorCapabilities& emulator) {
                    return remote::LongReply{number_of(emulator.version)};
                }));
            });
        });
    calls.answer<remote::ConnectGetLibVersion>(
        [](Session&, const Nothing&) -> Result<remote::LongReply> {
            return remote::LongReply{kLibraryVersion};
        });
    calls.answer<remote::ConnectGetHostname>([&services](Session&, const Nothing&) -> Text {
        return remote::TextReply{services.identity.name};
    });
    calls.answer<remote::ConnectGetUri>(
        [](Session&, const Nothing&) -> Text { return remote::TextReply{"qemu:///system"}; });
    calls.answer<remote::ConnectGetMaxVcpus>(
        [](Session&, const remote::OptionalTextCall&) -> Result<remote::NumberReply> {
            return remote::NumberReply{kMaxVcpus};
        });
    calls.answer<remote::NodeGetInfo>(
        [](Session&, const Nothing&) -> Result<remote::NodeInfo> { return node_info(); });
    calls.on<remote::ConnectGetCapabilities>(
        [&services](Session&, Nothing, rpc::Reply<remote::ConnectGetCapabilities> reply) {
            const auto tell = [&services, reply](Result<EmulatorCapabilities> known) {
                reply(known.map([&](const EmulatorCapabilities& emulator) {
                    return remote::TextReply{capabilities_xml(services.identity, read_node_info(),
                                                              kDefaultEmulator, emulator)};
                }));
            };
            services.emulators.ask(kDefaultEmulator, tell);
        });
    calls.on<remote::ConnectGetDomainCapabilities>(
        [&services](Session&, const remote::DomainCapabilitiesCall& call,
                    rpc::Reply<remote::ConnectGetDomainCapabilities> reply) {
            domain_capabilities(services, call, reply);
        });
    calls.answer<remote::NodeGetFreeMemory>(
        [](Session&, const Nothing&) -> Result<remote::LongReply> {
            struct sysinfo facts {};
            ::sysinfo(&facts);
            return remote::LongReply{std::uint64_t{facts.freeram} * facts.mem_unit};
        });
    calls.answer<remote::NodeGetMemoryStats>(
        [](Session&, const remote::NodeMemoryStatisticsCall& call) {
            return memory_statistics(call);
        });
    calls.answer<remote::NodeGetSecurityModel>(
        [](Session&, const Nothing&) -> Result<remote::SecurityModel> {
            return remote::SecurityModel{characters("none"), characters("0")};
        });
    calls.answer<remote::ConnectIsSecure>(
        [](Session& session, const Nothing&) -> Result<remote::BoolReply> {
            const rpc::PeerInfo peer = session.peer();
            return remote::BoolReply{peer.credentials.has_value() || !peer.tls_subject.empty()};
        });
    calls.answer<remote::ConnectSetIdentity>(
        [](Session&, const remote::IdentityCall&) -> Result<> { return {}; });
}

}  // namespace segue
