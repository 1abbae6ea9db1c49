// How a report looks, and what happens in it under the pointer.
#pragma once

namespace lockstep {

extern const char* const kReportStyle;   ///< CSS
extern const char* const kReportScript;  ///< JavaScript

}  // namespace lockstep
