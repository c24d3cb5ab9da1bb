// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/processor.h"

#include "base/log.h"
#include "daemon/guest.h"
#include "qemu/cpu_model.h"

namespace segue {
namespace {

// One asking of one QEMU; kept by the callbacks.
class Question : public std::enable_shared_from_this<Question> {
  public:
    Question(EmulatorProbe& emulators, const DomainPointer& domain, Answer<> answer)
        : emulators_(emulators),
          domain_(domain),
          key_(domain->incarnation->key),
          model_(cpu_model(domain->incarnation->live)),
          answer_(std::move(answer)) {}

    void ask() {
        execute("query-cpus-fast", {}, [](Question& self, const Json& reply) {
            const Json first = reply.items().empty() ? Json() : reply.items().front();
            self.ask_type(std::string(first.text("qom-path")));
        });
    }

  private:
    using Next = std::function<void(Question&, const Json&)>;

    Incarnation* incarnation() {
        Incarnation* now = domain_->incarnation.get();
        return now != nullptr && now->key == key_ && now->guest ? now : nullptr;
    }

    void execute(const char* command, Json arguments, const Next& next) {
        Incarnation* now = incarnation();
        if (now == nullptr) return give_up("it is gone");
        now->guest->execute(command, std::move(arguments),
                            [self = shared_from_this(), next](Result<Json> reply) {
                                if (!reply) return self->give_up(reply.error().message);
                                next(*self, *reply);
                            });
    }

    void ask_type(const std::string& path) {
        execute("qom-get", Json::object({{"path", path}, {"property", "type"}}),
                [path](Question& self, const Json& reply) {
                    const std::string type(reply.as_text().value_or(""));
                    if (type == self.model_.name + "-x86_64-cpu") return self.ask_missing(path);
                    // A user's own -cpu came behind ours.
                    self.give_up(fmt::format("it runs a '{}'", type));
                });
    }

    void ask_missing(const std::string& path) {
        execute("qom-get", Json::object({{"path", path}, {"property", "unavailable-features"}}),
                [](Question& self, const Json& reply) {
                    self.missing_ = cpu_features(reply);
                    self.expand({self.model_.name, {}}, self.plain_, [](Question& again) {
                        again.expand(again.model_, again.asked_,
                                     [](Question& last) { last.learned(); });
                    });
                });
    }

    // From what an earlier guest has learnt, where there was one.
    void expand(const CpuModel& model, GuestCpu& to, std::function<void(Question&)> next) {
        const Incarnation* now = incarnation();
        if (now == nullptr) return give_up("it is gone");
        const Domain& live = now->live;
        const std::string name =
            fmt::format("{} {} {}", live.type == DomainType::kvm ? "kvm" : "tcg", live.os.machine,
                        model.option());
        if (const GuestCpu* known = emulators_.known_cpu(live.emulator, name)) {
            to = *known;
            return next(*this);
        }
        execute("query-cpu-model-expansion",
                Json::object({{"type", "static"}, {"model", model.json()}}),
                [&to, next, name, emulator = live.emulator](Question& self, const Json& reply) {
                    auto expanded = read_cpu_expansion(reply);
                    if (!expanded) return self.give_up(expanded.error().message);
                    to = std::move(*expanded);
                    // A user's own options may have changed what this QEMU makes of a model.
                    const Incarnation* still = self.incarnation();
                    if (still != nullptr && still->live.passthrough.empty()) {
                        self.emulators_.keep_cpu(emulator, name, to);
                    }
                    next(self);
                });
    }

    void learned() {
        Incarnation* now = incarnation();
        if (now == nullptr) return give_up("it is gone");
        GuestCpu running = asked_;
        for (const std::string& name : missing_)
            running.features.erase(name);
        if (!missing_.empty()) {
            log_info("daemon", "domain '{}': the emulator leaves out of its CPU: {}", domain_->name,
                     fmt::join(missing_, ", "));
        }
        Domain& live = now->live;
        live.running_cpu = shown_cpu(*live.cpu, plain_, running);
        now->cpu = std::move(running);
        answer_(check_nothing_missing(*live.cpu, missing_));
    }

    void give_up(const std::string& why) {
        const Incarnation* now = incarnation();
        const bool wanted =
            now != nullptr && (now->live.cpu->check == "partial" || now->live.cpu->check == "full");
        if (wanted) {
            return answer_(fail(ErrorCode::operation_failed,
                                "QEMU does not say what CPU the guest sees: {}", why));
        }
        log_warning("daemon", "domain '{}': what CPU its guest sees is not known: {}",
                    domain_->name, why);
        answer_({});
    }

    EmulatorProbe& emulators_;
    DomainPointer domain_;
    std::string key_;
    CpuModel model_;
    Answer<> answer_;
    CpuFeatures missing_;
    GuestCpu plain_, asked_;
};

}  // namespace

void decide_processor(EmulatorProbe& emulators, Domain model, Answer<Domain> answer) {
    if (!model.cpu || !depends_on_host(*model.cpu)) return answer(std::move(model));
    const std::string emulator = model.emulator;
    emulators.ask_cpu(emulator, model.type == DomainType::kvm,
                      [model = std::move(model), answer](Result<HostCpu> host) mutable {
                          if (!host) return answer(tl::unexpected(host.error()));
                          auto decided = decide_cpu(*model.cpu, *host);
                          if (!decided) return answer(tl::unexpected(decided.error()));
                          model.cpu = std::move(*decided);
                          answer(std::move(model));
                      });
}

void learn_processor(EmulatorProbe& emulators, const DomainPointer& domain, Answer<> answer) {
    if (!domain->incarnation || !domain->incarnation->live.cpu) return answer({});
    std::make_shared<Question>(emulators, domain, std::move(answer))->ask();
}

Result<> check_processor(const DomainObject& domain, const std::string& source,
                         const std::string& spelled_out) {
    if (!domain.incarnation || !domain.incarnation->cpu) return {};
    const GuestCpu& here = *domain.incarnation->cpu;
    if (!source.empty()) return check_same_cpu(TRY(parse_guest_cpu(source)), here);
    if (spelled_out.empty()) return {};
    const XmlElement root = TRY(parse_xml(spelled_out, "CPU of the source"));
    XmlCursor cursor(root);
    return check_as_spelled_out(TRY(parse_cpu(cursor)), here);
}

}  // namespace segue
