#include "tests/support/PrimitiveCaseTable.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace lockstep {

using Sizes = std::vector<std::int64_t>;

at::Generator PrimitiveCaseTable::Draws::made_generator() { return at::detail::createCPUGenerator(7); }

at::Tensor PrimitiveCaseTable::Draws::real(const Sizes& sizes) { return at::randn(sizes, generator_); }

at::Tensor PrimitiveCaseTable::Draws::positive(const Sizes& sizes) { return at::rand(sizes, generator_) + 0.1; }

at::Tensor PrimitiveCaseTable::Draws::integers(std::int64_t from, std::int64_t below, const Sizes& sizes) {
  return at::randint(from, below, sizes, generator_, at::kLong);
}

at::Tensor PrimitiveCaseTable::Draws::truths(const Sizes& sizes) { return at::rand(sizes, generator_) > 0.5; }

at::Tensor PrimitiveCaseTable::reals(const std::vector<double>& values) { return at::tensor(values).to(at::kFloat); }

void PrimitiveCaseTable::add(const std::string& name, const std::string& op, const std::vector<Given>& given,
                             const std::vector<NamedArgument>& rest, std::size_t results, std::size_t returned) {
  PrimitiveCaseBuilder builder(name);
  std::vector<NamedArgument> arguments;
  for (const Given& each : given) {
    each.state ? builder.state(each.name, each.batches.at(0)) : builder.input(each.name, each.batches);
    arguments.push_back(tensor_argument(each.name, each.name));
  }
  arguments.insert(arguments.end(), rest.begin(), rest.end());
  std::vector<std::string> names;
  for (std::size_t i = 0; i < results; ++i) names.push_back("y" + std::to_string(i));
  builder.call(op, arguments, names);
  if (returned != 0) names.resize(returned);
  cases.push_back(builder.returns(names));
}

void PrimitiveCaseTable::add_all(const std::string& name, const std::vector<Given>& given,
                                 const std::vector<Call>& calls) {
  PrimitiveCaseBuilder builder(name);
  for (const Given& each : given) {
    each.state ? builder.state(each.name, each.batches.at(0)) : builder.input(each.name, each.batches);
  }
  std::vector<std::string> returned;
  std::size_t count = 0;
  for (const Call& call : calls) {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < call.results; ++i) names.push_back("y" + std::to_string(count++));
    builder.call(call.op, call.arguments, names);
    if (call.returned != 0) names.resize(call.returned);
    returned.insert(returned.end(), names.begin(), names.end());
  }
  cases.push_back(builder.returns(returned));
}

}  // namespace lockstep
