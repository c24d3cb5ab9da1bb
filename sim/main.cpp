// SPDX-License-Identifier: LGPL-2.1-or-later
// segue-sim: thousands of small clusters under one seed.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>

#include "sim/handover/run.h"
#include "sim/protection.h"
#include "sim/run.h"

namespace {

// FNV-1a over the digests of the runs.
std::uint64_t fold(std::uint64_t all, std::uint64_t one) {
    for (int byte = 0; byte < 8; ++byte) {
        all = (all ^ (one >> (8 * byte) & 0xff)) * 0x100000001b3;
    }
    return all;
}

// Worlds of their own, run only by name.
constexpr const char* kProtection = "protection";
constexpr const char* kHandover = "handover";

struct OwnRun {
    std::vector<std::string> violations;
    std::uint64_t digest = 0;
    std::string story;
    std::uint64_t tally = 0;
};
struct OwnWorld {
    const char* name;
    const char* tally;  // what is counted
    OwnRun (*run)(std::uint64_t seed, bool verbose);
};

// One protected guest, its agent and its standby.
OwnRun run_protection(std::uint64_t seed, bool verbose) {
    auto result = segue::sim::run_protection({.seed = seed, .verbose = verbose});
    return {std::move(result.violations), result.digest, "", result.promoted ? 1u : 0u};
}

// One machine that moves, and the client that shows it.
OwnRun run_handover(std::uint64_t seed, bool verbose) {
    auto result =
        segue::sim::handover::run_once(seed, segue::sim::handover::Mistake::none, verbose);
    const int followed = result.seamless + result.semi_seamless;
    return {std::move(result.violations), result.digest, std::move(result.story),
            static_cast<std::uint64_t>(followed)};
}

constexpr OwnWorld kOwnWorlds[] = {{kProtection, "promotions", run_protection},
                                   {kHandover, "hand-overs", run_handover}};

int run_own_world(const OwnWorld& world, std::uint64_t seed, std::uint64_t runs, bool verbose) {
    std::uint64_t digest = 0xcbf29ce484222325;
    std::uint64_t violations = 0, run = 0, tally = 0;
    while (run < runs && violations == 0) {
        const std::uint64_t own = seed + run++;
        const OwnRun result = world.run(own, verbose);
        digest = fold(digest, result.digest);
        tally += result.tally;
        violations += result.violations.size();
        for (const std::string& what : result.violations) {
            fmt::print("seed {} (scenario {}{}{}): {}\n", own, world.name,
                       result.story.empty() ? "" : "; ", result.story, what);
        }
    }
    fmt::print("{} {}\n", tally, world.tally);
    fmt::print("{} runs, {} violations, seed {}, digest {:016x}\n", run, violations, seed, digest);
    return violations == 0 ? 0 : 1;
}

std::string scenario_list() {
    std::string text = "Scenarios (default: each run picks one by its seed):\n";
    for (const auto& each : segue::sim::scenarios()) {
        text += fmt::format("  {:<12} {}\n", each.name, each.meaning);
    }
    text += fmt::format("  {:<12} {}\n", kProtection,
                        "a protected guest, its agent and its standby, one fault (only by name)");
    text += fmt::format("  {:<12} {}\n", kHandover,
                        "a machine that moves, its SPICE servers and client, one fault (only by "
                        "name)");
    return text;
}

}  // namespace

int main(int argc, char** argv) {
    using namespace segue::sim;
    CLI::App app(
        "Simulates migrations between hosts under faults, and checks that no guest ever "
        "runs twice, is lost, or leaves something behind.",
        "segue-sim");
    std::string name;
    std::uint64_t seed = 1;
    std::uint64_t runs = 20000;
    double seconds = 0;
    bool verbose = false;
    app.add_option("--scenario", name, "Only this scenario");
    app.add_option("--seed", seed, "Seed of the first run; the others follow (default 1)");
    auto* runs_option = app.add_option("--runs", runs, "How many runs (default 20000)");
    app.add_option("--seconds", seconds, "As many runs as fit into this time, in place of --runs")
        ->excludes(runs_option);
    app.add_flag("--verbose", verbose, "Print what happens");
    app.footer(scenario_list());
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return app.exit(error) == 0 ? 0 : 2;
    }

    for (const OwnWorld& world : kOwnWorlds) {
        if (name == world.name) return run_own_world(world, seed, runs, verbose);
    }
    RunOptions options;
    options.verbose = verbose;
    if (!name.empty() && (options.scenario = scenario_named(name)) == nullptr) {
        fmt::print(stderr, "segue-sim: no scenario '{}': see --help\n", name);
        return 2;
    }
    std::uint64_t digest = 0xcbf29ce484222325;
    std::uint64_t violations = 0;
    std::uint64_t migrations = 0, succeeded = 0, unresolved = 0;
    std::uint64_t run = 0;
    // The bound is real time; everything in a run is virtual.
    const segue::SystemClock clock;
    const auto bound =
        std::chrono::duration_cast<segue::Duration>(std::chrono::duration<double>(seconds));
    const segue::Instant end = clock.now() + bound;
    const auto goes_on = [&] { return seconds > 0 ? clock.now() < end : run < runs; };
    while (violations == 0 && goes_on()) {
        options.seed = seed + run++;
        const RunResult result = run_once(options);
        digest = fold(digest, result.digest);
        migrations += static_cast<std::uint64_t>(result.migrations);
        succeeded += static_cast<std::uint64_t>(result.succeeded);
        unresolved += static_cast<std::uint64_t>(result.unresolved);
        violations += result.violations.size();
        for (const std::string& what : result.violations) {
            fmt::print("seed {} (scenario {}): {}\n", options.seed, result.scenario, what);
        }
        if (!result.violations.empty()) {
            fmt::print("replay: segue-sim --seed {} --runs 1 --verbose{}\n", options.seed,
                       name.empty() ? "" : " --scenario " + name);
        }
    }
    fmt::print("{} migrations, {} succeeded, {} needed an operator\n", migrations, succeeded,
               unresolved);
    fmt::print("{} runs, {} violations, seed {}, digest {:016x}\n", run, violations, seed, digest);
    return violations == 0 ? 0 : 1;
}
