// SPDX-License-Identifier: LGPL-2.1-or-later
// A virtual machine's definition: libvirt's domain XML as values.
//
//   parse_domain    text to model, checked; nothing is added
//   complete_domain what libvirt adds: machine version, implicit devices, addresses (complete.h)
//   assign_aliases  the names devices have in QEMU, at start (alias.h)
//   format_domain   model to text, in libvirt's dialect
//   check_abi       may a guest that runs on one go on running on the other? (abi.h)
#pragma once

#include "base/id.h"
#include "domain/clock.h"
#include "domain/cpu.h"
#include "domain/device/controller.h"
#include "domain/device/disk.h"
#include "domain/device/graphics.h"
#include "domain/device/input.h"
#include "domain/device/interface.h"
#include "domain/device/sound.h"
#include "domain/device/video.h"
#include "domain/device/virtio.h"
#include "domain/os.h"

namespace segue {

enum class DomainType { qemu, kvm };

// <qemu:commandline>: options of the user's own, beside the model. Whether they are allowed is the
// daemon's to decide.
struct Passthrough {
    std::vector<std::string> arguments;
    std::vector<std::pair<std::string, std::string>> environment;
    bool empty() const { return arguments.empty() && environment.empty(); }
};

struct Domain {
    DomainType type = DomainType::qemu;
    std::optional<std::int32_t> id;  // of a running domain
    std::string name;
    Uuid uuid;
    std::optional<std::string> title, description;
    std::optional<XmlElement> metadata;

    std::uint64_t memory_kib = 0, current_memory_kib = 0;
    std::uint32_t vcpus = 1, current_vcpus = 1;

    OperatingSystem os;
    std::vector<std::string> features;  // acpi, apic, pae, …
    // Those that are said to be on or off (kSwitches); what is not named is QEMU's default.
    std::vector<std::pair<std::string, bool>> switches;
    std::optional<Cpu> cpu;
    std::optional<Cpu> running_cpu;  // of a running domain: cpu as QEMU expanded it
    GuestClock clock;
    std::string on_poweroff = "destroy", on_reboot = "restart", on_crash = "destroy";
    std::optional<bool> suspend_to_mem, suspend_to_disk;

    std::string emulator;
    std::vector<Disk> disks;
    std::vector<Controller> controllers;
    std::vector<Interface> interfaces;
    std::vector<Smartcard> smartcards;
    std::vector<Serial> serials;
    std::vector<Console> consoles;
    std::vector<Channel> channels;
    std::vector<Input> inputs;
    std::vector<Graphics> graphics;
    std::vector<Sound> sounds;
    std::vector<Audio> audios;
    std::vector<Video> videos;
    std::vector<RedirectedDevice> redirected;
    std::vector<Hub> hubs;
    std::optional<Balloon> balloon;
    std::vector<Rng> rngs;
    Passthrough passthrough;

    // Elements of <domain> that we do not know: kept, and written out again.
    XmlElement unknown;
    // What was kept but means nothing to us, for the log and for `segue define`.
    std::vector<std::string> unused;

    bool has_feature(std::string_view feature) const;
    std::optional<bool> switched(std::string_view feature) const;
};

// In libvirt's order.
inline constexpr std::string_view kSwitches[] = {"pmu", "vmport", "smm", "vmcoreinfo"};

// Errors carry libvirt's codes: xml_invalid, no_name, config_unsupported.
Result<Domain> parse_domain(std::string_view text);
// For text that print_domain made here, from a domain that was taken.
Result<Domain> parse_printed_domain(std::string_view text);
// The same for XML that was read already (<domain> inside a cookie).
Result<Domain> parse_domain(const XmlElement& root);

// What is unknown is kept and told (`unused`), unless the guest's owner relies on it: without
// launch security its memory is readable, without encryption its disk, and what it writes to a
// transient disk stays. config_unsupported then.
Result<> check_relied_upon(const Domain& domain);

XmlElement format_domain(const Domain& domain, const FormatOptions& options);
std::string print_domain(const Domain& domain, const FormatOptions& options);

}  // namespace segue
