/* What a trainer does besides steps over batches, by the C interface. Arguments: MODEL DIRECTORY CHANNEL alone|mpi.
   MODEL takes 5 numbers and returns 3; CHANNEL is of such samples. */
#include <lockstep/lockstep.h>

#include <math.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SAMPLES = 12, INPUTS = 5, HIDDEN = 16, OUTPUTS = 3, NUMBERS = 1024, STEPS = 3 };
static int mpi = 0;
static int notes = 0;

static void leave(int line, const char* text) {
  fprintf(stderr, "line %d: %s\n", line, text);
  if (mpi) MPI_Abort(MPI_COMM_WORLD, 1);
  exit(1);
}
#define REQUIRE(holds)                     \
  do {                                     \
    if (!(holds)) leave(__LINE__, #holds); \
  } while (0)
#define RUN(call)                                                                \
  do {                                                                           \
    if ((call) != LOCKSTEP_OK) leave(__LINE__, lockstep_trainer_error(trainer)); \
  } while (0)

static void note(void* user, const char* text, int warning) {
  (void)warning;
  REQUIRE(user == &notes && strlen(text) > 0);
  ++notes;
}

static lockstep_options* options_of(const char* model, const char* channel) {
  static const char* const given[][2] = {{"loss", "mse"},       {"optimizer", "adamw"},  {"learning_rate", "0.01"},
                                         {"precision", "fp64"}, {"epochs", "2"},         {"threads_per_rank", "1"},
                                         {"batch_size", "16"},  {"checkpoint_keep", "2"}};
  lockstep_options* options = lockstep_options_new();
  REQUIRE(lockstep_options_set(options, "model", model) == LOCKSTEP_OK);
  for (size_t i = 0; i < sizeof given / sizeof *given; ++i) {
    REQUIRE(lockstep_options_set(options, given[i][0], given[i][1]) == LOCKSTEP_OK);
  }
  REQUIRE(lockstep_options_channel(options, "train", channel) == LOCKSTEP_OK);
  REQUIRE(lockstep_options_channel(options, "validation", channel) == LOCKSTEP_OK);
  REQUIRE(lockstep_options_note(options, note, &notes) == LOCKSTEP_OK);
  if (mpi) REQUIRE(lockstep_options_communicator(options, MPI_Comm_c2f(MPI_COMM_WORLD)) == LOCKSTEP_OK);
  return options;
}

static lockstep_trainer* trainer_of(const char* model, const char* channel) {
  lockstep_options* options = options_of(model, channel);
  lockstep_trainer* trainer = NULL;
  if (lockstep_trainer_new(options, &trainer) != LOCKSTEP_OK) leave(__LINE__, lockstep_options_error(options));
  lockstep_options_free(options);
  return trainer;
}

/* All tensors, one behind the other; returns how many numbers. */
static int64_t state_of(lockstep_trainer* trainer, double* numbers) {
  int64_t all = 0;
  for (int i = 0; i < lockstep_tensor_count(trainer); ++i) {
    lockstep_tensor_info info;
    RUN(lockstep_tensor(trainer, i, &info));
    lockstep_array array = {numbers + all, LOCKSTEP_FLOAT64, info.dimensions, {0}};
    memcpy(array.sizes, info.sizes, sizeof array.sizes);
    int64_t length = 1;
    for (int j = 0; j < info.dimensions; ++j) length *= info.sizes[j];
    REQUIRE(all + length <= NUMBERS && info.type == LOCKSTEP_FLOAT64 && info.trained);
    RUN(lockstep_read(trainer, info.name, &array));
    all += length;
  }
  return all;
}

static void require_same(lockstep_trainer* trainer, lockstep_trainer* other, int same) {
  double state[NUMBERS], others[NUMBERS];
  const int64_t length = state_of(trainer, state);
  REQUIRE(state_of(other, others) == length);
  REQUIRE((memcmp(state, others, (size_t)length * sizeof(double)) == 0) == same);
}

/* A program whose weights are 0 returns its last bias, and its loss follows from that. */
static void what_is_written_is_what_is_computed_with(const char* model, const char* channel) {
  lockstep_trainer* trainer = trainer_of(model, channel);
  double zeros[HIDDEN * HIDDEN] = {0}, read[HIDDEN * HIDDEN], x[SAMPLES * INPUTS], y[SAMPLES * OUTPUTS],
                        said[SAMPLES * OUTPUTS];
  const float half[HIDDEN * INPUTS] = {0.5F};
  double bias[OUTPUTS] = {1, 2, 3};
  const lockstep_array first = {(void*)half, LOCKSTEP_FLOAT32, 2, {HIDDEN, INPUTS}},
                       into = {read, LOCKSTEP_FLOAT64, 2, {HIDDEN, INPUTS}};
  RUN(lockstep_write(trainer, "0.weight", &first));
  RUN(lockstep_read(trainer, "0.weight", &into));
  REQUIRE(read[0] == 0.5 && read[1] == 0 && read[HIDDEN * INPUTS - 1] == 0);
  const lockstep_array last = {zeros, LOCKSTEP_FLOAT64, 2, {OUTPUTS, HIDDEN}},
                       last_bias = {bias, LOCKSTEP_FLOAT64, 1, {OUTPUTS}};
  RUN(lockstep_write(trainer, "4.weight", &last));
  RUN(lockstep_write(trainer, "4.bias", &last_bias));
  for (int i = 0; i < SAMPLES * INPUTS; ++i) x[i] = sin(i);
  double expected = 0;
  for (int i = 0; i < SAMPLES * OUTPUTS; ++i) {
    y[i] = cos(i);
    expected += pow(y[i] - bias[i % OUTPUTS], 2) / (SAMPLES * OUTPUTS);
  }
  const lockstep_array input = {x, LOCKSTEP_FLOAT64, 2, {SAMPLES, INPUTS}},
                       target = {y, LOCKSTEP_FLOAT64, 2, {SAMPLES, OUTPUTS}};
  const lockstep_array output = {said, LOCKSTEP_FLOAT64, 2, {SAMPLES, OUTPUTS}};
  RUN(lockstep_predict(trainer, 1, &input, 1, &output));
  for (int i = 0; i < SAMPLES * OUTPUTS; ++i) REQUIRE(said[i] == bias[i % OUTPUTS]);
  const lockstep_batch batch = {&input, 1, &target, NULL};
  double loss = 0;
  RUN(lockstep_evaluate(trainer, &batch));
  RUN(lockstep_metric(trainer, "loss", &loss));
  REQUIRE(fabs(loss - expected) < 1e-12 * expected);
  lockstep_trainer_free(trainer);
}

static void a_rate_can_be_set(const char* model, const char* channel) {
  lockstep_trainer *trainer = trainer_of(model, channel), *other = trainer_of(model, channel);
  lockstep_step_result done;
  RUN(lockstep_set_learning_rate(trainer, 0));
  RUN(lockstep_step_channel(trainer, &done));
  REQUIRE(done.learning_rate == 0 && done.step == 1 && done.batch_size == 16);
  require_same(trainer, other, 1);
  RUN(lockstep_set_learning_rate(trainer, -1));
  RUN(lockstep_step_channel(trainer, &done));
  REQUIRE(done.learning_rate == 0.01);
  require_same(trainer, other, 0);
  lockstep_trainer_free(trainer);
  lockstep_trainer_free(other);
}

static void what_is_saved_is_gone_on_from(const char* model, const char* directory, const char* channel) {
  lockstep_trainer *trainer = trainer_of(model, channel), *other = trainer_of(model, channel);
  char place[4096], exported[4096];
  snprintf(place, sizeof place, "%s/checkpoints", directory);
  snprintf(exported, sizeof exported, "%s/model", directory);
  lockstep_step_result done;
  for (int i = 0; i < STEPS; ++i) RUN(lockstep_step_channel(trainer, &done));
  RUN(lockstep_save(trainer, place));
  int64_t step = 0;
  REQUIRE(lockstep_resume(other, place, &step) == LOCKSTEP_OK && step == STEPS && lockstep_steps(other) == STEPS);
  lockstep_trainer* const both[] = {trainer, other};
  lockstep_status status = LOCKSTEP_OK;
  double losses[2];
  for (int i = 0; i < 2; ++i) {
    while ((status = lockstep_step_channel(both[i], &done)) == LOCKSTEP_OK) continue;
    REQUIRE(status == LOCKSTEP_END && done.step == lockstep_steps(both[i]) &&
            done.step == 2 * 4); /* 60 samples by 16 */
    REQUIRE(lockstep_evaluate_channel(both[i], "validation") == LOCKSTEP_OK);
    REQUIRE(lockstep_metric(both[i], "loss", &losses[i]) == LOCKSTEP_OK);
  }
  require_same(trainer, other, 1);
  REQUIRE(losses[0] == losses[1] && losses[0] > 0);
  RUN(lockstep_export(trainer, exported));
  lockstep_trainer_free(trainer);
  lockstep_trainer_free(other);
}

/* Each rank learns why there is no trainer, also the one that could open its program. */
static void what_fails_on_one_rank_is_told_to_all(const char* model, const char* channel) {
  int rank = 0;
  MPI_Comm_rank(MPI_COMM_WORLD, &rank);
  lockstep_options* options = options_of(rank == 0 ? model : "nowhere.pt2", channel);
  lockstep_trainer* trainer = NULL;
  const lockstep_status status = lockstep_trainer_new(options, &trainer);
  const char* text = lockstep_options_error(options);
  if (status != LOCKSTEP_INPUT || !strstr(text, "nowhere.pt2") || (rank == 0 && !strstr(text, "rank 1")) || trainer) {
    leave(__LINE__, text);
  }
  lockstep_options_free(options);
}

int main(int count, char** arguments) {
  if (count < 5) return 2;
  mpi = strcmp(arguments[4], "mpi") == 0;
  if (mpi) MPI_Init(NULL, NULL);
  REQUIRE(lockstep_abi() == LOCKSTEP_ABI && strcmp(lockstep_version(), EXPECTED_VERSION) == 0);
  what_is_written_is_what_is_computed_with(arguments[1], arguments[3]);
  a_rate_can_be_set(arguments[1], arguments[3]);
  what_is_saved_is_gone_on_from(arguments[1], arguments[2], arguments[3]);
  if (mpi) what_fails_on_one_rank_is_told_to_all(arguments[1], arguments[3]);
  printf("%d notes\n", notes);
  if (mpi) MPI_Finalize();
  return 0;
}
