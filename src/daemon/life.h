// SPDX-License-Identifier: LGPL-2.1-or-later
// The life of a domain's QEMU: start, adopt, end; and what its events mean for the domain.
#pragma once

#include "daemon/answer.h"
#include "daemon/domain_object.h"
#include "daemon/services.h"

namespace segue {

enum class StartMode {
    run,
    paused,
    incoming,  // with -incoming defer: nothing is told to clients yet
};

inline constexpr const char* kDefaultEmulator = "/usr/bin/qemu-system-x86_64";

// Asks the definition's emulator what it can, once per binary; completed() needs the answer.
void with_emulator(const Services& services, const Domain& domain, Answer<> answer);
// What a definition lacks (machine version, implicit devices, addresses), with the emulator's help.
// Error limit_exceeded where it becomes larger than clients can be told of.
Result<Domain> completed(const Services& services, Domain domain);
Result<> check_size(const Domain& model);

// Error config_unsupported for what the settings of this host forbid (qemu:commandline), and for
// what may not be left out (check_relied_upon).
Result<> check_allowed(const Services& services, const Domain& model);

// What runs, as another host may have it: its sockets are in a directory of this one.
Domain without_own_sockets(const Incarnation& incarnation);

// Whether the ports that its graphics name can be bound now.
Result<> check_named_ports(const Services& services, const Domain& model);

// Starts a QEMU for `model`: ports, directory, process, monitor, passwords, record, and, for `run`,
// its processors. The answer comes once; after an error nothing is left behind.
// `key` names the incarnation; empty: a new one. Whoever starts an incoming one looks first whether
// its files are there.
void start_guest(const Services& services, const DomainPointer& domain, Domain model,
                 StartMode mode, const std::string& key, Answer<> answer);

// Ends the QEMU for this reason; the domain is shut off when it is gone. Nothing happens to a
// domain that does not run.
void end_guest(const Services& services, DomainObject& domain, ShutOffReason reason);

// The guest has moved away: the domain is shut off at once, and its QEMU ends in the background,
// with `viewers_switch` only when SPICE says that they have switched, or the bound has passed.
void part_from_guest(const Services& services, DomainObject& domain, bool viewers_switch);

// Calls back once, when the QEMU that runs now is gone and the domain is shut off.
void when_gone(DomainObject& domain, std::function<void()> callback);

// After a restart of the daemon: takes over the QEMU of this incarnation if it still runs (the
// domain is active then, at once), else notes that it is gone. The domain's status is what it did
// when that was last noted. `adopted` comes once, when the state of the guest is known; one that
// has switched itself off is there still, for end_if_off().
void adopt_guest(const Services& services, const DomainPointer& domain, Domain live,
                 const std::string& key, Answer<> adopted);

// Ends a guest that switched itself off while nobody heard it, unless a migration or a protection
// of it has to decide.
void end_if_off(const Services& services, const DomainPointer& domain);

// Ends whatever QEMU belongs to a directory that no record names, and removes it.
void end_stray(const std::string& directory);

}  // namespace segue
