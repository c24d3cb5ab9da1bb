// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/descriptor_limit.h"

#include <sys/resource.h>

#include <algorithm>

#include "base/log.h"
#include "rpc/server.h"

namespace segue {
namespace {

constexpr std::size_t kLeastReserve = 64;
// What QEMU inherits is opened above number 512.
constexpr std::size_t kFewest = 1024;
// Where the kernel says "no limit".
constexpr rlim_t kEnough = 1U << 20;

}  // namespace

std::size_t raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return 1024;
    const rlim_t wanted = std::min(limit.rlim_max, kEnough);
    if (limit.rlim_cur < wanted) {
        const rlim_t before = std::exchange(limit.rlim_cur, wanted);
        if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) limit.rlim_cur = before;
    }
    return static_cast<std::size_t>(std::min(limit.rlim_cur, kEnough));
}

Result<> check_descriptor_limit(std::size_t descriptors) {
    if (descriptors >= kFewest) return {};
    return fail(ErrorCode::limit_exceeded,
                "this process may open {} files: at least {} are needed; raise the limit "
                "(LimitNOFILE= of the unit, ulimit -n)",
                descriptors, kFewest);
}

std::size_t connections_within(std::size_t descriptors) {
    const std::size_t reserve = std::max(kLeastReserve, descriptors / 4);
    const std::size_t rest = descriptors > reserve ? descriptors - reserve : 1;
    return std::min(rest, rpc::ServerOptions{}.max_connections);
}

}  // namespace segue
