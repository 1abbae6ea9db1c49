// A program that loads the engine and lies elsewhere.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <array>
#include <cstddef>
#include <filesystem>
#include <string>

namespace {

TEST(CudaModule, IsLookedForBesideTheLibraryThatHoldsTheEngine) {
  const std::filesystem::path library = LOCKSTEP_EMBEDDED_ENGINE;
  void* module = ::dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(module, nullptr) << ::dlerror();
  const auto refusal = reinterpret_cast<void (*)(char*, std::size_t)>(::dlsym(module, "embedded_refusal"));
  ASSERT_NE(refusal, nullptr);
  std::array<char, 1000> text{};
  refusal(text.data(), text.size());
  EXPECT_NE(std::string(text.data()).find((library.parent_path() / "lockstep-cuda.so").string()), std::string::npos)
      << text.data();
}

}  // namespace
