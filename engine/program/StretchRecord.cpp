#include "engine/program/StretchRecord.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Generator.h>
#include <ATen/ops/as_strided.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <set>

#include "common/Error.h"

namespace lockstep {

namespace {

bool in_same_memory(const at::Tensor& a, const c10::IValue& value) {
  if (!value.isTensor() || !value.toTensor().defined() || !value.toTensor().has_storage()) return false;
  return a.storage().unsafeGetStorageImpl() == value.toTensor().storage().unsafeGetStorageImpl();
}

void require_unchanged(const at::Tensor& tensor, std::int64_t version) {
  TORCH_CHECK(tensor._version() == version, "a tensor of sizes ", tensor.sizes(),
              " that backward needs has been modified by an operator in place behind the one that saved it");
}

at::Tensor state_of(at::Generator generator) {
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

/// PyTorch's generator draws once more what it drew in a state, and then goes on.
class DrawnAgain {
 public:
  DrawnAgain(const c10::Device& device, const at::Tensor& state)
      : generator_(at::globalContext().defaultGenerator(device)), now_(state_of(generator_)) {
    set(state);
  }
  ~DrawnAgain() { set(now_); }
  DrawnAgain(const DrawnAgain&) = delete;
  DrawnAgain& operator=(const DrawnAgain&) = delete;

 private:
  void set(const at::Tensor& state) {
    const std::lock_guard lock(generator_.mutex());
    generator_.set_state(state);
  }

  at::Generator generator_;
  at::Tensor now_;
};

/// Autocast as it was, without its cache: what that holds may be another graph's.
class AutocastAgain {
 public:
  AutocastAgain(c10::DeviceType device, std::optional<at::ScalarType> type)
      : device_(device),
        on_(at::autocast::is_autocast_enabled(device)),
        type_(at::autocast::get_autocast_dtype(device)),
        cached_(at::autocast::is_autocast_cache_enabled()) {
    at::autocast::set_autocast_cache_enabled(false);
    at::autocast::set_autocast_enabled(device, type.has_value());
    if (type) at::autocast::set_autocast_dtype(device, *type);
  }
  ~AutocastAgain() {
    at::autocast::set_autocast_enabled(device_, on_);
    at::autocast::set_autocast_dtype(device_, type_);
    at::autocast::set_autocast_cache_enabled(cached_);
  }
  AutocastAgain(const AutocastAgain&) = delete;
  AutocastAgain& operator=(const AutocastAgain&) = delete;

 private:
  c10::DeviceType device_;
  bool on_;
  at::ScalarType type_;
  bool cached_;
};

}  // namespace

class StretchRecord::SavedInForward : public torch::autograd::SavedVariableHooks {
 public:
  explicit SavedInForward(std::shared_ptr<StretchRecord> record) : record_(std::move(record)) {}
  ~SavedInForward() override {
    if (left_out_) record_->forget(*left_out_);
  }
  SavedInForward(const SavedInForward&) = delete;
  SavedInForward& operator=(const SavedInForward&) = delete;

  void call_pack_hook(const at::Tensor& tensor) override {
    left_out_ = record_->leave_out(tensor);
    if (left_out_) return;
    // Without its history: of a result that would be the node that holds this.
    kept_ = tensor.tensor_data();
    version_ = tensor._version();
    record_.reset();
  }
  at::Tensor call_unpack_hook() override {
    if (left_out_) return record_->find(*left_out_);
    require_unchanged(kept_, version_);
    return kept_;
  }

 private:
  std::shared_ptr<StretchRecord> record_;
  std::optional<std::size_t> left_out_;
  at::Tensor kept_;
  std::int64_t version_ = 0;
};

class StretchRecord::SavedAgain : public torch::autograd::SavedVariableHooks {
 public:
  explicit SavedAgain(StretchRecord& record) : record_(record) {}
  void call_pack_hook(const at::Tensor& tensor) override { record_.save_again(tensor); }
  at::Tensor call_unpack_hook() override { throw InternalError("backward of a graph that is there to save tensors"); }

 private:
  StretchRecord& record_;
};

StretchRecord::StretchRecord(std::shared_ptr<const Interpreter> interpreter,
                             std::shared_ptr<const RecomputationPlan> plan, const RecomputationPlan::Stretch& stretch)
    : interpreter_(std::move(interpreter)), plan_(std::move(plan)), stretch_(stretch) {
  const c10::DeviceType device = interpreter_->plan().device().type();
  if (at::autocast::is_autocast_enabled(device)) autocast_ = at::autocast::get_autocast_dtype(device);
}

bool StretchRecord::made_again(Slot slot) const {
  const std::size_t maker = interpreter_->plan().maker(slot);
  return maker != ExecutionPlan::kNothing && maker >= stretch_.begin && maker < stretch_.end && again(maker);
}

BatchNormStatistics* StretchRecord::begin(std::size_t instruction, const Values& values) {
  instruction_ = instruction;
  savings_ = 0;
  values_ = &values;
  if (!again(instruction)) return nullptr;
  const Instruction& next = interpreter_->plan().instructions()[instruction];
  next.for_each_read([&](Slot slot) {
    if (made_again(slot) || interpreter_->plan().is_state(slot) || given_.contains(slot)) return;
    const c10::IValue& value = values[slot];
    if (!value.isTensor() || !value.toTensor().defined()) {
      given_[slot] = {.value = value};
      return;
    }
    const at::Tensor data = value.toTensor().tensor_data();
    given_[slot] = {.value = data, .trained = value.toTensor().requires_grad(), .version = data._version()};
  });
  if (next.random) {
    generators_[instruction] = state_of(at::globalContext().defaultGenerator(interpreter_->plan().device()));
  }
  return interpreter_->normalizes(next) ? &statistics_[instruction] : nullptr;
}

std::unique_ptr<torch::autograd::SavedVariableHooks> StretchRecord::hooks() {
  if (ran_again_) return std::make_unique<SavedAgain>(*this);
  return std::make_unique<SavedInForward>(shared_from_this());
}

// What lies in the memory of what is kept anyway is not left out.
std::optional<std::size_t> StretchRecord::leave_out(const at::Tensor& tensor) {
  const std::size_t saving = savings_++;
  if (!tensor.has_storage()) return std::nullopt;
  bool kept = !again(instruction_);
  std::optional<Slot> value;
  interpreter_->plan().instructions()[instruction_].for_each_read([&](Slot slot) {
    if (!in_same_memory(tensor, (*values_)[slot])) return;
    if (!made_again(slot)) {
      kept = true;
    } else if ((*values_)[slot].toTensor().scalar_type() == tensor.scalar_type()) {
      value = slot;
    }
  });
  if (!again(instruction_) && value) {
    left_out_.push_back({.instruction = interpreter_->plan().maker(*value),
                         .what = Elements{.slot = *value,
                                          .sizes = tensor.sizes().vec(),
                                          .strides = tensor.strides().vec(),
                                          .offset = tensor.storage_offset()}});
  } else if (!kept) {
    left_out_.push_back({.instruction = instruction_, .what = saving});
  } else {
    return std::nullopt;
  }
  return left_out_.size() - 1;
}

at::Tensor StretchRecord::find(std::size_t left_out) {
  const std::lock_guard lock(mutex_);
  if (!ran_again_) run_again();
  const LeftOut& found = left_out_[left_out];
  if (!found.tensor.defined()) {
    throw InternalError(interpreter_->plan().instructions()[found.instruction].description +
                        " did not save again what it had saved");
  }
  require_unchanged(found.tensor, found.version);
  return found.tensor;
}

void StretchRecord::forget(std::size_t left_out) {
  const std::lock_guard lock(mutex_);
  left_out_[left_out].wanted = false;
  left_out_[left_out].tensor.reset();
}

// By instruction of the stretch. What is written in place may be needed for the writing alone: then all run.
std::vector<bool> StretchRecord::needed() const {
  const std::vector<Instruction>& instructions = interpreter_->plan().instructions();
  std::vector<bool> needed(stretch_.end - stretch_.begin, false);
  for (const LeftOut& tensor : left_out_) {
    if (tensor.wanted) needed[tensor.instruction - stretch_.begin] = true;
  }
  bool writes = false;
  for (std::size_t i = stretch_.end; i-- > stretch_.begin;) {
    writes |= again(i) && instructions[i].in_place;
    if (!needed[i - stretch_.begin]) continue;
    instructions[i].for_each_read([&](Slot slot) {
      if (made_again(slot)) needed[interpreter_->plan().maker(slot) - stretch_.begin] = true;
    });
  }
  for (std::size_t i = stretch_.begin; writes && i < stretch_.end; ++i) needed[i - stretch_.begin] = again(i);
  return needed;
}

void StretchRecord::run_again() {
  ran_again_ = true;
  const ExecutionPlan& plan = interpreter_->plan();
  const std::vector<bool> needed = this->needed();
  std::vector<std::vector<Slot>> last_uses(needed.size());
  std::set<Slot> used;
  for (const LeftOut& tensor : left_out_) {
    if (const auto* elements = std::get_if<Elements>(&tensor.what)) used.insert(elements->slot);
  }
  for (std::size_t i = needed.size(); i-- > 0;) {
    if (!needed[i]) continue;
    const auto use = [&](Slot slot) {
      if (!plan.is_state(slot) && used.insert(slot).second) last_uses[i].push_back(slot);
    };
    const Instruction& instruction = plan.instructions()[stretch_.begin + i];
    instruction.for_each_read(use);
    for (const std::vector<Slot>& output : instruction.outputs) std::ranges::for_each(output, use);
  }
  const c10::AutoGradMode gradients(true);
  const AutocastAgain autocast(plan.device().type(), autocast_);
  const SavedTensorScope saving(*this);
  Values values = interpreter_->values();
  for (auto& [slot, given] : given_) {
    if (given.value.isTensor() && given.value.toTensor().defined()) {
      require_unchanged(given.value.toTensor(), given.version);
    }
    values[slot] = std::move(given.value);
    if (given.trained) values[slot].toTensor().set_requires_grad(true);
  }
  given_.clear();
  for (std::size_t i = 0; i < needed.size(); ++i) {
    if (!needed[i]) continue;
    instruction_ = stretch_.begin + i;
    savings_ = 0;
    const Instruction& instruction = plan.instructions()[instruction_];
    std::optional<DrawnAgain> draws;
    if (instruction.random) draws.emplace(plan.device(), generators_.at(instruction_));
    interpreter_->repeat(instruction, values, statistics_[instruction_]);
    for (const Slot slot : last_uses[i]) values[slot] = {};
  }
  for (LeftOut& tensor : left_out_) {
    const auto* elements = std::get_if<Elements>(&tensor.what);
    if (elements == nullptr || !tensor.wanted) continue;
    const at::Tensor value = values[elements->slot].toTensor().tensor_data();
    tensor.tensor = value.as_strided(elements->sizes, elements->strides, elements->offset);
    tensor.version = tensor.tensor._version();
  }
  generators_.clear();
  statistics_.clear();
}

void StretchRecord::save_again(const at::Tensor& tensor) {
  const std::size_t saving = savings_++;
  for (LeftOut& left_out : left_out_) {
    const auto* which = std::get_if<std::size_t>(&left_out.what);
    if (which == nullptr || !left_out.wanted || left_out.instruction != instruction_ || *which != saving) continue;
    left_out.tensor = tensor.tensor_data();
    left_out.version = tensor._version();
  }
}

}  // namespace lockstep
