// SPDX-License-Identifier: LGPL-2.1-or-later
// <rng> and <memballoon>.
#pragma once

#include "domain/address.h"

namespace segue {

struct Rng : Device {
    std::string path = "/dev/urandom";
    std::optional<std::uint32_t> rate_bytes, rate_period_ms;
};

struct Balloon : Device {
    bool present = true;  // model='none': no balloon
    std::optional<std::uint32_t> stats_period_s;
    std::optional<bool> auto_deflate, free_page_reporting;
};

Result<Rng> parse_rng(XmlCursor& from);
XmlElement format_rng(const Rng& rng, const FormatOptions& options);
Result<Balloon> parse_balloon(XmlCursor& from);
XmlElement format_balloon(const Balloon& balloon, const FormatOptions& options);

}  // namespace segue
