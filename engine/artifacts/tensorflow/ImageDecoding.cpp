#include "engine/artifacts/tensorflow/ImageDecoding.h"

#include <charconv>
#include <string_view>
#include <utility>
#include <vector>

#include "common/Text.h"
#include "engine/artifacts/tensorflow/FunctionNodes.h"

namespace lockstep {

namespace tf = tensorflow;

namespace {

constexpr const char* kDecode = "__decode_image_";
constexpr const char* kStretched = "stretch";
constexpr const char* kCentered = "center";

// Writes the function node by node. A step is called by how others name its output.
class Steps {
 public:
  explicit Steps(tf::FunctionDef& function) : nodes_(function) {}

  FunctionNodes& nodes() { return nodes_; }
  std::string add(const std::string& name, const std::string& op, const std::string& output,
                  const std::vector<std::string>& inputs, const FunctionNodes::Attributes& attributes) {
    nodes_.add(name, op, inputs, attributes);
    return name + ":" + output + ":0";
  }
  // Of numbers of float64.
  std::string compute(const std::string& name, const std::string& op, const std::vector<std::string>& inputs) {
    return add(name, op, op == "Floor" ? "y" : "z", inputs, {{"T", to_message(ElementType::kDouble)}});
  }
  std::string cast(const std::string& name, const std::string& value, ElementType from, ElementType to) {
    return add(name, "Cast", "y", {value},
               {{"SrcT", to_message(from)}, {"DstT", to_message(to)}, {"Truncate", to_message(false)}});
  }
  // A vector of two integers with a third.
  std::string with_third(const std::string& name, const std::string& two, std::int32_t third) {
    return add(name, "ConcatV2", "output",
               {two, nodes_.vector(name + "_third", std::vector{third}), nodes_.scalar(name + "_axis", 0)},
               {{"N", to_message(std::int64_t{2})},
                {"T", to_message(ElementType::kInt32)},
                {"Tidx", to_message(ElementType::kInt32)}});
  }
  std::string slice(const std::string& name, const std::string& value, ElementType type, const std::string& begin,
                    const std::string& size) {
    return add(name, "Slice", "output", {value, begin, size},
               {{"T", to_message(type)}, {"Index", to_message(ElementType::kInt32)}});
  }

 private:
  FunctionNodes nodes_;
};

std::string decode(Steps& steps, const std::string& encoded) {
  return steps.add("image", "DecodeJpeg", "image", {encoded},
                   {{"channels", to_message(std::int64_t{3})},
                    {"ratio", to_message(std::int64_t{1})},
                    {"fancy_upscaling", to_message(true)},
                    {"try_recover_truncated", to_message(false)},
                    {"acceptable_fraction", to_message(1.0F)},
                    {"dct_method", to_message(std::string("INTEGER_ACCURATE"))}});
}

// Height and width of the image, as float64.
std::string sizes_of(Steps& steps, const std::string& image) {
  const std::string shape =
      steps.add("shape", "Shape", "output", {image},
                {{"T", to_message(ElementType::kUint8)}, {"out_type", to_message(ElementType::kInt32)}});
  const std::string sizes = steps.slice("sizes", shape, ElementType::kInt32, steps.nodes().vector("at", std::vector{0}),
                                        steps.nodes().vector("two", std::vector{2}));
  return steps.cast("real_sizes", sizes, ElementType::kInt32, ElementType::kDouble);
}

// The arithmetic of center_box, to the bit: in whole pixels, halves rounded up.
std::string center_part(Steps& steps, const std::string& sizes, const TensorflowDecoding& decoding) {
  const double ratio = static_cast<double>(decoding.width) / static_cast<double>(decoding.height);
  FunctionNodes& nodes = steps.nodes();
  const std::string swapped =
      steps.add("swapped", "ReverseV2", "output", {sizes, nodes.vector("dims", std::vector{0})},
                {{"T", to_message(ElementType::kDouble)}, {"Tidx", to_message(ElementType::kInt32)}});
  const std::string divided =
      steps.compute("divided", "RealDiv", {swapped, nodes.vector("divisors", std::vector{ratio, 1.0})});
  const std::string fitting =
      steps.compute("fitting", "Mul", {divided, nodes.vector("factors", std::vector{1.0, ratio})});
  const std::string most = steps.compute("most", "Minimum", {sizes, fitting});
  const std::string more = steps.compute("more", "AddV2", {most, nodes.vector("half", std::vector{0.5})});
  const std::string whole = steps.compute("whole", "Floor", {more});
  return steps.compute("part", "Maximum", {whole, nodes.vector("one", std::vector{1.0})});
}

std::string cut(Steps& steps, const std::string& image, const std::string& sizes, const std::string& part) {
  const std::string rest = steps.compute("rest", "Sub", {sizes, part});
  const std::string half = steps.compute("around", "Mul", {rest, steps.nodes().vector("halved", std::vector{0.5})});
  const std::string begin = steps.compute("begin", "Floor", {half});
  const auto integers = [&](const std::string& name, const std::string& two, std::int32_t third) {
    return steps.with_third(name, steps.cast(name + "_two", two, ElementType::kDouble, ElementType::kInt32), third);
  };
  return steps.slice("box", image, ElementType::kUint8, integers("corner", begin, 0), integers("extent", part, -1));
}

// To float32 [height, width, 3], rounded.
std::string scaled(Steps& steps, const std::string& image, const std::string& part,
                   const TensorflowDecoding& decoding) {
  FunctionNodes& nodes = steps.nodes();
  const std::string batch =
      steps.add("batch", "ExpandDims", "output", {image, nodes.scalar("in_front", 0)},
                {{"T", to_message(ElementType::kUint8)}, {"Tdim", to_message(ElementType::kInt32)}});
  const std::vector<double> made = {static_cast<double>(decoding.height), static_cast<double>(decoding.width)};
  const std::string scale =
      steps.cast("scale", steps.compute("exact_scale", "RealDiv", {nodes.vector("made", made), part}),
                 ElementType::kDouble, ElementType::kFloat);
  const std::string size = nodes.vector(
      "size", std::vector{static_cast<std::int32_t>(decoding.height), static_cast<std::int32_t>(decoding.width)});
  const std::string resized = steps.add("resized", "ScaleAndTranslate", "resized_images",
                                        {batch, size, scale, nodes.vector("translation", std::vector{0.0F, 0.0F})},
                                        {{"T", to_message(ElementType::kUint8)},
                                         {"kernel_type", to_message(std::string("triangle"))},
                                         {"antialias", to_message(true)}});
  const std::string one =
      steps.add("single", "Squeeze", "output", {resized},
                {{"T", to_message(ElementType::kFloat)}, {"squeeze_dims", to_message(std::vector<std::int64_t>{0})}});
  return steps.add("rounded", "Round", "y", {one}, {{"T", to_message(ElementType::kFloat)}});
}

// ITU-R 601-2's luma.
std::string grey(Steps& steps, const std::string& image) {
  FunctionNodes& nodes = steps.nodes();
  const FunctionNodes::Attributes real = {{"T", to_message(ElementType::kFloat)}};
  const std::string weighted =
      steps.add("weighted", "Mul", "z", {image, nodes.vector("luma", std::vector{0.299F, 0.587F, 0.114F})}, real);
  const std::string sum = steps.add("sum", "Sum", "output", {weighted, nodes.scalar("colours", -1)},
                                    {{"T", to_message(ElementType::kFloat)},
                                     {"Tidx", to_message(ElementType::kInt32)},
                                     {"keep_dims", to_message(true)}});
  return steps.add("grey", "Round", "y", {sum}, real);
}

}  // namespace

std::string name_of(const TensorflowDecoding& decoding) {
  return std::string(kDecode) + (decoding.stretch ? kStretched : kCentered) + "_" + std::to_string(decoding.height) +
         "_" + std::to_string(decoding.width) + "_" + std::to_string(decoding.channels);
}

std::optional<TensorflowDecoding> decoding_of_name(const std::string& name) {
  if (!name.starts_with(kDecode)) return std::nullopt;
  const std::vector<std::string> parts = split(name.substr(std::string_view(kDecode).size()), '_');
  if (parts.size() != 4) return std::nullopt;
  const auto number = [&](std::size_t i) {
    std::int64_t value = 0;
    std::from_chars(parts[i].data(), parts[i].data() + parts[i].size(), value);
    return value;
  };
  const TensorflowDecoding decoding{number(1), number(2), number(3), parts[0] == kStretched};
  return name_of(decoding) == name ? std::optional(decoding) : std::nullopt;
}

void add_image_decoding(const TensorflowDecoding& decoding, tf::FunctionDefLibrary& library) {
  tf::FunctionDef& function = *library.add_function();
  tf::OpDef& signature = *function.mutable_signature();
  signature.set_name(name_of(decoding));
  tf::OpDef::ArgDef& encoded = *signature.add_input_arg();
  encoded.set_name("encoded");
  encoded.set_type(tf::DT_STRING);
  tf::OpDef::ArgDef& pixels = *signature.add_output_arg();
  pixels.set_name("pixels");
  pixels.set_type(tf::DT_UINT8);

  Steps steps(function);
  std::string image = decode(steps, encoded.name());
  const std::string sizes = sizes_of(steps, image);
  const std::string part = decoding.stretch ? sizes : center_part(steps, sizes, decoding);
  if (!decoding.stretch) image = cut(steps, image, sizes, part);
  image = scaled(steps, image, part, decoding);
  if (decoding.channels == 1) image = grey(steps, image);
  (*function.mutable_ret())["pixels"] = steps.cast("bytes", image, ElementType::kFloat, ElementType::kUint8);
}

}  // namespace lockstep
