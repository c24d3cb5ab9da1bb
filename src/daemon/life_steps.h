// SPDX-License-Identifier: LGPL-2.1-or-later
// Parts of a guest's life that life.cpp, life_events.cpp and life_launch.cpp share.
#pragma once

#include "daemon/life.h"
#include "qemu/process.h"
#include "qemu/qmp.h"

namespace segue {

// Whom QEMU and the helpers beside it run as. Nobody in particular where the daemon is not root, or
// has no such user.
Result<std::optional<ProcessUser>> qemu_user(const Settings& settings);

// Spawns the emulator, with its monitor connecting. What is to be told to it before it runs.
Result<std::vector<QmpCommand>> launch(const Services& services, const DomainPointer& domain,
                                       StartMode mode);

// The guest's handlers for its events and its end. `process`: of one that is adopted (Guest).
void attach_guest(const Services& services, const DomainPointer& domain,
                  const std::string& monitor_path, std::int32_t process = 0);

// The guest switched itself off, or asked for a reset that is to end it: QEMU stays until it is
// told.
void guest_shut_down(const Services& services, DomainObject& domain);

// Asks QEMU for the names of the pseudo terminals that it opened, for the live definition: no text
// of a definition keeps them.
void learn_terminals(const DomainPointer& domain, Answer<> answer);

// Asks the emulator what its guest does, and who is linked to the screen; ends it where the guest
// has switched itself off.
void look_again(const Services& services, const DomainPointer& domain);

// What the emulator said last, where it ended before it could be reached.
Error explain_failure(const DomainObject& domain, const Error& error);

// The process is gone: ports, directory, record and job are given back, clients are told.
void shut_off(const Services& services, const DomainPointer& domain);
// The same for a start that failed: nobody has heard of it yet.
void abandon(const Services& services, DomainObject& domain);

}  // namespace segue
