// Ranks that share out the optimizer's work, and its state.
#include "engine/collectives/SharedUpdate.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <mpi.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/Error.h"
#include "engine/collectives/MpiCommunicator.h"
#include "engine/device/CpuDevice.h"
#include "engine/train/CheckpointTensors.h"
#include "engine/train/TrainedModel.h"
#include "tests/engine/train/TrainerJob.h"
#include "tests/support/ExpectError.h"
#include "tests/support/LoadCheckpoint.h"
#include "tests/support/MpiTest.h"
#include "tests/support/RankAlone.h"
#include "tests/support/SharedDirectory.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

/// Of what is trained, the largest difference between two programs in relation to the tensor's largest number.
double difference(const Program& a, const Program& b) {
  double largest = 0;
  const std::vector<StateTensor> left = a.state();
  const std::vector<StateTensor> right = b.state();
  for (std::size_t i = 0; i < left.size(); ++i) {
    const double size = right[i].tensor.abs().max().item<double>();
    const double most = (left[i].tensor - right[i].tensor).abs().max().item<double>();
    largest = std::max(largest, size > 0 ? most / size : most);
  }
  return largest;
}

void expect_same_bytes(const NamedTensors& a, const NamedTensors& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) {
    ASSERT_TRUE(b.contains(name)) << name;
    EXPECT_TRUE(at::equal(tensor, b.at(name))) << name;
  }
}

/// The first so many of the test's ranks, by themselves. A collective of all.
class FirstRanks {
 public:
  explicit FirstRanks(int count) {
    int rank = 0;
    MPI_Comm_rank(mpi_session().ranks(), &rank);
    MPI_Comm_split(mpi_session().ranks(), rank < count ? 0 : MPI_UNDEFINED, rank, &ranks_);
    if (ranks_ == MPI_COMM_NULL) return;
    session_.emplace(MPI_Comm_c2f(ranks_));
    communicator_.emplace(*session_, MpiMode::kInline);
  }
  FirstRanks(const FirstRanks&) = delete;
  FirstRanks& operator=(const FirstRanks&) = delete;
  ~FirstRanks() {
    if (ranks_ == MPI_COMM_NULL) return;
    communicator_.reset();
    MPI_Comm_free(&ranks_);
  }

  /// Nothing on a rank that is none of them.
  Communicator* communicator() { return communicator_ ? &*communicator_ : nullptr; }

 private:
  MPI_Comm ranks_ = MPI_COMM_NULL;
  std::optional<MpiSession> session_;
  std::optional<MpiCommunicator> communicator_;
};

class SharedUpdateTest : public testing::Test {
 protected:
  SharedUpdateTest() {
    options_.precision = Precision::kFp64;
    options_.model_dropout = 0.2;
    options_.epsilon = 1e-4;
    options_.learning_rate = 0.01;
    options_.epochs = 2;
    options_.artifact_state = ArtifactState::kLast;
  }

  RankContext context() { return {.device = device_, .communicator = communicator_, .host = communicator_}; }
  RankContext alone() { return {.device = device_, .communicator = one_, .host = one_}; }

  TrainingResult trained(bool shared, const CheckpointDirectory* checkpoints = nullptr) {
    options_.shard_optimizer = shared;
    return TrainerJob(options_, context(), checkpoints).run();
  }
  /// What a model without a trainer around it makes of a checkpoint when it saves it again.
  Checkpoint saved_again(const Checkpoint& checkpoint, bool shared, const RankContext& context) {
    options_.shard_optimizer = shared;
    const Program program =
        build_builtin_program("mlp", {.input_shape = {1, 4, 4}, .classes = 6, .hidden = {8}}).to(at::kDouble);
    TrainedModel model(options_, program, program, make_bucket_plan(options_, program, context.host.size()), context);
    const TemporaryDirectory place;
    write_checkpoint(checkpoint, place.path());
    const SavedCheckpoint saved = open_as_it_is(place.path());
    model.check(saved);
    model.restore(saved);
    Checkpoint again{.state = {}, .model = {}, .optimizer = {}, .statistics = {}, .best = {}};
    model.save(again, /*writes=*/true);
    return {.state = again.state,
            .model = again.model,
            .optimizer = copied(again.optimizer),
            .statistics = again.statistics,
            .best = {}};
  }
  static NamedTensors copied(NamedTensors tensors) {
    for (auto& [name, tensor] : tensors) tensor = tensor.clone();
    return tensors;
  }

  Hyperparameters options_ = TrainerJob::hyperparameters();
  CpuDevice device_{1};
  MpiCommunicator communicator_{mpi_session(), MpiMode::kInline};
  RankAlone one_;
};

TEST_F(SharedUpdateTest, MakesWholeWhatEachRankOwns) {
  const std::vector<std::int64_t> lengths = {3, 700, 1, 130};
  std::vector<ParameterLayout> layouts;
  std::vector<at::Tensor> tensors[2];
  for (const std::int64_t length : lengths) {
    layouts.push_back({.name = "p" + std::to_string(length), .elements = length});
    for (auto& list : tensors) list.push_back(at::zeros({length}, at::kDouble).set_requires_grad(true));
  }
  FlatParameters whole(BucketPlan(layouts, 8, 1024), tensors[0], 0);
  FlatParameters shared(BucketPlan(layouts, 8, 1024, communicator_.size()), tensors[1], 0, communicator_.rank());
  SharedUpdate update(shared, communicator_);
  SharedUpdate of_all(shared, communicator_, /*whole_norm=*/true);
  for (const std::int64_t bad : {-1, 0, 1, 3}) {
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      const at::Tensor values = at::arange(lengths[i], at::kDouble).sin();
      if (bad == static_cast<std::int64_t>(i)) values[-1] = NAN;
      whole.gradients()[i].copy_(values);
      shared.gradients()[i].copy_(values);
    }
    DeviceArray<kernels::GradientNorm> norm(1, at::kCPU);
    whole.find_gradient_norm(norm.data());
    const kernels::GradientNorm expected = norm.read().wait().front();
    shared.find_gradient_norm(norm.data());
    update.sum_norm(norm.data());
    const kernels::GradientNorm found = norm.read().wait().front();
    EXPECT_EQ(found.segment, bad);
    EXPECT_EQ(found.non_finite, expected.non_finite);
    if (bad < 0) {
      EXPECT_NEAR(found.sum_of_squares, expected.sum_of_squares, 1e-12 * expected.sum_of_squares);
    }
    of_all.sum_norm(norm.data());
    const kernels::GradientNorm whole_norm = norm.read().wait().front();
    EXPECT_EQ(whole_norm.segment, bad);
    EXPECT_TRUE(bad >= 0 || whole_norm.sum_of_squares == expected.sum_of_squares) << "another order of additions";
    const std::string bits(reinterpret_cast<const char*>(&found.sum_of_squares), sizeof(double));
    for (const std::string& other : communicator_.all_gather(bits)) EXPECT_EQ(other == bits, true);
  }

  const at::Tensor flat = at::arange(shared.plan().length(), at::kDouble);
  const at::Tensor state = at::empty({shared.plan().length() / communicator_.size()}, at::kDouble);
  shared.take_owned(flat, state);
  EXPECT_TRUE(at::equal(update.gather_state(state), flat));
  EXPECT_FALSE(shared.first_not_finite(state));
  for (const at::Tensor& storage : {flat, state}) {
    const at::Tensor part = shared.owned_part(storage, 1);
    communicator_.all_reduce(part.mutable_data_ptr(), 700, DataType::kFloat64, ReduceOp::kSum)->wait();
    EXPECT_TRUE(at::equal(part, flat.narrow(0, shared.plan().segments()[1].offset, 700)));
  }
  state.fill_(INFINITY);
  std::int64_t owners = shared.first_not_finite(state) ? 1 : 0;
  communicator_.all_reduce(&owners, 1, DataType::kInt64, ReduceOp::kSum)->wait();
  EXPECT_GT(owners, 0);

  shared.take_owned(flat, state);
  shared.flat_parameters().fill_(-1);
  const kernels::FlatRange& own = shared.owned().front();
  shared.flat_parameters().narrow(0, own.begin, own.length).fill_(communicator_.rank());
  update.gather_parameters();
  const std::int64_t share = shared.plan().buckets()[0].length / communicator_.size();
  for (int rank = 0; rank < communicator_.size(); ++rank) {
    EXPECT_TRUE(shared.flat_parameters().narrow(0, rank * share, share).eq(rank).all().item<bool>()) << rank;
  }
}

// With buckets of one parameter each, some shorter than there are ranks, and with all in one.
TEST_F(SharedUpdateTest, EqualsRanksThatEachUpdateAll) {
  options_.clip_norm = 0.5;
  options_.ema_decay = 0.9;
  options_.micro_batch_size = 3;
  options_.weight_decay = 0.01;
  for (const std::string optimizer : {"sgd", "adamw", "adam", "rmsprop", "adagrad", "lion"}) {
    for (const double cap : {1e-4, 25.0}) {
      SCOPED_TRACE(optimizer + ", " + std::to_string(cap) + " MiB");
      options_.optimizer = optimizer;
      options_.centered = optimizer == "rmsprop";
      options_.bucket_cap_mb = cap;
      const TrainingResult expected = trained(false);
      const TrainingResult found = trained(true);
      EXPECT_LE(difference(found.program, expected.program), 1e-12);
      const double loss = expected.evaluation->metric("loss");
      EXPECT_NEAR(found.evaluation->metric("loss"), loss, 1e-12 * loss);
      std::string bits;
      for (const StateTensor& entry : found.program.state()) {
        const at::Tensor tensor = entry.tensor.contiguous();
        bits.append(static_cast<const char*>(tensor.const_data_ptr()), tensor.nbytes());
      }
      for (const std::string& other : communicator_.all_gather(bits)) EXPECT_EQ(other == bits, true);
    }
  }
}

// One step: later ones are of parameters that rounding has moved.
TEST_F(SharedUpdateTest, IsTheSameInLowerPrecisionToRounding) {
  options_.max_steps = 1;
  options_.optimizer = "adamw";
  for (const Precision precision : {Precision::kFp32, Precision::kBf16, Precision::kFp16}) {
    options_.precision = precision;
    options_.loss_scale = 1024;
    EXPECT_LE(difference(trained(true).program, trained(false).program), 1e-6) << to_string(precision);
  }
}

TEST_F(SharedUpdateTest, RanksPassOverTheSameSteps) {
  options_.precision = Precision::kFp16;
  options_.loss_scale = 1e7;
  std::vector<std::vector<bool>> skipped;
  for (const bool shared : {false, true}) {
    options_.shard_optimizer = shared;
    TrainerJob job(options_, context());
    job.run();
    skipped.emplace_back();
    for (const StepDone& step : job.events.steps) skipped.back().push_back(step.skipped);
  }
  EXPECT_EQ(std::ranges::count(skipped[0], true) > 0, true) << "nothing overflows: this test tests nothing";
  EXPECT_LT(std::ranges::count(skipped[0], true), 10) << "everything overflows: this test tests nothing";
  EXPECT_EQ(skipped[1], skipped[0]);
}

TEST_F(SharedUpdateTest, SaysTheSameOfWhatIsNotFinite) {
  options_.learning_rate = 1e200;
  std::vector<std::string> texts;
  for (const bool shared : {false, true}) {
    try {
      trained(shared);
    } catch (const CollectiveError& error) {
      texts.emplace_back(error.what());
    }
  }
  ASSERT_EQ(texts.size(), 2);
  EXPECT_EQ(texts[1], texts[0]);
}

TEST_F(SharedUpdateTest, EachRankHoldsItsShare) {
  options_.optimizer = "adamw";
  options_.shard_optimizer = true;
  options_.ema_decay = 0.9;
  TrainerJob job(options_, context());
  const std::int64_t ranks = communicator_.size();
  const MemoryUse use = job.trainer().memory();
  EXPECT_EQ(use.optimizer_shares, ranks);
  EXPECT_EQ(use.optimizer * ranks, 2 * use.parameters);
  EXPECT_EQ(use.average, use.parameters);
  EXPECT_EQ(use.best, 0);
}

TEST_F(SharedUpdateTest, TheBestStateIsHeldWhole) {
  options_.artifact_state = ArtifactState::kBest;
  TrainerJob job(options_, context());
  const MemoryUse use = job.trainer().memory();
  std::int64_t bytes = 0;
  for (const auto& [name, tensor] : saved_tensors(job.run().program)) {
    bytes += static_cast<std::int64_t>(tensor.nbytes());
  }
  EXPECT_EQ(use.best, bytes);
  EXPECT_EQ(use.average, 0);
}

TEST_F(SharedUpdateTest, WhatNeedsWholeParametersIsRefused) {
  options_.shard_optimizer = true;
  for (const std::string optimizer : {"lamb", "muon"}) {
    options_.optimizer = optimizer;
    if (communicator_.size() == 1) {
      TrainerJob(options_, context()).run();
    } else {
      EXPECT_ERROR(TrainerJob(options_, context()), InputError, "optimizer=" + optimizer, "leave shard_optimizer out");
    }
  }
}

// Between ranks that hold shares, as many or fewer, and ranks that hold all.
TEST_F(SharedUpdateTest, CheckpointsAreThoseOfOneThatHoldsAll) {
  options_.optimizer = "adamw";
  options_.ema_decay = 0.5;
  options_.bucket_cap_mb = 5e-4;
  options_.checkpoint_every.steps = 4;
  options_.checkpoint_keep = 10;
  SharedDirectory directory(communicator_);
  const CheckpointDirectory checkpoints(directory / "checkpoints", {});
  const TrainingResult expected = trained(true, &checkpoints);
  const SavedCheckpoint saved = open_checkpoint(checkpoints.path_of(4), checkpoints.files(4));
  const Checkpoint checkpoint = load(saved);
  EXPECT_TRUE(checkpoint.optimizer.contains("second_moment/fc2.weight"));
  double sum = 0;
  for (const auto& [name, tensor] : checkpoint.optimizer) sum += tensor.abs().sum().item<double>();
  EXPECT_GT(sum, 0);

  const Checkpoint by_one = saved_again(checkpoint, true, alone());
  expect_same_bytes(by_one.optimizer, checkpoint.optimizer);
  for (int ranks = 1; ranks < communicator_.size(); ++ranks) {
    FirstRanks first(ranks);
    if (first.communicator() == nullptr) continue;
    for (const bool shared : {true, false}) {
      SCOPED_TRACE(std::to_string(ranks) + (shared ? " ranks with shares" : " ranks"));
      const Checkpoint by_fewer =
          saved_again(checkpoint, shared,
                      {.device = device_, .communicator = *first.communicator(), .host = *first.communicator()});
      expect_same_bytes(by_fewer.optimizer, checkpoint.optimizer);
      expect_same_bytes(by_fewer.model, checkpoint.model);
    }
  }
  options_.bucket_cap_mb = 25;
  const Checkpoint by_all = saved_again(by_one, true, context());
  expect_same_bytes(by_all.optimizer, checkpoint.optimizer);
  expect_same_bytes(saved_again(by_all, false, context()).optimizer, checkpoint.optimizer);

  options_.shard_optimizer = false;
  TrainerJob job(options_, context());
  job.trainer().check(saved);
  job.trainer().restore(saved);
  EXPECT_LE(difference(job.run().program, expected.program), 1e-12);
}

}  // namespace
}  // namespace lockstep
