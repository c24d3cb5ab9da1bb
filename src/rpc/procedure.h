// SPDX-License-Identifier: LGPL-2.1-or-later
// What the table of a program says about each procedure.
#pragma once

#include <cstdint>
#include <string_view>

namespace segue::rpc {

// Who may call: before authentication too; everybody; not on read-only connections; nobody (it is
// an event).
enum class Access { open, read, write, event };

// Which way a stream goes that the procedure opens.
enum class StreamKind { none, to_client, to_server, both };

struct ProcedureInfo {
    std::int32_t number;
    std::string_view name;
    Access access;
    StreamKind stream;
};

}  // namespace segue::rpc
