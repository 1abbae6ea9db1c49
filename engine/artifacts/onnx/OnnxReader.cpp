#include "engine/artifacts/onnx/OnnxReader.h"

#include <exception>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/onnx/OnnxTypes.h"

namespace lockstep {

namespace {

PrimitiveValue described(const onnx::ValueInfoProto& info) {
  if (!info.has_type() || !info.type().has_tensor_type()) throw InputError("it is no tensor");
  PrimitiveValue value{from_onnx(info.type().tensor_type().elem_type()), {}};
  for (const auto& dim : info.type().tensor_type().shape().dim()) {
    if (dim.has_dim_value()) {
      if (dim.dim_value() < 0) throw InputError("it has a negative size");
      value.sizes.emplace_back(dim.dim_value());
    } else {
      if (dim.dim_param().empty()) throw InputError("it has a size without a name");
      value.sizes.emplace_back(dim.dim_param());
    }
  }
  return value;
}

// Runs `read`; what it throws names the thing.
template <typename Read>
void naming(const std::string& thing, const Read& read) {
  try {
    read();
  } catch (const std::exception& error) {  // what the primitive operations throw is of the file's making here
    throw InputError(thing + ": " + error.what());
  }
}

}  // namespace

PrimitiveGraph OnnxReader::read(const onnx::GraphProto& graph) && {
  read_interface(graph);
  for (const onnx::NodeProto& node : graph.node()) {
    naming("its node " + in_quotes(node.name()) + " (" + node.op_type() + ")", [&] { read_onnx_node(*this, node); });
  }
  for (const onnx::ValueInfoProto& output : graph.output()) {
    naming("its output " + in_quotes(output.name()), [&] {
      const ValueId made = value(output.name());
      if (from_onnx(output.type().tensor_type().elem_type()) != builder_.value(made).type) {
        throw InputError("its graph computes another type");
      }
      builder_.output(output.name(), made);
    });
  }
  return std::move(builder_).finish();
}

void OnnxReader::read_interface(const onnx::GraphProto& graph) {
  for (const onnx::ValueInfoProto& input : graph.input()) {
    naming("its input " + in_quotes(input.name()),
           [&] { name(input.name(), builder_.input(input.name(), described(input))); });
  }
  for (const onnx::TensorProto& tensor : graph.initializer()) {
    naming("its initializer " + in_quotes(tensor.name()), [&] {
      PrimitiveValue value{from_onnx(tensor.data_type()), {}};
      for (const std::int64_t size : tensor.dims()) {
        if (size < 0) throw InputError("it has a negative size");
        value.sizes.emplace_back(size);
      }
      name(tensor.name(), builder_.state({tensor.name()}, std::move(value), true));
    });
  }
}

ValueId OnnxReader::value(const std::string& name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) throw InputError("nothing before it makes " + in_quotes(name));
  return found->second;
}

const Integers& OnnxReader::elements(const std::string& name) const {
  const Integers* found = find_elements(name);
  if (!found) throw InputError(in_quotes(name) + " is no vector of integers that are known");
  return *found;
}

const Integers* OnnxReader::find_elements(const std::string& name) const {
  const auto found = elements_.find(name);
  return found == elements_.end() ? nullptr : &found->second;
}

double OnnxReader::number(const std::string& name) const {
  const auto found = numbers_.find(name);
  if (found == numbers_.end()) throw InputError(in_quotes(name) + " is no constant number");
  return found->second;
}

void OnnxReader::name(const std::string& name, ValueId value) {
  if (name.empty() || !values_.emplace(name, value).second) {
    throw InputError("the name " + in_quotes(name) + " is none that nothing else has");
  }
}

}  // namespace lockstep
