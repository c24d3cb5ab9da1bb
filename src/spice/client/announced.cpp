// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/announced.h"

namespace segue::spice::client {
namespace {

// QEMU announces -1 for a port it does not have.
constexpr std::uint16_t kNoPort = 65535;

std::uint16_t port_of(std::uint16_t announced) {
    return announced == kNoPort ? std::uint16_t{0} : announced;
}

}  // namespace

Candidate announced_by(const wire::main::Destination& to, const Settings& settings) {
    Candidate made;
    made.endpoint.host = settings.migration_host.empty() ? to.host : settings.migration_host;
    made.endpoint.port = port_of(to.port);
    made.endpoint.tls_port = port_of(to.secure_port);
    made.trust = settings.trust;
    made.trust.subject = to.certificate_subject;
    return made;
}

}  // namespace segue::spice::client
