// libFuzzer over the formats of data (tests/fuzz/run): `formats_fuzzer FILE CORPUS …` takes inputs for what such a file
// of hostile_files() holds. Each is refused with an error of the user's, or read.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <utility>

#include "common/Error.h"
#include "tests/support/HostileFiles.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

/// The one channel of the process, one of whose files is the input.
struct FuzzedChannel {
  explicit FuzzedChannel(HostileFile changed) : file(std::move(changed)) {}

  TemporaryDirectory directory{};
  HostileFile file;
};

std::unique_ptr<FuzzedChannel>& channel() {
  static std::unique_ptr<FuzzedChannel> one;
  return one;
}

void write(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  using namespace lockstep;
  const std::string name = *count > 2 ? (*arguments)[1] : "";
  for (HostileFile& file : hostile_files()) {
    if (file.file != name) continue;
    write(std::filesystem::path((*arguments)[2]) / "intact", file.bytes);
    channel() = std::make_unique<FuzzedChannel>(std::move(file));
    if (channel()->file.beside[0] != '\0') {
      write(channel()->directory / channel()->file.beside, channel()->file.bytes_beside);
    }
    (*arguments)[1] = (*arguments)[0];  // libFuzzer's own begin with the corpus
    ++*arguments;
    --*count;
    return 0;
  }
  std::fprintf(stderr, "usage: formats_fuzzer FILE CORPUS [libFuzzer's flags]; FILE is one of:\n");
  for (const HostileFile& file : hostile_files()) std::fprintf(stderr, "  %s\n", file.file);
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace lockstep;
  const FuzzedChannel& fuzzed = *channel();
  write(fuzzed.directory / fuzzed.file.file, fuzzed.file.framed({reinterpret_cast<const char*>(bytes), size}));
  for (const std::int64_t most_bad : {0, 1}) {
    try {
      read_hostile_channel(fuzzed.directory.path(), most_bad);
    } catch (const InternalError&) {
      throw;
    } catch (const Error&) {
      continue;
    }
  }
  return 0;
}
