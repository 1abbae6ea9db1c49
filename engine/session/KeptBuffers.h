// A program run for a trial.
#pragma once

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "engine/program/Program.h"

namespace lockstep {

/// A program's buffers are at the end of this what they were at its beginning.
class KeptBuffers {
 public:
  explicit KeptBuffers(const Program& program) {
    for (const StateTensor& entry : program.state()) {
      if (entry.kind == InputKind::kBuffer) buffers_.emplace_back(entry.tensor, entry.tensor.clone());
    }
  }
  KeptBuffers(const KeptBuffers&) = delete;
  KeptBuffers& operator=(const KeptBuffers&) = delete;
  ~KeptBuffers() {
    for (const auto& [buffer, before] : buffers_) buffer.copy_(before);
  }

 private:
  std::vector<std::pair<at::Tensor, at::Tensor>> buffers_;
};

}  // namespace lockstep
