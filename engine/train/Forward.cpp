#include "engine/train/Forward.h"

#include <ATen/autocast_mode.h>

namespace lockstep {

namespace {

class Autocast {
 public:
  explicit Autocast(Precision precision) : on_(precision == Precision::kBf16 || precision == Precision::kFp16) {
    if (!on_) return;
    at::autocast::set_autocast_dtype(at::kCPU, precision == Precision::kBf16 ? at::kBFloat16 : at::kHalf);
    at::autocast::set_autocast_enabled(at::kCPU, true);
    at::autocast::set_autocast_cache_enabled(true);
  }
  ~Autocast() {
    if (!on_) return;
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(at::kCPU, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  bool on_;
};

}  // namespace

at::Tensor forward(Executor& executor, const at::Tensor& input, Precision precision) {
  const Autocast autocast(precision);
  return executor.run({input}).at(0);
}

}  // namespace lockstep
