#include <benchmark/benchmark.h>

#include <cstring>
#include <new>

#include "benchmarks/kernels/Benchmarks.h"

namespace lockstep::kernels {

namespace {

class CpuForm : public Form {
 public:
  std::string name() const override { return "CPU"; }
  bool is_cuda() const override { return false; }
  std::shared_ptr<void> allocate(std::size_t bytes, std::size_t, bool) const override {
    constexpr std::align_val_t kAlignment{256};
    const std::shared_ptr<void> memory(::operator new(bytes, kAlignment),
                                       [](void* pointer) { ::operator delete(pointer, kAlignment); });
    std::memset(memory.get(), 0xff, bytes);
    return memory;
  }
  void copy_in(void* memory, const void* from, std::size_t bytes) const override { std::memcpy(memory, from, bytes); }
  void copy_out(void* to, const void* memory, std::size_t bytes) const override { std::memcpy(to, memory, bytes); }
};

class CpuCases : public Cases {
 public:
  const Form& form() const override { return form_; }
  void add(const std::string& name, std::int64_t bytes, const std::function<Run()>& make) override {
    benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
      const Run run = make();
      for ([[maybe_unused]] auto _ : state) {
        run();
        benchmark::ClobberMemory();
      }
      state.SetBytesProcessed(state.iterations() * bytes);
    })->UseRealTime();
  }

 private:
  CpuForm form_;
};

}  // namespace

std::unique_ptr<Cases> cpu_cases() { return std::make_unique<CpuCases>(); }

}  // namespace lockstep::kernels
