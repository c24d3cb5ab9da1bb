// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/arbiter.h"

#include "arbiter/etcd_client.h"
#include "daemon/protection/ask.h"

namespace segue {
namespace {

using Side = LeaseTable::Side;
using Verdict = LeaseTable::Verdict;

// Lives until it is answered.
class EtcdQuestion : public std::enable_shared_from_this<EtcdQuestion> {
  public:
    EtcdQuestion(const Services& services, arbiter::EtcdCluster cluster, std::string uri,
                 const LeaseId& id, Answer<Json> answer)
        : services_(services),
          etcd_(services.loop, std::move(cluster), id),
          uri_(std::move(uri)),
          answer_(std::move(answer)) {}

    void start(const std::string& command, const Json& arguments) {
        const auto self = shared_from_this();
        if (command == "witness-open") {
            return etcd_.open([self](Result<> done) {
                self->finish(done.map([&] {
                    return Json::object({{"address", self->uri_}, {"host", ""}});
                }));
            });
        }
        if (command == "witness-end") {
            return etcd_.end(
                [self](Result<> done) { self->finish(done.map([] { return Json::object(); })); });
        }
        side_ = arguments.text("side") == "primary" ? Side::primary : Side::standby;
        // What a standby has to see is a lease that stands still for its term.
        const LeaseTerms terms = arbiter::EtcdLease::terms();
        patience_ = services_.loop.now() + terms.term + 2 * terms.renew_every;
        claim();
    }

  private:
    void claim() {
        etcd_.ask(
            side_, LeaseTable::Wish::claim, [self = shared_from_this()](Result<Verdict> said) {
                const bool asks_again =
                    said && *said == Verdict::later && self->services_.loop.now() < self->patience_;
                if (asks_again) return self->claim_again();
                self->finish(said.map([](Verdict verdict) {
                    return Json::object({{"verdict", protect::witness::name_of(verdict)}});
                }));
            });
    }
    void claim_again() {
        timer_ = services_.loop.make_timer([self = shared_from_this()] { self->claim(); });
        timer_->start(arbiter::EtcdLease::terms().renew_every);
    }
    // Not from inside a callback of what is destroyed with this object.
    void finish(Result<Json> result) {
        services_.loop.post([self = shared_from_this(), result = std::move(result)] {
            self->timer_.reset();
            self->answer_(result);
        });
    }

    const Services& services_;
    arbiter::EtcdClient etcd_;
    std::string uri_;
    Answer<Json> answer_;
    Side side_ = Side::primary;
    Instant patience_{};
    std::unique_ptr<Timer> timer_;
};

}  // namespace

void ask_arbiter(const Services& services, const std::string& uri, const std::string& command,
                 const Json& arguments, Answer<Json> answer) {
    if (!arbiter::is_etcd(uri)) return ask_daemon(services, uri, command, arguments, answer);
    auto cluster = arbiter::parse_etcd(uri, services.settings.tls_directory);
    const auto id = Uuid::parse(arguments.text("key"));
    if (!cluster) return answer(tl::unexpected(cluster.error()));
    if (!id)
        return answer(fail(ErrorCode::invalid_argument, "a witness needs the protection's key"));
    std::make_shared<EtcdQuestion>(services, std::move(*cluster), uri, id->bytes, std::move(answer))
        ->start(command, arguments);
}

}  // namespace segue
