#include "engine/artifacts/Safetensors.h"

#include <ATen/Functions.h>

#include <nlohmann/json.hpp>
#include <span>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/program/Program.h"

namespace lockstep {

using nlohmann::json;
namespace fs = std::filesystem;

ElementType element_type(const at::Tensor& tensor) {
  return static_cast<ElementType>(scalar_type_to_archive(tensor.scalar_type()));
}

void write_safetensors(const NamedTensors& tensors, const std::map<std::string, std::string>& metadata,
                       const fs::path& path) {
  json header = json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    header[name] = {{"dtype", SafetensorsFile::type_name(element_type(tensor))},
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

at::Tensor tensor_for(const SafetensorsFile& file, const std::string& name) {
  const SafetensorsFile::Entry& entry = file.entries().at(name);
  if (is_integer(entry.type) && entry.type != ElementType::kUint8 && limits_of(entry.type).least == 0) {
    throw InputError(file.name() + ": the tensor " + in_quotes(name) + " is " + to_string(entry.type) +
                     ", which is no type of a program's tensors: store it as signed integers");
  }
  return at::empty(entry.sizes, scalar_type_from_archive(static_cast<int>(entry.type)));
}

std::span<std::byte> bytes_of(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.mutable_data_ptr()), tensor.nbytes()};
}

NamedTensors read_safetensors(const SafetensorsFile& file) {
  NamedTensors tensors;
  for (const auto& [name, entry] : file.entries()) {
    const at::Tensor tensor = tensor_for(file, name);
    file.read(name, bytes_of(tensor));
    tensors[name] = tensor;
  }
  return tensors;
}

NamedTensors read_safetensors(const fs::path& path) { return read_safetensors(SafetensorsFile(path)); }

}  // namespace lockstep
