// What of a program a format can hold.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "engine/artifacts/Artifact.h"

namespace lockstep {

struct FormatSupport {
  std::string refusal;  ///< of the program as a whole, as Artifact::check says it; "" where it can be written
  /// Operators by their targets, `torch.ops.aten.lgamma.default`, that the format does not hold as this program calls
  /// them, and why: all of them, where `refusal` is about an operator.
  std::map<std::string, std::string> operators;
};

/// `program` is in its inference form. `probes` as for Artifact::check.
FormatSupport format_support(const Program& program, const Artifact& artifact, const std::vector<Probe>& probes);

}  // namespace lockstep
