#include "engine/artifacts/Safetensors.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "common/RegularFile.h"
#include "common/Text.h"
#include "job/Json.h"

namespace lockstep {

using nlohmann::json;
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr JsonLimits kHeader{.bytes = 100'000'000};  // the reference reader's own limit

constexpr std::pair<const char*, at::ScalarType> kTypes[] = {
    {"BOOL", at::kBool}, {"U8", at::kByte},  {"I8", at::kChar},       {"I16", at::kShort}, {"I32", at::kInt},
    {"I64", at::kLong},  {"F16", at::kHalf}, {"BF16", at::kBFloat16}, {"F32", at::kFloat}, {"F64", at::kDouble},
};

std::string type_name(at::ScalarType type) {
  const auto* found = std::ranges::find(kTypes, type, &std::pair<const char*, at::ScalarType>::second);
  if (found == std::end(kTypes)) throw InternalError(std::string("safetensors has no ") + c10::toString(type));
  return found->first;
}

at::Tensor read_tensor(const json& entry, std::ifstream& file, std::uint64_t data_start, std::uint64_t data_size) {
  const std::string type = entry.at("dtype");
  const auto* found = std::ranges::find_if(kTypes, [&](const auto& row) { return row.first == type; });
  if (found == std::end(kTypes)) throw InputError("element type " + in_quotes(type) + " is not supported");
  std::vector<std::int64_t> shape;
  for (const json& size : entry.at("shape")) shape.push_back(read_int(size));
  const auto begin = static_cast<std::uint64_t>(read_int(entry.at("data_offsets").at(0), 0));
  const auto end = static_cast<std::uint64_t>(read_int(entry.at("data_offsets").at(1), 0));
  // A size of 0 makes a tensor of no bytes; the other sizes are multiplied all the same, by libtorch as well.
  constexpr __int128 kMostBytes = __int128{1} << 50;
  const auto item = static_cast<__int128>(c10::elementSize(found->second));
  __int128 bytes = item;
  for (const std::int64_t size : shape) {
    bytes *= std::max<std::int64_t>(size, 1);
    if (size < 0 || bytes > kMostBytes) throw InputError("impossible shape " + excerpt(entry.at("shape")));
  }
  if (std::ranges::count(shape, 0) > 0) bytes = 0;
  if (begin > end || end > data_size || bytes != static_cast<__int128>(end - begin)) {
    throw InputError("its shape and its offsets " + entry.at("data_offsets").dump() + " do not fit the file's " +
                     std::to_string(data_size) + " bytes of data");
  }
  at::Tensor tensor = at::empty(shape, found->second);
  file.seekg(static_cast<std::streamoff>(data_start + begin));
  file.read(static_cast<char*>(tensor.mutable_data_ptr()), static_cast<std::streamsize>(end - begin));
  if (!file) throw InputError("its data cannot be read");
  return tensor;
}

}  // namespace

void write_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                       const fs::path& path) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", type_name(tensor.scalar_type())},
                    {"shape", tensor.sizes().vec()},
                    {"data_offsets", {offset, offset + tensor.nbytes()}}};
    offset += tensor.nbytes();
  }
  std::string text = header.dump();
  text.resize((text.size() + 7) / 8 * 8, ' ');  // the format lets spaces align the data
  const std::uint64_t length = text.size();
  OutputFile file(path);
  file.write(std::as_bytes(std::span(&length, 1)));
  file.write(text);
  for (const auto& [name, tensor] : tensors) {
    const at::Tensor dense = tensor.detach().cpu().contiguous();
    file.write(std::span(static_cast<const std::byte*>(dense.const_data_ptr()), dense.nbytes()));
  }
  file.close();
}

NamedTensors read_safetensors(const fs::path& path) {
  const auto refuse = [&](const std::string& why) { return InputError(path.string() + ": " + why); };
  open_regular_file(path);  // a stream would wait for what it can read from a pipe
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  std::uint64_t length = 0;
  if (!file || error || !file.read(reinterpret_cast<char*>(&length), sizeof length)) {
    throw refuse("it cannot be read as a safetensors file");
  }
  if (length > kHeader.bytes || length > size - sizeof length) {
    throw refuse("its header claims " + std::to_string(length) + " bytes; the file has " + std::to_string(size));
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) throw refuse("its header is truncated");
  const std::uint64_t data_start = sizeof length + length;
  NamedTensors tensors;
  try {
    const json header = parse_json(text, path.string() + ": its header", kHeader);
    for (const auto& [name, entry] : header.items()) {
      if (name == "__metadata__") continue;
      try {
        tensors[name] = read_tensor(entry, file, data_start, size - data_start);
      } catch (const InputError& cause) {
        throw refuse("tensor " + in_quotes(name) + ": " + cause.what());
      }
    }
  } catch (const json::exception& cause) {
    throw refuse(std::string("its header is not what the format says: ") + cause.what());
  }
  return tensors;
}

}  // namespace lockstep
