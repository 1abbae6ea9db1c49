#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include <utility>

#include "engine/artifacts/tensorflow/TensorflowOperators.h"

namespace lockstep {

namespace {

using Call = TensorflowCall;

TensorflowOperator reduction(at::Tensor (*run)(const at::Tensor&, at::IntArrayRef, bool)) {
  return tensorflow_row("output", [run](const Call& call) {
    const std::vector<std::int64_t> dims = call.integers(1);
    if (dims.empty()) return call.in(0);
    return run(call.in(0), dims, call.flag("keep_dims"));
  });
}

at::Tensor matmul(const Call& call, bool first_transposed, bool second_transposed, bool matrices) {
  const at::Tensor& a = call.in(0);
  const at::Tensor& b = call.in(1);
  call.require(a.scalar_type() == b.scalar_type() && a.dim() >= 2 && b.dim() >= 2);
  call.require(!matrices || (a.dim() == 2 && b.dim() == 2));
  return at::matmul(first_transposed ? a.transpose(-1, -2) : a, second_transposed ? b.transpose(-1, -2) : b);
}

at::Tensor product_over(const at::Tensor& x, at::IntArrayRef dims, bool keep) {
  at::Tensor result = x;
  for (std::size_t i = dims.size(); i-- > 0;) result = at::prod(result, dims[i], keep, x.scalar_type());
  return result;
}

at::Tensor arg(const Call& call, bool largest) {
  const std::int64_t dim = call.integer(1);
  const at::Tensor x = call.in(0).scalar_type() == at::kBool ? call.in(0).to(at::kByte) : call.in(0);
  const at::Tensor found = largest ? at::argmax(x, dim) : at::argmin(x, dim);
  return found.to(call.type("output_type"));
}

// Of equals the first comes first.
Tensors top_k(const Call& call) {
  const std::int64_t k = call.integer(1);
  call.require(call.in(1).scalar_type() == at::kInt && k <= call.in(0).size(-1));
  const auto [values, indices] = at::sort(call.in(0), true, -1, true);
  return {values.narrow(-1, 0, k), indices.narrow(-1, 0, k).to(at::kInt)};
}

at::Tensor cumulative_sum(const Call& call) {
  call.require(!call.flag("exclusive") && !call.flag("reverse"));
  return at::cumsum(call.in(0), call.integer(1), call.in(0).scalar_type());
}

// i, f, c, o: gates of [x, h] · w + b; the state begins at the first time. Returns i, cs, f, o, ci, co, h.
Tensors lstm_over_times(const Call& call) {
  const at::Tensor& x = call.in(1);
  const at::Tensor& w = call.in(4);
  call.require(call.get<float>("cell_clip") <= 0 && !call.flag("use_peephole") && x.dim() == 3 &&
               x.scalar_type() == at::kFloat && call.integer(0) == x.size(0));
  at::Tensor cell = call.in(2);
  at::Tensor state = call.in(3);
  std::vector<Tensors> all(7);
  for (std::int64_t t = 0; t < x.size(0); ++t) {
    const Tensors gates = at::chunk(at::matmul(at::cat({x[t], state}, 1), w) + call.in(8), 4, 1);
    const at::Tensor input = gates[0].sigmoid();
    const at::Tensor forget = gates[1].sigmoid();
    const at::Tensor candidate = gates[2].tanh();
    const at::Tensor output = gates[3].sigmoid();
    cell = forget * cell + input * candidate;
    state = output * cell.tanh();
    const Tensors now = {input, cell, forget, output, candidate, cell.tanh(), state};
    for (std::size_t i = 0; i < now.size(); ++i) all[i].push_back(now[i]);
  }
  Tensors results;
  for (const Tensors& each : all) results.push_back(at::stack(each));
  return results;
}

}  // namespace

TensorflowOperatorRows reduction_tensorflow_operators() {
  return {
      {"All", reduction([](const at::Tensor& x, at::IntArrayRef dims, bool keep) { return at::all(x, dims, keep); })},
      {"Any", reduction([](const at::Tensor& x, at::IntArrayRef dims, bool keep) { return at::any(x, dims, keep); })},
      {"ArgMax", tensorflow_row("output", [](const Call& call) { return arg(call, true); })},
      {"ArgMin", tensorflow_row("output", [](const Call& call) { return arg(call, false); })},
      {"BatchMatMulV2",
       tensorflow_row("output",
                      [](const Call& call) { return matmul(call, call.flag("adj_x"), call.flag("adj_y"), false); })},
      {"BlockLSTMV2", TensorflowOperator{{"i", "cs", "f", "o", "ci", "co", "h"}, lstm_over_times}},
      {"Cumsum", tensorflow_row("out", cumulative_sum)},
      {"LogSoftmax", tensorflow_row("logsoftmax", [](const Call& call) { return at::log_softmax(call.in(0), -1); })},
      {"MatMul", tensorflow_row("product",
                                [](const Call& call) {
                                  return matmul(call, call.flag("transpose_a"), call.flag("transpose_b"), true);
                                })},
      {"Max", reduction([](const at::Tensor& x, at::IntArrayRef dims, bool keep) { return at::amax(x, dims, keep); })},
      {"Mean", reduction([](const at::Tensor& x, at::IntArrayRef dims, bool keep) { return at::mean(x, dims, keep); })},
      {"Min", reduction([](const at::Tensor& x, at::IntArrayRef dims, bool keep) { return at::amin(x, dims, keep); })},
      {"Prod", reduction(product_over)},
      {"Softmax", tensorflow_row("softmax", [](const Call& call) { return at::softmax(call.in(0), -1); })},
      {"Sum", reduction([](const at::Tensor& x, at::IntArrayRef dims, bool keep) {
         return at::sum(x, dims, keep, x.scalar_type());
       })},
      {"TopKV2", TensorflowOperator{std::vector<std::string>{"values", "indices"}, top_k}},
  };
}

}  // namespace lockstep
