// SPDX-License-Identifier: LGPL-2.1-or-later
// What is drawn over the guest's picture: statistics, a notice for a moment, a question for the
// password. Dear ImGui lays it out; SDL draws its triangles.
#pragma once

#include <SDL.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace segue::viewer {

struct OverlayText {
    std::vector<std::pair<std::string, std::string>> statistics;  // name and value
    std::string notice;
};

class Overlay {
  public:
    using OnPassword = std::function<void(const std::string&)>;

    Overlay(SDL_Window* window, SDL_Renderer* renderer);
    ~Overlay();
    Overlay(const Overlay&) = delete;
    Overlay& operator=(const Overlay&) = delete;

    // True when the event was meant for a question that is open.
    bool handle(const SDL_Event& event);
    void draw(const OverlayText& text);

    // Opens the question; the answer comes while drawing. Cancelled: an empty function call never.
    void ask_password(const std::string& host, OnPassword on_password);
    bool is_asking() const { return on_password_ != nullptr; }

  private:
    void lay_out(const OverlayText& text);
    void lay_out_question();
    void render();

    static constexpr std::size_t kMaxPassword = 60;  // SPICE_MAX_PASSWORD_LENGTH

    SDL_Window* window_;
    SDL_Renderer* renderer_;
    SDL_Texture* font_ = nullptr;
    void* context_ = nullptr;  // ImGuiContext
    std::string host_;
    OnPassword on_password_;
    char password_[kMaxPassword + 1] = {};
    bool question_is_new_ = false;
};

}  // namespace segue::viewer
