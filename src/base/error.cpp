// SPDX-License-Identifier: LGPL-2.1-or-later
#include "base/error.h"

namespace segue {

std::string_view name_of(ErrorCode code) {
    switch (code) {
        case ErrorCode::internal: return "internal";
        case ErrorCode::no_memory: return "no_memory";
        case ErrorCode::no_support: return "no_support";
        case ErrorCode::invalid_argument: return "invalid_argument";
        case ErrorCode::operation_failed: return "operation_failed";
        case ErrorCode::no_name: return "no_name";
        case ErrorCode::xml_invalid: return "xml_invalid";
        case ErrorCode::denied: return "denied";
        case ErrorCode::system: return "system";
        case ErrorCode::protocol: return "protocol";
        case ErrorCode::no_domain: return "no_domain";
        case ErrorCode::auth_failed: return "auth_failed";
        case ErrorCode::operation_invalid: return "operation_invalid";
        case ErrorCode::config_unsupported: return "config_unsupported";
        case ErrorCode::timeout: return "timeout";
        case ErrorCode::persist_failed: return "persist_failed";
        case ErrorCode::argument_unsupported: return "argument_unsupported";
        case ErrorCode::cancelled: return "cancelled";
        case ErrorCode::migrate_unsafe: return "migrate_unsafe";
        case ErrorCode::overflow: return "overflow";
        case ErrorCode::operation_unsupported: return "operation_unsupported";
        case ErrorCode::migrate_finish_ok: return "migrate_finish_ok";
        case ErrorCode::exists: return "exists";
        case ErrorCode::connection_lost: return "connection_lost";
        case ErrorCode::limit_exceeded: return "limit_exceeded";
    }
    return "unknown";
}

}  // namespace segue
