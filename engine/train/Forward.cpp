#include "engine/train/Forward.h"

#include <ATen/autocast_mode.h>

namespace lockstep {

namespace {

class Autocast {
 public:
  Autocast(c10::DeviceType device, Precision precision)
      : device_(device), on_(precision == Precision::kBf16 || precision == Precision::kFp16) {
    if (!on_) return;
    at::autocast::set_autocast_dtype(device_, precision == Precision::kBf16 ? at::kBFloat16 : at::kHalf);
    at::autocast::set_autocast_enabled(device_, true);
    at::autocast::set_autocast_cache_enabled(true);
  }
  ~Autocast() {
    if (!on_) return;
    at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_, false);
  }
  Autocast(const Autocast&) = delete;
  Autocast& operator=(const Autocast&) = delete;

 private:
  c10::DeviceType device_;
  bool on_;
};

}  // namespace

void with_precision(c10::DeviceType device, Precision precision, const std::function<void()>& work) {
  const Autocast autocast(device, precision);
  work();
}

std::vector<at::Tensor> forward(Executor& executor, const std::vector<at::Tensor>& inputs, Precision precision) {
  std::vector<at::Tensor> outputs;
  with_precision(inputs.at(0).device().type(), precision, [&] { outputs = executor.run(inputs); });
  return outputs;
}

}  // namespace lockstep
