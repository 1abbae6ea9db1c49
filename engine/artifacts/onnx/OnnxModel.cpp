#include "engine/artifacts/onnx/OnnxModel.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <utility>

#include "common/Crc32c.h"
#include "common/Error.h"
#include "common/File.h"
#include "common/Text.h"
#include "common/Version.h"
#include "engine/artifacts/onnx/OnnxReader.h"
#include "engine/artifacts/onnx/OnnxTypes.h"
#include "engine/artifacts/onnx/OnnxWriter.h"

namespace lockstep {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "ONNX's data is little-endian");

namespace {

constexpr std::uint64_t kMostMessage = (std::uint64_t{1} << 31) - 1;  // protobuf's own limit
constexpr std::uint64_t kPage = 4096;                 // ONNX recommends it, so that readers may map data
constexpr const char* kChecksum = "crc32c";           // of all bytes of the message before it
constexpr const char* kDataChecksum = "data_crc32c";  // of the file beside
constexpr std::string_view kTied = "tied:";           // with another name of an initializer: its name

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

fs::path data_path(const fs::path& model) { return model.string() + ".data"; }

std::string hexadecimal(std::uint32_t checksum) { return format("%08x", checksum); }

std::string serialize(const google::protobuf::MessageLite& message) {
  if (message.ByteSizeLong() > kMostMessage) throw InternalError("an ONNX graph is larger than 2 GiB");
  return message.SerializeAsString();
}

// A field of bytes, as far as before its content.
std::string field(int number, std::uint64_t length) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.WriteTag(static_cast<std::uint32_t>(number) << 3 | 2);
    coded.WriteVarint64(length);
  }
  return bytes;
}

// The field of the model that holds one text about it.
std::string property(const std::string& key, const std::string& value) {
  onnx::ModelProto model;
  auto& entry = *model.add_metadata_props();
  entry.set_key(key);
  entry.set_value(value);
  return serialize(model);
}

/// A file with a checksum of what has been written.
class SummedFile {
 public:
  explicit SummedFile(const fs::path& path) : file_(path) {}
  void write(std::string_view bytes) {
    file_.write(bytes);
    checksum_ = crc32c(bytes_of(bytes), checksum_);
    size_ += bytes.size();
  }
  void close() { file_.close(); }
  std::uint32_t checksum() const { return checksum_; }
  std::uint64_t size() const { return size_; }

 private:
  OutputFile file_;
  std::uint32_t checksum_ = 0;
  std::uint64_t size_ = 0;
};

// Everything of the model but its graph and what is said of it.
onnx::ModelProto head() {
  onnx::ModelProto model;
  model.set_ir_version(kOnnxIrVersion);
  model.set_producer_name("Lockstep");
  model.set_producer_version(kLockstepVersion);
  auto& opset = *model.add_opset_import();
  opset.set_domain("");
  opset.set_version(kOnnxOpset);
  return model;
}

// Writes all values into the file beside, and into their initializers where they are. Returns its checksum.
std::uint32_t write_data(onnx::GraphProto& graph, const std::vector<TensorView>& values, const fs::path& path) {
  SummedFile file(path);
  for (std::size_t i = 0; i < values.size(); ++i) {
    file.write(std::string((kPage - file.size() % kPage) % kPage, '\0'));
    onnx::TensorProto& tensor = *graph.mutable_initializer(static_cast<int>(i));
    tensor.set_data_location(onnx::TensorProto::EXTERNAL);
    const auto say = [&](const std::string& key, const std::string& value) {
      auto& entry = *tensor.add_external_data();
      entry.set_key(key);
      entry.set_value(value);
    };
    say("location", path.filename().string());
    say("offset", std::to_string(file.size()));
    say("length", std::to_string(values[i].bytes()));
    for_each_piece(values[i], [&](std::string_view piece) { file.write(piece); });
  }
  file.close();
  return file.checksum();
}

// A message's fields may come in any order: the graph's initializers come last, so that no value need be copied.
void write_graph(SummedFile& file, onnx::GraphProto graph, const std::vector<TensorView>& values, bool external) {
  std::vector<std::string> tensors;
  std::uint64_t size = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::string tensor = serialize(graph.initializer(static_cast<int>(i)));
    const std::uint64_t length = values[i].bytes();
    if (!external) tensor += field(onnx::TensorProto::kRawDataFieldNumber, length);
    const std::uint64_t whole = tensor.size() + (external ? 0 : length);
    tensors.push_back(field(onnx::GraphProto::kInitializerFieldNumber, whole) + tensor);
    size += tensors.back().size() + (external ? 0 : length);
  }
  graph.clear_initializer();
  const std::string rest = serialize(graph);
  size += rest.size();
  if (size > kMostMessage - (1 << 20)) throw InternalError("an ONNX graph is larger than 2 GiB");
  file.write(field(onnx::ModelProto::kGraphFieldNumber, size));
  file.write(rest);
  for (std::size_t i = 0; i < values.size(); ++i) {
    file.write(tensors[i]);
    if (!external) for_each_piece(values[i], [&](std::string_view piece) { file.write(piece); });
  }
}

void require(bool valid, const std::string& what) {
  if (!valid) throw InputError(what);
}

// The model, whose checksum is right. What is thrown begins with `what`.
onnx::ModelProto parse(const std::string& bytes, const std::string& what) {
  const std::string end = property(kChecksum, hexadecimal(0));
  require(bytes.size() > end.size(), what + "it is too short");
  const std::string_view before = std::string_view(bytes).substr(0, bytes.size() - end.size());
  require(bytes.ends_with(property(kChecksum, hexadecimal(crc32c(bytes_of(before))))),
          what + "its bytes do not have the checksum that it ends with");
  onnx::ModelProto model;
  require(model.ParseFromString(bytes), what + "it cannot be parsed");
  require(model.ir_version() == kOnnxIrVersion && model.opset_import_size() == 1 &&
              model.opset_import(0).domain().empty() && model.opset_import(0).version() == kOnnxOpset,
          what + "it is of another version of ONNX");
  return model;
}

// Of a tensor. Throws InputError for sizes that no memory has.
std::uint64_t bytes_of(const onnx::TensorProto& tensor) {
  std::uint64_t count = size_of(from_onnx(tensor.data_type()));
  for (const std::int64_t size : tensor.dims()) {
    require(!__builtin_mul_overflow(count, static_cast<std::uint64_t>(size), &count),
            in_quotes(tensor.name()) + " has more elements than can be counted");
  }
  return count;
}

// Other names of what is called names[0].
void add_tied_names(const std::map<std::string, std::string>& metadata, std::vector<std::string>& names) {
  for (const auto& [key, value] : metadata) {
    if (key.starts_with(kTied) && value == names[0]) names.push_back(key.substr(kTied.size()));
  }
}

std::uint64_t number(const std::string& text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size(), in_quotes(text) + " is no number");
  return value;
}

// Where in the file beside, of `data_size` bytes, the tensor is.
std::uint64_t offset_of(const onnx::TensorProto& tensor, std::uint64_t bytes, const std::string& file,
                        std::uint64_t data_size) {
  std::map<std::string, std::string> said;
  for (const auto& entry : tensor.external_data()) said[entry.key()] = entry.value();
  require(said.size() == 3 && said["location"] == file, "its data is not in " + file);
  const std::uint64_t offset = number(said["offset"]);
  require(number(said["length"]) == bytes && bytes <= data_size && offset <= data_size - bytes,
          "its data does not fit its sizes, or lies outside of " + file);
  return offset;
}

std::uint32_t checksum_of(const PlainFile& file) {
  std::string piece(1 << 20, '\0');
  std::uint32_t checksum = 0;
  for (std::uint64_t at = 0; at < file.size();) {
    const std::size_t count = file.read_some_at(at, std::as_writable_bytes(std::span(piece)));
    if (count == 0) break;
    checksum = crc32c(bytes_of(std::string_view(piece).substr(0, count)), checksum);
    at += count;
  }
  return checksum;
}

}  // namespace

void write_onnx(const PrimitiveGraph& graph, const std::vector<TensorView>& values, const fs::path& path,
                const OnnxOptions& options) {
  if (values.size() != graph.state.size()) throw InternalError("an ONNX model needs a value for each parameter");
  std::uint64_t bytes = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    const PrimitiveValue& stated = graph.values.at(graph.state[i].value.index);
    const std::vector<Dimension> sizes(values[i].sizes.begin(), values[i].sizes.end());
    if (values[i].type != stated.type || sizes != stated.sizes) {
      throw InternalError("the value of " + graph.state[i].names.at(0) + " does not have its type and sizes");
    }
    bytes += values[i].bytes();
  }
  onnx::GraphProto message = OnnxWriter(graph).write();
  message.set_name("main");
  std::map<std::string, std::string> said = options.metadata;
  for (std::size_t i = 0; i < graph.state.size(); ++i) {
    const std::vector<std::string>& names = graph.state[i].names;
    const std::string& written = message.initializer(static_cast<int>(i)).name();
    for (const std::string& name : names) {
      if (name != written) said[std::string(kTied) + name] = written;
    }
  }
  const bool external = bytes > options.most_inline;
  if (external) said[kDataChecksum] = hexadecimal(write_data(message, values, data_path(path)));
  SummedFile file(path);
  file.write(serialize(head()));
  write_graph(file, std::move(message), values, external);
  for (const auto& [key, value] : said) file.write(property(key, value));
  file.write(property(kChecksum, hexadecimal(file.checksum())));
  file.close();
}

PrimitiveGraph as_onnx(const PrimitiveGraph& graph) {
  const onnx::GraphProto message = OnnxWriter(graph).write();
  PrimitiveGraph read = OnnxReader().read(message);
  for (PrimitiveState& state : read.state) {
    const auto written = std::find_if(message.initializer().begin(), message.initializer().end(),
                                      [&](const onnx::TensorProto& tensor) { return tensor.name() == state.names[0]; });
    state.names = graph.state.at(static_cast<std::size_t>(written - message.initializer().begin())).names;
  }
  return read;
}

OnnxModel::OnnxModel(const fs::path& path) {
  const std::string what = path.string() + " is damaged, or is none that this version of Lockstep wrote: ";
  onnx::ModelProto model = parse(read_file(path, kMostMessage), what);
  for (const auto& entry : model.metadata_props()) metadata_[entry.key()] = entry.value();
  metadata_.erase(kChecksum);
  if (const auto beside = metadata_.find(kDataChecksum); beside != metadata_.end()) {
    data_.emplace(data_path(path));
    if (hexadecimal(checksum_of(*data_)) != beside->second) {
      throw InputError(data_->name() + " is damaged, or does not belong to " + path.string() +
                       ": its checksum differs");
    }
    metadata_.erase(beside);
  }
  try {
    graph_ = OnnxReader().read(model.graph());
    for (onnx::TensorProto& tensor : *model.mutable_graph()->mutable_initializer()) {
      const std::uint64_t bytes = bytes_of(tensor);
      Place& place = places_[tensor.name()];
      if (data_) {
        place.offset = offset_of(tensor, bytes, data_path(path).filename().string(), data_->size());
      } else {
        require(tensor.raw_data().size() == bytes,
                "the data of " + in_quotes(tensor.name()) + " does not fit its sizes");
        place.bytes = std::move(*tensor.mutable_raw_data());
      }
    }
  } catch (const InputError& error) {
    throw InputError(what + error.what());
  }
  for (PrimitiveState& state : graph_.state) add_tied_names(metadata_, state.names);
}

void OnnxModel::read(const PrimitiveState& state, std::span<std::byte> bytes) const {
  const Place& place = places_.at(state.names.at(0));
  if (data_) return data_->read_at(place.offset, bytes);
  if (place.bytes.size() != bytes.size()) throw InternalError("a parameter of an ONNX model is of another size");
  if (!bytes.empty()) std::memcpy(bytes.data(), place.bytes.data(), bytes.size());
}

}  // namespace lockstep
