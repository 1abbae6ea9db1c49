// The forms of kernels_test: no GPU is needed.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <set>

#include "tests/kernels/Forms.h"
#include "tests/kernels/emulator/Emulator.h"
#include "tests/kernels/emulator/GuardedMemory.h"

namespace lockstep::kernels {

namespace {

using emulator::GuardedMemory;
using emulator::Schedule;

class HostForm : public Form {
 public:
  std::shared_ptr<void> allocate(std::size_t bytes, std::size_t misaligned, bool at_end) const override {
    using Side = GuardedMemory::Side;
    auto* memory = at_end ? new GuardedMemory(bytes, Side::kEnd) : new GuardedMemory(bytes, Side::kStart, misaligned);
    memory_.insert(memory);
    return {memory->data(), [this, memory](void*) {
              EXPECT_TRUE(memory->surroundings_intact()) << "something was written before or after a buffer";
              memory_.erase(memory);
              delete memory;
            }};
  }
  void copy_in(void* memory, const void* from, std::size_t bytes) const override {
    if (bytes > 0) std::memcpy(memory, from, bytes);
  }
  void copy_out(void* to, const void* memory, std::size_t bytes) const override {
    if (bytes > 0) std::memcpy(to, memory, bytes);
  }

 protected:
  mutable std::set<GuardedMemory*> memory_;  // what is allocated now
};

class CpuForm : public HostForm {
 public:
  std::string name() const override { return "CPU"; }
  bool is_cuda() const override { return false; }
};

class EmulatedForm : public HostForm {
 public:
  std::string name() const override { return "emulated"; }
  bool is_cuda() const override { return true; }

  void run(const std::function<void()>& operation) const override {
    const std::vector<std::byte> before = contents();
    std::vector<std::byte> expected;
    for (const auto& [name, schedule] : kSchedules) {
      set_contents(before);
      emulator::set_schedule(schedule);
      try {
        operation();
      } catch (const emulator::Fault& fault) {
        ADD_FAILURE() << "with threads in " << name << " order: " << fault.what();
        return;
      }
      const std::vector<std::byte> after = contents();
      if (expected.empty()) expected = after;
      ASSERT_TRUE(after == expected) << "the order of threads, forward or " << name << ", decides the result";
    }
  }

 private:
  struct Named {
    const char* name;
    Schedule schedule;
  };
  static constexpr Named kSchedules[] = {{"forward", {Schedule::Order::kForward}},
                                         {"reverse", {Schedule::Order::kReverse}},
                                         {"shuffled", {Schedule::Order::kShuffled, 7}}};

  // Of all memory.
  std::vector<std::byte> contents() const {
    std::vector<std::byte> result;
    for (const GuardedMemory* memory : memory_) {
      const auto* data = static_cast<const std::byte*>(memory->data());
      result.insert(result.end(), data, data + memory->bytes());
    }
    return result;
  }
  void set_contents(const std::vector<std::byte>& contents) const {
    auto from = contents.begin();
    for (const GuardedMemory* memory : memory_) {
      std::copy_n(from, memory->bytes(), static_cast<std::byte*>(memory->data()));
      from += static_cast<std::ptrdiff_t>(memory->bytes());
    }
  }
};

}  // namespace

const std::vector<std::unique_ptr<Form>>& forms() {
  static const std::vector<std::unique_ptr<Form>> all = [] {
    std::vector<std::unique_ptr<Form>> result;
    // What plants faults in CUDA sources has no use for the other form.
    if (std::getenv("LOCKSTEP_EMULATED_ONLY") == nullptr) result.push_back(std::make_unique<CpuForm>());
    result.push_back(std::make_unique<EmulatedForm>());
    return result;
  }();
  return all;
}

}  // namespace lockstep::kernels
