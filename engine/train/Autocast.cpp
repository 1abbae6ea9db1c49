#include "engine/train/Autocast.h"

#include <ATen/autocast_mode.h>

namespace lockstep {

Autocast::Autocast(Precision precision) : on_(precision == Precision::kBf16 || precision == Precision::kFp16) {
  if (!on_) return;
  at::autocast::set_autocast_dtype(at::kCPU, precision == Precision::kBf16 ? at::kBFloat16 : at::kHalf);
  at::autocast::set_autocast_enabled(at::kCPU, true);
  at::autocast::set_autocast_cache_enabled(true);
}

Autocast::~Autocast() {
  if (!on_) return;
  at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(at::kCPU, false);
}

}  // namespace lockstep
