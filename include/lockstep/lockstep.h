/**
 * @file
 * Lockstep's library for C, and for all languages that call C.
 *
 * A program makes options and a trainer of them, trains step by step in a loop of its own, reads and changes what is
 * trained, and frees both. docs/library.md has examples.
 *
 * Every function that can fail returns a lockstep_status: 0, or what has gone wrong. The handle that was given then has
 * the text (lockstep_options_error, lockstep_trainer_error). No C++ exception comes out of any function. Handles are
 * used by one thread at a time. All pointers are the caller's: nothing that is given is kept, unless a function says
 * so.
 */
#ifndef LOCKSTEP_LOCKSTEP_H
#define LOCKSTEP_LOCKSTEP_H

#include <stddef.h>
#include <stdint.h>

/** What programs may call. */
#if defined(__GNUC__)
#define LOCKSTEP_C_API __attribute__((visibility("default")))
#else
#define LOCKSTEP_C_API
#endif

/** The version of this interface: it changes when a program must be compiled anew. */
#define LOCKSTEP_ABI 1
/** The most dimensions of an array. */
#define LOCKSTEP_DIMENSIONS 8

#ifdef __cplusplus
extern "C" {
#endif

/** What a function has come to. */
typedef enum lockstep_status {
  LOCKSTEP_OK = 0,
  LOCKSTEP_INPUT = 1,      /**< what was given cannot be used: a file, a hyperparameter, an array */
  LOCKSTEP_NOT_FINITE = 2, /**< a loss or a gradient is NaN or infinite */
  LOCKSTEP_SYSTEM = 3,     /**< the machine did not do what it was asked: a full disk, a failed write */
  LOCKSTEP_MEMORY = 4,     /**< there is not enough memory */
  LOCKSTEP_PEER = 5,       /**< another rank has failed, or the ranks disagree */
  LOCKSTEP_CALLBACK = 6,   /**< a function of the caller's has returned something else than 0 */
  LOCKSTEP_INTERNAL = 7,   /**< a fault of Lockstep's */
  LOCKSTEP_END = 8         /**< no error: lockstep_step_channel has done all steps; lockstep_resume has found nothing */
} lockstep_status;

/** The type of an array's elements. */
typedef enum lockstep_type {
  LOCKSTEP_FLOAT32 = 1,
  LOCKSTEP_FLOAT64 = 2,
  LOCKSTEP_INT32 = 3,
  LOCKSTEP_INT64 = 4,
  LOCKSTEP_UINT8 = 5,
  LOCKSTEP_BOOL = 6
} lockstep_type;

/** An array in somebody's memory, row-major and without gaps: the last size varies fastest. Sizes beyond `dimensions`
 *  mean nothing. `data` may be null where a size is 0. */
typedef struct lockstep_array {
  void* data;                         /**< the first number */
  int32_t type;                       /**< a lockstep_type */
  int32_t dimensions;                 /**< 0 to LOCKSTEP_DIMENSIONS */
  int64_t sizes[LOCKSTEP_DIMENSIONS]; /**< the slowest first */
} lockstep_array;

/** This rank's samples. All arrays begin with the number of samples, which may be 0, and another on each rank. */
typedef struct lockstep_batch {
  const lockstep_array* inputs;  /**< in the order in which the program takes them */
  int32_t input_count;           /**< how many the program takes */
  const lockstep_array* targets; /**< null: none */
  const lockstep_array* weights; /**< of samples; null: all 1 */
} lockstep_batch;

/** What came of a step: the same on all ranks. */
typedef struct lockstep_step_result {
  int64_t step;         /**< that the trainer has done, with this one */
  int64_t batch_size;   /**< over all ranks */
  double loss;          /**< the mean over the global batch, before the update */
  double learning_rate; /**< of this step */
  int32_t skipped;      /**< not 0: precision=fp16, the gradient overflowed, and nothing changed */
  int32_t weightless;   /**< not 0: no sample counts, and nothing changed */
} lockstep_step_result;

/** A tensor of the program. */
typedef struct lockstep_tensor_info {
  const char* name;                   /**< as in PyTorch's state dict; good as long as the trainer */
  int32_t type;                       /**< a lockstep_type */
  int32_t dimensions;                 /**< 0 to LOCKSTEP_DIMENSIONS */
  int64_t sizes[LOCKSTEP_DIMENSIONS]; /**< the slowest first */
  int32_t trained;                    /**< 0: a buffer, or a parameter that is not trained */
} lockstep_tensor_info;

/** Some samples with what the program returned for them, for a loss of the caller's. Good until the loss returns. */
typedef struct lockstep_loss_call {
  int64_t samples;                 /**< how many there are */
  int32_t output_count;            /**< how many the program returns */
  const lockstep_array* outputs;   /**< all that the program returned: [samples, …] */
  const lockstep_array* targets;   /**< as the batch had them, as real numbers of the program's type; null: none */
  const lockstep_array* weights;   /**< the same */
  const lockstep_array* gradients; /**< by output, zero at first: the derivatives of `sum`; null: not wanted */
  double sum;                      /**< to be set: Σ loss over the samples */
  double weight;                   /**< to be set, where it is not the number of samples, which it is at first */
} lockstep_loss_call;

/** Returns 0, or anything else to end the step with LOCKSTEP_CALLBACK. */
typedef int (*lockstep_loss_function)(void* user, lockstep_loss_call* call);

/** A parameter in a bucket. */
typedef struct lockstep_bucket_parameter {
  const char* name;     /**< as in PyTorch's state dict */
  int64_t offset;       /**< of its first number in the bucket */
  int64_t length;       /**< of its numbers, in the order of memory that the program has them in */
  int32_t has_gradient; /**< 0: it took no part in the loss */
} lockstep_bucket_parameter;

/** A contiguous piece of all parameters with their gradients, for an optimizer of the caller's. Good until it returns.
 *  Gradients are those of the global batch, and clipped where clip_norm says so. */
typedef struct lockstep_bucket_call {
  int32_t bucket;                              /**< from 0 on */
  int32_t buckets;                             /**< in a step */
  int64_t step;                                /**< from 1 on */
  double learning_rate;                        /**< as the schedule or lockstep_set_learning_rate has it */
  int32_t type;                                /**< LOCKSTEP_FLOAT32 or LOCKSTEP_FLOAT64 */
  int32_t parameter_count;                     /**< of `parameters` */
  int64_t length;                              /**< numbers in the bucket */
  void* values;                                /**< to be updated */
  const void* gradients;                       /**< of the same type and length */
  const lockstep_bucket_parameter* parameters; /**< what lies where */
} lockstep_bucket_call;

/** Returns 0, or anything else to end the step with LOCKSTEP_CALLBACK. */
typedef int (*lockstep_optimizer_function)(void* user, const lockstep_bucket_call* call);

/** Is told, on rank 0, what whoever trains should know. */
typedef void (*lockstep_note_function)(void* user, const char* text, int warning);

typedef struct lockstep_options lockstep_options; /**< what a trainer is made of */
typedef struct lockstep_trainer lockstep_trainer; /**< a program that is trained */

/** LOCKSTEP_ABI of the library that is linked. */
LOCKSTEP_C_API int lockstep_abi(void);
/** Lockstep's version, as in "0.2.0". */
LOCKSTEP_C_API const char* lockstep_version(void);

/** Null when there is no memory. */
LOCKSTEP_C_API lockstep_options* lockstep_options_new(void);
/** May be null. Trainers that were made of them stay as they are. */
LOCKSTEP_C_API void lockstep_options_free(lockstep_options* options);
/** A hyperparameter, as flags have them: ("model", "net.pt2"), ("learning_rate", "0.1"). */
LOCKSTEP_C_API lockstep_status lockstep_options_set(lockstep_options* options, const char* name, const char* value);
/** A directory of data: `train`, `validation`, `test`. */
LOCKSTEP_C_API lockstep_status lockstep_options_channel(lockstep_options* options, const char* name,
                                                        const char* directory);
/** What a built-in program is built for: the sizes of one sample, and the width of its output. */
LOCKSTEP_C_API lockstep_status lockstep_options_shape(lockstep_options* options, int dimensions, const int64_t* sizes,
                                                      int64_t classes);
/** The caller's own MPI job: MPI_Comm_c2f(communicator). Without it this process is alone. */
LOCKSTEP_C_API lockstep_status lockstep_options_communicator(lockstep_options* options, int communicator);
/** `user` is handed to the function, and must live as long as the trainers that are made of these options. */
LOCKSTEP_C_API lockstep_status lockstep_options_loss(lockstep_options* options, lockstep_loss_function function,
                                                     void* user);
/** The same. */
LOCKSTEP_C_API lockstep_status lockstep_options_optimizer(lockstep_options* options,
                                                          lockstep_optimizer_function function, void* user);
/** The same. */
LOCKSTEP_C_API lockstep_status lockstep_options_note(lockstep_options* options, lockstep_note_function function,
                                                     void* user);
/** The text of the last error of a function that was given these options; "" when there was none. Good until the next
 *  call. */
LOCKSTEP_C_API const char* lockstep_options_error(const lockstep_options* options);

/** A collective. `*trainer` becomes a new one, or null: then the options have the text. */
LOCKSTEP_C_API lockstep_status lockstep_trainer_new(lockstep_options* options, lockstep_trainer** trainer);
/** May be null. Before MPI_Finalize, where there is a communicator. */
LOCKSTEP_C_API void lockstep_trainer_free(lockstep_trainer* trainer);
/** The text of the last error of a function that was given this trainer; "" when there was none. Good until the next
 *  call. */
LOCKSTEP_C_API const char* lockstep_trainer_error(const lockstep_trainer* trainer);
/** Whether all ranks have had that error at the same point, so that they can go on or leave together. Else this rank
 *  should end the others (MPI_Abort). */
LOCKSTEP_C_API int lockstep_trainer_error_on_all_ranks(const lockstep_trainer* trainer);

/** This process's number among the ranks, from 0 on. */
LOCKSTEP_C_API int lockstep_rank(const lockstep_trainer* trainer);
/** How many ranks there are. */
LOCKSTEP_C_API int lockstep_ranks(const lockstep_trainer* trainer);
/** Steps that were done, with those of what it was resumed from. */
LOCKSTEP_C_API int64_t lockstep_steps(const lockstep_trainer* trainer);

/** A collective. One step over this rank's samples and those of the other ranks. `result` may be null. */
LOCKSTEP_C_API lockstep_status lockstep_step(lockstep_trainer* trainer, const lockstep_batch* batch,
                                             lockstep_step_result* result);
/** A collective. One step over the next global batch of the channel `train`; LOCKSTEP_END after the last. */
LOCKSTEP_C_API lockstep_status lockstep_step_channel(lockstep_trainer* trainer, lockstep_step_result* result);
/** The learning rate of the steps to come; below 0: as `schedule` says. */
LOCKSTEP_C_API lockstep_status lockstep_set_learning_rate(lockstep_trainer* trainer, double learning_rate);

/** A collective. Measures the program in its inference form on all ranks' samples. */
LOCKSTEP_C_API lockstep_status lockstep_evaluate(lockstep_trainer* trainer, const lockstep_batch* batch);
/** A collective. The same on one of the channels. */
LOCKSTEP_C_API lockstep_status lockstep_evaluate_channel(lockstep_trainer* trainer, const char* channel);
/** A metric of the last evaluation: "loss", "accuracy", … */
LOCKSTEP_C_API lockstep_status lockstep_metric(lockstep_trainer* trainer, const char* name, double* value);
/** What the program returns in its inference form, into memory of the outputs' sizes and any type. */
LOCKSTEP_C_API lockstep_status lockstep_predict(lockstep_trainer* trainer, int input_count,
                                                const lockstep_array* inputs, int output_count,
                                                const lockstep_array* outputs);

/** How many tensors the program has: parameters and buffers. */
LOCKSTEP_C_API int lockstep_tensor_count(const lockstep_trainer* trainer);
/** The one of a number from 0 on. */
LOCKSTEP_C_API lockstep_status lockstep_tensor(lockstep_trainer* trainer, int number, lockstep_tensor_info* info);
/** Copies a tensor into memory of its sizes and any type. */
LOCKSTEP_C_API lockstep_status lockstep_read(lockstep_trainer* trainer, const char* name, const lockstep_array* into);
/** Sets a tensor to numbers of its sizes and any type: the same on all ranks. */
LOCKSTEP_C_API lockstep_status lockstep_write(lockstep_trainer* trainer, const char* name, const lockstep_array* from);

/** A collective. Writes a checkpoint into the directory, and keeps the newest `checkpoint_keep`. */
LOCKSTEP_C_API lockstep_status lockstep_save(lockstep_trainer* trainer, const char* directory);
/** A collective. Goes on from the newest checkpoint there; LOCKSTEP_END when there is none. `step` may be null. */
LOCKSTEP_C_API lockstep_status lockstep_resume(lockstep_trainer* trainer, const char* directory, int64_t* step);
/** A collective. Writes the formats of the hyperparameter `export` into the directory. */
LOCKSTEP_C_API lockstep_status lockstep_export(lockstep_trainer* trainer, const char* directory);

#ifdef __cplusplus
}
#endif

#endif
