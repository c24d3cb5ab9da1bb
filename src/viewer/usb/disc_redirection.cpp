// SPDX-License-Identifier: LGPL-2.1-or-later
// The device's side of usbredir for a disc: what the guest's controller asks goes to the
// DiscDevice.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <usbredirfilter.h>
#include <usbredirparser.h>

#include <cerrno>
#include <memory>

#include "base/log.h"
#include "viewer/usb/disc_device.h"
#include "viewer/usb/redirection.h"

namespace segue::viewer {
namespace {

constexpr std::uint8_t kIn = 0x80;
// Slots in usbredir's tables: 16 endpoints out, 16 in.
constexpr std::size_t slot_of(std::uint8_t endpoint) {
    return (endpoint & 15u) + ((endpoint & kIn) != 0 ? 16 : 0);
}

class DiscRedirection {
  public:
    DiscRedirection(DiscDevice device, int socket);
    Result<> serve();

  private:
    // A read of the guest that has to wait for a command.
    struct Read {
        std::uint64_t id;
        usb_redir_bulk_packet_header header;
    };
    // More than a controller of the guest has under way on one endpoint.
    static constexpr std::size_t kMaxReads = 64;

    void introduce();
    void on_control(std::uint64_t id, usb_redir_control_packet_header header);
    void on_bulk(std::uint64_t id, usb_redir_bulk_packet_header header, ByteView data);
    void on_cancel(std::uint64_t id);
    void answer_reads();
    static std::size_t length_of(const usb_redir_bulk_packet_header& header) {
        return header.length | std::size_t{header.length_high} << 16;
    }
    void answer(std::uint64_t id, usb_redir_bulk_packet_header header, std::uint8_t status,
                std::size_t length, Bytes data);
    static DiscRedirection& self(void* pointer) { return *static_cast<DiscRedirection*>(pointer); }
    void set_callbacks();

    struct Destroy {
        void operator()(usbredirparser* parser) const { usbredirparser_destroy(parser); }
    };
    DiscDevice device_;
    const int socket_;
    bool is_over_ = false;
    std::deque<Read> reads_;
    std::unique_ptr<usbredirparser, Destroy> parser_;
};

DiscRedirection::DiscRedirection(DiscDevice device, int socket)
    : device_(std::move(device)), socket_(socket), parser_(usbredirparser_create()) {
    set_callbacks();
    std::uint32_t capabilities[USB_REDIR_CAPS_SIZE] = {};
    for (const int one : {usb_redir_cap_connect_device_version, usb_redir_cap_filter,
                          usb_redir_cap_device_disconnect_ack, usb_redir_cap_64bits_ids,
                          usb_redir_cap_ep_info_max_packet_size, usb_redir_cap_32bits_bulk_length})
        usbredirparser_caps_set_cap(capabilities, one);
    usbredirparser_init(parser_.get(), "segue-view", capabilities, USB_REDIR_CAPS_SIZE,
                        usbredirparser_fl_usb_host);
}

void DiscRedirection::set_callbacks() {
    usbredirparser* parser = parser_.get();
    parser->priv = this;
    parser->log_func = [](void*, int level, const char* text) {
        if (level <= usbredirparser_warning) log_warning("viewer", "usb: {}", text);
    };
    parser->read_func = [](void* pointer, std::uint8_t* data, int count) {
        const ssize_t size =
            ::recv(self(pointer).socket_, data, static_cast<std::size_t>(count), MSG_DONTWAIT);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (size <= 0) self(pointer).is_over_ = true;
        return size <= 0 ? -1 : static_cast<int>(size);
    };
    parser->write_func = [](void* pointer, std::uint8_t* data, int count) {
        const ssize_t size = ::send(self(pointer).socket_, data, static_cast<std::size_t>(count),
                                    MSG_DONTWAIT | MSG_NOSIGNAL);
        if (size < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
        if (size < 0) self(pointer).is_over_ = true;
        return static_cast<int>(size);
    };
    parser->hello_func = [](void* pointer, usb_redir_hello_header*) { self(pointer).introduce(); };
    parser->reset_func = [](void* pointer) { self(pointer).device_.reset(); };
    parser->filter_reject_func = [](void*) {
        log_warning("viewer", "usb: the guest's filter refuses the disc");
    };
    parser->filter_filter_func = [](void*, usbredirfilter_rule* rules, int) {
        usbredirfilter_free(rules);
    };
    parser->device_disconnect_ack_func = [](void*) {};
    parser->set_configuration_func = [](void* pointer, std::uint64_t id,
                                        usb_redir_set_configuration_header* wish) {
        usb_redir_configuration_status_header status{usb_redir_success, wish->configuration};
        usbredirparser_send_configuration_status(self(pointer).parser_.get(), id, &status);
    };
    parser->get_configuration_func = [](void* pointer, std::uint64_t id) {
        usb_redir_configuration_status_header status{usb_redir_success, DiscDevice::kConfiguration};
        usbredirparser_send_configuration_status(self(pointer).parser_.get(), id, &status);
    };
    parser->set_alt_setting_func = [](void* pointer, std::uint64_t id,
                                      usb_redir_set_alt_setting_header* wish) {
        const bool known = wish->interface == 0 && wish->alt == 0;
        usb_redir_alt_setting_status_header status{
            static_cast<std::uint8_t>(known ? usb_redir_success : usb_redir_inval), wish->interface,
            wish->alt};
        usbredirparser_send_alt_setting_status(self(pointer).parser_.get(), id, &status);
    };
    parser->get_alt_setting_func = [](void* pointer, std::uint64_t id,
                                      usb_redir_get_alt_setting_header* wish) {
        usb_redir_alt_setting_status_header status{usb_redir_success, wish->interface, 0};
        usbredirparser_send_alt_setting_status(self(pointer).parser_.get(), id, &status);
    };
    parser->cancel_data_packet_func = [](void* pointer, std::uint64_t id) {
        self(pointer).on_cancel(id);
    };
    parser->control_packet_func = [](void* pointer, std::uint64_t id,
                                     usb_redir_control_packet_header* header, std::uint8_t* data,
                                     int) {
        self(pointer).on_control(id, *header);
        usbredirparser_free_packet_data(self(pointer).parser_.get(), data);
    };
    parser->bulk_packet_func = [](void* pointer, std::uint64_t id,
                                  usb_redir_bulk_packet_header* header, std::uint8_t* data,
                                  int size) {
        self(pointer).on_bulk(id, *header, {data, static_cast<std::size_t>(size)});
        usbredirparser_free_packet_data(self(pointer).parser_.get(), data);
    };
}

void DiscRedirection::introduce() {
    usb_redir_interface_info_header interfaces{};
    interfaces.interface_count = 1;
    interfaces.interface_class[0] = DiscDevice::kMassStorage;
    interfaces.interface_subclass[0] = DiscDevice::kScsiCommands;
    interfaces.interface_protocol[0] = DiscDevice::kBulkOnly;
    usbredirparser_send_interface_info(parser_.get(), &interfaces);
    usb_redir_ep_info_header endpoints{};
    for (auto& type : endpoints.type)
        type = usb_redir_type_invalid;
    endpoints.type[slot_of(0)] = endpoints.type[slot_of(kIn)] = usb_redir_type_control;
    for (const std::uint8_t endpoint : {DiscDevice::kBulkIn, DiscDevice::kBulkOut}) {
        endpoints.type[slot_of(endpoint)] = usb_redir_type_bulk;
        endpoints.max_packet_size[slot_of(endpoint)] = DiscDevice::kPacket;
    }
    usbredirparser_send_ep_info(parser_.get(), &endpoints);
    usb_redir_device_connect_header device{};
    device.speed = usb_redir_speed_high;
    device.vendor_id = DiscDevice::kVendor;
    device.product_id = DiscDevice::kProduct;
    device.device_version_bcd = DiscDevice::kRelease;
    usbredirparser_send_device_connect(parser_.get(), &device);
}

void DiscRedirection::on_control(std::uint64_t id, usb_redir_control_packet_header header) {
    std::optional<Bytes> data = device_.control(
        {header.requesttype, header.request, header.value, header.index, header.length});
    header.status = data ? usb_redir_success : usb_redir_stall;
    const bool to_guest = (header.requesttype & kIn) != 0;
    // What the guest sent was taken whole; there is no request here that needs it.
    if (to_guest || !data) header.length = static_cast<std::uint16_t>(data ? data->size() : 0);
    const bool has_data = to_guest && data && !data->empty();
    usbredirparser_send_control_packet(parser_.get(), id, &header,
                                       has_data ? data->data() : nullptr,
                                       has_data ? static_cast<int>(data->size()) : 0);
}

void DiscRedirection::answer(std::uint64_t id, usb_redir_bulk_packet_header header,
                             std::uint8_t status, std::size_t length, Bytes data) {
    header.status = status;
    header.length = static_cast<std::uint16_t>(length);
    header.length_high = static_cast<std::uint16_t>(length >> 16);
    usbredirparser_send_bulk_packet(parser_.get(), id, &header,
                                    data.empty() ? nullptr : data.data(),
                                    static_cast<int>(data.size()));
}

void DiscRedirection::on_bulk(std::uint64_t id, usb_redir_bulk_packet_header header,
                              ByteView data) {
    if (header.endpoint == DiscDevice::kBulkOut) {
        const bool taken = device_.bulk_out(data);
        answer(id, header, taken ? usb_redir_success : usb_redir_stall, taken ? data.size() : 0,
               {});
        return answer_reads();
    }
    if (header.endpoint != DiscDevice::kBulkIn || reads_.size() >= kMaxReads)
        return answer(id, header, usb_redir_inval, 0, {});
    reads_.push_back({id, header});
    answer_reads();
}

void DiscRedirection::answer_reads() {
    while (!reads_.empty()) {
        const Read& read = reads_.front();
        std::optional<Bytes> data = device_.bulk_in(length_of(read.header));
        if (!data) return;
        const std::size_t size = data->size();
        answer(read.id, read.header, usb_redir_success, size, std::move(*data));
        reads_.pop_front();
    }
}

void DiscRedirection::on_cancel(std::uint64_t id) {
    for (auto each = reads_.begin(); each != reads_.end(); ++each) {
        if (each->id != id) continue;
        answer(id, each->header, usb_redir_cancelled, 0, {});
        reads_.erase(each);
        return;
    }
}

Result<> DiscRedirection::serve() {
    while (!is_over_) {
        const bool has_output = usbredirparser_has_data_to_write(parser_.get()) != 0;
        pollfd ready{socket_, static_cast<short>(POLLIN | (has_output ? POLLOUT : 0)), 0};
        if (::poll(&ready, 1, -1) < 0 && errno != EINTR)
            return fail_errno("poll", "the viewer", errno);
        if (has_output) usbredirparser_do_write(parser_.get());
        const int read = usbredirparser_do_read(parser_.get());
        if (read == usbredirparser_read_parse_error)
            return fail(ErrorCode::protocol, "usb: the guest breaks usbredir's protocol");
    }
    return {};
}

}  // namespace

Result<> redirect_disc(const std::string& image, int socket) {
    DiscRedirection redirection(DiscDevice(TRY(ScsiDisc::open(image))), socket);
    return redirection.serve();
}

}  // namespace segue::viewer
