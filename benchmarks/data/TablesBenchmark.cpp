// tables_benchmark DIRECTORY: the seconds of CPU time in which a channel is opened, and in which all its samples are
// read once in a random order; and how many there are.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <vector>

#include "engine/data/Formats.h"
#include "engine/data/Order.h"

namespace {

double seconds_of(const auto& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace lockstep;
  if (argc != 2) return 2;
  std::shared_ptr<const Dataset> data = Formats::builtin().open(argv[1]).dataset;  // what is loaded once is loaded now
  data.reset();
  const double open = seconds_of([&] { data = Formats::builtin().open(argv[1]).dataset; });
  const std::vector<Field>& fields = data->spec().fields;
  constexpr std::int64_t kBatch = 256;
  std::vector<std::vector<double>> memory;
  std::vector<std::byte*> places;
  for (const Field& field : fields) {
    // What a program takes: the features together, and the label.
    const bool wanted = field.name == "features" || field.name == "label";
    memory.emplace_back(wanted ? kBatch * field.bytes() / sizeof(double) + 1 : 0);
    places.push_back(wanted ? reinterpret_cast<std::byte*>(memory.back().data()) : nullptr);
  }
  const Order order(0, data->size(), true);
  const double read = seconds_of([&] {
    std::vector<std::int64_t> samples;
    for (std::int64_t first = 0; first < data->size(); first += kBatch) {
      samples.clear();
      for (std::int64_t i = first; i < std::min(first + kBatch, data->size()); ++i) samples.push_back(order(0, i));
      data->read(samples, places);
    }
  });
  std::printf("%.6f %.6f %lld\n", open, read, static_cast<long long>(data->size()));
}
