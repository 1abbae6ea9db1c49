// ONNX models for onnx_runtime.py.
//   data PROGRAM.pt2 DIRECTORY   the program, with its parameters in a file beside it, however small
//   whole PROGRAM.pt2 DIRECTORY  the program in its inference form, as a job writes it, and model.pt2
//   cases DIRECTORY              each of tests/support/PrimitiveCases.h, and random ones: NAME/model.onnx, and for each
//                                batch i.safetensors with the inputs by name and what libtorch computes, `output_0`…
#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/artifacts/OnnxArtifact.h"
#include "engine/artifacts/Pt2Artifact.h"
#include "engine/artifacts/Safetensors.h"
#include "engine/program/Archive.h"
#include "engine/program/EvalForm.h"
#include "tests/support/PrimitiveCases.h"

namespace {

using namespace lockstep;
namespace fs = std::filesystem;

void write_case(const PrimitiveCase& each, const fs::path& directory) {
  fs::create_directories(directory);
  OnnxArtifact().write(each.program, directory);
  const std::vector<Probe> probes = make_probes(each.program, each.batches);
  const std::vector<const GraphInput*> inputs = each.program.graph().user_inputs();
  for (std::size_t i = 0; i < probes.size(); ++i) {
    NamedTensors tensors;
    for (std::size_t k = 0; k < inputs.size(); ++k) tensors[inputs[k]->value] = probes[i].inputs[k];
    for (std::size_t k = 0; k < probes[i].outputs.size(); ++k) {
      tensors["output_" + std::to_string(k)] = probes[i].outputs[k];
    }
    write_safetensors(tensors, {}, directory / (std::to_string(i) + ".safetensors"));
  }
}

Program inference(const std::string& path) {
  const Program program = read_archive(path);
  return program.with_graph(eval_form(program.graph()));
}

void run(const std::vector<std::string>& arguments) {
  if (arguments.size() == 3 && arguments[0] == "data") {
    OnnxArtifact({}, 0).write(inference(arguments[1]), arguments[2]);
  } else if (arguments.size() == 3 && arguments[0] == "whole") {
    OnnxArtifact().write(inference(arguments[1]), arguments[2]);
    Pt2Artifact().write(inference(arguments[1]), arguments[2]);
  } else if (arguments.size() == 2 && arguments[0] == "cases") {
    std::vector<PrimitiveCase> cases = all_primitive_cases();
    constexpr std::uint64_t kRandom = 50;
    for (std::uint64_t seed = 0; seed < kRandom; ++seed) cases.push_back(random_primitive_case(seed));
    for (const PrimitiveCase& each : cases) {
      std::string name = each.name;
      for (char& c : name) c = c == '/' ? '_' : c;
      write_case(each, fs::path(arguments[1]) / name);
    }
  } else {
    throw std::invalid_argument("data, whole or cases");
  }
}

}  // namespace

int main(int count, char** arguments) {
  try {
    run({arguments + 1, arguments + count});
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
