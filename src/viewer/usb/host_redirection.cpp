// SPDX-License-Identifier: LGPL-2.1-or-later
// Devices of this machine: libusb finds and drives them, usbredirhost speaks for them.
#include <libusb.h>
#include <poll.h>
#include <sys/socket.h>
#include <usbredirhost.h>

#include <cerrno>
#include <charconv>
#include <memory>
#include <set>
#include <vector>

#include "base/bytes.h"
#include "base/log.h"
#include "viewer/usb/redirection.h"

namespace segue::viewer {
namespace {

struct CloseContext {
    void operator()(libusb_context* context) const { libusb_exit(context); }
};
using Context = std::unique_ptr<libusb_context, CloseContext>;

Error usb_error(const char* what, int code) {
    return {ErrorCode::system, fmt::format("usb: {}: {}", what, libusb_error_name(code))};
}

Result<Context> make_context() {
    libusb_context* context = nullptr;
    if (const int error = libusb_init(&context); error != 0)
        return tl::unexpected(usb_error("libusb does not start", error));
    return Context(context);
}

std::string place_of(libusb_device* device) {
    return fmt::format("{}:{}", libusb_get_bus_number(device), libusb_get_device_address(device));
}

// Calls `visit` with each device; the list is counted down behind it.
template <class Visit>
void for_each_device(libusb_context* context, Visit visit) {
    libusb_device** list = nullptr;
    const ssize_t count = libusb_get_device_list(context, &list);
    for (ssize_t at = 0; at < count; ++at)
        visit(list[at]);
    if (count >= 0) libusb_free_device_list(list, 1);
}

class HostRedirection {
  public:
    HostRedirection(Context context, int socket) : context_(std::move(context)), socket_(socket) {}

    Result<> open(const std::string& place);
    Result<> serve();

  private:
    void wait();
    void unplug();
    Result<> check(int result);
    static HostRedirection& self(void* pointer) { return *static_cast<HostRedirection*>(pointer); }

    struct CloseHost {
        void operator()(usbredirhost* host) const { usbredirhost_close(host); }
    };
    Context context_;
    const int socket_;
    bool is_over_ = false;
    std::unique_ptr<usbredirhost, CloseHost> host_;
};

Result<> HostRedirection::open(const std::string& place) {
    libusb_device_handle* handle = nullptr;
    int error = LIBUSB_ERROR_NO_DEVICE;
    for_each_device(context_.get(), [&](libusb_device* device) {
        if (place_of(device) == place) error = libusb_open(device, &handle);
    });
    if (error != 0) {
        return tl::unexpected(
            usb_error(("device " + place + " cannot be opened (is it yours?)").c_str(), error));
    }
    const auto log = [](void*, int level, const char* text) {
        if (level <= usbredirparser_warning) log_warning("viewer", "usb: {}", text);
    };
    const auto read = [](void* pointer, std::uint8_t* data, int count) -> int {
        const ssize_t size =
            ::recv(self(pointer).socket_, data, static_cast<std::size_t>(count), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (size <= 0) self(pointer).is_over_ = true;
        return size <= 0 ? -1 : static_cast<int>(size);
    };
    const auto write = [](void* pointer, std::uint8_t* data, int count) -> int {
        const ssize_t size = ::send(self(pointer).socket_, data, static_cast<std::size_t>(count),
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (size < 0) self(pointer).is_over_ = true;
        return static_cast<int>(size);
    };
    // It takes the handle, whatever comes of it.
    host_.reset(usbredirhost_open(context_.get(), handle, log, read, write, this, "segue-view",
                                  usbredirparser_warning, 0));
    if (!host_) {
        return fail(ErrorCode::system, "usb: device {} cannot be redirected; see the words above",
                    place);
    }
    return {};
}

// Until the guest, or the device, has something to say.
void HostRedirection::wait() {
    std::vector<pollfd> ready;
    const bool has_output = usbredirhost_has_data_to_write(host_.get()) != 0;
    ready.push_back({socket_, static_cast<short>(POLLIN | (has_output ? POLLOUT : 0)), 0});
    if (const libusb_pollfd** list = libusb_get_pollfds(context_.get()); list != nullptr) {
        for (const libusb_pollfd** each = list; *each != nullptr; ++each)
            ready.push_back({(*each)->fd, (*each)->events, 0});
        libusb_free_pollfds(list);
    }
    timeval until{};
    const bool has_timeout = libusb_get_next_timeout(context_.get(), &until) == 1;
    const int timeout =
        has_timeout ? static_cast<int>(until.tv_sec * 1000 + until.tv_usec / 1000 + 1) : -1;
    ::poll(ready.data(), ready.size(), timeout);
    timeval none{};
    libusb_handle_events_timeout(context_.get(), &none);
}

Result<> HostRedirection::check(int result) {
    switch (result) {
        case usbredirhost_read_parse_error:
            return fail(ErrorCode::protocol, "usb: the guest breaks usbredir's protocol");
        case usbredirhost_read_device_rejected:
            return fail(ErrorCode::denied, "usb: the guest's filter refuses the device");
        case usbredirhost_read_device_lost:
            return fail(ErrorCode::connection_lost, "usb: the device is gone");
        default: return {};
    }
}

Result<> HostRedirection::serve() {
    while (!is_over_) {
        wait();
        if (usbredirhost_has_data_to_write(host_.get()) != 0)
            usbredirhost_write_guest_data(host_.get());
        TRY(check(usbredirhost_read_guest_data(host_.get())));
    }
    unplug();
    return {};
}

// The guest sees it go, if it still listens.
void HostRedirection::unplug() {
    constexpr int kPatienceMs = 1000;
    is_over_ = false;
    usbredirhost_set_device(host_.get(), nullptr);
    while (!is_over_ && usbredirhost_has_data_to_write(host_.get()) != 0) {
        pollfd ready{socket_, POLLOUT, 0};
        if (::poll(&ready, 1, kPatienceMs) <= 0) return;
        usbredirhost_write_guest_data(host_.get());
    }
}

struct FreeRules {
    void operator()(usbredirfilter_rule* rules) const { usbredirfilter_free(rules); }
};

}  // namespace

Result<> redirect_device(const std::string& place, int socket) {
    HostRedirection redirection(TRY(make_context()), socket);
    TRY(redirection.open(place));
    return redirection.serve();
}

Result<> watch_devices(const std::string& filter, int socket) {
    constexpr int kLookEveryMs = 1000;
    usbredirfilter_rule* read = nullptr;
    int count = 0;
    if (usbredirfilter_string_to_rules(filter.c_str(), ",", "|", &read, &count) != 0) {
        return fail(ErrorCode::invalid_argument,
                    "usb: the filter '{}' is not class,vendor,product,version,allow|…", filter);
    }
    const std::unique_ptr<usbredirfilter_rule, FreeRules> rules(read);
    const Context context = TRY(make_context());
    std::set<std::string> known;
    bool listed = false;
    for (;;) {
        std::set<std::string> present;
        for_each_device(context.get(), [&](libusb_device* device) {
            if (usbredirhost_check_device_filter(rules.get(), count, device, 0) == 0)
                present.insert(place_of(device));
        });
        std::string lines;
        for (const std::string& place : present) {
            if (!known.contains(place)) lines += "+ " + place + "\n";
        }
        for (const std::string& place : known) {
            if (!present.contains(place)) lines += "- " + place + "\n";
        }
        known = std::move(present);
        if (!std::exchange(listed, true)) lines += ".\n";
        if (!lines.empty() && ::send(socket, lines.data(), lines.size(), MSG_NOSIGNAL) < 0)
            return {};
        // The end of the socket is the end of us.
        pollfd gone{socket, POLLIN, 0};
        if (::poll(&gone, 1, kLookEveryMs) > 0) return {};
    }
}

}  // namespace segue::viewer
