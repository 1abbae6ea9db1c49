#include "engine/program/PureOperators.h"

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <gtest/gtest.h>
#include <torch/version.h>

#include "common/Error.h"
#include "engine/program/Aliases.h"
#include "engine/program/Operators.h"
#include "tests/support/ExpectError.h"
#include "tests/support/TestGraph.h"

namespace lockstep {
namespace {

const TestGraph::Sizes kSizes = {2, 3};

Graph calling(const std::string& op, const std::string& self = "y") {
  TestGraph graph;
  graph.input("x", kSizes).parameter("w", kSizes).node("relu.default", {TestGraph::tensor("self", "x")}, "y", kSizes);
  graph.node(op, {TestGraph::tensor("self", self)}, "z", kSizes);
  return graph.returns({"z"});
}

// PyTorch 2.15 has none any more.
constexpr bool kHasNamedTensors = TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 15;

// from_file created and overwrote files; _reshape_alias read past its tensor.
TEST(PureOperators, RefusesWhatDoesMoreThanCompute) {
  const std::vector<std::pair<std::string, std::string>> refused = {
      {"from_file.default", "a file"},
      {"_reshape_alias.default", "inner part"},
      {"set_.source_Storage", "storage"},
      {"set_.source_Tensor", "storage"},
      {"resize_.default", "storage"},
      {"add.out", "\"out\""},
      {"max.dim_max", "\"max\""},
      {"record_stream.default", "storage"},
      {"pin_memory.default", "storage"},
      {"sparse_coo_tensor.indices", "strided"},
      {"to_sparse.default", "strided"},
      {"to_mkldnn.default", "strided"},
      {"quantize_per_tensor.default", "quantized"},
      {"_foreach_add_.Scalar", "inner part"},
      {"max_pool2d_with_indices_backward.default", "part of another"},
      {"ctc_loss.IntList", "does not check"},
      {"ctc_loss.Tensor", "does not check"},
      {"lu_solve.default", "does not check"},
      {"repeat_interleave.Tensor", "does not check"},
      {"segment_reduce.default", "does not check"},
      {"special_legendre_polynomial_p.default", "time"},
      {"rename.default", "named"},
  };
  for (const auto& [op, why] : refused) {
    if (!kHasNamedTensors && why == "named") continue;
    ASSERT_TRUE(find_operator("torch.ops.aten." + op)) << op;
    EXPECT_ERROR(require_pure(calling(op), {}), InputError, "torch.ops.aten." + op, "is not run", why,
                 "allow_operators=aten." + op);
    EXPECT_NO_THROW(require_pure(calling(op), {"aten.other.default", "aten." + op}));
  }
}

TEST(PureOperators, LetsOperatorsRunThatModelsAreMadeOf) {
  for (const char* op : {"__and__.Tensor",
                         "__iand__.Tensor",
                         "_assert_tensor_metadata.default",
                         "_weight_norm_interface.default",
                         "adaptive_avg_pool2d.default",
                         "add_.Tensor",
                         "addmm.default",
                         "alias.default",
                         "arange.default",
                         "as_strided.default",
                         "avg_pool2d.default",
                         "batch_norm.default",
                         "bernoulli_.float",
                         "cat.default",
                         "conv2d.default",
                         "conv2d.padding",
                         "copy_.default",
                         "cross_entropy_loss.default",
                         "cumsum.default",
                         "div_.Tensor",
                         "dropout_.default",
                         "einsum.default",
                         "embedding.default",
                         "embedding_bag.padding_idx",
                         "empty.memory_format",
                         "expand.default",
                         "fft_rfft.default",
                         "fill_.Tensor",
                         "gather.default",
                         "group_norm.default",
                         "gru.input",
                         "hardswish_.default",
                         "index.Tensor",
                         "index_put_.default",
                         "instance_norm.default",
                         "item.default",
                         "layer_norm.default",
                         "lift_fresh_copy.default",
                         "linalg_norm.default",
                         "lstm.input",
                         "masked_fill_.Scalar",
                         "max.dim",
                         "max_pool2d.default",
                         "meshgrid.indexing",
                         "new_zeros.default",
                         "pad.default",
                         "rms_norm.default",
                         "roll.default",
                         "scaled_dot_product_attention.default",
                         "scatter_add.default",
                         "silu_.default",
                         "softmax.int",
                         "split.Tensor",
                         "squeeze_.dim",
                         "sym_size.int",
                         "to.dtype_layout",
                         "topk.default",
                         "triu_indices.default",
                         "unflatten.int",
                         "upsample_bilinear2d.vec",
                         "view.default",
                         "where.self",
                         "zeros.default"}) {
    ASSERT_TRUE(find_operator(std::string("torch.ops.aten.") + op)) << op;
    EXPECT_NO_THROW(require_pure(calling(op), {})) << op;
  }
  EXPECT_NO_THROW(require_pure(calling("no_such_operator.default"), {}));  // the Executor says so
}

TEST(PureOperators, OnlyKnowsPyTorchsOwn) {
  Graph graph = calling("relu.default");
  graph.nodes[1].target = "torch.ops.prims.sin.default";
  if (find_operator(graph.nodes[1].target)) {
    EXPECT_ERROR(require_pure(graph, {}), InputError, "prims.sin", "not one of PyTorch's own");
  }
  find_operator("torch.ops.aten.relu.default");  // registers ours
  graph.nodes[1].target = "torch.ops.lockstep.layer_norm.default";
  EXPECT_ERROR(require_pure(graph, {"lockstep.layer_norm.default"}), InputError, "not one of PyTorch's");
}

// The parameter itself would have other sizes in the next step.
TEST(PureOperators, StateKeepsItsSizes) {
  EXPECT_ERROR(require_pure(calling("t_.default", "w"), {}), InputError, "t_.default", "for all later steps");
  Graph graph = calling("contiguous.default", "w");
  graph.nodes.push_back(graph.nodes[1]);
  graph.nodes[2].target = "torch.ops.aten.unsqueeze_.default";
  graph.nodes[2].inputs = {TestGraph::tensor("self", "z")};
  EXPECT_ERROR(require_pure(graph, {}), InputError, "unsqueeze_");
}

// Rows of traits are written by hand, without libtorch: schemas must not say otherwise.
TEST(PureOperators, WhatIsSaidToMakeNewTensorsReturnsNoViewBySchema) {
  int said = 0;
  for (const c10::OperatorName& name : c10::Dispatcher::singleton().getAllOpNames()) {
    const auto handle = c10::Dispatcher::singleton().findSchema(name);
    if (!handle || !name.name.starts_with("aten::")) continue;
    Node node;
    node.target = "torch.ops.aten." + name.name.substr(6) + ".default";
    if (node.in_place() || may_share_memory(node)) continue;
    ++said;
    for (const c10::Argument& returned : handle->schema().returns()) {
      const bool writes = returned.alias_info() != nullptr && returned.alias_info()->isWrite();  // an out= form
      EXPECT_TRUE(returned.alias_info() == nullptr || writes) << name.name << "." << name.overload_name;
    }
  }
  EXPECT_GT(said, 300);
}

}  // namespace
}  // namespace lockstep
