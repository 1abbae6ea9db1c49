// Runs as one page that a browser shows without a network.
#pragma once

#include <string>
#include <vector>

#include "engine/report/RunHistory.h"

namespace lockstep {

/// HTML with all it needs in it: charts as inline SVG, in light and dark colours as the reader's system asks, and the
/// numbers of the charts and of the runs as JSON in the element `data`. Of several runs, the page compares them.
/// Pictures are read from beside the runs' files; one that is not there is left out.
std::string report_page(const std::vector<RunHistory>& runs);

}  // namespace lockstep
