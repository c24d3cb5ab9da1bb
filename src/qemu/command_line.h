// SPDX-License-Identifier: LGPL-2.1-or-later
// From a definition to a QEMU: its arguments, what it inherits, and what it is told over QMP before
// the guest runs. No I/O. Guest-visibly, and nearly word for word, what stock libvirt 9.0 starts:
// a guest may come from there and go there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "domain/domain.h"
#include "qemu/qmp.h"

namespace segue {

// Something that the starter opens (with its own rights) and QEMU inherits under `number`.
struct InheritedFile {
    enum class Kind {
        listen,    // a unix socket that is bound to `path` and listens, mode 0600
        append,    // write only, at the end, created with mode 0600
        truncate,  // write only, emptied
        keep,      // write only, from the start, not emptied
        opened,    // by the daemon: a network card's tap device; `path` is the card's alias
    };
    Kind kind = Kind::listen;
    std::string path = {};
    int number = -1;
    int descriptor = -1;  // opened: the daemon's own, which stays open there
};

struct CommandLineOptions {
    // The domain's own directory: monitor socket, generated channel sockets.
    std::string directory;
    // PEM files of the SPICE server (ca-cert, server-cert, server-key), where a TLS port is wanted.
    std::string x509_directory = {};
    // Incoming migration: `-incoming defer`, and nothing that another QEMU still writes is emptied.
    bool incoming = false;
    bool sandbox = true;
};

struct CommandLine {
    std::vector<std::string> arguments;                            // the first one is the program
    std::vector<std::pair<std::string, std::string>> environment;  // beside the daemon's choice
    std::vector<InheritedFile> inherited;
    std::string monitor_path;
    // In order, after the monitor is ready and before `cont` or `migrate-incoming`: passwords and
    // link states. Their arguments may hold secrets: never logged.
    std::vector<QmpCommand> after_start;
};

// The first descriptor number that InheritedFile uses.
inline constexpr int kFirstInherited = 3;

// Of a domain that is complete, has aliases (prepare_to_run) and real ports (fill_ports).
Result<CommandLine> build_command_line(const Domain& domain, const CommandLineOptions& options);

// How a disk's lower node (storage_node) is opened: the disk has a source.
Json storage_options(const Domain& domain, std::size_t disk_index);

// What tells a running QEMU a screen's ticket, in order. Their arguments are secret.
std::vector<QmpCommand> ticket_commands(const Graphics& graphics);

// Where a channel of type 'unix' without a path listens.
std::string channel_path(const Channel& channel, const std::string& directory);

// What the daemon gives a graphics device at start. Numbers of the definition stay.
struct GraphicsPorts {
    std::function<Result<std::uint16_t>()> next;  // allocates one
    std::string default_address = "127.0.0.1";
    bool tls = false;  // give automatic TLS ports too
};
Result<> fill_ports(Domain& domain, const GraphicsPorts& ports);

}  // namespace segue
