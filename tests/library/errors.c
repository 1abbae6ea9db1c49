/* Faulty calls of the C interface: each returns its status, with a text, and the trainer goes on. Arguments: MODEL
   DIRECTORY. MODEL takes 5 numbers and returns 3. */
#include <lockstep/lockstep.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { SAMPLES = 4 };
static int failures = 0;
static int fail_now = 0;

static void expect(int line, lockstep_status status, lockstep_status expected, const char* text, const char* part) {
  if (status == expected && strstr(text, part)) return;
  fprintf(stderr, "line %d: status %d, expected %d; \"%s\", expected \"%s\"\n", line, (int)status, (int)expected, text,
          part);
  ++failures;
}
/* A text is there when its call has returned. */
#define EXPECT_TEXT(call, expected, text, part)       \
  do {                                                \
    const lockstep_status returned = call;            \
    expect(__LINE__, returned, expected, text, part); \
  } while (0)
#define EXPECT(call, expected, part) EXPECT_TEXT(call, expected, lockstep_trainer_error(trainer), part)
#define REFUSED(part) refused(__LINE__, options, part)

static void refused(int line, lockstep_options* options, const char* part) {
  lockstep_trainer* trainer = NULL;
  const lockstep_status status = lockstep_trainer_new(options, &trainer);
  expect(line, status, LOCKSTEP_INPUT, lockstep_options_error(options), part);
  if (trainer) {
    fprintf(stderr, "line %d: there is a trainer\n", line);
    ++failures;
    lockstep_trainer_free(trainer);
  }
  lockstep_options_free(options);
}

static lockstep_options* options_with(const char* model, const char* name, const char* value) {
  lockstep_options* options = lockstep_options_new();
  if (model) lockstep_options_set(options, "model", model);
  lockstep_options_set(options, "precision", "fp64");
  if (name) lockstep_options_set(options, name, value);
  return options;
}

static int loss(void* user, lockstep_loss_call* call) {
  (void)user;
  if (fail_now) return 42;
  for (int64_t i = 0; i < call->samples * 3; ++i) {
    call->sum += ((const double*)call->outputs[0].data)[i];
    if (call->gradients) ((double*)call->gradients[0].data)[i] = 1;
  }
  return 0;
}

static int optimizer(void* user, const lockstep_bucket_call* call) {
  (void)user, (void)call;
  return 7;
}

static void before_there_is_a_trainer(const char* model) {
  lockstep_options* options = options_with(NULL, NULL, NULL);
  REFUSED("model");
  options = options_with("nowhere.pt2", NULL, NULL);
  REFUSED("nowhere.pt2");
  options = options_with(model, "learning_rat", "1");
  REFUSED("learning_rate");
  options = options_with(model, "learning_rate", "fast");
  REFUSED("learning_rate");
  options = options_with(model, "epochs", "3");
  REFUSED("epochs");
  options = options_with(model, "checkpoint_every", "10");
  REFUSED("call save");
  options = options_with(model, "schedule", "cosine");
  REFUSED("max_steps");
  options = options_with(model, "loss", "best");
  REFUSED("mse");
  options = options_with(model, "precision", "auto");
  REFUSED("give fp32 or bf16");
  options = options_with("mlp", NULL, NULL);
  REFUSED("input_shape");
  options = options_with(model, "loss", "mse");
  lockstep_options_loss(options, loss, NULL);
  REFUSED("leave the hyperparameter loss out");
  options = options_with(model, "optimizer", "adamw");
  lockstep_options_optimizer(options, optimizer, NULL);
  REFUSED("leave the hyperparameter optimizer out");
  options = options_with(model, NULL, NULL);
  lockstep_options_communicator(options, 0); /* MPI has not started */
  REFUSED("MPI_Init");
  options = options_with(model, NULL, NULL);
  lockstep_options_channel(options, "train", "nowhere");
  REFUSED("nowhere");
  options = options_with(model, NULL, NULL);
  EXPECT_TEXT(lockstep_options_set(options, NULL, "1"), LOCKSTEP_INPUT, lockstep_options_error(options), "null");
  EXPECT_TEXT(lockstep_options_shape(options, 2, NULL, 1), LOCKSTEP_INPUT, lockstep_options_error(options), "null");
  lockstep_options_free(options);
  if (lockstep_options_set(NULL, "a", "b") != LOCKSTEP_INPUT || lockstep_trainer_new(NULL, NULL) != LOCKSTEP_INPUT)
    ++failures;
  lockstep_options_free(NULL);
  lockstep_trainer_free(NULL);
}

static lockstep_trainer* trainer_of(lockstep_options* options) {
  lockstep_trainer* trainer = NULL;
  if (lockstep_trainer_new(options, &trainer) != LOCKSTEP_OK) {
    fprintf(stderr, "%s\n", lockstep_options_error(options));
    exit(1);
  }
  lockstep_options_free(options);
  return trainer;
}

static void of_batches(const char* model, const char* directory) {
  lockstep_trainer* trainer = trainer_of(options_with(model, "loss", "mse"));
  double x[SAMPLES * 5] = {0.5}, y[SAMPLES * 3] = {0.25};
  lockstep_array input = {x, LOCKSTEP_FLOAT64, 2, {SAMPLES, 5}}, target = {y, LOCKSTEP_FLOAT64, 2, {SAMPLES, 3}};
  const lockstep_array good = input, good_target = target;
  lockstep_batch batch = {&input, 1, &target, NULL};
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  batch.input_count = 2;
  const lockstep_array both[] = {input, input};
  batch.inputs = both;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "takes 1 input");
  batch.inputs = &input, batch.input_count = 1;
  batch.targets = NULL;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "target");
  batch.targets = &target;
  input.sizes[1] = 4;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "5");
  input = good, input.type = 99;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "99");
  input = good, input.dimensions = 9;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "9 dimensions");
  input = good, input.dimensions = 0;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "no dimensions");
  input = good, input.data = NULL;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "null");
  input = good, input.sizes[0] = -1;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "-1");
  input = good, target.sizes[0] = 3;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "3 samples");
  target = good_target, target.sizes[1] = 1;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "[4, 1]");
  target = good_target;
  lockstep_array weight = {y, LOCKSTEP_FLOAT64, 1, {SAMPLES}};
  batch.weights = &weight;
  y[1] = -1;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_INPUT, "-1");
  y[1] = 0, batch.weights = NULL;
  EXPECT(lockstep_step(trainer, NULL, NULL), LOCKSTEP_INPUT, "no rank has a sample");
  EXPECT(lockstep_evaluate(trainer, NULL), LOCKSTEP_INPUT, "no rank has a sample");
  EXPECT(lockstep_step_channel(trainer, NULL), LOCKSTEP_INPUT, "no channel train");
  EXPECT(lockstep_evaluate_channel(trainer, "test"), LOCKSTEP_INPUT, "test");
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  EXPECT(lockstep_set_learning_rate(trainer, 0.0 / (y[1])), LOCKSTEP_INPUT, "nan");

  double value = 0;
  EXPECT(lockstep_metric(trainer, "loss", &value), LOCKSTEP_INPUT, "there is none");
  EXPECT(lockstep_metric(trainer, NULL, &value), LOCKSTEP_INPUT, "the name is null");
  EXPECT(lockstep_evaluate(trainer, &batch), LOCKSTEP_OK, "");
  EXPECT(lockstep_metric(trainer, "loss", &value), LOCKSTEP_OK, "");
  EXPECT(lockstep_metric(trainer, "loss", NULL), LOCKSTEP_INPUT, "value is null");
  EXPECT(lockstep_metric(trainer, "joy", &value), LOCKSTEP_INPUT, "loss");
  lockstep_array output = {y, LOCKSTEP_FLOAT64, 2, {SAMPLES, 2}};
  EXPECT(lockstep_predict(trainer, 1, &input, 1, &output), LOCKSTEP_INPUT, "[4, 2]");
  EXPECT(lockstep_predict(trainer, 1, &input, 0, NULL), LOCKSTEP_INPUT, "0 arrays");
  EXPECT(lockstep_predict(trainer, 1, NULL, 1, &output), LOCKSTEP_INPUT, "null");
  lockstep_tensor_info info;
  EXPECT(lockstep_tensor(trainer, 99, &info), LOCKSTEP_INPUT, "99");
  EXPECT(lockstep_read(trainer, "0.wait", &output), LOCKSTEP_INPUT, "0.weight");
  EXPECT(lockstep_read(trainer, "0.weight", &output), LOCKSTEP_INPUT, "[16, 5]");
  EXPECT(lockstep_write(trainer, "0.weight", &output), LOCKSTEP_INPUT, "[16, 5]");
  EXPECT(lockstep_write(trainer, NULL, &output), LOCKSTEP_INPUT, "null");
  EXPECT(lockstep_save(trainer, "/proc/nowhere"), LOCKSTEP_INPUT, "/proc/nowhere");
  EXPECT(lockstep_export(trainer, "/proc/nowhere"), LOCKSTEP_INPUT, "/proc/nowhere");
  EXPECT(lockstep_resume(trainer, directory, NULL), LOCKSTEP_END, "");
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  if (lockstep_steps(trainer) != 3 || !lockstep_trainer_error_on_all_ranks(trainer)) {
    EXPECT(lockstep_step(trainer, NULL, NULL), LOCKSTEP_INPUT, "");
    if (lockstep_steps(trainer) != 3 || !lockstep_trainer_error_on_all_ranks(trainer)) ++failures;
  }
  lockstep_trainer_free(trainer);
}

static void of_functions(const char* model) {
  double x[SAMPLES * 5] = {0.5};
  const lockstep_array input = {x, LOCKSTEP_FLOAT64, 2, {SAMPLES, 5}};
  const lockstep_batch batch = {&input, 1, NULL, NULL};
  lockstep_options* options = options_with(model, NULL, NULL);
  lockstep_options_loss(options, loss, NULL);
  lockstep_trainer* trainer = trainer_of(options);
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  fail_now = 1;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_CALLBACK, "returned 42");
  EXPECT(lockstep_evaluate(trainer, &batch), LOCKSTEP_CALLBACK, "returned 42");
  fail_now = 0;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  lockstep_trainer_free(trainer);
  options = options_with(model, NULL, NULL);
  lockstep_options_loss(options, loss, NULL);
  lockstep_options_optimizer(options, optimizer, NULL);
  trainer = trainer_of(options);
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_CALLBACK, "returned 7");
  lockstep_trainer_free(trainer);
}

static void of_the_machine(const char* model, const char* directory) {
  lockstep_trainer* trainer = trainer_of(options_with(model, "loss", "mse"));
  double x[16 * 5] = {0.5}, y[16 * 3] = {0.25}; /* sizes that are new are tried with up to 16 samples */
  lockstep_array input = {x, LOCKSTEP_FLOAT64, 2, {SAMPLES, 5}};
  lockstep_array target = {y, LOCKSTEP_FLOAT64, 2, {SAMPLES, 3}};
  const lockstep_batch batch = {&input, 1, &target, NULL};
  x[1] = NAN;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_NOT_FINITE, "loss");
  x[1] = 0;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  /* As on a full disk. */
  struct rlimit before, none = {16, 16};
  getrlimit(RLIMIT_FSIZE, &before);
  none.rlim_max = before.rlim_max;
  signal(SIGXFSZ, SIG_IGN);
  setrlimit(RLIMIT_FSIZE, &none);
  EXPECT(lockstep_save(trainer, directory), LOCKSTEP_SYSTEM, directory);
  setrlimit(RLIMIT_FSIZE, &before);
  EXPECT(lockstep_save(trainer, directory), LOCKSTEP_OK, "");
#ifndef __SANITIZE_ADDRESS__ /* which takes most addresses */
  getrlimit(RLIMIT_AS, &before);
  none.rlim_cur = (rlim_t)64 << 30;
  none.rlim_max = before.rlim_max;
  setrlimit(RLIMIT_AS, &none);
  input.sizes[0] = target.sizes[0] = (int64_t)1 << 36;
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_MEMORY, "allocation");
  input.sizes[0] = target.sizes[0] = SAMPLES;
  setrlimit(RLIMIT_AS, &before);
#endif
  EXPECT(lockstep_step(trainer, &batch, NULL), LOCKSTEP_OK, "");
  lockstep_trainer_free(trainer);
}

int main(int count, char** arguments) {
  if (count < 3 || lockstep_abi() != LOCKSTEP_ABI) return 2;
  before_there_is_a_trainer(arguments[1]);
  of_batches(arguments[1], arguments[2]);
  of_functions(arguments[1]);
  of_the_machine(arguments[1], arguments[2]);
  return failures ? 1 : 0;
}
