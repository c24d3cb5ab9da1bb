// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/shared_devices.h"

#include <algorithm>

#include "base/log.h"

namespace segue::viewer {

using spice::wire::ChannelType;

namespace {

constexpr std::size_t kMaxWatchLine = 64;
// A greeting in usbredir's protocol has 80 bytes.
constexpr std::size_t kMaxEarly = 4096;
// A port that closes so soon behind a move, and opens again, was never closed by the guest.
constexpr Duration kMoveShadow = 5s;

}  // namespace

SharedDevices::SharedDevices(Loop& loop, DeviceChoice choice, GetSession session,
                             OnDevice on_device, OnProblem on_problem)
    : loop_(loop),
      choice_(std::move(choice)),
      session_(std::move(session)),
      on_device_(std::move(on_device)),
      on_problem_(std::move(on_problem)),
      closing_timer_(loop.make_timer([this] { stop_stream(*std::exchange(closing_, {})); })) {
    for (const std::string& disc : choice_.discs)
        usb_wanted_.push_back("disc " + disc);
}

void SharedDevices::drop(std::unique_ptr<DeviceHelper> helper) {
    if (!helper) return;
    helper->stop();
    loop_.post([gone = std::shared_ptr<DeviceHelper>(std::move(helper))] {});
}

// --- Streams: folder and USB ---------------------------------------------------------------------

void SharedDevices::start_stream(ChannelKey key, const std::string& device,
                                 const std::string& program, std::vector<std::string> arguments) {
    DeviceHelper::Handlers handlers;
    handlers.on_bytes = [this, key](ByteView bytes) {
        spice::client::Session* session = session_();
        if (session == nullptr || session->stream(key) == nullptr) return;
        session->stream(key)->give(bytes);
        streams_.at(key).helper->set_reading(takes_bytes(key));
    };
    handlers.on_over = [this, key] {
        const std::string gone = streams_.at(key).device;
        std::erase(usb_wanted_, gone);
        stop_stream(key);
        assign_usb();
    };
    handlers.on_drained = [this, key] {
        if (spice::client::Session* session = session_()) session->set_stream_reading(key, true);
    };
    auto helper = DeviceHelper::start(loop_, program, std::move(arguments), std::move(handlers));
    if (!helper) {
        std::erase(usb_wanted_, device);
        return on_problem_(helper.error());
    }
    streams_[key] = {std::move(*helper), device};
    on_device_(device, true);
}

void SharedDevices::stop_stream(ChannelKey key) {
    const auto found = streams_.find(key);
    if (found == streams_.end()) return;
    const std::string device = found->second.device;
    drop(std::move(found->second.helper));
    streams_.erase(found);
    on_device_(device, false);
}

bool SharedDevices::takes_bytes(ChannelKey key) {
    spice::client::Session* session = session_();
    return session != nullptr && session->takes_stream_bytes(key);
}

void SharedDevices::on_stream_up(ChannelKey key, bool up) {
    if (!up) {
        usb_channels_.erase(key);
        usb_used_.erase(key);
        return stop_stream(key);
    }
    if (key.type != ChannelType::usbredir) return;
    usb_channels_[key].clear();
    start_watching();
    assign_usb();
}

void SharedDevices::on_stream_data(ChannelKey key, ByteView data) {
    const auto found = streams_.find(key);
    const auto usb = usb_channels_.find(key);
    if (found == streams_.end()) {
        if (usb != usb_channels_.end() && usb->second.size() + data.size() <= kMaxEarly)
            usb->second.insert(usb->second.end(), data.begin(), data.end());
        return;
    }
    found->second.helper->give(data);
    if (!found->second.helper->is_full()) return;
    if (spice::client::Session* session = session_()) session->set_stream_reading(key, false);
}

void SharedDevices::on_stream_drained(ChannelKey key) {
    const auto found = streams_.find(key);
    if (found != streams_.end()) found->second.helper->set_reading(takes_bytes(key));
}

void SharedDevices::on_port(ChannelKey key, bool open) {
    if (key.type != ChannelType::webdav || choice_.folder.empty()) return;
    if (closing_) {
        closing_.reset();
        closing_timer_->cancel();
        if (open) return;
    }
    if (!open && moved_at_ && loop_.now() - *moved_at_ < kMoveShadow && streams_.contains(key)) {
        closing_ = key;
        return closing_timer_->start(kMoveShadow);
    }
    // A daemon in the guest that starts anew knows nothing of the old one's connections.
    stop_stream(key);
    if (open) start_stream(key, "folder " + choice_.folder, "segue-view-folder", {choice_.folder});
}

void SharedDevices::on_moved() {
    moved_at_ = loop_.now();
}

// --- USB -----------------------------------------------------------------------------------------

// Devices in the order of the user's wishes, to channels in theirs.
void SharedDevices::assign_usb() {
    for (const auto& [channel, early] : usb_channels_) {
        const ChannelKey key = channel;
        if (streams_.contains(key)) continue;
        const auto is_free = [&](const std::string& device) {
            return std::none_of(streams_.begin(), streams_.end(),
                                [&](const auto& entry) { return entry.second.device == device; });
        };
        const auto next = std::find_if(usb_wanted_.begin(), usb_wanted_.end(), is_free);
        if (next == usb_wanted_.end()) return;
        if (usb_used_.contains(key)) {
            // It comes back with a greeting, and is assigned then.
            if (spice::client::Session* session = session_()) session->reopen(key);
            return;
        }
        const std::string device = *next;
        const std::size_t space = device.find(' ');
        start_stream(key, device, "segue-view-usb",
                     {device.substr(0, space), device.substr(space + 1)});
        if (!streams_.contains(key)) return assign_usb();
        usb_used_.insert(key);
        streams_.at(key).helper->give(early);
    }
}

void SharedDevices::start_watching() {
    if (std::exchange(watching_, true)) return;
    if (!choice_.usb_on_connect.empty()) watch(present_, choice_.usb_on_connect, true);
    if (!choice_.usb_when_plugged.empty()) watch(plugged_, choice_.usb_when_plugged, false);
}

void SharedDevices::watch(Watcher& watcher, const std::string& filter, bool at_start) {
    DeviceHelper::Handlers handlers;
    handlers.on_bytes = [this, &watcher, at_start](ByteView bytes) {
        on_watched(watcher, bytes, at_start);
    };
    handlers.on_over = [this, &watcher] { drop(std::move(watcher.helper)); };
    auto helper =
        DeviceHelper::start(loop_, "segue-view-usb", {"watch", filter}, std::move(handlers));
    if (!helper) return on_problem_(helper.error());
    watcher.helper = std::move(*helper);
}

// Lines "+ PLACE", "- PLACE", and "." behind the first list.
void SharedDevices::on_watched(Watcher& watcher, ByteView bytes, bool at_start) {
    watcher.line += as_text(bytes);
    for (std::size_t end = watcher.line.find('\n'); end != std::string::npos;
         end = watcher.line.find('\n')) {
        const std::string line = watcher.line.substr(0, end);
        watcher.line.erase(0, end + 1);
        if (line == ".") {
            watcher.has_listed = true;
        } else if (line.size() > 2 && line[0] == '-') {
            on_plugged(line.substr(2), false);
        } else if (line.size() > 2 &&
                   (at_start ? !watcher.has_listed : watcher.has_listed && focused_)) {
            on_plugged(line.substr(2), true);
        }
    }
    if (watcher.line.size() > kMaxWatchLine) drop(std::move(watcher.helper));
}

void SharedDevices::on_plugged(const std::string& place, bool there) {
    const std::string device = "device " + place;
    std::erase(usb_wanted_, device);
    if (there) {
        usb_wanted_.push_back(device);
        return assign_usb();
    }
    for (const auto& [key, stream] : streams_) {
        if (stream.device == device) stream.helper->finish();
    }
}

void SharedDevices::replug_usb() {
    std::vector<ChannelKey> in_use;
    for (const auto& [key, stream] : streams_) {
        if (key.type == ChannelType::usbredir) in_use.push_back(key);
    }
    for (const ChannelKey key : in_use)
        stop_stream(key);
    // A channel at a time: the next one when this one is back.
    assign_usb();
}

// --- Smartcards ----------------------------------------------------------------------------------

void SharedDevices::move_cards(bool in) {
    // What stands in card_frame.h for the user's hand.
    if (card_) card_->give(make_card_frame({in ? VscType::atr : VscType::card_remove, 0, {}}));
}

void SharedDevices::on_card_up(bool up) {
    card_frames_ = {};
    if (card_) {
        drop(std::move(card_));
        on_device_("smartcards", false);
    }
    if (!up || !choice_.cards) return;
    std::vector<std::string> arguments{choice_.card_database};
    arguments.insert(arguments.end(), choice_.card_certificates.begin(),
                     choice_.card_certificates.end());
    DeviceHelper::Handlers handlers;
    handlers.on_bytes = [this](ByteView bytes) { on_card_bytes(bytes); };
    handlers.on_over = [this] { on_card_up(false); };
    auto helper =
        DeviceHelper::start(loop_, "segue-view-card", std::move(arguments), std::move(handlers));
    if (!helper) return on_problem_(helper.error());
    card_ = std::move(*helper);
    on_device_("smartcards", true);
}

void SharedDevices::on_card_message(VscType type, std::uint32_t reader_id, ByteView data) {
    const bool is_users = type == VscType::atr || type == VscType::card_remove;
    if (card_ && !is_users) card_->give(make_card_frame({type, reader_id, data}));
}

void SharedDevices::on_card_bytes(ByteView bytes) {
    card_frames_.feed(bytes);
    for (auto frame = card_frames_.next();; frame = card_frames_.next()) {
        if (!frame) {
            on_problem_(frame.error());
            return on_card_up(false);
        }
        if (!*frame) return;
        send_card(**frame);
    }
}

void SharedDevices::send_card(const CardFrame& frame) {
    spice::client::Session* session = session_();
    auto* channel = session ? session->smartcard() : nullptr;
    if (channel == nullptr) return;
    switch (frame.type) {
        case VscType::reader_add: {
            std::string name(as_text(frame.data));
            while (!name.empty() && name.back() == '\0')
                name.pop_back();
            return channel->add_reader(name);
        }
        case VscType::reader_remove: return channel->remove_reader(frame.reader_id);
        case VscType::atr: return channel->send_atr(frame.reader_id, frame.data);
        case VscType::card_remove: return channel->remove_card(frame.reader_id);
        case VscType::apdu: return channel->send_apdu(frame.reader_id, frame.data);
        default: return;
    }
}

}  // namespace segue::viewer
