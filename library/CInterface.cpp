#include "lockstep/lockstep.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "lockstep/Trainer.h"

using lockstep::v1::Array;
using lockstep::v1::ArrayView;
using lockstep::v1::Error;
using lockstep::v1::ErrorKind;
using lockstep::v1::MutableArrayView;
using lockstep::v1::Type;
namespace v1 = lockstep::v1;

struct lockstep_options {
  v1::Options options;
  std::string error;
};

struct lockstep_trainer {
  explicit lockstep_trainer(const v1::Options& options) : trainer(options), tensors(trainer.tensors()) {}

  v1::Trainer trainer;
  std::vector<v1::TensorInfo> tensors;
  v1::Metrics metrics;
  std::string error;
  bool on_all_ranks = false;
};

namespace {

// What a function of the caller's has come to, on its way out.
struct CallbackFailed {
  std::string text;
};

Error bad_input(const std::string& text) { return {ErrorKind::kInput, text, false}; }

void set_error(lockstep_options& options, std::string text, bool /*on_all_ranks*/) { options.error = std::move(text); }

void set_error(lockstep_trainer& trainer, std::string text, bool on_all_ranks) {
  trainer.error = std::move(text);
  trainer.on_all_ranks = on_all_ranks;
}

// Calls `work`, which returns a status or nothing. No exception comes out, whatever memory there is.
template <typename Handle, typename Work>
lockstep_status guarded(Handle* handle, const Work& work) noexcept {
  if (handle == nullptr) return LOCKSTEP_INPUT;
  try {
    try {
      set_error(*handle, "", false);
      return work(*handle);
    } catch (const Error& error) {
      set_error(*handle, error.what(), error.on_all_ranks());
      return static_cast<lockstep_status>(error.kind());
    } catch (const CallbackFailed& failed) {
      set_error(*handle, failed.text, false);
      return LOCKSTEP_CALLBACK;
    } catch (const std::bad_alloc&) {
      return LOCKSTEP_MEMORY;
    } catch (const std::exception& error) {
      set_error(*handle, error.what(), false);
      return LOCKSTEP_INTERNAL;
    }
  } catch (...) {
    return LOCKSTEP_MEMORY;
  }
}

const char* text_of(const char* text, const char* what) {
  if (text == nullptr) throw bad_input(std::string(what) + " is null");
  return text;
}

std::vector<std::int64_t> sizes_of(const lockstep_array& array) {
  if (array.dimensions < 0 || array.dimensions > LOCKSTEP_DIMENSIONS) {
    throw bad_input("an array has " + std::to_string(array.dimensions) + " dimensions; expected 0 to " +
                    std::to_string(LOCKSTEP_DIMENSIONS));
  }
  return {array.sizes, array.sizes + array.dimensions};
}

ArrayView view_of(const lockstep_array& array) { return {array.data, static_cast<Type>(array.type), sizes_of(array)}; }

MutableArrayView mutable_view_of(const lockstep_array& array) {
  return {array.data, static_cast<Type>(array.type), sizes_of(array)};
}

std::vector<ArrayView> views_of(const lockstep_array* arrays, int count) {
  if (count < 0 || (arrays == nullptr && count > 0)) throw bad_input("arrays are null, or fewer than none");
  std::vector<ArrayView> views;
  for (int i = 0; i < count; ++i) views.push_back(view_of(arrays[i]));
  return views;
}

v1::Batch batch_of(const lockstep_batch* batch) {
  if (batch == nullptr) return {};
  v1::Batch made = {.inputs = views_of(batch->inputs, batch->input_count), .targets = {}, .weights = {}};
  if (batch->targets != nullptr) made.targets = view_of(*batch->targets);
  if (batch->weights != nullptr) made.weights = view_of(*batch->weights);
  return made;
}

template <typename View>
lockstep_array array_of(const View& view) {
  if (view.sizes.size() > LOCKSTEP_DIMENSIONS) {
    throw bad_input("an array has more than " + std::to_string(LOCKSTEP_DIMENSIONS) + " dimensions");
  }
  lockstep_array array = {const_cast<void*>(view.data),
                          static_cast<std::int32_t>(view.type),
                          static_cast<std::int32_t>(view.sizes.size()),
                          {}};
  std::copy(view.sizes.begin(), view.sizes.end(), array.sizes);
  return array;
}

void give(const v1::StepResult& from, lockstep_step_result* to) {
  if (to == nullptr) return;
  *to = {from.step, from.batch_size, from.loss, from.learning_rate, from.skipped ? 1 : 0, from.weightless ? 1 : 0};
}

v1::LossSum call_loss(lockstep_loss_function function, void* user, const v1::LossCall& call) {
  std::vector<lockstep_array> outputs;
  std::vector<lockstep_array> gradients;
  for (const ArrayView& output : call.outputs) outputs.push_back(array_of(output));
  for (const MutableArrayView& gradient : call.gradients) gradients.push_back(array_of(gradient));
  const lockstep_array targets = call.targets ? array_of(*call.targets) : lockstep_array();
  const lockstep_array weights = call.weights ? array_of(*call.weights) : lockstep_array();
  lockstep_loss_call c_call = {.samples = call.samples,
                               .output_count = static_cast<std::int32_t>(outputs.size()),
                               .outputs = outputs.data(),
                               .targets = call.targets ? &targets : nullptr,
                               .weights = call.weights ? &weights : nullptr,
                               .gradients = gradients.empty() ? nullptr : gradients.data(),
                               .sum = 0,
                               .weight = static_cast<double>(call.samples)};
  if (const int code = function(user, &c_call); code != 0) {
    throw CallbackFailed{"the caller's loss has returned " + std::to_string(code)};
  }
  v1::LossSum sum = {.sum = c_call.sum, .weight = {}};
  if (c_call.weight != static_cast<double>(call.samples)) sum.weight = c_call.weight;
  return sum;
}

void call_optimizer(lockstep_optimizer_function function, void* user, const v1::BucketCall& call) {
  std::vector<lockstep_bucket_parameter> parameters;
  for (const v1::BucketParameter& parameter : call.parameters) {
    parameters.push_back({parameter.name.c_str(), parameter.offset, parameter.length, parameter.has_gradient ? 1 : 0});
  }
  const lockstep_bucket_call c_call = {.bucket = static_cast<std::int32_t>(call.bucket),
                                       .buckets = static_cast<std::int32_t>(call.buckets),
                                       .step = call.step,
                                       .learning_rate = call.learning_rate,
                                       .type = static_cast<std::int32_t>(call.values.type),
                                       .parameter_count = static_cast<std::int32_t>(parameters.size()),
                                       .length = call.values.sizes.front(),
                                       .values = call.values.data,
                                       .gradients = call.gradients.data,
                                       .parameters = parameters.data()};
  if (const int code = function(user, &c_call); code != 0) {
    throw CallbackFailed{"the caller's optimizer has returned " + std::to_string(code)};
  }
}

}  // namespace

int lockstep_abi(void) { return LOCKSTEP_ABI; }
const char* lockstep_version(void) { return v1::version(); }

lockstep_options* lockstep_options_new(void) { return new (std::nothrow) lockstep_options(); }
void lockstep_options_free(lockstep_options* options) { delete options; }
const char* lockstep_options_error(const lockstep_options* options) {
  return options == nullptr ? "the options are null" : options->error.c_str();
}

lockstep_status lockstep_options_set(lockstep_options* options, const char* name, const char* value) {
  return guarded(options, [&](lockstep_options& self) {
    self.options.hyperparameters[text_of(name, "the name")] = text_of(value, "the value");
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_options_channel(lockstep_options* options, const char* name, const char* directory) {
  return guarded(options, [&](lockstep_options& self) {
    self.options.channels[text_of(name, "the name")] = text_of(directory, "the directory");
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_options_shape(lockstep_options* options, int dimensions, const int64_t* sizes,
                                       int64_t classes) {
  return guarded(options, [&](lockstep_options& self) {
    if (dimensions < 0 || (sizes == nullptr && dimensions > 0))
      throw bad_input("the sizes are null, or fewer than none");
    self.options.input_shape.assign(sizes, sizes + dimensions);
    self.options.classes = classes;
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_options_communicator(lockstep_options* options, int communicator) {
  return guarded(options, [&](lockstep_options& self) {
    self.options.communicator = communicator;
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_options_loss(lockstep_options* options, lockstep_loss_function function, void* user) {
  return guarded(options, [&](lockstep_options& self) {
    self.options.loss = nullptr;
    if (function != nullptr) {
      self.options.loss = [=](const v1::LossCall& call) { return call_loss(function, user, call); };
    }
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_options_optimizer(lockstep_options* options, lockstep_optimizer_function function,
                                           void* user) {
  return guarded(options, [&](lockstep_options& self) {
    self.options.optimizer = nullptr;
    if (function != nullptr) {
      self.options.optimizer = [=](const v1::BucketCall& call) { call_optimizer(function, user, call); };
    }
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_options_note(lockstep_options* options, lockstep_note_function function, void* user) {
  return guarded(options, [&](lockstep_options& self) {
    self.options.note = nullptr;
    if (function != nullptr) {
      self.options.note = [=](const std::string& text, bool warning) { function(user, text.c_str(), warning ? 1 : 0); };
    }
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_trainer_new(lockstep_options* options, lockstep_trainer** trainer) {
  if (trainer == nullptr) return LOCKSTEP_INPUT;
  *trainer = nullptr;
  return guarded(options, [&](lockstep_options& self) {
    *trainer = std::make_unique<lockstep_trainer>(self.options).release();
    return LOCKSTEP_OK;
  });
}

void lockstep_trainer_free(lockstep_trainer* trainer) { delete trainer; }

const char* lockstep_trainer_error(const lockstep_trainer* trainer) {
  return trainer == nullptr ? "the trainer is null" : trainer->error.c_str();
}

int lockstep_trainer_error_on_all_ranks(const lockstep_trainer* trainer) {
  return trainer != nullptr && trainer->on_all_ranks ? 1 : 0;
}

int lockstep_rank(const lockstep_trainer* trainer) { return trainer->trainer.rank(); }
int lockstep_ranks(const lockstep_trainer* trainer) { return trainer->trainer.ranks(); }
int64_t lockstep_steps(const lockstep_trainer* trainer) { return trainer->trainer.steps(); }

lockstep_status lockstep_step(lockstep_trainer* trainer, const lockstep_batch* batch, lockstep_step_result* result) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    give(self.trainer.step(batch_of(batch)), result);
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_step_channel(lockstep_trainer* trainer, lockstep_step_result* result) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    const auto done = self.trainer.step();
    if (!done) return LOCKSTEP_END;
    give(*done, result);
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_set_learning_rate(lockstep_trainer* trainer, double learning_rate) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    self.trainer.set_learning_rate(learning_rate < 0 ? std::nullopt : std::optional(learning_rate));
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_evaluate(lockstep_trainer* trainer, const lockstep_batch* batch) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    self.metrics = self.trainer.evaluate(batch_of(batch));
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_evaluate_channel(lockstep_trainer* trainer, const char* channel) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    self.metrics = self.trainer.evaluate(text_of(channel, "the channel"));
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_metric(lockstep_trainer* trainer, const char* name, double* value) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    const std::string wanted = text_of(name, "the name");
    if (value == nullptr) throw bad_input("the place for the value is null");
    std::string there;
    for (const auto& [metric, measured] : self.metrics) {
      if (metric == wanted) {
        *value = measured;
        return LOCKSTEP_OK;
      }
      there += (there.empty() ? "" : ", ") + metric;
    }
    throw bad_input("the last evaluation has no metric named " + wanted + "; there is " +
                    (there.empty() ? "none" : there));
  });
}

lockstep_status lockstep_predict(lockstep_trainer* trainer, int input_count, const lockstep_array* inputs,
                                 int output_count, const lockstep_array* outputs) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    std::vector<MutableArrayView> into;
    for (const ArrayView& view : views_of(outputs, output_count)) {
      into.push_back({const_cast<void*>(view.data), view.type, view.sizes});
    }
    self.trainer.predict(views_of(inputs, input_count), into);
    return LOCKSTEP_OK;
  });
}

int lockstep_tensor_count(const lockstep_trainer* trainer) { return static_cast<int>(trainer->tensors.size()); }

lockstep_status lockstep_tensor(lockstep_trainer* trainer, int number, lockstep_tensor_info* info) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    if (info == nullptr || number < 0 || static_cast<std::size_t>(number) >= self.tensors.size()) {
      throw bad_input("the program has " + std::to_string(self.tensors.size()) + " tensors, from 0 on, and no number " +
                      std::to_string(number));
    }
    const v1::TensorInfo& tensor = self.tensors[static_cast<std::size_t>(number)];
    const lockstep_array shape = array_of(ArrayView{nullptr, tensor.type, tensor.sizes});
    *info = {tensor.name.c_str(), shape.type, shape.dimensions, {}, tensor.trained ? 1 : 0};
    std::copy(std::begin(shape.sizes), std::end(shape.sizes), info->sizes);
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_read(lockstep_trainer* trainer, const char* name, const lockstep_array* into) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    if (into == nullptr) throw bad_input("the array is null");
    self.trainer.read(text_of(name, "the name"), mutable_view_of(*into));
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_write(lockstep_trainer* trainer, const char* name, const lockstep_array* from) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    if (from == nullptr) throw bad_input("the array is null");
    self.trainer.write(text_of(name, "the name"), view_of(*from));
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_save(lockstep_trainer* trainer, const char* directory) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    self.trainer.save(text_of(directory, "the directory"));
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_resume(lockstep_trainer* trainer, const char* directory, int64_t* step) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    const auto from = self.trainer.resume(text_of(directory, "the directory"));
    if (!from) return LOCKSTEP_END;
    if (step != nullptr) *step = *from;
    return LOCKSTEP_OK;
  });
}

lockstep_status lockstep_export(lockstep_trainer* trainer, const char* directory) {
  return guarded(trainer, [&](lockstep_trainer& self) {
    self.trainer.export_model(text_of(directory, "the directory"));
    return LOCKSTEP_OK;
  });
}
