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
        self->draw(number, body, generation);
    });
}

void Painter::draw(std::uint16_t number, const wire::SharedBytes& body, std::uint64_t generation) {
    const std::lock_guard lock(mutex_);
    const Result<> result = broken_ ? Result<>{} : renderer_.handle(number, body);
    gather(body.size(), generation, result);
}

void Painter::gather(std::size_t bytes, std::uint64_t generation, const Result<>& result) {
    ++news_.messages;
    news_.bytes += bytes;
    news_.generation = generation;
    if (!result) {
        broken_ = true;
        news_.error = result.error();
    }
    SurfaceStore& surfaces = renderer_.surfaces();
    news_.damage.unite(surfaces.take_damage());
    const canvas::Image* shown = surfaces.shown();
    news_.width = shown ? shown->width() : 0;
    news_.height = shown ? shown->height() : 0;
    news_.waiting_for_picture = surfaces.is_waiting_for_picture();
    news_.has_primary = surfaces.has_primary();
    if (renderer_.take_heads_changed()) news_.heads = renderer_.heads();
    if (news_posted_) return;
    news_posted_ = true;
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
        const std::lock_guard lock(self->mutex_);
        self->renderer_.reset(keep_picture);
        self->broken_ = false;
    });
}

void Painter::complete_picture() {
    queue_.post([self = shared_from_this()] {
        const std::lock_guard lock(self->mutex_);
        self->renderer_.surfaces().complete();
        self->gather(0, self->news_.generation, {});
    });
}

void Painter::look(const std::function<void(const canvas::Image*)>& action) {
    const std::lock_guard lock(mutex_);
    action(renderer_.surfaces().shown());
}

}  // namespace segue::spice::client
