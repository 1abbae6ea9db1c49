// Recurrent layers: directions and layers one by one, as PyTorch's documentation (torch.nn.LSTM, torch.nn.GRU) has
// them.
#include "engine/artifacts/primitives/PrimitiveRows.h"

namespace lockstep {

namespace {

using Kind = primitive::Recurrent::Kind;

/// What a recurrent operator is given. Parameters of a layer's direction are two weights and, with biases, two biases.
struct Layers {
  std::vector<Term> parameters;
  bool biases;
  std::int64_t count;
  bool both_ways;
  bool batch_first;
  std::vector<Term> states;  ///< [layers · directions, batch, width]: h, and for LSTM c
};

std::vector<Term> all_present(NodeArguments& arguments, const char* name) {
  std::vector<Term> terms;
  for (const auto& each : arguments.tensors(name)) {
    if (!each) arguments.refuse("its " + std::string(name) + " has an entry that is no tensor");
    terms.push_back(*each);
  }
  return terms;
}

Layers layers_of(NodeArguments& arguments, Kind kind) {
  arguments.ignore({"dropout"});
  if (arguments.flag("train", false) && arguments.real("dropout", 0) != 0) arguments.refuse("it drops at random");
  Layers layers{.parameters = all_present(arguments, "params"),
                .biases = arguments.flag("has_biases", true),
                .count = arguments.known("num_layers", 1),
                .both_ways = arguments.flag("bidirectional", false),
                .batch_first = arguments.flag("batch_first", false),
                .states = {}};
  layers.states = kind == Kind::kLstm ? all_present(arguments, "hx") : std::vector{arguments.tensor("hx")};
  const std::int64_t each = layers.biases ? 4 : 2;
  if (std::ssize(layers.parameters) != layers.count * (layers.both_ways ? 2 : 1) * each) {
    arguments.refuse("it has other parameters than two weights and two biases a layer, as one with projections does");
  }
  if (layers.states.size() != (kind == Kind::kLstm ? 2U : 1U)) arguments.refuse("it has other states");
  return layers;
}

// One direction of one layer: all states, the last state, and for LSTM the last cell.
std::vector<Term> one_way(const Layers& layers, Kind kind, const Term& x, std::size_t place, bool reverse) {
  const std::size_t first = place * (layers.biases ? 4 : 2);
  std::vector<ValueId> inputs = {x.id(), layers.parameters.at(first).id(), layers.parameters.at(first + 1).id()};
  for (std::size_t i = 2; i < 4; ++i) {
    const Term weight = layers.parameters.at(first + 1);
    inputs.push_back(layers.biases ? layers.parameters.at(first + i).id()
                                   : filled(x.builder(), 0.0, weight.type(), {weight.size(0)}).id());
  }
  for (const Term& state : layers.states) inputs.push_back(entry(state, 0, static_cast<std::int64_t>(place)).id());
  std::vector<Term> results;
  for (const ValueId id : x.builder().add(primitive::Recurrent{kind, reverse}, inputs)) {
    results.emplace_back(x.builder(), id);
  }
  return results;
}

std::vector<Term> recurrent(NodeArguments& arguments, Kind kind) {
  const Term input = arguments.tensor("input");
  if (input.rank() != 3) arguments.refuse("it takes a batch of sequences");
  const Layers layers = layers_of(arguments, kind);
  Term x = layers.batch_first ? swapped(input, 0, 1) : input;
  std::vector<std::vector<Term>> last(layers.states.size());  // of each state: by layer and direction
  std::size_t place = 0;
  for (std::int64_t layer = 0; layer < layers.count; ++layer) {
    std::vector<Term> ways;
    for (const bool reverse : {false, true}) {
      if (reverse && !layers.both_ways) continue;
      const std::vector<Term> results = one_way(layers, kind, x, place++, reverse);
      ways.push_back(results.at(0));
      for (std::size_t i = 0; i < last.size(); ++i) last[i].push_back(unsqueeze(results.at(i + 1), 0));
    }
    x = concatenate(ways, 2);
  }
  std::vector<Term> results = {layers.batch_first ? swapped(x, 0, 1) : x};
  for (const std::vector<Term>& each : last) results.push_back(concatenate(each, 0));
  return results;
}

}  // namespace

PrimitiveRows recurrent_rows() {
  return {
      {"gru.input", [](NodeArguments& arguments) { return recurrent(arguments, Kind::kGru); }},
      {"lstm.input", [](NodeArguments& arguments) { return recurrent(arguments, Kind::kLstm); }},
  };
}

}  // namespace lockstep
