#include "engine/collectives/GradientReducer.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <ATen/record_function.h>
#include <c10/core/GradMode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <ostream>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/AutogradGradients.h"
#include "engine/collectives/MpiCommunicator.h"
#include "tests/support/ExpectError.h"
#include "tests/support/MpiTest.h"

namespace lockstep {
namespace {

constexpr std::int64_t kSamples = 7;
constexpr double kMiB = 1024 * 1024;

at::Tensor parameter(const at::Tensor& values) {
  return values.detach().clone(at::MemoryFormat::Preserve).set_requires_grad(true);
}

at::Tensor numbers(at::IntArrayRef shape, double phase, at::ScalarType type) {
  std::int64_t count = 1;
  for (const std::int64_t size : shape) count *= size;
  return at::sin(at::arange(count, at::kDouble) + phase).reshape(shape).to(type);
}

/// A convolution, channels last, and a linear layer; backward meets bias, weight, kernel.
struct Model {
  at::Tensor kernel, weight, bias, unused;

  explicit Model(at::ScalarType type)
      : kernel(parameter(numbers({4, 3, 3, 3}, 0, type).to(at::MemoryFormat::ChannelsLast))),
        weight(parameter(numbers({4, 2}, 1, type))),
        bias(parameter(numbers({2}, 2, type))),
        unused(parameter(numbers({5}, 3, type))) {}
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  // The mean loss of all samples is the sum of this over a partition of them.
  at::Tensor loss(std::int64_t begin, std::int64_t end) const {
    const at::Tensor input =
        numbers({kSamples, 3, 5, 5}, 4, kernel.scalar_type()).slice(0, begin, end).to(at::MemoryFormat::ChannelsLast);
    const at::Tensor hidden = at::tanh(at::conv2d(input, kernel)).mean({2, 3});
    return (at::matmul(hidden, weight) + bias).square().sum() / kSamples;
  }

  std::vector<std::pair<std::string, at::Tensor>> in_backward_order() const {
    return {{"bias", bias}, {"unused", unused}, {"weight", weight}, {"kernel", kernel}};
  }
};

constexpr std::int64_t kRiders = 5;

FlatParameters flatten(const std::vector<std::pair<std::string, at::Tensor>>& named, double cap) {
  std::vector<ParameterLayout> layouts;
  std::vector<at::Tensor> tensors;
  for (const auto& [name, tensor] : named) {
    layouts.push_back({.name = name, .elements = tensor.numel()});
    tensors.push_back(tensor);
  }
  const auto element_size = static_cast<std::int64_t>(tensors[0].element_size());
  return FlatParameters(BucketPlan(layouts, element_size, cap), tensors, kRiders);
}

/// How samples are spread: rank r of n takes [bound(r, n), bound(r + 1, n)).
using Bound = std::function<std::int64_t(int rank, int ranks)>;

/// Gradients of autograd, and their sums over the ranks.
struct Gradients {
  Gradients(FlatParameters& parameters, Communicator& communicator)
      : computed(parameters), reducer(parameters, communicator, communicator) {}

  void begin_step() {
    reducer.begin_step();
    computed.begin_step();
  }
  void backward(const at::Tensor& loss, bool last = true) { computed.backward(loss, last ? &reducer : nullptr); }
  void finish() {
    computed.end_step(reducer);
    reducer.finish();
  }

  AutogradGradients computed;
  GradientReducer reducer;
};

// Runs one step on this rank's share, two samples at a time.
void run_step(Gradients& gradients, const Model& model, const Bound& bound, const Communicator& communicator) {
  const std::int64_t begin = bound(communicator.rank(), communicator.size());
  const std::int64_t end = bound(communicator.rank() + 1, communicator.size());
  gradients.begin_step();
  for (std::int64_t at = begin; at < end; at += 2) {
    gradients.backward(model.loss(at, std::min(at + 2, end)), at + 2 >= end);
  }
  gradients.finish();
}

struct Setting {
  MpiMode mode;
  double cap;
  at::ScalarType type;

  friend std::ostream& operator<<(std::ostream& out, const Setting& setting) {
    return out << (setting.mode == MpiMode::kInline ? "inline" : "in the background") << ", buckets of " << setting.cap
               << " bytes, " << setting.type;
  }
};

class GradientReducerTest : public testing::TestWithParam<Setting> {};

TEST_P(GradientReducerTest, EqualsOneProcessHoweverSamplesAreSpread) {
  const Setting setting = GetParam();
  const double tolerance = setting.type == at::kDouble ? 1e-12 : 1e-5;
  MpiCommunicator communicator(mpi_session(), setting.mode);
  const Model model(setting.type);
  FlatParameters parameters = flatten(model.in_backward_order(), setting.cap);
  Gradients gradients(parameters, communicator);
  const std::vector<Bound> spreads = {
      [](int rank, int ranks) {
        return rank == ranks ? kSamples : 0;
      },  // all on the last rank: the others learn the flags
      [](int rank, int ranks) { return kSamples * rank * rank / ranks / ranks; },
      [](int rank, int) { return rank == 0 ? 0 : kSamples; },
      [](int rank, int ranks) { return kSamples * rank / ranks; },
  };
  for (const Bound& bound : spreads) {
    const Model alone(setting.type);
    {
      const c10::NoGradGuard no_grad;
      for (std::size_t i = 0; i < parameters.parameters().size(); ++i) {
        alone.in_backward_order()[i].second.copy_(parameters.parameters()[i]);
      }
    }
    alone.loss(0, kSamples).backward();

    run_step(gradients, model, bound, communicator);

    const std::vector<at::Tensor>& sums = parameters.gradients();  // of bias, unused, weight and kernel
    EXPECT_TRUE(at::allclose(sums[3], alone.kernel.grad(), tolerance, tolerance));
    EXPECT_TRUE(at::allclose(sums[2], alone.weight.grad(), tolerance, tolerance));
    EXPECT_TRUE(at::allclose(sums[0], alone.bias.grad(), tolerance, tolerance));
    EXPECT_EQ(sums[1].count_nonzero().item<std::int64_t>(), 0);
    EXPECT_EQ(gradients.reducer.received(), (std::vector<bool>{true, false, true, true}));
    EXPECT_TRUE(model.kernel.is_contiguous(at::MemoryFormat::ChannelsLast));
    EXPECT_TRUE(sums[3].is_contiguous(at::MemoryFormat::ChannelsLast));
    const at::Tensor& flat = parameters.flat_gradients();
    const std::string bits(static_cast<const char*>(flat.const_data_ptr()), flat.nbytes());
    for (const std::string& other : communicator.all_gather(bits)) EXPECT_TRUE(other == bits);

    const c10::NoGradGuard no_grad;
    parameters.flat_parameters().sub_(flat, 0.1);
  }
}

INSTANTIATE_TEST_SUITE_P(Settings, GradientReducerTest,
                         testing::Values(Setting{MpiMode::kInline, 1, at::kDouble},
                                         Setting{MpiMode::kInline, 1024, at::kFloat},
                                         Setting{MpiMode::kInline, kMiB, at::kDouble},
                                         Setting{MpiMode::kBackground, 1, at::kFloat},
                                         Setting{MpiMode::kBackground, 1024, at::kDouble},
                                         Setting{MpiMode::kBackground, kMiB, at::kDouble}));

TEST(GradientReducer, AStepWithoutDataAnywhereDecidesNothing) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kInline);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, communicator);
  run_step(
      gradients, model, [](int, int) { return 0; }, communicator);
  EXPECT_EQ(gradients.reducer.received(), std::vector<bool>(4, false));
  run_step(
      gradients, model, [](int rank, int) { return rank == 0 ? 0 : kSamples; }, communicator);
  EXPECT_EQ(gradients.reducer.received(), (std::vector<bool>{true, false, true, true}));
}

/// One of two ranks, whose peer has zeros: it records what is reduced, and when.
class Recorder : public Communicator {
 public:
  explicit Recorder(int ranks) : ranks_(ranks) {}

  int rank() const override { return 0; }
  int size() const override { return ranks_; }
  bool register_buffer(void* buffer, std::size_t bytes) override {
    registered = {static_cast<const std::byte*>(buffer), bytes};
    return true;
  }
  std::unique_ptr<Work> do_all_reduce(void* buffer, std::size_t count, DataType type, ReduceOp) override {
    on_call();
    if (type == DataType::kInt64) return std::make_unique<Done>();
    reduced.push_back(buffer);
    counts.push_back(count);
    return std::make_unique<Done>();
  }
  std::unique_ptr<Work> do_reduce_scatter(const void*, void*, std::size_t, DataType, ReduceOp) override {
    unexpected();
  }
  std::unique_ptr<Work> do_all_gather(const void*, void*, std::size_t, DataType) override { unexpected(); }
  std::unique_ptr<Work> do_broadcast(void*, std::size_t, DataType, int) override { unexpected(); }
  void do_barrier() override { unexpected(); }
  [[noreturn]] void abort(int) override { unexpected(); }

  std::function<void()> on_call = [] {};
  std::vector<const void*> reduced;  ///< the buckets, in the order of the calls
  std::vector<std::size_t> counts;   ///< their elements
  std::span<const std::byte> registered;

 private:
  struct Done : Work {
    void wait() override {}
  };
  [[noreturn]] static void unexpected() { throw std::logic_error("a collective that nobody expects"); }

  int ranks_;
};

using Pointers = std::vector<const void*>;

Pointers gradients_of(const std::vector<at::Tensor>& parameters) {
  Pointers pointers;
  for (const at::Tensor& tensor : parameters) pointers.push_back(tensor.grad().const_data_ptr());
  return pointers;
}

TEST(GradientReducer, AloneMakesNoCollective) {
  Recorder alone(1);
  alone.on_call = [] { ADD_FAILURE() << "a collective of one rank"; };
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, alone);
  for (int step = 0; step < 2; ++step)
    run_step(
        gradients, model, [](int rank, int) { return rank * kSamples; }, alone);
  EXPECT_EQ(gradients.reducer.received(), (std::vector<bool>{true, false, true, true}));
}

TEST(GradientReducer, BucketsLeaveWhileBackwardGoesOn) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten({{"bias", model.bias}, {"weight", model.weight}, {"kernel", model.kernel}}, 1);
  Gradients gradients(parameters, recorder);
  const auto present = [](const at::Tensor& tensor) {
    return tensor.grad().defined() && tensor.grad().count_nonzero().item<std::int64_t>() > 0;
  };
  std::vector<bool> weight_was_ready;
  gradients.begin_step();
  recorder.on_call = [&] { weight_was_ready.push_back(present(model.weight)); };
  gradients.backward(model.loss(0, kSamples));
  recorder.on_call = [] {};
  EXPECT_EQ(recorder.reduced, gradients_of({model.bias, model.weight, model.kernel}));
  EXPECT_EQ(weight_was_ready, (std::vector<bool>{false, true, true}));
  gradients.finish();
  EXPECT_EQ(recorder.reduced.size(), 3);
}

TEST(GradientReducer, EarlierMicroBatchesReduceNothing) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, recorder);
  gradients.begin_step();
  gradients.backward(model.loss(0, 3), /*last=*/false);
  EXPECT_TRUE(recorder.reduced.empty());
  gradients.finish();  // a rank whose last micro-batch is empty
  EXPECT_EQ(recorder.reduced.size(), 4);
}

TEST(GradientReducer, AnEarlyBucketWaitsForThoseBeforeIt) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten({{"kernel", model.kernel}, {"weight", model.weight}, {"bias", model.bias}}, 1);
  Gradients gradients(parameters, recorder);
  gradients.begin_step();
  recorder.on_call = [&] { EXPECT_GT(model.kernel.grad().count_nonzero().item<std::int64_t>(), 0); };
  gradients.backward(model.loss(0, kSamples));
  recorder.on_call = [] {};
  EXPECT_EQ(recorder.reduced, gradients_of({model.kernel, model.weight, model.bias}));
  gradients.finish();
}

TEST(GradientReducer, AnUnusedParameterHoldsUpTheFirstStepOnly) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  const Pointers all = gradients_of({model.bias, model.unused, model.weight, model.kernel});
  Gradients gradients(parameters, recorder);
  for (const std::size_t during_backward : {1, 4}) {
    recorder.reduced.clear();
    gradients.begin_step();
    gradients.backward(model.loss(0, kSamples));
    EXPECT_EQ(recorder.reduced.size(), during_backward);
    gradients.finish();
    EXPECT_EQ(recorder.reduced, all);
  }
}

TEST(GradientReducer, ErrorsOfTheHookComeOutOfBackward) {
  Recorder recorder(2);
  recorder.on_call = [] { throw PeerError("the cable is cut"); };
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, recorder);
  gradients.begin_step();
  EXPECT_ERROR(gradients.backward(model.loss(0, kSamples)), PeerError, "the cable is cut");
}

TEST(GradientReducer, ASecondBackwardAfterTheLastIsRefused) {
  MpiCommunicator communicator(mpi_session(), MpiMode::kBackground);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten({{"bias", model.bias}, {"weight", model.weight}, {"kernel", model.kernel}}, 1);
  Gradients gradients(parameters, communicator);
  gradients.begin_step();
  gradients.backward(model.loss(0, 2));
  EXPECT_ERROR(gradients.backward(model.loss(2, 4)), InternalError, "bias", "must be one call");
}

TEST(GradientReducer, AGradientThatStopsComingIsNamed) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, recorder);
  run_step(
      gradients, model, [](int rank, int) { return rank * kSamples; }, recorder);
  gradients.begin_step();
  gradients.backward(model.bias.sum() + model.kernel.sum());
  EXPECT_ERROR(gradients.finish(), InternalError, "weight", "did not come");
}

TEST(GradientReducer, AGradientThatBeginsToComeIsNamed) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, recorder);
  run_step(
      gradients, model, [](int rank, int) { return rank * kSamples; }, recorder);
  gradients.begin_step();
  EXPECT_ERROR(gradients.backward(model.loss(0, kSamples) + model.unused.sum()), InternalError, "unused",
               "unlike in the first");
}

TEST(GradientReducer, AReplacedGradientIsNamed) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, recorder);
  gradients.begin_step();
  gradients.backward(model.loss(0, 2), /*last=*/false);
  model.bias.mutable_grad() = model.bias.grad().clone();
  gradients.backward(model.loss(2, kSamples - 2));
  EXPECT_ERROR(gradients.finish(), InternalError, "gradient of bias", "no longer in its bucket");
}

TEST(GradientReducer, TheRidersTravelWithTheLastBucketInRegisteredMemory) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  parameters.riders().fill_(7);
  Gradients gradients(parameters, recorder);
  gradients.begin_step();
  EXPECT_EQ(parameters.riders().abs().sum().item<double>(), 0);
  gradients.finish();
  const std::vector<Bucket>& buckets = parameters.plan().buckets();
  ASSERT_EQ(recorder.counts.size(), buckets.size());
  ASSERT_GT(buckets.size(), 1);
  for (std::size_t i = 0; i < buckets.size(); ++i) {
    EXPECT_EQ(recorder.counts[i], buckets[i].length + (i + 1 == buckets.size() ? kRiders : 0));
  }
  const auto* end = static_cast<const std::byte*>(recorder.reduced.back()) + recorder.counts.back() * sizeof(double);
  EXPECT_EQ(static_cast<const std::byte*>(parameters.riders().const_data_ptr()) + kRiders * sizeof(double), end);
  EXPECT_EQ(recorder.registered.data(), recorder.reduced.front());
  EXPECT_EQ(recorder.registered.data() + recorder.registered.size(), end);
}

// A copy for each parameter is a launch for each, which short steps on a GPU spend more time on than on computing.
TEST(GradientReducer, TheGradientsOfABucketAreCopiedIntoItAtOnce) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), kMiB);
  ASSERT_EQ(parameters.plan().buckets().size(), 1);
  Gradients gradients(parameters, recorder);
  static std::atomic<int> copies;
  std::vector<at::Tensor> sums;
  for (int step = 0; step < 3; ++step) {
    copies = 0;
    const auto handle = at::addGlobalCallback(at::RecordFunctionCallback([](const at::RecordFunction& function) {
      if (function.name() == std::string("aten::_foreach_copy_")) ++copies;
      return std::unique_ptr<at::ObserverContext>();
    }));
    run_step(
        gradients, model, [](int rank, int) { return rank * kSamples; }, recorder);
    at::removeCallback(handle);
    if (step > 0) {  // in the first it is not known which will come
      EXPECT_EQ(copies, 1);
    }
    sums.push_back(parameters.flat_gradients().clone());
  }
  EXPECT_TRUE(at::equal(sums[0], sums[1]));
  EXPECT_TRUE(at::equal(sums[0], sums[2]));
}

TEST(GradientReducer, NothingOfTheStepBeforeIsLeft) {
  Recorder alone(1);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  Gradients gradients(parameters, alone);
  run_step(
      gradients, model, [](int rank, int) { return rank * kSamples; }, alone);
  const at::Tensor once = parameters.flat_gradients().clone();
  for (const at::Tensor& gradient : parameters.gradients()) gradient.fill_(7);
  run_step(
      gradients, model, [](int rank, int) { return rank * kSamples; }, alone);
  EXPECT_TRUE(at::equal(parameters.flat_gradients(), once));
  // And a step in which this rank has no data has zeros.
  gradients.begin_step();
  gradients.finish();
  for (const at::Tensor& gradient : parameters.gradients()) EXPECT_FALSE(gradient.any().item<bool>());
}

// Another way to compute gradients than autograd: whoever puts them into their places and says so.
TEST(GradientReducer, TakesGradientsFromWhoeverComputesThem) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  GradientReducer reducer(parameters, recorder, recorder);
  for (const std::size_t before_the_end : {1, 4}) {
    recorder.reduced.clear();
    reducer.begin_step();
    for (const std::size_t i : {3, 0, 2}) {
      parameters.gradients()[i].fill_(static_cast<double>(i + 1));
      reducer.ready(i);
    }
    EXPECT_EQ(recorder.reduced.size(), before_the_end);  // in the first step the second parameter might still come
    reducer.finish();
    EXPECT_EQ(recorder.reduced.size(), 4);
    for (const std::size_t i : {0, 1, 2, 3}) {
      EXPECT_TRUE(parameters.gradients()[i].eq(i == 1 ? 0.0 : static_cast<double>(i + 1)).all().item<bool>()) << i;
    }
  }
}

TEST(AutogradGradients, AreReadyOnceAllMicroBatchesAreIn) {
  struct Sink : GradientSink {
    explicit Sink(const FlatParameters& parameters) : parameters(parameters) {}
    void ready(std::size_t parameter) override {
      found[parameter].push_back(parameters.gradients()[parameter].clone());
    }
    const FlatParameters& parameters;
    std::map<std::size_t, std::vector<at::Tensor>> found;
  };
  const Model alone(at::kDouble);
  alone.loss(0, 6).backward();
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), kMiB);
  AutogradGradients gradients(parameters);
  for (int step = 0; step < 3; ++step) {
    Sink sink(parameters);
    gradients.begin_step();
    gradients.backward(model.loss(0, 2), nullptr);
    gradients.backward(model.loss(2, 4), nullptr);
    gradients.backward(model.loss(4, 6), &sink);
    EXPECT_EQ(sink.found.size(), 3);
    gradients.end_step(sink);
    ASSERT_EQ(sink.found.size(), 3);
    for (const auto& [parameter, found] : sink.found) {
      ASSERT_EQ(found.size(), 1) << parameter;
      const at::Tensor wanted = alone.in_backward_order()[parameter].second.grad();
      EXPECT_TRUE(at::allclose(found[0], wanted, 1e-12, 1e-12)) << parameter;
    }
  }
}

TEST(AutogradGradients, TheirHooksEndWithThem) {
  Recorder recorder(2);
  const Model model(at::kDouble);
  FlatParameters parameters = flatten(model.in_backward_order(), 1);
  const at::Tensor loss = model.loss(0, kSamples);  // its graph keeps the hooks
  {
    Gradients gradients(parameters, recorder);
    gradients.begin_step();
    gradients.backward(model.loss(0, 2));
  }
  const std::size_t before = recorder.reduced.size();
  loss.backward();
  EXPECT_EQ(recorder.reduced.size(), before);
}

}  // namespace
}  // namespace lockstep
