// SPDX-License-Identifier: LGPL-2.1-or-later
#include "daemon/protection/promotions.h"

#include <filesystem>
#include <fstream>

#include "base/log.h"

namespace segue {
namespace {

std::string path_of(const Services& services) {
    return services.settings.state + "/promotions.json";
}

Json read_figures(const Services& services) {
    std::ifstream file(path_of(services));
    const std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    auto json = Json::parse(text);
    return json && json->is_object() ? std::move(*json) : Json::object();
}

}  // namespace

std::optional<PromotionFigure> last_promotion(const Services& services, const Uuid& domain,
                                              bool prestarted) {
    const Json figures = read_figures(services);
    const Json* found = figures.find(domain.text());
    if (found == nullptr || found->flag("was_prestarted") != prestarted) return std::nullopt;
    const PromotionFigure figure{found->i64("took_us"), prestarted};
    return figure.took_us > 0 ? std::optional(figure) : std::nullopt;
}

void note_promotion(const Services& services, const Uuid& domain, const PromotionFigure& figure) {
    Json figures = read_figures(services);
    figures.set(domain.text(), Json::object({{"took_us", figure.took_us},
                                             {"was_prestarted", figure.was_prestarted}}));
    const std::string path = path_of(services);
    // Whole, or as it was.
    std::ofstream(path + ".new", std::ios::trunc) << figures.dump() << '\n';
    std::error_code code;
    std::filesystem::rename(path + ".new", path, code);
    if (code) log_warning("daemon", "'{}' cannot be written: {}", path, code.message());
}

}  // namespace segue
