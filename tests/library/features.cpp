// What a trainer does besides steps over batches. Arguments: MODEL DIRECTORY CHANNEL alone|mpi. MODEL takes 5 numbers
// and returns 3, and so does DIRECTORY/normalized.pt2, by a batch norm; CHANNEL is of such samples. Leaves in DIRECTORY
// the artifacts of three epochs over CHANNEL, for comparison with a job's.
#include <lockstep/Trainer.h>
#include <mpi.h>

#include <cmath>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

constexpr std::int64_t kSamples = 12;

void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

struct Data {
  std::vector<double> x, y;

  explicit Data(int seed) : x(kSamples * 5), y(kSamples * 3) {
    for (std::size_t i = 0; i < x.size(); ++i) x[i] = std::sin(static_cast<double>(i * 7 + seed));
    for (std::size_t i = 0; i < y.size(); ++i) y[i] = std::cos(static_cast<double>(i * 3 + seed));
  }
  lockstep::Batch batch() const {
    return {{lockstep::view(x.data(), {kSamples, 5})}, lockstep::view(y.data(), {kSamples, 3}), {}};
  }
};

// All ranks, in reverse.
MPI_Comm backwards() {
  int rank = 0;
  MPI_Comm ranks = MPI_COMM_NULL;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  MPI_Comm_split(MPI_COMM_WORLD, 0, -rank, &ranks);
  return ranks;
}

lockstep::Options options_of(const std::string& model, bool mpi) {
  lockstep::Options options;
  options.hyperparameters = {{"model", model},          {"loss", "mse"},         {"optimizer", "adamw"},
                             {"learning_rate", "0.01"}, {"precision", "fp64"},   {"threads_per_rank", "1"},
                             {"weight_decay", "0.01"},  {"checkpoint_keep", "2"}};
  if (mpi) options.communicator = MPI_Comm_c2f(backwards());
  return options;
}

std::vector<double> state(const lockstep::Trainer& trainer) {
  std::vector<double> all;
  for (const lockstep::TensorInfo& tensor : trainer.tensors()) {
    std::size_t numbers = 1;
    for (const std::int64_t size : tensor.sizes) numbers *= static_cast<std::size_t>(size);
    std::vector<double> values(numbers);
    trainer.read(tensor.name, lockstep::mutable_view(values.data(), tensor.sizes));
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

void train(lockstep::Trainer& trainer, int from, int to) {
  for (int i = from; i < to; ++i) trainer.step(Data(100 * i + trainer.rank()).batch());
}

void what_is_saved_is_gone_on_from(const lockstep::Options& options, const std::string& directory) {
  lockstep::Trainer one(options);
  require(!one.resume(directory), "nothing is there to resume from");
  train(one, 0, 5);
  one.save(directory);
  train(one, 5, 9);
  lockstep::Trainer other(options);
  require(other.resume(directory) == 5 && other.steps() == 5, "it was not resumed from step 5");
  train(other, 5, 9);
  require(state(one) == state(other), "a training that was resumed is another");
  lockstep::Options changed = options;
  changed.hyperparameters["learning_rate"] = "0.02";
  try {
    lockstep::Trainer(changed).resume(directory);
    require(false, "another training was resumed from");
  } catch (const lockstep::Error& error) {
    require(error.kind() == lockstep::ErrorKind::kInput && error.on_all_ranks(), "another kind of error");
    require(std::string(error.what()).find("learning_rate") != std::string::npos, error.what());
  }
}

void what_is_written_is_what_is_read(const lockstep::Options& options) {
  lockstep::Trainer trainer(options);
  const lockstep::TensorInfo tensor = trainer.tensors().front();
  require(tensor.name == "0.weight" && tensor.trained && tensor.sizes == std::vector<std::int64_t>{16, 5}, tensor.name);
  std::vector<float> values(16 * 5, 0.5F);
  trainer.write("0.weight", lockstep::view(values.data(), {16, 5}));
  std::vector<double> read(16 * 5);
  trainer.read("0.weight", lockstep::mutable_view(read.data(), {16, 5}));
  require(read == std::vector<double>(16 * 5, 0.5), "what was written is not what is read");
  // All that the hidden units get is alike.
  trainer.write("0.bias", lockstep::view(std::vector<double>(16, 0.0).data(), {16}));
  const std::vector<double> zeros(16 * 16, 0.0);
  trainer.write("2.weight", lockstep::view(zeros.data(), {16, 16}));
  trainer.write("4.weight", lockstep::view(zeros.data(), {3, 16}));
  const std::vector<double> bias = {1, 2, 3};
  trainer.write("4.bias", lockstep::view(bias.data(), {3}));
  const Data data(0);
  const auto said = trainer.predict(data.batch().inputs);
  require(said.size() == 1 && said[0].sizes == std::vector<std::int64_t>{kSamples, 3}, "the outputs' sizes");
  for (std::int64_t i = 0; i < kSamples; ++i) require(said[0].data<double>()[3 * i + 1] == 2, "what it predicts");
  // The mean over the samples of all ranks.
  double expected = 0;
  for (int rank = 0; rank < trainer.ranks(); ++rank) {
    const Data of_rank(rank);
    for (std::size_t i = 0; i < of_rank.y.size(); ++i) expected += std::pow(of_rank.y[i] - bias[i % 3], 2);
  }
  expected /= static_cast<double>(trainer.ranks() * kSamples * 3);
  const lockstep::Metrics metrics = trainer.evaluate(Data(trainer.rank()).batch());
  require(metrics.front().first == "loss" && std::abs(metrics.front().second - expected) < 1e-12 * expected,
          "the loss");
  const lockstep::StepResult done = trainer.step(Data(trainer.rank()).batch());
  require(std::abs(done.loss - expected) < 1e-12 * expected && done.batch_size == trainer.ranks() * kSamples,
          "a step's");
}

void a_rate_can_be_set(const lockstep::Options& options) {
  lockstep::Trainer trainer(options);
  const std::vector<double> before = state(trainer);
  trainer.set_learning_rate(0);
  require(trainer.step(Data(1).batch()).learning_rate == 0 && state(trainer) == before,
          "a rate of 0 has changed something");
  trainer.set_learning_rate({});
  require(trainer.step(Data(1).batch()).learning_rate == 0.01 && state(trainer) != before, "the schedule's rate");
}

// What the caller's loss throws comes out as it is, and the step has not been.
void a_loss_may_throw(lockstep::Options options) {
  options.hyperparameters.erase("loss");
  bool fails = false;
  options.loss = [&](const lockstep::LossCall& call) -> lockstep::LossSum {
    if (fails) throw std::out_of_range("no loss today");
    const auto* output = static_cast<const double*>(call.outputs[0].data);
    double sum = 0;
    for (std::int64_t i = 0; i < call.samples * 3; ++i) {
      sum += output[i] * output[i];
      if (!call.gradients.empty()) static_cast<double*>(call.gradients[0].data)[i] = 2 * output[i];
    }
    return {sum, {}};
  };
  const Data data(3);
  const lockstep::Batch inputs = {data.batch().inputs, {}, {}};
  lockstep::Trainer plain(options);
  lockstep::Trainer trainer(options);
  for (int i = 0; i < 3; ++i) {
    plain.step(inputs);
    trainer.step(inputs);
    if (i != 1) continue;
    fails = true;
    try {
      trainer.step(inputs);
      require(false, "a loss has thrown in vain");
    } catch (const std::out_of_range& error) {
      require(std::string(error.what()) == "no loss today", error.what());
    }
    fails = false;
  }
  require(trainer.steps() == 3 && state(plain) == state(trainer), "a step that was not has changed something");
  require(trainer.evaluate(inputs).size() == 1, "only the loss is measured");
}

// The last rank cannot do what all are to do.
template <typename Work>
void require_refused_by_all(const lockstep::Trainer& trainer, const std::string& what, const Work& work) {
  const std::vector<double> before = state(trainer);
  const std::int64_t steps = trainer.steps();
  try {
    work();
    require(false, what + " was taken");
  } catch (const lockstep::Error& error) {
    require(error.kind() == lockstep::ErrorKind::kInput && error.on_all_ranks(), what + ": " + error.what());
  }
  require(state(trainer) == before && trainer.steps() == steps, what + " has changed something");
}

bool is_last(const lockstep::Trainer& trainer) { return trainer.rank() == trainer.ranks() - 1; }

// Arrays that do not fit on one rank are an error on all, and training goes on.
void a_bad_batch_is_an_error_on_all_ranks(const lockstep::Options& options) {
  lockstep::Trainer trainer(options);
  const Data data(4);
  lockstep::Batch inputs = data.batch();
  lockstep::Batch targets = data.batch();
  lockstep::Batch none = data.batch();
  if (is_last(trainer)) {
    inputs.inputs[0].sizes = {kSamples, 4};
    targets.targets->sizes = {kSamples, 2};
    none.targets.reset();
  }
  for (const auto& [what, batch] : {std::pair("an input of other sizes", &inputs),
                                    std::pair("a target of other sizes", &targets), std::pair("no target", &none)}) {
    require_refused_by_all(trainer, what, [&, bad = batch] { trainer.step(*bad); });
    require_refused_by_all(trainer, what, [&, bad = batch] { trainer.evaluate(*bad); });
    train(trainer, 0, 1);
  }
  // A rank without samples takes part.
  require(trainer.step(trainer.rank() == 0 ? data.batch() : lockstep::Batch()).batch_size == kSamples,
          "rank 0's samples");
}

void a_label_that_is_no_class_is_an_error_on_all_ranks(lockstep::Options options) {
  for (const auto& [name, value] : {std::pair("model", "mlp"), std::pair("loss", "cross_entropy")}) {
    options.hyperparameters[name] = value;
  }
  options.input_shape = {5};
  options.classes = 3;
  lockstep::Trainer trainer(options);
  const Data data(6);
  std::vector<std::int64_t> labels(kSamples, 2);
  const lockstep::Batch batch = {data.batch().inputs, lockstep::view(labels.data(), {kSamples}), {}};
  for (int i = 0; i < 2; ++i) {
    trainer.step(batch);
    if (is_last(trainer)) labels[1] = 3;
    require_refused_by_all(trainer, "label 3 of 3 classes", [&] { trainer.step(batch); });
    labels[1] = 2;
  }
}

// Which has no variance. The program has a batch norm.
void a_sample_by_itself_is_an_error_on_all_ranks(lockstep::Options options, const std::string& model) {
  options.hyperparameters["model"] = model;
  lockstep::Trainer trainer(options);
  const Data data(7);
  lockstep::Batch one = data.batch();
  if (is_last(trainer)) one.inputs[0].sizes[0] = one.targets->sizes[0] = 1;
  for (int i = 0; i < 2; ++i) {
    require_refused_by_all(trainer, "one sample", [&] { trainer.step(one); });
    trainer.step(data.batch());
  }
  trainer.evaluate(one);
}

void a_number_that_is_none_changes_nothing(const lockstep::Options& options) {
  lockstep::Trainer trainer(options);
  const std::vector<double> before = state(trainer);
  Data data(5);
  data.x[7] = std::nan("");
  try {
    trainer.step(data.batch());
    require(false, "NaN was trained on");
  } catch (const lockstep::Error& error) {
    require(error.kind() == lockstep::ErrorKind::kNotFinite && error.on_all_ranks(), error.what());
  }
  require(state(trainer) == before && trainer.steps() == 0, "NaN has changed something");
  train(trainer, 0, 1);
}

void a_channel_is_trained_on(lockstep::Options options, const std::string& channel, const std::string& directory) {
  options.channels = {{"train", channel}, {"validation", channel}};
  options.hyperparameters["epochs"] = "3";
  options.hyperparameters["batch_size"] = "16";
  lockstep::Trainer trainer(options);
  int steps = 0;
  while (trainer.step()) {
    if (++steps != 5) continue;
    trainer.save(directory + "/channel");  // within an epoch
    lockstep::Trainer other(options);
    require(other.resume(directory + "/channel") == 5, "resumed");
    trainer = std::move(other);
  }
  require(steps == trainer.steps(), "steps");
  const lockstep::Metrics metrics = trainer.evaluate("validation");
  if (trainer.rank() == 0) std::printf("steps %d validation_loss %.17g\n", steps, metrics.front().second);
  const std::vector<std::string> paths = trainer.export_model(directory + "/model");
  require(paths.size() == (trainer.rank() == 0 ? 2 : 0), "the artifacts");
}

}  // namespace

int main(int, char** arguments) {
  const bool mpi = std::string(arguments[4]) == "mpi";
  if (mpi) MPI_Init(nullptr, nullptr);
  try {
    require(std::string(lockstep::version()) == EXPECTED_VERSION, lockstep::version());
    const lockstep::Options options = options_of(arguments[1], mpi);
    const std::string directory = arguments[2];
    what_is_saved_is_gone_on_from(options, directory + "/checkpoints");
    what_is_written_is_what_is_read(options);
    a_rate_can_be_set(options);
    a_loss_may_throw(options);
    a_bad_batch_is_an_error_on_all_ranks(options);
    a_label_that_is_no_class_is_an_error_on_all_ranks(options);
    a_sample_by_itself_is_an_error_on_all_ranks(options, directory + "/normalized.pt2");
    a_number_that_is_none_changes_nothing(options);
    a_channel_is_trained_on(options, arguments[3], directory);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "failed: %s\n", error.what());
    if (mpi) MPI_Abort(MPI_COMM_WORLD, 1);
    return 1;
  }
  if (mpi) MPI_Finalize();
}
