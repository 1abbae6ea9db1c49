// The parts of a report that are no charts.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/report/RunHistory.h"

namespace lockstep {

// All return HTML, but for the texts; "" where the run has nothing to show.

/// What runs are called: the jobs' names, else their directories, told apart where they are the same.
std::vector<std::string> names_of(const std::vector<RunHistory>& runs);
std::string state_text(const RunHistory& run);
/// Of kStepPhases.
std::string phase_text(std::size_t phase);
std::size_t phase_colour(std::size_t phase);

std::string run_header(const RunHistory& run);
/// Results side by side, and the hyperparameters in which the runs differ.
std::string comparison_header(const std::vector<RunHistory>& runs);
/// Each rank's step by phase, and whether one holds up the others.
std::string rank_card(const RunHistory& run);
/// Each run's step by phase.
std::string steps_card(const std::vector<RunHistory>& runs);
std::string memory_card(const RunHistory& run);
std::string matrix_cards(const RunHistory& run);
std::string pictures_card(const RunHistory& run);
std::string evaluations_part(const RunHistory& run);
std::string facts_part(const RunHistory& run);

}  // namespace lockstep
