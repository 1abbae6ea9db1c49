#include "engine/program/Archive.h"

#include <ATen/Functions.h>
#include <caffe2/serialize/inline_container.h>

#include <algorithm>
#include <exception>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <span>
#include <utility>

#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "engine/files/ZipFile.h"
#include "engine/program/GraphFormat.h"
#include "engine/program/PureOperators.h"
#include "job/Json.h"

namespace lockstep {

using caffe2::serialize::PyTorchStreamWriter;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

constexpr const char* kModel = "models/model.json";
constexpr const char* kModelBefore = "serialized_exported_program.json";  // of torch.export.save until torch 2.7
constexpr int kStrided = 7;                                               // schema.py, class Layout

struct Section {
  const char* folder;
  const char* config;
  const char* prefix;
};
constexpr Section kWeights{"data/weights/", "data/weights/model_weights_config.json", "weight_"};
constexpr Section kConstants{"data/constants/", "data/constants/model_constants_config.json", "tensor_"};

// c10 appends a C++ stack trace to what(); people need the first line.
std::string reason(const c10::Error& error) { return error.what_without_backtrace(); }

std::vector<std::int64_t> int_list(const json& list) {
  std::vector<std::int64_t> values;
  for (const json& entry : list) values.push_back(read_int(entry.at("as_int")));
  return values;
}

constexpr std::int64_t kMostElements = std::int64_t{1} << 50;

struct View {
  at::ScalarType type = at::kFloat;
  std::vector<std::int64_t> sizes;
  std::vector<std::int64_t> strides;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;   ///< of its elements
  std::int64_t extent = 0;  ///< bytes from the start of its storage that it may touch
};

View read_view(const json& meta) {
  View view{.type = scalar_type_from_archive(static_cast<int>(read_int(meta.at("dtype"), 0, 255))),
            .sizes = int_list(meta.at("sizes")),
            .strides = int_list(meta.at("strides")),
            .offset = read_int(meta.at("storage_offset").at("as_int"))};
  if (meta.at("layout") != kStrided) throw InputError("it is not a strided tensor");
  // A size of 0 makes a tensor of no bytes; the other sizes are multiplied all the same, by libtorch as well.
  __int128 elements = 1;
  __int128 last = view.offset;
  bool possible = view.sizes.size() == view.strides.size() && view.offset >= 0;
  for (std::size_t i = 0; possible && i < view.sizes.size(); ++i) {
    elements *= std::max<std::int64_t>(view.sizes[i], 1);
    last += static_cast<__int128>(std::max<std::int64_t>(view.sizes[i], 1) - 1) * view.strides[i];
    possible = view.sizes[i] >= 0 && view.strides[i] >= 0 && elements <= kMostElements && last <= kMostElements;
  }
  if (!possible || last > kMostElements) throw InputError("it has impossible sizes " + excerpt(meta));
  const auto item = static_cast<std::int64_t>(c10::elementSize(view.type));
  if (std::ranges::count(view.sizes, 0) == 0) {
    view.bytes = static_cast<std::int64_t>(elements) * item;
    view.extent = (static_cast<std::int64_t>(last) + 1) * item;
  }
  return view;
}

// Reads those tensors of one section that the graph wants.
class SectionReader {
 public:
  // What may be read: strides of 0, many views of one record, and records that unpack to more than they are packed into
  // could make a small file stand for any number of bytes.
  SectionReader(const ZipFile& archive, const Section& section, std::uint64_t archive_bytes)
      : archive_(archive), section_(section), most_(archive_bytes), left_(kCopies * archive_bytes) {}

  // Adds them to `state` by name. Two names of one file, offset, sizes and strides are tied.
  void read(const std::set<std::string>& wanted, std::map<std::string, at::Tensor>& state) {
    if (!archive_.has(section_.config)) return;
    const json document = parse_json(archive_.text(section_.config, JsonLimits{}.bytes), section_.config);
    for (const auto& [name, entry] : document.at("config").items()) {
      if (!wanted.contains(name)) continue;
      try {
        state[name] = tensor(entry);
      } catch (const InputError& error) {
        throw InputError("tensor " + in_quotes(name) + ": " + error.what());
      }
    }
  }

 private:
  static constexpr std::uint64_t kCopies = 4;  // of one storage, for names that view it in several ways

  at::Tensor tensor(const json& entry) {
    const json& meta = entry.at("tensor_meta");
    if (entry.at("use_pickle").get<bool>() || meta.is_null()) {
      throw InputError("it is stored as a pickle; only plain tensors are read");
    }
    const std::string record = section_.folder + entry.at("path_name").get<std::string>();
    const View view = read_view(meta);
    at::Tensor& tensor =
        by_view_[record + meta.at("storage_offset").dump() + meta.at("sizes").dump() + meta.at("strides").dump()];
    if (!tensor.defined() || tensor.numel() == 0) {
      tensor = make(record, view);
      tensor.set_requires_grad(entry.at("is_param").get<bool>() && meta.at("requires_grad").get<bool>());
    }
    if (tensor.scalar_type() != view.type) throw InputError("another name of it is of another type");
    return tensor;
  }

  at::Tensor make(const std::string& record, const View& view) {
    const std::uint64_t bytes = archive_.size(record);
    if (view.extent > static_cast<std::int64_t>(std::min<std::uint64_t>(bytes, kMostElements))) {
      throw InputError(record + " has " + std::to_string(bytes) + " bytes; its sizes need " +
                       std::to_string(view.extent));
    }
    if (view.extent == 0) return at::empty(view.sizes, view.type);
    take(static_cast<std::uint64_t>(view.bytes));
    at::Tensor tensor = at::empty_strided(view.sizes, view.strides, view.type);
    if (bytes == tensor.storage().nbytes() && tensor.is_non_overlapping_and_dense()) {  // the view is the whole storage
      archive_.read(record, {static_cast<std::byte*>(tensor.mutable_data_ptr()), bytes});
      return tensor;
    }
    at::Tensor& storage = storages_[record];
    if (!storage.defined()) {
      take(bytes);
      storage = at::empty({static_cast<std::int64_t>(bytes)}, at::kByte);
      archive_.read(record, {static_cast<std::byte*>(storage.mutable_data_ptr()), bytes});
    }
    const auto item = static_cast<std::int64_t>(c10::elementSize(view.type));
    return at::from_blob(storage.mutable_data_ptr(), {static_cast<std::int64_t>(bytes) / item}, view.type)
        .as_strided(view.sizes, view.strides, view.offset)
        .clone();
  }

  void take(std::uint64_t bytes) {
    if (bytes > most_) {
      throw InputError("it stands for a tensor larger than the archive: " + std::to_string(bytes) + " bytes");
    }
    if (bytes > left_) throw InputError("with it the archive's tensors are many times larger than the archive");
    left_ -= bytes;
  }

  const ZipFile& archive_;
  const Section& section_;
  std::uint64_t most_;
  std::uint64_t left_;
  std::map<std::string, at::Tensor> by_view_;
  std::map<std::string, at::Tensor> storages_;  // by record, of those of which a view is a part
};

// What the graph says of its parameters, buffers and constants is what the archive holds.
void check_state(const Graph& graph, const std::map<std::string, at::Tensor>& state) {
  for (const GraphInput& input : graph.inputs) {
    const auto found = input.kind == InputKind::kUserInput ? state.end() : state.find(input.state_name);
    if (found == state.end()) continue;
    const at::Tensor& tensor = found->second;
    std::vector<Dimension> sizes(tensor.sizes().begin(), tensor.sizes().end());
    if (graph.sizes(input.value) == sizes &&
        scalar_type_from_archive(graph.scalar_type(input.value)) == tensor.scalar_type()) {
      continue;
    }
    throw InputError("tensor " + in_quotes(input.state_name) + " is " + c10::toString(tensor.scalar_type()) + " [" +
                     join(tensor.sizes(), ", ") + "]; the graph says otherwise of its value " + in_quotes(input.value));
  }
}

// "dynamic_shapes={"x": {0: torch.export.Dim("batch")}, …}": what makes the first dimension of all inputs free.
std::string dynamic_shapes(const Graph& graph) {
  std::vector<std::string> shapes;
  for (const GraphInput* input : graph.user_inputs()) shapes.push_back(in_quotes(input->value) + ": {0: batch}");
  for (const FixedEntry& entry : graph.fixed_inputs) {
    if (!entry.name().empty()) shapes.push_back(in_quotes(entry.name()) + ": None");
  }
  return "dynamic_shapes={" + join(shapes, ", ") + "}";
}

// Anything else than a batch dimension of free size would break with the first batch of another size.
void check_inputs(const Graph& graph) {
  for (const GraphInput* input : graph.user_inputs()) {
    const auto sizes = graph.sizes(input->value);
    if (!sizes.empty() && std::holds_alternative<std::string>(sizes[0])) continue;
    throw InputError("input " + in_quotes(input->value) +
                     (sizes.empty()
                          ? " has no dimensions, and must have one for the batch"
                          : " has a fixed batch size of " + std::to_string(std::get<std::int64_t>(sizes[0]))) +
                     "; export the model with batch = torch.export.Dim(\"batch\") and torch.export.export(model, "
                     "examples, " +
                     dynamic_shapes(graph) + "); what is the same for all samples becomes a buffer of the model");
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

Program read_archive(const fs::path& path, const std::vector<std::string>& allowed_operators) {
  const std::string file = path.string();
  if (std::error_code error; !fs::is_regular_file(path, error)) {
    throw InputError(file + " is not a file: a program is a .pt2 archive that torch.export.save wrote");
  }
  try {
    const ZipFile archive(path, ZipNames::kWithinFolder);
    if (!archive.has(kModel) && archive.has(kModelBefore)) {
      throw InputError(
          "it is an archive of torch 2.7 or older, and those of torch 2.9 to 2.15 are read: export the model with such "
          "a torch, or let it write the archive anew, with torch.export.save(torch.export.load(\"old.pt2\"), "
          "\"new.pt2\")");
    }
    if (!archive.has(kModel)) {
      throw InputError("it has no " + std::string(kModel) + ": it is not an archive that torch.export.save wrote");
    }
    if (archive.has("byteorder") && archive.text("byteorder", 16) != "little") {
      throw InputError("its tensors are not little-endian");
    }
    Graph graph = read_graph(archive.text(kModel, JsonLimits{}.bytes), file);
    check_inputs(graph);
    require_pure(graph, allowed_operators);
    std::set<std::string> wanted;
    for (const GraphInput& input : graph.inputs) wanted.insert(input.state_name);
    std::map<std::string, at::Tensor> state;
    for (const Section& section : {kWeights, kConstants}) {
      SectionReader(archive, section, fs::file_size(path)).read(wanted, state);
    }
    check_state(graph, state);
    return Program(path.stem().string(), std::move(graph), std::move(state));
  } catch (const c10::Error& error) {
    throw InputError(file + " cannot be read as a .pt2 archive: " + reason(error));
  } catch (const json::exception& error) {
    throw InputError(file + ": a part of the archive is not what torch.export.save writes: " + error.what());
  } catch (const InputError& error) {
    const std::string message = error.what();
    throw InputError(message.starts_with(file) ? message : file + ": " + message);
  }
}

void write_archive(const Program& program, const fs::path& path,
                   const std::map<std::string, std::string>& extra_files) {
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
    for (const auto& [name, text] : extra_files) write_text("extra/" + name, text);
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
