// SPDX-License-Identifier: LGPL-2.1-or-later
// Events of QEMU: qapi/{block-core,misc-target,machine,run-state,char}.json of 7.2. Numbers:
// libvirt-domain.h of 9.0.
#include "daemon/device_events.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "domain/alias.h"
#include "rpc/event.schema.h"

namespace segue {
namespace {

// virDomainEventID.
constexpr std::int32_t kRtcChange = 2, kWatchdog = 3, kIoError = 4, kIoErrorReason = 6,
                       kTrayChange = 10, kPmWakeup = 11, kPmSuspend = 12, kBalloonChange = 13,
                       kPmSuspendDisk = 14, kAgentLifecycle = 18;

// Both tools name an action by its place: virDomainEventIOErrorAction,
// virDomainEventWatchdogAction.
constexpr std::array<std::string_view, 3> kIoActions{"ignore", "stop", "report"};
constexpr std::array<std::string_view, 7> kWatchdogActions{
    "none", "pause", "reset", "poweroff", "shutdown", "debug", "inject-nmi"};

template <std::size_t N>
std::int32_t place_of(std::string_view name, const std::array<std::string_view, N>& names) {
    const auto found = std::find(names.begin(), names.end(), name);
    return found == names.end() ? 0 : static_cast<std::int32_t>(found - names.begin());
}

// QEMU names the block node, or the device where an older kind of drive has one.
const Disk* disk_of(const Domain& domain, const Json& said) {
    const std::string_view node = said.text("node-name"), device = said.text("device");
    for (std::size_t at = 0; at < domain.disks.size(); ++at) {
        const bool is_it = node == format_node(domain, at) || node == storage_node(domain, at) ||
                           (!device.empty() && device == domain.disks[at].alias);
        if (is_it) return &domain.disks[at];
    }
    return nullptr;
}

void io_error(const Services& services, const DomainObject& domain, const Json& said) {
    const Disk* disk = disk_of(domain.model(), said);
    rpc::event::IoErrorReasonEvent body{
        .callback = 0,
        .domain = domain.ref(),
        .path = disk != nullptr ? disk->source : "",
        .device = disk != nullptr ? disk->alias : "",
        .action = place_of(said.text("action"), kIoActions),
        .reason = said.flag("nospace") ? "enospc" : "",
    };
    services.events.publish<rpc::event::DomainEventIoError>(kIoError, {.callback = 0,
                                                                       .domain = body.domain,
                                                                       .path = body.path,
                                                                       .device = body.device,
                                                                       .action = body.action});
    services.events.publish<rpc::event::DomainEventIoErrorReason>(kIoErrorReason, std::move(body));
}

void tray(const Services& services, const DomainObject& domain, const Json& said) {
    services.events.publish<rpc::event::DomainEventTrayChange>(
        kTrayChange, {.callback = 0,
                      .domain = domain.ref(),
                      .device = std::string(said.text("id")),
                      .reason = said.flag("tray-open") ? 0 : 1});
}

void balloon(const Services& services, DomainObject& domain, const Json& said) {
    const std::uint64_t kib = said.u64("actual") / 1024;
    if (domain.incarnation) domain.incarnation->live.current_memory_kib = kib;
    services.events.publish<rpc::event::DomainEventBalloonChange>(
        kBalloonChange, {.callback = 0, .domain = domain.ref(), .actual = kib});
}

// A port of virtio-serial was opened or closed in the guest; that of the agent is told.
void port(const Services& services, DomainObject& domain, const Json& said) {
    if (!domain.incarnation) return;
    constexpr std::int32_t kConnected = 1, kDisconnected = 2, kByItsChannel = 2;
    const bool open = said.flag("open");
    for (Channel& channel : domain.incarnation->live.channels) {
        if (channel.alias != said.text("id")) continue;
        channel.state = open ? "connected" : "disconnected";
        if (channel.name != "org.qemu.guest_agent.0") continue;
        services.events.publish<rpc::event::DomainEventAgentLifecycle>(
            kAgentLifecycle, {.callback = 0,
                              .domain = domain.ref(),
                              .state = open ? kConnected : kDisconnected,
                              .reason = kByItsChannel});
    }
}

}  // namespace

void publish_device_event(const Services& services, DomainObject& domain, const QmpEvent& event) {
    const Json& said = event.data;
    if (event.name == "BLOCK_IO_ERROR") return io_error(services, domain, said);
    if (event.name == "DEVICE_TRAY_MOVED") return tray(services, domain, said);
    if (event.name == "BALLOON_CHANGE") return balloon(services, domain, said);
    if (event.name == "VSERPORT_CHANGE") return port(services, domain, said);
    if (event.name == "SUSPEND") {
        services.events.publish<rpc::event::DomainEventPmSuspend>(
            kPmSuspend, {.callback = 0, .reason = 0, .domain = domain.ref()});
    }
    if (event.name == "SUSPEND_DISK") {
        services.events.publish<rpc::event::DomainEventPmSuspendDisk>(
            kPmSuspendDisk, {.callback = 0, .reason = 0, .domain = domain.ref()});
    }
    if (event.name == "WAKEUP") {
        services.events.publish<rpc::event::DomainEventPmWakeup>(
            kPmWakeup, {.callback = 0, .reason = 0, .domain = domain.ref()});
    }
    if (event.name == "RTC_CHANGE") {
        services.events.publish<rpc::event::DomainEventRtcChange>(
            kRtcChange, {.callback = 0, .domain = domain.ref(), .offset_s = said.i64("offset")});
    }
    if (event.name == "WATCHDOG") {
        services.events.publish<rpc::event::DomainEventWatchdog>(
            kWatchdog, {.callback = 0,
                        .domain = domain.ref(),
                        .value = place_of(said.text("action"), kWatchdogActions)});
    }
}

}  // namespace segue
