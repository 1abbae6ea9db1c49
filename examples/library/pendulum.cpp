// A simulation of damped pendulums teaches a small net what they do in one second: alone, on data in memory.
#include <lockstep/Trainer.h>

#include <cmath>
#include <cstdio>
#include <random>
#include <vector>

// The angle and the angular velocity one second later, by 100 small steps.
static void simulate(const double* before, double* after) {
  double angle = before[0], velocity = before[1];
  for (int i = 0; i < 100; ++i) {
    velocity += 0.01 * (-std::sin(angle) - 0.1 * velocity);
    angle += 0.01 * velocity;
  }
  after[0] = angle, after[1] = velocity;
}

int main() try {
  lockstep::Options options;
  options.hyperparameters = {{"model", "mlp"},       {"model_hidden", "64,64"}, {"model_dropout", "0"},
                             {"loss", "mse"},        {"optimizer", "adamw"},    {"learning_rate", "0.01"},
                             {"schedule", "cosine"}, {"max_steps", "1000"},     {"precision", "fp64"}};
  options.input_shape = {2};
  options.classes = 2;
  lockstep::Trainer trainer(options);

  constexpr int kPendulums = 64;
  std::vector<double> before(2 * kPendulums), after(2 * kPendulums);
  std::mt19937 generator(1);
  std::uniform_real_distribution<double> start(-1, 1);
  const auto batch = [&] {
    for (double& number : before) number = start(generator);
    for (int i = 0; i < kPendulums; ++i) simulate(&before[2 * i], &after[2 * i]);
    return lockstep::Batch{
        {lockstep::view(before.data(), {kPendulums, 2})}, lockstep::view(after.data(), {kPendulums, 2}), {}};
  };
  for (int i = 0; i < 1000; ++i) {
    const lockstep::StepResult done = trainer.step(batch());
    if (done.step % 200 == 0) std::printf("step %4d: loss %.2e\n", int(done.step), done.loss);
  }
  const auto test = batch();
  for (const auto& [name, value] : trainer.evaluate(test))
    std::printf("%s of new pendulums: %.2e\n", name.c_str(), value);
  const std::vector<lockstep::Array> said = trainer.predict(test.inputs);
  std::printf("from (%.3f, %.3f) to (%.3f, %.3f); the net says (%.3f, %.3f)\n", before[0], before[1], after[0],
              after[1], said[0].data<double>()[0], said[0].data<double>()[1]);
  for (const std::string& path : trainer.export_model("pendulum")) std::printf("wrote %s\n", path.c_str());
} catch (const lockstep::Error& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
