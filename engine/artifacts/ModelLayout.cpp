#include "engine/artifacts/ModelLayout.h"

#include <algorithm>
#include <utility>

#include "common/Error.h"
#include "common/Text.h"
#include "engine/artifacts/PytorchHandler.h"
#include "engine/artifacts/TritonConfig.h"
#include "job/HyperparameterChoices.h"

namespace lockstep {

namespace {

// What a format's entry is called where Triton looks for it, and where it lies elsewhere.
struct Entry {
  Export format;
  const char* usual;
  const char* triton;  ///< nullptr: Triton does not read it
};
constexpr Entry kEntries[] = {{Export::kPt2, "model.pt2", nullptr},
                              {Export::kSafetensors, "model.safetensors", nullptr},
                              {Export::kSavedModel, "1", "model.savedmodel"},
                              {Export::kOnnx, "model.onnx", "model.onnx"},
                              {Export::kTorchscript, "model.pt", "model.pt"}};

const Entry& entry_of(Export format) { return *std::ranges::find(kEntries, format, &Entry::format); }

}  // namespace

ModelLayout::ModelLayout(Layout layout, std::string name, std::vector<Export> formats)
    : layout_(layout), name_(std::move(name)), formats_(std::move(formats)) {
  const auto served = [&](Export format) { return serves(format); };
  if (layout_ == Layout::kTfserving || formats_.empty()) return;  // as it always was, with SavedModel or without
  if (std::ranges::none_of(formats_, served)) {
    std::vector<std::string> wanted;
    for (const Entry& entry : kEntries) {
      if (serves(entry.format)) wanted.push_back(to_string(entry.format));
    }
    throw InputError("layout=" + to_string(layout_) + " needs an artifact that this server reads: add " +
                     join(wanted, ", ") + (wanted.size() > 1 ? ", or one of them," : "") +
                     " to the hyperparameter export");
  }
  const bool plain = std::ranges::all_of(name_, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
  if (layout_ == Layout::kTriton && (!plain || name_.empty())) {
    throw InputError("layout=triton names a directory after the model, and " + in_quotes(name_) +
                     " has other characters than letters, digits, _ and -: give it a name by served_name");
  }
}

bool ModelLayout::serves(Export format) const {
  switch (layout_) {
    case Layout::kTfserving:
      return format == Export::kSavedModel;
    case Layout::kPytorch:
      return format == Export::kTorchscript;
    case Layout::kTriton:
      return entry_of(format).triton != nullptr;
  }
  throw InternalError("a layout without formats");
}

std::string ModelLayout::model(Export format) const {
  const auto served = std::ranges::count_if(formats_, [&](Export each) { return serves(each); });
  return served > 1 ? name_ + "_" + to_string(format) : name_;
}

std::string ModelLayout::entry(Export format) const {
  if (layout_ != Layout::kTriton || !serves(format)) return entry_of(format).usual;
  return model(format) + "/1/" + entry_of(format).triton;
}

std::map<std::string, std::string> ModelLayout::texts(const ModelCard& card,
                                                      const std::vector<std::string>& labels) const {
  std::map<std::string, std::string> texts;
  if (layout_ == Layout::kPytorch) texts["code/inference.py"] = kPytorchHandler;
  if (layout_ != Layout::kTriton) return texts;
  for (const Export format : formats_) {
    if (!serves(format)) continue;
    const std::string directory = model(format) + "/";
    texts[directory + "config.pbtxt"] =
        triton_config(model(format), format, card.of_artifact(entry(format)), labels.size());
    if (!labels.empty()) texts[directory + kTritonLabels] = one_a_line(labels);
  }
  return texts;
}

std::optional<Export> ModelLayout::format_of(const std::string& entry) {
  const std::string last = entry.substr(entry.rfind('/') + 1);
  for (const Entry& each : kEntries) {
    if (entry == each.usual || (last != entry && each.triton && last == each.triton)) return each.format;
  }
  return std::nullopt;
}

}  // namespace lockstep
