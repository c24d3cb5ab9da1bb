// SPDX-License-Identifier: LGPL-2.1-or-later
// Preparing a standby: the domain's definition for this host, and segue-standby with its QEMU. What
// follows from its state: standby_watch.cpp.
#include "daemon/protection/standby.h"

#include <fcntl.h>
#include <unistd.h>

#include <filesystem>

#include "base/log.h"
#include "daemon/domain_list.h"
#include "daemon/life.h"
#include "daemon/life_steps.h"
#include "daemon/peer_door.h"
#include "daemon/protection/ask.h"
#include "daemon/protection/devices.h"
#include "daemon/protection/helper.h"
#include "daemon/protection/primary.h"
#include "daemon/protection/promotions.h"
#include "daemon/protection/shared_disks.h"
#include "daemon/spice_library.h"
#include "daemon/spice_line.h"
#include "daemon/workers.h"
#include "domain/alias.h"
#include "net/descriptor.h"
#include "protect/agent_link.schema.h"
#include "spice/control/messages.h"
#include "spice/control/standby.h"

namespace segue {
namespace {

constexpr Duration kStartBound = 30s;
constexpr Duration kLook = 100ms;
constexpr std::uint64_t kMaxDisk = 64ULL << 40;

bool is_secret(std::string_view text) {
    const auto is_digit = [](char one) {
        return (one >= '0' && one <= '9') || (one >= 'a' && one <= 'f');
    };
    return text.size() == 32 && std::all_of(text.begin(), text.end(), is_digit);
}

Result<Domain> read_definition(const Services& services, const Json& arguments) {
    if (!Uuid::parse(arguments.text("key")) || !is_secret(arguments.text("secret"))) {
        return fail(ErrorCode::invalid_argument, "a standby needs a key and a secret");
    }
    // Before anything is made: its agent would be refused, and an older one not hear why.
    if (const std::uint64_t theirs = arguments.u64("link_version");
        theirs != protect::agent::kVersion) {
        return tl::unexpected(other_version("the primary's host", theirs));
    }
    if (arguments.text("host") == services.identity.uuid.text()) {
        return fail(ErrorCode::operation_invalid,
                    "a host is no standby of itself: its uuid is {} on both",
                    arguments.text("host"));
    }
    if (arguments.text("witness_host") == services.identity.uuid.text()) {
        return fail(ErrorCode::operation_invalid,
                    "a witness is a third host: '{}' is the standby's own",
                    arguments.text("witness_uri"));
    }
    auto model = TRY(parse_domain(arguments.text("xml")));
    if (!model.passthrough.empty() && !services.settings.allow_passthrough) {
        return fail(ErrorCode::config_unsupported,
                    "qemu:commandline needs [security] allow_passthrough = true");
    }
    return model;
}

// The replicated disks of the promoted QEMU are segue-standby's: it writes the sockets' paths in.
void serve_disk(std::vector<std::string>& words, const std::string& node, std::size_t number) {
    for (std::string& word : words) {
        if (word.empty() || word[0] != '{') continue;
        const auto json = Json::parse(word);
        if (!json || json->text("node-name") != node) continue;
        word = Json::object(
                   {{"driver", "nbd"},
                    {"server",
                     Json::object({{"type", "unix"}, {"path", fmt::format("standby:{}", number)}})},
                    {"node-name", node}})
                   .dump();
    }
}

std::string udp_words(const Interface& interface) {
    const auto host_port = [](const std::string& host, std::uint16_t port) {
        const bool v6 = host.find(':') != std::string::npos;
        return fmt::format("{}{}{}:{}", v6 ? "[" : "", host, v6 ? "]" : "", port);
    };
    return fmt::format("udp:{}@{}", host_port(interface.source_address, interface.source_port),
                       host_port(interface.local_address, interface.local_port));
}

// An earlier standby of this domain: in use, or in the way.
Result<> make_way(DomainObject& domain) {
    if (domain.is_active()) {
        return fail(ErrorCode::operation_invalid, "domain '{}' runs on this host", domain.name);
    }
    if (domain.primary || domain.source || domain.destination) {
        return fail(ErrorCode::operation_invalid, "domain '{}' is busy on this host", domain.name);
    }
    if (!domain.standby) return {};
    if (domain.standby->state() == StandbyProtection::State::standing_by) {
        return fail(ErrorCode::operation_invalid,
                    "this host is the standby of domain '{}' already, and its primary is linked",
                    domain.name);
    }
    return domain.standby->end();
}

// What the primary wrote is continued.
template <class Lines>
void go_on_writing(Lines& lines) {
    for (auto& line : lines)
        if (line.chardev.type == ChardevType::file) line.chardev.append = true;
}

}  // namespace

StandbyProtection::StandbyProtection(const Services& services, const DomainPointer& domain)
    : services_(services), domain_(domain) {}

StandbyProtection::~StandbyProtection() = default;

void StandbyProtection::prepare(const Services& services, const Json& arguments,
                                Answer<Json> answer) {
    const auto model = read_definition(services, arguments);
    if (!model) return answer(tl::unexpected(model.error()));
    with_emulator(services, *model, [&services, arguments, answer, model = *model](Result<> asked) {
        if (!asked) return answer(tl::unexpected(asked.error()));
        auto whole = completed(services, model);
        if (!whole) return answer(tl::unexpected(whole.error()));
        const Json& shared = arguments["shared_disks"];
        if (shared.items().empty()) {
            return prepare_seen(services, arguments, std::move(*whole), answer);
        }
        const auto same = std::make_shared<Result<>>();
        services.workers.run([same, shared] { *same = check_same_images(shared); },
                             [&services, arguments, answer, same, whole = *whole] {
                                 if (!*same) return answer(tl::unexpected(same->error()));
                                 prepare_seen(services, arguments, whole, answer);
                             });
    });
}

// What both hosts must see was seen.
void StandbyProtection::prepare_seen(const Services& services, const Json& arguments, Domain whole,
                                     const Answer<Json>& answer) {
    const auto domain = services.domains.obtain(whole.uuid, whole.name);
    if (!domain) return answer(tl::unexpected(domain.error()));
    if (const auto free = make_way(**domain); !free) return answer(tl::unexpected(free.error()));
    const auto former_by = taken_over_by(services, **domain);
    if (!former_by) return answer(tl::unexpected(former_by.error()));
    const auto self = std::make_shared<StandbyProtection>(services, *domain);
    self->former_by_ = *former_by;
    self->started_with_ =
        Json::object({{"on_loss", arguments.text("on_loss")},
                      {"gate", arguments.text("gate")},
                      {"mode", arguments.text("mode")},
                      {"witness", arguments.text("witness")},
                      {"shared_storage", !arguments["shared_disks"].items().empty()}});
    (*domain)->standby = self;
    const auto started = self->make_domain(arguments, std::move(whole)).and_then([&] {
        return self->start(arguments);
    });
    if (!started) {
        self->remove();
        return answer(tl::unexpected(started.error()));
    }
    self->save();
    self->answer_where(services.loop.now() + kStartBound, answer);
}

// The definition as it runs here; without one of its own the domain is listed with it.
Result<> StandbyProtection::make_domain(const Json& arguments, Domain model) {
    const auto domain = domain_.lock();
    key_ = arguments.text("key");
    directory_ = services_.settings.state + "/protection/" + key_;
    primary_host_ = arguments.text("host");
    witness_uri_ = arguments.text("witness_uri");
    keeps_definition_ = arguments.flag("persistent");
    const std::vector<std::size_t> disks = writable_disks(model);
    const auto& sizes = arguments["disks"].items();
    const auto& shared = arguments["shared_disks"].items();
    if (is_shared() ? disks.size() != shared.size() : disks.size() != sizes.size()) {
        return fail(ErrorCode::invalid_argument,
                    "the definition has {} disks that are written, sizes came for {}", disks.size(),
                    is_shared() ? shared.size() : sizes.size());
    }
    for (std::size_t number = 0; number < disks.size(); ++number) {
        const std::string& path = model.disks[disks[number]].source;
        if (is_shared() && shared[number].text("path") != path) {
            return fail(ErrorCode::invalid_argument, "the definition has disk '{}', '{}' was seen",
                        path, shared[number].text("path"));
        }
    }
    for (std::size_t number = 0; number < disks.size() && !is_shared(); ++number)
        TRY(make_image(sizes[number].as_u64().value_or(0), model.disks[disks[number]]));
    if (!domain->persistent) {
        made_definition_ = true;
        domain->persistent = TRY(parse_printed_domain(print_domain(model, {.secure = true})));
        TRY(services_.domains.save(*domain));
    }
    live_ = std::move(model);
    prepare_to_run(live_, services_.domains.next_id());
    const std::string& host = services_.settings.spice_listen;
    TRY(fill_ports(live_, {.next = [&]() -> Result<std::uint16_t> {
                               ports_.push_back(TRY(services_.spice_ports.take(host)));
                               return ports_.back();
                           },
                           .default_address = host}));
    return {};
}

// One image for each disk of a domain, for ever the same: after a failover it is its disk here.
Result<> StandbyProtection::make_image(std::uint64_t bytes, Disk& disk) {
    if (bytes == 0 || bytes > kMaxDisk || bytes % 512 != 0) {
        return fail(ErrorCode::limit_exceeded, "disk '{}' of {} bytes (at most {})", disk.target,
                    bytes, kMaxDisk);
    }
    const auto domain = domain_.lock();
    const std::string folder = services_.settings.state + "/images";
    std::error_code code;
    std::filesystem::create_directories(folder, code);
    const std::string path = fmt::format("{}/{}-{}.raw", folder, domain->uuid.text(), disk.target);
    const net::Descriptor image(
        ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (!image) return fail_errno("open", path, errno);
    if (::ftruncate(image.get(), static_cast<off_t>(bytes)) != 0) {
        return fail_errno("make room for", path, errno);
    }
    const auto user = TRY(qemu_user(services_.settings));
    if (user && ::fchown(image.get(), user->uid, user->gid) != 0) {
        return fail_errno("chown", path, errno);
    }
    disk.source = path;
    disk.block = false;
    disk.format = "raw";
    return {};
}

CommandLineOptions StandbyProtection::command_line_options() const {
    CommandLineOptions options;
    options.directory = directory_;
    options.x509_directory = services_.settings.tls_directory;
    options.incoming = true;
    options.sandbox = services_.settings.sandbox;
    return options;
}

Result<> StandbyProtection::start(const Json& arguments) {
    Domain model = live_;
    go_on_writing(model.serials);
    go_on_writing(model.consoles);
    CommandLine line = TRY(build_command_line(model, command_line_options()));

    const std::string& address = services_.peer_door.address();
    const std::uint16_t port = TRY(services_.migration_ports.take(address));
    agent_port_ = port;
    const auto listen = TRY(net::SocketAddress::of_numeric(address, port));
    tls_ = !listen.is_loopback();
    HelperStart start;
    start.program = "segue-standby";
    start.directory = directory_;
    start.arguments = {"--agent",   net::Address::of_tcp(address, port).text(),
                       "--state",   file("standby"),
                       "--on-loss", arguments.text("on_loss") == "promote" ? "promote" : "hold"};
    const auto add = [&start](std::string option, std::string value) {
        start.arguments.push_back(std::move(option));
        start.arguments.push_back(std::move(value));
    };
    if (tls_) add("--tls", services_.settings.tls_directory);
    const std::string witness(arguments.text("witness"));
    if (!witness.empty()) add("--witness", fmt::format("{},{}", witness, key_));
    if (!witness.empty()) add("--witness-tls", services_.settings.tls_directory);
    const std::vector<std::size_t> disks = writable_disks(model);
    for (std::size_t number = 0; number < disks.size(); ++number) {
        const std::string& source = model.disks[disks[number]].source;
        add(is_shared() ? "--shared-disk" : "--disk", (is_shared() ? "" : "agent=") + source);
        if (!is_shared()) serve_disk(line.arguments, storage_node(model, disks[number]), number);
    }
    const bool has_gate = arguments.text("gate") == "standby" && can_gate_at_standby(model);
    if (has_gate) {
        for (const Interface& card : model.interfaces) {
            add("--net", "agent");
            add("--net-out", udp_words(card));
        }
    }
    // A socket back end of its own would already take the primary's place on the network.
    const bool is_quiet = has_gate || std::all_of(model.interfaces.begin(), model.interfaces.end(),
                                                  [](const Interface& card) {
                                                      return card.type == InterfaceType::user;
                                                  });
    // In hybrid mode there is a shadow, which runs; nothing else is started ahead.
    const bool hybrid = arguments.text("mode") == "hybrid";
    if (hybrid) add("--mode", "hybrid");
    prestarts_ = is_quiet && !is_shared() && !hybrid;
    if (prestarts_) start.arguments.emplace_back("--prestart");
    start.arguments.emplace_back("--");
    start.arguments.insert(start.arguments.end(), line.arguments.begin(), line.arguments.end());
    for (const InheritedFile& inherited : line.inherited) {
        if (inherited.path != line.monitor_path) start.inherited.push_back(inherited);
    }
    start.environment = line.environment;
    start.environment.emplace_back("SEGUE_AGENT_KEY", arguments.text("secret"));
    const std::string library = spice_library_directory(services_.settings.spice_library);
    if (!library.empty()) {
        start.environment.emplace_back("LD_LIBRARY_PATH", library);
        start.environment.emplace_back(spice::control::kPathVariable,
                                       SpiceLine::path_in(directory_));
        start.environment.emplace_back(spice::control::kWaitsVariable, "1");
        tells_viewers_ = true;
    }
    std::error_code code;
    std::filesystem::create_directories(services_.settings.state + "/protection", code);
    helper_ = TRY(start_helper(services_, start));
    return {};
}

// Where viewers find the promoted guest. Stock's library would let them in before it is one.
Json StandbyProtection::screen() const {
    if (!tells_viewers_ && prestarts_) return Json::object();
    for (const Graphics& graphics : live_.graphics) {
        const bool listens = graphics.listen == ListenType::address;
        if (graphics.type != GraphicsType::spice || !listens) continue;
        std::string host = graphics.address.empty() ? graphics.host_address : graphics.address;
        if (host.empty()) host = services_.settings.spice_listen;
        if (host == "0.0.0.0" || host == "::") host = services_.identity.name;
        return Json::object({{"host", host},
                             {"port", std::max(graphics.port, 0)},
                             {"tls_port", std::max(graphics.tls_port, 0)}});
    }
    return Json::object();
}

void StandbyProtection::answer_where(Instant until, Answer<Json> answer) {
    const auto self = shared_from_this();
    const auto give_up = [self, answer](std::string_view why) {
        const std::string tail = log_tail(self->file("log"));
        const std::string qemu = log_tail(self->file("standby/qemu.log"));
        self->remove();
        answer(fail(ErrorCode::operation_failed, "segue-standby {}: {} {}", why, tail, qemu));
    };
    if (!helper_->running()) return give_up("ended");
    if (services_.loop.now() > until) return give_up("was not ready in time");
    ask_helper(services_, file("standby/control.sock"), Json::object({{"cmd", "status"}}),
               [self, until, answer](Result<Json> said) {
                   const bool ready = said && (!self->prestarts_ || said->flag("prestarted", true));
                   if (!ready) {
                       return self->after(
                           kLook, [self, until, answer] { self->answer_where(until, answer); });
                   }
                   self->figures_ = *said;
                   const net::Address where =
                       net::Address::parse("tcp:" + std::string(said->text("listen")))
                           .value_or(net::Address());
                   const std::string host = what_leads_to(where.host, self->services_.identity);
                   const auto domain = self->domain_.lock();
                   const auto last =
                       domain ? last_promotion(self->services_, domain->uuid, self->prestarts_)
                              : std::nullopt;
                   answer(Json::object({{"link_version", protect::agent::kVersion},
                                        {"address", net::Address::of_tcp(host, where.port).text()},
                                        {"tls", self->tls_},
                                        {"tls_name", self->services_.identity.name},
                                        {"host", self->services_.identity.uuid.text()},
                                        {"screen", self->screen()},
                                        {"promotion_us", last ? last->took_us : 0}}));
                   self->look();
               });
}

}  // namespace segue
