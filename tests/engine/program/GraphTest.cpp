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
  changed["graph_module"]["signature"]["input_specs"][1] = {{"user_input", {{"arg", {{"as_sym_int", {}}}}}}};
  EXPECT_ERROR(read(changed), InputError, "an input of the program is of kind \"sym int\"",
               "leave it out of dynamic_shapes");
  changed["graph_module"]["signature"]["input_specs"][1] = {{"token", {{"arg", {{"name", "x"}}}}}};
  EXPECT_ERROR(read(changed), InputError, "an input of kind \"token\" is not supported");

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

// torch.export writes None and numbers that forward was called with, and returned, into the signature.
TEST(Graph, ArgumentsAndResultsThatAreNoTensorsAreFixed) {
  json given = document();
  json& module = given["graph_module"];
  const json none = {{"as_none", true}};
  const json mask = {{"constant_input", {{"name", "mask"}, {"value", none}}}};
  json& inputs = module["signature"]["input_specs"];
  inputs.insert(inputs.begin() + 1, mask);
  inputs.push_back({{"constant_input", {{"name", "scale"}, {"value", {{"as_float", 2.5}}}}}});
  module["graph"]["inputs"].insert(module["graph"]["inputs"].begin() + 1, none);
  module["graph"]["inputs"].push_back({{"as_float", 2.5}});
  json& outputs = module["signature"]["output_specs"];
  const json nothing = {{"user_output", {{"arg", none}}}};
  outputs.insert(outputs.begin(), nothing);
  outputs.push_back({{"user_output", {{"arg", {{"as_sym_int", {{"as_name", "sym_size_int"}}}}}}}});
  module["graph"]["outputs"].insert(module["graph"]["outputs"].begin(), none);
  module["graph"]["outputs"].push_back({{"as_sym_int", {{"as_name", "sym_size_int"}}}});
  const Graph graph = read_graph(given.dump(), "m.pt2");
  EXPECT_EQ(graph.inputs.size(), 2);
  EXPECT_EQ(graph.outputs, std::vector<std::string>{"y"});
  ASSERT_EQ(graph.fixed_inputs.size(), 2);
  EXPECT_EQ(graph.fixed_inputs[0].name(), "mask");
  EXPECT_EQ(graph.fixed_inputs[1].name(), "scale");
  EXPECT_EQ(json::parse(write_graph(graph)), given);
}

// The document with these outputs, of a forward that returned what `spec` says.
Graph returning(const std::vector<std::string>& outputs, const json& spec) {
  json changed = document();
  json& module = changed["graph_module"];
  module["module_call_graph"] = {{{"fqn", ""}, {"signature", {{"out_spec", json::array({1, spec}).dump()}}}}};
  module["signature"]["output_specs"] = json::array();
  module["graph"]["outputs"] = json::array();
  for (const std::string& output : outputs) {
    const json argument = output.empty() ? json{{"as_none", true}} : json{{"as_tensor", {{"name", output}}}};
    module["signature"]["output_specs"].push_back({{"user_output", {{"arg", argument}}}});
    module["graph"]["outputs"].push_back(argument);
  }
  return read_graph(changed.dump(), "m.pt2");
}

TEST(Graph, OutputsHaveTheNamesThatTheForwardGaveThem) {
  using Names = std::vector<std::string>;
  const json leaf = {{"type", nullptr}, {"context", nullptr}, {"children_spec", json::array()}};
  const auto container = [](const char* type, const char* context, const json& children) {
    return json{{"type", type}, {"context", context}, {"children_spec", children}};
  };
  EXPECT_EQ(returning({"y"}, leaf).output_names(), Names{"output_0"});
  EXPECT_EQ(returning({"y", "x"}, container("builtins.tuple", "null", {leaf, leaf})).output_names(),
            (Names{"output_0", "output_1"}));
  EXPECT_EQ(returning({"y", "x"}, container("builtins.dict", R"(["loss", "logits"])", {leaf, leaf})).output_names(),
            (Names{"loss", "logits"}));
  // A dataclass with a field at None, which it leaves out, and a tuple in another.
  const json states = container("builtins.tuple", "null", {leaf, leaf});
  EXPECT_EQ(returning({"y", "x", "z"}, container("Out", R"([["logits", "states"], ["loss"]])", {leaf, states}))
                .output_names(),
            (Names{"logits", "states.0", "states.1"}));
  EXPECT_EQ(returning({"", "x"}, container("builtins.dict", R"(["loss", "logits"])", {leaf, leaf})).output_names(),
            Names{"logits"});
  EXPECT_EQ(returning({"", "x"}, container("builtins.tuple", "null", {leaf, leaf})).output_names(), Names{"output_1"});
  EXPECT_EQ(returning({"y", "x"}, container("collections.namedtuple", "Pair", {leaf, leaf})).output_names(),
            (Names{"output_0", "output_1"}));
  // What does not fit the outputs, or is none at all, names nothing.
  EXPECT_EQ(returning({"y"}, container("builtins.dict", R"(["loss", "logits"])", {leaf, leaf})).output_names(),
            Names{"output_0"});
  EXPECT_EQ(returning({"y"}, "nonsense").output_names(), Names{"output_0"});
  EXPECT_EQ(read_graph(document().dump(), "m.pt2").output_names(), Names{"output_0"});
}

// y = region(x) of the document's other values; `first` is what the call says first.
json with_region(const char* target, const json& first, const json& inner_nodes, const json& inner_outputs) {
  json changed = document();
  json& graph = changed["graph_module"]["graph"];
  json inputs = first;
  inputs.push_back(
      {{"name", ""},
       {"arg",
        {{"as_graph",
          {{"name", "submod_1"},
           {"graph",
            {{"inputs", json::array({{{"as_tensor", {{"name", "arg0"}}}}})},
             {"outputs", inner_outputs},
             {"nodes", inner_nodes},
             {"tensor_values", {{"arg0", graph["tensor_values"]["x"]}, {"c", graph["tensor_values"]["x"]}}},
             {"sym_int_values", {{"n", {{"as_int", 3}}}}}}}}}}}});
  inputs.push_back({{"name", ""}, {"arg", {{"as_tensor", {{"name", "x"}}}}}});
  graph["nodes"] = json::array({{{"target", target},
                                 {"inputs", inputs},
                                 {"outputs", json::array({{{"as_tensor", {{"name", "y"}}}}})},
                                 {"metadata", json::object()},
                                 {"name", "call"}}});
  return changed;
}

json cosine(const char* input, const char* output) {
  return {{"target", "torch.ops.aten.cos.default"},
          {"inputs", json::array({{{"name", "self"}, {"arg", {{"as_tensor", {{"name", input}}}}}}})},
          {"outputs", json::array({{{"as_tensor", {{"name", output}}}}})},
          {"name", output}};
}

json argument(const json& value) { return {{"name", ""}, {"arg", value}}; }

constexpr const char* kNoGrad = "torch.ops.higher_order.wrap_with_set_grad_enabled";
constexpr const char* kAutocast = "torch.ops.higher_order.wrap_with_autocast";
const json kResult = json::array({{{"as_tensor", {{"name", "c"}}}}});

TEST(Graph, RegionsWithoutGradientsOrAutocastTakeTheirPlaceAmongTheNodes) {
  const json off = json::array({argument({{"as_bool", false}})});
  json given = with_region(kNoGrad, off, json::array({cosine("arg0", "c")}), kResult);
  given["graph_module"]["graph"]["tensor_values"]["call_c"] =
      json(given["graph_module"]["graph"]["tensor_values"]["x"]);
  Graph graph = read_graph(given.dump(), "m.pt2");
  ASSERT_EQ(graph.nodes.size(), 2);
  EXPECT_EQ(graph.nodes[0].tensor("self"), "x");
  EXPECT_EQ(graph.nodes[0].output(), "call_c_");  // the other name is taken
  EXPECT_FALSE(graph.nodes[0].gradients);
  EXPECT_TRUE(graph.nodes[0].autocast);
  EXPECT_EQ(graph.nodes[1].target, "torch.ops.aten.detach.default");
  EXPECT_EQ(graph.nodes[1].output(), "y");
  EXPECT_EQ(graph.sizes("call_c_"), graph.sizes("x"));
  EXPECT_TRUE(read_graph(write_graph(graph), "again").nodes[0].gradients);  // detached all the same

  const json autocast = json::array({argument({{"as_string", "cpu"}}), argument({{"as_scalar_type", 13}}),
                                     argument({{"as_bool", false}}), argument({{"as_bool", false}})});
  const json inner = with_region(kNoGrad, off, json::array({cosine("arg0", "c")}), kResult)["graph_module"]["graph"];
  json nested = inner["nodes"][0];
  nested["inputs"][2]["arg"]["as_tensor"]["name"] = "arg0";
  nested["outputs"][0]["as_tensor"]["name"] = "c";
  graph = read_graph(with_region(kAutocast, autocast, json::array({nested}), kResult).dump(), "m.pt2");
  ASSERT_EQ(graph.nodes.size(), 3);
  EXPECT_FALSE(graph.nodes[0].gradients);
  EXPECT_FALSE(graph.nodes[0].autocast);
  EXPECT_EQ(graph.nodes[0].tensor("self"), "x");
  EXPECT_TRUE(graph.nodes[2].gradients);
  EXPECT_EQ(graph.nodes[2].target, "torch.ops.aten.alias.default");
}

TEST(Graph, RegionsThatTurnSomethingOnAreRefused) {
  const auto read = [](const json& given) { read_graph(given.dump(), "m.pt2"); };
  const json nodes = json::array({cosine("arg0", "c")});
  EXPECT_ERROR(read(with_region(kNoGrad, json::array({argument({{"as_bool", true}})}), nodes, kResult)), InputError,
               "m.pt2", "node 0", "torch.enable_grad");
  const json on = json::array({argument({{"as_string", "cpu"}}), argument({{"as_scalar_type", 13}}),
                               argument({{"as_bool", true}}), argument({{"as_bool", false}})});
  EXPECT_ERROR(read(with_region(kAutocast, on, nodes, kResult)), InputError, "precision=bf16");
  const json off = json::array({argument({{"as_bool", false}})});
  EXPECT_ERROR(read(with_region(kNoGrad, json::array(), nodes, kResult)), InputError, "what it turns off");
  EXPECT_ERROR(read(with_region(kNoGrad, off, nodes, json::array())), InputError, "does not take or return");
  json changed = with_region(kNoGrad, off, nodes, kResult);
  changed["graph_module"]["graph"]["nodes"][0]["inputs"][2]["arg"] = {{"as_int", 3}};
  EXPECT_ERROR(read(changed), InputError, "neither a tensor nor a size");
  changed = with_region(kNoGrad, off, nodes, kResult);
  changed["graph_module"]["graph"]["nodes"][0]["inputs"][1]["arg"]["as_graph"]["graph"].erase("tensor_values");
  EXPECT_ERROR(read(changed), InputError, "tensor_values");
}

}  // namespace
}  // namespace lockstep
