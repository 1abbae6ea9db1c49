#include "engine/artifacts/TorchscriptArtifact.h"

#include <torch/csrc/jit/runtime/graph_executor.h>
#include <torch/csrc/jit/serialization/export.h>
#include <torch/csrc/jit/serialization/import.h>

#include <exception>
#include <nlohmann/json.hpp>
#include <span>

#include "common/Error.h"
#include "common/File.h"
#include "engine/artifacts/torchscript/TorchscriptModule.h"
#include "engine/files/ZipFile.h"

namespace lockstep {

namespace fs = std::filesystem;
namespace jit = torch::jit;

namespace {

constexpr const char* kLeaveTorchscriptOut =
    ". Leave torchscript out of the hyperparameter export to train without that artifact";

jit::Module torchscript_of(const Program& program, bool named_outputs) {
  try {
    return to_torchscript(program, named_outputs);
  } catch (const InputError& error) {
    throw InputError(error.what() + std::string(kLeaveTorchscriptOut));
  } catch (const c10::Error& error) {
    throw InputError("the program " + program.name() + " cannot be written as a TorchScript module: " +
                     error.what_without_backtrace() + kLeaveTorchscriptOut);
  }
}

// The tensors that a module returns, in the order of the program's outputs.
std::vector<at::Tensor> tensors_of(const c10::IValue& returned) {
  if (returned.isTensor()) return {returned.toTensor()};
  std::vector<at::Tensor> tensors;
  if (returned.isGenericDict()) {
    for (const auto& entry : returned.toGenericDict()) tensors.push_back(entry.value().toTensor());
  } else {
    for (const c10::IValue& element : returned.toTupleRef().elements()) tensors.push_back(element.toTensor());
  }
  return tensors;
}

Artifact::Model torchscript_model(const jit::Module& module, const std::string& what) {
  return [module = jit::Module(module), what](const std::vector<at::Tensor>& inputs) mutable {
    const c10::NoGradGuard no_grad;
    const jit::GraphOptimizerEnabledGuard as_written(false);
    try {
      return tensors_of(module.forward({inputs.begin(), inputs.end()}));
    } catch (const c10::Error&) {
      throw;
    } catch (const std::exception& error) {  // TorchScript's own
      throw InputError(what + " cannot be run: " + error.what());
    }
  };
}

Artifact::Model read_torchscript(const fs::path& path) {
  if (std::error_code error; !fs::is_regular_file(path, error)) throw InputError(path.string() + " is missing");
  try {
    return torchscript_model(jit::load(path.string(), at::kCPU), path.string());
  } catch (const c10::Error& error) {
    throw InputError(path.string() + " cannot be read as a TorchScript module: " + error.what_without_backtrace());
  } catch (const std::exception& error) {
    throw InputError(path.string() + " cannot be read as a TorchScript module: " + error.what());
  }
}

}  // namespace

void TorchscriptArtifact::check(const Program& program, const std::vector<Probe>& probes) const {
  const std::string wrong =
      difference(torchscript_model(torchscript_of(program, options().named_outputs), "the TorchScript module"), probes);
  if (wrong.empty()) return;
  throw InputError("a TorchScript module would not compute what the program " + program.name() + " computes: " + wrong +
                   kLeaveTorchscriptOut);
}

void TorchscriptArtifact::write(const Program& program, const fs::path& directory) const {
  OutputFile file(directory / entry());
  // The writer finishes its archive even in its destructor and throws when it cannot: it is told that all went well,
  // and the first failure is thrown when it is gone.
  std::exception_ptr failure;
  const auto take = [&](const void* data, std::size_t size) {
    try {
      if (!failure) file.write(std::span(static_cast<const std::byte*>(data), size));
    } catch (const SystemError&) {
      failure = std::current_exception();
    }
    return size;
  };
  ArtifactMetadata metadata = options().metadata;
  metadata["program"] = program.name();
  try {
    jit::ExportModule(torchscript_of(program, options().named_outputs), take,
                      {{"metadata.json", nlohmann::json(metadata).dump()}});
  } catch (const c10::Error& error) {
    throw SystemError("cannot write " + (directory / entry()).string() + ": " + error.what_without_backtrace());
  }
  if (failure) std::rethrow_exception(failure);
  file.close();
}

Artifact::Model TorchscriptArtifact::read_back(const Program& /*program*/, const fs::path& directory) const {
  Model model = read_torchscript(directory / entry());
  check_zip_file(directory / entry());  // libtorch compares no checksums
  return model;
}

std::optional<Artifact::Model> TorchscriptArtifact::open(const fs::path& directory, const ModelCard& /*card*/) const {
  return read_torchscript(directory / entry());
}

}  // namespace lockstep
