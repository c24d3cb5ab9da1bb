// SPDX-License-Identifier: LGPL-2.1-or-later
// Procedures with a stream: the console, and pictures of the screen.
#include <fcntl.h>
#include <termios.h>
#include <unistd.h>

#include <map>

#include "daemon/calls/calls.h"
#include "daemon/console_line.h"
#include "daemon/guest.h"
#include "daemon/picture_stream.h"
#include "rpc/remote.schema.h"

namespace segue {

namespace remote = rpc::remote;
using rpc::Session;

namespace {

// The pseudo terminal of the device with this alias; of the first one where none is named.
Result<std::string> terminal_of(const DomainObject& domain, const std::string& alias) {
    TRY(domain.running_guest());
    const Domain& live = domain.incarnation->live;
    std::vector<std::pair<std::string, Chardev>> lines;
    for (const Serial& serial : live.serials)
        lines.emplace_back(serial.alias, serial.chardev);
    for (const Console& console : live.consoles)
        lines.emplace_back(console.alias, console.chardev);
    for (const auto& [name, chardev] : lines) {
        if (!alias.empty() && name != alias) continue;
        if (chardev.type == ChardevType::pty && !chardev.path.empty()) return chardev.path;
        if (!alias.empty()) {
            return fail(ErrorCode::config_unsupported, "character device {} is not using a PTY",
                        alias);
        }
    }
    for (const Channel& channel : live.channels) {
        if (!alias.empty() && channel.alias == alias && !channel.chardev.path.empty()) {
            return channel.chardev.path;
        }
    }
    return fail(ErrorCode::internal, "cannot find console device '{}'",
                alias.empty() ? "default" : alias);
}

// Who reads which terminal: two readers would each get a part of what the guest says.
using Consoles = std::map<std::string, std::weak_ptr<ConsoleLine>>;

// virDomainConsoleFlags.
constexpr std::uint32_t kForce = 1;

Result<> take_console(Consoles& consoles, const std::string& path, bool by_force) {
    std::erase_if(consoles, [](const auto& one) { return one.second.expired(); });
    const auto held = consoles.find(path);
    const auto line = held == consoles.end() ? nullptr : held->second.lock();
    if (!line || !line->is_open()) return {};
    if (!by_force) {
        return fail(ErrorCode::operation_failed,
                    "Active console session exists for this domain; virsh console --force takes "
                    "it over");
    }
    line->end();
    return {};
}

void open_console(const Services& services, Consoles& consoles, const remote::OpenConsoleCall& call,
                  rpc::Reply<remote::DomainOpenConsole> reply) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return reply(tl::unexpected(domain.error()));
    const auto path = terminal_of(**domain, call.device.value_or(""));
    if (!path) return reply(tl::unexpected(path.error()));
    if (const auto free = take_console(consoles, *path, (call.flags & kForce) != 0); !free) {
        return reply(tl::unexpected(free.error()));
    }
    net::Descriptor terminal(::open(path->c_str(), O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
    if (!terminal) return reply(fail_errno("open", *path, errno));
    const auto line = ConsoleLine::make(services.loop, std::move(terminal));
    const auto stream = reply.open_stream(line->handlers());
    if (!stream) return;
    line->attach(stream);
    consoles[*path] = line;
    reply({});
}

// QEMU writes the picture into a file of the domain's own directory; it is gone when it is read.
void take_screenshot(const Services& services, const remote::ScreenshotCall& call,
                     rpc::Reply<remote::DomainScreenshot> reply) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return reply(tl::unexpected(domain.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) return reply(tl::unexpected(guest.error()));
    const auto guard = CallGuard::begin(*domain, migrate::CallKind::query, "screenshot");
    if (!guard) return reply(tl::unexpected(guard.error()));
    const auto& videos = (*domain)->model().videos;
    if (call.screen >= std::max<std::size_t>(1, videos.size())) {
        return reply(fail(ErrorCode::invalid_argument, "no such screen"));
    }
    // Two clients may ask at once.
    const std::string path = fmt::format("{}/screen-{}.ppm", (*domain)->incarnation->directory,
                                         Uuid::random(services.random).text());
    Json arguments = Json::object({{"filename", path}});
    if (call.screen > 0) arguments.set("device", videos[call.screen].alias);
    (*guest)->execute("screendump", std::move(arguments),
                      [path, reply, guard = *guard](Result<Json> done) {
                          const auto picture = done.and_then([&](const Json&) {  //
                              return PictureStream::open(path);
                          });
                          if (!picture) {
                              ::unlink(path.c_str());  // half a picture, where the disk is full
                              return reply(tl::unexpected(picture.error()));
                          }
                          const auto stream = reply.open_stream((*picture)->handlers());
                          if (!stream) return;
                          reply(remote::OptionalTextReply{"image/x-portable-pixmap"});
                          (*picture)->start(stream);
                      });
}

// The client gets one end of a socket pair, QEMU the other: a viewer without any port.
void open_graphics(const Services& services, const remote::OpenGraphicsCall& call,
                   net::Descriptor for_qemu, Answer<> answer) {
    const auto domain = services.domains.find(call.domain);
    if (!domain) return answer(tl::unexpected(domain.error()));
    const auto guest = (*domain)->running_guest();
    if (!guest) return answer(tl::unexpected(guest.error()));
    const auto& graphics = (*domain)->model().graphics;
    if (call.index >= graphics.size()) {
        return answer(fail(ErrorCode::internal, "No graphics backend with index {}", call.index));
    }
    constexpr std::uint32_t kSkipAuth = 1;  // VIR_DOMAIN_OPEN_GRAPHICS_SKIPAUTH
    const std::string protocol(name_of(graphics[call.index].type));
    Guest* raw = *guest;
    const bool skip = (call.flags & kSkipAuth) != 0;
    raw->pass_descriptor(
        "viewer", std::move(for_qemu), [raw, protocol, skip, answer](Result<> got) {
            if (!got) return answer(std::move(got));
            raw->run(
                "add_client",
                Json::object({{"protocol", protocol}, {"fdname", "viewer"}, {"skipauth", skip}}),
                answer);
        });
}

}  // namespace

void add_stream_calls(rpc::Dispatcher& calls, const Services& services) {
    const auto consoles = std::make_shared<Consoles>();
    calls.on<remote::DomainOpenConsole>(
        [&services, consoles](Session&, remote::OpenConsoleCall call,
                              rpc::Reply<remote::DomainOpenConsole> reply) {
            open_console(services, *consoles, call, std::move(reply));
        });
    calls.on<remote::DomainScreenshot>([&services](Session&, remote::ScreenshotCall call,
                                                   rpc::Reply<remote::DomainScreenshot> reply) {
        take_screenshot(services, call, std::move(reply));
    });
    calls.on<remote::DomainOpenGraphics>([&services](Session&, remote::OpenGraphicsCall call,
                                                     rpc::Reply<remote::DomainOpenGraphics> reply) {
        auto brought = reply.take_descriptors();
        if (brought.size() != 1) {
            return reply(fail(ErrorCode::invalid_argument, "one descriptor must come along"));
        }
        open_graphics(services, call, std::move(brought[0]), reply);
    });
    calls.on<remote::DomainOpenGraphicsFd>(
        [&services](Session&, remote::OpenGraphicsCall call,
                    rpc::Reply<remote::DomainOpenGraphicsFd> reply) {
            auto pair = net::make_socket_pair();
            if (!pair) return reply(tl::unexpected(pair.error()));
            auto theirs = std::make_shared<net::Descriptor>(std::move((*pair)[1]));
            open_graphics(services, call, std::move((*pair)[0]), [reply, theirs](Result<> done) {
                if (!done) return reply(tl::unexpected(done.error()));
                std::vector<net::Descriptor> descriptors;
                descriptors.push_back(std::move(*theirs));
                reply({}, std::move(descriptors));
            });
        });
}

}  // namespace segue
