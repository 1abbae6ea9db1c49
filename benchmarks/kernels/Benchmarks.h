// Every operator's benchmarks, as operator/element/shape, in bytes a second: each input read and each output written
// once. The same cases are run on the CPU and on a GPU, where they are larger.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/kernels/Forms.h"

namespace lockstep::kernels {

/// Calls the operator once; on a GPU that enqueues its work.
using Run = std::function<void()>;

/// What cases are made for, and where they are registered.
class Cases {
 public:
  virtual ~Cases() = default;
  virtual const Form& form() const = 0;
  /// `bytes`: what a run moves. `make` puts the arguments of runs into the form's memory; each call makes others.
  virtual void add(const std::string& name, std::int64_t bytes, const std::function<Run()>& make) = 0;

  bool on_gpu() const { return form().is_cuda(); }
  /// Of a size: a GPU needs 64 MiB and more to be busy.
  std::int64_t pick(std::int64_t on_cpu, std::int64_t on_gpu_) const { return on_gpu() ? on_gpu_ : on_cpu; }

  template <typename Element>
  Buffer<Element> buffer(const std::vector<Element>& values) const {
    return {form(), values, {}};
  }
  /// To be written.
  template <typename Element, typename Size>
  Buffer<Element> buffer(Size length) const {
    return {form(), static_cast<std::size_t>(length), {}};
  }
  template <typename Element, typename Size>
  Buffer<Element> filled(Size length, Element value) const {
    return repeated(static_cast<std::size_t>(length), std::vector<Element>(period(length), value));
  }
  /// Of a normal distribution.
  template <typename Element, typename Size>
  Buffer<Element> normal(Size length, unsigned seed) const {
    return repeated(static_cast<std::size_t>(length), normal_elements<Element>(period(length), seed));
  }

  /// `op(args)`, in the form's way.
  template <typename Op, typename Args>
  void call(const Op& op, const Args& args) const {
    if (on_gpu()) {
      op(args, form().stream());
    } else {
      op(args);
    }
  }

 private:
  /// After so many elements values begin again: to make them all would take longer than the benchmarks.
  template <typename Size>
  static std::size_t period(Size length) {
    return std::min(static_cast<std::size_t>(length), std::size_t{1} << 20);
  }
  template <typename Element>
  Buffer<Element> repeated(std::size_t length, const std::vector<Element>& values) const {
    Buffer<Element> result = buffer<Element>(length);
    for (std::size_t done = 0; done < length; done += values.size()) {
      form().copy_in(result.data() + done, values.data(), std::min(values.size(), length - done) * sizeof(Element));
    }
    return result;
  }
};

/// A case over matrices: `call(cases, tensors)` with `Tensors<Element>(cases, rows, columns)`. `moved`: how many of
/// them it reads plus how many it writes.
template <typename Element, template <typename> typename Tensors, typename Call>
void add_matrix_case(Cases& cases, const std::string& name, std::int64_t rows, std::int64_t columns, int moved,
                     const Call& call) {
  const std::string shape = std::to_string(rows) + "x" + std::to_string(columns);
  const auto bytes = rows * columns * moved * static_cast<std::int64_t>(sizeof(Element));
  cases.add(name + "/" + element_name<Element>() + "/" + shape, bytes, [=, &cases]() -> Run {
    return [call, &cases, tensors = Tensors<Element>(cases, rows, columns)] { call(cases, tensors); };
  });
}

/// nullptr where there is no GPU.
std::unique_ptr<Cases> gpu_cases();
std::unique_ptr<Cases> cpu_cases();

void add_batch_norm(Cases& cases);
void add_bias_gelu(Cases& cases);
void add_embedding_gradient(Cases& cases);
void add_flat_kernels(Cases& cases);
void add_image_augment(Cases& cases);
void add_layer_norm(Cases& cases);
void add_max_pool_relu(Cases& cases);
void add_softmax_cross_entropy(Cases& cases);

}  // namespace lockstep::kernels
