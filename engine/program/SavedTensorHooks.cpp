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

// Before main begins: a process has threads for devices once, and they are those of the engine that is asked first.
[[maybe_unused]] const bool kInstalled = [] {
  torch::autograd::set_default_engine_stub(&hooked_engine);
  return true;
}();

}  // namespace

SavedTensorScope::SavedTensorScope(SavedTensorKeeper& keeper) : outer_(std::exchange(current_keeper, &keeper)) {}

SavedTensorScope::~SavedTensorScope() { current_keeper = outer_; }

}  // namespace lockstep
