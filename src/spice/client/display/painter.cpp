// SPDX-License-Identifier: LGPL-2.1-or-later
#include "spice/client/display/painter.h"

namespace segue::spice::client {

std::shared_ptr<Painter> Painter::make(Loop& loop, DrawingQueue& queue,
                                       std::shared_ptr<SharedCaches> shared, OnNews on_news) {
    return std::shared_ptr<Painter>(
        new Painter(loop, queue, std::move(shared), std::move(on_news)));
}

Painter::Painter(Loop& loop, DrawingQueue& queue, std::shared_ptr<SharedCaches> shared,
                 OnNews on_news)
    : loop_(loop),
      queue_(queue),
      on_news_(std::move(on_news)),
      shared_(std::move(shared)),
      renderer_(*shared_) {}

void Painter::enqueue(std::uint16_t number, wire::SharedBytes body, std::uint64_t generation) {
    queue_.post([self = shared_from_this(), number, body = std::move(body), generation] {
        self->draw({number, body, generation});
    });
}

void Painter::draw(Message message) {
    const std::uint64_t decoded_before = shared_->glz_decoded;
    if (!deferred_.empty() || !try_draw(message)) {
        deferred_bytes_ += message.body.size() + sizeof message;
        deferred_.push_back(std::move(message));
        if (deferred_bytes_ > kMaxDeferredBytes) {
            gather(nullptr, fail(ErrorCode::limit_exceeded,
                                 "more than {} bytes wait for a picture of another display",
                                 kMaxDeferredBytes));
        }
        if (deferred_.size() == 1) shared_->waiting.push_back(weak_from_this());
        return;
    }
    wake_waiting(decoded_before);
}

// What one of them decodes may be what another waits for.
void Painter::wake_waiting(std::uint64_t decoded_before) {
    while (shared_->glz_decoded != decoded_before && !shared_->waiting.empty()) {
        decoded_before = shared_->glz_decoded;
        const auto waiting = std::exchange(shared_->waiting, {});
        for (const auto& painter : waiting) {
            if (const auto one = painter.lock()) one->draw_deferred();
        }
    }
}

bool Painter::try_draw(const Message& message) {
    shared_->glz_waits_for.reset();
    const Result<> result = broken_ ? Result<>{} : renderer_.handle(message.number, message.body);
    if (shared_->glz_waits_for) return false;
    gather(&message, result);
    return true;
}

void Painter::draw_deferred() {
    while (!deferred_.empty() && try_draw(deferred_.front())) {
        deferred_bytes_ -= deferred_.front().body.size() + sizeof(Message);
        deferred_.pop_front();
    }
    if (!deferred_.empty()) shared_->waiting.push_back(weak_from_this());
}

void Painter::gather(const Message* handled, const Result<>& result) {
    SurfaceStore& surfaces = renderer_.surfaces();
    const std::lock_guard lock(mutex_);
    if (handled != nullptr) {
        ++news_.messages;
        news_.bytes += handled->body.size();
        generation_ = handled->generation;
    }
    news_.generation = generation_;
    if (!result) {
        broken_ = true;
        news_.error = result.error();
    }
    news_.damage.unite(surfaces.take_damage());
    const canvas::Image* shown = surfaces.shown();
    news_.width = shown ? shown->width() : 0;
    news_.height = shown ? shown->height() : 0;
    news_.waiting_for_picture = surfaces.is_waiting_for_picture();
    news_.has_primary = surfaces.has_primary();
    news_.codec = renderer_.codec();
    if (renderer_.take_heads_changed()) news_.heads = renderer_.heads();
    if (std::exchange(news_posted_, true)) return;
    loop_.post([self = shared_from_this()] { self->deliver(); });
}

void Painter::deliver() {
    DisplayNews news;
    {
        const std::lock_guard lock(mutex_);
        news = std::exchange(news_, {});
        news_posted_ = false;
    }
    if (on_news_) on_news_(std::move(news));
}

void Painter::reset(bool keep_picture) {
    queue_.post([self = shared_from_this(), keep_picture] {
        self->renderer_.reset(keep_picture);
        self->broken_ = false;
        self->forget_deferred();
    });
}

// Whoever counts what is pending hears that they are done with.
void Painter::forget_deferred() {
    for (const Message& message : std::exchange(deferred_, {}))
        gather(&message, {});
    deferred_bytes_ = 0;
}

void Painter::complete_picture() {
    queue_.post([self = shared_from_this()] {
        self->renderer_.surfaces().complete();
        self->gather(nullptr, {});
    });
}

void Painter::look(const std::function<void(const canvas::Image*)>& action) {
    const auto lock = renderer_.surfaces().hold();
    action(renderer_.surfaces().shown());
}

}  // namespace segue::spice::client
