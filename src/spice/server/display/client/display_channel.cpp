// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/server/display/client/display_channel.h"

#include <utility>

#include "base/log.h"
#include "spice/control/state.schema.h"
#include "spice/server/display/client/display_blob.h"
#include "spice/server/display/client/stale_rects.h"

namespace segue::spice::server {
namespace {

namespace display = wire::display;

// Of the image cache that the client offers: more is not kept account of (512 MiB of pixels).
constexpr std::int64_t kMostCachedPixels = std::int64_t{1} << 27;

bool is_known(ImageCompression compression) {
    return compression >= ImageCompression::off && compression <= ImageCompression::lz4;
}

}  // namespace

struct DisplayChannel::Handler {
    DisplayChannel& channel;

    Result<> operator()(const display::Init& message) { return channel.init(message); }
    Result<> operator()(const display::StreamReport& report) {
        channel.stream_report(report);
        return {};
    }
    // GL scanouts are never sent; of videos there is one codec.
    Result<> operator()(const display::GlDrawDone&) { return {}; }
    Result<> operator()(const display::PreferredVideoCodecType&) { return {}; }
    Result<> operator()(const display::PreferredCompression& wanted) {
        const auto compression = static_cast<ImageCompression>(wanted.compression);
        if (!is_known(compression)) {
            log_info("spice", "{}: the client prefers image compression {}: not known, ignored",
                     name_of(channel.key()), static_cast<unsigned>(wanted.compression));
            return {};
        }
        channel.knowledge_.preferred_compression = compression;
        channel.apply_options();
        const bool is_late = channel.frozen_ || channel.is_migrating();
        if (is_late && channel.on_late_wish) channel.on_late_wish(compression);
        return {};
    }
};

DisplayChannel::DisplayChannel(const ChannelSetup& setup, ChannelOutput& output,
                               const GuestDisplay& guest, const EncoderOptions& options,
                               std::shared_ptr<ClientCaches> caches, const Clock& clock)
    : Channel(setup, output),
      guest_(guest),
      caches_(std::move(caches)),
      clock_(clock),
      options_(options),
      encoder_(options) {
    caches_->channel_came();
    apply_options();
    if (!is_held()) return;
    for (const auto& [id, surface] : guest_.surfaces().all())
        drawn_while_held_[id] = canvas::Region(surface.image.bounds());
}

DisplayChannel::~DisplayChannel() {
    caches_->channel_left(key().id);
}

void DisplayChannel::start() {
    line_.restarted(clock_.now());
    use_ack_window();
}

Result<> DisplayChannel::handle(std::uint16_t number, const wire::SharedBytes& body) {
    return display::dispatch_from_client(number, body, Handler{*this});
}

Result<> DisplayChannel::init(const display::Init& message) {
    if (ready_ || expects_data())
        return fail(ErrorCode::protocol, "{}: a second DISPLAY_INIT", name_of(key()));
    knowledge_.pixmap_cache_id = message.pixmap_cache_id;
    knowledge_.pixmap_cache_size = message.pixmap_cache_size;
    knowledge_.glz_dictionary_id = message.glz_dictionary_id;
    knowledge_.glz_window =
        message.glz_window_size > 0 ? static_cast<std::uint32_t>(message.glz_window_size) : 0;
    use_dictionary();
    ready_ = true;
    send(display::InvalAllPalettes{});
    encoder_.forget_palettes();
    pump();
    return {};
}

void DisplayChannel::set_options(const EncoderOptions& options) {
    options_ = options;
    apply_options();
    if (options_.streaming == StreamVideo::off) end_videos();
}

void DisplayChannel::apply_options() {
    EncoderOptions options = options_;
    options.low_bandwidth = knowledge_.low_bandwidth;
    options.lz4_allowed = setup().client_caps.has(display::Capability::lz4_compression);
    // Who draws composites has the canvas that stock's clients share. spice-html5 has not, and
    // shows nothing of pictures with palettes.
    options.palettes_allowed = setup().client_caps.has(display::Capability::composite);
    if (is_known(knowledge_.preferred_compression))
        options.compression = knowledge_.preferred_compression;
    encoder_.set_options(options);
}

void DisplayChannel::use_dictionary() {
    encoder_.use_dictionary(caches_->dictionary(knowledge_.glz_dictionary_id, knowledge_.glz_window,
                                                knowledge_.glz_last_image_id));
}

// --- The line -----------------------------------------------------------------------------------

void DisplayChannel::message_sent(std::size_t bytes, bool ends_window) {
    line_.sent(bytes, ends_window, clock_.now());
}

void DisplayChannel::ack_synced() {
    line_.synced(clock_.now());
}

void DisplayChannel::window_acked() {
    line_.acked(clock_.now());
    if (line_.is_low() == knowledge_.low_bandwidth) return;
    knowledge_.low_bandwidth = line_.is_low();
    log_info("spice", "{}: the line is {} now: {} bit/s", name_of(key()),
             line_.is_low() ? "slow" : "fast", line_.bits_per_second().value_or(0));
    apply_options();
}

// --- What the guest half tells ------------------------------------------------------------------

void DisplayChannel::surface_created(std::uint32_t id) {
    copied_once_.erase(id);
    // One that was there before under this id has no pixel in common with the new one.
    const auto known = knowledge_.surfaces.find(id);
    const Surface* surface = guest_.surfaces().find(id);
    if (surface == nullptr) return;
    const bool is_as_it_was = waits_for_machine_ && surface->has_kept_pixels &&
                              known != knowledge_.surfaces.end() && known->second.fits(*surface);
    if (known != knowledge_.surfaces.end() && !is_as_it_was)
        known->second.stale = canvas::Region(surface->image.bounds());
    if (!is_as_it_was) end_streams(id);
    if (is_held()) {
        drawn_while_held_[id] =
            surface->has_kept_pixels ? canvas::Region() : canvas::Region(surface->image.bounds());
    }
}

void DisplayChannel::drawn(const Drawing& drawing) {
    const std::uint32_t surface = drawing.surface->id;
    if (is_held()) {
        canvas::Region& meanwhile = drawn_while_held_[surface];
        meanwhile.unite(drawing.region);
        meanwhile.simplify(kMostStaleRects);
    }
    for (auto* regions : {&resting_, &copied_once_}) {
        const auto found = regions->find(surface);
        if (found == regions->end()) continue;
        found->second.subtract(drawing.region);
        found->second.simplify(kMostStaleRects);
    }
    if (is_ready() && can_send_small() && send_operation(drawing)) return;
    const auto found = knowledge_.surfaces.find(surface);
    if (found == knowledge_.surfaces.end()) return;
    found->second.stale.unite(drawing.region);
    found->second.stale.simplify(kMostStaleRects);
}

void DisplayChannel::machine_arrived() {
    if (!waits_for_machine_) return;
    waits_for_machine_ = false;
    pump();
}

bool DisplayChannel::shows_this_machine() const {
    const auto known = knowledge_.surfaces.find(0);
    const Surface* primary = guest_.surfaces().find(0);
    return known != knowledge_.surfaces.end() && primary != nullptr && known->second.fits(*primary);
}

control::PictureStatus DisplayChannel::status() const {
    control::PictureStatus status;
    status.compression = name_of(encoder_.options().compression);
    status.images = encoder_.images();
    status.raw_bytes = encoder_.raw_bytes();
    status.encoded_bytes = encoder_.encoded_bytes();
    for (const ImageForm form : kImageForms) {
        if (const std::uint64_t images = encoder_.images_as(form); images != 0)
            status.forms[std::string(name_of(form))] = images;
    }
    status.encode_us = static_cast<std::uint64_t>(to_us(encode_time_));
    status.videos = streams_.size();
    status.frames = frames_;
    for (const auto& [id, known] : knowledge_.surfaces) {
        if (!is_shown(id)) continue;
        for (const canvas::Rect& rect : known.stale.rects())
            status.stale_pixels += static_cast<std::uint64_t>(rect.width() * rect.height());
    }
    status.low_bandwidth = line_.is_low();
    status.bits_per_second = line_.bits_per_second().value_or(0);
    return status;
}

// --- The image cache ----------------------------------------------------------------------------

// Pixels of images that this channel may have at the client.
std::uint64_t DisplayChannel::image_share() const {
    if (knowledge_.pixmap_cache_size <= 0) return 0;
    const std::int64_t size = std::min(knowledge_.pixmap_cache_size, kMostCachedPixels);
    return static_cast<std::uint64_t>(size) /
           static_cast<std::uint64_t>(std::max(1, caches_->channels()));
}

void DisplayChannel::forget_images(const std::vector<std::uint64_t>& ids) {
    for (std::size_t at = 0; at < ids.size();) {
        display::InvalList message;
        for (; at < ids.size() && message.resources.size() < display::kInvalResources; ++at) {
            display::ResourceId resource;
            resource.type = display::ResourceType::pixmap;
            resource.id = ids[at];
            message.resources.push_back(resource);
        }
        send(message);
    }
}

// Where another channel has emptied the cache, the client is told to wait for that first.
void DisplayChannel::await_empty_images() {
    const auto emptied = shared_images().emptied_since(images_generation_);
    if (!emptied) return;
    wire::common::WaitForChannels wait;
    wait.wait_list.push_back(*emptied);
    send(wait);
    knowledge_.images.take_all();
}

bool DisplayChannel::may_use_images() {
    return shared_images().may_use(key().id, images_generation_);
}

// False: the next message must not use the cache.
bool DisplayChannel::use_images() {
    return shared_images().use(key().id, images_generation_, messages_sent() + 1);
}

// The client kept images of another server's, and we do not know which.
void DisplayChannel::empty_images() {
    display::InvalAllPixmaps message;
    message.wait_list = shared_images().empty(key().id, messages_sent() + 1);
    send(message);
    (void)shared_images().emptied_since(images_generation_);
}

// Only ours: other displays of the client keep theirs. A device is reset before its machine arrives
// from another host, and the machine goes on with the images that it has.
void DisplayChannel::image_cache_reset() {
    if (waits_for_machine_ && !guest_.is_running()) return;
    forgot_images_meanwhile_ = expects_data();
    if (!is_migrating() && !frozen_) forget_images(knowledge_.images.take_all());
}

// --- The hand-over ------------------------------------------------------------------------------

// Nothing that the client says here is lost without a flush mark, once its DISPLAY_INIT was read:
// it costs a whole round trip. And where the target has the state already, the client needs no more
// than to switch.
std::uint32_t DisplayChannel::migrate_flags() const {
    using wire::common::MigrateFlags;
    if (is_carried()) return 0;
    const MigrateFlags flush = ready_ ? MigrateFlags{} : MigrateFlags::need_flush;
    return static_cast<std::uint32_t>(flush | MigrateFlags::need_data_transfer);
}

std::optional<Bytes> DisplayChannel::carried_state(bool freeze) {
    if (!ready_ || is_migrating()) return std::nullopt;
    if (freeze && !frozen_) leave_costly();
    // Once it stands in the state, no picture more may enter the dictionary.
    if (freeze) caches_->freeze();
    frozen_ = freeze;
    return migrate_data();
}

Bytes DisplayChannel::shown() const {
    wire::state::Shown made;
    for (const auto& [id, known] : knowledge_.surfaces) {
        const Surface* surface = guest_.surfaces().find(id);
        if (surface == nullptr || !known.fits(*surface)) continue;
        canvas::Region unlike = known.stale;
        unlike.unite(known.lossy);
        const TileDigests digests = TileDigests::of(surface->drawn_image(), unlike);
        if (digests.empty() || digests.values().size() > wire::state::kTiles) continue;
        if (made.surfaces.size() == wire::state::kSurfaces) break;
        wire::state::ShownSurface shown;
        shown.id = id;
        shown.width = static_cast<std::uint32_t>(known.width);
        shown.height = static_cast<std::uint32_t>(known.height);
        shown.tiles = digests.values();
        made.surfaces.push_back(std::move(shown));
    }
    return wire::encode(0, made).body();
}

Result<> DisplayChannel::take_shown(const wire::SharedBytes& shown) {
    if (ready_) return {};  // it was sent everything meanwhile
    auto read = TRY(wire::parse<wire::state::Shown>(shown));
    for (wire::state::ShownSurface& surface : read.surfaces) {
        if (surface.width > canvas::kMaxSide || surface.height > canvas::kMaxSide) continue;
        came_showing_[surface.id] =
            TileDigests::from(static_cast<std::int32_t>(surface.width),
                              static_cast<std::int32_t>(surface.height), std::move(surface.tiles));
    }
    return {};
}

// A machine that arrives draws its whole screen anew, and most of it is what the client shows.
void DisplayChannel::spare_what_is_shown() {
    for (const auto& [id, digests] : std::exchange(came_showing_, {})) {
        const auto known = knowledge_.surfaces.find(id);
        const Surface* surface = guest_.surfaces().find(id);
        if (known != knowledge_.surfaces.end() && surface != nullptr &&
            known->second.fits(*surface)) {
            digests.spare(surface->drawn_image(), known->second.stale);
        }
    }
}

void DisplayChannel::take_late_wish(ImageCompression wish) {
    if (!is_known(wish)) return;
    late_wish_ = knowledge_.preferred_compression = wish;
    apply_options();
}

void DisplayChannel::thaw() {
    if (!frozen_) return;
    frozen_ = false;
    caches_->thaw();
    pump();
}

Bytes DisplayChannel::migrate_data() {
    // Pictures of other channels are in it, too.
    if (encoder_.dictionary() != nullptr)
        knowledge_.glz_last_image_id = encoder_.dictionary()->next_id();
    note_paces();
    DisplayBlob blob;
    // The client counts one more: MIGRATE_DATA, or MIGRATE where the state goes beside it; and
    // before that the end of its streams.
    blob.message_serial = messages_sent() + (streams_.empty() ? 1 : 2);
    blob.knowledge = knowledge_;
    blob.is_freezer = shared_images().is_freezer(key().id);
    blob.image_uses = shared_images().last_uses();
    blob.has_lossy_list = encoder_.options().may_lose();
    return write_display_blob(blob);
}

void DisplayChannel::go_without_data() {
    ready_ = true;
    drawn_while_held_.clear();
}

// The channel went on without its state, and has sent what it shows. What is known here is newer;
// the caches, their content and the client's wishes only the other server could tell.
void DisplayChannel::add_knowledge(Knowledge late) {
    if (line_.bits_per_second()) late.low_bandwidth = knowledge_.low_bandwidth;
    if (is_known(knowledge_.preferred_compression))
        late.preferred_compression = knowledge_.preferred_compression;
    late.monitors = std::move(knowledge_.monitors);
    late.streams = std::move(knowledge_.streams);
    // Of surfaces that were not made anew here, nobody noted what was drawn meanwhile.
    for (auto& [id, known] : late.surfaces)
        known.stale = canvas::Region(canvas::Rect{0, 0, known.width, known.height});
    for (auto& [id, known] : knowledge_.surfaces)
        late.surfaces.insert_or_assign(id, std::move(known));
    knowledge_ = std::move(late);
}

Result<> DisplayChannel::restore(const wire::SharedBytes& blob) {
    DisplayBlob read = TRY(read_display_blob(blob));
    // What was sent here already the client has counted, too.
    set_serial(read.message_serial + messages_sent());
    const auto streams = std::exchange(read.knowledge.streams, {});
    if (ready_) {
        add_knowledge(std::move(read.knowledge));
    } else {
        knowledge_ = std::move(read.knowledge);
    }
    if (late_wish_) knowledge_.preferred_compression = *late_wish_;
    line_.assume_low(knowledge_.low_bandwidth);
    apply_options();
    use_dictionary();
    ready_ = true;
    shared_images().came(read.image_uses);
    if (!read.keeps_images) {
        shared_images().close();
        if (read.is_freezer) empty_images();
    }
    if (forgot_images_meanwhile_) forget_images(knowledge_.images.take_all());
    send(display::InvalAllPalettes{});
    encoder_.forget_palettes();
    for (auto& [id, known] : knowledge_.surfaces) {
        // What the device showed before the machine came is no drawing of the machine.
        const Surface* surface = guest_.surfaces().find(id);
        const auto drawn = drawn_while_held_.find(id);
        if (surface != nullptr && known.fits(*surface) && drawn != drawn_while_held_.end())
            known.stale.unite(drawn->second);
    }
    drawn_while_held_.clear();
    for (const auto& [id, stream] : streams)
        begin_stream(stream.surface, stream.area, stream.pace);
    return {};
}

}  // namespace segue::spice::server
