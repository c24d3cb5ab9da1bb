// SPDX-License-Identifier: LGPL-2.1-or-later
// The one error type. Codes that libvirt also has carry libvirt's number, so that what a user sees
// through virsh, through `segue` and in our logs is the same (libvirt/virterror.h).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace segue {

// A code exists only where a caller could sensibly react to it.
enum class ErrorCode : std::uint16_t {
    internal = 1,
    no_memory = 2,
    no_support = 3,
    invalid_argument = 8,
    operation_failed = 9,
    no_name = 21,
    xml_invalid = 27,
    denied = 29,
    system = 38,
    protocol = 39,  // VIR_ERR_RPC: a peer broke the wire format, or called what we do not have
    no_domain = 42,
    auth_failed = 45,
    operation_invalid = 55,
    config_unsupported = 67,
    timeout = 68,
    persist_failed = 69,
    argument_unsupported = 74,
    cancelled = 78,
    migrate_unsafe = 81,
    overflow = 82,
    operation_unsupported = 84,
    migrate_finish_ok = 93,
    exists = 500,           // ours from here on: no counterpart in libvirt
    connection_lost = 501,  // a peer went away; trying again may help
    limit_exceeded = 502,   // a stated bound; the message names it
};

struct Error {
    ErrorCode code = ErrorCode::internal;
    // One line: names the thing, the limit and the remedy.
    std::string message;

    friend bool operator==(const Error&, const Error&) = default;
};

// The symbolic name of a code, as logs and JSON show it ("operation_invalid").
std::string_view name_of(ErrorCode code);

}  // namespace segue
