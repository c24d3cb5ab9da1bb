// SPDX-License-Identifier: LGPL-2.1-or-later
// The tables of docs/colo.md, made from colo_table.h.
#pragma once

#include <string>
#include <string_view>

namespace segue::colo {

inline constexpr std::string_view kTablesBegin = "<!-- tables: made by colo_doc.cpp -->\n";
inline constexpr std::string_view kTablesEnd = "<!-- end of tables -->\n";

// The page with everything between the two marks replaced by the tables as they are.
std::string with_tables(std::string_view page);

}  // namespace segue::colo
