// SPDX-License-Identifier: LGPL-2.1-or-later
#include "net/tap.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace segue::net {
namespace {

constexpr const char* kDevice = "/dev/net/tun";
constexpr std::string_view kGenerated = "vnet%d";
// The first byte of a tap's own address, and the one where the card's begins with that (libvirt's).
constexpr std::uint8_t kOwnPrefix = 0xfe, kOtherPrefix = 0xfa;

ifreq request_for(std::string_view name) {
    ifreq request{};
    std::memcpy(request.ifr_name, name.data(), std::min(name.size(), sizeof request.ifr_name - 1));
    return request;
}

class Control {
  public:
    static Result<Control> open() {
        Control control;
        control.socket_ = Descriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        if (!control.socket_) return fail_errno("socket for", "network devices", errno);
        return control;
    }
    Result<> call(unsigned long what, ifreq& request, std::string_view doing) const {
        if (::ioctl(socket_.get(), what, &request) == 0) return {};
        return fail_errno(doing, request.ifr_name, errno);
    }

  private:
    Descriptor socket_;
};

Result<> set_address(const Control& control, const std::string& name,
                     std::array<std::uint8_t, 6> address) {
    address[0] = address[0] == kOwnPrefix ? kOtherPrefix : kOwnPrefix;
    ifreq request = request_for(name);
    request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
    std::memcpy(request.ifr_hwaddr.sa_data, address.data(), address.size());
    return control.call(SIOCSIFHWADDR, request, "set the address of network device");
}

Result<> join_bridge(const Control& control, const std::string& name, const std::string& bridge) {
    ifreq request = request_for(bridge);
    if (const auto known = control.call(SIOCGIFMTU, request, "look at bridge"); !known) {
        return fail(ErrorCode::config_unsupported,
                    "bridge '{}' does not exist on this host: make it, or name another one",
                    bridge);
    }
    // A port with a smaller one would make the bridge's smaller, for everybody.
    ifreq mtu = request_for(name);
    mtu.ifr_mtu = request.ifr_mtu;
    TRY(control.call(SIOCSIFMTU, mtu, "set the MTU of network device"));
    ifreq port = request_for(bridge);
    port.ifr_ifindex = static_cast<int>(::if_nametoindex(name.c_str()));
    return control.call(SIOCBRADDIF, port, "add a port to bridge");
}

Result<> put_up(const Control& control, const std::string& name) {
    ifreq request = request_for(name);
    TRY(control.call(SIOCGIFFLAGS, request, "look at network device"));
    request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_UP);
    return control.call(SIOCSIFFLAGS, request, "put up network device");
}

}  // namespace

bool is_device_name(std::string_view name) {
    constexpr std::string_view kRefused = "/: \t\n%";
    return !name.empty() && name.size() < IFNAMSIZ && name != "." && name != ".." &&
           name.find_first_of(kRefused) == std::string_view::npos;
}

Result<Tap> open_tap(const TapRequest& wanted) {
    if (!wanted.name.empty() && !is_device_name(wanted.name)) {
        return fail(ErrorCode::config_unsupported, "'{}' cannot be a network device's name",
                    wanted.name);
    }
    if (wanted.is_given && ::if_nametoindex(wanted.name.c_str()) == 0) {
        return fail(ErrorCode::config_unsupported,
                    "network device '{}' does not exist: make it, or leave managed='no' out",
                    wanted.name);
    }
    Descriptor device(::open(kDevice, O_RDWR | O_CLOEXEC));
    if (!device) return fail_errno("open", kDevice, errno);
    ifreq request = request_for(wanted.name.empty() ? kGenerated : wanted.name);
    request.ifr_flags = IFF_TAP | IFF_NO_PI;
    if (wanted.has_virtio_header) request.ifr_flags |= IFF_VNET_HDR;
    if (::ioctl(device.get(), TUNSETIFF, &request) != 0) {
        return fail_errno("open network device", request.ifr_name, errno);
    }
    Tap tap{request.ifr_name, std::move(device)};
    if (wanted.is_given) return tap;
    const Control control = TRY(Control::open());
    TRY(set_address(control, tap.name, wanted.card_address));
    if (!wanted.bridge.empty()) TRY(join_bridge(control, tap.name, wanted.bridge));
    TRY(put_up(control, tap.name));
    return tap;
}

}  // namespace segue::net
