// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/cookies.h"

#include "base/log.h"

namespace segue {
namespace {

bool is_wildcard(const std::string& address) {
    return address.empty() || address == "0.0.0.0" || address == "::";
}

// Names of libvirt's cookie and what they stand for here.
struct StatisticName {
    const char* name;
    std::uint64_t TransferStatistics::*value;
};
constexpr StatisticName kStatistics[] = {
    {"downtime", &TransferStatistics::downtime_ms},
    {"setup_time", &TransferStatistics::setup_ms},
    {"memory_total", &TransferStatistics::ram_total},
    {"memory_processed", &TransferStatistics::ram_transferred},
    {"memory_remaining", &TransferStatistics::ram_remaining},
    {"memory_bps", &TransferStatistics::ram_bytes_per_second},
    {"memory_constant", &TransferStatistics::ram_constant_pages},
    {"memory_normal", &TransferStatistics::ram_normal_pages},
    {"memory_normal_bytes", &TransferStatistics::ram_normal_bytes},
    {"memory_dirty_rate", &TransferStatistics::ram_dirty_pages_per_second},
    {"memory_iteration", &TransferStatistics::ram_iteration},
    {"memory_page_size", &TransferStatistics::ram_page_size},
    {"compression_cache", &TransferStatistics::compression_cache},
    {"compression_bytes", &TransferStatistics::compression_bytes},
    {"compression_pages", &TransferStatistics::compression_pages},
    {"compression_cache_misses", &TransferStatistics::compression_cache_misses},
    {"compression_overflow", &TransferStatistics::compression_overflow},
    {"auto_converge_throttle", &TransferStatistics::throttle_percent},
};

}  // namespace

migrate::Cookie base_cookie(const Services& services, const DomainObject& domain) {
    migrate::Cookie cookie;
    cookie.name = domain.name;
    cookie.uuid = domain.uuid;
    cookie.hostname = services.identity.name;
    cookie.host_uuid = services.identity.uuid;
    return cookie;
}

std::vector<migrate::CookieCapability> cookie_capabilities() {
    return {{"xbzrle", false},
            {"auto-converge", false},
            {"compress", false},
            {"multifd", false},
            {"pause-before-switchover", true},
            {"return-path", true},
            {"late-block-activate", true},
            {"events", false}};
}

namespace {

// Of what add_persistent() sends.
std::string kept_emulator(const DomainObject& domain, const migrate::MigrateOptions& options) {
    if (options.persistent_xml.empty()) {
        return domain.persistent ? domain.persistent->emulator : domain.model().emulator;
    }
    const auto wanted = parse_domain(options.persistent_xml);
    return wanted ? wanted->emulator : "";
}

}  // namespace

migrate::Cookie begin_cookie(const Services& services, const DomainObject& domain,
                             const migrate::MigrateOptions& options) {
    migrate::Cookie cookie = base_cookie(services, domain);
    cookie.features.push_back("lockstate");
    cookie.source_has_right = true;
    if (options.has(migrate::kOffline)) return cookie;
    if (options.has(migrate::kPersistDestination)) {
        cookie.kept_emulator = kept_emulator(domain, options);
    }
    cookie.capabilities = cookie_capabilities();
    if (domain.incarnation && domain.incarnation->cpu) {
        cookie.guest_cpu_xml = print_xml(format_guest_cpu(*domain.incarnation->cpu));
    }
    return cookie;
}

std::optional<migrate::CookieGraphics> cookie_graphics(const Services& services,
                                                       const Domain& live) {
    for (const Graphics& graphics : live.graphics) {
        if (graphics.type != GraphicsType::spice || graphics.listen != ListenType::address) {
            continue;
        }
        migrate::CookieGraphics out;
        out.type = "spice";
        out.port = graphics.port;
        out.tls_port = graphics.tls_port > 0 ? graphics.tls_port : -1;
        out.listen = graphics.listen_address();
        if (is_wildcard(out.listen) && !services.settings.migrate_address.empty()) {
            out.listen = services.settings.migrate_address;
        }
        return out;
    }
    return std::nullopt;
}

ScreenTarget screen_target(const migrate::MigrateOptions& options, const migrate::Cookie& cookie) {
    ScreenTarget target;
    if (cookie.graphics && cookie.graphics->type == "spice") {
        target.host =
            is_wildcard(cookie.graphics->listen) ? cookie.hostname : cookie.graphics->listen;
        target.port = cookie.graphics->port;
        target.tls_port = cookie.graphics->tls_port;
        target.tls_subject = cookie.graphics->tls_subject;
    }
    if (options.graphics_uri.empty()) return target;
    // As stock does it: a URI that cannot be read is a warning, and the cookie counts.
    const auto uri = migrate::parse_graphics_uri(options.graphics_uri);
    if (!uri || uri->scheme != "spice") {
        log_warning("daemon", "--graphicsuri: {}",
                    uri ? "only spice:// can be followed" : uri.error().message);
        return target;
    }
    target.host = uri->host;
    if (uri->port != 0) target.port = uri->port;
    if (uri->tls_port != 0) target.tls_port = uri->tls_port;
    if (!uri->tls_subject.empty()) target.tls_subject = uri->tls_subject;
    return target;
}

bool has_spice(const Domain& domain) {
    for (const Graphics& graphics : domain.graphics) {
        if (graphics.type == GraphicsType::spice) return true;
    }
    return false;
}

void add_statistics(migrate::Cookie& cookie, const Services& services,
                    const TransferStatistics& transfer, std::uint64_t elapsed_ms,
                    std::int64_t started_wall_ms) {
    migrate::CookieStatistics statistics;
    const auto now = static_cast<std::uint64_t>(services.wall_ms());
    statistics.set("started", static_cast<std::uint64_t>(started_wall_ms));
    statistics.set("stopped", now - std::min(now, transfer.downtime_ms));
    statistics.set("sent", now);
    statistics.set("time_elapsed", elapsed_ms);
    for (const StatisticName& one : kStatistics)
        statistics.set(one.name, transfer.*one.value);
    cookie.statistics = std::move(statistics);
}

TransferStatistics statistics_of(const migrate::CookieStatistics& cookie) {
    TransferStatistics out;
    out.state = TransferState::completed;
    for (const StatisticName& one : kStatistics)
        out.*one.value = cookie.value(one.name).value_or(0);
    out.total_ms = cookie.value("time_elapsed").value_or(0);
    return out;
}

void add_persistent(migrate::Cookie& cookie, const DomainObject& domain,
                    const migrate::MigrateOptions& options) {
    cookie.features.push_back("persistent");
    if (!options.persistent_xml.empty()) {
        cookie.persistent_xml = options.persistent_xml;
        return;
    }
    const Domain& kept = domain.persistent ? *domain.persistent : domain.model();
    cookie.persistent_xml =
        print_domain(kept, {.secure = true, .inactive = true, .migratable = true});
}

}  // namespace segue
