// SPDX-License-Identifier: LGPL-2.1-or-later
#include "standby/etcd_line.h"

#include "base/log.h"

namespace segue::standby {
namespace {

class EtcdLine final : public WitnessLine {
  public:
    EtcdLine(Loop& loop, const arbiter::EtcdCluster& cluster, const LeaseId& id,
             LeaseTable::Side side, Handlers handlers)
        : WitnessLine(loop, side, arbiter::EtcdLease::terms(), std::move(handlers)),
          etcd_(loop, cluster, id) {}

  private:
    void ask() override {
        ask_again();
        if (etcd_.is_asking()) return;
        const auto question = client_.ask(loop_.now());
        if (!question) return;
        etcd_.ask(side_, question->wish,
                  [this, question = *question](Result<LeaseTable::Verdict> said) {
                      heard(question, said);
                  });
    }

    void heard(const LeaseClient::Question& question, const Result<LeaseTable::Verdict>& said) {
        if (!said) {
            // Asked again each period, and said once.
            if (!std::exchange(complained_, true)) {
                log_warning("witness", "{}", said.error().message);
            }
        } else {
            complained_ = false;
            if (answered(question.number, *said)) return;
        }
        // The other side was lost meanwhile.
        const bool claims = state() == LeaseClient::Claim::asked;
        if (claims && question.wish == LeaseTable::Wish::renew) ask();
    }

    arbiter::EtcdClient etcd_;
    bool complained_ = false;
};

}  // namespace

std::unique_ptr<WitnessLine> make_etcd_line(Loop& loop, const arbiter::EtcdCluster& cluster,
                                            const LeaseId& id, LeaseTable::Side side,
                                            WitnessLine::Handlers handlers) {
    return std::make_unique<EtcdLine>(loop, cluster, id, side, std::move(handlers));
}

}  // namespace segue::standby
