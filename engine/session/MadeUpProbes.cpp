#include "engine/session/MadeUpProbes.h"

#include <ATen/Functions.h>

#include <cstddef>
#include <cstdint>
#include <numeric>
#include <variant>

#include "common/Error.h"
#include "engine/data/SyntheticDataset.h"
#include "engine/session/FittingSamples.h"

namespace lockstep {

namespace {

constexpr std::uint64_t kSeed = 1;

Probe::Inputs read(const SyntheticDataset& data, const Graph& graph, std::int64_t count) {
  std::vector<std::int64_t> samples(static_cast<std::size_t>(count));
  std::iota(samples.begin(), samples.end(), 0);
  Probe::Inputs inputs;
  std::vector<std::byte*> places;
  for (const Field& field : data.spec().fields) {
    std::vector<std::int64_t> sizes = {count};
    sizes.insert(sizes.end(), field.sizes.begin(), field.sizes.end());
    inputs.push_back(at::empty(sizes, scalar_type_from_archive(graph.scalar_type(field.name))));
    places.push_back(static_cast<std::byte*>(inputs.back().mutable_data_ptr()));
  }
  data.read(samples, places);
  return inputs;
}

}  // namespace

std::vector<Probe::Inputs> made_up_probes(const Graph& graph) {
  SampleSpec spec;
  try {
    spec = fitting_inputs(graph, OpenSizes::kOfExample);
  } catch (const InputError&) {
    return {};
  }
  if (spec.fields.empty()) return {};
  const Dimension batch = graph.sizes(spec.fields[0].name).at(0);
  const auto* fixed = std::get_if<std::int64_t>(&batch);
  const SyntheticDataset data(std::move(spec), fixed ? *fixed : 2, kSeed);
  if (fixed) return {read(data, graph, *fixed)};
  return {read(data, graph, 1), read(data, graph, 2)};
}

}  // namespace lockstep
