#include "engine/program/SavedTensorHooks.h"

#include <torch/csrc/autograd/engine.h>

#include <utility>

namespace lockstep {

namespace {

thread_local SavedTensorKeeper* current_keeper = nullptr;

class HookedEngine : public torch::autograd::Engine {
 public:
  HookedEngine() = default;
  ~HookedEngine() override { stop(); }

  std::unique_ptr<torch::autograd::SavedVariableHooks> get_default_saved_variable_hooks() override {
    return current_keeper == nullptr ? nullptr : current_keeper->hooks();
  }
};

torch::autograd::Engine& hooked_engine() {
  static HookedEngine engine;
  return engine;
}

}  // namespace

SavedTensorScope::SavedTensorScope(SavedTensorKeeper& keeper) : outer_(std::exchange(current_keeper, &keeper)) {
  [[maybe_unused]] static const bool installed = [] {
    torch::autograd::set_default_engine_stub(&hooked_engine);
    return true;
  }();
}

SavedTensorScope::~SavedTensorScope() { current_keeper = outer_; }

}  // namespace lockstep
