// SPDX-License-Identifier: LGPL-2.1-or-later
// spice_server_migrate_*.
#include "spice/abi/guard.h"
#include "spice/abi/handles.h"

using segue::log_warning;
using segue::spice::abi::guarded;
using segue::spice::abi::guarded_value;
using segue::spice::server::MigrationDestination;

namespace {

MigrationDestination destination_of(const char* host, int port, int secure_port,
                                    const char* subject) {
    MigrationDestination made;
    made.host = host == nullptr ? "" : host;
    made.port = port;
    made.secure_port = secure_port;
    made.certificate_subject = subject == nullptr ? "" : subject;
    return made;
}

int as_status(const segue::Result<>& done) {
    if (done) return 0;
    log_warning("spice", "{}", done.error().message);
    return -1;
}

}  // namespace

extern "C" {

int spice_server_migrate_connect(SpiceServer* s, const char* dest, int port, int secure_port,
                                 const char* cert_subject) {
    return guarded_value("migrate_connect", -1, [&] {
        return as_status(
            s->server.migrate_connect(destination_of(dest, port, secure_port, cert_subject)));
    });
}

int spice_server_migrate_start(SpiceServer* s) {
    return guarded_value("migrate_start", -1, [&] { return as_status(s->server.migrate_start()); });
}

int spice_server_migrate_end(SpiceServer* s, int completed) {
    return guarded_value("migrate_end", -1,
                         [&] { return s->server.migrate_end(completed != 0) ? 0 : -1; });
}

int spice_server_migrate_info(SpiceServer* s, const char* dest, int port, int secure_port,
                              const char* cert_subject) {
    return guarded_value("migrate_info", -1, [&] {
        return as_status(
            s->server.migrate_info(destination_of(dest, port, secure_port, cert_subject)));
    });
}

int spice_server_migrate_switch(SpiceServer* s) {
    return guarded_value("migrate_switch", -1,
                         [&] { return as_status(s->server.migrate_switch()); });
}

void spice_server_set_seamless_migration(SpiceServer* s, int enable) {
    guarded("set_seamless_migration",
            [&] { s->server.options().seamless_migration = enable != 0; });
}

}  // extern "C"
