// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/conduct/arrival_check.h"

#include <memory>
#include <utility>

#include "daemon/certificates.h"
#include "daemon/domain_list.h"
#include "daemon/file_facts.h"
#include "daemon/life.h"
#include "daemon/peer_door.h"
#include "daemon/ports.h"
#include "daemon/storage_access.h"
#include "migrate/options.h"
#include "net/address.h"

namespace segue {
namespace {

class ArrivalCheck : public std::enable_shared_from_this<ArrivalCheck> {
  public:
    ArrivalCheck(const Services& services, const Json& arguments, Domain model, Answer<Json> answer)
        : services_(services),
          arguments_(arguments),
          flags_(arguments.u64("flags")),
          model_(std::move(model)),
          answer_(std::move(answer)) {}

    void run() {
        if ((flags_ & migrate::kTls) != 0) check_certificates();
        with_emulator(services_, model_, [self = shared_from_this()](Result<> asked) {
            self->check_definition(std::move(asked));
            const bool starts_qemu = (self->flags_ & migrate::kOffline) == 0;
            if (!starts_qemu) return self->tell();
            self->check_addresses();
            self->check_files();
        });
    }

  private:
    void add(const char* what, const Result<>& result, std::string found, const char* fix) {
        Json finding = Json::object({{"what", what}, {"passed", result.has_value()}});
        finding.set("found", result ? std::move(found) : result.error().message);
        if (!result) finding.set("fix", fix);
        findings_.push(std::move(finding));
    }

    void check_certificates() {
        const auto context = tls_context(services_.settings, net::TlsSide::server);
        add("certificates there", context.map([](const auto&) {}), "there",
            "install them on the destination (segued(8)), or leave --tls out");
    }

    void check_definition(Result<> asked) {
        auto complete = asked.and_then([&] { return completed(services_, model_); });
        if (complete) model_ = std::move(*complete);
        const Result<> result = complete.map([](const Domain&) {}).and_then([&] {
            return check_allowed(services_, model_);
        });
        add("definition there", result, fmt::format("machine {}", model_.os.machine),
            "install what is missing on the destination, or change the definition");
    }

    void check_addresses() {
        if ((flags_ & migrate::kTunnelled) == 0) {
            const Result<> host = find_host();
            add("address there", host, host_,
                "set migration.address there, or say --migrateuri tcp://ADDRESS");
            add("migration port there", check_migration_port(), "free",
                "free it, or say another --migrateuri or --listen-address");
        }
        add("screen's ports there", check_named_ports(services_, model_), "free",
            "free it on the destination, or let it choose: autoport='yes'");
    }

    // The name that Prepare would return; whether the source can resolve it is the source's to say.
    Result<> find_host() {
        if (const std::string uri(arguments_.text("uri")); !uri.empty()) {
            host_ = TRY(migrate::parse_migrate_uri(uri)).host;
            return {};
        }
        host_ = what_leads_to(services_.settings.migrate_address, services_.identity);
        return check_leads_here(host_);
    }

    // Where the guest's state is to come in.
    Result<> check_migration_port() {
        const std::string given(arguments_.text("listen_address"));
        const std::string address = given.empty() ? services_.peer_door.address() : given;
        const bool numeric = net::SocketAddress::of_numeric(address, 0).has_value();
        std::uint16_t port = 0;
        if (const std::string uri(arguments_.text("uri")); !uri.empty()) {
            port = TRY(migrate::parse_migrate_uri(uri)).port;
        }
        if (port != 0) return numeric ? PortBroker::check_free(address, port) : Result<>();
        // QEMU itself resolves names.
        const std::string tried = numeric ? address : services_.peer_door.address();
        services_.migration_ports.give_back(TRY(services_.migration_ports.take(tried)));
        return {};
    }

    void check_files() {
        services_.files.ask(files_of(model_), [self = shared_from_this()](const FactsOfFiles& all) {
            self->add("files there", check_storage_access(self->model_, all), "all are there",
                      "make the same storage available on the destination");
            self->tell();
        });
    }

    void tell() {
        Json said = Json::object();
        said.set("findings", std::move(findings_));
        if (!host_.empty()) said.set("host", host_);
        answer_(std::move(said));
    }

    const Services& services_;
    Json arguments_;
    std::uint64_t flags_;
    Domain model_;
    std::string host_;
    Answer<Json> answer_;
    Json findings_ = Json::array();
};

}  // namespace

void check_arrival(const Services& services, const Json& arguments, Answer<Json> answer) {
    auto model = parse_domain(std::string(arguments.text("xml")));
    if (!model) return answer(tl::unexpected(model.error()));
    if (const std::string name(arguments.text("name")); !name.empty()) model->name = name;
    std::make_shared<ArrivalCheck>(services, arguments, std::move(*model), std::move(answer))
        ->run();
}

}  // namespace segue
