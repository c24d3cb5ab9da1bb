// SPDX-License-Identifier: LGPL-2.1-or-later
// What a running QEMU is told so that it can be protected, and how it is told to forget it. Each
// function adds steps to a row; undoing steps never fail, because half of what they undo may not be
// there.
#pragma once

#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "daemon/guest.h"

namespace segue {

using Steps = std::vector<Step>;

// A device with its number (devices.h), and where its agent's sockets are.
struct DevicePlug {
    std::size_t number = 0;
    std::string name;  // of the netdev, or of the block node
    std::string directory;
};

// The card's frames go to the agent and come back from it, through two filters.
void plug_network(Steps& steps, const DomainPointer& domain, const DevicePlug& card);
void unplug_network(Steps& steps, const DomainPointer& domain, std::size_t number);

// A mirror of the disk to the agent, every write of the guest there at once. Done when the other
// side has everything, or when `wanted` (asked at each look) gives an error. Its connection is its
// own: QEMU closes it when the mirror ends, for whatever reason, and the agent knows. An I/O error
// stops the job and does not end it: see unplug_disks().
void plug_disk(Steps& steps, const Services& services, const DomainPointer& domain,
               const DevicePlug& disk, const std::function<Result<>()>& wanted);
// All of so many. The guest is left standing still.
void unplug_disks(Steps& steps, const Services& services, const DomainPointer& domain,
                  std::size_t count);

// A mirror that has come to its end by itself, or stands still behind an I/O error: from there on
// the standby misses what is written.
struct EndedMirror {
    std::size_t disk = 0;  // its number
    std::string cause;
};
// Nothing: the event is about something else.
std::optional<EndedMirror> ended_mirror(const QmpEvent& event);
// The first of so many disks that is not among the jobs (query-block-jobs), or whose job has
// failed.
std::optional<EndedMirror> missing_mirror(const Json& jobs, std::size_t disks);

// COLO toward the agent. `stop_first`: emulation's dirty pages are right only from a standstill.
void begin_checkpoints(Steps& steps, const DomainPointer& domain, std::uint32_t interval_ms,
                       bool stop_first, const std::string& directory);
// Cuts the agent's connections inside QEMU, out of band: one of them may hold QEMU's main loop or
// the guest's writes. For an agent that is hung or dead; before any step that QEMU does in turn.
void yank(Steps& steps, const DomainPointer& domain);

// Ends COLO, in whatever state it is; the guest runs on. Behind it nothing of a checkpoint is at
// work in QEMU any more: devices may go.
void end_checkpoints(Steps& steps, const Services& services, const DomainPointer& domain);

}  // namespace segue
