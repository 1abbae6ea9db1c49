// Softmax cross-entropy at GPT-2's vocabulary and at ten classes. The bytes are those of the logits, read once, and of
// their gradients, written once.
#include "kernels/softmax_cross_entropy/SoftmaxCrossEntropy.h"

#include <random>

#include "benchmarks/kernels/Benchmarks.h"

namespace lockstep::kernels {

namespace {

std::vector<std::int64_t> labels_of(std::int64_t rows, std::int64_t classes) {
  std::mt19937 engine(1);
  std::vector<std::int64_t> labels(static_cast<std::size_t>(rows));
  for (std::int64_t& label : labels) label = static_cast<std::int64_t>(engine() % static_cast<unsigned>(classes));
  return labels;
}

template <typename Element>
struct Tensors {
  using Real = Arithmetic<Element>;
  Tensors(const Cases& cases, std::int64_t row_count, std::int64_t class_count)
      : rows(row_count),
        classes(class_count),
        logits(cases.normal<Element>(rows * classes, 1)),
        labels(cases.buffer(labels_of(rows, classes))),
        loss(cases.buffer<Real>(rows)),
        log_sum_exp(cases.filled(rows, std::log(Real(classes)))),
        sums(cases.buffer<Real>(2)),
        scale(cases.filled(1, Real(1e-3))),
        workspace(cases.buffer<Real>(std::max<std::int64_t>(1, cross_entropy_workspace(rows)))),
        invalid(cases.buffer<std::int64_t>(1)) {}
  SoftmaxCrossEntropyForward<Element> forward() const {
    return {logits.data(),  labels.data(),
            nullptr,        nullptr,
            loss.data(),    log_sum_exp.data(),
            sums.data(),    sums.data() + 1,
            invalid.data(), workspace.data(),
            rows,           classes,
            -100,           0};
  }
  SoftmaxCrossEntropyBackward<Element> backward(const Buffer<Element>& dlogits) const {
    return {logits.data(),
            labels.data(),
            nullptr,
            nullptr,
            log_sum_exp.data(),
            scale.data(),
            dlogits.data(),
            workspace.data(),
            rows,
            classes,
            -100,
            0};
  }
  std::int64_t rows, classes;
  Buffer<Element> logits;
  Buffer<std::int64_t> labels;
  Buffer<Real> loss, log_sum_exp, sums, scale, workspace;
  Buffer<std::int64_t> invalid;
};

template <typename Element>
void add_cases(Cases& cases, std::int64_t rows, std::int64_t classes) {
  const std::string shape = "/" + element_name<Element>() + "/" + std::to_string(rows) + "x" + std::to_string(classes);
  const auto bytes = static_cast<std::int64_t>(sizeof(Element)) * rows * classes;
  cases.add("softmax_cross_entropy" + shape, bytes, [=, &cases]() -> Run {
    return [&cases, tensors = Tensors<Element>(cases, rows, classes)] {
      cases.call([](auto... args) { softmax_cross_entropy(args...); }, tensors.forward());
    };
  });
  cases.add("softmax_cross_entropy_backward" + shape, bytes * 2, [=, &cases]() -> Run {
    return [&cases, tensors = Tensors<Element>(cases, rows, classes), dlogits = cases.buffer<Element>(rows * classes)] {
      cases.call([](auto... args) { softmax_cross_entropy_backward(args...); }, tensors.backward(dlogits));
    };
  });
}

}  // namespace

void add_softmax_cross_entropy(Cases& cases) {
  const std::int64_t rows = cases.pick(1024, 4096);
  add_cases<float>(cases, rows, 50257);
  add_cases<BFloat16>(cases, rows, 50257);
  add_cases<float>(cases, cases.pick(8192, 1 << 22), 10);
}

}  // namespace lockstep::kernels
