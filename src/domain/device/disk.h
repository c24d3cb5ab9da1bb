// SPDX-License-Identifier: LGPL-2.1-or-later
// <disk>: a file or block device as raw or qcow2, on the virtio, IDE, SATA, SCSI, USB or
// floppy bus.
#pragma once

#include "domain/address.h"

namespace segue {

enum class DiskKind { disk, cdrom, floppy };
enum class DiskBus { virtio, ide, sata, fdc, scsi, usb };

struct Disk : Device {
    bool block = false;  // <source dev=''>, else <source file=''>
    DiskKind kind = DiskKind::disk;
    std::string source;  // empty: no medium (CD-ROM and floppy only)
    std::string format = "raw";
    std::optional<std::string> cache, io, discard, detect_zeroes, error_policy;
    std::string target;  // "vda": names the disk, and gives virtio disks their number
    DiskBus bus = DiskBus::virtio;
    std::optional<std::string> serial;
    bool read_only = false, shareable = false;
    std::optional<std::string> removable;

    // It sits on a controller of its bus, and not on PCI or USB.
    bool has_drive_address() const { return bus != DiskBus::virtio && bus != DiskBus::usb; }

    // The number in the target's letters: vda is 0, vdz 25, vdaa 26.
    std::uint32_t target_index() const;
};

// As libvirt keeps them: those of a bus by their letters.
std::vector<Disk> in_order(std::vector<Disk> disks);

std::string_view name_of(DiskKind kind);
std::string_view name_of(DiskBus bus);

Result<Disk> parse_disk(XmlCursor& from);
// `storage_index` numbers the block nodes of a running domain; 0: not running.
XmlElement format_disk(const Disk& disk, const FormatOptions& options, std::size_t storage_index);

}  // namespace segue
