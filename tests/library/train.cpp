// Trains a program on data of a file and writes its parameters. Arguments: see main. With a loss and an optimizer of
// its own where that is asked for.
#include <lockstep/Trainer.h>
#include <mpi.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <vector>

namespace {

long resident_kilobytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmRSS:", 0) == 0) return std::atol(line.c_str() + 6);
  }
  return 0;
}

// Σ (output - target)² over all numbers, which is what it weighs.
lockstep::LossSum squared_error(const lockstep::LossCall& call) {
  const auto* output = static_cast<const double*>(call.outputs[0].data);
  const auto* target = static_cast<const double*>(call.targets->data);
  const std::int64_t count = call.samples * call.outputs[0].sizes[1];
  lockstep::LossSum sum;
  for (std::int64_t i = 0; i < count; ++i) {
    const double difference = output[i] - target[i];
    sum.sum += difference * difference;
    if (!call.gradients.empty()) static_cast<double*>(call.gradients[0].data)[i] = 2 * difference;
  }
  sum.weight = static_cast<double>(count);
  return sum;
}

// SGD with momentum 0.9.
struct Momentum {
  std::map<std::size_t, std::vector<double>> velocities;

  void operator()(const lockstep::BucketCall& call) {
    const std::int64_t length = call.values.sizes[0];
    std::vector<double>& velocity = velocities[call.bucket];
    velocity.resize(static_cast<std::size_t>(length));
    auto* values = static_cast<double*>(call.values.data);
    const auto* gradients = static_cast<const double*>(call.gradients.data);
    for (std::int64_t i = 0; i < length; ++i) {
      double& v = velocity[static_cast<std::size_t>(i)];
      v = 0.9 * v + gradients[i];
      values[i] -= call.learning_rate * v;
    }
  }
};

// MODEL DATA SAMPLES INPUTS OUTPUTS STEPS BATCH PARAMETERS plain|loss|optimizer|both alone|mpi NAME=VALUE...
int train(int count, char** arguments, bool mpi) {
  const std::int64_t samples = std::atol(arguments[3]), inputs = std::atol(arguments[4]),
                     outputs = std::atol(arguments[5]);
  const std::int64_t steps = std::atol(arguments[6]), size = std::atol(arguments[7]);
  const std::string mode = arguments[9];
  lockstep::Options options;
  options.hyperparameters["model"] = arguments[1];
  for (int i = 11; i < count; ++i) {
    const std::string text = arguments[i];
    options.hyperparameters[text.substr(0, text.find('='))] = text.substr(text.find('=') + 1);
  }
  if (mpi) options.communicator = MPI_Comm_c2f(MPI_COMM_WORLD);
  if (mode == "loss" || mode == "both") options.loss = squared_error;
  if (mode == "optimizer" || mode == "both") options.optimizer = Momentum();
  lockstep::Trainer trainer(options);

  std::vector<double> x(static_cast<std::size_t>(samples * inputs)), y(static_cast<std::size_t>(samples * outputs));
  std::ifstream data(arguments[2], std::ios::binary);
  data.read(reinterpret_cast<char*>(x.data()), static_cast<std::streamsize>(x.size() * sizeof(double)));
  data.read(reinterpret_cast<char*>(y.data()), static_cast<std::streamsize>(y.size() * sizeof(double)));
  const std::int64_t rank = trainer.rank(), ranks = trainer.ranks();
  long early = 0;
  double loss = 0;
  for (std::int64_t step = 0; step < steps; ++step) {
    // Ranks have unequal parts of a batch.
    const std::int64_t first = step % (samples / size) * size;
    const std::int64_t begin = first + size * rank * rank / (ranks * ranks);
    const std::int64_t end = first + size * (rank + 1) * (rank + 1) / (ranks * ranks);
    lockstep::Batch batch;
    batch.inputs.push_back(lockstep::view(x.data() + begin * inputs, {end - begin, inputs}));
    batch.targets = lockstep::view(y.data() + begin * outputs, {end - begin, outputs});
    loss = trainer.step(batch).loss;
    if (step == steps / 5) early = resident_kilobytes();
  }
  if (trainer.rank() > 0) return 0;
  std::printf("loss %.17g\ngrowth %ld\n", loss, resident_kilobytes() - early);
  std::ofstream written(arguments[8], std::ios::binary);
  for (const lockstep::TensorInfo& tensor : trainer.tensors()) {
    std::size_t numbers = 1;
    for (const std::int64_t n : tensor.sizes) numbers *= static_cast<std::size_t>(n);
    std::vector<double> values(numbers);
    trainer.read(tensor.name, lockstep::mutable_view(values.data(), tensor.sizes));
    written.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(numbers * sizeof(double)));
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  const bool mpi = std::string(arguments[10]) == "mpi";
  if (mpi) MPI_Init(nullptr, nullptr);
  int code = 0;
  try {
    code = train(count, arguments, mpi);
  } catch (const lockstep::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
  }
  if (mpi) MPI_Finalize();
  return code;
}
