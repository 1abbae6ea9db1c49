/* As train.cpp, by the C interface. */
#include <lockstep/lockstep.h>

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BUCKETS = 64 };
typedef struct momentum {
  double* velocities[MOST_BUCKETS];
} momentum;

static int squared_error(void* user, lockstep_loss_call* call) {
  const double *output = call->outputs[0].data, *target = call->targets->data;
  const int64_t outputs = call->outputs[0].sizes[1];
  (void)user;
  for (int64_t i = 0; i < call->samples * outputs; ++i) { /* the mean over a sample's numbers; a sample weighs 1 */
    const double difference = output[i] - target[i];
    call->sum += difference * difference / (double)outputs;
    if (call->gradients) ((double*)call->gradients[0].data)[i] = 2 * difference / (double)outputs;
  }
  return 0;
}

static int step_momentum(void* user, const lockstep_bucket_call* call) {
  momentum* state = user;
  if (call->bucket >= MOST_BUCKETS || call->type != LOCKSTEP_FLOAT64) return 1;
  if (!state->velocities[call->bucket]) state->velocities[call->bucket] = calloc((size_t)call->length, sizeof(double));
  double *velocity = state->velocities[call->bucket], *values = call->values;
  const double* gradients = call->gradients;
  for (int64_t i = 0; i < call->length; ++i) {
    velocity[i] = 0.9 * velocity[i] + gradients[i];
    values[i] -= call->learning_rate * velocity[i];
  }
  return 0;
}

static void leave(const char* text) {
  fprintf(stderr, "%s\n", text);
  exit(1);
}

int main(int count, char** arguments) {
  const int64_t samples = atol(arguments[3]), inputs = atol(arguments[4]), outputs = atol(arguments[5]);
  const int64_t steps = atol(arguments[6]), size = atol(arguments[7]);
  const char* mode = arguments[9];
  const int mpi = strcmp(arguments[10], "mpi") == 0;
  momentum state = {{NULL}};
  if (mpi) MPI_Init(NULL, NULL);
  lockstep_options* options = lockstep_options_new();
  lockstep_options_set(options, "model", arguments[1]);
  for (int i = 11; i < count; ++i) {
    char* value = strchr(arguments[i], '=');
    *value = 0;
    lockstep_options_set(options, arguments[i], value + 1);
  }
  if (mpi) lockstep_options_communicator(options, MPI_Comm_c2f(MPI_COMM_WORLD));
  if (strcmp(mode, "loss") == 0 || strcmp(mode, "both") == 0) lockstep_options_loss(options, squared_error, NULL);
  if (strcmp(mode, "optimizer") == 0 || strcmp(mode, "both") == 0) {
    lockstep_options_optimizer(options, step_momentum, &state);
  }
  lockstep_trainer* trainer = NULL;
  if (lockstep_trainer_new(options, &trainer) != LOCKSTEP_OK) leave(lockstep_options_error(options));
  lockstep_options_free(options);

  double *x = malloc((size_t)(samples * inputs) * sizeof(double)),
         *y = malloc((size_t)(samples * outputs) * sizeof(double));
  FILE* data = fopen(arguments[2], "rb");
  if (!data || fread(x, sizeof(double), (size_t)(samples * inputs), data) != (size_t)(samples * inputs) ||
      fread(y, sizeof(double), (size_t)(samples * outputs), data) != (size_t)(samples * outputs)) {
    leave("no data");
  }
  fclose(data);
  const int64_t rank = lockstep_rank(trainer), ranks = lockstep_ranks(trainer);
  lockstep_step_result result = {0};
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t first = step % (samples / size) * size;
    const int64_t begin = first + size * rank * rank / (ranks * ranks);
    const int64_t end = first + size * (rank + 1) * (rank + 1) / (ranks * ranks);
    const lockstep_array input = {x + begin * inputs, LOCKSTEP_FLOAT64, 2, {end - begin, inputs}};
    const lockstep_array target = {y + begin * outputs, LOCKSTEP_FLOAT64, 2, {end - begin, outputs}};
    const lockstep_batch batch = {&input, 1, &target, NULL};
    if (lockstep_step(trainer, &batch, &result) != LOCKSTEP_OK) leave(lockstep_trainer_error(trainer));
  }
  if (rank == 0) {
    printf("loss %.17g\n", result.loss);
    FILE* written = fopen(arguments[8], "wb");
    for (int i = 0; i < lockstep_tensor_count(trainer); ++i) {
      lockstep_tensor_info info;
      if (lockstep_tensor(trainer, i, &info) != LOCKSTEP_OK) leave(lockstep_trainer_error(trainer));
      lockstep_array into = {NULL, LOCKSTEP_FLOAT64, info.dimensions, {0}};
      size_t numbers = 1;
      for (int d = 0; d < info.dimensions; ++d) numbers *= (size_t)(into.sizes[d] = info.sizes[d]);
      into.data = malloc(numbers * sizeof(double));
      if (lockstep_read(trainer, info.name, &into) != LOCKSTEP_OK) leave(lockstep_trainer_error(trainer));
      fwrite(into.data, sizeof(double), numbers, written);
      free(into.data);
    }
    fclose(written);
  }
  lockstep_trainer_free(trainer);
  for (int i = 0; i < MOST_BUCKETS; ++i) free(state.velocities[i]);
  free(x);
  free(y);
  if (mpi) MPI_Finalize();
  return 0;
}
