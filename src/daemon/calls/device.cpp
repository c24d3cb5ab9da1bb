// SPDX-License-Identifier: LGPL-2.1-or-later
// Devices of a domain that change while it runs: the ticket of its screen, as libvirt's clients
// renew it.
#include <algorithm>

#include "base/log.h"
#include "daemon/calls/calls.h"
#include "daemon/guest.h"
#include "daemon/life.h"
#include "daemon/ticket.h"
#include "qemu/command_line.h"
#include "rpc/remote.schema.h"
#include "rpc/remote_error.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

// virDomainDeviceModifyFlags; neither of the first two: the running one, else the stored one.
// Force (4) is for media, which do not change here.
constexpr std::uint32_t kLive = 1, kConfig = 2;
constexpr std::size_t kMaxXmlBytes = 64U << 10;
constexpr XmlLimits kDeviceLimits{.bytes = kMaxXmlBytes, .depth = 16, .elements = 1024};

// What libvirt knows as devices (virDomainDeviceType): such an element is none that is unknown.
constexpr std::string_view kDevices[] = {
    "disk",       "lease",     "filesystem", "interface",  "input",    "sound",
    "video",      "hostdev",   "watchdog",   "controller", "graphics", "hub",
    "redirdev",   "smartcard", "serial",     "parallel",   "console",  "channel",
    "memballoon", "nvram",     "rng",        "shmem",      "tpm",      "panic",
    "memory",     "iommu",     "vsock",      "audio",      "crypto"};

Result<Graphics> parse_screen(const std::string& xml, std::uint32_t flags) {
    const XmlElement root = TRY(parse_xml(xml, "device definition", kDeviceLimits));
    if (std::find(std::begin(kDevices), std::end(kDevices), root.name) == std::end(kDevices)) {
        return fail(ErrorCode::xml_invalid, "unknown device type '{}'", root.name);
    }
    if (root.name != "graphics") {
        return fail(ErrorCode::operation_unsupported,
                    "{} update of device '{}' is not supported: only the ticket of a screen "
                    "changes",
                    (flags & kConfig) != 0 ? "persistent" : "live", root.name);
    }
    XmlCursor from(root);
    return parse_graphics(from);
}

Result<Graphics*> screen_of(Domain& model, GraphicsType type) {
    for (Graphics& graphics : model.graphics)
        if (graphics.type == type) return &graphics;
    return fail(rpc::kDeviceMissing, "cannot find existing graphics device to modify of type '{}'",
                name_of(type));
}

// One order to update a screen, from its checks to its answer. QEMU takes the ticket's parts one
// after the other; what it has taken is in the live definition, whatever becomes of the rest.
class ScreenUpdate : public std::enable_shared_from_this<ScreenUpdate> {
  public:
    ScreenUpdate(const Services& services, DomainPointer domain, std::uint32_t flags,
                 Graphics wanted, Answer<> answer)
        : services_(services),
          domain_(std::move(domain)),
          flags_(flags),
          wanted_(std::move(wanted)),
          answer_(std::move(answer)) {}

    void start() {
        if (const auto begun = begin(); !begun) return answer_(tl::unexpected(begun.error()));
        next();
    }

  private:
    Result<> begin() {
        if ((flags_ & (kLive | kConfig)) == 0) flags_ |= domain_->is_active() ? kLive : kConfig;
        guard_ = TRY(CallGuard::begin(domain_, migrate::CallKind::modify, "update-device"));
        if ((flags_ & kConfig) != 0) {
            if (!domain_->persistent) {
                return fail(ErrorCode::operation_invalid,
                            "transient domains do not have any persistent config");
            }
            stored_ = *domain_->persistent;
            *TRY(screen_of(*stored_, wanted_.type)) = wanted_;
            TRY(check_size(*stored_));
        }
        if ((flags_ & kLive) == 0) return {};
        TRY(domain_->running_guest());
        const Graphics* running = TRY(screen_of(domain_->incarnation->live, wanted_.type));
        TRY(check_update(*running, wanted_));
        commands_ = ticket_commands(wanted_);
        return {};
    }

    void next() {
        if (done_ == commands_.size()) return finish();
        const auto guest = domain_->running_guest();
        if (!guest) return answer_(tl::unexpected(guest.error()));
        const QmpCommand& command = commands_[done_];
        (*guest)->execute(
            command.name, command.arguments,
            [self = shared_from_this()](const Result<Json>& reply) { self->taken(reply); });
    }

    void taken(const Result<Json>& reply) {
        if (!reply) return answer_(tl::unexpected(reply.error()));
        const QmpCommand& command = commands_[done_++];
        if (domain_->incarnation) {
            note_ticket(domain_->incarnation->live, command.name, command.arguments,
                        services_.wall_ms() / 1000);
        }
        next();
    }

    void finish() {
        if ((flags_ & kLive) != 0 && domain_->incarnation) {
            const auto screen = screen_of(domain_->incarnation->live, wanted_.type);
            if (screen) (*screen)->connected = wanted_.connected;
        }
        auto before = domain_->persistent;
        if (stored_) domain_->persistent = std::move(stored_);
        auto saved = services_.domains.save(*domain_);
        if (!saved) domain_->persistent = std::move(before);
        answer_(std::move(saved));
    }

    const Services& services_;
    DomainPointer domain_;
    std::uint32_t flags_;
    Graphics wanted_;
    Answer<> answer_;
    std::shared_ptr<CallGuard> guard_;
    std::optional<Domain> stored_;
    std::vector<QmpCommand> commands_;
    std::size_t done_ = 0;
};

void update_device(const Services& services, const remote::UpdateDeviceCall& call,
                   Answer<> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    auto wanted = parse_screen(call.xml, call.flags);
    if (!wanted) return answer(tl::unexpected(wanted.error()));
    std::make_shared<ScreenUpdate>(services, *domain, call.flags, std::move(*wanted),
                                   std::move(answer))
        ->start();
}

}  // namespace

void add_device_calls(rpc::Dispatcher& calls, const Services& services) {
    calls.on<remote::DomainUpdateDeviceFlags>(
        [&services](Session&, const remote::UpdateDeviceCall& call,
                    rpc::Reply<remote::DomainUpdateDeviceFlags> reply) {
            update_device(services, call, reply);
        });
}

}  // namespace segue
