// A case's time is the median of launches, each between two CUDA events, all enqueued before one is waited for, so that
// the host's part does not count. Launches take turns at as many arguments as do not fit into the second-level cache.
#include <benchmark/benchmark.h>
#include <cuda_runtime_api.h>

#include "benchmarks/kernels/Benchmarks.h"
#include "tests/kernels/GpuForm.h"

namespace lockstep::kernels {

namespace {

constexpr int kWarmUp = 10;
constexpr int kLaunches = 50;
constexpr std::int64_t kCaches = 8;  // as much memory as so many second-level caches hold
constexpr std::int64_t kMostSets = 32;

struct Event {
  Event() { check(cudaEventCreate(&event), "cudaEventCreate"); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  ~Event() { cudaEventDestroy(event); }
  void record(Stream stream) const { check(cudaEventRecord(event, stream), "cudaEventRecord"); }
  cudaEvent_t event = nullptr;
};

double median_seconds(const std::vector<Run>& runs, Stream stream) {
  std::vector<Event> events(2 * kLaunches);
  std::size_t next = 0;
  const auto run = [&] { runs[next++ % runs.size()](); };
  for (int i = 0; i < kWarmUp; ++i) run();
  for (std::size_t i = 0; i < events.size(); i += 2) {
    events[i].record(stream);
    run();
    events[i + 1].record(stream);
  }
  check(cudaStreamSynchronize(stream), "a benchmark");
  std::vector<float> milliseconds(kLaunches);
  for (std::size_t i = 0; i < milliseconds.size(); ++i) {
    check(cudaEventElapsedTime(&milliseconds[i], events[2 * i].event, events[2 * i + 1].event), "cudaEventElapsedTime");
  }
  std::nth_element(milliseconds.begin(), milliseconds.begin() + kLaunches / 2, milliseconds.end());
  return milliseconds[kLaunches / 2] * 1e-3;
}

class GpuCases : public Cases {
 public:
  GpuCases() {
    int cache = 0;
    check(cudaDeviceGetAttribute(&cache, cudaDevAttrL2CacheSize, 0), "cudaDeviceGetAttribute");
    cache_bytes_ = cache;
  }
  const Form& form() const override { return form_; }
  void add(const std::string& name, std::int64_t bytes, const std::function<Run()>& make) override {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=, this](benchmark::State& state) {
                                   std::vector<Run> runs(static_cast<std::size_t>(
                                       std::clamp(kCaches * cache_bytes_ / bytes + 1, std::int64_t{1}, kMostSets)));
                                   std::generate(runs.begin(), runs.end(), make);
                                   for ([[maybe_unused]] auto _ : state)
                                     state.SetIterationTime(median_seconds(runs, form_.stream()));
                                   state.SetBytesProcessed(bytes);
                                 })
        ->Iterations(1)
        ->UseManualTime();
  }

 private:
  GpuForm form_;
  std::int64_t cache_bytes_ = 0;
};

}  // namespace

std::unique_ptr<Cases> gpu_cases() { return has_gpu() ? std::make_unique<GpuCases>() : nullptr; }

}  // namespace lockstep::kernels
