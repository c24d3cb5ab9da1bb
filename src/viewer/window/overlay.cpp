// SPDX-License-Identifier: LGPL-2.1-or-later
#include "viewer/window/overlay.h"

#include <backends/imgui_impl_sdl.h>
#include <imgui.h>

#include <algorithm>

namespace segue::viewer {
namespace {

constexpr float kMargin = 10;
constexpr ImGuiWindowFlags kPlain =
    ImGuiWindowFlags_NoDecoration | ImGuiWindowFlags_NoInputs | ImGuiWindowFlags_AlwaysAutoResize |
    ImGuiWindowFlags_NoNav | ImGuiWindowFlags_NoFocusOnAppearing | ImGuiWindowFlags_NoSavedSettings;

}  // namespace

Overlay::Overlay(SDL_Window* window, SDL_Renderer* renderer)
    : window_(window), renderer_(renderer) {
    IMGUI_CHECKVERSION();
    // A context for each window; only the first one that is made is the current one by itself.
    ImGuiContext* context = ImGui::CreateContext();
    ImGui::SetCurrentContext(context);
    context_ = context;
    ImGui::GetIO().IniFilename = nullptr;
    ImGui::StyleColorsDark();
    ImGui_ImplSDL2_InitForSDLRenderer(window_);
    unsigned char* pixels = nullptr;
    int width = 0, height = 0;
    ImGui::GetIO().Fonts->GetTexDataAsRGBA32(&pixels, &width, &height);
    font_ = SDL_CreateTexture(renderer_, SDL_PIXELFORMAT_ABGR8888, SDL_TEXTUREACCESS_STATIC, width,
                              height);
    if (font_) {
        SDL_UpdateTexture(font_, nullptr, pixels, 4 * width);
        SDL_SetTextureBlendMode(font_, SDL_BLENDMODE_BLEND);
    }
    ImGui::GetIO().Fonts->SetTexID(font_);
}

Overlay::~Overlay() {
    ImGui::SetCurrentContext(static_cast<ImGuiContext*>(context_));
    ImGui_ImplSDL2_Shutdown();
    if (font_) SDL_DestroyTexture(font_);
    ImGui::DestroyContext(static_cast<ImGuiContext*>(context_));
}

bool Overlay::handle(const SDL_Event& event) {
    if (!is_asking()) return false;
    ImGui::SetCurrentContext(static_cast<ImGuiContext*>(context_));
    ImGui_ImplSDL2_ProcessEvent(&event);
    return event.type == SDL_KEYDOWN || event.type == SDL_KEYUP || event.type == SDL_TEXTINPUT ||
           event.type == SDL_MOUSEBUTTONDOWN || event.type == SDL_MOUSEBUTTONUP ||
           event.type == SDL_MOUSEMOTION || event.type == SDL_MOUSEWHEEL;
}

void Overlay::ask_password(const std::string& host, OnPassword on_password) {
    host_ = host;
    on_password_ = std::move(on_password);
    std::fill(std::begin(password_), std::end(password_), '\0');
    question_is_new_ = true;
    SDL_ShowCursor(SDL_ENABLE);
}

void Overlay::draw(const OverlayText& text) {
    if (text.statistics.empty() && text.notice.empty() && !is_asking()) return;
    ImGui::SetCurrentContext(static_cast<ImGuiContext*>(context_));
    ImGui_ImplSDL2_NewFrame();
    ImGui::NewFrame();
    lay_out(text);
    if (is_asking()) lay_out_question();
    ImGui::Render();
    render();
}

void Overlay::lay_out(const OverlayText& text) {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    if (!text.statistics.empty()) {
        ImGui::SetNextWindowPos({kMargin, kMargin});
        ImGui::SetNextWindowBgAlpha(0.75f);
        if (ImGui::Begin("statistics", nullptr, kPlain)) {
            for (const auto& [name, value] : text.statistics) {
                ImGui::TextUnformatted(name.c_str());
                ImGui::SameLine(110);
                ImGui::TextUnformatted(value.c_str());
            }
        }
        ImGui::End();
    }
    if (text.notice.empty()) return;
    ImGui::SetNextWindowPos({size.x / 2, size.y - kMargin}, ImGuiCond_Always, {0.5f, 1.0f});
    ImGui::SetNextWindowBgAlpha(0.75f);
    if (ImGui::Begin("notice", nullptr, kPlain)) {
        ImGui::PushTextWrapPos(std::max(size.x - 4 * kMargin, 10 * kMargin));
        ImGui::TextUnformatted(text.notice.c_str());
        ImGui::PopTextWrapPos();
    }
    ImGui::End();
}

void Overlay::lay_out_question() {
    const ImVec2 size = ImGui::GetIO().DisplaySize;
    ImGui::SetNextWindowPos({size.x / 2, size.y / 2}, ImGuiCond_Always, {0.5f, 0.5f});
    ImGui::Begin("Password", nullptr,
                 ImGuiWindowFlags_NoCollapse | ImGuiWindowFlags_NoMove |
                     ImGuiWindowFlags_AlwaysAutoResize | ImGuiWindowFlags_NoSavedSettings);
    ImGui::Text("Password for %s", host_.c_str());
    if (std::exchange(question_is_new_, false)) ImGui::SetKeyboardFocusHere();
    bool answered =
        ImGui::InputText("##password", password_, sizeof password_,
                         ImGuiInputTextFlags_Password | ImGuiInputTextFlags_EnterReturnsTrue);
    ImGui::SameLine();
    answered = ImGui::Button("Connect") || answered;
    ImGui::End();
    if (!answered) return;
    const auto on_password = std::exchange(on_password_, nullptr);
    const std::string password = password_;
    std::fill(std::begin(password_), std::end(password_), '\0');
    on_password(password);
}

// Indexed triangles, each list of them cut to its own box.
void Overlay::render() {
    const ImDrawData* data = ImGui::GetDrawData();
    // The library counts in points, the renderer in pixels.
    const float scale_x = data->FramebufferScale.x, scale_y = data->FramebufferScale.y;
    SDL_RenderSetScale(renderer_, scale_x, scale_y);
    for (int index = 0; index < data->CmdListsCount; ++index) {
        const ImDrawList* list = data->CmdLists[index];
        for (const ImDrawCmd& command : list->CmdBuffer) {
            const ImVec4& clip = command.ClipRect;
            const SDL_Rect box{static_cast<int>(clip.x), static_cast<int>(clip.y),
                               static_cast<int>(clip.z - clip.x),
                               static_cast<int>(clip.w - clip.y)};
            if (box.w <= 0 || box.h <= 0) continue;
            SDL_RenderSetClipRect(renderer_, &box);
            const ImDrawVert* vertices = list->VtxBuffer.Data + command.VtxOffset;
            SDL_RenderGeometryRaw(renderer_, static_cast<SDL_Texture*>(command.GetTexID()),
                                  &vertices->pos.x, sizeof(ImDrawVert),
                                  reinterpret_cast<const SDL_Color*>(&vertices->col),
                                  sizeof(ImDrawVert), &vertices->uv.x, sizeof(ImDrawVert),
                                  list->VtxBuffer.Size - static_cast<int>(command.VtxOffset),
                                  list->IdxBuffer.Data + command.IdxOffset,
                                  static_cast<int>(command.ElemCount), sizeof(ImDrawIdx));
        }
    }
    SDL_RenderSetClipRect(renderer_, nullptr);
    SDL_RenderSetScale(renderer_, 1, 1);
}

}  // namespace segue::viewer
