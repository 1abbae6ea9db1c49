// libFuzzer over what is read of data (tests/fuzz/run): `formats_fuzzer TARGET CORPUS …` takes inputs for what such a
// file of hostile_files() holds, for a kept index, for the hyperparameter `fields` or for a stream of wrapped objects.
// Each is refused with an error of the user's, or read.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/RecordIoHeader.h"
#include "job/FieldDescription.h"
#include "job/Json.h"
#include "launch/WrappedObjects.h"
#include "tests/support/HostileFiles.h"
#include "tests/support/TemporaryDirectory.h"

namespace lockstep {
namespace {

namespace fs = std::filesystem;

struct Target {
  std::string name;
  std::string intact;                             ///< an input that is read
  std::function<void(const std::string&)> run{};  ///< throws Error for what is refused
};

void write(const fs::path& path, const std::string& bytes) {
  fs::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

std::string content(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// The one directory of the process.
const fs::path& directory() {
  static const TemporaryDirectory one;
  return one.path();
}

Target file_target(const HostileFile& file) {
  const auto run = [=](const std::string& input) {
    const fs::path channel = directory() / "channel";
    if (file.beside[0] != '\0') write(channel / file.beside, file.bytes_beside);
    write(channel / file.file, file.framed(input));
    try {
      read_hostile_channel(channel, 1);
    } catch (const InternalError&) {
      throw;
    } catch (const Error&) {  // the other way to read it comes all the same
    }
    read_hostile_channel(channel, 0);
  };
  return {.name = file.file, .intact = file.bytes, .run = run};
}

// A table of a known time, which an index says that it belongs to.
fs::path table() {
  const fs::path path = directory() / "table" / "data.csv";
  if (!fs::exists(path)) write(path, "x,kind,y\n1.5,a,0\n2,b,1\n-3e1,\"c\nd\",1\n");
  fs::last_write_time(path, fs::file_time_type(std::chrono::seconds(0)));
  return path.parent_path();
}

// An index is kept with a checksum, which is left to the framing.
Target index_target() {
  const auto open = [] { Formats::builtin().open(table(), {.index_dir = directory() / "indexes"}); };
  const auto path = [] {
    for (const auto& entry : fs::directory_iterator(directory() / "indexes")) {
      if (entry.path().extension() == ".index") return entry.path();
    }
    return fs::path();
  };
  open();
  std::string intact = content(path());
  intact.resize(intact.size() - sizeof(std::uint32_t));
  const auto run = [=](const std::string& input) {
    const std::uint32_t sum = crc32c(std::as_bytes(std::span(input)));
    write(path(), input + std::string(reinterpret_cast<const char*>(&sum), sizeof sum));
    open();
  };
  return {.name = "kept.index", .intact = std::move(intact), .run = run};
}

Target fields_target() {
  const auto run = [](const std::string& input) {
    const FieldDescriptions fields = read_field_descriptions(parse_json(input, "fields"));
    if (read_field_descriptions(write_field_descriptions(fields)) != fields) throw InternalError("read back otherwise");
    Formats::builtin().open(table(), {.fields = fields});
  };
  return {.name = "fields.json",
          .intact = R"({"x": [{"columns": ["x", "y"], "normalize": {"mean": [0, 1], "std": 0.5}, "type": "real"},)"
                    R"({"column": "kind", "encode": "one_hot", "fill": "none"}, {"column": "kind", "hash": 10}],)"
                    R"("target": {"column": "y", "labels": "found"},)"
                    R"("z": {"pad": {"length": 3, "value": -1, "cut": true, "mask": "m"}}})",
          .run = run};
}

// What wraps the objects of a stream (SageMaker's RecordWrapperType), cut where the input's first byte says.
Target wrapped_target() {
  const auto part = [](std::uint32_t kind, const std::string& data) {
    const std::uint32_t word = kind << 29 | static_cast<std::uint32_t>(data.size());
    return std::string(kRecordIoMagic) + std::string(reinterpret_cast<const char*>(&word), sizeof word) + data +
           std::string((4 - data.size() % 4) % 4, '\0');
  };
  const auto run = [](const std::string& input) {
    const fs::path place = directory() / "objects";
    fs::remove_all(place);
    fs::create_directories(place);
    WrappedObjects objects("the stream", place);
    const auto bytes = std::as_bytes(std::span(input).subspan(std::min<std::size_t>(input.size(), 1)));
    const std::size_t cut =
        std::min<std::size_t>(bytes.size(), input.empty() ? 0 : static_cast<unsigned char>(input[0]));
    objects.take(bytes.first(cut));
    objects.take(bytes.subspan(cut));
    objects.end();
  };
  return {.name = "objects.wrapped",
          .intact = "\x05" + part(0, "abcde") + part(1, "fg") + part(2, "") + part(3, "h"),
          .run = run};
}

std::vector<Target> targets() {
  std::vector<Target> all;
  for (const HostileFile& file : hostile_files()) all.push_back(file_target(file));
  all.push_back(index_target());
  all.push_back(fields_target());
  all.push_back(wrapped_target());
  return all;
}

std::unique_ptr<Target>& target() {
  static std::unique_ptr<Target> one;
  return one;
}

}  // namespace
}  // namespace lockstep

extern "C" int LLVMFuzzerInitialize(int* count, char*** arguments) {
  using namespace lockstep;
  const std::string name = *count > 2 ? (*arguments)[1] : "";
  std::vector<Target> all = targets();
  for (Target& one : all) {
    if (one.name != name) continue;
    write(fs::path((*arguments)[2]) / "intact", one.intact);
    target() = std::make_unique<Target>(std::move(one));
    (*arguments)[1] = (*arguments)[0];  // libFuzzer's own begin with the corpus
    ++*arguments;
    --*count;
    return 0;
  }
  std::fprintf(stderr, "usage: formats_fuzzer TARGET CORPUS [libFuzzer's flags]; TARGET is one of:\n");
  for (const Target& one : all) std::fprintf(stderr, "  %s\n", one.name.c_str());
  std::exit(2);
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  using namespace lockstep;
  try {
    target()->run({reinterpret_cast<const char*>(bytes), size});
  } catch (const InternalError&) {
    throw;
  } catch (const Error&) {
    return 0;
  }
  return 0;
}
