/* A simulation of damped pendulums teaches a small net what they do in one second: on all ranks of an MPI job. */
#include <lockstep/lockstep.h>

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

enum { PENDULUMS = 64 };

static void simulate(const double* before, double* after) {
  double angle = before[0], velocity = before[1];
  for (int i = 0; i < 100; ++i) {
    velocity += 0.01 * (-sin(angle) - 0.1 * velocity);
    angle += 0.01 * velocity;
  }
  after[0] = angle, after[1] = velocity;
}

static void fill(double* before, double* after) {
  for (int i = 0; i < 2 * PENDULUMS; ++i) before[i] = 2.0 * rand() / RAND_MAX - 1;
  for (int i = 0; i < PENDULUMS; ++i) simulate(before + 2 * i, after + 2 * i);
}

static void require(lockstep_trainer* trainer, lockstep_status status) {
  if (status == LOCKSTEP_OK) return;
  fprintf(stderr, "%s\n", lockstep_trainer_error(trainer));
  MPI_Abort(MPI_COMM_WORLD, 1);
}

int main(int count, char** arguments) {
  MPI_Init(&count, &arguments);
  static const char* const hyperparameters[][2] = {
      {"model", "mlp"},       {"model_hidden", "64,64"}, {"model_dropout", "0"},    {"loss", "mse"},
      {"optimizer", "adamw"}, {"schedule", "cosine"},    {"learning_rate", "0.01"}, {"max_steps", "1000"},
      {"precision", "fp64"},  {"threads_per_rank", "1"}};
  const int64_t shape[] = {2};
  lockstep_options* options = lockstep_options_new();
  for (size_t i = 0; i < sizeof hyperparameters / sizeof *hyperparameters; ++i) {
    lockstep_options_set(options, hyperparameters[i][0], hyperparameters[i][1]);
  }
  lockstep_options_shape(options, 1, shape, 2);
  lockstep_options_communicator(options, MPI_Comm_c2f(MPI_COMM_WORLD));
  lockstep_trainer* trainer = NULL;
  if (lockstep_trainer_new(options, &trainer) != LOCKSTEP_OK) {
    fprintf(stderr, "%s\n", lockstep_options_error(options));
    MPI_Abort(MPI_COMM_WORLD, 1);
  }
  lockstep_options_free(options);

  double before[2 * PENDULUMS], after[2 * PENDULUMS];
  const lockstep_array inputs = {before, LOCKSTEP_FLOAT64, 2, {PENDULUMS, 2}};
  const lockstep_array targets = {after, LOCKSTEP_FLOAT64, 2, {PENDULUMS, 2}};
  const lockstep_batch batch = {&inputs, 1, &targets, NULL};
  srand(1 + (unsigned)lockstep_rank(trainer)); /* each rank has pendulums of its own */
  for (int i = 0; i < 1000; ++i) {
    lockstep_step_result done;
    fill(before, after);
    require(trainer, lockstep_step(trainer, &batch, &done));
    if (done.step % 200 == 0 && lockstep_rank(trainer) == 0) {
      printf("step %4d: loss %.2e over %d pendulums\n", (int)done.step, done.loss, (int)done.batch_size);
    }
  }
  double loss = 0;
  fill(before, after);
  require(trainer, lockstep_evaluate(trainer, &batch));
  require(trainer, lockstep_metric(trainer, "loss", &loss));
  if (lockstep_rank(trainer) == 0) printf("loss of new pendulums: %.2e\n", loss);
  require(trainer, lockstep_export(trainer, "pendulum"));
  lockstep_trainer_free(trainer);
  MPI_Finalize();
  return 0;
}
