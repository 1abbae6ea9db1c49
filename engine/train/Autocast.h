// Lower precision where it does no harm.
#pragma once

#include "job/Hyperparameters.h"

namespace lockstep {

/// While it lives, PyTorch's autocast is on for this thread with precision bf16 or fp16, and nothing changes with fp32
/// and fp64: its lists say which operators compute in the lower precision and which in float32, and parameters stay
/// float32. Forward and nothing else should run in it: backward follows the types that forward used. Casts of
/// parameters are kept until it ends, so it must end before parameters change.
class Autocast {
 public:
  explicit Autocast(Precision precision);
  ~Autocast();
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool on_;
};

}  // namespace lockstep
