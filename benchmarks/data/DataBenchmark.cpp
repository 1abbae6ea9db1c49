// data_benchmark DIRECTORY [image=HEIGHT,WIDTH] [window=TOKENS] [field=NAME]... [in_order]: the seconds of CPU time in
// which a channel is opened, and in which all its samples are read once, in a random order unless it says otherwise;
// how many there are, the bytes of what was read of them, and the seconds of CPU time that a CRC32C of as many takes.
// Fields that are not named are not read; with none named all are.
#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <limits>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/Crc32c.h"
#include "engine/data/Formats.h"
#include "engine/data/Order.h"
#include "engine/files/MappedFile.h"
#include "engine/files/PlainFile.h"

namespace {

using namespace lockstep;

struct Options {
  ChannelOptions channel{};
  std::set<std::string, std::less<>> fields{};
  bool shuffle = true;
};

std::int64_t number(std::string_view text) {
  std::int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Options options_of(std::span<char* const> arguments) {
  Options options;
  for (const std::string_view argument : arguments) {
    const std::size_t equals = argument.find('=');
    const std::string_view name = argument.substr(0, equals);
    const std::string_view value = equals == std::string_view::npos ? "" : argument.substr(equals + 1);
    if (name == "image") {
      options.channel.image.shape =
          ImageShape{.channels = 3, .height = number(value), .width = number(value.substr(value.find(',') + 1))};
    } else if (name == "window") {
      options.channel.window = number(value);
    } else if (name == "field") {
      options.fields.emplace(value);
    } else if (name == "in_order") {
      options.shuffle = false;
    } else {
      std::fprintf(stderr, "%s?\n", std::string(argument).c_str());
      std::exit(2);
    }
  }
  return options;
}

double seconds_of(const auto& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) return 2;
  // As a rank does.
  ::mallopt(M_MMAP_MAX, 0);
  ::mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  allow_mapped_files();
  const Options options = options_of(std::span(argv + 2, static_cast<std::size_t>(argc - 2)));
  const auto channel = [&] { return Formats::builtin().open(argv[1], options.channel).dataset; };
  std::shared_ptr<const Dataset> data = channel();  // what is loaded once is loaded now
  data.reset();
  const double open = seconds_of([&] { data = channel(); });
  constexpr std::int64_t kBatch = 256;
  std::vector<std::vector<double>> memory;
  std::vector<std::byte*> places;
  std::size_t bytes = 0;
  for (const Field& field : data->spec().fields) {
    const bool wanted = options.fields.empty() || options.fields.contains(field.name);
    memory.emplace_back(wanted ? kBatch * field.bytes() / sizeof(double) + 1 : 0);
    places.push_back(wanted ? reinterpret_cast<std::byte*>(memory.back().data()) : nullptr);
    if (wanted) bytes += field.bytes();
  }
  const Order order(0, data->size(), options.shuffle);
  const double read = seconds_of([&] {
    for (std::int64_t first = 0; first < data->size(); first += kBatch) {
      data->read(order.samples(0, {first, std::min(first + kBatch, data->size())}), places);
    }
  });
  std::uint64_t content = 0;
  std::uint32_t sum = 0;
  const double checksums = seconds_of([&] {
    std::vector<std::byte> block(std::size_t{64} << 10);
    for (const auto& entry : std::filesystem::directory_iterator(argv[1])) {
      if (!entry.is_regular_file()) continue;
      const PlainFile file(entry.path());
      for (std::uint64_t at = 0; at < file.size(); at += block.size()) {
        const std::span<std::byte> some(block.data(), std::min<std::uint64_t>(block.size(), file.size() - at));
        file.read_at(at, some);
        sum ^= crc32c(some);
      }
      content += file.size();
    }
  });
  std::printf("%.6f %.6f %lld %zu %.6f %llu %u\n", open, read, static_cast<long long>(data->size()), bytes, checksums,
              static_cast<unsigned long long>(content), sum);
}
