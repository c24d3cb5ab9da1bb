// SPDX-License-Identifier: LGPL-2.1-or-later
#include "domain/device/disk.h"

#include "domain/choice.h"
#include "domain/device_order.h"

namespace segue {
namespace {

constexpr Choice<DiskKind> kKinds[] = {
    {"disk", DiskKind::disk}, {"cdrom", DiskKind::cdrom}, {"floppy", DiskKind::floppy}};
constexpr Choice<DiskBus> kBuses[] = {{"virtio", DiskBus::virtio}, {"ide", DiskBus::ide},
                                      {"sata", DiskBus::sata},     {"fdc", DiskBus::fdc},
                                      {"scsi", DiskBus::scsi},     {"usb", DiskBus::usb}};
constexpr std::string_view kFormats[] = {"raw", "qcow2"};
constexpr std::string_view kCaches[] = {"none", "writeback", "writethrough", "directsync",
                                        "unsafe"};
constexpr std::string_view kIos[] = {"threads", "native", "io_uring"};
constexpr std::string_view kDiscards[] = {"unmap", "ignore"};
constexpr std::string_view kDetectZeroes[] = {"off", "on", "unmap"};
constexpr std::string_view kErrorPolicies[] = {"stop", "report", "ignore", "enospace"};

// The bus that a target's prefix means, where none is named.
Result<DiskBus> bus_of(const std::string& target) {
    if (target.starts_with("vd")) return DiskBus::virtio;
    if (target.starts_with("hd")) return DiskBus::ide;
    if (target.starts_with("fd")) return DiskBus::fdc;
    if (target.starts_with("sd")) return DiskBus::scsi;
    return fail(ErrorCode::config_unsupported,
                "disk '{}' names no bus: add bus='virtio', 'ide', 'sata', 'scsi' or 'usb'", target);
}

Result<> parse_driver(XmlCursor& from, Disk& disk) {
    const std::string name = from.attribute_or("name", "qemu");
    if (name != "qemu") {
        return fail(ErrorCode::config_unsupported, "unsupported driver name '{}' for disk", name);
    }
    disk.format = TRY(choice(from, "type", kFormats)).value_or("raw");
    disk.cache = TRY(choice(from, "cache", kCaches));
    disk.io = TRY(choice(from, "io", kIos));
    disk.discard = TRY(choice(from, "discard", kDiscards));
    disk.detect_zeroes = TRY(choice(from, "detect_zeroes", kDetectZeroes));
    disk.error_policy = TRY(choice(from, "error_policy", kErrorPolicies));
    return {};
}

Result<> parse_source(XmlCursor& from, Disk& disk) {
    disk.source = from.attribute_or(disk.block ? "dev" : "file", "");
    from.ignore_attribute("index");
    if (!disk.source.empty() && disk.source[0] != '/') {
        return fail(ErrorCode::config_unsupported, "disk source '{}' is not an absolute path",
                    disk.source);
    }
    return {};
}

Result<> parse_target(XmlCursor& from, Disk& disk) {
    disk.target = from.attribute_or("dev", "");
    if (disk.target.size() < 3 || disk.target.size() > 8 ||
        disk.target.find_first_not_of("abcdefghijklmnopqrstuvwxyz") != std::string::npos) {
        return fail(ErrorCode::xml_invalid, "Invalid disk target '{}': expected a name like 'vda'",
                    disk.target);
    }
    const auto bus = TRY(choice(from, "bus", kBuses));
    disk.bus = bus ? *bus : TRY(bus_of(disk.target));
    disk.removable = from.attribute("removable");
    return {};
}

Result<> check(const Disk& disk) {
    if ((disk.kind == DiskKind::floppy) != (disk.bus == DiskBus::fdc)) {
        return fail(ErrorCode::config_unsupported, "Invalid bus type '{}' for {} '{}'",
                    name_of(disk.bus), name_of(disk.kind), disk.target);
    }
    if (disk.removable && disk.bus != DiskBus::usb) {
        return fail(ErrorCode::config_unsupported,
                    "removable is only valid for usb disks, not for '{}'", disk.target);
    }
    if (disk.kind == DiskKind::cdrom && disk.bus == DiskBus::virtio) {
        return fail(ErrorCode::config_unsupported,
                    "disk type of 'virtio' does not support ejectable media");
    }
    if (disk.source.empty() && disk.kind == DiskKind::disk) {
        return fail(ErrorCode::xml_invalid, "missing source for disk '{}'", disk.target);
    }
    if (disk.shareable && disk.format != "raw") {
        return fail(ErrorCode::config_unsupported,
                    "shared access for disk '{}' requires use of supported storage format",
                    disk.target);
    }
    return {};
}

}  // namespace

std::uint32_t Disk::target_index() const {
    std::uint32_t index = 0;
    for (std::size_t at = 2; at < target.size(); ++at) {
        index = (at > 2 ? (index + 1) * 26 : 0) + static_cast<std::uint32_t>(target[at] - 'a');
    }
    return index;
}

std::vector<Disk> in_order(std::vector<Disk> disks) {
    return in_order(
        std::move(disks), [](const Disk& one, const Disk& other) { return one.bus == other.bus; },
        [](const Disk& one, const Disk& other) {
            return one.target_index() < other.target_index();
        });
}

std::string_view name_of(DiskKind kind) {
    return name_in(kKinds, kind);
}
std::string_view name_of(DiskBus bus) {
    return name_in(kBuses, bus);
}

Result<Disk> parse_disk(XmlCursor& from) {
    Disk disk;
    const std::string type = from.attribute_or("type", "file");
    if (type != "file" && type != "block") {
        return fail(ErrorCode::config_unsupported,
                    "disk type '{}' is not supported: use file or block", type);
    }
    disk.block = type == "block";
    disk.kind = TRY(choice(from, "device", kKinds)).value_or(DiskKind::disk);
    from.ignore("backingStore");
    if (XmlCursor* driver = from.child("driver")) TRY(parse_driver(*driver, disk));
    if (XmlCursor* source = from.child("source")) TRY(parse_source(*source, disk));
    XmlCursor* target = from.child("target");
    if (!target) return fail(ErrorCode::xml_invalid, "missing target information for disk");
    TRY(parse_target(*target, disk));
    disk.serial = from.child_text("serial");
    disk.read_only = from.has_child("readonly") || disk.kind == DiskKind::cdrom;
    disk.shareable = from.has_child("shareable");
    TRY(parse_device(from, disk));
    TRY(check(disk));
    return disk;
}

XmlElement format_disk(const Disk& disk, const FormatOptions& options, std::size_t storage_index) {
    const bool running = !options.inactive && storage_index > 0;
    const bool live = running && !options.migratable;
    XmlElement out;
    out.name = "disk";
    out.set("type", disk.block ? "block" : "file").set("device", name_of(disk.kind));
    XmlElement& driver = out.add("driver").set("name", "qemu");
    if (!(live && disk.source.empty())) driver.set("type", disk.format);
    driver.set_if("cache", disk.cache).set_if("error_policy", disk.error_policy);
    driver.set_if("io", disk.io).set_if("discard", disk.discard);
    driver.set_if("detect_zeroes", disk.detect_zeroes);
    if (!disk.source.empty()) {
        XmlElement& source = out.add("source").set(disk.block ? "dev" : "file", disk.source);
        if (live) source.set("index", storage_index);
        // "Has no backing file", which a stock destination takes literally. Of a qcow2 image we do
        // not claim to know: QEMU opens what the image names.
        if (running && disk.format == "raw") out.add("backingStore");
    }
    out.add("target").set("dev", disk.target).set("bus", name_of(disk.bus));
    if (disk.removable) out.children.back().set("removable", *disk.removable);
    if (disk.read_only) out.add("readonly");
    if (disk.shareable) out.add("shareable");
    if (disk.serial) out.add_text("serial", *disk.serial);
    format_device(disk, out, options);
    return out;
}

}  // namespace segue
