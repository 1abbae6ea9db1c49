#include "job/HyperparameterChoices.h"

namespace lockstep {

template <>
const std::vector<std::pair<Precision, std::string>>& choices() {
  static const std::vector<std::pair<Precision, std::string>> all = {{Precision::kFp32, "fp32"},
                                                                     {Precision::kBf16, "bf16"},
                                                                     {Precision::kFp16, "fp16"},
                                                                     {Precision::kFp64, "fp64"},
                                                                     {Precision::kAuto, "auto"}};
  return all;
}
template <>
const std::vector<std::pair<DeviceKind, std::string>>& choices() {
  static const std::vector<std::pair<DeviceKind, std::string>> all = {
      {DeviceKind::kAuto, "auto"}, {DeviceKind::kCpu, "cpu"}, {DeviceKind::kCuda, "cuda"}};
  return all;
}
template <>
const std::vector<std::pair<Export, std::string>>& choices() {
  static const std::vector<std::pair<Export, std::string>> all = {{Export::kPt2, "pt2"},
                                                                  {Export::kSafetensors, "safetensors"},
                                                                  {Export::kSavedModel, "saved_model"},
                                                                  {Export::kOnnx, "onnx"},
                                                                  {Export::kTorchscript, "torchscript"}};
  return all;
}
template <>
const std::vector<std::pair<Layout, std::string>>& choices() {
  static const std::vector<std::pair<Layout, std::string>> all = {
      {Layout::kTfserving, "tfserving"}, {Layout::kPytorch, "pytorch"}, {Layout::kTriton, "triton"}};
  return all;
}
template <>
const std::vector<std::pair<Quantize, std::string>>& choices() {
  static const std::vector<std::pair<Quantize, std::string>> all = {{Quantize::kNone, "none"},
                                                                    {Quantize::kInt8Weights, "int8-weights"}};
  return all;
}
template <>
const std::vector<std::pair<ServePreprocessing, std::string>>& choices() {
  static const std::vector<std::pair<ServePreprocessing, std::string>> all = {{ServePreprocessing::kNone, "none"},
                                                                              {ServePreprocessing::kPixels, "pixels"},
                                                                              {ServePreprocessing::kImages, "images"}};
  return all;
}
template <>
const std::vector<std::pair<Data, std::string>>& choices() {
  static const std::vector<std::pair<Data, std::string>> all = {{Data::kFiles, "files"},
                                                                {Data::kSynthetic, "synthetic"}};
  return all;
}
template <>
const std::vector<std::pair<ArtifactState, std::string>>& choices() {
  static const std::vector<std::pair<ArtifactState, std::string>> all = {{ArtifactState::kBest, "best"},
                                                                         {ArtifactState::kLast, "last"}};
  return all;
}
template <>
const std::vector<std::pair<Pass, std::string>>& choices() {
  static const std::vector<std::pair<Pass, std::string>> all = {
      {Pass::kChannelsLast, "channels_last"},         {Pass::kReluAfterMaxPool, "relu_after_max_pool"},
      {Pass::kFuseMaxPoolRelu, "fuse_max_pool_relu"}, {Pass::kFuseBiasGelu, "fuse_bias_gelu"},
      {Pass::kFuseLayerNorm, "fuse_layer_norm"},      {Pass::kFuseEmbedding, "fuse_embedding"},
      {Pass::kOnednnLinear, "onednn_linear"},         {Pass::kFuseBatchNorm, "fuse_batch_norm"},
      {Pass::kFuseAttention, "fuse_attention"}};
  return all;
}
template <>
const std::vector<std::pair<Resume, std::string>>& choices() {
  static const std::vector<std::pair<Resume, std::string>> all = {{Resume::kAuto, "auto"}, {Resume::kNever, "never"}};
  return all;
}
template <>
const std::vector<std::pair<ImageCrop, std::string>>& choices() {
  static const std::vector<std::pair<ImageCrop, std::string>> all = {
      {ImageCrop::kCenter, "center"}, {ImageCrop::kRandom, "random"}, {ImageCrop::kStretch, "stretch"}};
  return all;
}
template <>
const std::vector<std::pair<Norm, std::string>>& choices() {
  static const std::vector<std::pair<Norm, std::string>> all = {{Norm::kBatch, "batch"}, {Norm::kNone, "none"}};
  return all;
}
template <>
const std::vector<std::pair<WeightsMatch, std::string>>& choices() {
  static const std::vector<std::pair<WeightsMatch, std::string>> all = {{WeightsMatch::kExact, "exact"},
                                                                        {WeightsMatch::kPartial, "partial"}};
  return all;
}
template <>
const std::vector<std::pair<Recompute, std::string>>& choices() {
  static const std::vector<std::pair<Recompute, std::string>> all = {
      {Recompute::kNone, "none"}, {Recompute::kAuto, "auto"}, {Recompute::kAll, "all"}};
  return all;
}
template <>
const std::vector<std::pair<ReportKind, std::string>>& choices() {
  static const std::vector<std::pair<ReportKind, std::string>> all = {{ReportKind::kHtml, "html"},
                                                                      {ReportKind::kTensorboard, "tensorboard"}};
  return all;
}

std::string to_string(Precision value) { return name_of(value); }
std::string to_string(DeviceKind value) { return name_of(value); }
std::string to_string(Export value) { return name_of(value); }
std::string to_string(Layout value) { return name_of(value); }
std::string to_string(Quantize value) { return name_of(value); }
std::string to_string(ServePreprocessing value) { return name_of(value); }
std::string to_string(Data value) { return name_of(value); }
std::string to_string(ArtifactState value) { return name_of(value); }
std::string to_string(ImageCrop value) { return name_of(value); }
std::string to_string(Norm value) { return name_of(value); }
std::string to_string(Resume value) { return name_of(value); }
std::string to_string(Pass value) { return name_of(value); }
std::string to_string(WeightsMatch value) { return name_of(value); }
std::string to_string(Recompute value) { return name_of(value); }
std::string to_string(ReportKind value) { return name_of(value); }

}  // namespace lockstep
