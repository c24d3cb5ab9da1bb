// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/flushes.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstring>

#include "base/log.h"
#include "daemon/protection/devices.h"
#include "daemon/workers.h"
#include "domain/alias.h"
#include "net/descriptor.h"
#include "qemu/command_line.h"

namespace segue {
namespace {

bool is_local(const Json& node) {
    const std::string_view driver = node.text("drv");
    return driver == "file" || driver == "host_device";
}

// What is to be said to QEMU, for each disk that is not as wanted; `nodes` is what it says of them.
Json reopenings(const Domain& live, const Json& nodes, bool skip) {
    Json options = Json::array();
    for (const std::size_t index : writable_disks(live)) {
        const std::string name = storage_node(live, index);
        // Its user's wish.
        if (live.disks[index].cache == "unsafe") continue;
        for (const Json& node : nodes.items()) {
            const Json& cache = node["cache"];
            if (node.text("node-name") != name || !is_local(node)) continue;
            if (cache.flag("no-flush") == skip) continue;
            options.push(storage_options(live, index)
                             .set("cache", Json::object({{"direct", cache.flag("direct")},
                                                         {"no-flush", skip}})));
        }
    }
    return options;
}

// Flushing too often costs time only; a guest that is left alone without may lose what it wrote.
void not_set(const DomainObject& domain, bool skip, const Error& error) {
    if (skip) {
        log_warning("daemon", "domain '{}': its disks are flushed in each checkpoint: {}",
                    domain.name, error.message);
    } else {
        log_error("daemon",
                  "domain '{}': its disks are not flushed, and a host that loses its power loses "
                  "what the guest wrote: {}; shut the guest down and start it again",
                  domain.name, error.message);
    }
}

void set_flushes(Steps& steps, const DomainPointer& domain, bool skip) {
    steps.push_back([domain, skip](Answer<> done) {
        const auto guest = domain->running_guest();
        if (!guest) return done({});
        (*guest)->execute(
            "query-named-block-nodes", Json::object({{"flat", true}}),
            [domain, skip, done](Result<Json> said) {
                const auto still = domain->running_guest();
                if (!still) return done({});
                if (!said) {
                    not_set(*domain, skip, said.error());
                    return done({});
                }
                const Json options = reopenings(domain->incarnation->live, *said, skip);
                if (options.items().empty()) return done({});
                (*still)->execute("blockdev-reopen", Json::object({{"options", options}}),
                                  [domain, skip, done](Result<Json> reopened) {
                                      if (!reopened) not_set(*domain, skip, reopened.error());
                                      done({});
                                  });
            });
    });
}

void sync_now(const std::string& path) {
    const net::Descriptor image(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
    if (image && ::fdatasync(image.get()) == 0) return;
    log_error("daemon", "sync '{}': {}", path, std::strerror(errno));
}

}  // namespace

void skip_flushes(Steps& steps, const DomainPointer& domain) {
    set_flushes(steps, domain, true);
}

void keep_flushes(Steps& steps, const DomainPointer& domain) {
    set_flushes(steps, domain, false);
}

void sync_image(const Services& services, const std::string& path) {
    services.workers.run([path] { sync_now(path); }, [] {});
}

}  // namespace segue
