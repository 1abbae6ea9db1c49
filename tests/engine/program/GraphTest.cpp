#include "engine/program/Graph.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "common/Error.h"
#include "engine/program/GraphFormat.h"
#include "tests/support/ExpectError.h"

namespace lockstep {
namespace {

using nlohmann::json;

// The smallest document: y = conv2d(x, …every kind of argument…).
json document() {
  return json::parse(R"json({
    "graph_module": {
      "graph": {
        "inputs": [{"as_tensor": {"name": "p_w"}}, {"as_tensor": {"name": "x"}}],
        "outputs": [{"as_tensor": {"name": "y"}}],
        "nodes": [{
          "target": "torch.ops.aten.conv2d.default",
          "inputs": [
            {"name": "a", "arg": {"as_none": true}, "kind": 1},
            {"name": "b", "arg": {"as_tensor": {"name": "x"}}, "kind": 1},
            {"name": "c", "arg": {"as_tensors": [{"name": "x"}, {"name": "p_w"}]}, "kind": 1},
            {"name": "d", "arg": {"as_optional_tensors": [{"as_none": true}, {"as_tensor": {"name": "x"}}]}, "kind": 1},
            {"name": "e", "arg": {"as_int": -3}, "kind": 1},
            {"name": "f", "arg": {"as_ints": [1, 2]}, "kind": 1},
            {"name": "g", "arg": {"as_float": 0.1}, "kind": 1},
            {"name": "h", "arg": {"as_float": "-Infinity"}, "kind": 2},
            {"name": "i", "arg": {"as_floats": [0.5, "Infinity"]}, "kind": 1},
            {"name": "j", "arg": {"as_bool": false}, "kind": 1},
            {"name": "k", "arg": {"as_bools": [true, false]}, "kind": 1},
            {"name": "l", "arg": {"as_string": "none"}, "kind": 1},
            {"name": "m", "arg": {"as_sym_int": {"as_name": "sym_size_int"}}, "kind": 1},
            {"name": "n", "arg": {"as_sym_ints": [{"as_name": "s"}, {"as_int": -1}]}, "kind": 1},
            {"name": "o", "arg": {"as_scalar_type": 7}, "kind": 2},
            {"name": "p", "arg": {"as_layout": 7}, "kind": 2},
            {"name": "q", "arg": {"as_memory_format": 2}, "kind": 2},
            {"name": "r", "arg": {"as_device": {"type": "cuda", "index": 1}}, "kind": 2},
            {"name": "s", "arg": {"as_device": {"type": "cpu", "index": null}}, "kind": 2},
            {"name": "t", "arg": {"as_graph": {"name": "g", "graph": {}}}, "kind": 1}
          ],
          "outputs": [{"as_tensor": {"name": "y"}}],
          "metadata": {"stack_trace": "File \"model.py\", line 3, in forward\n    return self.c(x)\n  File \"/v/torch/nn/modules/conv.py\", line 553, in forward\n    return self._conv_forward()"},
          "is_hop_single_tensor_return": null,
          "name": "y"
        }],
        "tensor_values": {
          "x": {"dtype": 7, "sizes": [{"as_expr": {"expr_str": "Symbol('s77', positive=True, integer=True)", "hint": {"as_int": 4}}}, {"as_int": 3}], "requires_grad": false},
          "p_w": {"dtype": 8, "sizes": [], "requires_grad": true}
        },
        "sym_int_values": {}
      },
      "signature": {
        "input_specs": [
          {"parameter": {"arg": {"name": "p_w"}, "parameter_name": "w"}},
          {"user_input": {"arg": {"as_tensor": {"name": "x"}}}}
        ],
        "output_specs": [{"user_output": {"arg": {"as_tensor": {"name": "y"}}}}]
      },
      "module_call_graph": [{"fqn": "", "signature": null}]
    },
    "range_constraints": {"s77": {"min_val": 1, "max_val": null}},
    "schema_version": {"major": 8, "minor": 17}
  })json");
}

TEST(Graph, WritesBackEverythingItRead) {
  EXPECT_EQ(json::parse(write_graph(read_graph(document().dump(), "m.pt2"))), document());
}

TEST(Graph, GivesArgumentsTheirTypes) {
  const Graph graph = read_graph(document().dump(), "m.pt2");
  const Node& node = graph.nodes.at(0);
  EXPECT_EQ(node.tensor("b"), "x");
  EXPECT_EQ(node.tensor("e"), "");
  EXPECT_EQ(node.tensor("missing"), "");
  EXPECT_EQ(std::get<std::int64_t>(*node.find("e")), -3);
  EXPECT_EQ(std::get<double>(*node.find("h")), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(std::get<SymInt>(*node.find("m")), SymInt("sym_size_int"));
  EXPECT_EQ(std::get<std::vector<SymInt>>(*node.find("n")).at(1), SymInt(std::int64_t{-1}));
  EXPECT_EQ(std::get<DeviceArgument>(*node.find("r")), (DeviceArgument{"cuda", 1}));
  EXPECT_EQ(std::get<TensorNames>(*node.find("d")).names.at(0), std::nullopt);
  EXPECT_TRUE(std::holds_alternative<OpaqueArgument>(*node.find("t")));
}

TEST(Graph, KnowsSizesAndTypesOfValues) {
  const Graph graph = read_graph(document().dump(), "m.pt2");
  EXPECT_EQ(graph.sizes("x"), (std::vector<Dimension>{std::string("s77"), std::int64_t{3}}));
  EXPECT_EQ(graph.scalar_type("p_w"), 8);
  EXPECT_TRUE(graph.requires_grad("p_w"));
  EXPECT_EQ(graph.user_inputs().at(0)->value, "x");
  EXPECT_ERROR(graph.sizes("nowhere"), InputError, "nowhere");
}

TEST(Graph, SaysOfValuesWhatItIsTold) {
  Graph graph = read_graph(document().dump(), "m.pt2");
  const int type = graph.scalar_type("x");
  graph.describe_as("z", "x");
  EXPECT_EQ(graph.sizes("z"), graph.sizes("x"));
  graph.describe_as("x", "x");
  graph.retype(type, 8);
  EXPECT_EQ(graph.scalar_type("x"), 8);
  EXPECT_EQ(graph.scalar_type("z"), 8);
  graph.forget("z");
  EXPECT_FALSE(graph.find_sizes("z"));
  EXPECT_TRUE(graph.find_sizes("x"));
  EXPECT_ERROR(graph.describe_as("x", "z"), InputError, "\"z\"");
}

TEST(Graph, SourceLineIsTheUsersOwn) {
  EXPECT_EQ(read_graph(document().dump(), "m.pt2").nodes.at(0).source_line(), "File \"model.py\", line 3, in forward");
}

TEST(Node, SetReplacesOrAddsByKeyword) {
  Node node = read_graph(document().dump(), "m.pt2").nodes.at(0);
  const std::size_t before = node.inputs.size();
  node.set("j", true);
  EXPECT_EQ(node.inputs.size(), before);
  EXPECT_TRUE(std::get<bool>(*node.find("j")));
  node.set("train", false);
  EXPECT_EQ(node.inputs.size(), before + 1);
  EXPECT_TRUE(node.inputs.back().keyword);
}

// Values without a dtype, with sizes of no kind, and sizes that are no integers ended a job as a bug of ours.
TEST(Graph, RefusesValuesThatAreNotDescribed) {
  const auto with = [](const char* key, const json& value) {
    json changed = document();
    changed["graph_module"]["graph"]["tensor_values"]["x"][key] = value;
    read_graph(changed.dump(), "m.pt2");
  };
  for (const json& sizes : {json("x"), json(3), json(), json::object(), json::array({3}), json::array({json::object()}),
                            json::array({{{"as_int", -1}}}), json::array({{{"as_int", 1.5}}}),
                            json::array({{{"as_int", std::numeric_limits<std::uint64_t>::max()}}}),
                            json::array({{{"as_expr", {{"expr_str", 3}}}}})}) {
    EXPECT_ERROR(with("sizes", sizes), InputError, "m.pt2", "tensor_values", "\"x\"");
  }
  EXPECT_ERROR(with("dtype", json()), InputError, "m.pt2", "\"x\"");
  EXPECT_ERROR(with("requires_grad", 1), InputError, "m.pt2", "\"x\"");
  json changed = document();
  changed["graph_module"]["graph"]["tensor_values"]["x"].erase("dtype");
  EXPECT_ERROR(read_graph(changed.dump(), "m.pt2"), InputError, "\"x\"", "dtype");
}

TEST(Graph, RefusesWhatItDoesNotKnow) {
  const auto read = [](const json& changed) { read_graph(changed.dump(), "m.pt2"); };
  json changed = document();
  changed["schema_version"]["major"] = 9;
  EXPECT_ERROR(read(changed), InputError, "m.pt2", "schema version 9.17", "version 8");

  changed = document();
  changed["graph_module"]["signature"]["output_specs"][0] = {{"buffer_mutation", {{"arg", {{"name", "y"}}}}}};
  EXPECT_ERROR(read(changed), InputError, "buffer_mutation", "model.train()");

  changed = document();
  changed["graph_module"]["signature"]["input_specs"][1] = {{"user_input", {{"arg", {{"as_int", 3}}}}}};
  EXPECT_ERROR(read(changed), InputError, "an input of the program is the number 3: inputs must be tensors");
  changed["graph_module"]["signature"]["input_specs"][1] = {{"user_input", {{"arg", {{"as_none", true}}}}}};
  EXPECT_ERROR(read(changed), InputError, "is None: inputs must be tensors");

  changed = document();
  changed["graph_module"]["signature"]["output_specs"][0] = {{"user_output", {{"arg", {{"as_sym_int", {}}}}}}};
  EXPECT_ERROR(read(changed), InputError, "an output of the program is of kind \"sym int\": return tensors only");

  for (const char* specs : {"input_specs", "output_specs"}) {
    changed = document();
    changed["graph_module"]["signature"][specs][0] = json::object();
    EXPECT_ERROR(read(changed), InputError, "m.pt2", "one kind");
  }

  changed = document();
  changed["graph_module"]["graph"]["nodes"][0].erase("target");
  EXPECT_ERROR(read(changed), InputError, "m.pt2", "node 0", "target");

  changed = document();
  changed["graph_module"]["graph"]["nodes"][0]["inputs"][4]["arg"] = {{"as_int", "three"}};
  EXPECT_ERROR(read(changed), InputError, "node 0", "expected an integer", "three");

  EXPECT_ERROR(read_graph("{\"graph_module\": [", "m.pt2"), InputError, "m.pt2", "not JSON");
  EXPECT_ERROR(read_graph("[]", "m.pt2"), InputError, "m.pt2");
}

}  // namespace
}  // namespace lockstep
