// SPDX-License-Identifier: LGPL-2.1-or-later
// The three faces of a timeline: text, JSON, SVG.
#include <fmt/format.h>

#include <algorithm>

#include "observe/json_text.h"
#include "observe/timeline.h"

namespace segue {
namespace {

constexpr int kBarColumns = 40;

double in_ms(Duration duration) {
    return static_cast<double>(to_us(duration)) / 1000.0;
}

// Bars of all phases share one scale; a phase too short to see still gets one mark.
std::string bar(Duration start, Duration end, Duration whole) {
    if (whole <= Duration{}) return "";
    const auto column = [&](Duration at) {
        return static_cast<int>(kBarColumns * in_ms(at) / in_ms(whole));
    };
    const int first = std::min(column(start), kBarColumns - 1);
    const int last = std::max(first + 1, std::min(column(end), kBarColumns));
    return std::string(static_cast<std::size_t>(first), ' ') +
           std::string(static_cast<std::size_t>(last - first), '#');
}

std::string xml_escaped(std::string_view text) {
    std::string out;
    for (const char character : text) {
        switch (character) {
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '&': out += "&amp;"; break;
            case '"': out += "&quot;"; break;
            default: out += static_cast<unsigned char>(character) < 0x20 ? ' ' : character;
        }
    }
    return out;
}

const char* colour_of(std::string_view where) {
    if (where == "source") return "#3b6ea5";
    if (where == "destination") return "#3f8f4f";
    if (where == "viewer") return "#b8642b";
    return "#777777";
}

// Layout of the picture, in pixels.
constexpr int kLabelWidth = 210, kChartWidth = 640, kRow = 22, kTop = 58, kRight = 90;

std::string svg_rows(const Timeline& timeline, double scale) {
    std::string out;
    int y = kTop;
    for (const Timeline::Phase& phase : timeline.phases()) {
        const double from = in_ms(phase.start);
        const double to = in_ms(phase.end.value_or(timeline.length()));
        const double x = kLabelWidth + from * scale;
        const double width = std::max(1.5, (to - from) * scale);
        out +=
            fmt::format("<text x='{}' y='{}' text-anchor='end'>{} · {}</text>\n", kLabelWidth - 8,
                        y + 15, xml_escaped(phase.name), xml_escaped(phase.where));
        out += fmt::format("<rect x='{:.1f}' y='{}' width='{:.1f}' height='{}' fill='{}'/>\n", x,
                           y + 3, width, kRow - 7, colour_of(phase.where));
        out += fmt::format("<text x='{:.1f}' y='{}' class='t'>{:.1f} ms</text>\n", x + width + 4,
                           y + 15, to - from);
        y += kRow;
    }
    for (const Timeline::Mark& mark : timeline.marks()) {
        const double x = kLabelWidth + in_ms(mark.at) * scale;
        out +=
            fmt::format("<text x='{}' y='{}' text-anchor='end'>{} · {}</text>\n", kLabelWidth - 8,
                        y + 15, xml_escaped(mark.name), xml_escaped(mark.where));
        out += fmt::format("<circle cx='{:.1f}' cy='{}' r='4' fill='{}'/>\n", x, y + 11,
                           colour_of(mark.where));
        out += fmt::format("<text x='{:.1f}' y='{}' class='t'>at {:.1f} ms</text>\n", x + 8, y + 15,
                           in_ms(mark.at));
        y += kRow;
    }
    return out;
}

}  // namespace

std::string timeline_text(const Timeline& timeline) {
    const Duration whole = timeline.length();
    std::string out =
        fmt::format("{}: {}{:.1f} ms\n", timeline.title(),
                    timeline.outcome().empty() ? "" : timeline.outcome() + ", ", in_ms(whole));
    for (const Timeline::Phase& phase : timeline.phases()) {
        const Duration end = phase.end.value_or(whole);
        out +=
            fmt::format("  {:<20} {:<11} {:>8.1f} ms {:>8.1f} ms  |{:<{}}|{}\n", phase.name,
                        phase.where, in_ms(phase.start), in_ms(end - phase.start),
                        bar(phase.start, end, whole), kBarColumns, phase.end ? "" : " not ended");
    }
    for (const Timeline::Mark& mark : timeline.marks()) {
        out += fmt::format("  {:<20} {:<11} {:>8.1f} ms\n", mark.name, mark.where, in_ms(mark.at));
    }
    for (const Timeline::Number& number : timeline.numbers())
        out += fmt::format("  {} = {}\n", number.name, number.value);
    return out;
}

std::string timeline_json(const Timeline& timeline) {
    std::string out =
        fmt::format("{{\"title\":{},\"outcome\":{},\"wall_ms\":{},\"length_us\":{},\"phases\":[",
                    json_quoted(timeline.title()), json_quoted(timeline.outcome()),
                    timeline.wall_ms(), to_us(timeline.length()));
    const char* comma = "";
    for (const Timeline::Phase& phase : timeline.phases()) {
        out += fmt::format("{}{{\"name\":{},\"where\":{},\"start_us\":{}", comma,
                           json_quoted(phase.name), json_quoted(phase.where), to_us(phase.start));
        if (phase.end) out += fmt::format(",\"end_us\":{}", to_us(*phase.end));
        out += '}';
        comma = ",";
    }
    out += "],\"marks\":[";
    comma = "";
    for (const Timeline::Mark& mark : timeline.marks()) {
        out += fmt::format("{}{{\"name\":{},\"where\":{},\"at_us\":{}}}", comma,
                           json_quoted(mark.name), json_quoted(mark.where), to_us(mark.at));
        comma = ",";
    }
    out += "],\"numbers\":{";
    comma = "";
    for (const Timeline::Number& number : timeline.numbers()) {
        out += fmt::format("{}{}:{}", comma, json_quoted(number.name), number.value);
        comma = ",";
    }
    return out + "}}";
}

std::string timeline_svg(const Timeline& timeline) {
    const double whole_ms = std::max(1.0, in_ms(timeline.length()));
    const double scale = kChartWidth / whole_ms;
    const std::size_t rows = timeline.phases().size() + timeline.marks().size();
    const int chart_bottom = kTop + static_cast<int>(rows) * kRow;
    const int height = chart_bottom + 24 + (timeline.numbers().empty() ? 0 : 22);
    std::string out = fmt::format(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{0}' height='{1}' viewBox='0 0 {0} {1}'>\n"
        "<style>text{{font:12px sans-serif;fill:#222}}.h{{font-size:16px;font-weight:bold}}"
        ".t{{fill:#666;font-size:11px}}</style>\n"
        "<rect width='100%' height='100%' fill='#ffffff'/>\n"
        "<text x='12' y='24' class='h'>{2}</text>\n<text x='12' y='44' class='t'>{3}</text>\n",
        kLabelWidth + kChartWidth + kRight, height, xml_escaped(timeline.title()),
        xml_escaped(fmt::format("{} in {:.1f} ms", timeline.outcome(), whole_ms)));
    for (int tick = 0; tick <= 4; ++tick) {
        const double x = kLabelWidth + kChartWidth * tick / 4.0;
        out += fmt::format(
            "<line x1='{0:.1f}' y1='{1}' x2='{0:.1f}' y2='{2}' stroke='#dddddd'/>\n"
            "<text x='{0:.1f}' y='{3}' text-anchor='middle' class='t'>{4:.0f} ms</text>\n",
            x, kTop, chart_bottom, chart_bottom + 14, whole_ms * tick / 4.0);
    }
    out += svg_rows(timeline, scale);
    std::string numbers;
    for (const Timeline::Number& number : timeline.numbers())
        numbers += fmt::format("{} {}   ", number.name, number.value);
    if (!numbers.empty()) {
        out += fmt::format("<text x='12' y='{}' class='t'>{}</text>\n", height - 10,
                           xml_escaped(numbers));
    }
    return out + "</svg>\n";
}

}  // namespace segue
