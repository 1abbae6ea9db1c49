#include "engine/session/MadeUpProbes.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <optional>
#include <utility>
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

// Samples of other sizes where these are open, or nothing where none is, or where some follow from others.
std::optional<SampleSpec> of_other_sizes(SampleSpec spec, const Graph& graph) {
  bool changed = false;
  for (Field& field : spec.fields) {
    const std::vector<Dimension> stated = graph.sizes(field.name);
    for (std::size_t i = 0; i < field.sizes.size(); ++i) {
      const auto* symbol = std::get_if<std::string>(&stated.at(i + 1));
      if (!symbol) continue;
      if (field.sizes[i] < 3 || symbol->find_first_of("(*+-/ ") != std::string::npos) return std::nullopt;
      --field.sizes[i];
      changed = true;
    }
  }
  return changed ? std::optional(std::move(spec)) : std::nullopt;
}

// `finite`: and gives finite numbers.
bool takes(const Program& program, const Probe::Inputs& inputs, bool finite) {
  try {
    const std::vector<Probe> probes = make_probes(program, {inputs}, /*check_sizes=*/true);
    return !finite || std::ranges::all_of(probes.at(0).outputs, [](const at::Tensor& output) {
      return at::isfinite(output).all().item<bool>();
    });
  } catch (const InputError&) {
    return false;
  }
}

// Whether an input's integers are a guess.
bool is_guessed(const Field& field, const Graph& graph) {
  return is_integer(field.type) && !find_safe_vocabulary(graph, field.name);
}

}  // namespace

std::vector<Probe::Inputs> made_up_probes(const Program& program) {
  const Graph& graph = program.graph();
  SampleSpec spec;
  try {
    spec = fitting_inputs(graph, Unsaid::kGuessed);
  } catch (const InputError&) {
    return {};
  }
  if (spec.fields.empty()) return {};
  const Dimension batch = graph.sizes(spec.fields[0].name).at(0);
  const auto* fixed = std::get_if<std::int64_t>(&batch);
  const std::int64_t count = fixed ? *fixed : 2;
  const std::optional<SampleSpec> other = of_other_sizes(spec, graph);
  const bool guessed = std::ranges::any_of(spec.fields, [&](const Field& field) { return is_guessed(field, graph); });
  const SyntheticDataset data(std::move(spec), count, kSeed);
  std::vector<Probe::Inputs> probes;
  if (!fixed) probes.push_back(read(data, graph, 1));
  probes.push_back(read(data, graph, count));
  if (guessed) std::erase_if(probes, [&](const Probe::Inputs& inputs) { return !takes(program, inputs, true); });
  if (!other) return probes;
  Probe::Inputs third = read(SyntheticDataset(*other, count, kSeed), graph, count);
  if (takes(program, third, guessed)) probes.push_back(std::move(third));
  return probes;
}

}  // namespace lockstep
