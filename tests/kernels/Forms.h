// Every operator's test runs all forms that this executable has on the same cases: the CPU form, and the CUDA source,
// emulated on the CPU (kernels_test) or on a GPU (kernels_gpu_test).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "kernels/CpuElements.h"
#include "kernels/Stream.h"

namespace lockstep::kernels {

/// One way to run an operator, and the memory it runs on; it lives as long as the process.
class Form {
 public:
  virtual ~Form() = default;
  virtual std::string name() const = 0;
  /// `bytes` of memory that the operator can use, all 0xff, whose start is `misaligned` bytes behind a multiple of 256,
  /// or, with `at_end`, whose last byte is followed by one that cannot be touched, where the form can have that.
  virtual std::shared_ptr<void> allocate(std::size_t bytes, std::size_t misaligned, bool at_end) const = 0;
  virtual void copy_in(void* memory, const void* from, std::size_t bytes) const = 0;
  virtual void copy_out(void* to, const void* memory, std::size_t bytes) const = 0;
  /// Whether `call` gets a stream.
  virtual bool is_cuda() const = 0;
  virtual Stream stream() const { return nullptr; }
  /// Calls `operation` and waits for its work. The emulated form does so in every schedule, each time from the same
  /// contents of its memory, and demands the same bits in all of it afterwards.
  virtual void run(const std::function<void()>& operation) const { operation(); }
};

/// Those of this executable: CPU and emulated, or the GPU.
const std::vector<std::unique_ptr<Form>>& forms();

/// Calls `op(args)` or `op(args, stream)`, and waits. `op` is a generic lambda around the overloads.
template <typename Op, typename Args>
void run(const Form& form, const Op& op, const Args& args) {
  form.run([&] {
    if (form.is_cuda()) {
      op(args, form.stream());
    } else {
      op(args);
    }
  });
}

/// Where buffers of a case begin.
struct Placement {
  std::size_t misaligned = 0;  ///< in elements
  bool at_end = false;         ///< the buffer ends where memory that cannot be touched begins
  bool mixed = false;          ///< only some buffers are misaligned, as a generator has it

  const char* name() const {
    return mixed ? ", some misaligned" : misaligned > 0 ? ", misaligned" : at_end ? ", at the end" : "";
  }
  std::size_t draw_misaligned() const {
    static std::mt19937 engine;
    return mixed && engine() % 2 == 0 ? 0 : misaligned;
  }
};

/// The ones every case should meet: aligned, off by one element all or some, and flush with the end of the memory.
inline std::vector<Placement> placements() {
  return {{}, {.misaligned = 1}, {.misaligned = 1, .mixed = true}, {.at_end = true}};
}

/// An operator's argument in a form's memory.
template <typename Element>
class Buffer {
 public:
  /// Nothing in it is a number until the operator writes it.
  Buffer(const Form& form, std::size_t length, Placement placement)
      : form_(form),
        length_(length),
        memory_(
            form.allocate(length * sizeof(Element), placement.draw_misaligned() * sizeof(Element), placement.at_end)) {}
  Buffer(const Form& form, const std::vector<Element>& values, Placement placement)
      : Buffer(form, values.size(), placement) {
    form.copy_in(memory_.get(), values.data(), values.size() * sizeof(Element));
  }
  Element* data() const { return static_cast<Element*>(memory_.get()); }
  std::vector<Element> values() const {
    std::vector<Element> result(length_);
    form_.copy_out(result.data(), memory_.get(), length_ * sizeof(Element));
    return result;
  }

 private:
  const Form& form_;
  std::size_t length_;
  std::shared_ptr<void> memory_;
};

template <typename Element>
std::vector<double> to_doubles(const std::vector<Element>& values) {
  std::vector<double> result;
  for (const Element value : values) result.push_back(to_arithmetic(value));
  return result;
}

template <typename Element>
std::vector<Element> from_doubles(const std::vector<double>& values) {
  std::vector<Element> result;
  for (const double value : values) {
    result.push_back(from_arithmetic<Element>(static_cast<Arithmetic<Element>>(value)));
  }
  return result;
}

/// Values of a normal distribution, the same for the same seed, rounded to Element.
template <typename Element>
std::vector<Element> normal_elements(std::size_t length, unsigned seed) {
  std::mt19937 engine(seed);
  std::normal_distribution<double> normal;
  std::vector<double> values(length);
  for (double& value : values) value = normal(engine);
  return from_doubles<Element>(values);
}

/// ‖values - expected‖ / ‖expected‖, in float64; the plain norm where nothing is expected but zeros. NaN where a value
/// that should be a number is none; equal infinities and NaN for NaN count as equal.
template <typename Element>
double relative_error(const std::vector<Element>& values, const std::vector<double>& expected) {
  double error = 0;
  double norm = 0;
  if (values.size() != expected.size()) return INFINITY;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const double value = to_arithmetic(values[i]);
    if (value == expected[i] || (std::isnan(value) && std::isnan(expected[i]))) {
      if (std::isfinite(value)) norm += value * value;
      continue;
    }
    error += (value - expected[i]) * (value - expected[i]);
    norm += expected[i] * expected[i];
  }
  return norm == 0 ? std::sqrt(error) : std::sqrt(error / norm);
}

/// What rounding the result to Element alone may cost, and a little arithmetic besides.
template <typename Element>
constexpr double tolerance() {
  if constexpr (sizeof(Element) == 8) return 1e-13;
  if constexpr (sizeof(Element) == 4) return 1e-6;
  if constexpr (std::is_same_v<Element, Half>) return 1e-3;
  return 5e-3;
}

template <typename Element>
std::string element_name() {
  if constexpr (sizeof(Element) == 8) return "float64";
  if constexpr (sizeof(Element) == 4) return "float32";
  if constexpr (std::is_same_v<Element, Half>) return "float16";
  return "bfloat16";
}

}  // namespace lockstep::kernels
