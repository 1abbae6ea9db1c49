#include "engine/program/Archive.h"

#include <ATen/Functions.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <exception>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"

namespace lockstep {

using caffe2::serialize::PyTorchStreamReader;
using caffe2::serialize::PyTorchStreamWriter;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* kModel = "models/model.json";
constexpr int kStrided = 7;  // schema.py, class Layout

struct Section {
  const char* folder;
  const char* config;
  const char* prefix;
};
constexpr Section kWeights{"data/weights/", "data/weights/model_weights_config.json", "weight_"};
constexpr Section kConstants{"data/constants/", "data/constants/model_constants_config.json", "tensor_"};

// c10 appends a C++ stack trace to what(); people need the first line.
std::string reason(const c10::Error& error) { return error.what_without_backtrace(); }

std::string text_record(PyTorchStreamReader& archive, const std::string& name) {
  auto [data, size] = archive.getRecord(name);
  return {static_cast<const char*>(data.get()), size};
}

std::vector<std::int64_t> int_list(const json& list) {
  std::vector<std::int64_t> values;
  for (const json& entry : list) values.push_back(entry.at("as_int").get<std::int64_t>());
  return values;
}

// The number of elements from the start of the storage that a view of these sizes and strides may touch, or nothing
// when it does not fit into 64 bits.
std::optional<std::int64_t> extent(std::int64_t offset, const std::vector<std::int64_t>& sizes,
                                   const std::vector<std::int64_t>& strides) {
  __int128 last = offset;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    if (sizes[i] < 0 || strides[i] < 0) return std::nullopt;
    if (sizes[i] == 0) return 0;
    last += static_cast<__int128>(sizes[i] - 1) * strides[i];
    if (last > std::numeric_limits<std::int64_t>::max() / 16) return std::nullopt;
  }
  return offset < 0 ? std::nullopt : std::optional(static_cast<std::int64_t>(last) + 1);
}

// `most_bytes`: of the whole archive. Strides of 0 could make a small record stand for a tensor of any size.
at::Tensor read_tensor(PyTorchStreamReader& archive, std::uint64_t most_bytes, const std::string& record,
                       const json& meta) {
  const auto sizes = int_list(meta.at("sizes"));
  const auto strides = int_list(meta.at("strides"));
  const auto offset = meta.at("storage_offset").at("as_int").get<std::int64_t>();
  const at::ScalarType type = scalar_type_from_archive(meta.at("dtype"));
  if (meta.at("layout") != kStrided) throw InputError(record + " is not a strided tensor");
  const auto needed = sizes.size() == strides.size() ? extent(offset, sizes, strides) : std::nullopt;
  if (!needed) throw InputError(record + " has impossible sizes " + meta.dump());
  if (!archive.hasRecord(record)) throw InputError(record + " is missing");
  auto [data, bytes] = archive.getRecord(record);
  const auto item = static_cast<std::int64_t>(c10::elementSize(type));
  if (*needed * item > static_cast<std::int64_t>(bytes)) {
    throw InputError(record + " has " + std::to_string(bytes) + " bytes; its sizes need " +
                     std::to_string(*needed * item));
  }
  if (*needed == 0) return at::empty(sizes, type);
  __int128 size = item;
  for (const std::int64_t dimension : sizes) size = std::min<__int128>(size * dimension, __int128{1} << 62);
  if (size > static_cast<__int128>(most_bytes)) {
    throw InputError(record + " stands for a tensor larger than the archive: " + meta.at("sizes").dump());
  }
  const at::Tensor storage = at::from_blob(data.get(), {static_cast<std::int64_t>(bytes) / item}, type);
  return storage.as_strided(sizes, strides, offset).clone();
}

// Reads the tensors of one section into `state`, by name. Two names of one file, offset, sizes and strides are tied.
void read_section(PyTorchStreamReader& archive, std::uint64_t most_bytes, const Section& section,
                  std::map<std::string, at::Tensor>& state) {
  if (!archive.hasRecord(section.config)) return;
  std::map<std::string, at::Tensor> by_view;
  const json document = json::parse(text_record(archive, section.config));
  for (const auto& [name, entry] : document.at("config").items()) {
    try {
      const json& meta = entry.at("tensor_meta");
      if (entry.at("use_pickle").get<bool>() || meta.is_null()) {
        throw InputError("it is stored as a pickle; only plain tensors are read");
      }
      const std::string record = section.folder + entry.at("path_name").get<std::string>();
      const std::string view =
          record + meta.at("storage_offset").dump() + meta.at("sizes").dump() + meta.at("strides").dump();
      at::Tensor& tensor = by_view[view];
      if (!tensor.defined() || tensor.numel() == 0) {
        tensor = read_tensor(archive, most_bytes, record, meta);
        tensor.set_requires_grad(entry.at("is_param").get<bool>() && meta.at("requires_grad").get<bool>());
      }
      state[name] = tensor;
    } catch (const InputError& error) {
      throw InputError("tensor " + in_quotes(name) + ": " + error.what());
    }
  }
}

// Anything else than a batch dimension of free size would break with the first batch of another size.
void check_inputs(const Graph& graph) {
  for (const GraphInput* input : graph.user_inputs()) {
    const auto sizes = graph.sizes(input->value);
    if (!sizes.empty() && std::holds_alternative<std::int64_t>(sizes[0])) {
      throw InputError("input " + in_quotes(input->value) + " has a fixed batch size of " +
                       std::to_string(std::get<std::int64_t>(sizes[0])) +
                       "; export it with a dynamic one: torch.export.export(model, (x,), "
                       "dynamic_shapes=({0: torch.export.Dim(\"batch\")},))");
    }
  }
}

json tensor_meta(const at::Tensor& tensor) {
  json sizes = json::array();
  json strides = json::array();
  for (const std::int64_t size : tensor.sizes()) sizes.push_back({{"as_int", size}});
  for (const std::int64_t stride : tensor.strides()) strides.push_back({{"as_int", stride}});
  return {{"dtype", scalar_type_to_archive(tensor.scalar_type())},
          {"sizes", sizes},
          {"requires_grad", tensor.requires_grad()},
          {"device", {{"type", "cpu"}, {"index", nullptr}}},
          {"strides", strides},
          {"storage_offset", {{"as_int", 0}}},
          {"layout", kStrided}};
}

// Writes tensors one by one and remembers them for the section's configuration.
class SectionWriter {
 public:
  SectionWriter(PyTorchStreamWriter& archive, const Section& section) : archive_(archive), section_(section) {}

  void add(const std::string& name, const at::Tensor& tensor, bool is_parameter) {
    const at::Tensor dense = tensor.detach().cpu().contiguous();
    std::string& path = paths_[tensor.unsafeGetTensorImpl()];
    if (path.empty()) {
      path = section_.prefix + std::to_string(paths_.size() - 1);
      archive_.writeRecord(section_.folder + path, dense.const_data_ptr(), dense.nbytes());
    }
    json meta = tensor_meta(dense);
    meta["requires_grad"] = tensor.requires_grad();
    config_[name] = {{"path_name", path}, {"is_param", is_parameter}, {"use_pickle", false}, {"tensor_meta", meta}};
  }

  void finish() {
    const std::string text = json{{"config", config_}}.dump();
    archive_.writeRecord(section_.config, text.data(), text.size());
  }

 private:
  PyTorchStreamWriter& archive_;
  const Section& section_;
  std::map<const void*, std::string> paths_;
  json config_ = json::object();
};

}  // namespace

Program read_archive(const fs::path& path) {
  const std::string file = path.string();
  if (std::error_code error; !fs::is_regular_file(path, error)) {
    throw InputError(file + " is not a file: a program is a .pt2 archive that torch.export.save wrote");
  }
  try {
    PyTorchStreamReader archive(file);
    if (!archive.hasRecord(kModel)) {
      throw InputError("it has no " + std::string(kModel) + ": it is not an archive that torch.export.save wrote");
    }
    if (archive.hasRecord("byteorder") && text_record(archive, "byteorder") != "little") {
      throw InputError("its tensors are not little-endian");
    }
    Graph graph = read_graph(text_record(archive, kModel), file);
    check_inputs(graph);
    for (const Node& node : graph.nodes) {  // passes put them in, and check first what they take
      if (node.target.starts_with("torch.ops.lockstep.")) throw InputError(describe(node) + " is not one of PyTorch's");
    }
    std::map<std::string, at::Tensor> state;
    read_section(archive, fs::file_size(path), kWeights, state);
    read_section(archive, fs::file_size(path), kConstants, state);
    return Program(path.stem().string(), std::move(graph), std::move(state));
  } catch (const c10::Error& error) {
    throw InputError(file + " cannot be read as a .pt2 archive (truncated?): " + reason(error));
  } catch (const json::exception& error) {
    throw InputError(file + ": a part of the archive is not what torch.export.save writes: " + error.what());
  } catch (const InputError& error) {
    const std::string message = error.what();
    throw InputError(message.starts_with(file) ? message : file + ": " + message);
  }
}

void write_archive(const Program& program, const fs::path& path) {
  OutputFile file(path);
  // The writer finishes its archive even in its destructor and throws when it cannot: it is told that all went well,
  // and the first failure is thrown when it is gone.
  std::exception_ptr failure;
  const auto write = [&](const void* data, std::size_t size) {
    try {
      if (!failure) file.write(std::span(static_cast<const std::byte*>(data), size));
    } catch (const SystemError&) {
      failure = std::current_exception();
    }
    return size;
  };
  try {
    PyTorchStreamWriter archive(write);
    const auto write_text = [&](const std::string& name, const std::string& text) {
      archive.writeRecord(name, text.data(), text.size());
    };
    write_text("archive_format", "pt2");
    write_text("archive_version", "0");
    write_text("byteorder", "little");
    write_text(kModel, write_graph(program.graph()));
    write_text("data/sample_inputs/model.pt", "");
    SectionWriter weights(archive, kWeights);
    SectionWriter constants(archive, kConstants);
    for (const GraphInput& input : program.graph().inputs) {
      if (input.kind == InputKind::kUserInput) continue;
      const bool weight = input.kind == InputKind::kParameter || (input.kind == InputKind::kBuffer && input.persistent);
      (weight ? weights : constants).add(input.state_name, program.tensor(input), input.kind == InputKind::kParameter);
    }
    weights.finish();
    constants.finish();
    archive.writeEndOfFile();
  } catch (const c10::Error& error) {
    throw SystemError("cannot write " + path.string() + ": " + reason(error));
  }
  if (failure) std::rethrow_exception(failure);
  file.close();
}

}  // namespace lockstep
