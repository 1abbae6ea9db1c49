// The forms of kernels_test: no GPU is needed.
#include "tests/kernels/Forms.h"

#include "tests/kernels/emulator/Emulator.h"
#include "tests/kernels/emulator/GuardedMemory.h"

#include <cstring>

namespace lockstep::kernels {

namespace {

using emulator::GuardedMemory;
using emulator::Schedule;

class HostForm : public Form {
 public:
  std::shared_ptr<void> allocate(std::size_t bytes, std::size_t misaligned, bool at_end) const override {
    if (at_end) {
      auto memory = std::make_shared<GuardedMemory>(bytes, GuardedMemory::Side::kEnd);
      return {memory, memory->data()};
    }
    auto memory = std::make_shared<GuardedMemory>(bytes + misaligned, GuardedMemory::Side::kStart);
    return {memory, static_cast<std::byte*>(memory->data()) + misaligned};
  }
  void copy_in(void* memory, const void* from, std::size_t bytes) const override {
    if (bytes > 0) std::memcpy(memory, from, bytes);
  }
  void copy_out(void* to, const void* memory, std::size_t bytes) const override {
    if (bytes > 0) std::memcpy(to, memory, bytes);
  }
};

class CpuForm : public HostForm {
 public:
  std::string name() const override { return "CPU"; }
  bool is_cuda() const override { return false; }
};

class EmulatedForm : public HostForm {
 public:
  EmulatedForm(std::string schedule_name, Schedule schedule) : name_(std::move(schedule_name)), schedule_(schedule) {}
  std::string name() const override { return "emulated, " + name_; }
  bool is_cuda() const override { return true; }
  Stream stream() const override {
    emulator::set_schedule(schedule_);
    return nullptr;
  }

 private:
  std::string name_;
  Schedule schedule_;
};

}  // namespace

const std::vector<std::unique_ptr<Form>>& forms() {
  static const std::vector<std::unique_ptr<Form>> all = [] {
    std::vector<std::unique_ptr<Form>> result;
    result.push_back(std::make_unique<CpuForm>());
    result.push_back(std::make_unique<EmulatedForm>("forward", Schedule{Schedule::Order::kForward}));
    result.push_back(std::make_unique<EmulatedForm>("reverse", Schedule{Schedule::Order::kReverse}));
    result.push_back(std::make_unique<EmulatedForm>("shuffled", Schedule{Schedule::Order::kShuffled, 7}));
    return result;
  }();
  return all;
}

}  // namespace lockstep::kernels
