#include "engine/artifacts/Safetensors.h"

#include <ATen/Functions.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <span>
#include <utility>
#include <vector>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"

namespace lockstep {

using nlohmann::json;
namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little);

namespace {

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the reference reader's own limit

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
  const auto shape = entry.at("shape").get<std::vector<std::int64_t>>();
  const auto begin = entry.at("data_offsets").at(0).get<std::uint64_t>();
  const auto end = entry.at("data_offsets").at(1).get<std::uint64_t>();
  __int128 bytes = static_cast<__int128>(c10::elementSize(found->second));
  for (const std::int64_t size : shape) {
    if (size < 0 || bytes > std::numeric_limits<std::int64_t>::max()) throw InputError("impossible shape");
    bytes *= size;
  }
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
  std::ifstream file(path, std::ios::binary);
  std::error_code error;
  const std::uint64_t size = fs::file_size(path, error);
  std::uint64_t length = 0;
  if (!file || error || !file.read(reinterpret_cast<char*>(&length), sizeof length)) {
    throw refuse("it cannot be read as a safetensors file");
  }
  if (length > kMaxHeader || length > size - sizeof length) {
    throw refuse("its header claims " + std::to_string(length) + " bytes; the file has " + std::to_string(size));
  }
  std::string text(length, '\0');
  if (!file.read(text.data(), static_cast<std::streamsize>(length))) throw refuse("its header is truncated");
  const std::uint64_t data_start = sizeof length + length;
  NamedTensors tensors;
  try {
    const json header = json::parse(text);
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
